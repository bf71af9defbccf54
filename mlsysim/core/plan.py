"""The plan file: what a user may write, and nothing more.

Parsing is pure. Names are text here; :mod:`mlsysim.core.resolve` looks them up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlsysim.core import yamlfile
from mlsysim.core.errors import InputError, nearest
from mlsysim.core.yamlfile import Document

Name = Annotated[str, Field(min_length=1, max_length=200)]
Degree = Annotated[int, Field(ge=1, le=10_000_000)]
Quantity = Annotated[float, Field(ge=0, le=1e30)] | Annotated[str, Field(max_length=60)]

RECOMPUTE_MODES = ("none", "selective", "full")


class Block(BaseModel):
    """Base of all blocks: unknown keys are errors, types are strict, numbers are finite."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Workload(Block):
    """What runs."""

    name: Name = Field(description="a model of the zoo: mlsysim zoo models")
    batch_size: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        None, description="sequences or samples a step; for inference, on each accelerator"
    )
    phase: Literal["training", "inference"] = "training"
    seq_len: Annotated[int, Field(ge=1, le=100_000_000)] | None = Field(
        None, description="tokens a sequence; for inference, the context already there"
    )
    precision: Name | None = Field(None, description="number format of the matrix work, e.g. bf16")
    efficiency: Literal["auto"] | Annotated[float, Field(gt=0, le=1)] = Field(
        "auto", description="share of the peak that matrix work reaches"
    )
    optimizer: Literal["adam", "sgd"] | None = None
    attention: Literal["fused", "unfused"] = Field(
        "fused", description="fused kernels (FlashAttention) never store the scores"
    )
    dropout: bool = Field(False, description="keep dropout masks")

    @model_validator(mode="after")
    def _batch(self) -> Workload:
        if self.phase == "training" and self.batch_size is None:
            raise ValueError("batch_size is missing: a training plan needs the sequences of a step")
        return self


class HardwareBlock(Block):
    """What it runs on. ``nodes`` are servers; ``accelerators`` says the same directly."""

    name: Name = Field(description="an accelerator of the zoo: mlsysim zoo hardware")
    nodes: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    accelerators: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    node: Name | None = Field(None, description="the server, where not the usual one")

    @model_validator(mode="after")
    def _one_count(self) -> HardwareBlock:
        if self.nodes is not None and self.accelerators is not None:
            raise ValueError("nodes and accelerators say the same: give one of them")
        return self


class Ops(Block):
    """Where, for how long, and who owns it."""

    region: Name | None = Field(None, description="a region of the zoo: mlsysim zoo infra")
    duration_days: Annotated[float, Field(gt=0, le=36_525)] | None = None
    ownership: Literal["own", "rent"] = "own"
    pue: Annotated[float, Field(ge=1, le=10)] | None = None


class Parallelism(Block):
    """Decisions that the plan fixes; the rest is left to the rule (eval) or the solver."""

    tp: Degree | None = Field(None, description="tensor-parallel size")
    cp: Degree | None = Field(None, description="context-parallel size")
    pp: Degree | None = Field(None, description="pipeline stages")
    dp: Degree | None = Field(None, description="data-parallel size")
    ep: Degree | None = Field(None, description="expert-parallel size, out of the data-parallel ranks")
    microbatch_size: Degree | None = Field(None, description="sequences a microbatch")
    interleave: Degree | None = Field(None, description="model chunks a stage (virtual pipeline)")
    recompute: Literal["none", "selective", "full"] | None = None
    sequence_parallel: bool | None = None
    zero_stage: Annotated[int, Field(ge=0, le=3)] | None = None


class Assertion(Block):
    """A bound on a metric; a bare number has the metric's own unit."""

    metric: Name
    min: Quantity | None = None
    max: Quantity | None = None

    @model_validator(mode="after")
    def _some_bound(self) -> Assertion:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        return self


class Constraints(Block):
    """Limits of the plan."""

    asserts: list[Assertion] = Field(default_factory=list, alias="assert", max_length=100)
    budget: Quantity | None = Field(None, description="wall 17: most that the run may cost [USD]")
    carbon: Quantity | None = Field(None, description="wall 18: most CO2e of the run [tCO2e]")
    water: Quantity | None = Field(None, description="wall 18: most water of the run [L]")
    communication: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="wall 14: largest share of the step in exposed communication"
    )


class Plan(Block):
    """A plan: one workload, one fleet, the operations around it, and limits."""

    model_config = ConfigDict(title="mlsysim plan")

    version: Literal["1.0"] = Field(description="version of the plan format")
    name: Annotated[str, Field(max_length=200)] | None = None
    workload: Workload
    hardware: HardwareBlock
    ops: Ops = Field(default_factory=lambda: Ops.model_validate({}))
    parallelism: Parallelism = Field(default_factory=lambda: Parallelism.model_validate({}))
    constraints: Constraints = Field(default_factory=lambda: Constraints.model_validate({}))

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data, without what was left out."""
        return self.model_dump(by_alias=True, exclude_unset=True)


def load(source: str | Path | dict[str, Any] | Plan) -> tuple[Plan, Document]:
    """Return a plan from a path, a mapping or a plan, and where its keys stand.

    Raises:
        InputError: with the place, the problem and the remedy.
    """
    if isinstance(source, Plan):
        return source, Document(source.to_dict(), "")
    if isinstance(source, dict):
        return _validate(Document(source, "")), Document(source, "")
    if not isinstance(source, str | Path):
        raise InputError(f"a plan is a path, a mapping or a Plan, not {type(source).__name__}")
    document = yamlfile.load(yamlfile.read_text(Path(source)), str(source))
    return _validate(document), document


def _validate(document: Document) -> Plan:
    data = document.data
    if data is None:
        raise InputError(
            "the file is empty",
            where=document.name or "plan",
            hint="a plan has version, workload and hardware; see: mlsysim schema",
        )
    if not isinstance(data, dict):
        raise InputError(
            f"a plan is a mapping, not a {type(data).__name__}",
            where=document.where(()) or "plan",
            hint='start with: version: "1.0"',
        )
    try:
        return Plan.model_validate(data)
    except ValidationError as error:
        raise _explain(error, document) from error


def _explain(error: ValidationError, document: Document) -> InputError:
    """Turn Pydantic's first complaint into a sentence for people."""
    complaints = error.errors(include_url=False)
    # an unknown key says more than what is missing because of it
    first = next((c for c in complaints if c["type"] == "extra_forbidden"), complaints[0])
    keys = tuple(k for k in first["loc"] if not _is_union_tag(k))
    where = document.where(keys) or "plan"
    if len(complaints) > 1:
        rest = len({c["loc"][:3] for c in complaints}) - 1
        more = f"  ({rest} more like it below)" if rest > 0 else ""
    else:
        more = ""
    kind = first["type"]
    if kind == "extra_forbidden":
        known = _keys_at(keys[:-1])
        close = nearest(str(keys[-1]), known)
        hint = f"Nearest: {', '.join(close)}." if close else f"Known here: {', '.join(known)}."
        return InputError(f"unknown key {keys[-1]!r}", where=where, hint=hint)
    if kind == "missing":
        return InputError(f"{keys[-1]!r} is missing", where=where, hint="the format is in: mlsysim schema")
    given = first.get("input")
    shown = repr(given) if len(repr(given)) < 60 else repr(given)[:57] + "..."
    message = first["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return InputError(message, where=where)
    hint = message[0].lower() + message[1:]
    if isinstance(given, bool) and kind in ("string_type", "literal_error"):
        hint = "YAML reads unquoted yes, no, on and off as true or false: put the word in quotes"
    elif isinstance(given, str) and kind in ("int_type", "float_type", "int_parsing"):
        hint = "write a plain number without quotes or exponents without a dot (4096, 1.0e+6)"
    return InputError(f"{shown} is not allowed here", where=where, hint=hint + more)


def _is_union_tag(key: str | int) -> bool:
    """Tell Pydantic's names of union members from keys of the plan."""
    return isinstance(key, str) and ("[" in key or key in ("int", "float", "str"))


def _keys_at(keys: tuple[str | int, ...]) -> list[str]:
    """Return the keys that a plan may have at a place."""
    block: Any = Plan
    for key in keys:
        if isinstance(key, int):
            block = Assertion
            continue
        for name, f in block.model_fields.items():
            if key in (name, f.alias) and isinstance(f.annotation, type):
                block = f.annotation
    return [f.alias or name for name, f in block.model_fields.items()]

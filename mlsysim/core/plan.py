"""The plan file: what a user may write, and nothing more.

Parsing is pure. Names are text here; :mod:`mlsysim.core.resolve` looks them up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from mlsysim.core import yamlfile
from mlsysim.core.errors import InputError, nearest
from mlsysim.core.plan_blocks import (
    CheckpointBlock,
    DataBlock,
    FairnessBlock,
    FidelityBlock,
    NetworkBlock,
    PrivacyBlock,
    QueueBlock,
    ReasoningBlock,
    ReliabilityBlock,
    ServingBlock,
    StreamingBlock,
    TenancyBlock,
    limit_fields,
)
from mlsysim.core.plan_decisions import Parallelism
from mlsysim.core.plan_mix import MixBlock
from mlsysim.core.plan_types import Block, Cap, Name, Quantity, one_line
from mlsysim.core.yamlfile import Document

P = TypeVar("P", bound=BaseModel)


class LoraBlock(Block):
    """Finetuning with low-rank adapters: the model is frozen, its adapters are trained (Hu 2021)."""

    rank: Annotated[int, Field(ge=1, le=65_536)] = Field(32, description="inner size of an adapter")
    targets: tuple[Literal["qkv", "projection", "up", "down"], ...] = Field(
        ("qkv", "projection", "up", "down"),
        description="products of a layer that have an adapter; those of routed experts have none",
        min_length=1,
        strict=False,
    )


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
    training_tokens: Cap | None = Field(None, description="tokens of the whole training run [token]")
    scaling_fit: Literal["besiroglu_2024", "hoffmann_2022"] = Field(
        "besiroglu_2024", description="coefficients of the scaling law"
    )
    dropout: bool = Field(False, description="keep dropout masks")
    lora: LoraBlock | None = Field(None, description="train low-rank adapters in the place of the model")

    @model_validator(mode="after")
    def _batch(self) -> Workload:
        if self.phase == "training" and self.batch_size is None:
            raise ValueError("batch_size is missing: a training plan needs the sequences of a step")
        if self.lora is not None and self.phase != "training":
            raise ValueError("lora is of training; a finished adapter is part of the model's weights")
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


class _Constraints(Block):
    """Limits of the plan, on metrics and on walls."""

    asserts: list[Assertion] = Field(default_factory=list, alias="assert", max_length=100)


Constraints: type[_Constraints] = create_model(
    "Constraints", __base__=_Constraints, __doc__=_Constraints.__doc__, **limit_fields()
)


class Plan(Block):
    """A plan: one workload, one fleet, the operations around it, and limits."""

    model_config = ConfigDict(title="mlsysim plan")

    version: Literal["1.0"] = Field(description="version of the plan format")
    name: Annotated[str, Field(max_length=200), AfterValidator(one_line)] | None = Field(
        None, description="title of the scorecard"
    )
    workload: Workload
    hardware: HardwareBlock
    ops: Ops = Field(default_factory=lambda: Ops.model_validate({}))
    parallelism: Parallelism = Field(default_factory=lambda: Parallelism.model_validate({}))
    constraints: Constraints = Field(  # type: ignore[valid-type]
        default_factory=lambda: Constraints.model_validate({})
    )
    data: DataBlock | None = None
    network: NetworkBlock | None = None
    reliability: ReliabilityBlock | None = None
    checkpoint: CheckpointBlock | None = None
    fidelity: FidelityBlock | None = None
    privacy: PrivacyBlock | None = None
    fairness: FairnessBlock | None = None
    serving: ServingBlock | None = None
    queue: QueueBlock | None = None
    reasoning: ReasoningBlock | None = None
    tenancy: TenancyBlock | None = None
    streaming: StreamingBlock | None = None
    what_if: dict[Name, Quantity] | None = Field(
        None,
        max_length=50,
        description="supplies that are not what they are: capacity: '96 GiB', bandwidth: 1.1x; "
        "the names are in docs/why.md",
    )
    mix: MixBlock | None = None

    @model_validator(mode="after")
    def _layout_of_training(self) -> Plan:
        if self.workload.phase == "inference" and self.parallelism.model_dump(exclude_none=True):
            raise ValueError("parallelism is of training: each accelerator of an inference plan runs alone")
        if self.workload.phase == "training" and self.mix is not None:
            raise ValueError("mix is of inference: set workload.phase: inference")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data, without what was left out."""
        return self.model_dump(by_alias=True, exclude_unset=True)


def load(source: str | Path | dict[str, Any] | Document | Plan) -> tuple[Plan, Document]:
    """Return a plan from a path, a mapping, a document or a plan, and where its keys stand.

    Raises:
        InputError: with the place, the problem and the remedy.
    """
    if isinstance(source, Plan):
        return source, Document(source.to_dict(), "")
    if isinstance(source, dict):
        return validated(Document(source, ""), Plan), Document(source, "")
    if isinstance(source, Document):
        return validated(source, Plan), source
    if not isinstance(source, str | Path):
        raise InputError(f"a plan is a path, a mapping or a Plan, not {type(source).__name__}")
    document = yamlfile.load(yamlfile.read_text(Path(source)), str(source))
    return validated(document, Plan), document


def validated(document: Document, kind: type[P]) -> P:
    """Return a document as a plan of a kind.

    Raises:
        InputError: with the place, the problem and the remedy.
    """
    data = document.data
    if data is None:
        raise InputError(
            "the file is empty",
            where=document.name or "plan",
            hint="a plan has version, workload and hardware; see: mlsysim schema",
        )
    if not isinstance(data, dict):
        raise InputError(
            f"a plan is a mapping of keys to values, not {_KINDS.get(type(data), 'a single value')}",
            where=document.where(()) or "plan",
            hint='start with: version: "1.0"',
        )
    if kind is Plan and "jobs" in data:
        raise InputError(
            "a plan with several jobs has no place here",
            where=document.where(("jobs",)),
            hint="such a plan is for: mlsysim optimize placement, mlsysim eval",
        )
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise _explain(error, document, kind) from error


_KINDS: dict[type, str] = {list: "a list", str: "a text", int: "a number", float: "a number"}
_EXPECTED = {
    "string_type": "should be text",
    "string_too_short": "should not be empty",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "list_type": "should be a list",
    "model_type": "should be a mapping of keys to values",
}
_WORDS = "YAML reads unquoted yes, no, on and off as true or false: put the word in quotes"


def _explain(error: ValidationError, document: Document, plan: type[BaseModel]) -> InputError:
    """Turn Pydantic's first complaint into a sentence for people."""
    complaints = error.errors(include_url=False)
    # an unknown key says more than what is missing because of it
    first = next((c for c in complaints if c["type"] == "extra_forbidden"), complaints[0])
    keys = _path(first, document.data)
    # where a list or a mapping may stand, what is wrong inside it says more than that it is one
    inside = [c for c in complaints if (p := _path(c, document.data))[: len(keys)] == keys and p != keys]
    if first["type"] not in ("extra_forbidden", "missing", "value_error") and inside:
        first = max(inside, key=lambda c: len(_path(c, document.data)))
        keys = _path(first, document.data)
    where = document.where(keys) or "plan"
    kind = first["type"]
    given = first.get("input")
    if kind == "extra_forbidden":
        known = _keys_at(keys[:-1], plan)
        close = nearest(str(keys[-1]), known)
        hint = f"Nearest: {', '.join(close)}." if close else f"Known here: {', '.join(known)}."
        return InputError(f"unknown key {keys[-1]!r}", where=where, hint=hint)
    if kind == "invalid_key":
        keys = first["loc"][:-1]
        hint = _WORDS if isinstance(given, bool) else f"Known here: {', '.join(_keys_at(keys, plan))}."
        return InputError(
            f"the key {_shown(given)} is not text", where=document.where(keys) or "plan", hint=hint
        )
    if kind == "missing":
        return InputError(f"{keys[-1]!r} is missing", where=where, hint="the format is in: mlsysim schema")
    # the members of a union complain one by one about the same place
    here = [c for c in complaints if _path(c, document.data) == keys]
    if kind == "value_error" and isinstance(given, dict):  # of a whole block
        return InputError(_sentence(first["msg"]), where=where, hint="the format is in: mlsysim schema")
    places = {_path(c, document.data) for c in complaints}
    rest = sum(keys[: len(place)] != place for place in places)
    more = f"  ({rest} more after this)" if rest else ""
    return InputError(f"{_shown(given)} is not allowed here", where=where, hint=_remedy(here, given) + more)


def _remedy(complaints: list[Any], given: object) -> str:
    """Return what may stand at a place instead."""
    kinds = {c["type"] for c in complaints}
    if isinstance(given, bool) and kinds & {"string_type", "literal_error"}:
        return _WORDS
    if isinstance(given, str) and kinds & {"int_type", "float_type"} and "string_type" not in kinds:
        try:
            float(given)
        except ValueError:
            pass
        else:
            return "write a plain number: without quotes, and with a dot before an exponent (4096, 1.0e+6)"
    if "string_type" in kinds and not isinstance(given, str | int | float | dict | list | None):
        return "YAML reads this as a date: put it in quotes"
    if "literal_error" in kinds and isinstance(given, float) and f"'{given}'" in complaints[0]["msg"]:
        return f'put it in quotes: "{given}"'
    exact = [c for c in complaints if not c["type"].endswith("_type")]
    if all(c["type"] == "literal_error" for c in exact):  # a range says more than another type
        exact = complaints
    texts = [_EXPECTED.get(c["type"]) or _sentence(c["msg"]) for c in exact]
    return ", or ".join(dict.fromkeys(texts))


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input ")


def _shown(given: object) -> str:
    """Return a value as the user may have written it, cut short."""
    if given is None or isinstance(given, bool):
        return {None: "null", True: "true", False: "false"}[given]
    text = repr(given) if isinstance(given, str | int | float | dict | list) else str(given)
    return text if len(text) < 60 else text[:57] + "..."


def _path(complaint: Any, data: Any) -> tuple[str | int, ...]:
    """Return the keys to the place of a complaint, without Pydantic's names of union members."""
    keys: list[str | int] = []
    loc = complaint["loc"]
    for key in loc:
        inside = (isinstance(data, dict) and key in data) or (
            isinstance(data, list) and isinstance(key, int) and key < len(data)
        )
        if not inside:
            if complaint["type"] == "missing":
                return tuple(loc)
            continue
        keys.append(key)
        data = data[key]
    return tuple(keys)


def _block_in(annotation: Any) -> Any:
    """Return the block that a type is, or that is one of its alternatives."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _block_in(part))), None)


def _keys_at(keys: tuple[str | int, ...], plan: type[BaseModel]) -> list[str]:
    """Return the keys that a plan of a kind may have at a place."""
    block: Any = plan
    for key in keys:
        for name, f in block.model_fields.items():
            if key in (name, f.alias):
                block = _block_in(f.annotation) or block
    return [f.alias or name for name, f in block.model_fields.items()]

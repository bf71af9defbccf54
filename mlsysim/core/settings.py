"""From a parsed plan to settings: names looked up, units stripped, each error with its place."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsysim.core import units
from mlsysim.core.errors import InputError, MlsysimError
from mlsysim.core.metrics import Metric, find
from mlsysim.core.scenario import Bound, Settings
from mlsysim.core.supplies import read as read_what_if
from mlsysim.core.wanted import wanted
from mlsysim.hardware.own import resolve_hardware
from mlsysim.infra.own import resolve_region
from mlsysim.models.own import resolve_model
from mlsysim.physics.lora import Lora
from mlsysim.systems import node
from mlsysim.walls import Limits

BLOCKS = (
    "data",
    "network",
    "reliability",
    "checkpoint",
    "fidelity",
    "privacy",
    "fairness",
    "serving",
    "queue",
    "reasoning",
    "tenancy",
    "streaming",
)

if TYPE_CHECKING:
    from mlsysim.core.plan import Assertion, Plan
    from mlsysim.core.yamlfile import Document


def settings_of(plan: Plan, document: Document) -> Settings:
    """Return a plan's settings with every name looked up.

    Raises:
        InputError: an unknown name, a bad unit, with its place in the file.
    """

    def lookup(key: tuple[str, ...], call: Any, *args: Any) -> Any:
        try:
            return call(*args)
        except MlsysimError as error:
            raise error.at(document.where(key)) from error

    folder = Path(document.name).parent if document.name else Path()
    w, h, o = plan.workload, plan.hardware, plan.ops
    c: Any = plan.constraints  # its fields are made from those of Limits
    hardware = lookup(("hardware", "name"), resolve_hardware, h.name, folder)
    bounds = tuple(_bound(a, i, lookup, document) for i, a in enumerate(c.asserts))
    limits = Limits(
        **{
            f.name: lookup(("constraints", f.name), units.parse, given, f.metadata["unit"])
            for f in fields(Limits)
            if (given := getattr(c, f.name)) is not None
        }
    )
    scales, amounts = lookup(("what_if",), read_what_if, plan.what_if or {})
    blocks = {name: block for name in BLOCKS if (block := getattr(plan, name)) is not None}
    settings = Settings(
        name=plan.name or "",
        model=lookup(("workload", "name"), resolve_model, w.name, folder),
        hardware=hardware,
        phase=w.phase,
        batch=w.batch_size,
        seq_len=w.seq_len,
        precision=w.precision,
        efficiency=None if w.efficiency == "auto" else w.efficiency,
        optimizer=w.optimizer,
        fused_attention=w.attention == "fused",
        dropout=w.dropout,
        lora=None if w.lora is None else Lora(float(w.lora.rank), tuple(dict.fromkeys(w.lora.targets))),
        node=lookup(("hardware", "node"), node, h.node) if h.node else None,
        nodes=h.nodes,
        accelerators=h.accelerators,
        region=lookup(("ops", "region"), resolve_region, o.region, folder) if o.region else None,
        duration=None if o.duration_days is None else o.duration_days * units.factor("day")[0],
        rented=o.ownership == "rent",
        pue=o.pue,
        fixed={k: wanted(v) for k, v in plan.parallelism.model_dump(exclude_none=True).items()},
        bounds=bounds,
        limits=limits,
        tokens=None
        if w.training_tokens is None
        else lookup(("workload", "training_tokens"), units.parse, w.training_tokens, "token"),
        scaling_fit=w.scaling_fit,
        blocks={name: _numbers(name, block, lookup) for name, block in blocks.items()},
        given={name: block.model_dump(exclude_unset=True) for name, block in blocks.items()},
        scales=scales,
        amounts=amounts,
    )
    if w.precision is not None:
        lookup(("workload", "precision"), hardware.rate, w.precision)
    wish = settings.fixed.get("precision")
    for name in (wish.values or ()) if wish else ():
        lookup(("parallelism", "precision"), hardware.rate, name)
    return settings


def _bound(a: Assertion, index: int, lookup: Any, document: Document) -> Bound:
    key = ("constraints", "assert", index)
    metric: Metric = lookup((*key, "metric"), find, a.metric)

    def limit(side: str) -> float | None:
        given = getattr(a, side)
        return None if given is None else lookup((*key, side), units.parse, given, metric.unit)

    low, high = limit("min"), limit("max")
    if low is not None and high is not None and low > high:
        raise InputError("min is above max", where=document.where(key))
    return Bound(metric, low, high, document.where(key))


def _numbers(name: str, block: Any, lookup: Any) -> dict[str, Any]:
    """Return a block as plain values, its quantities in base units."""
    found: dict[str, Any] = {}
    for key, f in type(block).model_fields.items():
        value = getattr(block, key)
        extra = f.json_schema_extra if isinstance(f.json_schema_extra, dict) else {}
        if value is not None and "unit" in extra:
            value = lookup((name, key), units.parse, value, str(extra["unit"]))
        found[key] = value
    return found

"""What a dimension may be: every value of a plan, supplies of the walls, and parameters of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, get_args, get_origin

from mlsysim.core.errors import InputError, unknown
from mlsysim.core.supplies import SUPPLIES
from mlsysim.walls import Limits

SUPPLY = "supplies"
# What people call the values that they vary most; the last key of a path will do where it is the only one.
ALIASES = {
    "model": "workload.name",
    "hardware": "hardware.name",
    "batch": "workload.batch_size",
    "precision": "workload.precision",
    "accelerators": "hardware.accelerators",
    "duration": "ops.duration_days",
    "tokens": "workload.training_tokens",
    "interval": "checkpoint.interval",
    "microbatch": "parallelism.microbatch_size",
    "tp": "parallelism.tp",
    "nodes": "hardware.nodes",
    "region": "ops.region",
    "pue": "ops.pue",
    "seq_len": "workload.seq_len",
    "budget": "constraints.budget",
    "carbon": "constraints.carbon",
    "storage": "data.storage",
}
_UNITS = {
    "ops.duration_days": "day",
    "workload.training_tokens": "token",
    "workload.batch_size": "1",
    "workload.seq_len": "1",
}


_NOT_VARIED = {("version",), ("name",), ("constraints", "assert")}


@dataclass(frozen=True)
class Path:
    """A value of a plan, or a supply.

    Attributes:
        name: the keys to it, joined with dots.
        unit: that a bare number of it has.
    """

    name: str
    unit: str = "1"

    @property
    def is_supply(self) -> bool:
        """Whether it is a supply of a wall, which no plan has a key for."""
        return self.name.startswith(SUPPLY + ".")

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the plan."""
        return tuple(self.name.split("."))


@cache
def paths() -> dict[str, Path]:
    """Return every path by its name."""
    from mlsysim.core.plan import Plan

    found = {p.name: p for p in _below(Plan, ())}
    found |= {f"{SUPPLY}.{s.name}": Path(f"{SUPPLY}.{s.name}", s.unit) for s in SUPPLIES.values()}
    return found


@cache
def _limits() -> dict[str, str]:
    return {f.name: str(f.metadata["unit"]) for f in fields(Limits)}


def _below(block: Any, keys: tuple[str, ...]) -> Iterator[Path]:
    for name, f in block.model_fields.items():
        here = (*keys, f.alias or name)
        if here in _NOT_VARIED or _is_list_of_blocks(f.annotation):
            continue
        inner = None if keys == ("parallelism",) else _block(f.annotation)
        if inner is not None:
            yield from _below(inner, here)
        else:
            extra = f.json_schema_extra if isinstance(f.json_schema_extra, dict) else {}
            dotted = ".".join(here)
            unit = str(extra.get("unit", _UNITS.get(dotted, "1")))
            yield Path(dotted, _limits()[name] if keys == ("constraints",) else unit)


def _block(annotation: Any) -> Any:
    """Return the block that a field holds, or None where it holds a value."""
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((b for part in get_args(annotation) if (b := _block(part)) is not None), None)


def _is_list_of_blocks(annotation: Any) -> bool:
    """Return whether a field holds a list or mapping of blocks, which have no one path."""
    if get_origin(annotation) in (list, tuple, dict):
        return _block(annotation) is not None
    return any(_is_list_of_blocks(part) for part in get_args(annotation))


def find(name: str) -> Path:
    """Return the path that a name means: the whole path, a usual name, or an unmistakable last key.

    Raises:
        InputError: naming those that it may mean.
    """
    known = paths()
    if name in known:
        return known[name]
    if name in ALIASES:
        return known[ALIASES[name]]
    last = [p for p in known.values() if p.keys[-1] == name and not p.is_supply]
    last = last or [p for p in known.values() if p.keys[-1] == name]
    if len(last) == 1:
        return last[0]
    if last:
        raise InputError(
            f"several values of a plan are called {name!r}", hint=f"one of {', '.join(p.name for p in last)}"
        )
    raise unknown("value of a plan", name, [*known, *ALIASES], "mlsysim schema")

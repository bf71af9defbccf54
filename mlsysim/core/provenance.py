"""Where each number comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlsysim.core import units
from mlsysim.core.errors import RegistryError, UnitError

KINDS = ("datasheet", "paper", "measured", "derived", "estimate")
LARGEST = 1e30
ANGLE = "deg"  # the only quantity that may be negative: west and south
_KEYS = frozenset({"value", "unit", "source", "kind", "as_of", "inputs", "why", "note", "method"})


@dataclass(frozen=True, slots=True, repr=False)
class Value:
    """A number of the registry with its unit and its source.

    Attributes:
        base: the number in the engine's base units.
        value, unit: the number as the source states it.
        source: id of the record in ``registry/sources.yaml``.
        kind: one of :data:`KINDS`.
        as_of: the year or date for which it is stated.
    """

    base: float
    value: float
    unit: str
    source: str
    kind: str
    as_of: str
    inputs: tuple[str, ...] = ()
    why: str = ""
    note: str = ""
    method: str = ""

    @property
    def quantity(self) -> Any:
        """The number as a Pint quantity in the unit of its source."""
        return units.quantity(self.base, self.unit)

    def __float__(self) -> float:
        return self.base

    def __repr__(self) -> str:
        unit = "" if self.unit == "1" else f" {self.unit}"
        return f"{self.value:g}{unit} ({self.kind}: {self.source})"

    @classmethod
    def parse(cls, record: object, like: str, where: str) -> Value:
        """Read one value mapping and check its unit against ``like``.

        Raises:
            RegistryError: naming the file and field.
        """
        if not isinstance(record, dict):
            raise RegistryError(
                "a value must be a mapping with value, unit, source, kind and as_of", where=where
            )
        extra = set(record) - _KEYS
        if extra:
            raise RegistryError(f"unknown key {sorted(map(str, extra))[0]!r}", where=where)
        absent = [k for k in ("value", "unit", "source", "kind", "as_of") if record.get(k) in (None, "")]
        if absent:
            raise RegistryError(
                f"{absent[0]!r} is missing",
                where=where,
                hint="every number has value, unit, source, kind and as_of",
            )
        number = record["value"]
        inputs = record.get("inputs") or ()
        if not isinstance(inputs, list | tuple):
            raise RegistryError("inputs must be a list", where=where)
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise RegistryError(f"value {number!r} is not a number", where=where)
        least = -LARGEST if like == ANGLE else 0.0
        if not least <= number < LARGEST:  # also refuses NaN
            raise RegistryError(f"value {str(number)[:40]} is out of any physical range", where=where)
        if record["kind"] not in KINDS:
            raise RegistryError(f"kind {record['kind']!r} is not one of {', '.join(KINDS)}", where=where)
        if record["kind"] == "derived" and not inputs:
            raise RegistryError("a derived value must name its inputs", where=where)
        if record["kind"] == "estimate" and not record.get("why"):
            raise RegistryError("an estimate must say why", where=where)
        try:
            base = units.to_base(float(number), str(record["unit"]), like)
        except UnitError as error:
            raise RegistryError(error.problem, where=where, hint=error.hint) from error
        return cls(
            base,
            float(number),
            str(record["unit"]),
            str(record["source"]),
            record["kind"],
            str(record["as_of"]),
            tuple(map(str, inputs)),
            str(record.get("why") or ""),
            str(record.get("note") or ""),
            str(record.get("method") or ""),
        )

"""A dimension of a design space: a list of values, or a range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mlsysim.core import units
from mlsysim.core.errors import InputError
from mlsysim.space import paths

MOST_VALUES = 1_000_000
_KEYS = ("values", "min", "max", "points", "log", "whole", "unit")
# Values of a plan that are whole numbers, so that a range of them is one of whole numbers.
_WHOLE = {
    "workload.batch_size",
    "workload.seq_len",
    "hardware.nodes",
    "hardware.accelerators",
    "serving.requests",
}


@dataclass(frozen=True)
class Dimension:
    """A dimension.

    Attributes:
        name: its full name, which is that of its column.
        path: the value of the plan or the supply; None for a parameter that only expressions use.
        unit: of its numbers.
        values: to choose from; None for a range.
        low, high: the ends of a range.
        points: of a range on a grid; None where it can only be sampled.
        log: whether a range is spaced by factors rather than differences.
        whole: whether a range is of whole numbers.
    """

    name: str
    path: paths.Path | None
    unit: str
    values: tuple[Any, ...] | None = None
    low: float = 0.0
    high: float = 0.0
    points: int | None = None
    log: bool = False
    whole: bool = False

    @cached_property
    def listed(self) -> tuple[Any, ...] | None:
        """The values of a grid; None for a range without a number of points."""
        if self.values is not None:
            return self.values
        if self.points is None:
            return None
        spaced = np.geomspace if self.log else np.linspace
        found = spaced(self.low, self.high, self.points)
        numbers = np.unique(np.rint(found)).astype(int) if self.whole else found
        return tuple(x.item() for x in numbers)

    @cached_property
    def is_text(self) -> bool:
        """Whether the values are words; numbers with a unit are numbers."""
        return self.values is not None and self.numbers is None

    @cached_property
    def numbers(self) -> np.ndarray | None:
        """The listed values as numbers in :attr:`unit`; None if any is a word."""
        if self.listed is None:
            return None
        found: list[float | int] = []
        for value in self.listed:
            if isinstance(value, bool | int | float):
                found.append(value)
                continue
            try:
                found.append(units.from_base(units.parse(value, self.unit), self.unit))
            except InputError:
                return None
        return np.array(found)

    def at(self, share: np.ndarray) -> np.ndarray:
        """Return values at places in [0, 1): indices into :attr:`listed`, or numbers of a range."""
        if self.values is not None:
            return np.minimum((share * len(self.values)).astype(np.int64), len(self.values) - 1)
        low, high = (self.low, self.high + 1.0) if self.whole else (self.low, self.high)
        found = low * (high / low) ** share if self.log else low + (high - low) * share
        if self.whole:
            return np.minimum(np.floor(found), self.high).astype(np.int64)
        return np.asarray(np.clip(found, self.low, self.high))

    def to_dict(self) -> dict[str, Any]:
        """Return the dimension as a campaign file has it."""
        if self.values is not None:
            found: dict[str, Any] = {"values": list(self.values)}
        else:
            found = {"min": self.low, "max": self.high, "log": self.log, "whole": self.whole}
            if self.points is not None:
                found["points"] = self.points
        return found | ({"unit": self.unit} if self.path is None else {})


def plan_dimension(name: str, given: Any) -> Dimension:
    """Return a dimension over a value of a plan or a supply.

    Args:
        name: a path such as ``hardware.nodes``, ``supplies.electricity_price``, or a usual name.
        given: a list of values, one value, or a mapping with ``min`` and ``max`` (and ``points`` for a
            grid, ``log``, ``whole``).

    Raises:
        InputError: no such value, or no such range.
    """
    try:
        path = paths.find(name)
    except InputError as error:
        error.at(f"dimensions.{name}")
        raise
    found = _dimension(f"dimensions.{name}", path.name, path, path.unit, given)
    if path.unit != "1":  # a quantity: every text is a number with a unit
        for value in found.values or ():
            _number(f"dimensions.{name}", value, path.unit)
    return found


def parameter(name: str, given: Any) -> Dimension:
    """Return a dimension that expressions use by its own name, such as a carbon tax.

    Raises:
        InputError: the name or the range cannot be.
    """
    where = f"parameters.{name}"
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
        raise InputError(f"{name!r} is no name", where=where, hint="letters, digits and _, e.g. tax")
    unit = given.get("unit", "1") if isinstance(given, Mapping) else "1"
    try:
        units.factor(unit if isinstance(unit, str) else "?")
    except InputError as error:
        error.at(f"{where}.unit")
        raise
    found = _dimension(where, name, None, unit, given)
    if found.is_text:
        raise InputError("a parameter is a number", where=where, hint=f"write numbers in {unit}")
    return found


def _dimension(where: str, name: str, path: paths.Path | None, unit: str, given: Any) -> Dimension:
    if isinstance(given, Dimension):
        given = given.to_dict()
    if not isinstance(given, Mapping):
        given = {"values": given}
    if extra := [k for k in given if k not in _KEYS]:
        raise InputError(f"unknown key {extra[0]!r}", where=where, hint=f"Known here: {', '.join(_KEYS)}.")
    if "values" in given:
        return Dimension(name, path, unit, values=_values(where, given["values"], name in _WHOLE))
    low, high = (_number(f"{where}.{k}", given.get(k), unit) for k in ("min", "max"))
    log, whole = given.get("log", False), given.get("whole", name in _WHOLE)
    points = given.get("points")
    if not isinstance(log, bool) or not isinstance(whole, bool):
        raise InputError("log and whole are true or false", where=where)
    if not low < high or (log and not low > 0):
        raise InputError(
            f"no range from {low:g} to {high:g}",
            where=where,
            hint="min is below max" + (", and above 0 where log is true" if log else ""),
        )
    if points is not None and (
        isinstance(points, bool) or not isinstance(points, int) or not 2 <= points <= MOST_VALUES
    ):
        raise InputError(f"{points!r} points", where=f"{where}.points", hint=f"from 2 to {MOST_VALUES:,}")
    if whole and (low != int(low) or high != int(high)):
        raise InputError(f"{low:g} to {high:g} are no whole numbers", where=where, hint="or whole: false")
    return Dimension(name, path, unit, None, low, high, points, log, whole)


def _values(where: str, given: Any, whole: bool) -> tuple[Any, ...]:
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if isinstance(given, str | bytes) or not isinstance(given, Sequence | range):
        given = [given]
    if not given:
        raise InputError("no values", where=where, hint="give a list, or {min: ..., max: ...}")
    if len(given) > MOST_VALUES:
        raise InputError(f"{len(given):,} values", where=where, hint=f"at most {MOST_VALUES:,}")
    found = []
    for raw in given:
        value = raw.item() if isinstance(raw, np.generic) else raw
        if not isinstance(value, str | int | float) or value != value:
            raise InputError(f"{value!r} is no value", where=where, hint="a number, a name, true or false")
        found.append(int(value) if whole and isinstance(value, float) and value == int(value) else value)
    if len(set(map(repr, found))) < len(found):
        raise InputError("a value stands twice", where=where, hint="keep one of them")
    return tuple(found)


def _number(where: str, value: Any, unit: str) -> float:
    if value is None:
        raise InputError("a range has min and max", where=where, hint="or give a list of values")
    try:
        return units.from_base(units.parse(value, unit), unit)
    except InputError as error:
        error.at(where)
        raise

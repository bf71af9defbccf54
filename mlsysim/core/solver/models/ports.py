"""The names that go into and come out of the models: one meaning and one unit for each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlsysim.core import units
from mlsysim.core.errors import InputError, unknown
from mlsysim.core.records import Entry


@dataclass(frozen=True)
class Port:
    """A named thing that a model takes or gives.

    Attributes:
        name: of the keyword argument, and of the value in a result.
        unit: of a bare number, and in which results are shown; None for a name, a word or a flag.
        text: what it is.
        key: where it stands in a plan; empty for what a plan does not say.
        whole: only whole numbers are allowed.
        zero: zero is allowed too.
        most: the largest number that is allowed, in ``unit``.
        below: that number itself is not allowed.
    """

    name: str
    unit: str | None
    text: str
    key: tuple[str, ...] = ()
    whole: bool = False
    zero: bool = False
    most: float = math.inf
    below: bool = False

    @property
    def dimension(self) -> str | None:
        """The dimension of the unit; None for what is no number."""
        return None if self.unit is None else units.factor(self.unit)[1]

    def base(self, value: Any) -> float:
        """Return a given number in base units.

        Args:
            value: a number in the port's unit, text such as ``"5 GB/s"``, or a Pint quantity.

        Raises:
            InputError: it is no number, out of range, or has another dimension.
        """
        unit = self.unit or "1"
        found = _from_pint(value, unit) if hasattr(value, "dimensionality") else units.parse(value, unit)
        number = units.from_base(found, unit)
        fits = 0.0 < number < self.most or (number == 0.0 and self.zero)
        if not fits and (number != self.most or self.below or not math.isfinite(number)):
            raise InputError(f"{_shown(value)} is not allowed here", hint=self._range())
        if self.whole and abs(number - round(number)) > 1e-9 * number:
            raise InputError(f"{_shown(value)} is not allowed here", hint="give a whole number")
        return found

    def in_plan(self, value: Any) -> Any:
        """Return a given value as a plan has it: a name, or a number in the port's unit."""
        if self.unit is None:
            return value.reference if isinstance(value, Entry) else value
        number = units.from_base(self.base(value), self.unit)
        if isinstance(value, int | float):
            number = value
        return round(number) if self.whole else number

    def _range(self) -> str:
        unit = "" if self.unit in (None, "1") else f" in {self.unit}"
        low = "at least 0" if self.zero else "above 0"
        high = "" if math.isinf(self.most) else f" and {'below' if self.below else 'at most'} {self.most:g}"
        return f"give a finite number{unit}, {low}{high}"


def _from_pint(value: Any, unit: str) -> float:
    """Return a Pint quantity of any registry in base units, by the names of its units."""
    if value.dimensionless:
        return units.to_base(float(value.m_as("")), "1", unit)
    return units.to_base(float(value.magnitude), f"{value.units:D}", unit)


def _shown(value: Any) -> str:
    return str(value) if hasattr(value, "dimensionality") else repr(value)


def _read(text: str) -> dict[str, Port]:
    """Read ``ports.txt``; its head says the format."""
    found: dict[str, Port] = {}
    block = ""
    for line in text.splitlines():
        if line.startswith("["):
            block = line.strip("[]")
        elif line and not line.startswith("#"):
            head, what, meaning = (part.strip() for part in line.split("|"))
            name, _, key = head.partition("=")
            unit, *marks = what.split()
            found[name] = Port(
                name,
                None if unit == "-" else unit,
                meaning,
                (block, *(key or name).split(".")) if block else (),
                whole="n" in marks,
                zero="0" in marks,
                most=1.0 if {"<1", "<=1"} & set(marks) else math.inf,
                below="<1" in marks,
            )
    return found


PORTS = _read(Path(__file__).with_name("ports.txt").read_text(encoding="utf-8"))


def find(name: str) -> Port:
    """Return the port of that name.

    Raises:
        UnknownNameError: naming the nearest ports.
    """
    if name not in PORTS:
        raise unknown("input or result", name, PORTS)
    return PORTS[name]

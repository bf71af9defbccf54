"""Units at the border.

Quantities with units exist in plans, in the registry and in results. Inside the engine there
are only floats and arrays in the base units of ``units.txt`` (s, byte, FLOP, J, W, USD, kgCO2e,
L, ...). This module is the only place that converts between the two.
"""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsysim.core.errors import UnitError

if TYPE_CHECKING:
    import pint

DEFINITIONS = Path(__file__).with_name("units.txt")
FACTORS = Path(__file__).with_name("unit_factors.json")
# A number as Python writes it: single underscores between digits, an exponent, NaN and infinity too.
_NUMBER = re.compile(
    r"\s*([-+]?(?:(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|nan|inf(?:inity)?))(?![\d_])\s*",
    re.IGNORECASE,
)
LARGEST = 1e60
_UNIT_HINT = "units are written like 'GB', 'TB/s', 'ms', 'USD/h', 'gCO2e/kWh'"
# Names, small powers, products and quotients: what a unit is, and nothing that Pint could evaluate.
_NAME = r"(?:1|[A-Za-zµ][A-Za-z0-9_]{0,30}(?:(?:\*\*|\^)-?[1-9])?)"
_UNIT = re.compile(rf"(?:{_NAME}(?:\s*[*/·]\s*|\s+)){{0,6}}{_NAME}|")


@cache
def ureg() -> pint.UnitRegistry[Any]:
    """Return the one Pint registry of the process, built on first use."""
    import pint

    registry: pint.UnitRegistry[Any] = pint.UnitRegistry(DEFINITIONS, autoconvert_offset_to_baseunit=False)
    registry.formatter.default_format = "~"
    return registry


@cache
def _known() -> dict[str, list[Any]]:
    """Return Pint's answers for the units of the registry and of results, worked out beforehand.

    Reading them costs a thousandth of building Pint's registry, which a run that only shows
    numbers never needs. ``python -m mlsysim.core.unit_table`` writes the file; a test keeps it fresh.
    """
    import json

    table: dict[str, list[Any]] = json.loads(FACTORS.read_text(encoding="utf-8"))
    return table


@cache
def factor(unit: str) -> tuple[float, str]:
    """Return (how many base units one ``unit`` is, its dimension as text).

    The unit ``"1"`` and the empty string are dimensionless.

    Raises:
        UnitError: the unit is not in ``units.txt``.
    """
    if unit in _known():
        scale, dimension = _known()[unit]
        return float(scale), str(dimension)
    return computed_factor(unit)


def computed_factor(unit: str) -> tuple[float, str]:
    """Return what :func:`factor` returns, from Pint."""
    import pint

    if not _UNIT.fullmatch(unit):
        raise UnitError(f"cannot read the unit {unit!r}", hint=_UNIT_HINT)
    try:
        base = ureg().Quantity(1.0, "" if unit == "1" else unit).to_base_units()
    except pint.errors.PintError as error:
        raise UnitError(f"unknown unit {unit!r}", hint=_UNIT_HINT) from error
    return float(base.magnitude), str(base.dimensionality)


def to_base(value: float, unit: str, like: str) -> float:
    """Convert ``value`` in ``unit`` to base units, checking that it has the dimension of ``like``.

    Raises:
        UnitError: the dimensions differ, or a unit is unknown.
    """
    scale, dimension = factor(unit)
    if dimension != factor(like)[1]:
        raise UnitError(
            f"{value:g} {unit} is not a quantity in {like or '1'}",
            hint=f"write it in {like}" if like not in ("", "1") else "write a number",
        )
    return value * scale


def from_base(value: float, unit: str) -> float:
    """Return ``value``, given in base units, in ``unit``."""
    return value / factor(unit)[0]


def parse(text: object, default_unit: str) -> float:
    """Return a user's number in base units.

    A bare number has ``default_unit``; text such as ``"50 s"`` is taken as written and must have
    the dimension of ``default_unit``.

    Raises:
        UnitError: not a number, not finite, or of another dimension.
    """
    if isinstance(text, bool) or not isinstance(text, int | float | str):
        raise UnitError(f"{text!r} is not a quantity", hint=f"write a number or e.g. '5 {default_unit}'")
    number, unit = _split(text, default_unit) if isinstance(text, str) else (text, default_unit)
    if not abs(number) < LARGEST:  # also refuses NaN
        raise UnitError(f"{str(text)[:40]} is not a finite number of any use")
    base = to_base(float(number), unit, default_unit)
    if not math.isfinite(base):
        raise UnitError(f"{str(text)[:40]} is not a finite number of any use")
    return base


def _split(text: str, default_unit: str) -> tuple[float, str]:
    """Split ``"3.35 TB/s"`` into its number and its unit."""
    found = _NUMBER.match(text)
    if found is None or re.match(r"[-+.\d](?!/)", text[found.end() :]):  # a second number, not a unit
        raise UnitError(
            f"{text!r} does not start with a number", hint=f"write a number or e.g. '5 {default_unit}'"
        )
    return float(found[1].replace("_", "")), text[found.end() :].strip() or default_unit


def quantity(value: float, unit: str) -> Any:
    """Return ``value`` (in base units) as a Pint quantity in ``unit``."""
    return ureg().Quantity(from_base(value, unit), "" if unit == "1" else unit)

"""Dimensions of quantities as powers, for the check that an expression mixes none."""

from __future__ import annotations

import re

Powers = tuple[tuple[str, float], ...]


def powers_of(dimension: str) -> Powers:
    """Return a dimension as Pint writes it, ``[currency] / [time] ** 2``, as sorted powers."""
    found: dict[str, float] = {}
    turned = 1.0
    for sign, name, power in re.findall(r"([*/]?)\s*\[(\w+)\](?:\s*\*\*\s*(-?[0-9.]+))?", dimension):
        if sign:
            turned = -1.0 if sign == "/" else 1.0
        found[name] = found.get(name, 0.0) + turned * float(power or 1.0)
    return tuple(sorted((n, p) for n, p in found.items() if p))


# The base unit of each dimension, as units.txt has them.
_BASE = {
    "time": "s",
    "information": "byte",
    "compute": "FLOP",
    "energy": "J",
    "currency": "USD",
    "co2e": "kgCO2e",
    "volume": "L",
    "length": "m",
    "parameter": "param",
}


def written(powers: Powers) -> str:
    """Return a dimension as a unit: ``USD*s/kgCO2e``."""
    up = [_raised(n, p) for n, p in powers if p > 0]
    down = [_raised(n, -p) for n, p in powers if p < 0]
    return "*".join(up or ["1"]) + "".join(f"/{x}" for x in down) if powers else "1"


def _raised(name: str, power: float) -> str:
    base = _BASE.get(name, name)
    return base if power == 1.0 else f"{base}**{power:g}"

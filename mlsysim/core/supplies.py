"""The numbers of a plan that somebody could buy more of, and plans in which they differ.

A plan's ``what_if`` block, and every question of what another amount would change, go through here:
:func:`mlsysim.core.resolve.resolve` multiplies the supplies when it fills in a scenario, so that all
that follows from them (bisection, checkpoints, fleets of another size) follows.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlsysim.core import units
from mlsysim.core.errors import InputError, MlsysimError, nearest, unknown
from mlsysim.hardware import BYTES

if TYPE_CHECKING:
    from collections.abc import Collection

    from mlsysim.core.scenario import Scenario, Settings
    from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Supply:
    """A number of a scenario that somebody could buy more of.

    Attributes:
        name: its key.
        path: the fields that lead to it.
        unit: in which people read it.
        wall: that it belongs to.
        title: what it is called in a sentence.
        dear: whether less of it is better: a price, a latency, an intensity.
    """

    name: str
    path: tuple[str, ...]
    unit: str
    wall: int
    title: str = ""
    dear: bool = False

    def of(self, s: Scenario) -> float | None:
        """Return the scenario's supply in base units; None where it has none, or no bound."""
        value = self.read(s)
        return float(value) if value and math.isfinite(value) else None

    def read(self, s: Scenario) -> Any:
        """Return what the scenario has there: also 0 where it is not known, and infinity for no bound."""
        value: Any = s
        for field in self.path:
            value = value.get(field) if isinstance(value, dict) else getattr(value, field, None)
        return value


@dataclass(frozen=True)
class PeakOf(Supply):
    """The peak rate in one precision: that of the run, or that of what the run does in 16 bits."""

    precision: str = ""

    def read(self, s: Scenario) -> Any:
        """Return the rate where the plan runs anything in this precision, or may; None elsewhere."""
        field = self.field(s)
        if field is not None:
            return getattr(s.chip, field)
        wish = s.settings.fixed.get("precision")
        allowed = wish is not None and self.precision in (wish.values or ())
        return s.hardware.rate(self.precision).base if allowed else None

    def field(self, s: Scenario) -> str | None:
        """Return which rate of the scenario's chip is in this precision."""
        if s.precision == self.precision:
            return "peak"
        return "wide_peak" if s.chip.wide_peak and self.precision == s.hardware.wide_precision else None


SUPPLIES: dict[str, Supply] = {
    s.name: s
    for s in (
        Supply("peak", ("chip", "peak"), "TFLOP/s", 1, "peak rate"),
        Supply("bandwidth", ("chip", "bandwidth"), "TB/s", 2, "memory bandwidth"),
        Supply("capacity", ("capacity",), "GiB", 2, "memory of an accelerator"),
        Supply("launch_overhead", ("chip", "launch"), "us", 3, "launch overhead", dear=True),
        Supply("host", ("chip", "host"), "us", 3, "host time of an operator", dear=True),
        Supply("scale_up_bandwidth", ("network", "up", "bandwidth"), "GB/s", 14, "link bandwidth"),
        Supply("scale_up_latency", ("network", "up", "latency"), "us", 14, "link latency", dear=True),
        Supply(
            "scale_up_bulk_latency", ("network", "up", "bulk_latency"), "us", 14, "link hop, bulk", dear=True
        ),
        Supply("scale_up_start", ("network", "up", "start"), "us", 14, "link start", dear=True),
        Supply("scale_out_bandwidth", ("network", "out", "bandwidth"), "GB/s", 14, "fabric bandwidth"),
        Supply("scale_out_latency", ("network", "out", "latency"), "us", 14, "fabric latency", dear=True),
        Supply(
            "scale_out_bulk_latency",
            ("network", "out", "bulk_latency"),
            "us",
            14,
            "fabric hop, bulk",
            dear=True,
        ),
        Supply("scale_out_start", ("network", "out", "start"), "us", 14, "fabric start", dear=True),
        Supply("power", ("fleet", "power"), "W", 18, "power of an accelerator", dear=True),
        Supply("purchase_price", ("fleet", "price"), "USD", 17, "price of an accelerator", dear=True),
        Supply("rent", ("fleet", "rent"), "USD/h", 17, "rent", dear=True),
        Supply("upkeep", ("fleet", "upkeep"), "1/year", 17, "upkeep", dear=True),
        Supply("lifetime", ("fleet", "lifetime"), "year", 17, "lifetime of an accelerator"),
        Supply("embodied_carbon", ("fleet", "embodied"), "kgCO2e", 18, "embodied carbon", dear=True),
        Supply("electricity_price", ("site", "price"), "USD/kWh", 17, "price of electricity", dear=True),
        Supply(
            "carbon_intensity", ("site", "carbon_intensity"), "gCO2e/kWh", 18, "carbon intensity", dear=True
        ),
        Supply("pue", ("site", "pue"), "1", 18, "PUE", dear=True),
        Supply("wue", ("site", "wue"), "L/kWh", 18, "WUE", dear=True),
        Supply("grid_water", ("site", "grid_water"), "L/kWh", 18, "water of the grid", dear=True),
    )
}
# Supplies of a run that its failures and checkpoints are made of.
OF_RUN: dict[str, Supply] = {
    s.name: s
    for s in (
        Supply("mtbf", ("extras", "losses", "mtbf"), "h", 15, "time between failures of the fleet"),
        Supply("storage_bandwidth", ("extras", "ingest", "bandwidth"), "GB/s", 8, "storage reads"),
        Supply("checkpoint_bandwidth", ("extras", "checkpoint", "bandwidth"), "GB/s", 19, "storage writes"),
    )
}
PEAKS: dict[str, Supply] = {
    f"peak_{p}": PeakOf(f"peak_{p}", (), "TFLOP/s", 1, f"peak rate in {p}", precision=p) for p in BYTES
}
# What large kernels reach, and all that a user's efficiency stands for: shares of a peak.
EFFICIENCY = Supply("efficiency", ("chip", "share"), "1", 3, "efficiency of matrix work")
_SHARES = ("share", "wide_share", "attention")
_ALL: dict[str, Supply] = {**SUPPLIES, **OF_RUN, **PEAKS, EFFICIENCY.name: EFFICIENCY}
NAMES = tuple(_ALL)


def find(name: str) -> Supply:
    """Return a supply by name.

    Raises:
        UnknownNameError: naming the nearest.
    """
    found = _ALL.get(name)
    if found is None:
        raise unknown("supply", name, NAMES)
    return found


def changed(settings: Settings, name: str, there: Array) -> Any:
    """Return a supply as a plan's ``what_if`` has it, given what is there, in base units."""
    given = settings.amounts.get(name)
    return (there if given is None else given) * settings.scales.get(name, 1.0)


def what_if(s: Scenario, factors: dict[str, float]) -> Scenario:
    """Return the scenario with some supplies multiplied, and all that follows from them."""
    from mlsysim.core.resolve import resolve

    scales = dict(s.settings.scales)
    for name, factor in factors.items():
        scales[find(name).name] = scales.get(name, 1.0) * factor
    return resolve(replace(s.settings, scales=scales))


def given(settings: Settings, amounts: dict[str, Any]) -> Settings:
    """Return settings in which some supplies are so much, in base units, whatever ``what_if`` says."""
    scales = {name: f for name, f in settings.scales.items() if name not in amounts}
    return replace(settings, amounts=settings.amounts | amounts, scales=scales)


def apply(s: Scenario, only: Collection[str] | None = None) -> Scenario:
    """Return a scenario whose machine and site are as its settings' ``what_if`` has them.

    Args:
        s: a scenario as the registry has it.
        only: names of the supplies to look at; all if absent.
    """
    t = s.settings
    for name in dict.fromkeys([*t.amounts, *t.scales]):
        if only is not None and name not in only:
            continue
        supply = find(name)
        if name == EFFICIENCY.name:
            s = replace(s, chip=_efficient(s, t))
        elif isinstance(supply, PeakOf):
            if (field := supply.field(s)) is not None:
                s = put(s, ("chip", field), changed(t, name, supply.read(s)))
        elif name in SUPPLIES and (there := supply.read(s)) is not None:
            s = put(s, supply.path, changed(t, name, there))
    return s


def check(s: Scenario, where: Any = str) -> None:
    """Refuse a ``what_if`` of supplies that a plan has none of, rather than ignore it.

    Args:
        s: the scenario with its ``what_if``.
        where: the place of a name in the plan.

    Raises:
        InputError: naming the nearest that the plan has.
    """
    from mlsysim.core.resolve import resolve

    t = s.settings
    if not (t.amounts or t.scales):
        return
    bare = resolve(replace(t, amounts={}, scales={}))
    for name in dict.fromkeys([*t.amounts, *t.scales]):
        supply = find(name)
        there = supply.read(bare)
        # what is not known is counted as 0: an amount of it can be said, a multiple of it cannot
        usable = there is not None and math.isfinite(there) and (name in t.amounts or there > 0.0)
        if name == "rent" and not t.rented:
            usable = False
        if usable:
            continue
        have = [n for n in NAMES if n != name and find(n).of(bare) is not None]
        close = nearest(name, have)
        reason = _ABSENT.get(name, "")
        if there and math.isinf(there) and name.startswith("scale"):
            reason = "one accelerator alone has no network"
        if isinstance(supply, PeakOf):
            reason = f"it runs in {bare.precision}"
        hint = f"{reason}; " if reason else ""
        hint += f"nearest that there is: {', '.join(close)}" if close else f"there is: {', '.join(have)}"
        raise InputError(f"this plan has no {name} ({supply.title}) to change", where=where(name), hint=hint)


_ABSENT = {
    "rent": "it owns its accelerators (ops.ownership: rent)",
    "storage_bandwidth": "it says nothing of its data (the data block)",
    "checkpoint_bandwidth": "only training writes checkpoints",
    "mtbf": "only training is stopped by failures",
}


def _efficient(s: Scenario, t: Settings) -> Any:
    """Return the chip with its shares of the peak multiplied; none above the whole of it."""
    factor = changed(t, EFFICIENCY.name, s.chip.share) / s.chip.share
    shares = {name: min(1.0, getattr(s.chip, name) * factor) for name in _SHARES}
    return replace(s.chip, **shares)


def put(owner: Any, path: tuple[str, ...], value: Array) -> Any:
    """Return a scenario, or a part of it, with another value at the end of a path of fields."""
    inner = value if len(path) == 1 else put(getattr(owner, path[0]), path[1:], value)
    return replace(owner, **{path[0]: inner})


def read(given: dict[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the factors and the amounts (base units) of a plan's ``what_if`` block.

    A number is in the supply's own unit, ``"90 GiB"`` is taken as written, ``"1.1x"`` is a factor.

    Raises:
        InputError: no such supply, or not an amount of it.
    """
    factors: dict[str, float] = {}
    amounts: dict[str, float] = {}
    for name, value in given.items():
        try:
            supply = find(name)
            times = _TIMES.fullmatch(value) if isinstance(value, str) else None
            number = float(times[1]) if times else units.parse(value, supply.unit)
            if not 0.0 < number < units.LARGEST:
                raise InputError(f"{value!r} is not allowed here", hint="give an amount above 0, or 1.1x")
        except MlsysimError as error:
            raise error.at(f"what_if.{name}") from error
        (factors if times else amounts)[name] = number
    return factors, amounts


_TIMES = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+)\s*x\s*")


def written(settings: Settings) -> dict[str, Any]:
    """Return the ``what_if`` block of settings, as a plan has it; arrays over points have no place in one."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys([*settings.amounts, *settings.scales]):
        factor = settings.scales.get(name, 1.0)
        if not isinstance(settings.amounts.get(name, 0.0), int | float):
            continue  # an array over points
        if name in settings.amounts:
            unit = find(name).unit
            amount = units.from_base(settings.amounts[name] * factor, unit)
            found[name] = amount if unit == "1" else f"{amount:.15g} {unit}"
        elif factor != 1.0:
            found[name] = f"{factor:.15g}x"
    return found

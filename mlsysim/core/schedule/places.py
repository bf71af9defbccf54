"""Regions of a plan as tables over slots: what a watt costs and emits, and what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlsysim.core import units
from mlsysim.core.errors import unknown
from mlsysim.core.fleet_plan import FleetPlan
from mlsysim.core.fleet_plan_blocks import ProfileBlock, RegionBlock
from mlsysim.core.machine import site_of
from mlsysim.core.schedule.clock import HOUR, Clock, uncovered
from mlsysim.core.schedule.reading import Reader
from mlsysim.core.schedule.types import Floats, Places
from mlsysim.infra import Region
from mlsysim.infra.own import resolve_region
from mlsysim.infra.profiles import Profile, from_csv, synthetic
from mlsysim.physics.operations import Bill, Fleet, Site, bill

# one watt of IT load, and nothing that has to be bought
WATT = Fleet(units=1.0, power=1.0, price=0.0, rent=0.0, embodied=0.0, lifetime=1.0, upkeep=0.0)


@dataclass(frozen=True, eq=False)
class Located:
    """A region of the plan: its block and its entry."""

    block: RegionBlock
    entry: Region

    @property
    def name(self) -> str:
        """What results call it."""
        return self.entry.name


def located(plan: FleetPlan, read: Reader) -> tuple[Located, ...]:
    """Return the plan's regions, looked up.

    Raises:
        InputError: an unknown region, or one that stands twice.
    """
    found: dict[str, Located] = {}
    for i, block in enumerate(plan.regions):
        entry = read.at(("regions", i, "name"), resolve_region, block.name, read.folder)
        if entry.name in found:
            raise read.wrong(("regions", i, "name"), f"{entry.name} stands twice", "keep one of them")
        found[entry.name] = Located(block, entry)
    return tuple(found.values())


def index_of(name: str, regions: tuple[Located, ...]) -> int:
    """Return which of the plan's regions a name means.

    Raises:
        UnknownNameError: none of them.
    """
    for i, r in enumerate(regions):
        if name in (r.name, r.block.name, r.entry.reference):
            return i
    raise unknown("region in this plan", name, [r.name for r in regions])


def places_of(
    plan: FleetPlan, regions: tuple[Located, ...], hardware: tuple[str, ...], clock: Clock, read: Reader
) -> Places:
    """Return the regions in numbers.

    Args:
        plan: the plan.
        regions: its regions, see :func:`located`.
        hardware: names of the types of accelerators that its jobs may run on.
        clock: its slots.
        read: for names and places.
    """
    hours = round(clock.slots * clock.step / HOUR)
    profiles = [_profile(i, r, clock, hours, read) for i, r in enumerate(regions)]
    sites = [
        site_of(r.entry, r.block.pue if r.block.pue is not None else plan.ops.pue, read.take) for r in regions
    ]

    def column(name: str) -> Floats:
        return np.array([[getattr(s, name)] for s in sites], dtype=np.float64)

    site = Site(
        price=np.array([p.price for p in profiles]),
        carbon_intensity=np.array([p.carbon_intensity for p in profiles]),
        pue=column("pue"),
        wue=column("wue"),
        grid_water=column("grid_water"),
    )
    taken: Bill = bill(WATT, site, HOUR, plan.ops.ownership == "rent")
    shape = (len(regions), hours)

    def slots(table: Any) -> Floats:
        whole = np.broadcast_to(np.asarray(table, dtype=np.float64), shape)
        return np.ascontiguousarray(whole.reshape(len(regions), clock.slots, -1).sum(axis=2))

    closed = np.array([_closed(i, r.block, clock, read) for i, r in enumerate(regions)])
    power = [_or_without_limit(read.number(("regions", i, "power"), r.block)) for i, r in enumerate(regions)]
    capacity = np.array([_capacity(i, r, hardware, read) for i, r in enumerate(regions)]).T
    caps = dict(enumerate(_carbon_caps(plan, regions, read)))
    return Places(
        names=tuple(r.name for r in regions),
        hardware=hardware,
        start=clock.start,
        step=clock.step,
        cost=slots(taken.tco),
        carbon=slots(taken.carbon),
        water=slots(taken.water),
        pue=np.array([float(s.pue) for s in sites]),
        power=np.where(closed, 0.0, np.array(power)[:, None]),
        accelerators=np.where(closed[None], 0.0, capacity[:, :, None]),
        carbon_cap=np.array([caps[i] for i in range(len(regions))]),
    )


def _or_without_limit(value: float | None) -> float:
    return np.inf if value is None else value


def _profile(i: int, r: Located, clock: Clock, hours: int, read: Reader) -> Profile:
    """Return price and carbon of a region in each hour of the plan."""
    block, key = r.block, ("regions", i)
    if block.profile is None:
        changes: dict[str, Any] = {}
        if block.price is not None:
            changes["price"] = f"{read.number((*key, 'price'), block)} USD/J"
        if block.carbon_intensity is not None:
            changes["carbon_intensity"] = f"{read.number((*key, 'carbon_intensity'), block)} kgCO2e/J"
        entry = r.entry.with_(**changes, name=r.entry.name) if changes else r.entry
        if entry.electricity_price() is None:
            read.take.take("electricity_price", "USD/J")
        return read.at((*key, "name"), synthetic, entry, hours, clock.start)
    given = (
        block.profile
        if isinstance(block.profile, ProfileBlock)
        else ProfileBlock.model_validate({"file": block.profile})
    )
    place = (*key, "profile")

    def load() -> Profile:
        return from_csv(
            read.file(place, given.file),
            timezone=given.timezone or "",
            carbon_unit=given.carbon_unit or "",
            price_unit=given.price_unit or "",
        )

    whole = read.at(place, load)
    skipped = (clock.start - whole.start).total_seconds() / HOUR
    if skipped != int(skipped) or not 0 <= skipped <= len(whole) - hours:
        raise read.wrong(
            place,
            uncovered(given.file, whole.start, len(whole), clock),
            "give a file that covers the plan, or move ops.start",
        )
    part = slice(int(skipped), int(skipped) + hours)
    return Profile(whole.carbon_intensity[part], whole.price[part], clock.start, whole.kind, whole.source)


def _closed(i: int, block: RegionBlock, clock: Clock, read: Reader) -> np.ndarray:
    """Return in which slots a region is closed, in part or in whole."""
    closed = np.zeros(clock.slots, dtype=bool)
    windows: list[tuple[float, float, int]] = []
    for n, window in enumerate(block.closed):
        key = ("regions", i, "closed", n)
        begin = read.at((*key, "from"), clock.seconds, window.begin)
        end = read.at((*key, "to"), clock.seconds, window.end)
        if end <= begin:
            raise read.wrong(key, "this window ends before it begins", "exchange from and to")
        for other_begin, other_end, other in windows:
            if begin < other_end and other_begin < end:
                raise read.wrong(
                    key, f"this window overlaps window {other + 1} of the region", "join them into one"
                )
        windows.append((begin, end, n))
        first, last = clock.slot_until(begin), clock.cover(end)
        closed[max(0, first) : max(0, last)] = True
    return closed


def _capacity(i: int, r: Located, hardware: tuple[str, ...], read: Reader) -> list[float]:
    """Return how many accelerators of each type a region has."""
    from mlsysim.hardware.own import resolve_hardware

    if r.block.capacity is None:
        return [np.inf] * len(hardware)
    there: dict[str, float] = {}
    for name, count in r.block.capacity.items():
        key = ("regions", i, "capacity", name)
        known = read.at(key, resolve_hardware, name, read.folder).name
        if known in there:
            raise read.wrong(key, f"{known} stands twice", "keep one of them")
        there[known] = count
    return [there.get(name, 0.0) for name in hardware]


def _carbon_caps(plan: FleetPlan, regions: tuple[Located, ...], read: Reader) -> list[float]:
    """Return the most carbon of each region."""
    caps = [np.inf] * len(regions)
    for name, cap in plan.constraints.carbon_by_region.items():
        key = ("constraints", "carbon_by_region", name)
        caps[read.at(key, index_of, name, regions)] = read.at(key, units.parse, cap, "tCO2e")
    return caps

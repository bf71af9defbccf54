"""Fleets to plan: jobs over real regions and hours, drawn with a seed.

Regions, PUE, WUE, prices and carbon intensities are the registry's, hour by hour; power and speed of the
accelerators too. What the registry cannot know, jobs and capacities, is drawn: sizes and durations
lognormal, as cluster traces have them. Money is electricity, a carbon tax and data transfer; the
hardware is there and paid for, so that rent does not hide how good a plan is.

``python -m benchmarks.fleets --jobs 200 --regions 40 --slots 168 --seed 1`` plans one and says how long
each phase took.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.random import Generator

from benchmarks.fleet_caps import capped
from benchmarks.fleet_places import TYPES, Machine, bloc, egress, machines, places, regions
from benchmarks.fleet_reference import capacities, reference
from mlsysim.core.schedule.types import Caps, Fleet, Floats, Job, Option, Schedule, Weights
from mlsysim.infra import Region

SIZES = {"tiny": (10, 5, 24), "small": (50, 10, 72), "medium": (200, 40, 168), "large": (1000, 60, 168)}
TAX = 0.1  # USD/kgCO2e
KINDS = {"rigid": 0.45, "pause": 0.35, "split": 0.10, "move": 0.05, "serve": 0.05}
STEP = 3600.0
CAPPED = 0.3  # of the seeds
TRANSFER = 1.25e9  # B/s, of a job's data between regions: 10 Gb/s
FASTER = 1.9  # of twice the accelerators


@dataclass(frozen=True, eq=False)
class Instance:
    """A fleet, and a plan for it that shows that there is one."""

    fleet: Fleet
    known: Schedule


def fleet(jobs: int, regions: int, slots: int, seed: int, load: float | None = None) -> Fleet:
    """Return a fleet of so many jobs, regions and hours; the same for the same seed."""
    return instance(jobs, regions, slots, seed, load=load).fleet


def instance(
    jobs: int, regions_: int, slots: int, seed: int, cap: bool | None = None, load: float | None = None
) -> Instance:
    """Return a fleet and a plan that keeps all its limits.

    Args:
        jobs: how many; an hour of serving demand is one.
        regions_: how many.
        slots: hours.
        seed: of everything that is drawn.
        load: of all accelerators; if None, regions have quotas of usual sizes, and only those that
            everybody wants are full.
        cap: whether all jobs together have a carbon cap; drawn if None.
    """
    rng = np.random.default_rng([seed, jobs, regions_, slots])
    often = bool(rng.random() < CAPPED)  # drawn in any case: the rest is the same with a cap and without
    cap = often if cap is None else cap
    chosen = regions(regions_, rng)
    start = datetime(2025, 1, 6, tzinfo=UTC) + timedelta(weeks=int(rng.integers(51)))
    free = places(chosen, start, slots)
    asked = _jobs(jobs, chosen, slots, rng)
    empty = Fleet(free, asked, Weights(1.0, TAX))
    known, there = reference(empty, capacities(empty, rng, load), rng, load)
    full = replace(empty, places=there)
    if cap:
        limit, known = capped(full, known, rng)
        full = replace(full, caps=Caps(carbon=limit))
    return Instance(full, known)


def _jobs(count: int, at: list[Region], slots: int, rng: Generator) -> tuple[Job, ...]:
    """Return the jobs, their kinds shuffled; hours of serving demand last."""
    share = np.cumsum(list(KINDS.values()))
    edges = np.round(share * count).astype(int)
    kinds = np.repeat(list(KINDS), np.diff(edges, prepend=0))
    batch = rng.permutation(kinds[kinds != "serve"]).tolist()
    have, between = machines(), egress(at)
    made = [_batch(f"job{i}", kind, at, slots, have, between, rng) for i, kind in enumerate(batch)]
    return (*made, *_serving(count - len(batch), at, slots, have, rng))


def _batch(
    name: str,
    kind: str,
    at: list[Region],
    slots: int,
    have: dict[str, Machine],
    between: Floats,
    rng: Generator,
) -> Job:
    """Return a job of training or of batch inference."""
    hours = float(np.clip(rng.lognormal(np.log(20), 0.9), 2, min(100, 0.6 * slots)))
    units = _units(rng.lognormal(np.log(80), 1.1))
    hardware = str(rng.choice(TYPES, p=[0.55, 0.3, 0.15]))
    options = [_option(hardware, units, hours, len(at), have)]
    if rng.random() < 1 / 3:
        options += _others(hardware, units, hours, 0.6 * slots, len(at), have, rng)
    longest = max(o.slots for o in options)
    window = min(slots, max(longest + 1, round(longest * rng.uniform(1.3, 4.0))))
    # some wait already, some have until the end: the first and last hours are as full as the others
    release = int(np.clip(rng.integers(-window // 2, slots - window // 2 + 1), 0, slots - window))
    home = int(rng.integers(len(at)))
    data = float(np.clip(rng.lognormal(np.log(1e12), 1.2), 5e10, 2e13)) if rng.random() < 1 / 3 else 0.0
    arrival = release + np.ceil(data / TRANSFER / STEP).astype(np.int64) * (np.arange(len(at)) != home)
    # not so late that nothing is left of the window
    ready = np.minimum(arrival, release + window - longest)
    if rng.random() < 0.2:
        ready = np.where(_resident(at, home, rng), ready, slots)
    state = units * 2e9  # B, of a checkpoint
    return Job(
        name=name,
        kind=kind,
        options=tuple(options),
        ready=ready,
        deadline=release + window,
        fetch=between[home] * data,
        moving=between * (data + state) if kind == "move" else None,
        moving_slots=1 if kind == "move" else 0,
        now=home if data else None,
    )


def _units(wanted: float) -> int:
    """Return a number of accelerators in whole servers of eight."""
    return int(np.clip(8 * round(wanted / 8), 8, 1024))


def _option(hardware: str, units: int, hours: float, count: int, have: dict[str, Machine]) -> Option:
    whole = max(1, int(np.ceil(hours - 1e-9)))
    return Option(
        hardware=TYPES.index(hardware),
        count=float(units),
        slots=whole,
        busy=hours / whole,
        power=units * have[hardware].power,
        cost=np.zeros(count),
        carbon=0.0,
        label=f"{units} {hardware}",
    )


def _others(
    hardware: str,
    units: int,
    hours: float,
    most: float,
    count: int,
    have: dict[str, Machine],
    rng: Generator,
) -> list[Option]:
    """Return the same work on twice the accelerators, or on those of another type if that has enough."""
    if units <= 512 and hours > 4 and rng.random() < 0.4:
        return [_option(hardware, 2 * units, hours / FASTER, count, have)]
    other = str(rng.choice([t for t in TYPES if t != hardware]))
    speed = have[other].peak / have[hardware].peak
    found = _units(units / speed)
    longer = hours * units / (found * speed)
    return [_option(other, found, longer, count, have)] if longer <= most else []


def _resident(at: list[Region], home: int, rng: Generator) -> Floats:
    """Return where the data may be: in its country, or in its part of the world."""
    country = np.array([r.country == at[home].country for r in at])
    near = np.array([bloc(r) == bloc(at[home]) for r in at])
    return country if country.sum() > 1 and rng.random() < 0.5 else near


def _serving(count: int, at: list[Region], slots: int, have: dict[str, Machine], rng: Generator) -> list[Job]:
    """Return demand for tokens by the hour, of people who are near enough to some of the regions."""
    found: list[Job] = []
    while len(found) < count:
        hours = min(count - len(found), 24, slots)
        first = int(rng.integers(slots - hours + 1))
        users = bloc(at[int(rng.integers(len(at)))])
        near = np.array([bloc(r) == users for r in at])
        peak, noon = float(np.clip(rng.lognormal(np.log(64), 0.8), 8, 512)), rng.uniform(0, 24)
        group = f"serving{first}.{len(found)}"
        for t in range(first, first + hours):
            units = peak * (0.6 + 0.4 * np.cos((t - noon) * np.pi / 12))
            option = Option(
                TYPES.index("H100"), units, 1, 1.0, units * have["H100"].power, np.zeros(len(at)), 0.0
            )
            ready = np.where(near, t, slots)
            found.append(
                Job(f"{group}.{t}", "split", (option,), ready, t + 1, np.zeros(len(at)), group=group)
            )
    return found


def main() -> int:
    """Plan a fleet and print how it went."""
    from benchmarks.fleet_runs import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())

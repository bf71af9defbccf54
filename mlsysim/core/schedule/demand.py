"""Requests of users as jobs: one for each slot, split over the regions that are near enough."""

from __future__ import annotations

import numpy as np

from mlsysim.core import units
from mlsysim.core.fleet_plan_blocks import JobBlock, PopulationBlock
from mlsysim.core.schedule.clock import HOUR, uncovered
from mlsysim.core.schedule.options import Machines, power_of
from mlsysim.core.schedule.places import index_of
from mlsysim.core.schedule.types import Floats, Indices, Job, Option
from mlsysim.core.yamlfile import Key
from mlsysim.hardware.own import resolve_hardware
from mlsysim.infra.places import Place, place, round_trips
from mlsysim.infra.profile_csv import read_demand


def jobs_of(j: int, job: JobBlock, allowed: np.ndarray, now: int | None, m: Machines) -> tuple[Job, ...]:
    """Return the jobs of a serving demand: those of a population share a group.

    Args:
        j: which of the plan's jobs.
        job: it.
        allowed: regions in which it may run, R.
        now: region that answers today.
        m: what makes options.
    """
    assert job.serving is not None
    key = ("jobs", j)
    if m.clock.step != HOUR:
        raise m.read.wrong((*key, "serving"), "requests are served by the hour", "set ops.resolution: hour")
    populations = job.serving.populations
    for p, population in enumerate(populations):
        if population.name in [other.name for other in populations[:p]]:
            raise m.read.wrong(
                (*key, "serving", "populations", p, "name"), f"{population.name!r} stands twice"
            )
    demands = [_demand(j, p, population, m) for p, population in enumerate(populations)]
    found: list[Job] = []
    for p, (population, demand) in enumerate(zip(populations, demands, strict=True)):
        here = (*key, "serving", "populations", p)
        today = now
        if population.now is not None:
            today = m.read.at((*here, "now"), index_of, population.now, m.regions)
        near = allowed & near_enough(population, here, m)
        group = f"{job.name}: {population.name}" if len(populations) > 1 else job.name
        options = {
            asked: _options(j, job, population, asked, m) for asked in np.unique(demand[demand > 0]).tolist()
        }
        found += [
            Job(
                name=f"{group}, {m.clock.time(slot):%Y-%m-%d %H:%M %z}",
                kind="split",
                options=options[float(demand[slot])],
                ready=ready_at(slot, near, m.clock.slots),
                deadline=slot + 1,
                fetch=np.zeros(len(m.regions)),
                now=today,
                group=group,
            )
            for slot in np.flatnonzero(demand > 0).tolist()
        ]
    return tuple(found)


def ready_at(slot: int, near: np.ndarray, slots: int) -> Indices:
    """Return from which slot on each region may answer: this one, or never."""
    return np.where(near, slot, slots).astype(np.int64)


def _options(
    j: int, job: JobBlock, population: PopulationBlock, demand: float, m: Machines
) -> tuple[Option, ...]:
    """Return the ways to answer the requests of an hour."""
    found = []
    for k, block in enumerate(job.hardware):
        key = ("jobs", j, "hardware", k)
        if block.accelerators is not None or block.hours is not None or block.speed != 1.0:
            raise m.read.wrong(
                key,
                "how many accelerators serve is for the demand to say",
                "leave accelerators, hours and speed out",
            )
        kind = m.read.at((*key, "name"), resolve_hardware, block.name, m.read.folder)
        if population.accelerators is not None:
            count = demand
        elif block.requests is None:
            raise m.read.wrong(
                key, f"how many requests a {kind.name} answers is not known", "set requests, a second"
            )
        else:
            count = demand / block.requests
        if count > 0:
            found.append(m.option(kind, float(count), HOUR, power_of(j, k, job, block, m.read), key))
    return tuple(found)


def near_enough(population: PopulationBlock, key: Key, m: Machines) -> np.ndarray:
    """Return which regions answer a population within its latency, R."""
    target = m.read.number((*key, "latency"), population)
    if target is None:
        return np.ones(len(m.regions), dtype=bool)
    if population.at is not None:
        users = m.read.at((*key, "at"), place, population.at, m.read.folder)
    else:
        assert population.latitude is not None
        assert population.longitude is not None
        users = Place(
            population.name,
            "",
            units.to_base(population.latitude, "deg", "deg"),
            units.to_base(population.longitude, "deg", "deg"),
        )
    sites = [m.read.at(("regions", i, "name"), place, r.entry) for i, r in enumerate(m.regions)]
    times = round_trips([users], sites)[0]
    m.read.take.choose("network round trip", float(times.min()), f"{users.name} to the nearest region", "s")
    return np.asarray(times <= target)


def _demand(j: int, p: int, population: PopulationBlock, m: Machines) -> Floats:
    """Return what a population asks for in each slot."""
    name = "requests" if population.requests is not None else "accelerators"
    given = getattr(population, name)
    key = ("jobs", j, "serving", "populations", p)
    slots = m.clock.slots
    if isinstance(given, list):
        zone = m.read.zone((*key, "timezone"), population.timezone) or m.clock.zone
        if zone is None:
            raise m.read.wrong(
                (*key, name), "demand by local hour needs a clock", "set timezone, e.g. Europe/Berlin"
            )
        return np.asarray(np.array(given, dtype=np.float64)[m.clock.local_hours(zone)])
    if isinstance(given, str):
        zone = m.read.zone((*key, "timezone"), population.timezone) or m.clock.zone
        start, hours = m.read.at((*key, name), read_demand, m.read.file((*key, name), given), zone)
        skipped = (m.clock.start - start).total_seconds() / HOUR
        if skipped != int(skipped) or not 0 <= skipped <= len(hours) - slots:
            raise m.read.wrong(
                (*key, name),
                uncovered(given, start, len(hours), m.clock),
                "give a file that covers the plan, or move ops.start",
            )
        whole: Floats = hours[int(skipped) : int(skipped) + slots]
        return whole
    return np.full(slots, float(given))

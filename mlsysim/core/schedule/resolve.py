"""From a plan with several jobs to numbers: names looked up, windows in slots, tables filled."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from mlsysim.core.errors import unknown
from mlsysim.core.fleet_plan import FleetPlan
from mlsysim.core.fleet_plan_blocks import JobBlock
from mlsysim.core.inference_run import tenancy
from mlsysim.core.schedule import demand
from mlsysim.core.schedule.alone import blocked
from mlsysim.core.schedule.clock import HOUR, Clock, instant
from mlsysim.core.schedule.options import Machines, options_of
from mlsysim.core.schedule.places import Located, index_of, located, places_of
from mlsysim.core.schedule.reading import Reader
from mlsysim.core.schedule.scenario import FleetScenario, Impossible
from mlsysim.core.schedule.transfer import Egress, Transfer, transfer_of
from mlsysim.core.schedule.types import Caps, Fleet, Indices, Job, Option, Weights
from mlsysim.core.yamlfile import Document
from mlsysim.hardware.own import resolve_hardware
from mlsysim.infra import CATALOG as INFRA
from mlsysim.physics import queueing

UNTAXED = Weights()
# Limits that a plan sets itself; the others are what is there.
CAPS = ("cost", "carbon", "water", "region carbon", "job carbon")


def resolve_fleet(plan: FleetPlan, document: Document, weights: Weights = UNTAXED) -> FleetScenario:
    """Return a plan with several jobs in numbers.

    Args:
        plan: the plan.
        document: where its keys stand.
        weights: of money, carbon and water in the objective.

    Raises:
        InputError: naming the key of the plan, with its line.
    """
    read = Reader(document)
    clock = _clock(plan, read)
    regions = located(plan, read)
    hardware = _hardware(plan, read)
    places = places_of(plan, regions, hardware, clock, read)
    machines, egress = Machines(plan, regions, hardware, clock, read), Egress(plan, regions, read)
    make = _Making(regions, machines, egress, clock, read)
    names: set[str] = set()
    jobs: list[Job] = []
    impossible: list[Impossible] = []
    for j, block in enumerate(plan.jobs):
        if block.name in names:
            raise read.wrong(("jobs", j, "name"), f"{block.name!r} stands twice", "give it a name of its own")
        names.add(block.name)
        found, why = make.jobs(j, block)
        jobs += found
        impossible += [why] if why else []
    impossible += [x for job in jobs if (x := blocked(job, places, clock)) and job.options]
    c = plan.constraints
    number = partial(_limit, plan, read)
    return FleetScenario(
        plan=plan,
        fleet=Fleet(
            places,
            tuple(jobs),
            weights,
            Caps(*(number(name) if getattr(c, name) else np.inf for name in ("budget", "carbon", "water"))),
        ),
        regions=regions,
        clock=clock,
        impossible=tuple(impossible),
        assumptions=tuple(dict.fromkeys(read.take.taken)),
        notes=tuple(dict.fromkeys(read.notes)),
    )


def _limit(plan: FleetPlan, read: Reader, name: str) -> float:
    return float(read.number(("constraints", name), plan.constraints) or np.inf)


def _clock(plan: FleetPlan, read: Reader) -> Clock:
    """Return the plan's slots."""
    zone = read.zone(("ops", "timezone"), plan.ops.timezone)
    start = read.at(("ops", "start"), instant, plan.ops.start, zone)
    if start.second or start.microsecond:
        raise read.wrong(("ops", "start"), f"{plan.ops.start} is not on a whole minute")
    each = 24 if plan.ops.resolution == "day" else 1
    return Clock(start, each * HOUR, plan.ops.length // each, zone)


def _hardware(plan: FleetPlan, read: Reader) -> tuple[str, ...]:
    """Return the types of accelerators that jobs may run on."""
    found: dict[str, None] = {}
    for j, job in enumerate(plan.jobs):
        for k, block in enumerate(job.hardware):
            key = ("jobs", j, "hardware", k, "name")
            found[read.at(key, resolve_hardware, block.name, read.folder).name] = None
    return tuple(found)


@dataclass(frozen=True)
class _Making:
    """What makes jobs of blocks."""

    regions: tuple[Located, ...]
    machines: Machines
    egress: Egress
    clock: Clock
    read: Reader

    def jobs(self, j: int, block: JobBlock) -> tuple[tuple[Job, ...], Impossible | None]:
        """Return what a block of the plan means: one job, or one for each slot of a demand."""
        read, key = self.read, ("jobs", j)
        now = None if block.now is None else read.at((*key, "now"), index_of, block.now, self.regions)
        cap = read.number((*key, "carbon"), block)
        allowed = self._allowed(j, block)
        most = np.inf if cap is None else cap
        if block.serving is not None:
            return demand.jobs_of(j, block, allowed, now, self.machines), None
        options, left = options_of(j, block, self.machines)
        if left:
            read.notes.append(f"{block.name}: {'; '.join(left)} cannot hold, left out")
        data = transfer_of(j, block, self.egress)
        ready, deadline = self._window(j, block, allowed, data, options)
        job = Job(
            name=block.name,
            kind=block.may or "rigid",
            options=options,
            ready=ready,
            deadline=deadline,
            fetch=data.fetch,
            moving=data.moving if block.may == "move" else None,
            moving_slots=self.clock.cover(data.seconds),
            carbon_cap=most,
            now=now,
        )
        return (job,), None if options else Impossible(block.name, f"nothing holds it: {'; '.join(left)}")

    def _allowed(self, j: int, block: JobBlock) -> np.ndarray:
        """Return in which regions a job may run."""
        allowed = np.ones(len(self.regions), dtype=bool)
        if block.regions is not None:
            where = [
                self.read.at(("jobs", j, "regions", n), index_of, name, self.regions)
                for n, name in enumerate(block.regions)
            ]
            allowed &= np.isin(np.arange(len(self.regions)), where)
        if block.countries is not None:
            there = [_country(r) for r in self.regions]
            for n, country in enumerate(block.countries):
                if not re.fullmatch("[A-Z]{2}", country):
                    raise self.read.at(("jobs", j, "countries", n), _not_a_country, country, there)
            allowed &= np.isin(there, block.countries)
        return allowed

    def _window(
        self, j: int, block: JobBlock, allowed: np.ndarray, data: Transfer, options: tuple[Option, ...]
    ) -> tuple[Indices, int]:
        """Return from which slot on a job may run in each region, and by which it has ended."""
        read, clock, key = self.read, self.clock, ("jobs", j)
        end = clock.slots * clock.step
        earliest = 0.0
        if block.earliest is not None:
            earliest = max(0.0, read.at((*key, "earliest"), clock.seconds, block.earliest))
            if earliest >= end:
                raise read.wrong((*key, "earliest"), f"{block.earliest} is after the end of the plan")
        deadline = end
        if block.deadline is not None:
            deadline = min(end, read.at((*key, "deadline"), clock.seconds, block.deadline))
            if deadline <= earliest:
                after = "the earliest start" if block.earliest is not None else "the start of the plan"
                raise read.wrong(
                    (*key, "deadline"), f"{block.deadline} is not after {after}", "exchange them, or move one"
                )
        first = clock.slot_from(earliest)
        longest = max((o.slots * o.busy for o in options), default=1.0) * clock.step
        ready = np.full(len(self.regions), clock.slots, dtype=np.int64)
        for r in np.flatnonzero(allowed).tolist():
            waited = self._wait(r, longest)
            if np.isfinite(waited):
                ready[r] = min(clock.slots, first + clock.cover(max(float(data.fetching[r]), waited)))
        return ready, clock.slot_until(deadline)

    def _wait(self, r: int, job_time: float) -> float:
        """Return how long a job waits for a place in a region that is shared, on average [s]."""
        block = self.regions[r].block.tenancy
        if block is None:
            return 0.0
        key = ("regions", r, "tenancy", "job_time")
        given = block.model_dump() | {"job_time": self.read.number(key, block)}
        wait = float(queueing.mean_wait(tenancy(given, self.read.take, job_time)))
        if not np.isfinite(wait):
            self.read.notes.append(f"{self.regions[r].name} is full: no place ever comes free")
        return wait


def _country(r: Located) -> str:
    return r.entry.country or (INFRA.get(r.entry.grid).country if r.entry.grid else "")


def _not_a_country(name: str, there: list[str]) -> Exception:
    raise unknown("country", name, sorted(set(filter(None, there))))


def without_caps(fleet: Fleet, tags: Collection[str] = CAPS) -> Fleet:
    """Return a fleet without limits that the plan sets itself.

    Args:
        fleet: jobs, places and limits.
        tags: kinds of limits to leave out, of :data:`CAPS`.
    """
    places, jobs = fleet.places, fleet.jobs
    if "region carbon" in tags:
        places = replace(places, carbon_cap=np.full(len(places.names), np.inf))
    if "job carbon" in tags:
        jobs = tuple(replace(j, carbon_cap=np.inf) for j in jobs)
    caps = replace(fleet.caps, **{tag: np.inf for tag in ("cost", "carbon", "water") if tag in tags})
    return replace(fleet, places=places, jobs=jobs, caps=caps)

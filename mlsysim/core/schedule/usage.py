"""What a schedule takes: money, carbon and water by job, region and slot, and what it holds of what is there.

This is the engine that did not find the schedule: it adds up run by run, and shares no code with the
formulations.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mlsysim.core.schedule.types import Fleet, Floats, Job, Run, Schedule

TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Usage:
    """What a schedule takes.

    Attributes:
        cost, carbon, water: by job and region (J x R) [USD, kgCO2e, L]; all of it.
        by_slot: the same of electricity alone by region and slot, 3 x R x T; what is no matter of the
            hour (rent, purchase, fetching data, embodied carbon) is not in it.
        power: facility power held, R x T [W].
        accelerators: held, H x R x T.
        energy: of the facility, by job and region (J x R) [J].
    """

    cost: Floats
    carbon: Floats
    water: Floats
    by_slot: Floats
    power: Floats
    accelerators: Floats
    energy: Floats

    def total(self) -> tuple[float, float, float]:
        """Return cost, carbon and water of all jobs."""
        return float(self.cost.sum()), float(self.carbon.sum()), float(self.water.sum())

    def objective(self, fleet: Fleet) -> float:
        """Return the weighted sum that was to be made least."""
        w = fleet.weights
        cost, carbon, water = self.total()
        return w.cost * cost + w.carbon * carbon + w.water * water


def usage(fleet: Fleet, schedule: Schedule) -> Usage:
    """Return what a schedule takes and holds."""
    p = fleet.places
    shape = (len(fleet.jobs), len(p.names))
    cost, carbon, water, used = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape)
    by_slot = np.zeros((3, len(p.names), p.slots))
    power = np.zeros((len(p.names), p.slots))
    accelerators = np.zeros((len(p.hardware), len(p.names), p.slots))
    for j, (job, runs) in enumerate(zip(fleet.jobs, schedule.runs, strict=True)):
        for run in runs:
            o, r = job.options[run.option], run.region
            energy = o.power * run.share * (1.0 if job.kind == "split" else o.busy)
            for row, table, out in ((0, p.cost, cost), (1, p.carbon, carbon), (2, p.water, water)):
                taken = energy * table[r, run.slots]
                by_slot[row, r, run.slots] += taken
                out[j, r] += float(taken.sum())
            used[j, r] += float(np.sum(energy)) * p.step * p.pue[r]
            cost[j, r] += part(job, run) * float(o.cost[r])
            carbon[j, r] += part(job, run) * o.carbon
            power[r, run.slots] += o.power * run.share * p.pue[r]
            accelerators[o.hardware, r, run.slots] += o.count * run.share
        for r, paid in _fetched(job, runs):
            cost[j, r] += paid
    return Usage(cost, carbon, water, by_slot, power, accelerators, used)


def part(job: Job, run: Run) -> float:
    """Return the share of a job's work that a run does."""
    o = job.options[run.option]
    return float(run.share.sum()) / (o.work if job.kind == "split" else o.slots)


def _fetched(job: Job, runs: tuple[Run, ...]) -> list[tuple[int, float]]:
    """Return what it costs to bring a job's data to where it runs."""
    if job.kind == "split":
        return [(run.region, part(job, run) * float(job.fetch[run.region])) for run in runs]
    found: list[tuple[int, float]] = []
    last: int | None = None
    for run in sorted(runs, key=lambda r: int(r.slots[0])):
        if last is None:
            found.append((run.region, float(job.fetch[run.region])))
        elif run.region != last:
            assert job.moving is not None
            found.append((run.region, float(job.moving[last, run.region])))
        last = run.region
    return found


@dataclass(frozen=True)
class Broken:
    """A limit that a schedule does not keep.

    Attributes:
        tag: what kind of limit: ``accelerators``, ``power``, ``carbon``, ``water``, ``cost``, ``work``,
            ``window``, ``kind``.
        where: of which job or region, and in which slot.
        demand, supply: what it takes and what is there, in base units.
    """

    tag: str
    where: str
    demand: float
    supply: float


def broken(fleet: Fleet, schedule: Schedule) -> list[Broken]:
    """Return every limit that a schedule breaks by more than a relative 1e-6."""
    p, u = fleet.places, usage(fleet, schedule)
    found: list[Broken] = []

    def hold(tag: str, where: str, demand: float, supply: float) -> None:
        if demand > supply + TOLERANCE * max(abs(demand), abs(supply)):
            found.append(Broken(tag, where, demand, supply))

    for job, runs in zip(fleet.jobs, schedule.runs, strict=True):
        found += _misplaced(job, runs)
    for r, name in enumerate(p.names):
        for t in np.flatnonzero(u.power[r] > p.power[r] * (1 + TOLERANCE)).tolist():
            hold("power", f"{name}, slot {t}", float(u.power[r, t]), float(p.power[r, t]))
        for h, kind in enumerate(p.hardware):
            for t in np.flatnonzero(u.accelerators[h, r] > p.accelerators[h, r] * (1 + TOLERANCE)).tolist():
                demand, supply = float(u.accelerators[h, r, t]), float(p.accelerators[h, r, t])
                hold("accelerators", f"{kind} in {name}, slot {t}", demand, supply)
        hold("carbon", name, float(u.carbon[:, r].sum()), float(p.carbon_cap[r]))
    for j, job in enumerate(fleet.jobs):
        hold("carbon", job.name, float(u.carbon[j].sum()), job.carbon_cap)
    caps = fleet.caps
    for tag, demand, supply in zip(
        ("cost", "carbon", "water"), u.total(), (caps.cost, caps.carbon, caps.water), strict=True
    ):
        hold(tag, "all jobs", demand, supply)
    return found


def _misplaced(job: Job, runs: tuple[Run, ...]) -> list[Broken]:
    """Return what is wrong with a job's runs on their own."""
    if not runs:
        return [Broken("work", job.name, 1.0, 0.0)]
    found = [
        Broken("window", job.name, float(run.slots.min()), float(job.ready[run.region]))
        for run in runs
        if run.slots.min() < job.ready[run.region] or run.slots.max() >= job.deadline
    ]
    done = sum(part(job, run) for run in runs)
    if abs(done - 1.0) > TOLERANCE:
        found.append(Broken("work", job.name, done, 1.0))
    found += [
        Broken("window", job.name, float(run.slots.min()), float(job.ready[run.region]))
        for run in runs
        if run.slots.min() < job.ready[run.region] or run.slots.max() >= job.deadline
    ]
    at = np.concatenate([run.slots for run in runs])
    share = np.concatenate([run.share for run in runs])
    together = np.bincount(at, weights=share)
    whole = job.kind == "split" or bool((share == 1.0).all())
    options, regions = {run.option for run in runs}, {run.region for run in runs}
    gaps = at.max() - at.min() + 1 != at.size
    wrong = (
        together.max() > 1 + TOLERANCE
        or (share < 0).any()
        or not whole
        or (job.kind != "split" and len(options) > 1)
        or (job.kind in ("rigid", "pause") and len(regions) > 1)
        or (job.kind == "rigid" and gaps)
    )
    if wrong:
        found.append(Broken("kind", job.name, float(together.max()), 1.0))
    if job.kind == "move":
        ordered = sorted(runs, key=lambda r: int(r.slots[0]))
        for a, b in pairwise(ordered):
            pause = int(b.slots.min()) - int(a.slots.max()) - 1
            if pause < (job.moving_slots if a.region != b.region else 0):
                found.append(Broken("kind", job.name, float(pause), float(job.moving_slots)))
    return found

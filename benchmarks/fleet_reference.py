"""A plan that is known for a fleet that was drawn, so that it has one, and limits that leave it room.

Every job runs without a break in one region: what any kind of job may do. The plan is made at random,
capacities follow from it, and where a carbon cap is wanted it is improved job by job.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from mlsysim.core.schedule.types import Fleet, Floats, Job, Option, Places, Run, Schedule, Weights

QUOTAS = (256, 512, 1024, 2048, 4096)  # accelerators of a type in a region
OFTEN = (0.3, 0.3, 0.2, 0.15, 0.05)
POWER = 0.85  # of all accelerators of a region at once
TIGHTER = 0.3  # of what the improved plan can save of its carbon


@dataclass(frozen=True)
class Block:
    """A job's option, region and first slot."""

    option: int
    region: int
    first: int


class Board:
    """What is held so far, and where a job still fits."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.accelerators = np.zeros_like(places.accelerators)
        self.power = np.zeros_like(places.power)

    def put(self, job: Job, at: Block, sign: float = 1.0) -> None:
        """Place a job, or take it away."""
        o = job.options[at.option]
        span = slice(at.first, at.first + o.slots)
        self.accelerators[o.hardware, at.region, span] += sign * o.count
        self.power[at.region, span] += sign * o.power * self.places.pue[at.region]

    def over(self, o: Option) -> Floats:
        """Return what would be held over what is there, R x T: at most 0 where an option fits."""
        p = self.places
        most = self.accelerators[o.hardware] + o.count - p.accelerators[o.hardware]
        watts = self.power + (o.power * p.pue)[:, None] - p.power
        return np.maximum(most, watts * (o.count / o.power)) - 1e-6

    def starts(self, job: Job, o: Option) -> tuple[Floats, Floats]:
        """Return by region and first slot whether the window allows it, and the worst excess."""
        slots = self.places.slots
        last = slots - o.slots + 1
        first = np.arange(last)
        open_ = (first >= job.ready[:, None]) & (first + o.slots <= job.deadline)
        worst = np.lib.stride_tricks.sliding_window_view(self.over(o), o.slots, axis=1).max(axis=2)
        return open_, worst


def capacities(fleet: Fleet, rng: Generator, load: float | None) -> Places:
    """Return places with accelerators, some of them under repair.

    Args:
        fleet: with its jobs.
        rng: to draw from.
        load: what all jobs need over what all regions have, few of them large and many small; if None,
            each region has a quota, and only those that everybody wants are full.
    """
    p = fleet.places
    kinds, count, slots = p.accelerators.shape
    have = rng.random((kinds, count)) < np.array([0.9, 0.6, 0.45])[:, None]
    have[:, int(rng.integers(count))] = True
    if load is None:
        size = rng.choice(QUOTAS, size=have.shape, p=OFTEN) * have
    else:
        wanted = np.zeros(kinds)
        for job in fleet.jobs:
            o = job.options[0]
            wanted[o.hardware] += o.count * o.slots
        weight = rng.lognormal(0.0, 1.2, (kinds, count)) * have
        size = weight / weight.sum(axis=1, keepdims=True) * (wanted / slots / load)[:, None]
    there = np.repeat((8 * np.ceil(size / 8))[:, :, None], slots, axis=2)
    for r in np.flatnonzero(rng.random(count) < 0.2):
        first = int(rng.integers(max(1, slots - 6)))
        there[:, r, first : first + 6] = 8 * np.ceil(there[:, r, first : first + 6] / 16)
    return replace(p, accelerators=there)


def reference(fleet: Fleet, there: Places, rng: Generator) -> tuple[Schedule, Places]:
    """Return a plan at random, and the places with room for it.

    The largest jobs come first. Where none of what is there is enough, the region where the least is
    missing gets it, and in the end regions that have more than the plan needs give up as much.
    """
    drawn = there.accelerators.sum(axis=(1, 2), keepdims=True)
    board, found = Board(there), {}
    size = [max(o.count * o.slots for o in job.options) for job in fleet.jobs]
    for j in np.argsort(size, kind="stable")[::-1].tolist():
        found[j] = _somewhere(board, fleet.jobs[j], rng)
        board.put(fleet.jobs[j], found[j])
    have, need = there.accelerators, board.accelerators.max(axis=2)[:, :, None]
    spare = np.maximum(0.0, have - need)
    excess = have.sum(axis=(1, 2), keepdims=True) - drawn
    keep = np.clip(1 - excess / np.maximum(spare.sum(axis=(1, 2), keepdims=True), 1.0), 0.0, 1.0)
    have = np.where(spare > 0, need + np.ceil(spare * keep), have)
    watts = np.array([_watts(fleet, h) for h in range(have.shape[0])])
    full = POWER * np.einsum("h,hrt->rt", watts, have) * there.pue[:, None]
    limited = rng.random(len(there.names)) < 0.6
    power = np.where(limited[:, None], np.maximum(full, board.power), np.inf)
    blocks = [found[j] for j in range(len(fleet.jobs))]
    return _schedule(fleet, blocks), replace(there, accelerators=have, power=power)


def _watts(fleet: Fleet, hardware: int) -> float:
    """Return the draw of an accelerator [W]."""
    drawn = [o.power / o.count for job in fleet.jobs for o in job.options if o.hardware == hardware]
    return max(drawn, default=0.0)


def _somewhere(board: Board, job: Job, rng: Generator) -> Block:
    """Return a place for a job, at random; where there is none, make room."""
    fits, best = [], (np.inf, Block(0, 0, 0))
    for k, o in enumerate(job.options):
        open_, worst = board.starts(job, o)
        fits += [Block(k, r, s) for r, s in np.argwhere(open_ & (worst <= 0)).tolist()]
        missing = np.where(open_, worst, np.inf)
        r, s = np.unravel_index(int(missing.argmin()), missing.shape)
        if missing[r, s] < best[0]:
            best = float(missing[r, s]), Block(k, int(r), int(s))
    if fits:
        return fits[int(rng.integers(len(fits)))]
    excess, block = best
    o = job.options[block.option]
    board.places.accelerators[o.hardware, block.region] += 8 * np.ceil(excess / 8)
    return block


def capped(fleet: Fleet, known: Schedule) -> tuple[float, Schedule]:
    """Return a carbon cap that costs a little, and a plan that keeps it."""
    cheap = improved(fleet, known, 2)
    clean = improved(replace(fleet, weights=Weights(1e-6, 1.0)), cheap, 2)
    most, least = _carbon(fleet, cheap), _carbon(fleet, clean)
    return most - TIGHTER * (most - least), clean


def improved(fleet: Fleet, known: Schedule, rounds: int) -> Schedule:
    """Return a plan in which each job in turn went to where it costs least."""
    blocks = [Block(run[0].option, run[0].region, int(run[0].slots[0])) for run in known.runs]
    board, p, w = Board(fleet.places), fleet.places, fleet.weights
    for job, at in zip(fleet.jobs, blocks, strict=True):
        board.put(job, at)
    rate = w.cost * p.cost + w.carbon * p.carbon + w.water * p.water
    until = np.concatenate([np.zeros((len(p.names), 1)), rate.cumsum(axis=1)], axis=1)
    for _ in range(rounds):
        for j, job in enumerate(fleet.jobs):
            board.put(job, blocks[j], -1.0)
            blocks[j] = _cheapest(board, job, until, w.cost, blocks[j])
            board.put(job, blocks[j])
    return _schedule(fleet, blocks)


def _cheapest(board: Board, job: Job, until: Floats, money: float, now: Block) -> Block:
    best, found = np.inf, now
    for k, o in enumerate(job.options):
        open_, worst = board.starts(job, o)
        paid = o.power * o.busy * (until[:, o.slots :] - until[:, : until.shape[1] - o.slots])
        paid = np.where(open_ & (worst <= 0), paid + money * (job.fetch + o.cost)[:, None], np.inf)
        r, s = np.unravel_index(int(paid.argmin()), paid.shape)
        if paid[r, s] < best:
            best, found = float(paid[r, s]), Block(k, int(r), int(s))
    return found


def _carbon(fleet: Fleet, plan: Schedule) -> float:
    from mlsysim.core.schedule.usage import usage

    return usage(fleet, plan).total()[1]


def _schedule(fleet: Fleet, blocks: list[Block]) -> Schedule:
    return Schedule(tuple((_run(job, at),) for job, at in zip(fleet.jobs, blocks, strict=True)))


def _run(job: Job, at: Block) -> Run:
    o = job.options[at.option]
    share = np.ones(o.slots)
    if job.kind == "split":
        share[-1] -= o.slots - o.work
    return Run(at.region, at.option, np.arange(at.first, at.first + o.slots), share)

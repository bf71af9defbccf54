"""A plan that is known for a fleet that was drawn, so that it has one, and limits that leave it room.

Every job runs without a break in one region: what any kind of job may do. The plan is made at random,
capacities follow from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import Generator

from mlsysim.core.schedule.types import Fleet, Floats, Job, Mask, Option, Places, Run, Schedule

QUOTAS = (256, 512, 1024, 2048, 4096)  # accelerators of a type in a region
OFTEN = (0.3, 0.3, 0.2, 0.15, 0.05)
POWER = 0.85  # of all accelerators of a region at once
SQUEEZES = 12
LOOKS = 12


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

    def open(self, job: Job, o: Option) -> Mask:
        """Return by region and first slot whether the job's window allows it."""
        first = np.arange(self.places.slots - o.slots + 1)
        open_: Mask = (first >= job.ready[:, None]) & (first + o.slots <= job.deadline)
        return open_

    def fits(self, job: Job, o: Option) -> Mask:
        """Return by region and first slot whether the job can start there."""
        full = np.pad((self.over(o) > 0).cumsum(axis=1), ((0, 0), (1, 0)))
        fits: Mask = self.open(job, o) & (full[:, o.slots :] == full[:, : full.shape[1] - o.slots])
        return fits


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


def reference(fleet: Fleet, there: Places, rng: Generator, load: float | None) -> tuple[Schedule, Places]:
    """Return a plan at random, and the places with room for it.

    The largest jobs come first. Where none of what is there is enough, the region where the least is
    missing gets it; then, if a load is asked for, regions give up what the jobs can do without.
    """
    board, found = Board(there), [Block(0, 0, 0)] * len(fleet.jobs)
    size = [max(o.count * o.slots for o in job.options) for job in fleet.jobs]
    for j in np.argsort(size, kind="stable")[::-1].tolist():
        found[j] = _somewhere(board, fleet.jobs[j], rng) or _made(board, fleet.jobs[j])
        board.put(fleet.jobs[j], found[j])
    if load is not None:
        _squeeze(fleet, board, found, rng, load)
    have = there.accelerators
    watts = np.array([_watts(fleet, h) for h in range(have.shape[0])])
    full = POWER * np.einsum("h,hrt->rt", watts, have) * there.pue[:, None]
    limited = rng.random(len(there.names)) < 0.6
    power = np.where(limited[:, None], np.maximum(full, board.power), np.inf)
    return schedule(fleet, found), replace(there, accelerators=have, power=power)


def _watts(fleet: Fleet, hardware: int) -> float:
    """Return the draw of an accelerator [W]."""
    drawn = [o.power / o.count for job in fleet.jobs for o in job.options if o.hardware == hardware]
    return max(drawn, default=0.0)


def _somewhere(board: Board, job: Job, rng: Generator) -> Block | None:
    """Return a place for a job, the fullest of some at random; None where it does not fit."""
    fits: list[tuple[float, Block]] = []
    for k, o in enumerate(job.options):
        at = np.argwhere(board.fits(job, o))
        over = board.over(o)
        for r, s in at[rng.permutation(len(at))[:LOOKS]].tolist():
            free = over[r, s : s + o.slots].mean()
            fits.append((float(free) / o.count, Block(k, r, s)))
    return max(fits, key=lambda fit: fit[0])[1] if fits else None


def _made(board: Board, job: Job) -> Block:
    """Make room for a job where the least is missing."""
    best, found = np.inf, Block(0, 0, 0)
    for k, o in enumerate(job.options):
        worst = sliding_window_view(board.over(o), o.slots, axis=1).max(axis=2)
        missing = np.where(board.open(job, o), worst, np.inf)
        r, s = np.unravel_index(int(missing.argmin()), missing.shape)
        if missing[r, s] < best:
            best, found = float(missing[r, s]), Block(k, int(r), int(s))
    board.places.accelerators[job.options[found.option].hardware, found.region] += np.ceil(best)
    return found


def _squeeze(fleet: Fleet, board: Board, found: list[Block], rng: Generator, load: float) -> None:
    """Take accelerators away, region by region, as long as the jobs still fit elsewhere."""
    have = board.places.accelerators
    kinds, count, _ = have.shape
    for _ in range(SQUEEZES):
        for cell in rng.permutation(kinds * count).tolist():
            h, r = divmod(cell, count)
            if board.accelerators[h].sum() < load * have[h].sum():
                _take(fleet, board, found, h, r, rng)


def _take(fleet: Fleet, board: Board, found: list[Block], h: int, r: int, rng: Generator) -> None:
    """Take some of a region's accelerators away if the jobs there find another place."""
    before, kept = board.places.accelerators[h, r].copy(), list(found)
    board.places.accelerators[h, r] = np.floor(0.85 * before)
    there = [
        j for j, at in enumerate(found) if at.region == r and fleet.jobs[j].options[at.option].hardware == h
    ]
    gone: list[int] = []
    for j in rng.permutation(there).tolist():
        span = slice(found[j].first, found[j].first + fleet.jobs[j].options[found[j].option].slots)
        if (board.accelerators[h, r, span] > board.places.accelerators[h, r, span]).any():
            board.put(fleet.jobs[j], found[j], -1.0)
            gone.append(j)
    gone.sort(key=lambda j: -fleet.jobs[j].options[kept[j].option].count)
    for i, j in enumerate(gone):
        at = _somewhere(board, fleet.jobs[j], rng)
        if at is None:
            for k in gone[:i]:
                board.put(fleet.jobs[k], found[k], -1.0)
            for k in gone:
                board.put(fleet.jobs[k], kept[k])
                found[k] = kept[k]
            board.places.accelerators[h, r] = before
            return
        found[j] = at
        board.put(fleet.jobs[j], at)


def schedule(fleet: Fleet, blocks: list[Block]) -> Schedule:
    """Return a plan of one block a job."""
    return Schedule(tuple((_run(job, at),) for job, at in zip(fleet.jobs, blocks, strict=True)))


def _run(job: Job, at: Block) -> Run:
    o = job.options[at.option]
    share = np.ones(o.slots)
    if job.kind == "split":
        share[-1] -= o.slots - o.work
    return Run(at.region, at.option, np.arange(at.first, at.first + o.slots), share)

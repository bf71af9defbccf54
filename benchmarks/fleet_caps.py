"""A carbon cap that costs a little, and a plan that keeps it, by moving a few jobs at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from benchmarks.fleet_reference import Block, Board, schedule
from mlsysim.core.schedule.types import Fleet, Floats, Job, Schedule, Weights
from mlsysim.core.schedule.usage import usage

ROOM = 1.002  # over the carbon of the cleanest plan that was found; pauses and shares may do with less
TRIES, MOST = 1500, 8  # how often, and how many jobs at most


def capped(fleet: Fleet, known: Schedule, rng: Generator) -> tuple[float, Schedule]:
    """Return a carbon cap that costs a little, and a plan that keeps it."""
    clean = improved(replace(fleet, weights=Weights(1e-6, 1.0)), known, rng)
    return ROOM * usage(fleet, clean).total()[1], clean


def improved(fleet: Fleet, known: Schedule, rng: Generator) -> Schedule:
    """Return a better plan of the same form: a few jobs at a time are taken out and put back at best."""
    now = [Block(run[0].option, run[0].region, int(run[0].slots[0])) for run in known.runs]
    board, p, w = Board(fleet.places), fleet.places, fleet.weights
    for job, at in zip(fleet.jobs, now, strict=True):
        board.put(job, at)
    rate = w.cost * p.cost + w.carbon * p.carbon + w.water * p.water
    until = np.concatenate([np.zeros((len(p.names), 1)), rate.cumsum(axis=1)], axis=1)
    for _ in range(TRIES):
        some = rng.permutation(len(now))[: int(rng.integers(1, MOST + 1))].tolist()
        before = [now[j] for j in some]
        for j in some:
            board.put(fleet.jobs[j], now[j], -1.0)
        change = -sum(_paid(fleet.jobs[j], now[j], until, w.cost) for j in some)
        for i, j in enumerate(some):
            at = _cheapest(board, fleet.jobs[j], until, w.cost)
            if at is None:
                change = np.inf
                put = some[:i]
                break
            now[j] = at
            board.put(fleet.jobs[j], at)
            change += _paid(fleet.jobs[j], at, until, w.cost)
        else:
            put = some
        if change > 0:
            for j in put:
                board.put(fleet.jobs[j], now[j], -1.0)
            for j, at in zip(some, before, strict=True):
                now[j] = at
                board.put(fleet.jobs[j], at)
    return schedule(fleet, now)


def _paid(job: Job, at: Block, until: Floats, money: float) -> float:
    """Return what a job counts in the objective."""
    o = job.options[at.option]
    window = until[at.region, at.first + o.slots] - until[at.region, at.first]
    return float(o.power * o.busy * window + money * (job.fetch[at.region] + o.cost[at.region]))


def _cheapest(board: Board, job: Job, until: Floats, money: float) -> Block | None:
    """Return where a job costs least, of all places that it can start; None if there is none."""
    best, found = np.inf, None
    for k, o in enumerate(job.options):
        paid = o.power * o.busy * (until[:, o.slots :] - until[:, : until.shape[1] - o.slots])
        paid = np.where(board.fits(job, o), paid + money * (job.fetch + o.cost)[:, None], np.inf)
        r, s = np.unravel_index(int(paid.argmin()), paid.shape)
        if paid[r, s] < best:
            best, found = float(paid[r, s]), Block(k, int(r), int(s))
    return found

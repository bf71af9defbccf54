"""A carbon cap that costs a little, and a plan that keeps it, by moving one job at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.fleet_reference import Block, Board, schedule
from mlsysim.core.schedule.types import Fleet, Floats, Job, Schedule, Weights
from mlsysim.core.schedule.usage import usage

TIGHTER = 0.3  # of the carbon that the improved plan can still save


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
    return schedule(fleet, blocks)


def _cheapest(board: Board, job: Job, until: Floats, money: float, now: Block) -> Block:
    """Return where a job costs least, of all places that it can start."""
    best, found = np.inf, now
    for k, o in enumerate(job.options):
        paid = o.power * o.busy * (until[:, o.slots :] - until[:, : until.shape[1] - o.slots])
        paid = np.where(board.fits(job, o), paid + money * (job.fetch + o.cost)[:, None], np.inf)
        r, s = np.unravel_index(int(paid.argmin()), paid.shape)
        if paid[r, s] < best:
            best, found = float(paid[r, s]), Block(k, int(r), int(s))
    return found


def _carbon(fleet: Fleet, plan: Schedule) -> float:
    return usage(fleet, plan).total()[1]

"""A first schedule: whoever would lose most if its cheapest region filled up goes first.

Insertion by regret (Martello and Toth 1981, for the generalized assignment problem): a job that can run
cheaply in one region only takes it before those that could as well go elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from formulations.schedule.board import Board

# Regrets are multiplied by something between 1 less this and 1 more, for another first schedule.
DRAWN = 0.5
# How often the regrets of all that are left are looked at again, and the share below which one has fallen.
ROUNDS, FALLEN = 50, 0.999


def first_schedule(board: Board, rng: Generator | None = None) -> bool:
    """Place jobs one by one where they are cheapest; return whether all found room.

    Args:
        board: those that are on it stay.
        rng: changes the order a little; None for regrets as they are.
    """
    jobs = board.fleet.jobs
    size = np.array([max(o.count * o.slots for o in job.options) for job in jobs])
    factor = np.ones(size.size) if rng is None else rng.uniform(1.0 - DRAWN, 1.0 + DRAWN, size.size)
    largest = np.argsort(-size, kind="stable").tolist()
    # who has one region left, or none, comes first, and the largest of them before the others
    able = board.pricer.spans
    left = [j for j in largest if j in board.missing and jobs[j].kind != "split" and able[j].regions.size]
    each = max(1, len(left) // ROUNDS)
    while left:
        rank = np.array([board.finder.regret(j) for j in left]) * factor[left]
        todo = np.ones(len(left), dtype=bool)
        for _ in range(min(each, len(left))):
            i = int(rank.argmax())
            while (now := board.finder.regret(left[i]) * factor[left[i]]) < FALLEN * rank[i]:
                rank[i] = now
                i = int(rank.argmax())
            board.place(left[i])
            rank[i], todo[i] = -1.0, False
        left = [j for j, still in zip(left, todo.tolist(), strict=True) if still]
    for j in largest:
        if jobs[j].kind == "split" and j in board.missing:
            board.place(j)
    return board.complete()

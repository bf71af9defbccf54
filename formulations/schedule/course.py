"""The course of a search: several beginnings, each cooled slowly, and then on from the best.

Each leg of the course is annealed (Kirkpatrick, Gelatt and Vecchi 1983): a step may make the schedule a
little worse, by less and less. A leg begins at the best of a few first schedules that are drawn, or, after
some legs, at the best schedule so far; good beginnings are worth more than long legs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from formulations.schedule.board import Board
from formulations.schedule.first import first_schedule
from formulations.schedule.improve import Search
from formulations.schedule.pricing import Candidate
from formulations.schedule.relaxation import Relaxation
from mlsysim.core.schedule.types import Schedule

# Steps of a leg for each job, and at least; after the beginnings, legs are longer by the factor.
STEPS, LEAST, LONGER = 20, 2_000, 1.5
# Steps at a time, between which prices and guides may change.
AT_ONCE = 1_000
# Shares of the prices of cells by which jobs are placed, in turn.
GUIDES = (0.7, 0.4, 1.0)
# How many legs begin anew, and each at the best of how many first schedules: the first leg, and the others.
BEGINNINGS, DRAWN = 5, (2, 10)
# By how much a beginning may be worse than another was, half way, to be worth going on with.
BEHIND = 0.002
# How much worse a step may be at first, as shares of the mean job: from new beginnings, and from the best.
WARM, AGAIN = 0.005, (0.003, 0.006)


class Course:
    """Leads searches over a fleet.

    Attributes:
        search: the one under way.
        legs: begun so far.
    """

    def __init__(self, relaxation: Relaxation, seed: int) -> None:
        """Begin.

        Args:
            relaxation: whose best prices lead the search; it may go on rising meanwhile.
            seed: of all choices.
        """
        self.relaxation, self.pricer, self.seed = relaxation, relaxation.pricer, seed
        self.legs = self.turns = 0
        self._done = self._length = 0
        self._nearest: tuple[float, list[Candidate | None]] = (np.inf, [])
        self._half = np.inf
        self.search: Search
        self._begin(None, lambda: False)

    @property
    def between(self) -> bool:
        """Whether a leg has ended and the next has not begun."""
        return self._done >= self._length

    def turn(self, best: Schedule | None, stop: Callable[[], bool]) -> None:
        """Go on for a while.

        Args:
            best: the best schedule that is known, on which a new leg may go on.
            stop: ends the turn early.
        """
        if self.between:
            self._begin(best, stop)
        r, search = self.relaxation, self.search
        if search.prices is not r.at:
            search.judge(r.at, r.cheapest)
        search.guide(GUIDES[self.turns % len(GUIDES)])
        merit = search.run(AT_ONCE, stop, self._heat * (1.0 - self._done / self._length))
        if merit < self._nearest[0]:
            self._nearest = merit, list(search.board.placed)
        half = self._done < self._length / 2
        self._done += max(1, search.steps)
        self.turns += 1
        if half and self._done >= self._length / 2 and self.legs <= BEGINNINGS:
            if merit - self._half > BEHIND * abs(merit):
                self._done = self._length
            self._half = min(self._half, merit)

    def _begin(self, best: Schedule | None, stop: Callable[[], bool]) -> None:
        """Begin a leg."""
        before = self.search.pressure if self.legs else None
        length = max(LEAST, STEPS * len(self.pricer.fleet.jobs))
        if self.legs < BEGINNINGS:
            self.search, self._heat = self._drawn(stop), WARM
        else:
            self.search, self._heat = self._from(best), AGAIN[self.legs % len(AGAIN)]
            length = round(LONGER * length)
        if before is not None:  # what caps charge is learned slowly
            self.search.pressure = before
        self._done, self._length = 0, length
        self.legs += 1

    def _search(self, board: Board) -> Search:
        r = self.relaxation
        return Search(board, r.at, r.cheapest, self.seed + self.legs)

    def _drawn(self, stop: Callable[[], bool]) -> Search:
        """Return a search from the best of some first schedules; the very first is not drawn."""
        rng = np.random.default_rng([self.seed, self.legs])
        found: list[Search] = []
        for i in range(DRAWN[min(self.legs, 1)]):
            board = Board(self.pricer, self.relaxation.at)
            first_schedule(board, rng if self.legs or i else None)
            found.append(self._search(board))
            if stop():
                break
        return min(found, key=Search.merit)

    def _from(self, best: Schedule | None) -> Search:
        """Return a search from the best schedule, or from what came nearest to one."""
        board = Board(self.pricer, self.relaxation.at)
        if best is None:
            placed = [c for c in self._nearest[1] if c is not None]
        else:
            placed = [self.pricer.candidate(j, runs) for j, runs in enumerate(best.runs) if runs]
        for c in placed:
            board.put(c)
        return self._search(board)

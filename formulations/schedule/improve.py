"""Better schedules from good ones: take some jobs off, put them back another way, keep what is better.

Large neighbourhood search (Shaw 1998): what is taken off is a crowd of jobs that share cells, around a job
that pays more than its cheapest schedule at the prices of the relaxation, or around a place and time. A
job may also go where there is no room, and those in its way go elsewhere, in chains (ejection chains,
Glover 1996).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from formulations.schedule.board import Board
from formulations.schedule.cheapest import Best
from formulations.schedule.crowds import Crowds
from formulations.schedule.fields import Multipliers
from formulations.schedule.pressure import Pressure
from formulations.schedule.pricing import Candidate
from formulations.schedule.trips import trip
from formulations.schedule.ways import Ways

# What a job that is left out costs by its size, in multiples of the dearest.
LEFT_OUT = 5.0
# Steps after which the rates of caps change.
OFTEN = 100
# How often walks are looked for, which take long to find and are seldom better than a stay.
WALKS = 0.1
# What a step may do, and roughly the jobs that it places.
WAYS = {"force": 8.0, "hole": 8.0, "around": 8.0, "some": 8.0, "trip": 500.0}


class Search:
    """Improves the schedule on a board.

    Attributes:
        found: the best schedule that is complete and keeps all limits, job by job; None before any.
        objective: its objective.
        tries: how often a trip with each job was in vain.
    """

    def __init__(self, board: Board, prices: Multipliers, wanted: list[Best], seed: int) -> None:
        """Begin.

        Args:
            board: with a schedule on it, complete or not.
            prices: of the limits, of the relaxation.
            wanted: the cheapest schedule of each job at these prices.
            seed: of all choices.
        """
        self.board, self.fleet = board, board.fleet
        self.rng: Generator = np.random.default_rng(seed)
        self.size = np.array([float(j.options[0].count * j.options[0].slots) for j in self.fleet.jobs])
        self.found: list[Candidate | None] | None = None
        self.objective = float("inf")
        self.before: dict[int, Candidate | None] = {}
        self.ways = Ways(WAYS)
        self.steps, self.work = 0, 0
        self.tries = np.zeros(len(self.fleet.jobs))
        self.crowds = Crowds(board, self.rng)
        self.pressure = Pressure(self.fleet)
        self.judge(prices, wanted)

    def judge(self, prices: Multipliers, wanted: list[Best]) -> None:
        """Look at schedules by the prices of a bound.

        Args:
            prices: of the limits, of the relaxation.
            wanted: the cheapest schedule of each job at these prices.
        """
        self.prices = prices
        self.crowds.judge(prices, wanted)
        least = np.array([0.0 if c is None else abs(c.takes.objective) for c in self.crowds.wanted])
        self.pressure.judge(prices, float(least.sum()) or 1.0)
        # a job that is left out costs by its size, so that large ones are placed at the cost of small
        dearest = float(np.max(least / np.maximum(self.size, 1e-9), initial=1e-9))
        self.penalty = LEFT_OUT * dearest * np.maximum(self.size, 1e-3 * self.size.max())

    def guide(self, cells: float) -> None:
        """Place by a share of the prices of cells from now on, and by the rates of the caps."""
        self.board.guided(self.pressure.guide(self.prices, cells))

    def merit(self) -> float:
        """Return the objective with what is left out and what caps charge."""
        board = self.board
        left = sum(float(self.penalty[j]) for j in board.missing)
        return board.objective + left + self.pressure.charge(board)

    def run(self, steps: int, stop: Callable[[], bool], warmth: float = 0.0) -> float:
        """Take so many steps; return the merit.

        Args:
            steps: how many.
            stop: ends the run early.
            warmth: how much worse than before a step may be, as a share of a job's mean.
        """
        board = self.board
        self._note()
        now = self.merit()
        heat = warmth * max(1e-9, abs(board.objective) / max(1, len(self.fleet.jobs)))
        self.steps = adapted = 0
        while self.steps < steps and not stop():
            if self.steps - adapted >= OFTEN and self.pressure.at.size:
                adapted = self.steps
                self.pressure.adapt(board)
                now = self.merit()
            now = self._one(now, heat, stop)
            self._note()
        return now

    def _one(self, now: float, heat: float, stop: Callable[[], bool]) -> float:
        """Take a step or a trip, unless it makes the merit too much worse; return the merit."""
        way = self.ways.draw(self.rng)
        self.work = 1
        if way == "trip" and not self.board.missing:
            after = trip(self, now, stop)
            self.ways.learn(way, now - after, self.work)
            return after
        self.begin()
        self._step(way)
        new = self.merit()
        self.ways.learn(way, max(0.0, now - new), self.work)
        if new <= now + 1e-12 - heat * np.log(max(1e-12, self.rng.random())):
            return new
        self.undo()
        return now

    def _note(self) -> None:
        """Keep what is on the board if it is the best so far and keeps all limits."""
        board = self.board
        if board.objective < self.objective and not board.missing and not board.over:
            self.found, self.objective = list(board.placed), board.objective

    def restore(self, placed: list[Candidate | None]) -> None:
        """Put the board back to a schedule."""
        different = [j for j, c in enumerate(placed) if c is not self.board.placed[j]]
        for j in different:
            self.board.take(j)
        for j in different:
            candidate = placed[j]
            if candidate is not None:
                self.board.put(candidate)

    # --- a step -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a step, which can be undone."""
        self.steps += 1
        self.before = {}

    def off(self, j: int) -> None:
        """Take a job off, and remember where it was before this step."""
        c = self.board.take(j)
        self.before.setdefault(j, c)

    def undo(self) -> None:
        """Put the board back to where it was when the step began."""
        for j in self.before:
            self.board.take(j)
        for c in self.before.values():
            if c is not None:
                self.board.put(c)

    def _step(self, way: str) -> None:
        """Take jobs off and put them back."""
        board, rng = self.board, self.rng
        count = int(rng.integers(2, 12))
        if board.missing and rng.random() < 0.7:
            missing = sorted(board.missing)
            self.force(missing[int(rng.integers(len(missing)))], count)
            return
        hole = self.crowds.hole() if way == "hole" else None
        if hole is not None:
            self.force(hole[0], count, hole[1])
        elif way == "force":
            self.force(self.crowds.dear(), count)
        else:
            crowds = self.crowds
            self.again(crowds.some(count) if way == "some" else crowds.around(crowds.dear(), count))

    def again(self, crowd: list[int]) -> None:
        """Take jobs off and put them back."""
        for j in crowd:
            self.off(j)
        self.refill(crowd)

    def force(self, seed: int, most: int, region: int | None = None) -> None:
        """Put a job where it would like to be, and those that are in its way elsewhere."""
        own = self.board.placed[seed]
        limit = np.inf if own is None else self.board.tariff.of(own)
        self.off(seed)
        c = self.board.wish(seed, self.rng, region, limit)
        out = [] if c is None else self.clear(c, most + 8)
        if c is None or out is None:
            self.refill([seed])
            return
        self.board.put(c)
        self.refill(out)

    def clear(self, c: Candidate, most: int) -> list[int] | None:
        """Take off what is in a schedule's way; None, and nothing, if that is more than ``most``."""
        board = self.board
        taken: list[Candidate] = []
        for j in self.crowds.in_the_way(c).tolist():
            if board.fits(c):
                break
            other = board.placed[j]
            assert other is not None
            taken.append(other)
            self.off(j)
        if not board.fits(c):
            for other in taken:
                board.put(other)
            return None
        board.put(c)
        out = []
        for other in taken:  # who does not stand in the way stays
            if board.fits(other):
                board.put(other)
            else:
                out.append(other.job)
        board.take(c.job)
        if len(out) > most:
            for j in out:
                own = self.before[j]
                if own is not None:
                    board.put(own)
            return None
        return out

    def refill(self, off: list[int]) -> None:
        """Put jobs back, in an order that is drawn."""
        self.work += len(off)
        if len(off) > 1:
            pick = self.rng.random()
            if pick < 0.5:
                off = sorted(off, key=lambda j: -self.size[j] * (0.7 + 0.6 * self.rng.random()))
            else:
                off = self.rng.permutation(np.array(off)).tolist()
        walk = bool(self.rng.random() < WALKS)
        for j in off:
            self.board.place(j, walk=walk)

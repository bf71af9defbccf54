"""Better schedules from good ones: take some jobs off, put them back another way, keep what is better.

Large neighbourhood search (Shaw 1998): what is taken off is a crowd of jobs that share cells, around a job
that pays more than its cheapest schedule at the prices of the relaxation, or around a place and time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from formulations.schedule.board import Board
from formulations.schedule.cheapest import Best
from formulations.schedule.pricing import Candidate
from mlsysim.core.schedule.types import Indices

# What a job that is left out costs by its size, in multiples of the dearest.
LEFT_OUT = 5.0


class Search:
    """Improves the schedule on a board."""

    def __init__(self, board: Board, wanted: list[Best], seed: int) -> None:
        """Begin.

        Args:
            board: with a schedule on it, complete or not.
            wanted: the cheapest schedule of each job at the relaxation's prices.
            seed: of all choices.
        """
        self.board, self.fleet = board, board.fleet
        self.rng: Generator = np.random.default_rng(seed)
        pricer = board.pricer
        self.wanted = [pricer.candidate(j, runs) if runs else None for j, (_, runs) in enumerate(wanted)]
        self.least = np.array([0.0 if c is None else c.takes.objective for c in self.wanted])
        self.size = np.array([float(j.options[0].count * j.options[0].slots) for j in self.fleet.jobs])
        # a job that is left out costs by its size, so that large ones are placed at the cost of small
        dearest = float(np.max(np.abs(self.least) / np.maximum(self.size, 1e-9), initial=1e-9))
        self.penalty = LEFT_OUT * dearest * np.maximum(self.size, 1e-3 * self.size.max())
        self.forced: Candidate | None = None
        self._locate()

    def merit(self) -> float:
        """Return the objective with what is left out and overrun."""
        left = sum(p for c, p in zip(self.board.placed, self.penalty.tolist(), strict=True) if c is None)
        overrun = 10.0 * float(self.penalty.max()) * self.board.over
        return float(self.board.objective + left + overrun)

    def run(self, steps: int, stop: Callable[[], bool], warmth: float = 0.0) -> float:
        """Take so many steps; return the merit.

        Args:
            steps: how many.
            stop: ends the run early.
            warmth: how much worse than before a step may be, as a share of a job's mean.
        """
        board = self.board
        now = best = self.merit()
        saved = list(board.placed)
        mean = max(1e-9, abs(board.objective) / max(1, len(self.fleet.jobs)))
        for i in range(steps):
            if stop():
                break
            off = self._crowd()
            before = [(j, board.take(j)) for j in off]
            self._refill(off)
            new = self.merit()
            heat = warmth * mean * (1.0 - i / steps)
            if new <= now + 1e-12 - heat * np.log(max(1e-12, self.rng.random())):
                now = new
                if now < best - 1e-9 * mean:
                    best, saved = now, list(board.placed)
            else:
                for j in off:
                    board.take(j)
                for _, candidate in before:
                    if candidate is not None:
                        board.put(candidate)
        if now > best:
            self.restore(saved)
        return best

    def restore(self, placed: list[Candidate | None]) -> None:
        """Put the board back to a schedule."""
        for j in range(len(placed)):
            self.board.take(j)
        for candidate in placed:
            if candidate is not None:
                self.board.put(candidate)

    def _crowd(self) -> list[int]:
        """Return jobs to take off together, the one that it is about first."""
        placed = self.board.placed
        missing = [j for j, c in enumerate(placed) if c is None]
        count = int(self.rng.integers(2, 12))
        pick = self.rng.random()
        if missing and pick < 0.7:
            return self._evicted(missing[int(self.rng.integers(len(missing)))], count)
        if pick < 0.6:
            return self._evicted(self._dear(), count)
        if pick < 0.85:
            return self._around(self._dear(), count)
        there = [j for j, c in enumerate(placed) if c is not None]
        return [int(j) for j in self.rng.choice(there, size=min(count, len(there)), replace=False)]

    def _dear(self) -> int:
        """Return a job, drawn by what it pays over its cheapest schedule."""
        weight = np.array(
            [
                0.0 if c is None else max(0.0, c.takes.objective - low)
                for c, low in zip(self.board.placed, self.least, strict=True)
            ]
        )
        weight += 1e-12
        return int(self.rng.choice(weight.size, p=weight / weight.sum()))

    def _holders(self, c: Candidate) -> Indices:
        """Return the jobs that run where and when a schedule does, in random order."""
        near = np.zeros(len(self.board.placed), dtype=bool)
        for run in c.runs:
            first, last = int(run.slots[0]), int(run.slots[-1])
            near |= (self.where == run.region) & (self.begin <= last) & (self.end >= first)
        near[c.job] = False
        return self.rng.permutation(np.flatnonzero(near))

    def _locate(self) -> None:
        """Note where and when each job runs; of several runs the first region."""
        self.where = np.full(len(self.board.placed), -1, dtype=np.int64)
        self.begin, self.end = self.where.copy(), self.where.copy()
        for j, c in enumerate(self.board.placed):
            if c is not None:
                self.where[j] = c.runs[0].region
                self.begin[j] = min(int(r.slots[0]) for r in c.runs)
                self.end[j] = max(int(r.slots[-1]) for r in c.runs)

    def _evicted(self, seed: int, most: int) -> list[int]:
        """Return a job, and others that have to go so that it fits somewhere that is drawn."""
        self._locate()
        board = self.board
        own = board.take(seed)
        c = board.wish(seed, self.rng)
        off = [seed]
        if c is not None:
            taken = []
            for j in self._holders(c).tolist():
                if board.fits(c):
                    break
                taken.append(board.take(j))
                off.append(j)
            for other in taken:
                if other is not None:
                    board.put(other)
            self.forced = c if len(off) <= most + 8 else None
        if own is not None:
            board.put(own)
        return off if len(off) <= most + 8 else off[:most]

    def _around(self, seed: int, count: int) -> list[int]:
        """Return a job and some that run where and when it does, or would like to."""
        self._locate()
        wish, own = self.wanted[seed], self.board.placed[seed]
        anchor = own if own is not None and (wish is None or self.rng.random() < 0.5) else wish
        if anchor is None:
            return [seed]
        return [seed, *self._holders(anchor)[: count - 1].tolist()]

    def _refill(self, off: list[int]) -> None:
        """Put jobs back, in an order that is drawn; the first where it was wished, if it was."""
        if self.forced is not None and self.board.fits(self.forced):
            self.board.put(self.forced)
            off = off[1:]
        self.forced = None
        if not off:
            return
        pick = self.rng.random()
        if pick < 0.4:
            order = sorted(off, key=lambda j: -self.size[j] * (0.7 + 0.6 * self.rng.random()))
        elif pick < 0.7:
            order = [off[0], *self.rng.permutation(np.array(off[1:], dtype=np.int64)).tolist()]
        else:
            order = self.rng.permutation(np.array(off)).tolist()
        for j in order:
            candidate = self.board.find(int(j))
            if candidate is not None:
                self.board.put(candidate)

"""Which jobs to take off together: those that pay more than they would have to, and who is in their way."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from formulations.schedule.board import Board
from formulations.schedule.cheapest import Best
from formulations.schedule.fields import Multipliers
from formulations.schedule.pricing import Candidate, Tariff
from mlsysim.core.schedule.types import Floats, Indices, Mask, Run


class Crowds:
    """Draws jobs of a board by their part of the gap.

    Attributes:
        part: what each job costs by the prices over the cheapest, once :meth:`weigh` was called.
    """

    def __init__(self, board: Board, rng: Generator) -> None:
        self.board, self.fleet, self.rng = board, board.fleet, rng
        self.pinned: set[int] = set()
        spans, jobs = board.pricer.spans, self.fleet.jobs
        self.powered = [bool(row.any()) for row in np.isfinite(self.fleet.places.power)]
        self.first = np.array([span.first for span in spans])
        self.last = np.array([span.end for span in spans])
        self.able = np.zeros((len(jobs), board.cells.types + 1), dtype=bool)
        self.able[:, -1] = True
        for j, job in enumerate(jobs):
            self.able[j, [o.hardware for o in job.options]] = True

    def judge(self, prices: Multipliers, wanted: list[Best]) -> None:
        """Look at schedules by the prices of a bound; see :meth:`Search.judge`."""
        pricer = self.board.pricer
        self.best = np.array([cost for cost, _ in wanted])
        self.wanted = [pricer.candidate(j, runs) if runs else None for j, (_, runs) in enumerate(wanted)]
        self.tariff = Tariff(pricer.cells, prices)
        self.priced = np.flatnonzero(self.tariff.cells > 0.0)
        self.part = np.zeros(len(self.best))
        self.board.changed.update(range(len(self.best)))

    def weigh(self) -> Floats:
        """Bring the parts of jobs up to date."""
        board = self.board
        for j in board.changed:
            c = board.placed[j]
            self.part[j] = 0.0 if c is None else max(0.0, self.tariff.of(c) - self.best[j])
        board.changed.clear()
        return self.part

    def dear(self) -> int:
        """Return a job, drawn by its part of the gap."""
        return self.drawn(self.weigh())

    def drawn(self, weight: Floats) -> int:
        """Return a number, drawn by weight."""
        sums = np.cumsum(weight + 1e-12)
        return int(min(np.searchsorted(sums, self.rng.random() * sums[-1]), sums.size - 1))

    def hole(self) -> tuple[int, int] | None:
        """Return a job and a region for it, drawn by what stands empty there at the prices."""
        board, part = self.board, self.weigh()
        empty = self.tariff.cells[self.priced] * np.maximum(board.free(self.priced), 0.0)
        if not empty.any():
            return None
        layer, rest = divmod(int(self.priced[self.drawn(empty)]), board.cells.regions * board.cells.slots)
        region, slot = divmod(rest, board.cells.slots)
        fits = self.able[:, layer] & (self.first <= slot) & (slot < self.last) & (board.where != region)
        if not fits.any():
            return None
        j = self.drawn(np.where(fits, part + 1e-3 * part.mean(), 0.0))
        return (j, region) if fits[j] else None

    def holders(self, c: Candidate) -> Indices:
        """Return the jobs that run where and when a schedule does, and on the same, in random order."""
        near: Mask = np.zeros(len(self.board.placed), dtype=bool)
        for run in c.runs:
            near |= self._there(c.job, run, int(run.slots[0]), int(run.slots[-1]))
        near[c.job] = False
        near[list(self.pinned)] = False
        return self.rng.permutation(np.flatnonzero(near))

    def _there(self, j: int, run: Run, first: int, last: int) -> Mask:
        board = self.board
        there: Mask = (board.where == run.region) & (board.begin <= last) & (board.end >= first)
        if not self.powered[run.region]:
            there &= board.on == self.fleet.jobs[j].options[run.option].hardware
        return there

    def in_the_way(self, c: Candidate) -> Indices:
        """Return the jobs that run where and when there is no room for a schedule, in random order."""
        if len(c.runs) > 1:
            return self.holders(c)
        t, run = c.takes, c.runs[0]
        short = np.flatnonzero(self.board.room[t.cells] < t.held) % run.slots.size
        if not short.size:
            return short
        there = self._there(c.job, run, int(run.slots[short.min()]), int(run.slots[short.max()]))
        there[c.job] = False
        there[list(self.pinned)] = False
        return self.rng.permutation(np.flatnonzero(there))

    def around(self, seed: int, count: int) -> list[int]:
        """Return a job and some that run where and when it does, or would like to."""
        wish, own = self.wanted[seed], self.board.placed[seed]
        anchor = own if own is not None and (wish is None or self.rng.random() < 0.5) else wish
        if anchor is None:
            return [seed]
        return [seed, *self.holders(anchor)[: count - 1].tolist()]

    def some(self, count: int) -> list[int]:
        """Return some jobs that are placed, all alike likely."""
        there = np.flatnonzero(self.board.where >= 0)
        drawn: list[int] = self.rng.permutation(there)[:count].tolist()
        return drawn

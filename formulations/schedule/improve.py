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
from formulations.schedule.fields import Multipliers
from formulations.schedule.pricing import Candidate
from mlsysim.core.schedule.types import Floats, Indices, Mask

# What a job that is left out costs by its size, in multiples of the dearest.
LEFT_OUT = 5.0
# What a cap overrun by all of itself costs at least, as a share of what the jobs cost.
OVERRUN = 0.1


class Search:
    """Improves the schedule on a board.

    Attributes:
        press: by how much more than its price a unit beyond a cap costs.
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
        self.powered = [bool(row.any()) for row in np.isfinite(self.fleet.places.power)]
        self.press = 1.0
        self.forced: Candidate | None = None
        self._reach()
        self.judge(prices, wanted)

    def judge(self, prices: Multipliers, wanted: list[Best]) -> None:
        """Look at schedules by the prices of a bound.

        Args:
            prices: of the limits, of the relaxation.
            wanted: the cheapest schedule of each job at these prices.
        """
        f, pricer = self.fleet, self.board.pricer
        self.prices, self.best = prices, np.array([cost for cost, _ in wanted])
        self.wanted = [pricer.candidate(j, runs) if runs else None for j, (_, runs) in enumerate(wanted)]
        self.cell_price = pricer.cells.prices(prices)
        self.judged: list[Candidate | None] = [None] * len(f.jobs)
        self.part = np.zeros(len(f.jobs))
        least = np.array([0.0 if c is None else abs(c.takes.objective) for c in self.wanted])
        # a job that is left out costs by its size, so that large ones are placed at the cost of small
        dearest = float(np.max(least / np.maximum(self.size, 1e-9), initial=1e-9))
        self.penalty = LEFT_OUT * dearest * np.maximum(self.size, 1e-3 * self.size.max())
        # what a unit beyond a cap costs: its price at the bound, and never nothing
        some = OVERRUN * float(least.sum())
        priced = np.array([prices.cost, prices.carbon, prices.water])
        self.fine = np.maximum(priced, some / _at_least(f.caps.totals))
        self.regional = np.maximum(prices.region_carbon, some / _at_least(f.places.carbon_cap))

    def _reach(self) -> None:
        """Note when each job may run, and in which layers of cells it may hold something."""
        spans, jobs = self.board.pricer.spans, self.fleet.jobs
        self.first = np.array([span.first for span in spans])
        self.last = np.array([span.end for span in spans])
        self.able = np.zeros((len(jobs), self.board.cells.types + 1), dtype=bool)
        self.able[:, -1] = True
        for j, job in enumerate(jobs):
            self.able[j, [o.hardware for o in job.options]] = True

    def merit(self) -> float:
        """Return the objective with what is left out and overrun."""
        left = float(self.penalty[self.board.where < 0].sum())
        totals, emitted = self.board.excess
        overrun = self.press * (totals @ self.fine + emitted @ self.regional)
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
        off = self.board.where < 0
        missing = np.flatnonzero(off)
        count = int(self.rng.integers(2, 12))
        pick = self.rng.random()
        if missing.size and pick < 0.7:
            return self._evicted(int(self.rng.choice(missing)), count)
        if pick < 0.35:
            return self._evicted(self._dear(), count)
        if pick < 0.6:
            self._dear()
            hole = self._hole()
            if hole is not None:
                return self._evicted(hole[0], count, hole[1])
        if pick < 0.85:
            return self._around(self._dear(), count)
        there = np.flatnonzero(~off)
        return [int(j) for j in self.rng.choice(there, size=min(count, there.size), replace=False)]

    def _dear(self) -> int:
        """Return a job, drawn by its part of the gap: what it costs, by prices, over the cheapest."""
        for j, c in enumerate(self.board.placed):
            if c is not self.judged[j]:
                self.judged[j] = c
                self.part[j] = 0.0 if c is None else max(0.0, self._priced(c) - self.best[j])
        return self._drawn(self.part)

    def _priced(self, c: Candidate) -> float:
        """Return what a schedule costs by the objective and the prices of the limits."""
        t, m = c.takes, self.prices
        caps = m.cost * t.totals[0] + (m.carbon + m.job_carbon[c.job]) * t.totals[1] + m.water * t.totals[2]
        caps += float(m.region_carbon[t.regions] @ t.emitted)
        return float(t.objective + caps + self.cell_price[t.cells] @ t.held)

    def _drawn(self, weight: Floats) -> int:
        sums = np.cumsum(weight + 1e-12)
        return int(min(np.searchsorted(sums, self.rng.random() * sums[-1]), sums.size - 1))

    def _hole(self) -> tuple[int, int] | None:
        """Return a job and a region for it, drawn by what stands empty there at the prices."""
        board = self.board
        empty = self.cell_price * np.where(self.cell_price > 0.0, np.maximum(board.free, 0.0), 0.0)
        by_region = empty.reshape(-1, board.cells.regions, board.cells.slots)
        layer, region = divmod(self._drawn(by_region.sum(axis=2).reshape(-1)), board.cells.regions)
        slot = self._drawn(by_region[layer, region])
        fits = self.able[:, layer] & (self.first <= slot) & (slot < self.last) & (board.where != region)
        if not fits.any():
            return None
        j = self._drawn(np.where(fits, self.part + 1e-3 * self.part.mean(), 0.0))
        return (j, region) if fits[j] else None

    def _holders(self, c: Candidate) -> Indices:
        """Return the jobs that run where and when a schedule does, and on the same, in random order."""
        board, options = self.board, self.fleet.jobs[c.job].options
        near: Mask = np.zeros(len(board.placed), dtype=bool)
        for run in c.runs:
            first, last = int(run.slots[0]), int(run.slots[-1])
            there: Mask = (board.where == run.region) & (board.begin <= last) & (board.end >= first)
            if not self.powered[run.region]:
                there &= board.on == options[run.option].hardware
            near |= there
        near[c.job] = False
        return self.rng.permutation(np.flatnonzero(near))

    def _evicted(self, seed: int, most: int, region: int | None = None) -> list[int]:
        """Return a job, and others that have to go so that it fits somewhere that is drawn."""
        board = self.board
        own = board.take(seed)
        c = board.wish(seed, self.rng, region)
        off = [seed]
        if c is not None:
            taken: list[Candidate] = []
            for j in self._holders(c).tolist():
                if board.fits(c):
                    break
                other = board.take(j)
                assert other is not None
                taken.append(other)
            if board.fits(c):  # who does not stand in the way stays
                board.put(c)
                for other in taken:
                    if board.fits(other):
                        board.put(other)
                    else:
                        off.append(other.job)
                board.take(seed)
                for j in off[1:]:
                    board.put(next(other for other in taken if other.job == j))
            else:
                for other in taken:
                    board.put(other)
            self.forced = c if len(off) <= most + 8 else None
        if own is not None:
            board.put(own)
        return off if len(off) <= most + 8 else off[:most]

    def _around(self, seed: int, count: int) -> list[int]:
        """Return a job and some that run where and when it does, or would like to."""
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


def _at_least(cap: Floats) -> Floats:
    """Return caps to divide by: a cap of nothing is a small one."""
    finite = cap[np.isfinite(cap) & (cap > 0.0)]
    least: Floats = np.maximum(cap, 1e-6 * float(finite.max(initial=1.0)))
    return least

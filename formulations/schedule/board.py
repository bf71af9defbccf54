"""A board of what is free: jobs are put on it and taken off, and find the cheapest place that has room."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from formulations.schedule.cheapest import INF, Best
from formulations.schedule.fields import Fields, Multipliers
from formulations.schedule.finding import Finder
from formulations.schedule.pricing import Candidate, Pricer, Takes, Tariff
from mlsysim.core.schedule.types import Floats, Indices, Schedule

ROUNDING = 1e-9


class Board:
    """A schedule in the making, with what is left in every cell.

    Prices are those of the objective plus those of multipliers, which steer jobs away from cells that
    others need.

    Attributes:
        room: what is left in each cell, and a little for rounding.
        placed: the schedule of each job; None while it is off.
        where, begin, end, on: region and type (of several the first), first and last slot of each; -1
            while off.
        missing: jobs that are off; ``changed``, those put or taken since somebody emptied it.
        totals: cost, carbon and water of what is placed.
    """

    def __init__(self, pricer: Pricer, guide: Multipliers | None = None) -> None:
        self.pricer, self.fleet = pricer, pricer.fleet
        self.cells = pricer.cells
        supply = self.cells.supply
        self.slack: Floats = ROUNDING * np.where(np.isfinite(supply), np.maximum(supply, 1.0), 1.0)
        self.room: Floats = supply + self.slack
        jobs = len(self.fleet.jobs)
        self.placed: list[Candidate | None] = [None] * jobs
        self.missing, self.changed = set(range(jobs)), set(range(jobs))
        self.where: Indices = np.full(jobs, -1, dtype=np.int64)
        self.begin, self.end, self.on = self.where.copy(), self.where.copy(), self.where.copy()
        self.objective = 0.0
        self.totals = [0.0, 0.0, 0.0]
        self.emitted = np.zeros(len(self.fleet.places.names))
        self._caps = self.fleet.caps.totals.tolist()
        self._regional = bool(np.isfinite(self.fleet.places.carbon_cap).any())
        self.guided(guide or Multipliers.none(self.fleet))

    def guided(self, guide: Multipliers) -> None:
        """Take new prices; what is placed stays."""
        shape = (self.cells.types + 1, self.cells.regions, self.cells.slots)
        self.tariff = Tariff(self.cells, guide)
        self.finder = Finder(self.pricer, Fields.of(self.fleet, guide), self.room.reshape(shape))

    def free(self, cells: Indices) -> Floats:
        """Return what is left in cells."""
        left: Floats = self.room[cells] - self.slack[cells]
        return left

    def put(self, candidate: Candidate) -> None:
        """Place a job."""
        t, j = candidate.takes, candidate.job
        self.placed[j] = candidate
        self.missing.discard(j)
        first = candidate.runs[0]
        self.where[j], self.on[j] = first.region, self.fleet.jobs[j].options[first.option].hardware
        self.begin[j], self.end[j] = t.begin, t.end
        self._count(j, t, 1.0)

    def take(self, j: int) -> Candidate | None:
        """Take a job off, if it is placed."""
        candidate = self.placed[j]
        if candidate is not None:
            self.placed[j] = None
            self.missing.add(j)
            self.where[j] = self.begin[j] = self.end[j] = self.on[j] = -1
            self._count(j, candidate.takes, -1.0)
        return candidate

    def _count(self, j: int, t: Takes, sign: float) -> None:
        self.changed.add(j)
        if t.blocks is not None:
            for first, end, held in t.blocks:
                self.room[first:end] -= sign * held
        elif t.distinct:
            self.room[t.cells] -= sign * t.held
        else:
            np.subtract.at(self.room, t.cells, sign * t.held)
        self.objective += sign * t.objective
        for i, amount in enumerate(t.totals):
            self.totals[i] += sign * amount
        if self._regional:
            np.add.at(self.emitted, t.regions, sign * t.emitted)

    @property
    def over(self) -> bool:
        """Whether a cap is overrun, but for rounding."""
        if any(x > cap + ROUNDING * abs(cap) for x, cap in zip(self.totals, self._caps, strict=True)):
            return True
        cap = self.fleet.places.carbon_cap
        return self._regional and bool((self.emitted > cap * (1.0 + ROUNDING)).any())

    def fits(self, candidate: Candidate) -> bool:
        """Return whether there is room for a schedule of a job that is not placed."""
        t = candidate.takes
        if t.blocks is not None:
            return all(self.room[first:end].min() >= held for first, end, held in t.blocks)
        if not t.distinct:  # several options may share a cell of power
            cells, index = np.unique(t.cells, return_inverse=True)
            together = np.bincount(index, weights=t.held)
            return bool((self.room[cells] >= together).all())
        return bool((self.room[t.cells] >= t.held).all())

    def complete(self) -> bool:
        """Return whether every job is placed."""
        return not self.missing

    def schedule(self) -> Schedule:
        """Return the schedule as it is."""
        return Schedule(tuple(() if c is None else c.runs for c in self.placed))

    def find(self, j: int, *, walk: bool = True) -> Candidate | None:
        """Return the cheapest schedule of a job that has room, by the board's prices.

        Of a job that moves, without ``walk``, the cheapest in a single region.
        """
        candidate = self._allowed(j, self.finder.find(j, walk=walk))
        if candidate is None or candidate.takes.distinct or self.fits(candidate):
            return candidate
        # options that share a cell took the same room twice
        single = [self._allowed(j, found) for found in self.finder.one_option(j)]
        return min((c for c in single if c is not None), key=lambda c: c.takes.objective, default=None)

    def place(self, j: int, *, walk: bool = True) -> None:
        """Put a job where it is cheapest and there is room; it stays off where there is none."""
        candidate = self.find(j, walk=walk)
        if candidate is not None:
            self.put(candidate)

    def wish(self, j: int, rng: Generator, region: int | None, limit: float) -> Candidate | None:
        """Return a good schedule of a job as if it were alone; see :meth:`Finder.wish`."""
        return self._allowed(j, self.finder.wish(j, rng, region, limit))

    def _allowed(self, j: int, found: Best) -> Candidate | None:
        """Return a schedule with what it takes; None if there is none, or beyond its job's cap."""
        cost, runs = found
        if not runs or cost == INF:
            return None
        candidate = self.pricer.candidate(j, runs)
        cap = self.fleet.jobs[j].carbon_cap
        return None if candidate.takes.totals[1] > cap * (1 + ROUNDING) else candidate

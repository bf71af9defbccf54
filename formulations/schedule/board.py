"""A board of what is free: jobs are put on it and taken off, and find the cheapest place that has room."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from formulations.schedule import cheapest
from formulations.schedule.cheapest import NOTHING, Best, windows
from formulations.schedule.fields import Fields, Multipliers
from formulations.schedule.pricing import Candidate, Pricer
from mlsysim.core.schedule.types import Fleet, Floats, Indices, Mask, Run, Schedule

ROUNDING = 1e-9
# Regions between which the board looks for walks.
NEAR = 10
INF = float("inf")


class Board:
    """A schedule in the making, with what is left in every cell.

    Prices are those of the objective plus those of multipliers, which steer jobs away from cells that
    others need.

    Attributes:
        free: what is left in each cell.
        placed: the schedule of each job; None while it is off.
        where, begin, end, on: region and type (of several the first), first and last slot of each; -1
            while off.
    """

    def __init__(self, pricer: Pricer, guide: Multipliers | None = None) -> None:
        self.pricer, self.fleet = pricer, pricer.fleet
        self.cells = pricer.cells
        self.free: Floats = self.cells.supply.copy()
        self.slack: Floats = ROUNDING * np.where(np.isfinite(self.free), np.maximum(self.free, 1.0), 1.0)
        jobs = len(self.fleet.jobs)
        self.placed: list[Candidate | None] = [None] * jobs
        self.where: Indices = np.full(jobs, -1, dtype=np.int64)
        self.begin, self.end, self.on = self.where.copy(), self.where.copy(), self.where.copy()
        self.objective = 0.0
        self.totals = np.zeros(3)
        self.emitted = np.zeros(len(self.fleet.places.names))
        self.guided(guide or Multipliers.none(self.fleet))

    def guided(self, guide: Multipliers) -> None:
        """Take new prices; what is placed stays."""
        self.fields = Fields.of(self.fleet, guide)
        self._grids: dict[int, list[Floats]] = {}
        self._once: dict[int, list[Floats]] = {}

    def put(self, candidate: Candidate) -> None:
        """Place a job."""
        t, j = candidate.takes, candidate.job
        self.placed[j] = candidate
        first = candidate.runs[0]
        self.where[j], self.on[j] = first.region, self.fleet.jobs[j].options[first.option].hardware
        self.begin[j] = min(int(run.slots[0]) for run in candidate.runs)
        self.end[j] = max(int(run.slots[-1]) for run in candidate.runs)
        np.subtract.at(self.free, t.cells, t.held)
        self.objective += t.objective
        self.totals += t.totals
        np.add.at(self.emitted, t.regions, t.emitted)

    def take(self, j: int) -> Candidate | None:
        """Take a job off, if it is placed."""
        candidate = self.placed[j]
        if candidate is not None:
            t = candidate.takes
            self.placed[j] = None
            self.where[j] = self.begin[j] = self.end[j] = self.on[j] = -1
            np.add.at(self.free, t.cells, t.held)
            self.objective -= t.objective
            self.totals -= t.totals
            np.subtract.at(self.emitted, t.regions, t.emitted)
        return candidate

    @property
    def excess(self) -> tuple[Floats, Floats]:
        """By how much the caps are overrun: cost, carbon and water of all jobs, and carbon by region."""
        f = self.fleet
        return _excess(self.totals, f.caps.totals), _excess(self.emitted, f.places.carbon_cap)

    @property
    def over(self) -> bool:
        """Whether a cap is overrun."""
        return any(bool(x.any()) for x in self.excess)

    def fits(self, candidate: Candidate) -> bool:
        """Return whether there is room for a schedule of a job that is not placed."""
        t = candidate.takes
        if self.fleet.jobs[candidate.job].kind == "split":  # several options may share a cell of power
            cells, index = np.unique(t.cells, return_inverse=True)
            together = np.bincount(index, weights=t.held)
            return bool((self.free[cells] + self.slack[cells] >= together).all())
        return bool((self.free[t.cells] + self.slack[t.cells] >= t.held).all())

    def complete(self) -> bool:
        """Return whether every job is placed."""
        return bool((self.where >= 0).all())

    def schedule(self) -> Schedule:
        """Return the schedule as it is."""
        return Schedule(tuple(() if c is None else c.runs for c in self.placed))

    def find(self, j: int) -> Candidate | None:
        """Return the cheapest schedule of a job that has room, by the board's prices."""
        _, runs = self._find(j)
        if not runs:
            return None
        candidate = self.pricer.candidate(j, runs)
        if self.fleet.jobs[j].kind == "split" and not self.fits(candidate):
            return self._one_option(j)  # options that share a cell took the same room twice
        cap = self.fleet.jobs[j].carbon_cap
        if candidate.takes.totals[1] > cap * (1 + ROUNDING):
            return None
        return candidate

    def _one_option(self, j: int) -> Candidate | None:
        """Return the cheapest shares of a job within a single option."""
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        rooms, best = self._room(j), None
        for k in range(len(job.options)):
            only = [room if i == k else np.zeros_like(room) for i, room in enumerate(rooms)]
            _, runs = cheapest.split(span, job, self._grids[j], self._once[j], only)
            candidate = self.pricer.candidate(j, runs) if runs else None
            if candidate is None or candidate.takes.totals[1] > job.carbon_cap * (1 + ROUNDING):
                continue
            if best is None or candidate.takes.objective < best.takes.objective:
                best = candidate
        return best

    def wish(self, j: int, rng: Generator, region: int | None = None) -> Candidate | None:
        """Return a good schedule of a job as if it were alone, in a region or in some that are drawn."""
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        if not span.regions.size:
            return None
        self._prepare(j)
        if region is None:
            keep = rng.random((span.regions.size, 1)) < rng.choice([0.1, 0.3, 1.0])
            keep[int(rng.integers(span.regions.size))] = True
        else:
            keep = (span.regions == region)[:, None]
        grids = [np.where(keep, g, INF) for g in self._grids[j]]
        if job.kind == "rigid":
            found, runs = self._cheapest_window(j, grids)
        elif job.kind == "move":
            found, runs = self._walk(j, grids)
        else:
            found, runs = {"pause": cheapest.pause, "split": cheapest.split}[job.kind](
                span, job, grids, self._once[j]
            )
        if not runs or found == INF:
            return None
        candidate = self.pricer.candidate(j, runs)
        return None if candidate.takes.totals[1] > job.carbon_cap * (1 + ROUNDING) else candidate

    def _prepare(self, j: int) -> None:
        """Fill the prices of a job on its block; of a rigid job, by window."""
        if j in self._grids:
            return
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        grids = self.pricer.grids(j, self.fields)
        fetched = job.kind != "move"
        once = self._once[j] = [self.fields.once(j, job, o, fetched=fetched) for o in job.options]
        if job.kind == "rigid":
            grids = [
                windows(span, k, g, o.slots) + once[k][span.regions][:, None]
                if o.slots <= g.shape[1]
                else g[:, :0]
                for k, (g, o) in enumerate(zip(grids, job.options, strict=True))
            ]
        self._grids[j] = grids

    def _find(self, j: int) -> Best:
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        if not span.regions.size:
            return NOTHING
        self._prepare(j)
        if job.kind == "rigid":
            return self._window(j)
        if job.kind == "split":
            return cheapest.split(span, job, self._grids[j], self._once[j], self._room(j))
        grids = [np.where(self._shut(j, k), INF, g) for k, g in enumerate(self._grids[j])]
        if job.kind == "pause":
            return cheapest.pause(span, job, grids, self._once[j])
        return self._walk(j, grids)

    def _walk(self, j: int, grids: list[Floats]) -> Best:
        """Return a cheap walk: over the regions that would be cheapest to stay in, since few others help."""
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        if span.regions.size <= NEAR:
            return self.pricer.walk(j, self.fields, grids)
        stays = np.full(span.regions.size, INF)
        for grid, option in zip(grids, job.options, strict=True):
            if option.slots <= grid.shape[1]:
                open_ = np.where(np.isfinite(grid), grid, 1e30)
                once = self.fields.once(j, job, option)[span.regions]
                stays = np.minimum(stays, cheapest.least(open_, option.slots) + once)
        return self.pricer.walk(j, self.fields, grids, np.sort(np.argpartition(stays, NEAR)[:NEAR]))

    def _window(self, j: int) -> Best:
        """Return the cheapest window of a rigid job that is free throughout."""
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        open_costs = []
        for k, (option, costs) in enumerate(zip(job.options, self._grids[j], strict=True)):
            d = option.slots
            free = costs
            if costs.size:
                counts = np.zeros((span.regions.size, span.end - span.first + 1), dtype=np.int32)
                np.cumsum(self._shut(j, k), axis=1, out=counts[:, 1:])
                free = np.where(counts[:, d:] == counts[:, :-d], costs, INF)
            open_costs.append(free)
        return self._cheapest_window(j, open_costs)

    def _cheapest_window(self, j: int, by_option: list[Floats]) -> Best:
        """Return the cheapest window, given the price of each by region and first slot."""
        span, found, at = self.pricer.spans[j], INF, (0, 0, 0)
        for k, costs in enumerate(by_option):
            if not costs.size:
                continue
            i = int(costs.argmin())
            if costs.flat[i] < found:
                found, at = float(costs.flat[i]), (k, *divmod(i, costs.shape[1]))
        if found == INF:
            return NOTHING
        k, r, s = at
        first = span.first + s
        slots = np.arange(first, first + self.fleet.jobs[j].options[k].slots)
        return found, (Run(int(span.regions[r]), k, slots, np.ones(slots.size)),)

    def _shut(self, j: int, k: int) -> Mask:
        """Return the cells of a job's block that have no room for an option."""
        option, span = self.fleet.jobs[j].options[k], self.pricer.spans[j]
        shape = (self.cells.types + 1, self.cells.regions, self.cells.slots)
        free = (self.free + self.slack).reshape(shape)[:, :, span.first : span.end]
        held, power = free[option.hardware], free[-1]
        if span.regions.size != self.cells.regions:
            held, power = held[span.regions], power[span.regions]
        shut: Mask = held < option.count
        shut |= power < (option.power * self.fleet.places.pue[span.regions])[:, None]
        return shut

    def _room(self, j: int) -> list[Floats]:
        """Return the largest share of a split job that each cell has room for."""
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        shape = (self.cells.types + 1, self.cells.regions, self.cells.slots)
        free = np.maximum(self.free, 0.0).reshape(shape)[:, span.regions, span.first : span.end]
        pue = self.fleet.places.pue[span.regions][:, None]
        rooms = []
        for o in job.options:
            room = np.ones(free.shape[1:])
            if o.count > 0:
                room = np.minimum(room, free[o.hardware] / o.count)
            if o.power > 0:
                room = np.minimum(room, free[-1] / (o.power * pue))
            rooms.append(room)
        return rooms


def _excess(taken: Floats, cap: Floats) -> Floats:
    """Return what is taken beyond each cap, but for rounding."""
    limit = np.where(np.isfinite(cap), cap, INF)
    beyond: Floats = np.where(taken > limit + ROUNDING * np.abs(cap), taken - limit, 0.0)
    return beyond


def first_fit(board: Board, order: list[int]) -> bool:
    """Place jobs one by one where they are cheapest; return whether all found room."""
    for j in order:
        candidate = board.find(j)
        if candidate is not None:
            board.put(candidate)
    return board.complete()


def by_size(fleet: Fleet) -> list[int]:
    """Return the jobs, those that are hardest to place first."""

    def size(j: int) -> tuple[float, float]:
        job = fleet.jobs[j]
        o = job.options[0]
        window = max(1, job.deadline - int(job.ready.min()))
        return (-(o.count * o.slots) / window * 1.0, -o.count)

    rank = {"rigid": 0, "pause": 1, "move": 1, "split": 2}
    return sorted(range(len(fleet.jobs)), key=lambda j: (rank[fleet.jobs[j].kind] == 2, *size(j)))

"""The linear relaxation over whole schedules of jobs, by column and row generation.

A column is a schedule of one job. Rows of capacity come in when they are broken. At every set of prices
the cheapest schedules of all jobs give a lower bound (Lagrange), whatever the program has seen; prices are
a mix of the program's and of those with the best bound so far (Wentges 1997), which steadies them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from formulations.engines.base import Options
from formulations.engines.lp import Growing
from formulations.schedule.ascent import SOON, Pace, Step, ascend
from formulations.schedule.cheapest import Best
from formulations.schedule.fields import Multipliers
from formulations.schedule.pricing import Candidate, Pricer
from mlsysim.core.schedule.types import Floats, Indices

INF = float("inf")
# A column comes in if it would lower the objective by more than this share of a job's mean.
WORTHWHILE = 1e-7
BROKEN = 1e-7
# Steps of ascent at a time, and what they have to bring, as a share of the gap asked for, to go on.
ASCENT, RISING = 120, 0.01


def _never() -> bool:
    return False


class Relaxation:
    """Grows a linear program until its value and the bound meet.

    Attributes:
        bound: no schedule is better; ``at`` are the multipliers that prove it, and ``cheapest`` the
            cheapest schedule of each job there.
        value: of the program; None while it leaves ``unplaced`` jobs out, in shares.
        rounds: of pricing.
    """

    def __init__(self, pricer: Pricer, options: Options, pace: Pace = SOON) -> None:
        """Begin without prices.

        Args:
            pricer: of the fleet.
            options: limits and tolerances.
            pace: of the ascent.
        """
        self.pricer, self.fleet, self.options, self.pace = pricer, pricer.fleet, options, pace
        self.pool: list[Candidate] = []
        self.x: Floats = np.zeros(0)
        self.bound, self.at = -INF, Multipliers.none(self.fleet)
        self.cheapest: list[Best] = []
        self.value: float | None = None
        self.unplaced = INF
        self.rounds = 0
        self._known: set[tuple[int, bytes]] = set()
        self._entries: list[tuple[Indices, Indices, Floats]] = []
        self._lp: Growing | None = None
        self._ascent: Iterator[Step] | None = None
        self._rising = True

    @property
    def version(self) -> str:
        """Of the solver; empty where it was not asked."""
        return self._lp.version if self._lp else ""

    @property
    def rows(self) -> int:
        """Rows of the program."""
        return self._lp.rows if self._lp else 0

    def add(self, candidates: Iterable[Candidate]) -> int:
        """Add schedules that are new; return how many."""
        fresh = []
        for c in candidates:
            key = (
                c.job,
                b"".join(
                    bytes([run.option % 256])
                    + run.region.to_bytes(4, "little")
                    + run.slots.tobytes()
                    + run.share.tobytes()
                    for run in c.runs
                ),
            )
            if key not in self._known:
                self._known.add(key)
                fresh.append(c)
        if fresh:
            self._insert(fresh)
        return len(fresh)

    def learn(self, multipliers: Multipliers) -> None:
        """Look at other multipliers; if they prove more, they become the best."""
        self._price(multipliers)

    def converged(self, target: float) -> bool:
        """Return whether the program is worth no more, relatively, than the bound."""
        return self.value is not None and self.value - self.bound <= target * abs(self.value)

    def rise(
        self, seconds: float, target: float, best: float | None = None, tell: Callable[[], bool] = _never
    ) -> None:
        """Go on with the ascent while it brings something, then with the linear program, and so in turn.

        Args:
            seconds: for which to go on.
            target: of the program; see :meth:`run`.
            best: objective of a schedule that is known.
            tell: called now and then; ends it if true.
        """
        before, end = self.bound, time.monotonic() + seconds
        if self._rising:
            self.ascend(ASCENT, 1, lambda: tell() or time.monotonic() >= end)
        else:
            self.run(target, best, seconds, tell)
        if self.bound - before <= RISING * self.options.gap * abs(self.bound):
            self._rising = not self._rising

    def run(
        self,
        target: float,
        best: float | None = None,
        seconds: float = INF,
        tell: Callable[[], bool] = _never,
    ) -> None:
        """Solve until the value of the program is within a relative ``target`` of the bound.

        Args:
            target: relative gap.
            best: objective of a schedule that is known; the run also ends once the bound is as near.
            seconds: after which the run ends; the next one goes on from there.
            tell: called after each solution; ends the run if true.
        """
        end = time.monotonic() + seconds
        if not self.cheapest:
            self._price(self.at)
        weight = 0.5
        while True:
            if time.monotonic() >= end or self.options.expired or self.bound == INF:
                break
            solved = self._solve(end)
            if solved is None:
                break
            if tell():
                break
            multipliers, duals = solved
            ends = [value for value in (self.value, best) if value is not None]
            if any(value - self.bound <= target * abs(value) for value in ends):
                break
            before = self.bound
            mixed = _mix(self.at, multipliers, weight)
            found = self._price(mixed)
            if found is None:
                break
            new = self._worthwhile(found, duals)
            if not new and weight > 0.0:  # the mix misled: ask at the program's own prices
                found = self._price(multipliers)
                if found is None:
                    break
                new = self._worthwhile(found, duals)
                if not new and not self._broken().size:
                    break
            weight = min(0.9, weight + 0.1) if self.bound > before else max(0.0, weight - 0.1)

    def ascend(self, steps: int, keep: int, stop: Callable[[], bool] = _never) -> None:
        """Raise the bound by so many steps of ascent; the schedules of the last ``keep`` become columns.

        Asked again, it goes on from where it was.
        """
        recent: deque[list[Candidate]] = deque(maxlen=keep)
        if self._ascent is None:
            self._ascent = ascend(self.pricer, self.at, lambda: self.options.expired, self.pace)
        for i, step in enumerate(self._ascent):
            self.rounds += 1
            recent.append(step.candidates)
            if step.bound > self.bound:
                self.bound, self.at, self.cheapest = step.bound, step.multipliers, step.cheapest
            if i + 1 >= steps or step.bound == INF or stop():
                break
        for candidates in recent:
            self.add(candidates)

    def _price(self, multipliers: Multipliers) -> list[Best] | None:
        found = self.pricer.bound(multipliers, lambda: self.options.expired)
        if found is None:
            return None
        self.rounds += 1
        bound, cheapest = found
        if bound > self.bound:
            self.bound, self.at, self.cheapest = bound, multipliers, cheapest
        return cheapest

    def _worthwhile(self, found: list[Best], duals: Floats) -> bool:
        """Add the schedules that would lower the program's objective; return whether there were any."""
        chosen = []
        for j, (_, runs) in enumerate(found):
            if not runs:
                continue
            c = self.pricer.candidate(j, runs)
            if self._reduced_cost(c, duals) < -WORTHWHILE * self._scale:
                chosen.append(c)
        return self.add(chosen) > 0

    def _reduced_cost(self, c: Candidate, duals: Floats) -> float:
        rows, values = self._column(c)
        return c.takes.objective - float(duals[rows] @ values) * self._scale

    # --- the program -----------------------------------------------------------------------------

    def _start(self, some: list[Candidate]) -> Growing:
        """Begin the program: a row for each job with a column that stands for leaving it out, and caps."""
        f = self.fleet
        jobs = len(f.jobs)
        largest = max(abs(c.takes.objective) for c in some)
        self._scale = max(1e-9, float(np.mean([abs(c.takes.objective) for c in some])))
        self._left_out = 100.0 * max(1.0, largest / self._scale)
        lp = Growing(self.options)
        p, caps = f.places, f.caps
        single = [(("total", i), s) for i, s in enumerate(caps.totals.tolist())]
        single += [(("region", r), float(s)) for r, s in enumerate(p.carbon_cap)]
        single += [(("job", j), job.carbon_cap) for j, job in enumerate(f.jobs)]
        self._caps: list[tuple[tuple[str, int], float]] = [(key, s) for key, s in single if np.isfinite(s)]
        self._cap_row = {key: jobs + i for i, (key, _) in enumerate(self._caps)}
        self._cap_size = np.array([abs(s) or 1.0 for _, s in self._caps])
        low = np.concatenate([np.ones(jobs), np.full(len(self._caps), -INF)])
        high = np.concatenate([np.ones(jobs), np.array([s for _, s in self._caps]) / self._cap_size])
        nothing: Indices = np.zeros(0, dtype=np.int64)
        lp.add_rows(low, high, np.zeros(len(low), dtype=np.int64), nothing, np.zeros(0))
        index = np.arange(jobs)
        lp.add_columns(np.full(jobs, self._left_out), np.full(jobs, INF), index, index, np.ones(jobs))
        self._cell_size = np.where(
            np.isfinite(self.pricer.cells.supply), np.maximum(self.pricer.cells.supply, 1e-9), 1.0
        )
        return lp

    def _column(self, c: Candidate) -> tuple[Indices, Floats]:
        """Return the entries of a schedule in the rows that there are."""
        t = c.takes
        rows, values = [c.job], [1.0]
        base = len(self.fleet.jobs)

        def cap(key: tuple[str, int], amount: float) -> None:
            row = self._cap_row.get(key)
            if row is not None and amount:
                rows.append(row)
                values.append(amount / self._cap_size[row - base])

        for i, amount in enumerate(t.totals):
            cap(("total", i), amount)
        if any(key[0] == "region" for key, _ in self._caps):
            for r in np.unique(t.regions).tolist():
                cap(("region", r), float(t.emitted[t.regions == r].sum()))
        cap(("job", c.job), t.totals[1])
        row = self._cell_row[t.cells]
        there = row >= 0
        if there.any():
            at, index = np.unique(row[there], return_inverse=True)
            amounts = (t.held / self._cell_size[t.cells])[there]
            rows += at.tolist()
            values += np.bincount(index, weights=amounts, minlength=at.size).tolist()
        return np.array(rows, dtype=np.int64), np.array(values)

    def _insert(self, fresh: list[Candidate]) -> None:
        if self._lp is None:
            self._cell_row = np.full(self.pricer.cells.supply.size, -1, dtype=np.int64)
            self._lp = self._start(fresh)
        rows, values, starts, count = [], [], [], 0
        for c in fresh:
            r, v = self._column(c)
            starts.append(count)
            count += r.size
            rows.append(r)
            values.append(v)
            number = len(self.pool)
            self.pool.append(c)
            self._entries.append((c.takes.cells, np.full(c.takes.cells.size, number), c.takes.held))
        cost = np.array([c.takes.objective for c in fresh]) / self._scale
        high = np.full(len(fresh), INF)
        self._lp.add_columns(cost, high, np.array(starts), np.concatenate(rows), np.concatenate(values))

    def _solve(self, end: float) -> tuple[Multipliers, Floats] | None:
        """Solve with all the rows that are broken; return the prices of the limits and the rows' duals.

        None where nothing is found by ``end``.
        """
        assert self._lp is not None
        while True:
            solved = self._lp.solve(max(0.0, end - time.monotonic()))
            if solved is None:
                return None
            objective, x, duals = solved
            jobs = len(self.fleet.jobs)
            self.unplaced = float(x[:jobs].sum())
            self.x = x[jobs:]
            value = (objective - self._left_out * self.unplaced) * self._scale
            self.value = value if self.unplaced <= 1e-9 * jobs else None
            if not self._add_broken():
                return self._multipliers(duals), duals

    def _all_entries(self) -> tuple[Indices, Indices, Floats]:
        """Return cell, column and amount of everything that the schedules hold."""
        if len(self._entries) > 1:
            parts = [np.concatenate(x) for x in zip(*self._entries, strict=True)]
            self._entries = [(parts[0], parts[1], parts[2])]
        return self._entries[0]

    def _held(self) -> Floats:
        cells, columns, amounts = self._all_entries()
        weights = amounts * self.x[columns]
        held: Floats = np.bincount(cells, weights, self.pricer.cells.supply.size).astype(np.float64)
        return held

    def _broken(self) -> Indices:
        supply = self.pricer.cells.supply
        over = self._held() > supply + BROKEN * np.maximum(self._cell_size, 1e-12)
        return np.flatnonzero(over & np.isfinite(supply) & (self._cell_row < 0))

    def _add_broken(self) -> bool:
        broken = self._broken()
        if not broken.size:
            return False
        assert self._lp is not None
        first = self._lp.rows
        self._cell_row[broken] = first + np.arange(broken.size)
        cells, columns, amounts = self._all_entries()
        mine = self._cell_row[cells] >= first
        row = self._cell_row[cells[mine]] - first
        values = amounts[mine] / self._cell_size[cells[mine]]
        # one entry for each row and column
        key = row * (len(self.pool) + 1) + columns[mine]
        distinct, index = np.unique(key, return_inverse=True)
        summed: Floats = np.bincount(index, values, distinct.size).astype(np.float64)
        at_row, at_column = distinct // (len(self.pool) + 1), distinct % (len(self.pool) + 1)
        starts = np.searchsorted(at_row, np.arange(broken.size))
        supply = self.pricer.cells.supply[broken] / self._cell_size[broken]
        low = np.full(broken.size, -INF)
        self._lp.add_rows(low, supply, starts, at_column + len(self.fleet.jobs), summed)
        return True

    def _multipliers(self, duals: Floats) -> Multipliers:
        """Return the duals of the rows as prices of their limits."""
        jobs = len(self.fleet.jobs)
        price = np.zeros(self.pricer.cells.supply.size)
        first = jobs + len(self._caps)
        at = np.flatnonzero(self._cell_row >= 0)
        price[at] = np.maximum(0.0, -duals[self._cell_row[at]]) * self._scale / self._cell_size[at]
        totals = np.zeros(3)
        regions = np.zeros(len(self.fleet.places.names))
        by_job = np.zeros(jobs)
        for ((kind, i), _), dual, size in zip(self._caps, duals[jobs:first], self._cap_size, strict=True):
            {"total": totals, "region": regions, "job": by_job}[kind][i] = (
                max(0.0, -dual) * self._scale / size
            )
        return self.pricer.cells.multipliers(
            self.fleet,
            price,
            cost=float(totals[0]),
            carbon=float(totals[1]),
            water=float(totals[2]),
            region_carbon=regions,
            job_carbon=by_job,
        )


def _mix(a: Multipliers, b: Multipliers, weight: float) -> Multipliers:
    """Return ``weight`` of the one and the rest of the other."""
    rest = 1.0 - weight
    return Multipliers(
        weight * a.power + rest * b.power,
        weight * a.accelerators + rest * b.accelerators,
        weight * a.cost + rest * b.cost,
        weight * a.carbon + rest * b.carbon,
        weight * a.water + rest * b.water,
        weight * a.region_carbon + rest * b.region_carbon,
        weight * a.job_carbon + rest * b.job_carbon,
    )

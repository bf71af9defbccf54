"""The whole problem as one mixed-integer program, over the cells that may still be in a better schedule.

One binary a window of a rigid job, one a region and one a slot of a job that pauses, a share a cell of a
job that is split, and a path through (slot, region) for a job that moves. At the multipliers of a bound,
a cell whose cheapest schedule through it costs more than its job's cheapest by over the gap is in no
better schedule (reduced-cost fixing), so what is left is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from formulations.engines.base import Options
from formulations.engines.matrix_program import Program, solve_program
from formulations.schedule.cheapest import INF, windows
from formulations.schedule.fields import Fields, Multipliers
from formulations.schedule.pricing import Pricer
from mlsysim.core.schedule.types import Floats, Indices, Option, Run, Schedule

SLACK = 1e-7

# layer, option, region and slot
_Node = tuple[str, int, int, int]


@dataclass(frozen=True)
class Answer:
    """What the program came to: ``optimal``, ``feasible``, ``infeasible`` or ``unknown``."""

    status: str
    objective: float | None
    bound: float | None
    runs: tuple[tuple[Run, ...], ...] | None
    variables: int
    rows: int
    seconds: float


class Whole:
    """Builds and solves the program."""

    def __init__(
        self,
        pricer: Pricer,
        multipliers: Multipliers,
        gap: float,
        fixed: Schedule | None = None,
        most: float = INF,
    ) -> None:
        """Collect the variables.

        Args:
            pricer: of the fleet.
            multipliers: of a bound.
            gap: of a known schedule's objective from that bound; infinite without one.
            fixed: a schedule whose choices stand: what is left is a linear program over shares, and over
                the slots of jobs that pause, in the region where they are.
            most: variables; with more, collecting ends and :attr:`complete` is false.
        """
        self.fixed = fixed
        # of each row, the limit that it is and by what it was divided
        self.tags: list[tuple[str, int]] = []
        self.sizes: list[float] = []
        self.pricer, self.fleet = pricer, pricer.fleet
        self.priced = Fields.of(self.fleet, multipliers)
        self.true = Fields.of(self.fleet, Multipliers.none(self.fleet))
        self.gap = gap
        self.cost: list[Floats] = []
        self.whole: list[bool] = []
        self.meaning: list[tuple[int, str, Indices]] = []  # job, kind, n x 3 of (option, region, slot)
        self.rows: list[tuple[Indices, Floats, float, float]] = []
        self.use: list[tuple[Indices, Indices, Floats]] = []  # cells, columns, amounts
        self.taken: list[tuple[Indices, Floats, Indices, Floats, Floats]] = []
        self.count = 0
        for j, job in enumerate(self.fleet.jobs):
            if fixed is not None and job.kind in ("rigid", "move"):
                continue
            if self.count > most:
                break
            {"rigid": self._rigid, "pause": self._pause, "split": self._split, "move": self._move}[job.kind](
                j
            )
        self.complete = self.count <= most

    # --- variables -------------------------------------------------------------------------------

    def _block(
        self, j: int, name: str, at: Indices, cost: Floats, *, whole: bool, high: float = 1.0
    ) -> Indices:
        """Add variables that stand for (option, region, slot) and return their columns."""
        columns = np.arange(self.count, self.count + len(at))
        self.count += len(at)
        self.cost.append(cost)
        self.whole += [whole] * len(at)
        self.meaning.append((j, name, at))
        return columns

    def _row(
        self,
        columns: Indices,
        factors: Floats,
        low: float,
        high: float,
        tag: tuple[str, int] = ("", 0),
        size: float = 1.0,
    ) -> None:
        self.rows.append((columns, factors, low, high))
        self.tags.append(tag)
        self.sizes.append(size)

    def _holds(self, j: int, k: int, columns: Indices, region: Indices, slot: Indices) -> None:
        """Note that each variable holds an option's accelerators and power in a cell."""
        o, cells = self.fleet.jobs[j].options[k], self.pricer.cells
        pue = self.fleet.places.pue[region]
        for layer, amount in ((o.hardware, np.full(slot.size, o.count)), (cells.types, o.power * pue)):
            self.use.append(((layer * cells.regions + region) * cells.slots + slot, columns, amount))

    def _emits(
        self, j: int, columns: Indices, cost: Floats, carbon: Floats, water: Floats, region: Indices
    ) -> None:
        """Note what a unit of each variable takes in all."""
        self.taken.append((columns, cost, np.column_stack([np.full(len(columns), j), region]), carbon, water))

    def _tables(self, o: Option, busy: float) -> tuple[Floats, Floats, Floats]:
        p = self.fleet.places
        watts = o.power * busy
        return watts * p.cost, watts * p.carbon, watts * p.water

    def _rigid(self, j: int) -> None:
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        least, _ = self.pricer.best(j, self.priced)
        chosen = []
        for k, o in enumerate(job.options):
            if not span.regions.size or o.slots > span.end - span.first:
                continue
            d = o.slots
            block = span.block(self.priced.slot(j, job, o))
            costs = windows(span, k, block, d) + self.priced.once(j, job, o)[span.regions][:, None]
            r, s = np.nonzero(np.isfinite(costs) & (costs <= least + self.gap + SLACK * abs(least)))
            regions = span.regions[r]
            parts = []
            for table in (*self._tables(o, o.busy), self.true.slot(j, job, o)):
                sums = np.concatenate(
                    [np.zeros((len(span.regions), 1)), span.block(table).cumsum(axis=1)], axis=1
                )
                parts.append((sums[:, d:] - sums[:, :-d])[r, s])
            paid = (o.cost + job.fetch)[regions]
            value = parts[3] + self.true.once(j, job, o)[regions]
            at = _at(k, regions, s + span.first)
            columns = self._block(j, "start", at, value, whole=True)
            chosen.append(columns)
            self._emits(j, columns, parts[0] + paid, parts[1] + o.carbon, parts[2], regions)
            slot = (s + span.first)[:, None] + np.arange(d)
            self._holds(j, k, np.repeat(columns, d), np.repeat(regions, d), slot.reshape(-1))
        self._one(chosen)

    def _one(self, chosen: list[Indices]) -> None:
        columns = np.concatenate([np.zeros(0, dtype=np.int64), *chosen])
        self._row(columns, np.ones(columns.size), 1.0, 1.0)

    def _pause(self, j: int) -> None:
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        least, _ = self.pricer.best(j, self.priced)
        chosen = []
        for k, (o, grid) in enumerate(zip(job.options, self.pricer.grids(j, self.priced), strict=True)):
            d = o.slots
            if not span.regions.size or d > grid.shape[1]:
                continue
            once, paid = self.priced.once(j, job, o), o.cost + job.fetch
            own = self.true.once(j, job, o)
            tables = (*self._tables(o, o.busy), self.true.slot(j, job, o))
            for i, region in enumerate(span.regions.tolist()):
                ordered = np.sort(grid[i])
                base = float(ordered[:d].sum()) + float(once[region])
                if not np.isfinite(base):
                    continue
                forced = base + np.maximum(0.0, grid[i] - ordered[d - 1])
                t = np.flatnonzero(np.isfinite(forced) & (forced <= least + self.gap + SLACK * abs(least)))
                if t.size < d:
                    continue
                if self.fixed is not None and (k, region) != _chosen(self.fixed, j):
                    continue
                here = _at(k, np.array([region]), np.zeros(1, dtype=np.int64))
                u = self._block(j, "there", here, np.array([float(own[region])]), whole=True)
                chosen.append(u)
                self._emits(j, u, paid[[region]], np.array([o.carbon]), np.zeros(1), np.array([region]))
                slots = t + span.first
                regions = np.full(t.size, region)
                at = _at(k, regions, slots)
                y = self._block(j, "slot", at, tables[3][region, slots], whole=self.fixed is None)
                each = [x[region, slots] for x in tables[:3]]
                self._emits(j, y, each[0], each[1], each[2], regions)
                self._holds(j, k, y, regions, slots)
                self._row(np.append(y, u), np.append(np.ones(t.size), -float(d)), 0.0, 0.0)
                for one in y.tolist():
                    self._row(np.array([one, int(u[0])]), np.array([1.0, -1.0]), -INF, 0.0)
        self._one(chosen)

    def _split(self, j: int) -> None:
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        done, by_slot = [], []
        for k, o in enumerate(job.options):
            if not span.regions.size:
                continue
            closed = span.closed[k]
            shape = (span.regions.size, span.end - span.first)
            r, s = np.nonzero(np.ones(shape, dtype=bool) if closed is None else ~closed)
            regions, slots = span.regions[r], s + span.first
            tables = (*self._tables(o, 1.0), self.true.slot(j, job, o))
            paid = ((o.cost + job.fetch) / o.work)[regions]
            value = tables[3][regions, slots] + self.true.once(j, job, o)[regions] / o.work
            at = _at(k, regions, slots)
            w = self._block(j, "share", at, value, whole=False)
            each = [x[regions, slots] for x in tables[:3]]
            self._emits(j, w, each[0] + paid, each[1] + o.carbon / o.work, each[2], regions)
            self._holds(j, k, w, regions, slots)
            done.append((w, np.full(w.size, 1.0 / o.work)))
            by_slot.append((w, slots))
        columns = np.concatenate([np.zeros(0, dtype=np.int64), *(w for w, _ in done)])
        self._row(columns, np.concatenate([np.zeros(0), *(x for _, x in done)]), 1.0, 1.0)
        at_slot = np.concatenate([np.zeros(0, dtype=np.int64), *(s for _, s in by_slot)])
        for t in np.unique(at_slot):
            here = columns[at_slot == t]
            if here.size > 1:
                self._row(here, np.ones(here.size), -INF, 1.0)

    def _move(self, j: int) -> None:
        """Add a path through two layers of nodes, as :func:`cheapest.move` walks them."""
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        into: dict[_Node, list[tuple[int, float]]] = {}
        begun, done = [], []
        for k, o in enumerate(job.options):
            if span.regions.size and o.slots <= span.end - span.first:
                begun += self._walk(j, k, into)
                used = [c for c, name in self._arcs if name == "run"]
                done += [(c, 1.0 / o.slots) for c in used]
        for (_, _, _, t), ends in into.items():
            if t < span.end:  # it may end anywhere
                self._row(np.array([c for c, _ in ends]), np.array([x for _, x in ends]), 0.0, 0.0)
        self._row(np.array(begun, dtype=np.int64), np.ones(len(begun)), 1.0, 1.0)
        self._row(np.array([c for c, _ in done], dtype=np.int64), np.array([x for _, x in done]), 1.0, 1.0)

    def _walk(self, j: int, k: int, into: dict[_Node, list[tuple[int, float]]]) -> list[int]:
        """Add the arcs of an option; return those that begin."""
        job, span, o = self.fleet.jobs[j], self.pricer.spans[j], self.fleet.jobs[j].options[k]
        assert job.moving is not None
        closed, money, zero = span.closed[k], self.true.money, np.zeros(1)
        price = self.true.slot(j, job, o) + (self.true.once(j, job, o, fetched=False) / o.slots)[:, None]
        each = self._tables(o, o.busy)
        self._arcs: list[tuple[int, str]] = []

        def arc(name: str, r: int, t: int, cost: float, *ends: tuple[_Node, float]) -> Indices:
            place = _at(k, np.array([r]), np.array([t]))
            column = self._block(j, name, place, np.array([cost]), whole=True)
            self._arcs.append((int(column[0]), name))
            for node, sign in ends:
                into.setdefault(node, []).append((int(column[0]), sign))
            return column

        def paid(column: Indices, r: int, amount: float) -> None:
            self._emits(j, column, np.array([amount]), zero, zero, np.array([r]))

        for i, r in enumerate(span.regions.tolist()):
            first = float(job.fetch[r])
            paid(arc("fetch", r, span.first, money * first, (("came", k, r, span.first), 1.0)), r, first)
            for t in range(span.first, span.end):
                for layer in ("came", "stay"):
                    here = ((layer, k, r, t), -1.0)
                    arc("idle", r, t, 0.0, here, ((layer, k, r, t + 1), 1.0))
                    if closed is None or not closed[i, t - span.first]:
                        run = arc("run", r, t, float(price[r, t]), here, (("stay", k, r, t + 1), 1.0))
                        part = [np.array([float(x[r, t])]) for x in each]
                        cost, carbon = part[0] + o.cost[r] / o.slots, part[1] + o.carbon / o.slots
                        self._emits(j, run, cost, carbon, part[2], np.array([r]))
                        self._holds(j, k, run, np.array([r]), np.array([t]))
                there = t + job.moving_slots
                for other in span.regions.tolist() if there < span.end else ():
                    if other != r:
                        hop = float(job.moving[r, other])
                        left, came = (("stay", k, r, t), -1.0), (("came", k, other, there), 1.0)
                        paid(arc("hop", r, t, money * hop, left, came), other, hop)
        return [c for c, name in self._arcs if name == "fetch"]

    # --- rows and answer -------------------------------------------------------------------------

    def _limits(self) -> None:
        """Add the rows of capacity that could be broken, and of the caps."""
        supply, caps, regional, by_job = self._left()
        nothing = np.zeros(0, dtype=np.int64)
        cells = np.concatenate([nothing, *(x for x, _, _ in self.use)])
        columns = np.concatenate([nothing, *(x for _, x, _ in self.use)])
        amounts = np.concatenate([np.zeros(0), *(x for _, _, x in self.use)])
        most = np.bincount(cells, weights=amounts, minlength=supply.size)
        tight = np.isfinite(supply) & (most > supply)
        mine = tight[cells]
        cells, columns, amounts = cells[mine], columns[mine], amounts[mine]
        order = np.argsort(cells, kind="stable")
        cells, columns, amounts = cells[order], columns[order], amounts[order]
        cuts = np.flatnonzero(np.diff(cells)) + 1
        for at, where, amount in zip(
            np.split(cells, cuts), np.split(columns, cuts), np.split(amounts, cuts), strict=True
        ):
            if at.size:
                size = max(float(supply[at[0]]), 1e-9)
                distinct, index = np.unique(where, return_inverse=True)
                self._row(
                    distinct,
                    np.bincount(index, weights=amount) / size,
                    -INF,
                    float(supply[at[0]]) / size,
                    ("cell", int(at[0])),
                    size,
                )
        if not self.taken:
            return
        columns = np.concatenate([x[0] for x in self.taken])
        of = np.concatenate([x[2] for x in self.taken])
        cost, carbon, water = (np.concatenate([x[i] for x in self.taken]) for i in (1, 3, 4))

        def cap(
            amount: Floats, limit: float, tag: tuple[str, int], chosen: Indices | slice = slice(None)
        ) -> None:
            if np.isfinite(limit):
                size = max(abs(limit), 1e-9)
                self._row(columns[chosen], amount[chosen] / size, -INF, limit / size, tag, size)

        for i, amount in enumerate((cost, carbon, water)):
            cap(amount, caps[i], ("total", i))
        for r in np.flatnonzero(np.isfinite(regional)).tolist():
            cap(carbon, regional[r], ("region", r), np.flatnonzero(of[:, 1] == r))
        for j in np.flatnonzero(np.isfinite(by_job)).tolist():
            mine = np.flatnonzero(of[:, 0] == j)
            if mine.size:
                cap(carbon, by_job[j], ("job", j), mine)

    def _left(self) -> tuple[Floats, list[float], Floats, Floats]:
        """Return the supplies less what jobs that stand take: cells, totals, regions' and jobs' carbon."""
        supply = self.pricer.cells.supply.copy()
        totals = self.fleet.caps.totals
        regional = self.fleet.places.carbon_cap.copy()
        by_job = np.array([job.carbon_cap for job in self.fleet.jobs])
        if self.fixed is not None:
            for j, job in enumerate(self.fleet.jobs):
                if job.kind in ("rigid", "move"):
                    t = self.pricer.takes(j, self.fixed.runs[j])
                    np.subtract.at(supply, t.cells, t.held)
                    totals -= t.totals
                    np.subtract.at(regional, t.regions, t.emitted)
            supply = np.where(supply < 0.0, np.where(supply > -1e-6, 0.0, supply), supply)
        return supply, totals.tolist(), regional, by_job

    def program(self) -> tuple[Program, float]:
        """Return the program and what its objective is to be multiplied with."""
        self._limits()
        cost = np.concatenate([np.zeros(0), *self.cost])
        scale = float(np.abs(cost).max(initial=0.0)) / 100.0 or 1.0
        program = Program(
            cost / scale,
            np.ones(self.count),
            np.array(self.whole, dtype=bool),
            self.rows,
        )
        return program, scale

    def solve(self, options: Options) -> Answer:
        """Return the best schedule over what was kept."""
        program, scale = self.program()
        found = solve_program(program, options)
        runs = None if found.x is None else self._decoded(found.x)
        objective = None if found.objective is None else found.objective * scale
        bound = None if found.bound is None else found.bound * scale
        return Answer(found.status, objective, bound, runs, self.count, len(self.rows), found.seconds)

    def _decoded(self, x: Floats) -> tuple[tuple[Run, ...], ...]:
        cells: list[list[tuple[int, int, int, float]]] = [[] for _ in self.fleet.jobs]
        first = 0
        for j, name, at in self.meaning:
            value = x[first : first + len(at)]
            first += len(at)
            for i in np.flatnonzero(value > (1e-9 if name == "share" else 0.5)).tolist():
                k, r, t = at[i].tolist()
                if name == "start":
                    cells[j] += [(k, r, s, 1.0) for s in range(t, t + self.fleet.jobs[j].options[k].slots)]
                elif name in ("slot", "run"):
                    cells[j].append((k, r, t, 1.0))
                elif name == "share":
                    cells[j].append((k, r, t, float(value[i])))
        return tuple(self._runs(j, mine) for j, mine in enumerate(cells))

    def _runs(self, j: int, mine: list[tuple[int, int, int, float]]) -> tuple[Run, ...]:
        job = self.fleet.jobs[j]
        if job.kind == "split":
            found = []
            total = sum(x / job.options[k].work for k, _, _, x in mine)
            for k, r in sorted({(k, r) for k, r, _, _ in mine}):
                part = sorted((t, x) for k2, r2, t, x in mine if (k2, r2) == (k, r))
                share = np.minimum(1.0, np.array([x for _, x in part]) / total)
                found.append(Run(r, k, np.array([t for t, _ in part]), share))
            return tuple(found)
        mine.sort(key=lambda cell: cell[2])
        stays: list[tuple[int, int, list[int]]] = []
        for k, r, t, _ in mine:
            if stays and stays[-1][1] == r:
                stays[-1][2].append(t)
            else:
                stays.append((k, r, [t]))
        return tuple(Run(r, k, np.array(ts), np.ones(len(ts))) for k, r, ts in stays)


def _at(option: int, regions: Indices, slots: Indices) -> Indices:
    """Return (option, region, slot) of variables, n x 3."""
    return np.column_stack([np.full(regions.size, option), regions, slots]).astype(np.int64)


def _chosen(schedule: Schedule, j: int) -> tuple[int, int]:
    """Return option and region of a job that stays in one."""
    run = schedule.runs[j][0]
    return run.option, run.region

"""The cheapest place that has room, job by job, region by region from the cheapest on.

At given prices each region has a least cost for a job, whatever is free. Regions are looked at in this
order, a few at a time, until the next cannot be better than what is found: mostly after the first few.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from formulations.schedule import cheapest
from formulations.schedule.cheapest import INF, NOTHING, Best, windows
from formulations.schedule.fields import Fields
from formulations.schedule.pricing import Pricer
from mlsysim.core.schedule.types import Floats, Indices, Mask, Run

# Regions looked at together at first; then twice as many each time.
TOGETHER = 4
# Cells of a split job that are looked at together.
CELLS = 256
# Regions between which walks are looked for, since few others help.
NEAR = 10
LEAST_SHARE = 1e-12


@dataclass(frozen=True, eq=False)
class _Option:
    """What an option costs on the block of its job, regions from the cheapest on.

    Attributes:
        regions: those in which it can run; ``rows`` are their rows in the block.
        costs: by region and first slot of a window if the job is rigid, and else by slot, closed cells
            infinite.
        once: of the whole run, by region; part of ``costs`` if the job is rigid.
        least: by region, whatever is free, ascending.
    """

    regions: Indices
    rows: Indices
    costs: Floats
    once: Floats
    least: list[float]


class Finder:
    """Finds cheap schedules at prices of its own.

    Args:
        pricer: of the fleet.
        fields: the prices.
        room: of each cell, types and power x regions x slots; looked at, never written.
    """

    def __init__(self, pricer: Pricer, fields: Fields, room: Floats) -> None:
        self.pricer, self.fleet, self.fields, self.room = pricer, pricer.fleet, fields, room
        self.limited = np.isfinite(self.fleet.places.power).any()
        self._options: dict[int, list[_Option]] = {}
        self._shares: dict[int, tuple[Floats, Indices]] = {}

    def find(self, j: int, *, walk: bool = True) -> Best:
        """Return the cheapest schedule that has room.

        Of a job that moves, the cheapest walk over the regions that are cheapest to stay in, or, without
        ``walk``, the cheapest stay. Of a job that is split, a good one.
        """
        job = self.fleet.jobs[j]
        if not self.pricer.spans[j].regions.size:
            return NOTHING
        if job.kind == "split":
            return self._split(j, range(len(job.options)))
        return self._walk(j) if job.kind == "move" and walk else self._one_region(j)

    def regret(self, j: int) -> float:
        """Return by how much the second cheapest region with room is dearer than the cheapest.

        Of a job that is not split; infinite if fewer than two have room.
        """
        least = np.full(len(self.fleet.places.names), INF)
        for k, o in enumerate(self.options(j)):
            if o.least:
                _, costs = self._open(j, k, slice(None))
                least[o.regions] = np.minimum(least[o.regions], costs)
        if least.size < 2:
            return INF
        first, second = np.partition(least, 1)[:2].tolist()
        return second - first if second < INF else INF

    def one_option(self, j: int) -> list[Best]:
        """Return good shares of a split job within each of its options alone."""
        return [self._split(j, [k]) for k in range(len(self.fleet.jobs[j].options))]

    def wish(self, j: int, rng: Generator, region: int | None, limit: float) -> Best:
        """Return a good schedule of a job as if it were alone, in a region or one that is drawn.

        Args:
            j: the job.
            rng: to draw from.
            region: in which; None for any.
            limit: what it may cost at these prices, if it can be done for that; may be infinite.
        """
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        if not span.regions.size:
            return NOTHING
        if job.kind == "split":
            return self._wished_shares(j, rng, region)
        options = self.options(j)
        some = [(low, k, i) for k, o in enumerate(options) for i, low in enumerate(o.least)]
        if region is not None:
            some = [x for x in some if options[x[1]].regions[x[2]] == region]
        if not some:
            return NOTHING
        least = min(some)[0]
        limit = min(limit, max(some)[0])
        if limit > least:  # anything from the cheapest to the limit, the cheaper the likelier
            limit = least + float(rng.random()) ** 2 * (limit - least)
        some = [x for x in some if x[0] <= max(limit, least)]
        low, k, i = some[int(rng.integers(len(some)))]
        o, d = options[k], job.options[k].slots
        if job.kind == "rigid":
            row = o.costs[i]
            starts = np.flatnonzero(row <= max(limit, low))
            s = int(starts[int(rng.integers(starts.size))])
            return float(row[s]), self._run(j, k, int(o.regions[i]), s)
        return low, self._cheapest_slots(j, k, o.costs[i], int(o.regions[i]), d)

    # --- prices -------------------------------------------------------------------------------------

    def options(self, j: int) -> list[_Option]:
        """Return what each option of a job that is not split costs."""
        found = self._options.get(j)
        if found is None:
            job, span = self.fleet.jobs[j], self.pricer.spans[j]
            grids = self.pricer.grids(j, self.fields)
            found = self._options[j] = []
            for k, (o, grid) in enumerate(zip(job.options, grids, strict=True)):
                if o.slots > grid.shape[1]:
                    nothing: Indices = np.zeros(0, dtype=np.int64)
                    found.append(_Option(nothing, nothing, grid[:0], np.zeros(0), []))
                    continue
                once = self.fields.once(j, job, o)[span.regions]
                if job.kind == "rigid":
                    costs = windows(span, k, grid, o.slots) + once[:, None]
                    least = costs.min(axis=1)
                else:
                    costs = grid
                    least = cheapest.least(grid, o.slots) + once
                order = np.argsort(least, kind="stable")
                order = order[: int(np.isfinite(least).sum())]
                found.append(
                    _Option(span.regions[order], order, costs[order], once[order], least[order].tolist())
                )
        return found

    def _shut(self, j: int, k: int, regions: Indices) -> Mask:
        """Return the cells of regions that have no room for an option, over the job's slots."""
        option, span = self.fleet.jobs[j].options[k], self.pricer.spans[j]
        shut: Mask = self.room[option.hardware, regions, span.first : span.end] < option.count
        if self.limited:
            need = option.power * self.fleet.places.pue[regions]
            shut |= self.room[-1, regions, span.first : span.end] < need[:, None]
        return shut

    # --- by kind of job -----------------------------------------------------------------------------

    def _one_region(self, j: int) -> Best:
        """Return the cheapest window that is free throughout, or the cheapest free slots of one region."""
        job, found = self.fleet.jobs[j], INF
        at: tuple[int, int, Floats] | None = None
        for k, o in enumerate(self.options(j)):
            i, step = 0, TOGETHER
            while i < len(o.least) and o.least[i] < found:
                costs, least = self._open(j, k, slice(i, i + step))
                r = int(least.argmin())
                if least[r] < found:
                    found, at = float(least[r]), (k, int(o.regions[i + r]), costs[r])
                i, step = i + step, 2 * step
        if at is None:
            return NOTHING
        k, region, row = at
        if job.kind == "rigid":
            return found, self._run(j, k, region, int(row.argmin()))
        return found, self._cheapest_slots(j, k, row, region, job.options[k].slots)

    def _open(self, j: int, k: int, some: slice) -> tuple[Floats, Floats]:
        """Return what windows or slots cost in some regions, infinite without room, and the job there."""
        job, o = self.fleet.jobs[j], self.options(j)[k]
        shut, costs, d = self._shut(j, k, o.regions[some]), o.costs[some], job.options[k].slots
        if job.kind == "rigid":
            counts = np.zeros((shut.shape[0], shut.shape[1] + 1), dtype=np.int32)
            shut.cumsum(axis=1, out=counts[:, 1:])
            costs = np.where(counts[:, d:] == counts[:, :-d], costs, INF)
            return costs, costs.min(axis=1)
        costs = np.where(shut, INF, costs)
        return costs, cheapest.least(costs, d) + o.once[some]

    def _run(self, j: int, k: int, region: int, s: int) -> tuple[Run, ...]:
        first = self.pricer.spans[j].first + s
        d = self.fleet.jobs[j].options[k].slots
        return (Run(region, k, np.arange(first, first + d), self.pricer.whole(d)),)

    def _cheapest_slots(self, j: int, k: int, row: Floats, region: int, d: int) -> tuple[Run, ...]:
        slots = np.sort(np.argsort(row, kind="stable")[:d]) + self.pricer.spans[j].first
        return (Run(region, k, slots, self.pricer.whole(d)),)

    def _walk(self, j: int) -> Best:
        """Return the cheapest walk over the regions that would be cheapest to stay in."""
        span, job = self.pricer.spans[j], self.fleet.jobs[j]
        stays, grids = np.full(span.regions.size, INF), []
        for k, (o, grid) in enumerate(zip(self.options(j), self.pricer.grids(j, self.fields), strict=True)):
            free = np.where(self._shut(j, k, span.regions), INF, grid)
            grids.append(free)
            if o.least and span.regions.size > NEAR:
                once = np.full(span.regions.size, INF)
                once[o.rows] = o.once
                open_ = np.where(np.isfinite(free), free, 1e30)
                stays = np.minimum(stays, cheapest.least(open_, job.options[k].slots) + once)
        if span.regions.size <= NEAR:
            return self.pricer.walk(j, self.fields, grids)
        some = np.sort(np.argpartition(stays, NEAR)[:NEAR])
        return self.pricer.walk(j, self.fields, grids, some)

    def _split(self, j: int, options: range | list[int]) -> Best:
        """Return shares taken cell by cell, cheapest first, as far as there is room."""
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        flat, order = self._ordered(j)
        regions, slots = span.regions.size, span.end - span.first
        works = [o.work for o in job.options]
        left, done, cost = [1.0] * slots, 0.0, 0.0
        cells, shares = [], []
        for begin in range(0, order.size, CELLS):
            part = order[begin : begin + CELLS]
            room = self._room(j, part, options)
            some = np.flatnonzero(room > LEAST_SHARE)
            among = part[some]
            option, slot = among // (regions * slots), among % slots
            listed = (x.tolist() for x in (among, room[some], flat[among], option, slot))
            for i, most, price, o, t in zip(*listed, strict=True):
                share = min(most, left[t], (1.0 - done) * works[o])
                if share <= LEAST_SHARE:
                    continue
                left[t] -= share
                done += share / works[o]
                cost += share / works[o] * price
                cells.append(i)
                shares.append(share)
                if done >= 1.0 - 2.0 * LEAST_SHARE:
                    at = np.array(cells)
                    return cost, cheapest.runs(span, at // slots, at % slots, np.array(shares))
        return NOTHING

    def _ordered(self, j: int) -> tuple[Floats, Indices]:
        """Return what a whole split job costs in each cell (option, region, slot), and those in order."""
        found = self._shares.get(j)
        if found is None:
            job, span = self.fleet.jobs[j], self.pricer.spans[j]
            parts = [
                grid * o.work + self.fields.once(j, job, o)[span.regions][:, None]
                for grid, o in zip(self.pricer.grids(j, self.fields), job.options, strict=True)
            ]
            flat = np.stack(parts).reshape(-1)
            order = np.argsort(flat, kind="stable")
            order = order[: int(np.isfinite(flat).sum())]
            found = self._shares[j] = flat, order.astype(np.int32)
        return found

    def _room(self, j: int, cells: Indices, options: range | list[int]) -> Floats:
        """Return the largest share of a split job that each cell has room for."""
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        slots = span.end - span.first
        k, rest = np.divmod(cells, span.regions.size * slots)
        row, slot = np.divmod(rest, slots)
        regions, slot = span.regions[row], slot + span.first
        pue = self.fleet.places.pue[regions]
        share = np.zeros(cells.size)
        for i in options:
            o, mine = job.options[i], k == i
            room = np.ones(int(mine.sum()))
            if o.count > 0:
                room = np.minimum(room, self.room[o.hardware, regions[mine], slot[mine]] / o.count)
            if o.power > 0:
                room = np.minimum(room, self.room[-1, regions[mine], slot[mine]] / (o.power * pue[mine]))
            share[mine] = room
        return share * (1.0 - LEAST_SHARE)  # so that rounding does not make it a little too much

    def _wished_shares(self, j: int, rng: Generator, region: int | None) -> Best:
        """Return the cheapest shares of a job as if it were alone, in a region or in some that are drawn."""
        job, span = self.fleet.jobs[j], self.pricer.spans[j]
        if region is None:
            keep = rng.random((span.regions.size, 1)) < rng.choice([0.1, 0.3, 1.0])
            keep[int(rng.integers(span.regions.size))] = True
        else:
            keep = (span.regions == region)[:, None]
        grids = [np.where(keep, g, INF) for g in self.pricer.grids(j, self.fields)]
        return cheapest.split(span, job, grids, [self.fields.once(j, job, o) for o in job.options])

"""The cheapest schedule of one job at given prices, exactly, for each kind of job.

A rigid job is a sum over a window, from prefix sums; one that pauses takes its cheapest slots; one that
is split fills the cheapest cells; one that moves is a shortest path over (slot, region, slots done).
A cell that is closed to the job has an infinite price.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from mlsysim.core.schedule.types import Floats, Indices, Job, Mask, Option, Places, Run

INF = float("inf")
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Span:
    """Where and when a job may run at all: a block of regions and slots.

    Attributes:
        regions: in which it may run, ascending.
        first, end: slots from the first in which any region is ready to the deadline.
        closed: for each option, the cells of the block in which it cannot run, even alone; None where
            there are none. Of a rigid job, the windows (by their first slot) that hold such a cell.
    """

    regions: Indices
    first: int
    end: int
    closed: tuple[Mask | None, ...]

    @staticmethod
    def of(job: Job, places: Places) -> Span:
        """Return the block of a job; without regions where it can run nowhere."""
        end = min(job.deadline, places.slots)
        least = min(1 if job.kind in ("split", "move") else o.slots for o in job.options)
        regions = np.flatnonzero(job.ready + least <= end)
        if not regions.size:
            return Span(regions, 0, 0, ())
        ready = np.maximum(job.ready[regions], 0)
        first = int(ready.min())
        late = np.arange(first, end)[None, :] < ready[:, None]
        return Span(
            regions,
            first,
            end,
            tuple(_closed(job, o, late, places, regions, first, end) for o in job.options),
        )

    def only(self, rows: Indices) -> Span:
        """Return the block of some of its regions."""
        closed = tuple(None if c is None else c[rows] for c in self.closed)
        return replace(self, regions=self.regions[rows], closed=closed)

    def block(self, grid: Floats) -> Floats:
        """Return a grid over regions and slots on the block."""
        if self.regions.size == grid.shape[0]:
            return grid[:, self.first : self.end]
        return grid[self.regions, self.first : self.end]

    def cut(self, grid: Floats, k: int, *, rigid: bool) -> Floats:
        """Return the prices of an option on the block: infinite in closed cells, of a rigid job raw."""
        part, closed = self.block(grid), self.closed[k]
        return part if closed is None or rigid else np.where(closed, INF, part)


def _closed(
    job: Job, option: Option, late: Mask, p: Places, regions: Indices, first: int, end: int
) -> Mask | None:
    """Return where an option cannot run: before its region is ready, or without room even if alone."""
    power = p.power[regions, first:end] / p.pue[regions][:, None]
    held = p.accelerators[option.hardware][regions, first:end]
    if job.kind == "split":  # any share will do
        closed = late | ((held <= 0.0) & (option.count > 0.0)) | ((power <= 0.0) & (option.power > 0.0))
    else:
        closed = late | (held < option.count * (1 - ROUNDING)) | (power < option.power * (1 - ROUNDING))
    if job.kind == "rigid":
        if option.slots > closed.shape[1]:
            return None
        counts = np.zeros((closed.shape[0], closed.shape[1] + 1), dtype=np.int64)
        np.cumsum(closed, axis=1, out=counts[:, 1:])
        closed = counts[:, option.slots :] != counts[:, : -option.slots]
    return closed if closed.any() else None


Best = tuple[float, tuple[Run, ...]]
NOTHING: Best = (INF, ())


def rigid(span: Span, job: Job, grids: list[Floats], once: list[Floats]) -> Best:
    """Return the cheapest window of a job that runs without a break."""
    found, at = INF, (0, 0, 0)
    for k, (option, grid, fixed) in enumerate(zip(job.options, grids, once, strict=True)):
        d = option.slots
        if d > grid.shape[1]:
            continue
        costs = windows(span, k, grid, d) + fixed[span.regions][:, None]
        i = int(costs.argmin())
        if costs.flat[i] < found:
            r, s = divmod(i, costs.shape[1])
            found, at = float(costs.flat[i]), (k, r, s)
    if found == INF:
        return NOTHING
    k, r, s = at
    slots = np.arange(span.first + s, span.first + s + job.options[k].slots)
    return found, (Run(int(span.regions[r]), k, slots, np.ones(slots.size)),)


def windows(span: Span, k: int, grid: Floats, d: int) -> Floats:
    """Return the sum of every ``d`` slots in a row; infinite where one of them is closed."""
    sums = np.zeros((grid.shape[0], grid.shape[1] + 1))
    np.cumsum(grid, axis=1, out=sums[:, 1:])
    total: Floats = sums[:, d:] - sums[:, :-d]
    closed = span.closed[k]
    if closed is not None:
        total[closed] = INF
    return total


def least(grid: Floats, d: int) -> Floats:
    """Return the sum of the cheapest ``d`` slots of each region."""
    cheap = np.partition(grid, d - 1, axis=1)[:, :d] if d < grid.shape[1] else grid
    total: Floats = cheap.sum(axis=1)
    return total


def pause(span: Span, job: Job, grids: list[Floats], once: list[Floats]) -> Best:
    """Return the cheapest slots of one region, of a job that may pause."""
    found, at = INF, (0, 0)
    for k, (option, grid, fixed) in enumerate(zip(job.options, grids, once, strict=True)):
        d = option.slots
        if d > grid.shape[1]:
            continue
        costs = least(grid, d) + fixed[span.regions]
        r = int(costs.argmin())
        if costs[r] < found:
            found, at = float(costs[r]), (k, r)
    if found == INF:
        return NOTHING
    k, r = at
    d = job.options[k].slots
    slots = np.sort(np.argsort(grids[k][r], kind="stable")[:d]) + span.first
    return found, (Run(int(span.regions[r]), k, slots, np.ones(d)),)


def split(span: Span, job: Job, grids: list[Floats], once: list[Floats]) -> Best:
    """Return the cheapest shares of a job over regions, slots and options."""
    works = np.array([o.work for o in job.options])
    grid = np.stack(
        [g + (fixed[span.regions] / work)[:, None] for g, fixed, work in zip(grids, once, works, strict=True)]
    )
    if (works == works[0]).all():
        return _evenly(span, grid, float(works[0]))
    return _unevenly(span, grid, works)


def _evenly(span: Span, grid: Floats, work: float) -> Best:
    """Return the cheapest shares where all options take equally long: the cheapest slots."""
    slots = grid.shape[2]
    if work > slots:
        return NOTHING
    flat = grid.reshape(-1, slots)
    cell = flat.argmin(axis=0)
    least = flat[cell, np.arange(slots)]
    order = np.argsort(least, kind="stable")[: int(np.ceil(work))]
    share = np.ones(order.size)
    share[-1] = work - (order.size - 1)
    cost = float((least[order] * share).sum())
    if not np.isfinite(cost):
        return NOTHING
    return cost, runs(span, cell[order], order, share)


def _unevenly(span: Span, grid: Floats, works: Floats) -> Best:
    """Return the cheapest shares where options differ in how long they take.

    A multiple-choice knapsack in shares: in each slot only the lower hull of (work done, cost) counts,
    and its steps are taken over all slots by cost for work (Sinha and Zoltners 1979).
    """
    options, regions, slots = grid.shape
    where = grid.argmin(axis=1)
    least = np.take_along_axis(grid, where[:, None], axis=1)[:, 0]
    steps: list[tuple[float, int, float, int, int]] = []
    for t in range(slots):
        done, cost, before = 0.0, 0.0, -1
        left = [(1.0 / works[k], float(least[k, t]), k) for k in range(options) if np.isfinite(least[k, t])]
        while left := [x for x in left if x[0] > done]:
            slope, _, k = min(((c - cost) / (w - done), -w, k) for w, c, k in left)
            steps.append((slope, t, 1.0 / works[k] - done, before, k))
            done, cost, before = 1.0 / works[k], float(least[k, t]), k
    share: dict[tuple[int, int], float] = {}
    total, missing = 0.0, 1.0
    for slope, t, gain, before, k in sorted(steps):
        taken = min(1.0, missing / gain)
        if before >= 0:
            share[before, t] = 1.0 - taken
        share[k, t] = taken
        total += slope * gain * taken
        missing -= gain * taken
        if missing <= 1e-15:
            break
    else:
        return NOTHING
    used = [(k, t, x) for (k, t), x in share.items() if x > 0.0]
    cells = np.array([k * regions + int(where[k, t]) for k, t, _ in used])
    return total, runs(span, cells, np.array([t for _, t, _ in used]), np.array([x for *_, x in used]))


def runs(span: Span, cell: Indices, slot: Indices, share: Floats) -> tuple[Run, ...]:
    """Return shares in cells (option and region of the block) as runs, one for each cell."""
    order = np.lexsort((slot, cell))
    cell, slot, share = cell[order], slot[order] + span.first, share[order]
    cuts = [0, *(np.flatnonzero(np.diff(cell)) + 1).tolist(), cell.size]
    found = []
    for a, b in pairwise(cuts):
        option, r = divmod(int(cell[a]), span.regions.size)
        found.append(Run(int(span.regions[r]), option, slot[a:b], share[a:b]))
    return tuple(found)


def move(span: Span, job: Job, grids: list[Floats], once: list[Floats], hops: Hops, fetch: Floats) -> Best:
    """Return the cheapest walk of a job over regions and slots.

    ``once`` is what a whole run costs in each region apart from bringing its data there, and a slot there
    costs its part; ``hops`` are the prices of moving between the regions of the span, ``fetch`` that of
    bringing the data to each region at first.
    """
    best = NOTHING
    order = hops.order
    for k, (option, grid, fixed) in enumerate(zip(job.options, grids, once, strict=True)):
        d = option.slots
        if d > grid.shape[1]:
            continue
        prices = (grid + (fixed[span.regions] / d)[:, None])[order]
        cost, where = _walk(prices, d, hops, fetch[span.regions[order]], job.moving_slots)
        if cost < best[0]:
            best = cost, _walked(span.regions[order], span.first, k, where)
    return best


@dataclass(frozen=True, eq=False)
class Hops:
    """Prices of moving between regions, of which those of one owner cost the same.

    Attributes:
        order: of the regions, so that those which are left at the same prices stand together; all else
            is in that order.
        price: of moving from each group of regions to each group, G x H.
        first: region of each group that is left.
        leaves, enters: the groups of each region.
    """

    order: Indices
    price: Floats
    first: Indices
    leaves: Indices
    enters: Indices

    @staticmethod
    def of(price: Floats) -> Hops:
        """Return the groups of a price for each pair of regions."""
        # moving to where it is helps nobody; a price like that of its neighbours makes columns equal
        price = price.copy()
        np.fill_diagonal(price, INF)
        np.fill_diagonal(price, price.min(axis=1) if len(price) > 1 else 0.0)
        price, enters = np.unique(price, axis=1, return_inverse=True)
        price, leaves = np.unique(price, axis=0, return_inverse=True)
        return Hops._grouped(price, leaves.reshape(-1), enters.reshape(-1))

    @staticmethod
    def _grouped(price: Floats, leaves: Indices, enters: Indices) -> Hops:
        order = np.argsort(leaves, kind="stable")
        there, first = np.unique(leaves[order], return_index=True)
        return Hops(order, price[there], first, np.searchsorted(there, leaves[order]), enters[order])

    def among(self, some: Indices) -> Hops:
        """Return the prices of moving between some of the regions, numbered anew."""
        back = np.argsort(self.order)[some]
        return Hops._grouped(self.price, self.leaves[back], self.enters[back])

    def times(self, money: float) -> Hops:
        """Return them at what a dollar counts."""
        return replace(self, price=money * self.price)

    def least(self, there: Floats) -> Floats:
        """Return the least cost of coming to each group from any region where it is ``there``, R x n."""
        left = np.minimum.reduceat(there, self.first, axis=0)
        entered: Floats = (left[:, None, :] + self.price[:, :, None]).min(axis=0)
        return entered

    def source(self, there: Floats, region: int) -> int:
        """Return from which region it is cheapest to come to one, where each costs ``there``."""
        return int((there + self.price[self.leaves, self.enters[region]]).argmin())


def _walk(prices: Floats, d: int, hops: Hops, fetch: Floats, pause: int) -> tuple[float, Indices]:
    """Return the least cost of ``d`` slots, and the region of each slot (-1: none), as ordered by ``hops``.

    States at the beginning of each slot: ``stayed`` (region, slots done), where the last slot ran in that
    region, and ``came`` (group of regions, slots done), where the data were moved there and nothing ran
    there since. Running leads from both to ``stayed``, moving from ``stayed`` to ``came``, ``pause``
    slots later. Of slots done, only as many count as there was time for, and leave time for the rest.
    """
    regions, slots = prices.shape
    groups = hops.price.shape[1]
    stayed = np.full((slots + 1, regions, d + 1), INF)
    came = np.full((slots + 1, groups, d + 1), INF)
    moves = regions > 1
    for t in range(slots):
        low, high = max(1, d - slots + t + 1), min(d, t + 1) + 1
        last, now = stayed[t], stayed[t + 1]
        ran = last[:, low - 1 : high - 1]
        if moves:
            ran = np.minimum(ran, came[t, :, low - 1 : high - 1][hops.enters])
        if low == 1:  # begins
            ran = ran.copy()
            ran[:, 0] = fetch
        np.minimum(last[:, low:high], ran + prices[:, t, None], out=now[:, low:high])
        if moves:
            came[t + 1, :, low:high] = came[t, :, low:high]
            if t + 1 >= pause:
                hopped = hops.least(stayed[t + 1 - pause, :, low:high])
                np.minimum(came[t + 1, :, low:high], hopped, out=came[t + 1, :, low:high])
    where = np.full(slots, -1, dtype=np.int64)
    r, n, t, here = int(stayed[slots, :, d].argmin()), d, slots, True
    cost = float(stayed[slots, r, d])
    if not np.isfinite(cost):
        return INF, where
    while n:
        g = hops.enters[r]
        if not here:
            if came[t, g, n] == came[t - 1, g, n]:
                t -= 1
            else:
                r, t, here = hops.source(stayed[t - pause, :, n], r), t - pause, True
        elif stayed[t, r, n] == stayed[t - 1, r, n]:
            t -= 1
        else:
            t, n = t - 1, n - 1
            where[t] = r
            here = bool(stayed[t, r, n] <= came[t, g, n])
    return cost, where


def _walked(regions: Indices, first: int, option: int, where: Indices) -> tuple[Run, ...]:
    """Return the region of each slot as runs, one for each stay."""
    used = np.flatnonzero(where >= 0)
    cuts = np.flatnonzero(np.diff(where[used])) + 1
    return tuple(
        Run(int(regions[where[part[0]]]), option, part + first, np.ones(part.size))
        for part in np.split(used, cuts)
    )

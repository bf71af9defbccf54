"""Branch and bound on the numbers of instances, by prices alone.

A node is a range of numbers for each kind. At a price of busy time for each kind the bound of a node is
what the requests pay, and for each kind the number of its range with the least loss (Lagrange). Prices
are improved one kind at a time, exactly, so that a node costs as much for a thousand classes as sorting
them a few times. What remains of the cost and of the stocks bounds every range from above. A node with one
number for each kind is decided by a linear program.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from formulations.algebra import Floats, Indices
from formulations.engines.base import Options
from formulations.serving import Mix
from formulations.serving_bounds import Cells

# Passes over the kinds when prices of a node are improved.
PASSES = 2
NODES = 20_000
ROUNDING = 1e-12
# Prices that stand for none, and for that of a kind that is not there.
FREE, NEVER = 1e-30, 1e30


@dataclass(frozen=True)
class Closed:
    """What a search found: the least cost, the numbers that have it, and a bound on all others."""

    cost: float
    counts: Indices | None
    bound: float
    nodes: int


class _Hour:
    """One hour whose requests are answered whole, for many nodes."""

    def __init__(self, m: Mix, stock_price: Floats) -> None:
        held = np.isfinite(m.stocks)
        self.cost = m.cost + m.units * np.where(held, stock_price, 0.0)[m.stock]
        self.given = float(np.sum(np.where(held, stock_price, 0.0) * np.where(held, m.stocks, 0.0)))
        self.on = m.rate[:, 0] > 0
        self.rate = m.rate[self.on, 0]
        self.time = m.time[self.on]
        self.load = np.where(np.isfinite(self.time), self.time, 0.0) * self.rate[:, None]
        self.m = m

    def loads(self, price: Floats) -> tuple[Floats, Floats]:
        """Return what each class pays, and the load of each kind, at prices."""
        each = self.time * price
        goes = each.argmin(axis=1)
        rows = np.arange(len(goes))
        paid = each[rows, goes]
        load = np.bincount(goes, weights=self.load[rows, goes], minlength=self.m.kinds)
        return paid, np.asarray(load, dtype=float)

    def bound(self, low: Indices, high: Indices) -> tuple[float, Floats]:
        """Return the bound of a node, and the loads of the kinds at its prices."""
        m = self.m
        ends = [(m.work[v][low[v]], m.work[v][high[v]]) for v in range(m.kinds)]
        least, most = np.array(ends).T
        wide = most > least
        # a kind that is not there has no price, one with a fixed number any: begin with its average
        price = np.full(m.kinds, NEVER)
        price[wide] = self.cost[wide] * (high - low)[wide] / (most - least)[wide]
        fixed = ~wide & (most > 0)
        price[fixed] = self.cost[fixed] * high[fixed] / most[fixed]
        price = np.maximum(price, FREE)
        slope = price.copy()
        for _ in range(PASSES):
            paid, load = self.loads(price)
            wrong = np.flatnonzero((load > most * (1 + 1e-9)) | ((load < least * (1 - 1e-9)) & (least > 0)))
            if not len(wrong):
                break
            for v in wrong.tolist():
                self._improve(price, slope, v, least[v], most[v])
        paid, load = self.loads(price)
        worth = np.where(price < 0.1 * NEVER, price, 0.0)
        kind = sum(
            float((c * np.arange(a, b + 1.0) - w * work[a : b + 1]).min())
            for c, w, work, a, b in zip(self.cost, worth, m.work, low, high, strict=True)
        )
        return float(self.rate @ paid) + kind - self.given, load

    def _improve(self, price: Floats, slope: Floats, v: int, least: float, most: float) -> None:
        """Set a kind's price to the best one, all others given."""
        others = price.copy()
        others[v] = np.inf
        with np.errstate(invalid="ignore"):
            rest = (self.time * others).min(axis=1)
        can = np.isfinite(self.time[:, v])
        leaves = np.where(can, rest, 0.0) / np.where(can, self.time[:, v], 1.0)
        order = np.argsort(-leaves)
        total = np.cumsum(self.load[order, v])
        at = slope[v]
        has = float(self.load[leaves >= at, v].sum())
        target = most if has > most else least if has < least else None
        if target is not None:
            k = int(np.searchsorted(total, target))
            found = leaves[order[min(k, len(order) - 1)]]
            at = max(found, at) if has > most else min(found, at)
        price[v] = min(max(at, FREE), 0.1 * NEVER)


def close(
    m: Mix,
    cells: Cells,
    stock_price: Floats,
    known: float,
    serves: Callable[[Indices], bool],
    options: Options,
    nodes: int = NODES,
) -> Closed:
    """Return the least cost of a problem of one hour without split roles, as far as nodes and time go.

    Args:
        m: the problem.
        cells: numbers of each kind that are allowed, without gaps.
        stock_price: of an accelerator of each stock; any gives a bound.
        known: the cost of a plan that is known.
        serves: whether some numbers serve all requests, for those that prices do not decide.
        options: the gap at which to stop, and the time.
        nodes: to look at.
    """
    hour = _Hour(m, stock_price)
    ends = [np.flatnonzero(c) for c in cells]
    ticket = itertools.count()
    best, counts, looked, cut = known, None, 0, np.inf
    heap: list[tuple[float, int, Indices, Indices]] = [
        (0.0, next(ticket), np.array([e[0] for e in ends]), np.array([e[-1] for e in ends]))
    ]
    while heap and looked < nodes and not options.expired:
        floor, _, low, high = heapq.heappop(heap)
        if floor >= best * (1.0 - options.gap):
            cut = min(cut, floor)
            break
        high = _affordable(m, low, high, best)
        if (high < low).any():
            continue
        looked += 1
        least, load = hour.bound(low, high)
        least = max(least, floor)
        need = np.array(
            [int(np.searchsorted(w, x * (1 - ROUNDING))) for w, x in zip(m.work, load, strict=True)]
        )
        single = bool((high == low).all())
        if single and least < best * (1.0 - options.gap):
            need = low
        if (need <= m.most).all() and _stocked(m, need) and float(m.cost @ need) < best:
            if not single or serves(need):
                best, counts = float(m.cost @ need), need
            elif single:
                continue
        if single or least >= best * (1.0 - options.gap):
            cut = cut if single and least < best * (1.0 - options.gap) else min(cut, least)
            continue
        v, k = _split(m, low, high, load, need)
        for first, last in ((low[v], k), (k + 1, high[v])):
            a, b = low.copy(), high.copy()
            a[v], b[v] = first, last
            heapq.heappush(heap, (least, next(ticket), a, b))
    return Closed(best, counts, min(cut, best, min((x[0] for x in heap), default=best)), looked)


def _affordable(m: Mix, low: Indices, high: Indices, best: float) -> Indices:
    """Return the most of each kind that the known cost and the stocks leave."""
    left = best - float(m.cost @ low)
    free = m.cost <= 0.0
    room = np.where(free, np.inf, left / np.where(free, 1.0, m.cost) * (1 + ROUNDING) + ROUNDING)
    held = np.isfinite(m.stocks)
    taken = np.bincount(m.stock, weights=m.units * low, minlength=len(m.stocks))
    rest = np.where(held, np.where(held, m.stocks, 0.0) - taken, np.inf)[m.stock] / m.units
    return np.minimum(high, np.floor(low + np.minimum(room, rest + ROUNDING))).astype(np.int64)


def _split(m: Mix, low: Indices, high: Indices, load: Floats, need: Indices) -> tuple[int, int]:
    """Return the kind whose range is farthest from what its load takes, and where to cut the range."""
    inside = np.clip(need, low, high)
    chord = m.cost * low
    for v in np.flatnonzero(high > low).tolist():
        least, most = m.work[v][low[v]], m.work[v][high[v]]
        share = np.clip((load[v] - least) / (most - least), 0.0, 1.0) if most > least else 0.0
        chord[v] += m.cost[v] * (high[v] - low[v]) * share
    v = int(np.where(high > low, m.cost * inside - chord, -1.0).argmax())
    return v, int(np.clip(inside[v] - 1, low[v], high[v] - 1))


def _stocked(m: Mix, counts: Indices) -> bool:
    used = np.bincount(m.stock, weights=m.units * counts, minlength=len(m.stocks))
    return bool((used <= m.stocks).all())

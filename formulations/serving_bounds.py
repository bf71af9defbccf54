"""What the prices of a relaxation rule out: numbers of instances that no plan as good as a known one has.

Busy time of a kind is priced at what it costs where the queue's headroom is largest. Prices of classes
follow, and with them a bound on every plan (Lagrange); with the number of one kind given, a better one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from formulations.algebra import Floats
from formulations.serving import Mix, price_of, priced, worth

# Room for rounding when a bound is compared with a known plan.
ROUNDING = 1e-9

Cells = list[NDArray[np.bool_]]


@dataclass(frozen=True)
class Bound:
    """A bound on the cost of one hour, and on that of each number of each kind (rows of ``by``)."""

    least: float
    by: list[Floats]


def all_cells(m: Mix) -> Cells:
    """Return every number of every kind as allowed, as far as the stock goes."""
    found = []
    for v in range(m.kinds):
        n = np.arange(m.most[v] + 1)
        found.append(np.asarray(n * m.units[v] <= m.stocks[m.stock[v]]))
    return found


def bound(m: Mix, cells: Cells, stock_price: Floats) -> Bound:
    """Return bounds on the plans of one hour, with prices for the accelerators of each stock.

    Any prices that are not negative give a bound; infinite where no plan exists.
    """
    rate = m.rate[:, 0]
    ends = np.isfinite(m.stocks)
    full = m.cost + m.units * np.where(ends, stock_price, 0.0)[m.stock]
    given = float(np.sum(np.where(ends, stock_price, 0.0) * np.where(ends, m.stocks, 0.0)))
    busy = np.array([_price_of_time(full[v], m.work[v], cells[v]) for v in range(m.kinds)])
    links = np.zeros(m.kinds)
    each = priced(m, busy, links)
    price = price_of(m, each)
    if np.isinf(price[rate > 0]).any():
        return Bound(np.inf, [np.full(len(c), np.inf) for c in cells])
    least = float(rate @ np.where(rate > 0, price, 0.0)) - given
    by = []
    for v in range(m.kinds):
        n = np.flatnonzero(cells[v])
        found = np.full(len(cells[v]), np.inf)
        if len(n):
            found[n] = _exactly(m, v, n, full[v], each, rate) - given
        by.append(np.maximum(found, least))
    return Bound(least, by)


def _price_of_time(cost: float, work: Floats, cells: NDArray[np.bool_]) -> float:
    """Return the least price of busy time at which no number of instances brings a profit."""
    most = work[cells]
    n = np.flatnonzero(cells)
    some = most > 0.0
    return float((cost * n[some] / most[some]).min()) if some.any() else np.inf


def _exactly(m: Mix, v: int, n: NDArray[np.int64], cost: float, each: Floats, rate: Floats) -> Floats:
    """Return the bound with a kind's number given: others serve what it has no time for."""
    others = each.copy()
    others[:, v] = np.inf
    price = price_of(m, others)
    must = np.isinf(price) & (rate > 0)
    can = np.isfinite(m.time[:, v]) & (rate > 0)
    if (must & ~can).any():
        return np.full(len(n), np.inf)
    asked = rate * np.where(can, m.time[:, v], 0.0)
    gain = np.zeros(len(rate))
    rest = worth(m, np.where(must, 0.0, price), others)[:, v]
    gain[can] = rest[can] / m.time[can, v]
    gain[must] = np.inf
    order = np.argsort(-gain)
    order = order[can[order]]
    time = np.concatenate([[0.0], np.cumsum(asked[order])])
    needed = float(asked[must].sum())
    finite = np.where(np.isinf(gain[order]), 0.0, gain[order])
    value = np.concatenate([[0.0], np.cumsum(asked[order] * finite)])
    paid = float(rate[~must & (rate > 0)] @ price[~must & (rate > 0)])
    room = m.work[v][n]
    found = cost * n + paid - np.interp(room, time, value)
    return np.where(room >= needed * (1.0 - ROUNDING), found, np.inf)


def prune(cells: Cells, b: Bound, known: float) -> Cells:
    """Return the numbers that a plan no worse than a known one may have."""
    limit = known * (1.0 + ROUNDING)
    return [c & (by <= limit) for c, by in zip(cells, b.by, strict=True)]

"""A first plan of one hour from one or two kinds of instances, without a solver.

With two kinds a class belongs to the one on which it takes the least of an instance compared with the
other (a continuous knapsack), so that for each number of the first kind the fewest of the second follow.
Queues that are shared need less headroom, so that good plans have few kinds.
"""

from __future__ import annotations

import numpy as np

from formulations.algebra import Floats
from formulations.serving import Mix
from formulations.serving_bounds import Cells

# Kinds that pairs are made of.
KINDS = 24
# A number of instances may be short of the work by rounding.
ROUNDING = 1e-12

First = tuple[float, dict[int, int]]
NONE: First = (np.inf, {})


def first_plan(m: Mix, cells: Cells, by: list[Floats]) -> First:
    """Return the least cost of one or two kinds that answer whole requests, and their numbers.

    Args:
        m: a problem of one hour.
        cells: numbers that are allowed.
        by: a bound on each number, by which kinds are ranked.
    """
    ranked = sorted(
        (float(b[1:].min()), v)
        for v, b in enumerate(by)
        if m.role[v] == 0 and len(b) > 1 and np.isfinite(b[1:]).any()
    )
    kinds = [v for _, v in ranked[:KINDS]]
    best = min((_single(m, cells, v) for v in kinds), default=NONE, key=lambda x: x[0])
    for at, i in enumerate(kinds):
        for j in kinds[:at]:
            best = min(best, _pair(m, cells, i, j, best[0]), key=lambda x: x[0])
    return best


def _single(m: Mix, cells: Cells, v: int) -> First:
    rate = m.rate[:, 0]
    time = m.time[rate > 0, v]
    if np.isinf(time).any():
        return NONE
    n = int(np.searchsorted(m.work[v], float(rate[rate > 0] @ time) * (1.0 - ROUNDING)))
    if n >= len(m.work[v]) or not cells[v][n]:
        return NONE
    return float(m.cost[v]) * n, {v: n}


def _pair(m: Mix, cells: Cells, i: int, j: int, known: float) -> First:
    on = m.rate[:, 0] > 0
    rate, a, b = m.rate[on, 0], m.time[on, i], m.time[on, j]
    here, there = np.isfinite(a), np.isfinite(b)
    if (~here & ~there).any():
        return NONE
    a, b = np.where(here, a, 0.0), np.where(there, b, 0.0)
    ratio = np.where(there, np.where(here, b / np.where(here, a, 1.0), 0.0), np.inf)
    order = np.argsort(-ratio)
    mine = np.concatenate([[0.0], np.cumsum((a * rate)[order])])
    left = (b * rate).sum() - np.concatenate([[0.0], np.cumsum((b * rate)[order])])
    most = int(here.sum()) + 1
    counts = np.flatnonzero(cells[i])
    counts = counts[m.cost[i] * counts < known]
    room = m.work[i][counts]
    enough = room >= mine[int((~there).sum())] * (1.0 - ROUNDING)
    counts, room = counts[enough], room[enough]
    rest = np.maximum(np.interp(room, mine[:most], left[:most]), 0.0)
    others = np.searchsorted(m.work[j], rest * (1.0 - ROUNDING))
    fits = others < len(m.work[j])
    counts, others = counts[fits], others[fits]
    cost = np.where(cells[j][others], m.cost[i] * counts + m.cost[j] * others, np.inf)
    if m.stock[i] == m.stock[j]:
        cost[m.units[i] * counts + m.units[j] * others > m.stocks[m.stock[i]]] = np.inf
    if not len(cost):
        return NONE
    k = int(cost.argmin())
    return float(cost[k]), {i: int(counts[k]), j: int(others[k])}

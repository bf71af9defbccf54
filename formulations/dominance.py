"""Cells that another cell of the same choice replaces without loss.

A cell is dominated if another one goes with the same cells of all other choices and adds no more to
the objective, to any row and to any tie-breaker, whatever else is chosen.
"""

from __future__ import annotations

import numpy as np

from formulations.algebra import Choice, Expr, Floats, Table, extent
from formulations.joint import links
from formulations.problem import Problem

# Choices and groups of more cells are left as they are: comparing would cost more than it saves.
MAX_CELLS = 1 << 13
MAX_GROUP = 1 << 11


def undominated(problem: Problem, choice: Choice) -> np.ndarray:
    """Return which cells of a choice are needed; of equal ones the first."""
    keep = np.ones(choice.size, dtype=bool)
    columns = [problem.objective, *problem.ties, *(row.expr for row in problem.rows)]
    parts = [part for e in columns for part in _parts(e, choice, 1)]
    if not parts or choice.size > MAX_CELLS:
        return keep
    worth = np.stack(parts, axis=1)
    for members in _groups(problem, choice):
        if 1 < len(members) <= MAX_GROUP:
            keep[members] = _front(worth[members])
    return keep


def _front(worth: Floats) -> np.ndarray:
    """Return which rows no other row replaces: none that is at most as large everywhere."""
    worth = worth[:, np.ptp(worth, axis=0) > 0.0]
    order = np.lexsort((np.arange(len(worth)), worth.sum(axis=1)))
    keep = np.zeros(len(worth), dtype=bool)
    front = np.empty((0, worth.shape[1]))
    for i in order:
        # sums order rows so that only one before may replace one after; equal rows keep the first
        if not len(front) or not (front <= worth[i]).all(axis=1).any():
            keep[i] = True
            front = np.vstack([front, worth[i]])
    return keep


def _parts(e: Expr, choice: Choice, sign: int) -> list[Floats]:
    """Return tables over the cells, in all of which less is better or as good.

    ``sign`` is -1 where more of the expression is better, 0 where it must not change.
    """

    def signed(values: Floats, by: int) -> list[Floats]:
        return [values, -values] if by == 0 else [by * values]

    found: list[Floats] = []
    if choice in e.tables:
        found += signed(e.tables[choice], sign)
    for p in e.products:
        if p.right.choice is choice:
            found += signed(p.right.values, sign * _sign(extent(p.left)))
        elif isinstance(p.left, Table) and p.left.choice is choice:
            found += signed(p.left.values, sign * _sign(extent(p.right)))
        if isinstance(p.left, Expr):
            found += _parts(p.left, choice, sign * _sign(extent(p.right)))
    for m in e.maxima:
        for a in m.args:
            found += _parts(a, choice, sign * (1 if m.factor >= 0 else -1))
    return found


def _sign(ends: tuple[float, float]) -> int:
    return 1 if ends[0] >= 0 else -1 if ends[1] <= 0 else 0


def _groups(problem: Problem, choice: Choice) -> list[np.ndarray]:
    """Return the cells that go with the same cells of the other choices, group by group."""
    key = np.zeros(choice.size, dtype=np.int64)
    for other in problem.choices:
        for column in links(problem, choice, other) if other is not choice else []:
            _, key = np.unique(key * (int(column.max(initial=0)) + 1) + column, return_inverse=True)
            key = key.reshape(-1)
    order = np.argsort(key, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(key[order])) + 1)

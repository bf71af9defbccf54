"""Exact reductions before an engine runs.

A cell goes when its best completion breaks a row, or is worse than a solution already known. Both
use lower bounds of expressions given that cell: the cell's own terms, plus for each other choice
the least that a compatible cell adds. No optimal solution is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from formulations.algebra import (
    Choice,
    Exclusion,
    Expr,
    Floats,
    Indices,
    Maximum,
    Problem,
    Product,
    Table,
    corners,
    extent,
)
from formulations.engines.base import Options
from formulations.joint import Cells, best, codes, compatible, exclusions_between

# Pairs of cells beyond which products are bounded by their ranges, not pair by pair.
MAX_PAIRS = 1 << 22
# Complete solutions that the search for a first one may look at.
FIRST_BUDGET = 1 << 17
SLACK = 1e-9


@dataclass(frozen=True)
class Reduced:
    """A smaller problem with the same optimum.

    Attributes:
        problem: the rest; choices in the order of the original.
        cells: for each of its choices, the original index of each cell.
        incumbent: objective of the best solution known, and its original cells.
        infeasible: no cell of some choice is left, which proves that no solution holds.
    """

    problem: Problem
    cells: list[Indices]
    incumbent: tuple[float, Cells] | None
    infeasible: bool


class Bounds:
    """Lower bounds of expressions, cell by cell."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._pairs: dict[tuple[int, int], Callable[[Floats], Floats]] = {}
        self._dense: dict[tuple[int, int], np.ndarray] = {}

    def of(self, e: Expr, choice: Choice) -> Floats:
        """Return for each cell of ``choice`` a number that ``e`` cannot be below with it."""
        low = np.full(choice.size, e.constant)
        if choice in e.tables:
            low += e.tables[choice]
        for amount, factor in e.amounts.items():
            low += min(factor * amount.low, factor * amount.high)
        mine: dict[Choice, list[tuple[Floats, Floats]]] = {}
        for p in e.products:
            left, right = p.left, p.right
            if isinstance(left, Table) and left.choice is choice:
                mine.setdefault(right.choice, []).append((left.values, right.values))
            elif isinstance(left, Table) and right.choice is choice:
                mine.setdefault(left.choice, []).append((right.values, left.values))
            elif right.choice is choice:
                ends = np.array(extent(left))
                low += np.minimum(right.values * ends[0], right.values * ends[1])
            else:
                low += min(corners(extent(left), extent(right)))
        for other in self.problem.choices:
            if other is not choice:
                low += self._least(choice, other, e.tables.get(other), mine.get(other, []))
        for m in e.maxima:
            if m.factor >= 0:
                low += m.factor * np.maximum.reduce([self.of(a, choice) for a in m.args])
            else:
                low += m.factor * max(a.bounds()[1] for a in m.args)
        return low

    def _least(
        self, a: Choice, b: Choice, table: Floats | None, products: list[tuple[Floats, Floats]]
    ) -> Floats:
        """Return for each cell of ``a`` the least that compatible cells of ``b`` add."""
        values = np.zeros(b.size) if table is None else table
        if products and a.size * b.size <= MAX_PAIRS:
            total = np.where(self._compatible(a, b), values[None, :], np.inf)
            for x, y in products:
                total += x[:, None] * y[None, :]
            least: Floats = total.min(axis=1)
            return least
        low = self._least_table(a, b, values)
        for x, y in products:
            ends = y.min(), y.max()
            low = low + np.minimum(x * ends[0], x * ends[1])
        return low

    def _compatible(self, a: Choice, b: Choice) -> np.ndarray:
        key = id(a), id(b)
        if key not in self._dense:
            self._dense[key] = compatible(self.problem, a, b)
        return self._dense[key]

    def _least_table(self, a: Choice, b: Choice, values: Floats) -> Floats:
        """Return the least of a table of ``b`` over the cells compatible with each cell of ``a``.

        By classes: cells that agree on everything that matters between the two share an answer.
        """
        key = id(a), id(b)
        if key not in self._pairs:
            self._pairs[key] = _class_minimum(self.problem, a, b)
        return self._pairs[key](values)

    def pair(self, e: Expr, a: Choice, b: Choice) -> Floats:
        """Return for each pair of cells a number that ``e`` cannot be below with both.

        Incompatible pairs are infinite.
        """
        low = np.where(self._compatible(a, b), e.constant, np.inf)
        for choice, axis in ((a, 1), (b, 0)):
            if choice in e.tables:
                low += np.expand_dims(e.tables[choice], axis)
        for amount, factor in e.amounts.items():
            low += min(factor * amount.low, factor * amount.high)
        rest: list[Product] = []
        for p in e.products:
            ends = {p.left.choice if isinstance(p.left, Table) else None, p.right.choice}
            if ends == {a, b} and isinstance(p.left, Table):
                x, y = (p.left, p.right) if p.left.choice is a else (p.right, p.left)
                low += x.values[:, None] * y.values[None, :]
            else:
                rest.append(p)
        others = [c for c in self.problem.choices if c is not a and c is not b]
        tables = {c: v for c, v in e.tables.items() if c in others}
        if rest or tables:
            left = Expr(tables=tables, products=tuple(rest))
            low += np.maximum(self.of(left, a)[:, None], self.of(left, b)[None, :])
        for m in e.maxima:
            if m.factor >= 0:
                low += m.factor * np.maximum.reduce([self.pair(x, a, b) for x in m.args])
            else:
                low += m.factor * max(x.bounds()[1] for x in m.args)
        return low


def _class_minimum(problem: Problem, a: Choice, b: Choice) -> Callable[[Floats], Floats]:
    between = exclusions_between(problem, a, b)
    columns_a, columns_b = [codes(a, b)[0]], [codes(a, b)[1]]
    for e in between:
        columns_a.append(e.left_class)
        columns_b.append(e.right_class)
    ua, ia = np.unique(np.stack(columns_a, axis=1), axis=0, return_inverse=True)
    ub, ib = np.unique(np.stack(columns_b, axis=1), axis=0, return_inverse=True)
    ia, ib = ia.reshape(-1), ib.reshape(-1)
    agree = ua[:, None, 0] == ub[None, :, 0]
    for k, e in enumerate(between, start=1):
        agree &= ~e.bad[ua[:, k]][:, ub[:, k]]

    def least(values: Floats) -> Floats:
        by_class = np.full(len(ub), np.inf)
        np.minimum.at(by_class, ib, values)
        found: Floats = np.where(agree, by_class[None, :], np.inf).min(axis=1)[ia]
        return found

    return least


def reduce(problem: Problem, options: Options | None = None, *, prune: bool = True) -> Reduced:
    """Return a smaller problem with the same optimum.

    Args:
        problem: the problem.
        options: its clock is looked at between reductions; those not made by then are left out.
        prune: also look for a first solution and drop what is worse than it.
    """
    options = options or Options()
    cells = [np.arange(c.size) for c in problem.choices]
    current, dropped = problem, bool(problem.choices)
    incumbent: tuple[float, Cells] | None = None
    tried = -1
    while dropped and not options.expired:
        dropped = False
        bounds = Bounds(current)
        limits = [
            (row.expr, row.supply + SLACK * row.scale)
            for row in current.rows
            if row.expr.bounds()[1] > row.supply  # the others hold whatever is chosen
        ]
        if incumbent is not None:
            limits.append((current.objective, incumbent[0] + _slack(current.objective, incumbent[0])))
        keep = _kept(bounds, limits, options)
        if incumbent is not None and all(k.all() for k in keep):
            keep = _kept_in_pairs(bounds, limits, options)
        if any(not k.any() for k in keep):
            return Reduced(current, cells, incumbent, infeasible=incumbent is None)
        if not all(k.all() for k in keep):
            cells = [at[k] for at, k in zip(cells, keep, strict=True)]
            current = restrict(current, [np.flatnonzero(k) for k in keep])
            dropped = True
        size = sum(c.size for c in current.choices)
        if prune and not current.amounts and size != tried:
            tried = size
            better = first_solution(current, cells, problem, options)
            if better and (incumbent is None or better[0] < incumbent[0]):
                incumbent, dropped = better, True
    return Reduced(current, cells, incumbent, infeasible=False)


def _slack(objective: Expr, value: float) -> float:
    """Return how much worse than a known solution may still be as good, rounding considered."""
    return SLACK * abs(value) + 1e-3 * SLACK * max(abs(x) for x in objective.bounds())


def _kept(bounds: Bounds, limits: list[tuple[Expr, float]], options: Options) -> list[np.ndarray]:
    """Return the cells of each choice with which every limit may hold."""
    keep = []
    for choice in bounds.problem.choices:
        mask = np.ones(choice.size, dtype=bool)
        for e, limit in limits:
            if options.expired:
                break
            mask &= bounds.of(e, choice) <= limit
        keep.append(mask)
    return keep


def _kept_in_pairs(bounds: Bounds, limits: list[tuple[Expr, float]], options: Options) -> list[np.ndarray]:
    """Return the cells that have, in each other choice, a cell with which every limit may hold."""
    choices = bounds.problem.choices
    keep = [np.ones(c.size, dtype=bool) for c in choices]
    for i, a in enumerate(choices):
        for j, b in enumerate(choices[i + 1 :], start=i + 1):
            if a.size * b.size > MAX_PAIRS or options.expired:
                continue
            together = np.ones((a.size, b.size), dtype=bool)
            for e, limit in limits:
                together &= bounds.pair(e, a, b) <= limit
            keep[i] &= together.any(axis=1)
            keep[j] &= together.any(axis=0)
    return keep


def first_solution(
    problem: Problem, cells: list[Indices], original: Problem, options: Options
) -> tuple[float, Cells] | None:
    """Return a good solution by enumerating the most promising cells of each choice.

    The number of cells taken grows until all are in, or enumerating has cost its budget.
    """
    bounds = Bounds(problem)
    order = [np.argsort(bounds.of(problem.objective, c), kind="stable") for c in problem.choices]
    take, seen = 8, 0
    value: float | None = None
    at: Cells = {}
    while not options.expired:
        subset = {c: np.sort(o[:take]) for c, o in zip(problem.choices, order, strict=True)}
        found = best(problem, subset, FIRST_BUDGET, lambda: options.expired)
        if found.objective is not None and (value is None or found.objective < value):
            value, at = found.objective, found.cells
        seen += found.seen
        if take >= max(c.size for c in problem.choices) or seen * 4 > FIRST_BUDGET:
            break
        take *= 4
    if value is None:
        return None
    return value, {
        o: here[at[c]] for c, o, here in zip(problem.choices, original.choices, cells, strict=True)
    }


def restrict(problem: Problem, cells: list[Indices]) -> Problem:
    """Return the problem with only the given cells of each choice."""
    at = dict(zip(problem.choices, cells, strict=True))
    new = {c: Choice(c.name, {k: v[i] for k, v in c.columns.items()}) for c, i in at.items()}

    def expr(e: Expr) -> Expr:
        return Expr(
            e.constant,
            {new[c]: v[at[c]] for c, v in e.tables.items()},
            e.amounts,
            tuple(
                Product(table(p.left) if isinstance(p.left, Table) else p.left, table(p.right))
                for p in e.products
            ),
            tuple(Maximum(m.factor, tuple(expr(a) for a in m.args)) for m in e.maxima),
        )

    def table(t: Table) -> Table:
        return Table(new[t.choice], t.values[at[t.choice]])

    return Problem(
        problem.name,
        list(new.values()),
        problem.amounts,
        [replace(r, demand=expr(r.demand), allowed=expr(r.allowed)) for r in problem.rows],
        [
            Exclusion(new[e.left], new[e.right], e.left_class[at[e.left]], e.right_class[at[e.right]], e.bad)
            for e in problem.exclusions
        ],
        expr(problem.objective),
    )

"""Lower bounds of expressions, given one cell or a pair of cells: what reductions rest on.

The bound with a cell is the cell's own terms, plus for each other choice the least that a compatible
cell adds. It never exceeds the expression at any complete solution.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from formulations.agreement import Pairs, class_minimum, pairs_of
from formulations.algebra import (
    Amount,
    Choice,
    Expr,
    Floats,
    Indices,
    Product,
    Table,
    as_expr,
    corners,
    extent,
    multiply,
)
from formulations.problem import Problem

# Pairs of cells up to which products are bounded pair by pair rather than factor by factor.
MAX_PAIRS = 1 << 22
# As many where they would not be worth it before cheaper bounds have done their work.
FEW_PAIRS = 1 << 18
SLACK = 1e-9


class Bounds:
    """Lower bounds of expressions, cell by cell.

    Args:
        problem: whose expressions.
        pairs: see :data:`MAX_PAIRS`.
        subset: the only cells of some choices that count; bounds given other cells of theirs mean nothing.
    """

    def __init__(
        self, problem: Problem, pairs: int = MAX_PAIRS, subset: dict[Choice, Indices] | None = None
    ) -> None:
        self.problem = problem
        self.pairs = pairs
        self.subset = subset or {}
        self._least: dict[tuple[int, int], Callable[[Floats], Floats]] = {}
        self._whole: dict[tuple[int, int], Pairs | None] = {}
        self._pairs: dict[tuple[int, int], Pairs | None] = {}
        # what was asked for already, with the arrays that it is of, so that none of them is another's
        self._of: dict[tuple[int, int], tuple[Floats, Expr]] = {}
        self._added: dict[tuple[int, ...], tuple[Floats, object]] = {}
        self._ranges: dict[tuple[int, ...], tuple[tuple[Floats, Floats], object]] = {}

    def among(self, subset: dict[Choice, Indices]) -> Bounds:
        """Return bounds of the same problem where only some cells count; what agrees is looked up once."""
        other = Bounds(self.problem, self.pairs, subset)
        other._least, other._whole = self._least, self._whole
        return other

    def of(self, e: Expr, choice: Choice) -> Floats:
        """Return for each cell of ``choice`` a number that ``e`` cannot be below with it."""
        key = id(e), id(choice)
        if key not in self._of:
            self._of[key] = self._bounded(e, choice), e
        return self._of[key][0]

    def _bounded(self, e: Expr, choice: Choice) -> Floats:
        low = np.full(choice.size, e.constant)
        if choice in e.tables:
            low += e.tables[choice]
        for amount, factor in e.amounts.items():
            low += min(factor * amount.low, factor * amount.high)
        mine: dict[Choice, list[tuple[Floats, Floats]]] = {}
        for p in e.products:
            left, right = p.left, p.right
            if isinstance(left, Expr):
                low += self._nested(left, right, choice)
            elif isinstance(left, Table) and left.choice is choice:
                mine.setdefault(right.choice, []).append((left.values, right.values))
            elif isinstance(left, Table) and right.choice is choice:
                mine.setdefault(left.choice, []).append((right.values, left.values))
            elif right.choice is choice:
                ends = np.array(extent(left))
                low += np.minimum(right.values * ends[0], right.values * ends[1])
            else:
                low += self._elsewhere(left, right, choice)
        for other in self.problem.choices:
            if other is not choice and (other in e.tables or other in mine):
                low += self.added(choice, other, e.tables.get(other), mine.get(other, []))
        for m in e.maxima:
            if m.factor >= 0:
                low += m.factor * np.maximum.reduce([self.of(a, choice) for a in m.args])
            else:
                low += m.factor * max(a.bounds()[1] for a in m.args)
        return low

    def _elsewhere(self, left: Table | Amount, right: Table, choice: Choice) -> Floats:
        """Return a bound of a product of other choices: by what each factor may be with each cell."""
        if isinstance(left, Amount):
            return np.full(choice.size, min(corners(extent(left), extent(right))))
        (a, b), (c, d) = (self.range(choice, t.choice, t.values) for t in (left, right))
        if left.values.min() >= 0 and right.values.min() >= 0:
            return np.asarray(a * c)
        return np.asarray(np.minimum.reduce([a * c, a * d, b * c, b * d]))

    def _nested(self, left: Expr, right: Table, choice: Choice) -> Floats:
        """Return a bound of an expression times a table."""
        low = self.of(left, choice)
        if right.choice is choice:
            least = most = right.values
        else:
            least, most = self.range(choice, right.choice, right.values)
        if low.min() >= 0 and right.values.min() >= 0:
            return np.asarray(low * least)
        high = -self.of(as_expr(multiply(-1.0, left)), choice)
        return np.asarray(np.minimum.reduce([low * least, low * most, high * least, high * most]))

    def added(
        self, a: Choice, b: Choice, table: Floats | None, products: list[tuple[Floats, Floats]]
    ) -> Floats:
        """Return for each cell of ``a`` the least that compatible cells of ``b`` add."""
        key = id(a), id(b), id(table), *(id(v) for pair in products for v in pair)
        if key not in self._added:
            self._added[key] = self._least_added(a, b, table, products), (table, products)
        return self._added[key][0]

    def _least_added(
        self, a: Choice, b: Choice, table: Floats | None, products: list[tuple[Floats, Floats]]
    ) -> Floats:
        values = np.zeros(b.size) if table is None else table
        together = self.together(a, b) if products else None
        if together is not None:
            total = self._counting(b, values)[together.right]
            for x, y in products:
                total += x[together.left] * y[together.right]
            found = np.zeros(a.size)
            if len(total):
                found[together.there] = np.minimum.reduceat(total, together.begins)
            return np.where(np.isfinite(found), found, 0.0)
        low = self.least(a, b, values)
        for x, y in products:
            least, most = self.range(a, b, y)
            low = low + np.minimum(x * least, x * most)
        return low

    def together(self, a: Choice, b: Choice) -> Pairs | None:
        """Return which pairs of cells that count are compatible; None where there are too many to look at."""
        key = id(a), id(b)
        if key not in self._whole:
            self._whole[key] = pairs_of(self.problem, a, b, self.pairs)
        if key not in self._pairs:
            whole = self._whole[key]
            self._pairs[key] = whole if whole is None else self._that_count(whole, a, b)
        return self._pairs[key]

    def _that_count(self, at: Pairs, a: Choice, b: Choice) -> Pairs:
        for choice, index in ((a, "left"), (b, "right")):
            if choice in self.subset:
                counts = np.zeros(choice.size, dtype=bool)
                counts[self.subset[choice]] = True
                keep = counts[getattr(at, index)]
                at = Pairs.of(at.left[keep], at.right[keep])
        return at

    def range(self, a: Choice, b: Choice, values: Floats) -> tuple[Floats, Floats]:
        """Return the least and the greatest value of a table of ``b`` with each cell of ``a``.

        Zero where no cell of ``b`` is compatible.
        """
        key = id(a), id(b), id(values)
        if key not in self._ranges:
            self._ranges[key] = (self.least(a, b, values), -self.least(a, b, -values)), values
        return self._ranges[key][0]

    def possible(self, a: Choice) -> np.ndarray:
        """Return which cells have a compatible cell in every other choice; bounds of others mean nothing."""
        found = np.ones(a.size, dtype=bool)
        for b in self.problem.choices:
            if b is not a:
                found &= np.isfinite(self._by_class(a, b)(self._counting(b, np.zeros(b.size))))
        return found

    def least(self, a: Choice, b: Choice, values: Floats) -> Floats:
        """Return the least of a table of ``b`` over the cells compatible with each cell of ``a``.

        By classes: cells that agree on everything that matters between the two share an answer. Zero
        where no cell of ``b`` is compatible.
        """
        found = self._by_class(a, b)(self._counting(b, values))
        return np.where(np.isfinite(found), found, 0.0)

    def _by_class(self, a: Choice, b: Choice) -> Callable[[Floats], Floats]:
        key = id(a), id(b)
        if key not in self._least:
            self._least[key] = class_minimum(self.problem, a, b)
        return self._least[key]

    def _counting(self, b: Choice, values: Floats) -> Floats:
        """Return a table with the cells that do not count at infinity."""
        if b not in self.subset:
            return values
        found = np.full(b.size, np.inf)
        found[self.subset[b]] = values[self.subset[b]]
        return found

    def pair(self, e: Expr, a: Choice, b: Choice, at: Pairs) -> Floats:
        """Return for each pair of cells a number that ``e`` cannot be below with both.

        Args:
            e: the expression.
            a: the one choice.
            b: the other.
            at: their compatible pairs.
        """
        low: Floats = np.full(len(at.left), e.constant)
        for choice, index in ((a, at.left), (b, at.right)):
            if choice in e.tables:
                low += e.tables[choice][index]
        for amount, factor in e.amounts.items():
            low += min(factor * amount.low, factor * amount.high)
        tables = {c: v for c, v in e.tables.items() if c is not a and c is not b}
        of_a: list[Product] = []
        of_b: list[Product] = []
        rest: list[Product] = []
        for p in e.products:
            ends = {p.left.choice if isinstance(p.left, Table) else None, p.right.choice}
            if isinstance(p.left, Expr):
                low += self._nested_pair(p.left, p.right, a, b, at)
            elif ends == {a, b} and isinstance(p.left, Table):
                x, y = (p.left, p.right) if p.left.choice is a else (p.right, p.left)
                low += x.values[at.left] * y.values[at.right]
            else:
                (of_a if a in ends else of_b if b in ends else rest).append(p)
        if tables or of_a or of_b or rest:
            low += self._others(tables, of_a, of_b, rest, a, b, at)
        for m in e.maxima:
            if m.factor >= 0:
                low += m.factor * np.maximum.reduce([self.pair(x, a, b, at) for x in m.args])
            else:
                low += m.factor * max(x.bounds()[1] for x in m.args)
        return low

    def _others(
        self,
        tables: dict[Choice, Floats],
        of_a: list[Product],
        of_b: list[Product],
        rest: list[Product],
        a: Choice,
        b: Choice,
        at: Pairs,
    ) -> Floats:
        """Return a bound of what other choices add, given a cell of each of two."""
        common = Expr(tables=tables, products=tuple(rest))
        mine, its = Expr(products=tuple(of_a)), Expr(products=tuple(of_b))
        with_a = self.of(_sum(common, mine), a)[at.left]
        with_b = self.of(_sum(common, its), b)[at.right]
        if of_b:
            with_a = with_a + self.of(its, b)[at.right]
        if of_a:
            with_b = with_b + self.of(mine, a)[at.left]
        return np.asarray(np.maximum(with_a, with_b))

    def _nested_pair(self, left: Expr, right: Table, a: Choice, b: Choice, at: Pairs) -> Floats:
        low = self.pair(left, a, b, at)
        if right.choice in (a, b):
            least = most = right.values[at.left if right.choice is a else at.right]
        else:
            (la, ha), (lb, hb) = (self.range(x, right.choice, right.values) for x in (a, b))
            least = np.maximum(la[at.left], lb[at.right])
            most = np.minimum(ha[at.left], hb[at.right])
        if low.min(initial=0.0) >= 0 and right.values.min() >= 0:
            return np.asarray(low * least)
        high = extent(left)[1]
        return np.asarray(np.minimum.reduce([x * y for x in (low, high) for y in (least, most)]))


def _sum(x: Expr, y: Expr) -> Expr:
    return Expr(tables=x.tables, products=x.products + y.products)


def limits_of(problem: Problem, enough: float | None) -> list[tuple[Expr, float]]:
    """Return what must not be exceeded: rows that may bind, and the worst solution still wanted."""
    limits = [(row.expr, row.supply + SLACK * row.scale) for row in problem.rows if row.may_bind]
    if enough is not None:
        limits.append((problem.objective, enough + _slack(problem.objective, enough)))
    return limits


def _slack(objective: Expr, value: float) -> float:
    """Return how much worse than a known solution may still be as good, rounding considered."""
    return SLACK * abs(value) + 1e-3 * SLACK * max(abs(x) for x in objective.bounds())

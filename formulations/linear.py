"""The algebra as a mixed-integer linear program.

Exact, and without big-M in what a recipe usually writes:

- a choice is one binary a cell, of which one is 1; choices that share attributes have equal
  marginals on them;
- a product ``y w`` with a table ``w`` is one copy of ``y`` for each distinct value of ``w``, bounded
  by the sum of that value's binaries (the convex hull of the product);
- a maximum that is pushed down is an epigraph variable; one that is pushed up gets a binary for
  each argument, with constants no larger than the arguments' own ranges.

Rows and the objective are divided by their size, so that coefficients stay near one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from formulations.algebra import Amount, Choice, Expr, Floats, Indices, Maximum, Product, Table, extent
from formulations.bounds import FEW_PAIRS, Bounds
from formulations.joint import codes
from formulations.matrix import Linear, compressed
from formulations.names import Label
from formulations.problem import Problem

__all__ = ["Linear", "linearize", "merged"]

INF = float("inf")


@dataclass
class _Form:
    """A linear form: columns, their factors, and a constant."""

    columns: list[Indices] = field(default_factory=list)
    factors: list[Floats] = field(default_factory=list)
    constant: float = 0.0

    def add(self, columns: Indices, factors: Floats) -> None:
        used = factors != 0.0
        self.columns.append(columns[used])
        self.factors.append(factors[used])


class _Builder:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.low: list[Floats] = []
        self.high: list[Floats] = []
        self.whole: list[NDArray[np.bool_]] = []
        self.count = 0
        self.rows: list[tuple[Indices, Floats, float, float, str]] = []
        self.row_labels: list[Label] = []
        self.column_labels: list[tuple[Label, int]] = []
        self.maxima = 0
        self.bounds = Bounds(problem, FEW_PAIRS)
        self.hulls: dict[tuple[object, ...], Indices] = {}
        self.cells = {
            c: self.variables((c,), np.zeros(c.size), np.ones(c.size), whole=True) for c in problem.choices
        }
        self.amounts = {
            a: self.variables((a,), np.array([a.low]), np.array([a.high]), whole=a.whole)
            for a in problem.amounts
        }

    def variables(self, label: Label, low: Floats, high: Floats, *, whole: bool = False) -> int:
        first = self.count
        self.column_labels.append((label, len(low)))
        self.low.append(low)
        self.high.append(high)
        self.whole.append(np.full(len(low), whole))
        self.count += len(low)
        return first

    def row(
        self, label: Label, columns: Indices, factors: Floats, low: float, high: float, tag: str = ""
    ) -> None:
        self.rows.append((columns, factors, low, high, tag))
        self.row_labels.append(label)

    # -- structure ------------------------------------------------------------------------------

    def one_of_each(self) -> None:
        for choice, first in self.cells.items():
            self.row(("one", choice), np.arange(first, first + choice.size), np.ones(choice.size), 1.0, 1.0)

    def agreements(self) -> None:
        choices = self.problem.choices
        for i, a in enumerate(choices):
            for b in choices[i + 1 :]:
                code_a, code_b = codes(a, b)
                if code_a.max(initial=0) == 0 and code_b.max(initial=0) == 0:
                    continue
                for code in np.unique(np.concatenate([code_a, code_b])):
                    left, right = np.flatnonzero(code_a == code), np.flatnonzero(code_b == code)
                    self.row(
                        ("agree", a, b, left[0] if len(left) else None, right[0] if len(right) else 0),
                        np.concatenate([self.cells[a] + left, self.cells[b] + right]),
                        np.concatenate([np.ones(len(left)), -np.ones(len(right))]),
                        0.0,
                        0.0,
                    )

    def exclusions(self) -> None:
        for e in self.problem.exclusions:
            patterns, which = np.unique(e.bad, axis=0, return_inverse=True)
            which = which.reshape(-1)
            for k, pattern in enumerate(patterns):
                left = np.flatnonzero(which[e.left_class] == k)
                right = np.flatnonzero(pattern[e.right_class])
                if len(left) and len(right):
                    self.row(
                        ("exclude", e.left, e.right, k),
                        np.concatenate([self.cells[e.left] + left, self.cells[e.right] + right]),
                        np.ones(len(left) + len(right)),
                        -INF,
                        1.0,
                    )

    # -- expressions ----------------------------------------------------------------------------

    def form(self, e: Expr, *, pushed_down: bool | None) -> _Form:
        """Return an expression as a linear form.

        ``pushed_down`` where smaller is wanted, False where larger is, None where either may be.
        """
        f = _Form(constant=e.constant)
        for choice, values in e.tables.items():
            f.add(self.cells[choice] + np.arange(choice.size), values)
        for amount, factor in e.amounts.items():
            f.add(np.array([self.amounts[amount]]), np.array([factor]))
        for p in merged(e.products, self.problem.choices):
            f.add(*self.hull(p, pushed_down=pushed_down))
        for m in e.maxima:
            down = None if pushed_down is None else pushed_down == (m.factor > 0)
            column, size = self.largest(m, pushed_down=down)
            f.add(np.array([column]), np.array([m.factor * size]))
        return f

    def hull(self, p: Product, *, pushed_down: bool | None) -> tuple[Indices, Floats]:
        """Return the product as copies of its left factor, one for each value of its right one."""
        left, right = p.left, p.right
        if isinstance(left, Table) and len(np.unique(left.values)) < len(np.unique(right.values)):
            left, right = right, left
        values, which = np.unique(right.values, return_inverse=True)
        if values[0] < 0:  # less of the factor is more of the product, or both at once
            pushed_down = None if values[-1] > 0 or pushed_down is None else not pushed_down
        low, high = extent(left)
        size = max(abs(low), abs(high)) or 1.0
        key = (
            left.choice if isinstance(left, Table) else left,
            right.choice,
            left.values.tobytes() if isinstance(left, Table) else b"",
            which.tobytes(),
            pushed_down if isinstance(left, Expr) else None,
        )
        if key not in self.hulls:
            lows = np.full(len(values), low)
            if isinstance(left, Expr):  # what it is at least with each value makes the hull tight
                lows = np.full(len(values), np.inf)
                np.minimum.at(lows, which, np.maximum(self.bounds.of(left, right.choice), low))
                lows = np.minimum(lows, high)
            name = "sum" if isinstance(left, Expr) else key[0]
            self.hulls[key] = self._copies(
                self._factor(left, pushed_down), right.choice, which, lows / size, high / size, size, name
            )
        return self.hulls[key], values * size

    def _factor(self, left: Table | Amount | Expr, pushed_down: bool | None) -> _Form:
        if isinstance(left, Expr):
            return self.form(left, pushed_down=pushed_down)
        f = _Form()
        if isinstance(left, Amount):
            f.add(np.array([self.amounts[left]]), np.array([1.0]))
        else:
            used = np.flatnonzero(left.values)
            f.add(self.cells[left.choice] + used, left.values[used])
        return f

    def _copies(
        self,
        whole: _Form,
        choice: Choice,
        which: Indices,
        lows: Floats,
        high: float,
        size: float,
        name: object,
    ) -> Indices:
        number, count = len(self.hulls), len(lows)
        label = (f"hull{number}", name, choice)
        first = self.variables(
            (f"copy{number}", *label[1:]), np.minimum(lows, 0.0), np.full(count, max(high, 0.0))
        )
        copies = np.arange(first, first + count)
        self.row(
            (*label, "sum"),
            np.concatenate([copies, *whole.columns]).astype(np.int64),
            np.concatenate([np.ones(count), *(-x / size for x in whole.factors)]),
            whole.constant / size,
            whole.constant / size,
        )
        for k in range(count):
            binaries = self.cells[choice] + np.flatnonzero(which == k)
            columns = np.concatenate([[copies[k]], binaries])
            ones = np.ones(len(binaries))
            self.row((*label, "high", k), columns, np.concatenate([[1.0], -high * ones]), -INF, 0.0)
            self.row((*label, "low", k), columns, np.concatenate([[1.0], -lows[k] * ones]), 0.0, INF)
        return copies

    def largest(self, m: Maximum, *, pushed_down: bool | None) -> tuple[int, float]:
        """Return a variable for the maximum of some expressions, and the size it is divided by."""
        ranges = [a.bounds() for a in m.args]
        low, high = max(r[0] for r in ranges), max(r[1] for r in ranges)
        size = max(abs(low), abs(high)) or 1.0
        number = self.maxima
        self.maxima += 1
        column = self.variables((f"largest{number}",), np.array([low / size]), np.array([high / size]))
        exact = None if pushed_down is None else True
        for k, a in enumerate(m.args):
            f = self.form(a, pushed_down=exact)
            self.compare((f"largest{number}", "least", k), f, column, -INF, 0.0, size)
        if not pushed_down:
            pick = self.variables((f"pick{number}",), np.zeros(len(m.args)), np.ones(len(m.args)), whole=True)
            picks = np.arange(pick, pick + len(m.args))
            self.row((f"pick{number}",), picks, np.ones(len(picks)), 1.0, 1.0)
            for k, (a, r) in enumerate(zip(m.args, ranges, strict=True)):
                # column <= arg + (high - low of arg) (1 - pick)
                slack = high - r[0]
                f = self.form(a, pushed_down=pushed_down)
                f.add(np.array([picks[k]]), np.array([-slack]))
                f.constant += slack
                self.compare((f"largest{number}", "most", k), f, column, 0.0, INF, size)
        return column, size

    def compare(self, label: Label, f: _Form, column: int, low: float, high: float, size: float) -> None:
        """Add ``low <= f / size - column <= high``."""
        columns = np.concatenate([*f.columns, [column]]).astype(np.int64)
        factors = np.concatenate([*(x / size for x in f.factors), [-1.0]])
        self.row(label, columns, factors, low - f.constant / size, high - f.constant / size)


def merged(products: tuple[Product, ...], choices: list[Choice]) -> list[Product]:
    """Return the products with those that share a factor added up."""
    order = {c: i for i, c in enumerate(choices)}
    found: dict[tuple[object, object, bytes], Product] = {}
    rest: list[Product] = []
    for p in products:
        if not isinstance(p.left, Table):
            rest.append(p)
            continue
        left, right = (p.left, p.right) if order[p.left.choice] < order[p.right.choice] else (p.right, p.left)
        key = left.choice, right.choice, right.values.tobytes()
        if key in found:
            mine = found[key].left
            assert isinstance(mine, Table)
            left = Table(left.choice, mine.values + left.values)
        found[key] = Product(left, right)
    by_left: dict[tuple[object, object, bytes], Product] = {}
    for p in found.values():
        assert isinstance(p.left, Table)
        key = p.left.choice, p.right.choice, p.left.values.tobytes()
        right = p.right
        if key in by_left:
            right = Table(right.choice, by_left[key].right.values + right.values)
        by_left[key] = Product(p.left, right)
    return rest + list(by_left.values())


def linearize(problem: Problem) -> Linear:
    """Return the mixed-integer program of a problem."""
    b = _Builder(problem)
    b.one_of_each()
    b.agreements()
    b.exclusions()
    for row in problem.rows:
        f = b.form(row.expr, pushed_down=True)
        columns = np.concatenate([*f.columns, np.empty(0, np.int64)]).astype(np.int64)
        factors = np.concatenate([*f.factors, np.empty(0)])
        b.row((row,), columns, factors / row.scale, -INF, (row.supply - f.constant) / row.scale, row.tag)
    f = b.form(problem.objective, pushed_down=True)
    ends = problem.objective.bounds()
    scale = max(abs(ends[0]), 1e-6 * abs(ends[1])) or 1.0
    cost = np.zeros(b.count)
    for columns, factors in zip(f.columns, f.factors, strict=True):
        np.add.at(cost, columns, factors / scale)
    columns, values, starts = compressed(b.rows)
    return Linear(
        cost,
        f.constant / scale,
        np.concatenate(b.low),
        np.concatenate(b.high),
        np.concatenate(b.whole),
        np.array([r[2] for r in b.rows]),
        np.array([r[3] for r in b.rows]),
        starts,
        columns,
        values,
        [r[4] for r in b.rows],
        scale,
        b.cells,
        b.amounts,
        b.row_labels,
        b.column_labels,
    )

"""From floats to whole numbers: the one place where rounding for CP-SAT happens.

An expression is a :class:`Sum` of parts, each a function of one choice, of two choices, of an
amount, of an amount and a choice, or the largest of some sums. On a :class:`Grid` every value of a
part becomes the nearest whole number of steps of ``1 / scale``, a power of two. A solution takes one
value of each part, however many cells there are, so that the whole-number sum differs from the
float sum, in steps, by at most :meth:`Sum.error`:

- half a step for each constant and for each part of choices, or what rounding really did if less;
- half a step times its largest number of units for an amount, since its factor is rounded; half a
  unit of a continuous amount more, since it is only decided to ``1 / UNITS`` of its range;
- the largest error of its sums for a maximum, or a table times a sum, which takes one of them;
- ``SLOP`` times the size of the largest terms, which bounds what the float sum itself has rounded.

The scale is as large as 64-bit sums allow. Where a small scale makes all values whole, the error is
zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from formulations.algebra import Amount, Choice, Expr, Floats, Indices, Product, Table, as_expr
from formulations.algebra import add as added
from formulations.joint import ROW_TOLERANCE
from formulations.problem import Row

# No sum of sizes of terms goes beyond 2 to this many steps; CP-SAT's own sums stop at 2^63.
BITS = 56
# Floats add a few hundred terms with a relative error below this.
SLOP = 2.0**-46
# Scales at which whole numbers, halves and other short binary fractions are exact.
EXACT = (1.0, 2.0**10, 2.0**20)
# A continuous amount is decided to this share of its range.
UNITS = 1 << 27
# Functions of two choices are added up where together they have at most this many values.
PAIRS = 1 << 14


@dataclass(frozen=True, eq=False)
class Single:
    """A function of one choice."""

    choice: Choice
    values: Floats

    @property
    def size(self) -> float:
        """The largest value, whatever its sign."""
        return float(np.abs(self.values).max())

    @property
    def reach(self) -> float:
        """What sizes of terms may add up to in a constraint."""
        return self.size + float((self.values - self.values.min()).sum())


@dataclass(frozen=True, eq=False)
class Pair:
    """A function of classes of cells of two choices: one row for each class of ``left``."""

    left: Choice
    right: Choice
    left_class: Indices
    right_class: Indices
    values: Floats
    size: float

    @property
    def reach(self) -> float:
        """What sizes of terms may add up to in a constraint."""
        rest = self.values - self.values.min()
        # a line of values, its largest twice, and the copies of all lines of the smaller side
        sums = [rest.sum(axis=axis).max() + rest.max(axis=axis).sum() for axis in (0, 1)]
        return 3.0 * self.size + float(max(sums))


@dataclass(frozen=True, eq=False)
class Level:
    """An amount times a number, or times a table over a choice: one number for each class."""

    amount: Amount
    choice: Choice | None
    which: Indices
    factors: Floats

    @property
    def size(self) -> float:
        """The largest value, whatever its sign."""
        return float(np.abs(self.factors).max()) * max(abs(self.amount.low), abs(self.amount.high))

    @property
    def reach(self) -> float:
        """What sizes of terms may add up to in a constraint."""
        return 4.0 * self.size * len(self.factors)

    @cached_property
    def units(self) -> tuple[float, float, int, int]:
        """The amount as ``base + step x units``, with the least and largest whole number of units."""
        return units(self.amount)


@dataclass(frozen=True, eq=False)
class Largest:
    """The largest of some sums, times 1 or -1."""

    sign: int
    args: tuple[Sum, ...]

    @property
    def size(self) -> float:
        """The size of its largest sum."""
        return max(a.size for a in self.args)

    @property
    def reach(self) -> float:
        """What sizes of terms may add up to in a constraint."""
        return 2.0 * sum(a.reach for a in self.args)


@dataclass(frozen=True, eq=False)
class Gated:
    """A sum for each class of cells of a choice, of which the one that is taken counts."""

    choice: Choice
    which: Indices
    args: tuple[Sum, ...]

    @property
    def size(self) -> float:
        """The size of its largest sum."""
        return max(a.size for a in self.args)

    @property
    def reach(self) -> float:
        """What sizes of terms may add up to in a constraint."""
        return 4.0 * sum(a.reach for a in self.args)


Part: TypeAlias = "Single | Pair | Level | Largest | Gated"


def units(amount: Amount) -> tuple[float, float, int, int]:
    """Return base, step, and the least and largest number of steps of an amount."""
    if amount.whole:
        return 0.0, 1.0, int(np.ceil(amount.low)), int(np.floor(amount.high))
    if amount.low == amount.high:
        return amount.low, 0.0, 0, 0
    return amount.low, (amount.high - amount.low) / UNITS, 0, UNITS


@dataclass(frozen=True, eq=False)
class Sum:
    """A constant and parts."""

    constant: float
    parts: tuple[Part, ...]

    @cached_property
    def size(self) -> float:
        """The largest that the sizes of its terms add up to."""
        return abs(self.constant) + sum(p.size for p in self.parts)

    @cached_property
    def reach(self) -> float:
        """What sizes of terms may add up to in a constraint."""
        return abs(self.constant) + sum(p.reach for p in self.parts)

    def error(self, grid: Grid) -> float:
        """Return the most, in steps, by which whole numbers and floats differ at any solution."""
        if grid.exact:
            return 0.0
        return _rounded(self, grid) + SLOP * self.size * grid.scale

    def values(self) -> Iterator[Floats]:
        """Yield all numbers that are rounded."""
        yield np.array([self.constant])
        for p in self.parts:
            if isinstance(p, Largest | Gated):
                for a in p.args:
                    yield from a.values()
            elif isinstance(p, Level):
                base, step, _, _ = p.units
                # a continuous amount is never exact: its optimum may lie between two units
                yield np.array([np.nan]) if step not in (0.0, 1.0) else p.factors * (base or 1.0)
            else:
                yield p.values


@dataclass(frozen=True)
class Grid:
    """Whole multiples of ``1 / scale``; ``exact`` where no value is rounded at all."""

    scale: float
    exact: bool

    def whole(self, values: Floats) -> Indices:
        """Return values as the nearest whole number of steps."""
        return np.rint(values * self.scale).astype(np.int64)


def grid_of(s: Sum) -> Grid:
    """Return the grid of a sum: a coarse one if it is exact, else the finest that fits 64 bits."""
    for scale in EXACT:
        # below 2^53 steps, float arithmetic on these values is exact as well
        if s.reach * scale < 2.0**52 and all(_is_whole(v * scale) for v in s.values()):
            return Grid(scale, True)
    return Grid(2.0 ** np.floor(BITS - np.log2(s.reach)) if s.reach else 1.0, False)


def _is_whole(values: Floats) -> bool:
    return bool((np.rint(values) == values).all())


def _rounded(s: Sum, grid: Grid) -> float:
    """Return the rounding of values alone."""
    total = _off(np.array([s.constant]), grid)
    for p in s.parts:
        if isinstance(p, Largest | Gated):
            total += max(_rounded(a, grid) for a in p.args)
        elif isinstance(p, Level):
            base, step, low, high = p.units
            total += _off(p.factors * step, grid) * max(abs(low), abs(high)) + _off(p.factors * base, grid)
            if not p.amount.whole:
                total += 0.5 * step * float(np.abs(p.factors).max()) * grid.scale
        else:
            total += _off(p.values, grid)
    return total


def _off(values: Floats, grid: Grid) -> float:
    return float(np.abs(grid.whole(values) - values * grid.scale).max())


# -- from expressions -----------------------------------------------------------------------------


def sum_of(e: Expr, choices: list[Choice], factor: float = 1.0) -> Sum:
    """Return an expression times a number as a sum of parts.

    Factors of maxima go into their arguments, so that all of an expression shares one grid.
    """
    parts: list[Part] = [Single(c, v * factor) for c, v in e.tables.items()]
    none = np.zeros(1, dtype=np.int64)
    parts += [Level(a, None, none, np.array([f * factor])) for a, f in e.amounts.items()]
    between: dict[tuple[Choice, Choice], list[tuple[Floats, Floats]]] = {}
    order = {c: i for i, c in enumerate(choices)}
    for p in e.products:
        if isinstance(p.left, Expr):
            values, which = np.unique(p.right.values, return_inverse=True)
            sums = tuple(sum_of(p.left, choices, float(v) * factor) for v in values)
            parts.append(Gated(p.right.choice, which.reshape(-1), sums))
        elif isinstance(p.left, Amount):
            values, which = np.unique(p.right.values, return_inverse=True)
            parts.append(Level(p.left, p.right.choice, which.reshape(-1), values * factor))
        else:
            a, b = _ordered(p, order)
            between.setdefault((a.choice, b.choice), []).append((a.values * factor, b.values))
    for (left, right), tables in between.items():
        parts += _pairs(left, right, tables)
    for m in e.maxima:
        args = tuple(sum_of(a, choices, abs(m.factor * factor)) for a in m.args)
        parts.append(Largest(1 if m.factor * factor > 0 else -1, args))
    return Sum(e.constant * factor, tuple(parts))


def _ordered(p: Product, order: dict[Choice, int]) -> tuple[Table, Table]:
    assert isinstance(p.left, Table)
    return (p.left, p.right) if order[p.left.choice] < order[p.right.choice] else (p.right, p.left)


def _pairs(left: Choice, right: Choice, tables: list[tuple[Floats, Floats]]) -> Iterator[Part]:
    """Yield the products of tables over two choices as one function, or one by one if that is large."""
    a, left_class = np.unique(np.array([t[0] for t in tables]), axis=1, return_inverse=True)
    b, right_class = np.unique(np.array([t[1] for t in tables]), axis=1, return_inverse=True)
    if len(tables) > 1 and a.shape[1] * b.shape[1] > PAIRS:
        for t in tables:
            yield from _pairs(left, right, [t])
        return
    values = a.T @ b
    size = float((np.abs(a).max(axis=1) * np.abs(b).max(axis=1)).sum())
    left_class, right_class = left_class.reshape(-1), right_class.reshape(-1)
    if a.shape[1] == 1:
        yield Single(right, values[0, right_class])
    elif b.shape[1] == 1:
        yield Single(left, values[left_class, 0])
    else:
        yield Pair(left, right, left_class, right_class, values, size)


def limit_of(row: Row, choices: list[Choice]) -> tuple[Sum, float]:
    """Return a sum and a number that it does not exceed wherever the row holds to its tolerance.

    A row holds where ``left <= right + ROW_TOLERANCE max(|left|, |right|)``. With both sides of one sign that
    is linear; otherwise the tolerance is taken at the row's largest side.
    """
    (low, high), (allowed_low, allowed_high) = row.demand.bounds(), row.allowed.bounds()
    demand, allowed = row.demand, as_expr(-1.0 * row.allowed)
    slack = 0.0
    if low >= 0.0 and allowed_low >= 0.0:
        demand = as_expr((1.0 - ROW_TOLERANCE) * demand)
    elif high <= 0.0 and allowed_high <= 0.0:
        allowed = as_expr((1.0 - ROW_TOLERANCE) * allowed)
    else:
        slack = ROW_TOLERANCE * row.scale
    return sum_of(as_expr(added(demand, allowed)), choices), slack

"""The language that problems are written in.

- A :class:`Choice` is a set of cells, of which a solution takes exactly one. Each cell has named
  attributes (``tp = 4``); two choices that share an attribute must agree on it.
- A :class:`Table` gives a number for each cell of one choice.
- An :class:`Amount` is a bounded number, whole or not.
- An :class:`Expr` is a sum of tables, amounts, products of a table with anything, and maxima of
  expressions.

:mod:`formulations.problem` makes problems of them. Tables and expressions take part in ordinary
arithmetic and in ``np.maximum``, so the functions of ``mlsysim.physics`` that only add, multiply and
take maxima build expressions when they are given tables. Nothing here knows a solver.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]
Operand: TypeAlias = "float | _Arithmetic"


@dataclass(frozen=True, eq=False)
class Choice:
    """A one-of-many decision over cells with named attributes."""

    name: str
    columns: dict[str, NDArray[Any]]

    @cached_property
    def size(self) -> int:
        """How many cells there are."""
        return len(next(iter(self.columns.values())))

    def table(self, values: Any) -> Table:
        """Return a table over the cells; a single number stands for all of them."""
        found = np.asarray(values, dtype=float)
        if found.shape != (self.size,):
            found = np.broadcast_to(found, (self.size,))
        if np.isnan(found).any():
            raise ValueError(f"a table over {self.name!r} has a cell that is not a number")
        return Table(self, found)

    def label(self, cell: int) -> str:
        """Return a cell as text: ``tp=4,pp=2``."""
        return ",".join(f"{k}={v[cell]}" for k, v in self.columns.items())


class _Arithmetic:
    """Arithmetic shared by tables, amounts and expressions; NumPy defers to it."""

    def expr(self) -> Expr:
        raise NotImplementedError

    def __add__(self, other: Operand) -> Any:
        return add(self, other)

    def __radd__(self, other: Operand) -> Any:
        return add(other, self)

    def __sub__(self, other: Operand) -> Any:
        return add(self, negative(other))

    def __rsub__(self, other: Operand) -> Any:
        return add(other, multiply(-1.0, self))

    def __mul__(self, other: Operand) -> Any:
        return multiply(self, other)

    def __rmul__(self, other: Operand) -> Any:
        return multiply(other, self)

    def __truediv__(self, other: Operand) -> Any:
        if isinstance(other, Table):
            return multiply(self, Table(other.choice, 1.0 / other.values))
        if isinstance(other, _Arithmetic):
            raise TypeError("only a number or a table can divide; multiply the row out instead")
        return multiply(self, 1.0 / float(other))

    def __rtruediv__(self, other: Operand) -> Any:
        if isinstance(self, Table):
            return multiply(other, Table(self.choice, 1.0 / self.values))
        raise TypeError("only a number or a table can divide; multiply the row out instead")

    def __neg__(self) -> Any:
        return multiply(-1.0, self)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        operation = _UFUNCS.get(ufunc)
        pointwise = _of_one_choice(inputs) if method == "__call__" and not kwargs else None
        if pointwise is not None:
            return Table(pointwise, np.asarray(ufunc(*map(_plain, inputs)), dtype=float))
        if method != "__call__" or operation is None or kwargs:
            return NotImplemented
        return operation(
            *(
                float(x)
                if isinstance(x, np.generic) or (np.ndim(x) == 0 and isinstance(x, np.ndarray))
                else x
                for x in inputs
            )
        )


@dataclass(frozen=True, eq=False)
class Table(_Arithmetic):
    """A number for each cell of one choice."""

    choice: Choice
    values: Floats

    def expr(self) -> Expr:
        """Return the table as an expression."""
        return Expr(tables={self.choice: self.values})


@dataclass(frozen=True, eq=False)
class Amount(_Arithmetic):
    """A number between ``low`` and ``high``, whole if ``whole``."""

    name: str
    low: float
    high: float
    whole: bool = False

    def expr(self) -> Expr:
        """Return the amount as an expression."""
        return Expr(amounts={self: 1.0})


@dataclass(frozen=True, eq=False)
class Product:
    """``left x right``: a table, an amount or an expression times a table (of another choice)."""

    left: Table | Amount | Expr
    right: Table


@dataclass(frozen=True, eq=False)
class Maximum:
    """``factor`` times the largest of some expressions."""

    factor: float
    args: tuple[Expr, ...]


@dataclass(frozen=True, eq=False)
class Expr(_Arithmetic):
    """A sum of a constant, tables, amounts, products and maxima."""

    constant: float = 0.0
    tables: dict[Choice, Floats] = field(default_factory=dict)
    amounts: dict[Amount, float] = field(default_factory=dict)
    products: tuple[Product, ...] = ()
    maxima: tuple[Maximum, ...] = ()

    def expr(self) -> Expr:
        """Return itself."""
        return self

    def at(self, cells: dict[Choice, Indices], amounts: dict[Amount, float] | None = None) -> Floats:
        """Return the value where each choice takes the cells given, one per position."""
        amounts = amounts or {}

        def value(x: Table | Amount | Expr) -> Any:
            if isinstance(x, Expr):
                return x.at(cells, amounts)
            return amounts[x] if isinstance(x, Amount) else x.values[cells[x.choice]]

        size = len(next(iter(cells.values()))) if cells else 1
        total = np.full(size, self.constant)
        for choice, values in self.tables.items():
            total += values[cells[choice]]
        for amount, factor in self.amounts.items():
            total += factor * amounts[amount]
        for p in self.products:
            total += value(p.left) * value(p.right)
        for m in self.maxima:
            total += m.factor * np.maximum.reduce([a.at(cells, amounts) for a in m.args])
        return total

    def magnitude(self, cells: dict[Choice, Indices], amounts: dict[Amount, float] | None = None) -> float:
        """Return the sum of the sizes of the terms at one solution: what rounding is relative to."""
        amounts = amounts or {}

        def value(x: Table | Amount | Expr) -> float:
            if isinstance(x, Expr):
                return x.magnitude(cells, amounts)
            return amounts[x] if isinstance(x, Amount) else float(x.values[cells[x.choice]][0])

        total = abs(self.constant)
        total += sum(abs(float(values[cells[c]][0])) for c, values in self.tables.items())
        total += sum(abs(factor * amounts[a]) for a, factor in self.amounts.items())
        total += sum(abs(value(p.left) * value(p.right)) for p in self.products)
        for m in self.maxima:
            total += abs(m.factor) * max(a.magnitude(cells, amounts) for a in m.args)
        return total

    @property
    def pushes_up(self) -> bool:
        """Whether a maximum counts against the expression: it then takes binaries of its own."""
        return any(m.factor < 0 or any(a.pushes_up for a in m.args) for m in self.maxima) or any(
            p.left.pushes_up or (p.right.values.min() < 0 and p.left.has_maxima)
            for p in self.products
            if isinstance(p.left, Expr)
        )

    @property
    def has_maxima(self) -> bool:
        """Whether there is a maximum anywhere in it."""
        return bool(self.maxima) or any(isinstance(p.left, Expr) and p.left.has_maxima for p in self.products)

    def bounds(self) -> tuple[float, float]:
        """Return numbers between which the expression lies, whatever is chosen."""
        low = high = self.constant
        for values in self.tables.values():
            low, high = low + values.min(), high + values.max()
        for amount, factor in self.amounts.items():
            ends = (factor * amount.low, factor * amount.high)
            low, high = low + min(ends), high + max(ends)
        for p in self.products:
            reach = corners(extent(p.left), extent(p.right))
            low, high = low + min(reach), high + max(reach)
        for m in self.maxima:
            inner = [a.bounds() for a in m.args]
            ends = (m.factor * max(b[0] for b in inner), m.factor * max(b[1] for b in inner))
            low, high = low + min(ends), high + max(ends)
        return float(low), float(high)


def extent(x: Table | Amount | Expr) -> tuple[float, float]:
    """Return numbers between which a factor lies; of a table or an amount, its ends."""
    if isinstance(x, Amount):
        return x.low, x.high
    if isinstance(x, Expr):
        return x.bounds()
    return float(x.values.min()), float(x.values.max())


def corners(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float, float, float]:
    """Return the products of the ends of two ranges."""
    return a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1]


def as_expr(x: Operand) -> Expr:
    """Return anything that can stand in a sum as an expression."""
    return x.expr() if isinstance(x, _Arithmetic) else Expr(constant=float(x))


def add(x: Operand, y: Operand) -> Table | Expr:
    """Return the sum; tables of one choice stay a table."""
    for t, other in ((x, y), (y, x)):
        if isinstance(t, Table):
            if isinstance(other, Table) and other.choice is t.choice:
                return Table(t.choice, t.values + other.values)
            if not isinstance(other, _Arithmetic):
                return Table(t.choice, t.values + float(other))
    a, b = as_expr(x), as_expr(y)
    tables = dict(a.tables)
    for choice, values in b.tables.items():
        tables[choice] = tables[choice] + values if choice in tables else values
    amounts = dict(a.amounts)
    for amount, factor in b.amounts.items():
        amounts[amount] = amounts.get(amount, 0.0) + factor
    return Expr(a.constant + b.constant, tables, amounts, a.products + b.products, a.maxima + b.maxima)


def multiply(x: Operand, y: Operand) -> Table | Expr:
    """Return the product; of two expressions only if it has no term of more than two factors."""
    if not isinstance(x, _Arithmetic) and not isinstance(y, _Arithmetic):
        raise TypeError("a product needs a table, an amount or an expression")
    if not isinstance(y, _Arithmetic):
        return _scale(x, float(y))
    if not isinstance(x, _Arithmetic):
        return _scale(y, float(x))
    if isinstance(x, Table) and isinstance(y, Table):
        if x.choice is y.choice:
            return Table(x.choice, x.values * y.values)
        return _product(x, y)
    for a, b in ((x, y), (y, x)):
        if isinstance(b, Table):
            return _distribute(as_expr(a), b)
    raise TypeError("a product of two amounts or of two sums is not linear in cells")


def _scale(x: Any, factor: float) -> Table | Expr:
    if isinstance(x, Table):
        return Table(x.choice, x.values * factor)
    e = as_expr(x)
    if factor == 0.0:
        return Expr()
    return Expr(
        e.constant * factor,
        {c: v * factor for c, v in e.tables.items()},
        {a: v * factor for a, v in e.amounts.items()},
        tuple(Product(p.left, Table(p.right.choice, p.right.values * factor)) for p in e.products),
        tuple(Maximum(m.factor * factor, m.args) for m in e.maxima),
    )


def _product(left: Table | Amount | Expr, right: Table) -> Expr:
    if not right.values.any():
        return Expr()
    if isinstance(left, Table) and not left.values.any():
        return Expr()
    low, high = extent(right)
    if low == high:  # a constant table is a number
        return as_expr(_scale(left, low))
    if isinstance(left, Table):
        low, high = extent(left)
        if low == high:
            return as_expr(_scale(right, low))
    return Expr(products=(Product(left, right),))


def _distribute(e: Expr, t: Table) -> Expr:
    if e.products or e.maxima:
        return _product(e, t)
    total: Table | Expr = Table(t.choice, t.values * e.constant)
    for choice, values in e.tables.items():
        total = add(total, multiply(Table(choice, values), t))
    for amount, factor in e.amounts.items():
        total = add(total, _product(amount, Table(t.choice, t.values * factor)))
    return as_expr(total)


def maximum(*args: Operand) -> Table | Expr:
    """Return the largest of some operands, dropping those that can never be it."""
    tables = [a for a in args if isinstance(a, Table)]
    if tables and all(
        not isinstance(a, _Arithmetic) or (isinstance(a, Table) and a.choice is tables[0].choice)
        for a in args
    ):
        parts = [_plain(a) for a in args]
        return Table(tables[0].choice, np.maximum.reduce(np.broadcast_arrays(*parts)))
    exprs = [as_expr(a) for a in args]
    if len(exprs) == 2 and exprs[0] is exprs[1]:
        return exprs[0]
    ranges = [e.bounds() for e in exprs]
    floor = max(low for low, _ in ranges)
    kept: list[Expr] = []
    for e, (low, high) in zip(exprs, ranges, strict=True):
        if high > floor or (low == high == floor and not any(k.bounds() == (low, high) for k in kept)):
            kept.append(e)
    return kept[0] if len(kept) == 1 else Expr(maxima=(Maximum(1.0, tuple(kept)),))


def _plain(x: Operand) -> Any:
    return x.values if isinstance(x, Table) else x


def _of_one_choice(inputs: tuple[Any, ...]) -> Choice | None:
    """Return the choice of operands that are tables of one choice and single numbers."""
    choices = {x.choice for x in inputs if isinstance(x, Table)}
    rest = [x for x in inputs if not isinstance(x, Table)]
    if len(choices) == 1 and all(not isinstance(x, _Arithmetic) and np.ndim(x) == 0 for x in rest):
        return choices.pop()
    return None


def _minimum(x: Operand, y: Operand) -> Table | Expr:
    if isinstance(x, Table) and not isinstance(y, _Arithmetic):
        return Table(x.choice, np.minimum(x.values, float(y)))
    if isinstance(y, Table) and not isinstance(x, _Arithmetic):
        return Table(y.choice, np.minimum(float(x), y.values))
    return multiply(-1.0, maximum(negative(x), negative(y)))


def negative(x: Operand) -> Operand:
    """Return an operand with its sign changed."""
    return multiply(-1.0, x) if isinstance(x, _Arithmetic) else -float(x)


def _divide(x: Operand, y: Operand) -> Any:
    return x / y


_UFUNCS: dict[Any, Callable[..., Any]] = {
    np.add: add,
    np.subtract: lambda x, y: add(x, negative(y)),
    np.multiply: multiply,
    np.true_divide: _divide,
    np.maximum: maximum,
    np.minimum: _minimum,
    np.negative: lambda x: multiply(-1.0, x),
}

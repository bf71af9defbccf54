"""A problem: choices, amounts, rows on behalf of walls, and an objective to be made least."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formulations.algebra import Amount, Choice, Expr, Indices, Operand, add, as_expr, negative


@dataclass(frozen=True, eq=False)
class Row:
    """``demand <= allowed``, on behalf of a wall or of a limit of the plan.

    Attributes:
        tag: what the row stands for, e.g. ``w02`` or ``assert0``; rows of one tag are one reason.
        name: the row in an exported model.
        demand, allowed: its two sides.
        hard: the physics says so, rather than the plan.
    """

    tag: str
    name: str
    demand: Expr
    allowed: Expr
    hard: bool = True

    @cached_property
    def expr(self) -> Expr:
        """``demand - allowed``, without its constant."""
        return replace(self._difference, constant=0.0)

    @property
    def supply(self) -> float:
        """What :attr:`expr` must not exceed."""
        return -self._difference.constant

    @cached_property
    def _difference(self) -> Expr:
        return as_expr(add(self.demand, negative(self.allowed)))

    @cached_property
    def may_bind(self) -> bool:
        """Whether anything breaks it: other rows hold whatever is chosen."""
        return bool(self.expr.bounds()[1] > self.supply)

    @cached_property
    def scale(self) -> float:
        """The size of the row's larger side over all its cells; 1 where both are 0."""
        ends = (*self.demand.bounds(), *self.allowed.bounds())
        return max(abs(x) for x in ends) or 1.0

    def holds(
        self, cells: dict[Choice, Indices], amounts: dict[Amount, float] | None, tolerance: float
    ) -> NDArray[np.bool_]:
        """Return where the row holds, to a tolerance relative to its sides there."""
        left, right = self.demand.at(cells, amounts), self.allowed.at(cells, amounts)
        return np.asarray(left <= right + tolerance * np.maximum(np.abs(left), np.abs(right)))


@dataclass(frozen=True, eq=False)
class Exclusion:
    """Cells of two choices that cannot go together, by classes of cells.

    Attributes:
        left_class, right_class: the class of each cell.
        bad: for each pair of classes, whether it is excluded.
    """

    left: Choice
    right: Choice
    left_class: Indices
    right_class: Indices
    bad: NDArray[np.bool_]


@dataclass
class Problem:
    """Choices, amounts, rows, and an objective to be made least.

    Of equally good solutions the one with the least of the first of ``ties`` is meant, then of the
    next, then the first in order of cells.
    """

    name: str
    choices: list[Choice] = field(default_factory=list)
    amounts: list[Amount] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    exclusions: list[Exclusion] = field(default_factory=list)
    objective: Expr = field(default_factory=Expr)
    ties: tuple[Expr, ...] = ()

    def choose(self, name: str, **columns: Any) -> Choice:
        """Add a choice whose cells have the given attributes."""
        choice = Choice(name, {k: np.asarray(v) for k, v in columns.items()})
        if len({len(v) for v in choice.columns.values()}) != 1:
            raise ValueError(f"the columns of choice {name!r} are not equally long")
        if choice.size == 0:
            raise ValueError(f"choice {name!r} has no cells")
        self.choices.append(choice)
        return choice

    def amount(self, name: str, low: float, high: float, *, whole: bool = False) -> Amount:
        """Add an amount between finite bounds."""
        if not np.isfinite([low, high]).all() or low > high:
            raise ValueError(f"amount {name!r} needs finite bounds, low <= high")
        amount = Amount(name, low, high, whole)
        self.amounts.append(amount)
        return amount

    def limit(self, tag: str, name: str, demand: Operand, supply: Operand, *, hard: bool = True) -> Row:
        """Add the row ``demand <= supply``; both may be expressions."""
        row = Row(tag, name, as_expr(demand), as_expr(supply), hard)
        self.rows.append(row)
        return row

    def exclude(
        self,
        left: Choice,
        left_key: Iterable[Any],
        right: Choice,
        right_key: Iterable[Any],
        bad: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
    ) -> None:
        """Forbid pairs of cells by a predicate of their keys.

        ``bad`` gets the distinct keys as a column and a row and returns the excluded pairs.
        """
        if left is right:
            raise ValueError("a choice takes one cell, so there is nothing to exclude: filter its cells")
        a, la = np.unique(np.asarray(left_key), return_inverse=True)
        b, lb = np.unique(np.asarray(right_key), return_inverse=True)
        mask = np.broadcast_to(np.asarray(bad(a[:, None], b[None, :]), dtype=bool), (len(a), len(b)))
        if mask.any():
            self.exclusions.append(Exclusion(left, right, la.astype(np.int64), lb.astype(np.int64), mask))

    def minimize(self, objective: Operand) -> None:
        """Set the objective."""
        self.objective = as_expr(objective)

    def forbidding(self, cells: dict[Choice, Indices]) -> Problem:
        """Return the problem with one complete solution forbidden."""
        taken = Expr(tables={c: (np.arange(c.size) == int(i[0])).astype(float) for c, i in cells.items()})
        name = f"other{len(self.rows)}"
        return replace(self, rows=[*self.rows, Row(name, name, taken, Expr(constant=len(cells) - 0.5))])

    @property
    def space_size(self) -> float:
        """The number of cell combinations before any rule."""
        return float(np.prod([float(c.size) for c in self.choices])) if self.choices else 1.0


def shared(a: Choice, b: Choice) -> list[str]:
    """Return the attributes on which two choices must agree."""
    return [name for name in a.columns if name in b.columns]

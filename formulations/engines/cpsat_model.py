"""A problem in whole numbers, as CP-SAT takes it.

Compiled from the problem itself, not from its matrix: a choice is one Boolean a cell, a product or
a maximum is a constraint on whole numbers, so that nothing is rounded but the values of tables.
Rows are relaxed by their rounding: what holds in floats holds here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from formulations.algebra import Amount, Choice, Indices
from formulations.engines.scaling import (
    Gated,
    Grid,
    Largest,
    Level,
    Pair,
    Single,
    Sum,
    grid_of,
    limit_of,
    sum_of,
    units,
)
from formulations.joint import Cells, codes
from formulations.problem import Problem


@dataclass
class Linear:
    """Variables, their whole factors, and a constant."""

    variables: list[Any]
    factors: list[int]
    constant: int
    low: int
    high: int

    def add(self, variables: list[Any], factors: Indices, low: int, high: int) -> None:
        """Add terms, which together lie between two numbers."""
        self.variables += variables
        self.factors += factors.tolist()
        self.low += low
        self.high += high

    def shift(self, constant: int) -> None:
        """Add a constant."""
        self.constant += constant
        self.low += constant
        self.high += constant


class Compiled:
    """The CP-SAT model of a problem.

    Attributes:
        model: what CP-SAT solves; it minimizes the objective in steps of ``grid``.
        grid: of the objective.
        error: most steps between the objective in whole numbers and in floats, at any solution.
    """

    def __init__(self, cp_model: Any, problem: Problem) -> None:
        self._cp = cp_model
        self.model = cp_model.CpModel()
        self.problem = problem
        self.cells = {c: [self.model.new_bool_var("") for _ in range(c.size)] for c in problem.choices}
        self.amounts = {a: self._amount(a) for a in problem.amounts}
        self._classes: dict[tuple[Choice, bytes], list[Any]] = {}
        for cells in self.cells.values():
            self.model.add_exactly_one(cells)
        self._agreements()
        self._exclusions()
        for row in problem.rows:
            total, slack = limit_of(row, problem.choices)
            grid = grid_of(total)
            self._at_most(self._linear(total, grid), math.floor(slack * grid.scale + total.error(grid)))
        total = sum_of(problem.objective, problem.choices)
        self.grid = grid_of(total)
        self.error = total.error(self.grid)
        self._objective = self._linear(total, self.grid)
        self.model.minimize(self._written(self._objective))

    # -- structure ------------------------------------------------------------------------------

    def _amount(self, amount: Amount) -> Any:
        _, _, low, high = units(amount)
        return self.model.new_int_var(low, high, "") if low <= high else None

    def _agreements(self) -> None:
        choices = self.problem.choices
        for i, a in enumerate(choices):
            for b in choices[i + 1 :]:
                code_a, code_b = codes(a, b)
                if code_a.max(initial=0) == 0 and code_b.max(initial=0) == 0:
                    continue
                for code in np.unique(np.concatenate([code_a, code_b])):
                    left, right = self._of(a, code_a == code), self._of(b, code_b == code)
                    self.model.add(self._cp.LinearExpr.sum(left) == self._cp.LinearExpr.sum(right))

    def _exclusions(self) -> None:
        for e in self.problem.exclusions:
            patterns, which = np.unique(e.bad, axis=0, return_inverse=True)
            which = which.reshape(-1)
            for k, pattern in enumerate(patterns):
                left = self._of(e.left, which[e.left_class] == k)
                right = self._of(e.right, pattern[e.right_class])
                if left and right:
                    self.model.add_at_most_one(left + right)

    def _of(self, choice: Choice, mask: Any) -> list[Any]:
        cells = self.cells[choice]
        return [cells[i] for i in np.flatnonzero(mask)]

    def _class(self, choice: Choice, which: Indices) -> list[Any]:
        """Return a literal for each class of cells."""
        key = choice, which.tobytes()
        if key not in self._classes:
            literals = []
            for k in range(int(which.max()) + 1):
                members = self._of(choice, which == k)
                if len(members) == 1:
                    literals.append(members[0])
                    continue
                literal = self.model.new_bool_var("")
                self.model.add(self._cp.LinearExpr.sum(members) == literal)
                literals.append(literal)
            self._classes[key] = literals
        return self._classes[key]

    # -- expressions ----------------------------------------------------------------------------

    def _linear(self, s: Sum, grid: Grid) -> Linear:
        """Return a sum in steps of a grid."""
        constant = int(grid.whole(np.array([s.constant]))[0])
        total = Linear([], [], constant, constant, constant)
        for p in s.parts:
            if isinstance(p, Single):
                self._single(total, self.cells[p.choice], grid.whole(p.values))
            elif isinstance(p, Pair):
                self._pair(total, p, grid.whole(p.values))
            elif isinstance(p, Level):
                self._level(total, p, grid)
            elif isinstance(p, Gated):
                self._gated(total, p, grid)
            else:
                self._largest(total, p, grid)
        return total

    def _single(self, total: Linear, literals: list[Any], values: Indices) -> None:
        """Add a function of one choice; its least value goes into the constant."""
        least = int(values.min())
        total.shift(least)
        total.add(literals, values - least, 0, int(values.max()) - least)

    def _pair(self, total: Linear, p: Pair, values: Indices) -> None:
        """Add a function of two choices: a copy of its line for each class of the smaller side.

        A copy is 0 unless its class is taken, and then what the line says for the other choice.
        """
        left, right = self._class(p.left, p.left_class), self._class(p.right, p.right_class)
        if len(left) > len(right):
            left, right, values = right, left, values.T
        least = int(values.min())
        total.shift(least)
        for literal, line in zip(left, values - least, strict=True):
            high = int(line.max())
            if high:
                copy = self.model.new_int_var(0, high, "")
                self._product(copy, literal, self._cp.LinearExpr.weighted_sum(right, line.tolist()), 0, high)
                total.add([copy], np.array([1]), 0, 0)
        total.high += int(values.max()) - least

    def _product(self, copy: Any, literal: Any, value: Any, low: int, high: int) -> None:
        """Tie a copy to a literal times a value between two numbers."""
        self.model.add(copy <= high * literal)
        self.model.add(copy >= low * literal)
        self.model.add(copy <= value - low * (1 - literal))
        self.model.add(copy >= value - high * (1 - literal))

    def _level(self, total: Linear, p: Level, grid: Grid) -> None:
        """Add an amount times a number, or times a number for each class of a choice."""
        base, step, low, high = p.units
        amount = self.amounts[p.amount]
        if amount is None:  # a whole amount between two whole numbers: nothing is a solution
            self.model.add_bool_or([])
            return
        factors, constants = grid.whole(p.factors * step).tolist(), grid.whole(p.factors * base).tolist()
        ends = [sorted((f * low + c, f * high + c)) for f, c in zip(factors, constants, strict=True)]
        least, most = min(e[0] for e in ends), max(e[1] for e in ends)
        if p.choice is None:
            total.shift(constants[0])
            total.add([amount], np.array(factors), least - constants[0], most - constants[0])
            return
        literals = self._class(p.choice, p.which)
        for literal, factor, constant, (bottom, top) in zip(literals, factors, constants, ends, strict=True):
            copy = self.model.new_int_var(min(bottom, 0), max(top, 0), "")
            self._product(copy, literal, factor * amount + constant, bottom, top)
            total.add([copy], np.array([1]), 0, 0)
        total.low += least
        total.high += most

    def _gated(self, total: Linear, p: Gated, grid: Grid) -> None:
        """Add the sum of the class that is taken: a copy of each, 0 unless it is that one."""
        args = [self._linear(a, grid) for a in p.args]
        for literal, a in zip(self._class(p.choice, p.which), args, strict=True):
            copy = self.model.new_int_var(min(a.low, 0), max(a.high, 0), "")
            self._product(copy, literal, self._written(a), a.low, a.high)
            total.add([copy], np.array([1]), 0, 0)
        total.low += min(a.low for a in args)
        total.high += max(a.high for a in args)

    def _largest(self, total: Linear, p: Largest, grid: Grid) -> None:
        """Add or take away the largest of some sums."""
        args = [self._linear(a, grid) for a in p.args]
        low, high = max(a.low for a in args), max(a.high for a in args)
        variable = self.model.new_int_var(low, high, "")
        for a in args:
            self.model.add(variable >= self._written(a))
        picks = [self.model.new_bool_var("") for _ in args]
        self.model.add_exactly_one(picks)
        for pick, a in zip(picks, args, strict=True):
            self.model.add(variable <= self._written(a) + (high - a.low) * (1 - pick))
        total.add([variable], np.array([p.sign]), *((low, high) if p.sign > 0 else (-high, -low)))

    def _written(self, x: Linear) -> Any:
        return self._cp.LinearExpr.weighted_sum(x.variables, x.factors) + x.constant

    def _at_most(self, x: Linear, most: int) -> None:
        if x.low > most:
            self.model.add_bool_or([])
        elif x.high > most:
            self.model.add(self._cp.LinearExpr.weighted_sum(x.variables, x.factors) <= most - x.constant)

    # -- answers --------------------------------------------------------------------------------

    def hint(self, start: Cells) -> None:
        """Start from a solution."""
        self.model.clear_hints()
        for choice, at in start.items():
            for i, cell in enumerate(self.cells[choice]):
                self.model.add_hint(cell, i == int(at[0]))

    def decode(self, value: Any) -> tuple[Cells, dict[Amount, float]]:
        """Return the cells and amounts of a solution, whose variables ``value`` reads."""
        cells = {c: np.array([next(i for i, x in enumerate(v) if value(x))]) for c, v in self.cells.items()}
        amounts = {}
        for amount, variable in self.amounts.items():
            base, step, _, _ = units(amount)
            amounts[amount] = min(amount.high, base + step * float(value(variable)))
        return cells, amounts

    def beyond(self, objective: float) -> None:
        """Ask only for what may be as good as an objective in floats."""
        self._at_most(self._objective, math.floor(objective * self.grid.scale + self.error))

    def forbid(self, cells: Cells, amounts: dict[Amount, float]) -> None:
        """Forbid one solution; its amounts are whole."""
        others = [~self.cells[c][int(at[0])] for c, at in cells.items()]
        for amount, level in amounts.items():
            below, above = self.model.new_bool_var(""), self.model.new_bool_var("")
            self.model.add(self.amounts[amount] <= round(level) - 1).only_enforce_if(below)
            self.model.add(self.amounts[amount] >= round(level) + 1).only_enforce_if(above)
            others += [below, above]
        self.model.add_bool_or(others)

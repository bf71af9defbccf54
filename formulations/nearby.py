"""What of a problem may matter after a small change of its numbers.

Where no number of a problem changes by more than a factor, a solution that is optimal afterwards was no
worse than that factor times the optimum before, and broke no row by more than it. Everything else can be
left out, once, for all such changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from formulations.algebra import Amount, Expr, Indices, Table, as_expr, multiply
from formulations.bounds import FEW_PAIRS, MAX_PAIRS, Bounds, limits_of
from formulations.engines.base import Options
from formulations.joint import TIE, Cells, Known, best, count, holds, lexicographic
from formulations.presolve import outside, possible, restrict
from formulations.problem import Problem, Row

# Solutions that are enumerated where a known one is nearly as good as the best.
HANDFUL = 1 << 15


def nearby(
    problem: Problem,
    best: float,
    factor: float,
    options: Options | None = None,
    looks: Sequence[int] = (FEW_PAIRS, MAX_PAIRS),
) -> dict[str, Indices]:
    """Return the cells of each choice, by name, that may be in an answer after a small change.

    Args:
        problem: as it is; each side of a row is nowhere negative.
        best: its optimum, above 0.
        factor: solutions up to so many times the optimum count; rows may be broken by its square.
        options: its clock is looked at.
        looks: how closely to look, one time after another: see :class:`formulations.bounds.Bounds`.
    """
    options = options or Options()
    rows = [_wider(row, factor * factor) for row in problem.rows]
    current = Problem(
        problem.name, problem.choices, problem.amounts, rows, problem.exclusions, problem.objective
    )
    cells = [np.arange(c.size) for c in problem.choices]
    for pairs in looks:
        keep = possible(Bounds(current, pairs), limits_of(current, best * factor), options)
        if options.expired or not all(k.any() for k in keep):
            break
        cells = [at[k] for at, k in zip(cells, keep, strict=True)]
        current = restrict(current, [np.flatnonzero(k) for k in keep])
    return {c.name: at for c, at in zip(problem.choices, cells, strict=True)}


def at_hand(problem: Problem, starts: Sequence[Cells], options: Options | None = None) -> Known | None:
    """Return the optimum of a problem that a known solution all but answers; None if it is more work.

    Cells that cannot be as good as the best of ``starts`` go, and what is left is enumerated: a proof
    like any other. None where none of them holds, or too much is left.
    """
    options = options or Options()
    given = [s for s in starts if holds(problem, s)[0]]
    if not given or problem.amounts:
        return None
    value = min(float(problem.objective.at(s)[0]) for s in given)
    current, cells = problem, [np.arange(c.size) for c in problem.choices]
    for pairs in (FEW_PAIRS, MAX_PAIRS, MAX_PAIRS):
        keep = possible(Bounds(current, pairs), limits_of(current, value), options)
        if options.expired or not all(k.any() for k in keep):
            return None
        cells = [at[k] for at, k in zip(cells, keep, strict=True)]
        current = restrict(current, [np.flatnonzero(k) for k in keep])
        if count(current) <= HANDFUL:
            found = best(current)
            assert found.objective is not None
            worst = found.objective + TIE * abs(found.objective)
            settled = lexicographic(current, worst, HANDFUL)
            return None if settled is None else outside(settled, current, cells, problem)
    return None


def _wider(row: Row, factor: float) -> Row:
    """Return a row with more of its supply."""
    return Row(
        row.tag,
        row.name,
        row.demand,
        as_expr(multiply(factor, row.allowed))
        if row.allowed.tables or row.allowed.products or row.allowed.maxima or row.allowed.amounts
        else as_expr(row.allowed.constant * factor),
        row.hard,
    )


def same(a: Problem, b: Problem) -> bool:
    """Return whether two problems over the same cells ask the same: objective, and rows that may bind."""
    rows_a, rows_b = ({r.name: r.expr for r in p.rows if r.may_bind} for p in (a, b))
    supplies_a, supplies_b = ({r.name: r.supply for r in p.rows if r.name in rows_a} for p in (a, b))
    if rows_a.keys() != rows_b.keys() or supplies_a != supplies_b:
        return False
    pairs = [(a.objective, b.objective), *((rows_a[name], rows_b[name]) for name in rows_a)]
    order_a, order_b = ({id(c): i for i, c in enumerate(p.choices)} for p in (a, b))
    return all(_key(x, order_a) == _key(y, order_b) for x, y in pairs)


def _key(e: Expr, order: dict[int, int]) -> object:
    """Return an expression as something that can be compared: its numbers, choice by choice."""

    def of(x: Table | Amount | Expr) -> object:
        if isinstance(x, Table):
            return order[id(x.choice)], x.values.tobytes()
        return _key(x, order) if isinstance(x, Expr) else x.name

    return (
        e.constant,
        {order[id(c)]: v.tobytes() for c, v in e.tables.items()},
        {a.name: v for a, v in e.amounts.items()},
        [(of(p.left), of(p.right)) for p in e.products],
        [(m.factor, [_key(x, order) for x in m.args]) for m in e.maxima],
    )

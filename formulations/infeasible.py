"""Which reasons cannot hold together.

Reasons are the tags of rows: walls and assertions. A deletion filter drops one tag at a time and
keeps it only if the rest is still infeasible without it, so that what is left is minimal: with any
one of them gone, a solution exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from formulations.algebra import Expr, add, as_expr, multiply
from formulations.engines.base import Options
from formulations.joint import Cells, holds
from formulations.problem import Problem, Row
from formulations.solve import feasible, solve

# Steps of Dinkelbach's method, which takes a handful; and how little a step still counts as one.
MOST_STEPS = 50
STILL = 1e-12


def without(problem: Problem, tags: set[str], *, hard: bool = True) -> Problem:
    """Return the problem without the rows of some tags, or with those of them that the physics asks for."""
    return replace(problem, rows=[r for r in problem.rows if r.tag not in tags or (r.hard and not hard)])


def soft(problem: Problem) -> set[str]:
    """Return the tags that are wishes of the plan rather than physics."""
    return {r.tag for r in problem.rows if not r.hard}


def least(
    problem: Problem,
    row: Row,
    others: Sequence[Row],
    solver: str = "auto",
    options: Options | None = None,
    starts: Sequence[Cells] = (),
) -> tuple[float, Cells] | None:
    """Return by what a row's supply must be multiplied, at least, if only ``others`` hold too.

    The least quotient of demand and supply over all solutions, and a solution that has it. Where the
    supply depends on what is chosen, by Dinkelbach's method (1967): the least of ``demand - q supply``
    for a falling ``q``, until it is zero. None if a limit cut the proof short, or if nothing holds.
    """
    question = replace(problem, rows=[r for r in others if r is not row])
    fixed = not (row.allowed.tables or row.allowed.amounts or row.allowed.products or row.allowed.maxima)
    quotient: float | None = None
    known = [s for s in starts if holds(question, s)[0]]
    if not fixed:  # any solution begins
        found = solve(replace(question, objective=row.demand), solver, options, starts=known).outcome
        if found.status != "optimal" or not found.cells:
            return None
        known = [found.cells]
        quotient = _quotient(row, found.cells)
    for _ in range(MOST_STEPS):
        aim = row.demand if quotient is None else as_expr(add(row.demand, multiply(-quotient, row.allowed)))
        found = solve(replace(question, objective=aim), solver, options, starts=known).outcome
        if found.status != "optimal" or not found.cells:
            return None
        better = _quotient(row, found.cells)
        if quotient is not None and not better < quotient * (1.0 - STILL):
            break
        quotient, known = better, [found.cells]
        if fixed:
            break
    assert quotient is not None
    return quotient, known[0]


def _quotient(row: Row, cells: Cells) -> float:
    """Return demand over supply at a solution."""
    demand, allowed = (float(e.at(cells)[0]) for e in (row.demand, row.allowed))
    return demand / allowed if allowed else np.inf


def conflict(
    problem: Problem, solver: str = "auto", options: Options | None = None, starts: Sequence[Cells] = ()
) -> list[str] | None:
    """Return a smallest set of tags that cannot hold together, of an infeasible problem.

    Empty if even without any row nothing is possible; None if a limit cut the proof short.
    """
    question = replace(problem, objective=Expr())
    tags = list(dict.fromkeys(r.tag for r in problem.rows))
    dropped: set[str] = set()
    # wishes first, so that a conflict within the physics is told as such
    for tag in sorted(tags, key=lambda t: t not in soft(problem)):
        holds = feasible(without(question, dropped | {tag}), solver, options, starts)
        if holds is None:
            return None
        if not holds:
            dropped.add(tag)
    return [t for t in tags if t not in dropped]

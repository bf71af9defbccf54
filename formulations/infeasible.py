"""Which reasons cannot hold together.

Reasons are the tags of rows: walls and assertions. A deletion filter drops one tag at a time and
keeps it only if the rest is still infeasible without it, so that what is left is minimal: with any
one of them gone, a solution exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from formulations.algebra import Expr
from formulations.engines.base import Options
from formulations.joint import Cells
from formulations.problem import Problem
from formulations.solve import feasible, solve


def without(problem: Problem, tags: set[str], *, hard: bool = True) -> Problem:
    """Return the problem without the rows of some tags, or with those of them that the physics asks for."""
    return replace(problem, rows=[r for r in problem.rows if r.tag not in tags or (r.hard and not hard)])


def soft(problem: Problem) -> set[str]:
    """Return the tags that are wishes of the plan rather than physics."""
    return {r.tag for r in problem.rows if not r.hard}


def excess(
    problem: Problem, tag: str, others: set[str], solver: str = "auto", options: Options | None = None
) -> float | None:
    """Return by how much the rows of a tag must be exceeded, at least, if only ``others`` hold too.

    In base units of the row that is nearest to its supply; None if a limit cut the proof short, or
    if the tag has more than one row. Of a tag with both, it is the plan's wishes that are exceeded.
    """
    rows = [r for r in problem.rows if r.tag == tag]
    wishes = [r for r in rows if not r.hard]
    mine = wishes or rows
    others = others | {tag} if wishes else others
    (row, *more) = [r for r in mine if r.may_bind] or mine
    if more:
        return None
    kept = [r for r in problem.rows if r.tag in others and (r.tag != tag or r.hard > row.hard)]
    question = replace(problem, rows=kept, objective=row.expr)
    found = solve(question, solver, options).outcome
    if found.status != "optimal" or found.objective is None:
        return None
    return found.objective - row.supply


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

"""Which reasons cannot hold together.

Reasons are the tags of rows, walls and assertions, and the decisions that a plan fixes. A deletion filter
drops one of them at a time, for good if nothing is possible without it either, so that what is left is
minimal: with any one of them gone, a solution exists. Decisions go first, so that what no decision
would help is told without them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class Clash:
    """What cannot hold together.

    Attributes:
        tags: of the rows that are in it.
        decisions: that the plan fixes and that are in it.
        problem: the one with every other decision left open, in which these rows cannot hold.
    """

    tags: tuple[str, ...]
    decisions: tuple[str, ...]
    problem: Problem


def conflict(
    problem: Problem,
    solver: str = "auto",
    options: Options | None = None,
    starts: Sequence[Cells] = (),
    decisions: Sequence[str] = (),
    opened: Callable[[Sequence[str]], Problem] | None = None,
) -> Clash | None:
    """Return a smallest set of tags, and of decisions, that cannot hold together.

    Empty if even without any row nothing is possible; None if a limit cut the proof short.

    Args:
        problem: that nothing solves.
        solver: an engine by name, or ``auto``.
        options: limits and tolerances.
        starts: solutions of some of its rows that are known.
        decisions: that the plan fixes; a choice more in one of them makes no solution less.
        opened: the problem with some of them left open.
    """
    question = replace(problem, objective=Expr())
    free: list[str] = []
    if opened is not None:
        # all at once first: mostly it is the rows alone, or one decision
        trials: list[list[str]] = [[*decisions]] if len(decisions) > 1 else []
        trials += [[name] for name in decisions]
        for names in trials:
            if free == [*decisions]:
                break
            other = replace(opened([*free, *names]), objective=Expr())
            holds = feasible(other, solver, options)
            if holds is None:
                return None
            if not holds:
                free += names
                question, starts = other, ()
    tags = list(dict.fromkeys(r.tag for r in question.rows))
    # what nothing breaks stands in nobody's way
    dropped = set(tags) - {r.tag for r in question.rows if r.may_bind}
    wishes = soft(question)
    # wishes first, so that a conflict within the physics is told as such
    for tag in sorted((t for t in tags if t not in dropped), key=lambda t: t not in wishes):
        holds = feasible(without(question, dropped | {tag}), solver, options, starts)
        if holds is None:
            return None
        if not holds:
            dropped.add(tag)
    left = tuple(t for t in tags if t not in dropped)
    return Clash(left, tuple(d for d in decisions if d not in free), question)

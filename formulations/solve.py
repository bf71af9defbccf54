"""From a problem to a proven answer: reduce, solve, map back."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from formulations.algebra import Choice, Problem
from formulations.engines import engine
from formulations.engines.base import Options, Outcome
from formulations.joint import Cells, holds
from formulations.presolve import Reduced, reduce
from mlsysim.core.errors import MismatchError

AGREEMENT = 1e-6
TIE = 1e-9


@dataclass(frozen=True)
class Solved:
    """An outcome in terms of the problem as it was written.

    Attributes:
        outcome: status, objective, bound and cells of the original choices.
        space_size: complete combinations of cells before any rule.
        left: combinations of cells after presolve.
        presolve_seconds: spent in it.
    """

    outcome: Outcome
    space_size: float
    left: float
    presolve_seconds: float

    @property
    def gap(self) -> float | None:
        """Relative distance of the objective from the bound; None where nothing is proven."""
        o = self.outcome
        if o.objective is None or o.bound is None:
            return None
        return max(0.0, o.objective - o.bound) / max(abs(o.objective), 1e-30)


def solve(problem: Problem, solver: str = "auto", options: Options | None = None) -> Solved:
    """Solve a problem and check the answer against the problem itself.

    Args:
        problem: what to solve.
        solver: an engine by name, or ``auto``.
        options: limits and tolerances.

    Raises:
        MismatchError: the engine's objective or feasibility does not survive re-evaluation.
    """
    options = options or Options()
    chosen = engine(solver)
    begin = time.perf_counter()
    if not chosen.amounts:  # enumeration stays an independent judge: no reductions
        outcome = chosen.solve(problem, options)
        return Solved(_checked(outcome, problem), problem.space_size, problem.space_size, 0.0)
    reduced = reduce(problem, options)
    spent = time.perf_counter() - begin
    if reduced.infeasible:
        outcome = Outcome("infeasible", "presolve", "", spent)
        return Solved(outcome, problem.space_size, 0.0, spent)
    outcome = chosen.solve(reduced.problem, options, _start(reduced, problem))
    outcome = _restore(outcome, reduced, problem)
    return Solved(_checked(outcome, problem), problem.space_size, reduced.problem.space_size, spent)


def feasible(problem: Problem, solver: str = "auto", options: Options | None = None) -> bool | None:
    """Return whether any solution holds; None if a limit cut the proof short."""
    options = options or Options()
    reduced = reduce(problem, options)
    if reduced.incumbent is not None or reduced.infeasible:
        return not reduced.infeasible
    outcome = engine(solver).solve(reduced.problem, options)
    return {"optimal": True, "feasible": True, "infeasible": False, "unknown": None}[outcome.status]


def _start(reduced: Reduced, problem: Problem) -> Cells | None:
    """Return the first solution in the reduced problem's cells."""
    if reduced.incumbent is None:
        return None
    start: Cells = {}
    for small, big, at in zip(reduced.problem.choices, problem.choices, reduced.cells, strict=True):
        here = np.flatnonzero(at == reduced.incumbent[1][big][0])
        if not len(here):  # rounding cost the incumbent a cell: it is still known, but no start
            return None
        start[small] = here
    return start


def _restore(outcome: Outcome, reduced: Reduced, problem: Problem) -> Outcome:
    """Map cells back, and fall back on the first solution if the engine stopped without a better."""
    back: dict[Choice, Choice] = dict(zip(reduced.problem.choices, problem.choices, strict=True))
    at = dict(zip(reduced.problem.choices, reduced.cells, strict=True))
    if outcome.cells:
        outcome = replace(outcome, cells={back[c]: at[c][i] for c, i in outcome.cells.items()})
    known = reduced.incumbent
    if known is None:
        return outcome
    if outcome.status == "infeasible":
        raise MismatchError(
            "the engine calls infeasible what has a known solution", hint="please report this plan"
        )
    if outcome.objective is None:
        return replace(outcome, status="feasible", objective=known[0], cells=known[1])
    # of equally good answers the first in order of cells, whatever the engine came across
    if known[0] <= outcome.objective + TIE * abs(outcome.objective):
        return replace(outcome, objective=known[0], cells=known[1])
    return outcome


def _checked(outcome: Outcome, problem: Problem) -> Outcome:
    """Re-evaluate the answer in the problem's own terms."""
    if not outcome.cells or outcome.objective is None:
        return outcome
    value = float(problem.objective.at(outcome.cells, outcome.amounts)[0])
    if abs(value - outcome.objective) > AGREEMENT * max(abs(value), 1e-30):
        raise MismatchError(
            f"{outcome.engine} reports an objective of {outcome.objective:.9g}, "
            f"its answer is worth {value:.9g}",
            hint="please report this plan",
        )
    if not holds(problem, outcome.cells, AGREEMENT, outcome.amounts)[0]:
        raise MismatchError(
            f"the answer of {outcome.engine} breaks a row of the problem", hint="please report this plan"
        )
    return replace(outcome, objective=value)

"""From a problem to a proven answer: reduce, solve, map back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from formulations.engines import engine
from formulations.engines.base import Engine, Options, Outcome
from formulations.engines.exhaustive import Exhaustive
from formulations.engines.watch import heard
from formulations.joint import ROW_TOLERANCE, TIE, Cells, Known, best, first, holds, lexicographic
from formulations.joint import count as count_of
from formulations.presolve import Reduced, inside, outside, reduce, within
from formulations.problem import Problem
from mlsysim.core.errors import MismatchError

AGREEMENT = 1e-6
# Solutions that may be enumerated after presolve.
ENUMERABLE = 1 << 24
# As many where looking at them takes less than to reduce them first.
HANDFUL = 1 << 18


@dataclass(frozen=True)
class Solved:
    """An outcome in terms of the problem as it was written.

    Attributes:
        outcome: status, objective, bound and cells of the original choices.
        space_size: complete combinations of cells before any rule.
        left: combinations of cells after presolve.
        presolve_seconds: spent in it.
        others: the next best solutions, best first: objective and cells.
    """

    outcome: Outcome
    space_size: float
    left: float
    presolve_seconds: float
    others: tuple[Known, ...] = ()

    @property
    def gap(self) -> float | None:
        """Relative distance of the objective from the bound; None where nothing is proven."""
        o = self.outcome
        if o.objective is None or o.bound is None:
            return None
        return max(0.0, o.objective - o.bound) / max(abs(o.objective), 1e-30)


def solve(
    problem: Problem,
    solver: str = "auto",
    options: Options | None = None,
    count: int = 1,
    starts: Sequence[Cells] = (),
    look: bool = True,
) -> Solved:
    """Solve a problem and check the answer against the problem itself.

    ``auto`` is HiGHS, unless presolve leaves so few solutions that enumerating them is quicker than
    building a mixed-integer program.

    Args:
        problem: what to solve.
        solver: an engine by name, or ``auto``.
        options: limits and tolerances.
        count: how many of the best solutions to find.
        starts: solutions that are known, to prune with.
        look: whether to look for better ones before any proof; in vain where one of them is as good as
            any, and done anyway where none of them holds.

    Raises:
        MismatchError: the engine's objective or feasibility does not survive re-evaluation.
    """
    options = options or Options()
    with heard(options):
        return _solved(problem, engine(solver), solver == "auto", options, count, starts, look)


def _solved(
    problem: Problem,
    chosen: Engine,
    auto: bool,
    options: Options,
    count: int,
    starts: Sequence[Cells],
    look: bool,
) -> Solved:
    begin = time.perf_counter()
    if not chosen.amounts:  # enumeration stays an independent judge: no reductions
        return _judged(chosen, problem, options, count)
    look = look or not any(holds(problem, s)[0] for s in starts)
    reduced = reduce(problem, options, prune=look, count=count, starts=starts)
    spent = time.perf_counter() - begin
    if reduced.infeasible:
        outcome = Outcome("infeasible", "presolve", "", spent)
        return Solved(outcome, problem.space_size, 0.0, spent)
    small = reduced.problem
    # the best solution known may have lost a cell to one as good, or to rounding: known, but no start
    begun = inside(reduced.known[:1], small, reduced.cells, problem)
    start = begun[0][1] if begun else None
    counted = auto and not small.amounts and count_of(small) <= ENUMERABLE
    outcome, others = (_enumerated(small, options, count) if counted else None) or _asked(
        chosen, small, options, start, count
    )
    outcome = _settled(_restore(outcome, reduced, problem), reduced, problem, options)
    known = [outside(k, small, reduced.cells, problem) for k in others]
    return Solved(checked(outcome, problem), problem.space_size, small.space_size, spent, tuple(known))


def _judged(chosen: Engine, problem: Problem, options: Options, count: int) -> Solved:
    """Return the answer of an engine that looks at the problem as it is."""
    outcome = chosen.solve(problem, options)
    if outcome.status == "optimal" and not options.expired:
        known = lexicographic(problem, _tied(outcome.objective), ENUMERABLE)
        outcome = replace(outcome, cells=known[1], objective=known[0]) if known else outcome
    others: list[Known] = []
    if count > 1 and outcome.cells:
        found = best(problem, stop=lambda: options.expired, count=count).found
        others = _without(found, outcome.cells)[: count - 1]
    size = problem.space_size
    return Solved(checked(outcome, problem), size, size, 0.0, tuple(others))


def _without(found: list[Known], cells: Cells) -> list[Known]:
    return [k for k in found if any(int(k[1][c][0]) != int(at[0]) for c, at in cells.items())]


def _tied(objective: float | None) -> float:
    """Return up to what an answer is as good as one of this objective."""
    assert objective is not None
    return objective + TIE * abs(objective)


def _settled(outcome: Outcome, reduced: Reduced, problem: Problem, options: Options) -> Outcome:
    """Return, of equally good answers, the one that the tie-breakers prefer."""
    if outcome.status != "optimal" or outcome.objective is None or problem.amounts or options.expired:
        return outcome
    worst = _tied(outcome.objective)
    rest = within(reduced, worst)
    known = lexicographic(rest.problem, worst, ENUMERABLE)
    if known is None:
        return outcome
    value, cells = outside(known, rest.problem, rest.cells, problem)
    return replace(outcome, objective=value, cells=cells)


def _enumerated(problem: Problem, options: Options, count: int) -> tuple[Outcome, list[Known]] | None:
    """Return the outcome of enumeration; None where there is too much of it."""
    if problem.amounts:
        return None
    begin = time.perf_counter()
    found = best(problem, budget=ENUMERABLE, stop=lambda: options.expired, count=count)
    if not found.complete:
        return None
    outcome = Outcome(
        "infeasible" if found.objective is None else "optimal",
        "exhaustive",
        f"numpy {np.__version__}",
        time.perf_counter() - begin,
        objective=found.objective,
        bound=found.objective,
        cells=found.cells,
        nodes=found.seen,
    )
    return outcome, found.found[1:]


def _asked(
    chosen: Engine, problem: Problem, options: Options, start: Cells | None, count: int
) -> tuple[Outcome, list[Known]]:
    """Return an engine's outcome and its next best answers, each by forbidding those before it."""
    first = outcome = _engine_answer(chosen, problem, options, start)
    others: list[Known] = []
    while len(others) + 1 < count and outcome.status == "optimal" and not options.expired:
        problem = problem.forbidding(outcome.cells)
        outcome = _engine_answer(chosen, problem, options, None)
        if outcome.objective is not None:
            others.append((outcome.objective, outcome.cells))
    return first, others


def _engine_answer(chosen: Engine, problem: Problem, options: Options, start: Cells | None) -> Outcome:
    """Return an engine's outcome.

    An engine keeps rows to a tolerance of its own. An answer that breaks a row by it is forbidden and
    the engine asked again; its bound holds all the same, since what is forbidden is no solution.
    """
    asked = problem
    while True:
        outcome = chosen.solve(asked, options, start)
        if problem.amounts or not outcome.cells or _keeps_rows(problem, outcome):
            return outcome
        if options.expired:
            return replace(outcome, status="unknown", objective=None, cells={}, amounts={})
        asked = asked.forbidding(outcome.cells)


def feasible(
    problem: Problem, solver: str = "auto", options: Options | None = None, starts: Sequence[Cells] = ()
) -> bool | None:
    """Return whether any solution holds, one of ``starts`` or another; None if a limit cut it short.

    No engine is asked where there are few enough to look at, as they are or after presolve.
    """
    options, chosen = options or Options(), engine(solver)
    if any(holds(problem, start)[0] for start in starts):
        return True
    listed = solver in ("auto", Exhaustive.name) and problem.choices and not problem.amounts
    with heard(options):
        if listed and count_of(problem) <= HANDFUL:
            return _any(problem, options)
        reduced = reduce(problem, options)
        if reduced.incumbent is not None or reduced.infeasible:
            return not reduced.infeasible
        if listed and count_of(reduced.problem) <= ENUMERABLE:
            return _any(reduced.problem, options)
        outcome = chosen.solve(reduced.problem, options)
    return {"optimal": True, "feasible": True, "infeasible": False, "unknown": None}[outcome.status]


def _any(problem: Problem, options: Options) -> bool | None:
    """Return whether any solution holds, by looking at them; None where the time is up."""
    if first(problem, lambda: options.expired) is not None:
        return True
    return None if options.expired else False


def _restore(outcome: Outcome, reduced: Reduced, problem: Problem) -> Outcome:
    """Map cells back, and fall back on the first solution if the engine stopped without a better."""
    if outcome.cells:
        found = outside((0.0, outcome.cells), reduced.problem, reduced.cells, problem)
        outcome = replace(outcome, cells=found[1])
    known = reduced.incumbent
    if known is None:
        return outcome
    if outcome.status == "infeasible":
        raise MismatchError(
            "the engine calls infeasible what has a known solution", hint="please report this plan"
        )
    if outcome.objective is None:
        return replace(outcome, status="feasible", objective=known[0], cells=known[1])
    if known[0] < outcome.objective:
        return replace(outcome, objective=known[0], cells=known[1])
    return outcome


def _keeps_rows(problem: Problem, outcome: Outcome) -> bool:
    """Return whether an answer keeps every row; amounts are only as exact as the engine's tolerance."""
    tolerance = AGREEMENT if problem.amounts else ROW_TOLERANCE
    return bool(holds(problem, outcome.cells, tolerance, outcome.amounts)[0])


def checked(outcome: Outcome, problem: Problem) -> Outcome:
    """Re-evaluate the answer in the problem's own terms."""
    if outcome.objective is None:
        return outcome
    value = float(problem.objective.at(outcome.cells, outcome.amounts)[0])
    rounding = 1e-12 * problem.objective.magnitude(outcome.cells, outcome.amounts)
    # written so that NaN fails too
    if not abs(value - outcome.objective) <= AGREEMENT * abs(value) + rounding:
        raise MismatchError(
            f"{outcome.engine} reports an objective of {outcome.objective:.9g}, "
            f"its answer is worth {value:.9g}",
            hint="please report this plan",
        )
    if not _keeps_rows(problem, outcome):
        raise MismatchError(
            f"the answer of {outcome.engine} breaks a row of the problem", hint="please report this plan"
        )
    return replace(outcome, objective=value)

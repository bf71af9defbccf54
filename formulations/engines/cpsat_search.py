"""How CP-SAT is asked: exact in whole numbers, honest about what rounding leaves open.

Whole numbers decide, floats judge. What CP-SAT proves holds for the whole-number model, which is
relaxed by its rounding error (:mod:`formulations.engines.scaling`); its bound, less that error, holds
for the problem. Each answer is evaluated in floats. If that does not close the gap that was asked
for, the answer is forbidden and CP-SAT asked for another as good: either there is one, which may be
better in floats, or there is none, and the best so far is proven.

This runs in a process of its own, see :mod:`formulations.engines.cpsat`.
"""

from __future__ import annotations

import importlib.metadata
import time
from dataclasses import dataclass, field
from typing import Any

from formulations.algebra import Amount
from formulations.engines.base import Options, Outcome
from formulations.engines.cpsat_model import Compiled
from formulations.engines.watch import Watch
from formulations.joint import ROW_TOLERANCE, Cells, holds
from formulations.problem import Problem
from mlsysim.core.errors import MismatchError, MissingExtraError

# Rows with continuous amounts hold to this, as for every engine.
ROWS_OF_AMOUNTS = 1e-6


NAME = "cp-sat"


def _ortools() -> Any:
    try:
        from ortools.sat.python import cp_model
    except ImportError as error:
        raise MissingExtraError(
            f"the solver CP-SAT cannot be loaded: {error}", hint="pip install 'mlsysim[solvers]'"
        ) from error
    return cp_model


@dataclass
class _Search:
    """What is known so far.

    Attributes:
        objective, cells, amounts: of the best solution, in floats.
        bound: no solution is below it.
        complete: nothing is left to look at.
    """

    objective: float | None = None
    cells: Cells = field(default_factory=dict)
    amounts: dict[Amount, float] = field(default_factory=dict)
    bound: float = float("-inf")
    complete: bool = False
    nodes: int = 0

    def least(self, bound: float) -> float:
        """Return a bound on what is left as a bound on everything."""
        return bound if self.objective is None else min(bound, self.objective)

    def closed(self, gap: float) -> bool:
        """Return whether the best solution is proven within a relative gap."""
        return self.objective is not None and self.objective - self.bound <= gap * abs(self.objective)


def solve_here(problem: Problem, options: Options, start: Cells | None = None) -> Outcome:
    """Solve a problem in this process, which must not have loaded HiGHS."""
    cp_model = _ortools()
    begin = time.perf_counter()
    found = _Search()
    watch = Watch(options)
    size = (0, 0)
    try:
        compiled = Compiled(cp_model, problem)
        if start:
            compiled.hint(start)
        proto = compiled.model.proto
        size = len(proto.variables), len(proto.constraints)
        _search(cp_model, compiled, found, options, watch, _worth(problem, start))
    except MemoryError:  # what was found before it still stands
        found.complete = False
    has = found.objective is not None
    bound = float(found.bound) if has and found.bound > float("-inf") else None
    if has:
        watch.tell(found.objective, bound)
    return Outcome(
        _status(found, options),
        NAME,
        importlib.metadata.version("ortools"),
        time.perf_counter() - begin,
        objective=found.objective,
        bound=bound,
        cells=found.cells,
        amounts=found.amounts,
        variables=size[0],
        rows=size[1],
        nodes=found.nodes,
    )


def _status(found: _Search, options: Options) -> str:
    if found.objective is None:
        return "infeasible" if found.complete else "unknown"
    return "optimal" if found.closed(options.gap) else "feasible"


def _worth(problem: Problem, start: Cells | None) -> float | None:
    """Return what a start is worth; None without one, or if it is no solution."""
    if not start or problem.amounts or not holds(problem, start, 0.0)[0]:
        return None
    return float(problem.objective.at(start)[0])


def _search(
    cp_model: Any,
    compiled: Compiled,
    found: _Search,
    options: Options,
    watch: Watch,
    known: float | None,
) -> None:
    """Ask CP-SAT until the gap is closed, nothing is left, or the time is up.

    Raises:
        MismatchError: CP-SAT claims that a known solution is impossible.
    """
    continuous = any(not a.whole for a in compiled.problem.amounts)
    floor = compiled.problem.objective.bounds()[0]
    # half of the gap for CP-SAT and half for rounding; whatever is left after that is worth a proof
    share = options.gap / 2
    while True:
        solver = _solver(cp_model, options, share)
        status = _ask(cp_model, solver, compiled, found, watch)
        found.nodes += int(solver.num_branches)
        if known is not None:
            _believe(cp_model, solver, status, known * compiled.grid.scale + compiled.error)
            known = None  # it may be forbidden from here on
        if status == cp_model.INFEASIBLE:
            found.complete = True
            found.bound = found.least(float("inf"))
            return
        if status == cp_model.UNKNOWN:
            return
        scale, error = compiled.grid.scale, compiled.error
        found.bound = max(found.bound, found.least(max((solver.best_objective_bound - error) / scale, floor)))
        cells, amounts = compiled.decode(solver.value)
        _judge(compiled.problem, found, cells, amounts, ROWS_OF_AMOUNTS if continuous else ROW_TOLERANCE)
        if found.closed(options.gap) or continuous or status == cp_model.FEASIBLE or options.expired:
            return
        compiled.forbid(cells, amounts)
        if found.objective is not None:
            compiled.beyond(found.objective)
            compiled.hint(found.cells)
            share = 0.0


def _believe(cp_model: Any, solver: Any, status: Any, known: float) -> None:
    """Check a claim against a known solution, in steps of the objective, rounded up."""
    claims = status == cp_model.INFEASIBLE or (
        status != cp_model.UNKNOWN and solver.best_objective_bound > known
    )
    if claims:
        raise MismatchError(
            "CP-SAT claims that there is no solution as good as one that is known",
            hint="please report this plan",
        )


def _judge(
    problem: Problem, found: _Search, cells: Cells, amounts: dict[Amount, float], tolerance: float
) -> None:
    """Evaluate an answer in floats and keep it if it holds and is the best."""
    if not holds(problem, cells, tolerance, amounts)[0]:
        return
    value = float(problem.objective.at(cells, amounts)[0])
    if found.objective is None or value < found.objective:
        found.objective, found.cells, found.amounts = value, cells, amounts


def _solver(cp_model: Any, options: Options, gap: float) -> Any:
    solver = cp_model.CpSolver()
    p = solver.parameters
    p.max_time_in_seconds = options.remaining
    p.num_workers = int(options.threads)
    p.random_seed = int(options.seed)
    p.relative_gap_limit = float(gap)
    # The presolve of 9.15 loses solutions and still says optimal, or infeasible: random problems find
    # it once in a hundred with all of it (google/or-tools#5293), once in thousands without the part
    # named there, and never without presolve. Ours comes before, and does most of the work.
    p.cp_model_presolve = False
    p.catch_sigint_signal = False  # Python hears Ctrl-C and tells the solver
    return solver


def _ask(cp_model: Any, solver: Any, compiled: Compiled, found: _Search, watch: Watch) -> Any:
    """Run CP-SAT once and return its status."""
    scale, error = compiled.grid.scale, compiled.error
    best: list[float | None] = [found.objective]

    def bounded(bound: float) -> None:
        watch.tell(best[0], found.least((bound - error) / scale))

    class Listener(cp_model.CpSolverSolutionCallback):  # type: ignore[misc]
        def on_solution_callback(self) -> None:
            best[0] = found.least(self.objective_value / scale)
            bounded(self.best_objective_bound)
            if watch.stopped:
                self.stop_search()

    listener = Listener()
    solver.best_bound_callback = bounded
    answer: list[Any] = []
    watch.run(lambda: answer.append(solver.solve(compiled.model, listener)), solver.stop_search)
    (status,) = answer
    if status == cp_model.MODEL_INVALID:
        raise MismatchError(
            f"CP-SAT refuses the model: {compiled.model.validate()}", hint="please report this plan"
        )
    return status

"""HiGHS, fed with the matrix directly."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from formulations.engines.base import Engine, Options, Outcome
from formulations.engines.watch import Watch
from formulations.joint import Cells
from formulations.linear import linearize
from formulations.matrix import Linear
from formulations.problem import Problem
from mlsysim.core.errors import MissingExtraError

TOLERANCE = 1e-9
# An answer whose worth in floats is further than this from what HiGHS makes of it proves nothing.
AGREED = 1e-7


def _highspy() -> Any:
    try:
        import highspy
    except ImportError as error:
        raise MissingExtraError(
            f"the solver HiGHS cannot be loaded: {error}", hint="pip install 'mlsysim[solvers]'"
        ) from error
    return highspy


def fresh(highspy: Any, options: Options) -> Any:
    """Return HiGHS with its options set: a new one for each program, since its clock is cumulative."""
    h = highspy.Highs()
    for option, value in {
        "output_flag": False,
        "time_limit": options.remaining,
        "threads": int(options.threads),
        "random_seed": int(options.seed),
        "mip_rel_gap": float(options.gap),
        "mip_abs_gap": 0.0,
        "mip_feasibility_tolerance": TOLERANCE,
        "primal_feasibility_tolerance": TOLERANCE,
        "dual_feasibility_tolerance": TOLERANCE,
    }.items():
        h.setOptionValue(option, value)
    return h


def verdict_of(highspy: Any, h: Any) -> str:
    """Return what HiGHS says of a program whose variables all have ends: so none is unbounded."""
    known, status = highspy.HighsModelStatus, h.getModelStatus()
    if status == known.kOptimal:
        return "optimal"
    if status in (known.kInfeasible, known.kUnboundedOrInfeasible):
        return "infeasible"
    feasible = highspy.SolutionStatus.kSolutionStatusFeasible
    return "feasible" if h.getInfo().primal_solution_status == feasible else "unknown"


class Highs(Engine):
    """HiGHS branch and cut; a fresh object for each solve, since its clock is cumulative."""

    name: ClassVar[str] = "highs"
    starts: ClassVar[bool] = True

    def solve(self, problem: Problem, options: Options, start: Cells | None = None) -> Outcome:
        """Solve the problem's mixed-integer program; Ctrl-C leaves the best answer so far.

        HiGHS keeps constraints to a tolerance, so that a maximum may come out below its largest
        argument. An answer that is worth more than HiGHS says is forbidden and HiGHS asked again,
        until an answer is worth what it says, or nothing better than the best so far is left.
        """
        asked, best = problem, None
        while True:
            outcome = self._once(asked, options, start)
            if outcome.objective is None:
                return _proven(best, outcome)
            if problem.amounts or _is_worth(outcome, problem):
                return _proven(best, outcome)
            value = float(problem.objective.at(outcome.cells)[0])
            if best is None or best.objective is None or value < best.objective:
                bound = None if outcome.bound is None else min(outcome.bound, value)
                best = replace(outcome, status="feasible", objective=value, bound=bound)
            if options.expired:
                return best
            asked, start = asked.forbidding(outcome.cells), None

    def _once(self, problem: Problem, options: Options, start: Cells | None) -> Outcome:
        highspy = _highspy()
        begin = time.perf_counter()
        linear = linearize(problem)
        h = fresh(highspy, options)
        h.passModel(_model(highspy, linear))
        if start:
            at = np.array([linear.cells[c] + int(i[0]) for c, i in start.items()], dtype=np.int32)
            h.setSolution(len(at), at, np.ones(len(at)))
        watch = Watch(options)
        _listen(h, watch, linear.scale)
        try:
            watch.run(h.run)
        except MemoryError:
            return Outcome("unknown", self.name, h.version(), time.perf_counter() - begin)
        outcome = _outcome(highspy, h, linear, problem, time.perf_counter() - begin)
        if outcome.objective is not None:
            watch.tell(outcome.objective, outcome.bound)
        return outcome


def _is_worth(outcome: Outcome, problem: Problem) -> bool:
    """Return whether an answer is worth in floats what HiGHS says."""
    assert outcome.objective is not None
    value = float(problem.objective.at(outcome.cells)[0])
    rounding = 1e-12 * problem.objective.magnitude(outcome.cells)
    return abs(value - outcome.objective) <= AGREED * abs(value) + rounding


def _proven(best: Outcome | None, rest: Outcome) -> Outcome:
    """Return the better of the best answer so far and the outcome on everything else."""
    if best is None or best.objective is None:
        return rest
    if rest.objective is not None and rest.objective < best.objective:
        return rest
    if rest.status == "infeasible" or (rest.bound is not None and rest.bound >= best.objective):
        return replace(best, status="optimal", bound=best.objective)
    if rest.status == "optimal":  # as good as the best, to the gap
        return replace(best, status="optimal", bound=rest.bound)
    return best


def _listen(h: Any, watch: Watch, scale: float) -> None:
    """Let HiGHS ask, at every point where it can stop, whether it should."""

    def searching(event: Any) -> None:
        objective, bound = event.data_out.mip_primal_bound, event.data_out.mip_dual_bound
        watch.tell(*(x * scale if np.isfinite(x) else None for x in (objective, bound)))
        watch.asked(event)

    h.cbMipInterrupt += searching
    h.cbSimplexInterrupt += watch.asked
    h.cbIpmInterrupt += watch.asked


def _model(highspy: Any, m: Linear) -> Any:
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(m.cost), len(m.row_low)
    lp.col_cost_, lp.offset_ = m.cost, m.offset
    lp.col_lower_, lp.col_upper_ = m.low, m.high
    lp.row_lower_, lp.row_upper_ = m.row_low, m.row_high
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = m.starts.astype(np.int32)
    lp.a_matrix_.index_ = m.columns.astype(np.int32)
    lp.a_matrix_.value_ = m.values
    kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
    lp.integrality_ = [kinds[int(w)] for w in m.whole]
    return lp


def _outcome(highspy: Any, h: Any, m: Linear, problem: Problem, seconds: float) -> Outcome:
    info = h.getInfo()
    verdict = verdict_of(highspy, h)
    common = {
        "engine": Highs.name,
        "version": h.version(),
        "seconds": seconds,
        "variables": len(m.cost),
        "rows": len(m.row_low),
        "nodes": max(0, int(info.mip_node_count)),
    }
    if verdict in ("infeasible", "unknown"):
        return Outcome(verdict, **common)
    cells, amounts = m.decode(np.asarray(h.getSolution().col_value))
    bound = float(info.mip_dual_bound) if m.whole.any() else float(info.objective_function_value)
    return Outcome(
        verdict,
        **common,
        objective=float(info.objective_function_value) * m.scale,
        bound=bound * m.scale if np.isfinite(bound) else None,
        cells=cells,
        amounts=amounts,
    )

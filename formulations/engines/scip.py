"""SCIP, as OR-Tools ships it, on arrays: branch and cut by other hands than HiGHS's.

It runs in a process of its own, for the reason that :mod:`formulations.engines.child` gives.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from formulations.engines.arrays import Answer
from formulations.engines.base import Options
from formulations.engines.child import ChildDied, borrow, give_back
from formulations.matrix import Linear
from mlsysim.core.errors import MissingExtraError

# SCIP takes nothing finer for the feasibility of its own rows.
TOLERANCE = 1e-9

_SCIP = {"OPTIMAL": "optimal", "FEASIBLE": "feasible", "INFEASIBLE": "infeasible"}


@dataclass(frozen=True)
class Request:
    """What the child needs to know."""

    arrays: tuple[Any, ...]
    seconds: float
    gap: float
    seed: int

    def options(self) -> Options:
        """Return the options in the child."""
        return Options(self.seconds, self.gap, 1, self.seed)

    def answer(self, options: Options, tell: Callable[..., None]) -> Answer:
        """Solve, in the child."""
        return _solved(self, options)


def scip(linear: Linear, options: Options) -> Answer:
    """Return SCIP's answer.

    Raises:
        MissingExtraError: OR-Tools is not installed.
    """
    begin = time.perf_counter()
    m = linear
    arrays = (
        m.cost,
        m.offset,
        m.low,
        m.high,
        m.whole,
        m.row_low,
        m.row_high,
        m.starts,
        m.columns,
        m.values,
        m.scale,
    )
    child = borrow("ortools")
    try:
        *_, last = child.ask(Request(arrays, options.remaining, options.gap, options.seed))
    except ChildDied:
        child.end()
        return Answer("unknown", "scip", "", time.perf_counter() - begin)
    except BaseException:
        child.end()
        raise
    give_back(child)
    if last[0] == "failed":
        raise last[1]
    found: Answer = last[1]
    return found


def _solved(r: Request, options: Options) -> Answer:
    try:
        from ortools.linear_solver.python import model_builder
    except ImportError as error:
        raise MissingExtraError(
            f"OR-Tools cannot be loaded: {error}", hint="pip install 'mlsysim[solvers]'"
        ) from error
    begin = time.perf_counter()
    cost, offset, low, high, whole, row_low, row_high, starts, columns, values, scale = r.arrays
    model: Any = model_builder.Model()  # type: ignore[no-untyped-call]
    x = [model.new_var(float(a), float(b), bool(w), "") for a, b, w in zip(low, high, whole, strict=True)]
    for k in range(len(row_low)):
        part = slice(int(starts[k]), int(starts[k + 1]))
        if part.start != part.stop:
            total = sum(float(v) * x[int(c)] for c, v in zip(columns[part], values[part], strict=True))
            model.add_linear_constraint(total, float(row_low[k]), float(row_high[k]))
    model.minimize(sum(float(c) * y for c, y in zip(cost, x, strict=True) if c) + float(offset))
    solver = model_builder.Solver("scip")
    solver.set_time_limit_in_seconds(options.remaining)
    solver.set_solver_specific_parameters(
        f"limits/gap = {r.gap:g}\nnumerics/feastol = {TOLERANCE:g}\nrandomization/randomseedshift = {r.seed}"
    )
    status = _SCIP.get(solver.solve(model).name, "unknown")
    common: dict[str, Any] = {"engine": "scip", "version": _version(), "seconds": time.perf_counter() - begin}
    if status not in ("optimal", "feasible"):
        return Answer(status, **common)
    return Answer(
        status,
        **common,
        objective=float(solver.objective_value) * scale,
        bound=float(solver.best_objective_bound) * scale,
        x=np.array([solver.value(y) for y in x]),
    )


def _version() -> str:
    from importlib.metadata import version

    return f"OR-Tools {version('ortools')}"

"""A mixed-integer program that comes as rows of numbers, for recipes that build their own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formulations.algebra import Floats, Indices
from formulations.engines.base import Options
from formulations.engines.highs import _highspy, fresh, verdict_of
from formulations.engines.watch import Watch


@dataclass
class Program:
    """``min cost x`` over ``low <= row x <= high`` for each row, and ``0 <= x <= most``.

    Attributes:
        rows: columns, factors, low and high of each; no column twice in one.
    """

    cost: Floats
    most: Floats
    whole: NDArray[np.bool_]
    rows: list[tuple[Indices, Floats, float, float]]


@dataclass(frozen=True)
class Found:
    """An outcome: ``optimal``, ``feasible``, ``infeasible`` or ``unknown``.

    Attributes:
        duals: of the rows, where the program has no whole numbers.
    """

    status: str
    objective: float | None
    bound: float | None
    x: Floats | None
    seconds: float
    version: str
    duals: Floats | None = None


def solve_program(program: Program, options: Options, start: Floats | None = None) -> Found:
    """Solve a program with HiGHS; Ctrl-C leaves the best answer so far."""
    begin = time.perf_counter()
    highspy = _highspy()
    h = fresh(highspy, options)
    if any(not columns.size and not low <= 0.0 <= high for columns, _, low, high in program.rows):
        return Found("infeasible", None, None, None, time.perf_counter() - begin, h.version())
    h.passModel(_model(highspy, program))
    if start is not None:
        h.setSolution(len(start), np.arange(len(start), dtype=np.int32), start)
    watch = Watch(options)
    h.cbMipInterrupt += watch.asked
    h.cbSimplexInterrupt += watch.asked
    watch.run(h.run)
    info, verdict = h.getInfo(), verdict_of(highspy, h)
    has = verdict in ("optimal", "feasible")
    mixed = bool(program.whole.any())
    bound = float(info.mip_dual_bound if mixed else info.objective_function_value)
    solution = h.getSolution()
    return Found(
        verdict,
        float(info.objective_function_value) if has else None,
        bound if np.isfinite(bound) and verdict != "infeasible" else None,
        np.asarray(solution.col_value) if has else None,
        time.perf_counter() - begin,
        h.version(),
        np.asarray(solution.row_dual) if has and not mixed else None,
    )


def _model(highspy: Any, p: Program) -> Any:
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(p.cost), len(p.rows)
    lp.col_cost_ = p.cost
    lp.col_lower_, lp.col_upper_ = np.zeros(len(p.cost)), p.most
    lp.row_lower_ = np.array([low for *_, low, _ in p.rows])
    lp.row_upper_ = np.array([high for *_, high in p.rows])
    sizes = np.array([0, *(len(c) for c, *_ in p.rows)])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.cumsum(sizes).astype(np.int32)
    lp.a_matrix_.index_ = np.concatenate([np.zeros(0), *(c for c, *_ in p.rows)]).astype(np.int32)
    lp.a_matrix_.value_ = np.concatenate([np.zeros(0), *(f for _, f, *_ in p.rows)])
    kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
    lp.integrality_ = [kinds[int(w)] for w in p.whole]
    return lp

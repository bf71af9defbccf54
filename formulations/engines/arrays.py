"""Mixed-integer programs given as arrays, for HiGHS; :mod:`formulations.engines.scip` is a second opinion."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from formulations.algebra import Floats
from formulations.engines.base import Options
from formulations.engines.highs import _highspy, _model, fresh, verdict_of
from formulations.engines.watch import Watch
from formulations.matrix import Linear
from mlsysim.core.errors import InputError


@dataclass(frozen=True)
class Answer:
    """What an engine found of a matrix, in the objective's own units.

    Attributes:
        status: as of :class:`formulations.engines.base.Outcome`.
        x: value of each column; None without a solution.
        duals: price of each row, where there are no whole columns.
    """

    status: str
    engine: str
    version: str
    seconds: float
    objective: float | None = None
    bound: float | None = None
    x: Floats | None = None
    duals: Floats | None = None
    nodes: int = 0


def solve(linear: Linear, options: Options, engine: str = "auto") -> Answer:
    """Return an engine's answer: ``auto`` and ``highs`` are HiGHS, ``scip`` is SCIP."""
    if engine == "scip":
        from formulations.engines.scip import scip

        return scip(linear, options)
    return highs(linear, options)


def highs(linear: Linear, options: Options) -> Answer:
    """Return HiGHS's answer; Ctrl-C leaves the best so far."""
    highspy = _highspy()
    begin = time.perf_counter()
    h = fresh(highspy, options)
    h.passModel(_model(highspy, linear))
    watch = Watch(options)
    h.cbMipInterrupt += watch.asked
    h.cbSimplexInterrupt += watch.asked
    h.cbIpmInterrupt += watch.asked
    watch.run(h.run)
    info, verdict = h.getInfo(), verdict_of(highspy, h)
    common: dict[str, Any] = {
        "engine": "highs",
        "version": h.version(),
        "seconds": time.perf_counter() - begin,
        "nodes": max(0, int(info.mip_node_count)),
    }
    if verdict in ("infeasible", "unknown"):
        return Answer(verdict, **common)
    solution = h.getSolution()
    whole = bool(linear.whole.any())
    objective = float(info.objective_function_value)
    bound = float(info.mip_dual_bound) if whole else objective
    return Answer(
        verdict,
        **common,
        objective=objective * linear.scale,
        bound=bound * linear.scale if np.isfinite(bound) else None,
        x=np.asarray(solution.col_value),
        duals=None if whole else np.asarray(solution.row_dual) * linear.scale,
    )


def write(linear: Linear, path: str) -> None:
    """Write a program to a file ending in ``.lp`` or ``.mps``.

    Raises:
        InputError: the file has another ending or cannot be written.
    """
    if Path(path).suffix not in (".lp", ".mps"):
        raise InputError(f"no format for a file called {path!r}", hint="end its name in .lp or .mps")
    highspy = _highspy()
    h = highspy.Highs()
    h.setOptionValue("output_flag", False)
    model = _model(highspy, linear)
    model.col_names_, model.row_names_ = linear.column_names, linear.row_names
    h.passModel(model)
    if h.writeModel(str(path)) == highspy.HighsStatus.kError:
        raise InputError("the model could not be written", where=str(path))

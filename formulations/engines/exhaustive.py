"""Enumeration with NumPy: the oracle for small spaces."""

from __future__ import annotations

import time
from typing import ClassVar

import numpy as np

from formulations.algebra import Problem
from formulations.engines.base import Engine, Options, Outcome
from formulations.joint import Cells, best


class Exhaustive(Engine):
    """Looks at every complete solution in order; ties go to the first."""

    name: ClassVar[str] = "exhaustive"
    amounts: ClassVar[bool] = False

    def solve(self, problem: Problem, options: Options, start: Cells | None = None) -> Outcome:
        """Enumerate; a time limit leaves the best so far, unproven."""
        if problem.amounts:
            raise ValueError("enumeration cannot decide amounts")
        begin = time.perf_counter()
        found = best(problem, stop=lambda: options.expired)
        has = found.objective is not None
        status = {
            (True, True): "optimal",
            (True, False): "infeasible",
            (False, True): "feasible",
            (False, False): "unknown",
        }[found.complete, has]
        return Outcome(
            status,
            self.name,
            f"numpy {np.__version__}",
            time.perf_counter() - begin,
            objective=found.objective,
            bound=found.objective if found.complete else None,
            cells=found.cells,
            nodes=found.seen,
        )

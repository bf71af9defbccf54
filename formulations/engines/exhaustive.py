"""Enumeration with NumPy: the oracle for small spaces."""

from __future__ import annotations

import time
from typing import ClassVar

import numpy as np

from formulations.algebra import Problem
from formulations.engines.base import Engine, Options, Outcome
from formulations.joint import Cells, holds, join


class Exhaustive(Engine):
    """Looks at every complete solution in order; ties go to the first."""

    name: ClassVar[str] = "exhaustive"
    amounts: ClassVar[bool] = False

    def solve(self, problem: Problem, options: Options, start: Cells | None = None) -> Outcome:
        """Enumerate; a time limit leaves the best so far, unproven."""
        if problem.amounts:
            raise ValueError("enumeration cannot decide amounts")
        begin = time.perf_counter()
        found: tuple[float, Cells] | None = None
        finished, seen = True, 0
        for batch in join(problem):
            if time.perf_counter() - begin > options.time_limit:
                finished = False
                break
            seen += len(next(iter(batch.values())))
            keep = holds(problem, batch)
            if not keep.any():
                continue
            values = np.where(keep, problem.objective.at(batch), np.inf)
            i = int(values.argmin())
            if found is None or values[i] < found[0]:
                found = float(values[i]), {c: v[i : i + 1] for c, v in batch.items()}
        seconds = time.perf_counter() - begin
        status = {
            (True, True): "optimal",
            (True, False): "infeasible",
            (False, True): "feasible",
            (False, False): "unknown",
        }[finished, found is not None]
        return Outcome(
            status,
            self.name,
            f"numpy {np.__version__}",
            seconds,
            objective=found[0] if found else None,
            bound=found[0] if found and finished else None,
            cells=found[1] if found else {},
            nodes=seen,
        )

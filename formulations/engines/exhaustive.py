"""Enumeration with NumPy: the oracle for small spaces."""

from __future__ import annotations

import time
from typing import ClassVar

import numpy as np

from formulations.engines.base import Engine, Options, Outcome
from formulations.engines.watch import Watch
from formulations.joint import Cells, Enumerated, best
from formulations.problem import Problem


class Exhaustive(Engine):
    """Looks at every complete solution in order; ties go to the first."""

    name: ClassVar[str] = "exhaustive"
    amounts: ClassVar[bool] = False

    def solve(self, problem: Problem, options: Options, start: Cells | None = None) -> Outcome:
        """Enumerate; a limit of time or of memory, or Ctrl-C, leaves the best so far, unproven."""
        if problem.amounts:
            raise ValueError("enumeration cannot decide amounts")
        begin = time.perf_counter()
        watch = Watch(options)
        steps = [Enumerated([], 0, False)]

        def better(found: Enumerated) -> None:
            steps.append(found)
            watch.tell(found.objective, None)

        def work() -> None:
            try:
                steps.append(best(problem, stop=lambda: watch.stopped or options.expired, watch=better))
            except MemoryError:  # the batches did not fit; the best of those before stands
                return

        watch.run(work)
        found = steps[-1]
        bound = found.objective if found.complete else None
        if found.objective is not None:
            watch.tell(found.objective, bound)
        return Outcome(
            _status(found),
            self.name,
            f"numpy {np.__version__}",
            time.perf_counter() - begin,
            objective=found.objective,
            bound=bound,
            cells=found.cells,
            nodes=found.seen,
        )


def _status(found: Enumerated) -> str:
    if found.complete:
        return "infeasible" if found.objective is None else "optimal"
    return "unknown" if found.objective is None else "feasible"

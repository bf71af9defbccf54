"""CP-SAT, the second opinion, in a process of its own."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from formulations.engines.base import Engine, Options, Outcome, Progress
from formulations.engines.child import ChildDied, borrow, give_back
from formulations.engines.watch import Watch
from formulations.joint import Cells
from formulations.problem import Problem
from mlsysim.core.errors import MlsysimError

Answer = tuple[Outcome, list[int], list[float]]


@dataclass(frozen=True)
class Request:
    """What the child needs to know; choices and amounts go by their place in the problem.

    ``until`` is by the wall clock, the only one that two processes share.
    """

    problem: Problem
    until: float
    gap: float
    threads: int
    seed: int
    start: list[int] | None
    heard: bool

    def options(self) -> Options:
        """Return the options in the child, to whose start some of the time went."""
        return Options(max(0.0, self.until - time.time()), self.gap, self.threads, self.seed)

    def answer(self, options: Options, progress: Progress) -> Answer:
        """Solve, in the child."""
        from formulations.engines.cpsat_search import solve_here

        choices = self.problem.choices
        start = None
        if self.start:
            start = {c: np.array([i]) for c, i in zip(choices, self.start, strict=True)}
        found = solve_here(self.problem, replace(options, progress=progress if self.heard else None), start)
        cells = [int(found.cells[c][0]) for c in choices] if found.cells else []
        amounts = [found.amounts[a] for a in self.problem.amounts] if found.amounts else []
        return replace(found, cells={}, amounts={}), cells, amounts


class CpSat(Engine):
    """CP-SAT; with one thread it gives the same answer every time."""

    name: ClassVar[str] = "cp-sat"
    starts: ClassVar[bool] = True

    def solve(self, problem: Problem, options: Options, start: Cells | None = None) -> Outcome:
        """Solve the problem in whole numbers; Ctrl-C leaves the best answer so far."""
        begin = time.perf_counter()
        request = Request(
            problem,
            time.time() + options.remaining,
            options.gap,
            options.threads,
            options.seed,
            [int(start[c][0]) for c in problem.choices] if start else None,
            options.progress is not None,
        )
        try:
            outcome, cells, amounts = _ask(request, Watch(options))
        except ChildDied as error:
            if error.code != -getattr(signal, "SIGKILL", 9):
                raise MlsysimError(
                    f"CP-SAT crashed with status {error.code}", hint="please report this plan"
                ) from error
            # what the system does to a process that takes all of the memory
            return Outcome("unknown", self.name, "", time.perf_counter() - begin)
        return replace(
            outcome,
            seconds=time.perf_counter() - begin,
            cells={c: np.array([i]) for c, i in zip(problem.choices, cells, strict=bool(cells))},
            amounts=dict(zip(problem.amounts, amounts, strict=bool(cells))),
        )


def _ask(request: Request, watch: Watch) -> Answer:
    """Have a child answer; one that did not answer is ended."""
    child = borrow("ortools")
    last: list[Any] = []

    def work() -> None:
        for message in child.ask(request):
            if message[0] == "progress":
                watch.tell(*message[1:])
            else:
                last.extend(message)

    try:
        watch.run(work, child.stop)
    except BaseException:
        child.end()
        raise
    give_back(child)
    verdict, content = last
    if verdict == "failed":
        raise content
    answer: Answer = content
    return answer

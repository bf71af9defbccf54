"""What every engine takes and gives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from formulations.algebra import Amount
from formulations.joint import Cells
from formulations.problem import Problem
from mlsysim.core.solver import defaults

STATUSES = ("optimal", "feasible", "infeasible", "unknown")

Progress: TypeAlias = Callable[["float | None", "float | None"], None]


@dataclass(frozen=True)
class Options:
    """How to solve.

    Attributes:
        time_limit: in s, from the making of the options: one clock for everything that one question
            needs (presolve, engine, conflict, next best answers).
        gap: relative gap at which an answer counts as optimal.
        threads: of the engine.
        seed: for its random choices.
        progress: called with the best objective and the bound so far, in the problem's own units,
            as either gets better; None where there is none yet. It runs in the engine's thread, and
            changes no answer.
        interrupted: set by Ctrl-C; the time then counts as up, for this question and those after it.
    """

    time_limit: float = defaults.TIME_LIMIT
    gap: float = defaults.GAP
    threads: int = defaults.THREADS
    seed: int = defaults.SEED
    began: float = field(default_factory=time.monotonic)
    progress: Progress | None = field(default=None, compare=False, repr=False)
    interrupted: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)

    @property
    def remaining(self) -> float:
        """Seconds left; never quite 0, so that an engine can still say that it stopped."""
        left = self.time_limit - (time.monotonic() - self.began)
        return max(1e-2, 0.0 if self.interrupted.is_set() else left)

    @property
    def expired(self) -> bool:
        """Whether the time is up, or the person wants what there is."""
        return self.interrupted.is_set() or time.monotonic() - self.began >= self.time_limit


@dataclass(frozen=True)
class Outcome:
    """What an engine found, and what it proved.

    Attributes:
        status: ``optimal`` (proven within the gap), ``feasible`` (a solution, stopped early),
            ``infeasible`` (proven), ``unknown`` (stopped early without a solution).
        objective: of the solution; None without one.
        bound: no solution is below it; None where nothing is proven.
        cells, amounts: the solution.
        nodes: of the search.
    """

    status: str
    engine: str
    version: str
    seconds: float
    objective: float | None = None
    bound: float | None = None
    cells: Cells = field(default_factory=dict)
    amounts: dict[Amount, float] = field(default_factory=dict)
    variables: int = 0
    rows: int = 0
    nodes: int = 0

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"unknown status {self.status!r}")


class Engine:
    """An engine that solves problems of the algebra.

    Attributes:
        name: as the user gives it.
        amounts: whether it can decide amounts.
        starts: whether it uses a solution to start from.
        stops: whether Ctrl-C and the time limit leave it with its best answer so far.
        talks: whether it reports progress as it searches, and not only at the end.
    """

    name: ClassVar[str]
    amounts: ClassVar[bool] = True
    starts: ClassVar[bool] = False
    stops: ClassVar[bool] = True
    talks: ClassVar[bool] = True

    def solve(self, problem: Problem, options: Options, start: Cells | None = None) -> Outcome:
        """Solve a problem.

        Args:
            problem: what to solve.
            options: limits and tolerances.
            start: a solution to start from, where the engine can use one.
        """
        raise NotImplementedError

"""What every engine takes and gives."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

from formulations.algebra import Amount, Problem
from formulations.joint import Cells
from mlsysim.core.solver import defaults

STATUSES = ("optimal", "feasible", "infeasible", "unknown")


@dataclass(frozen=True)
class Options:
    """How to solve.

    Attributes:
        time_limit: in s, from the making of the options: one clock for everything that one question
            needs (presolve, engine, conflict, next best answers).
        gap: relative gap at which an answer counts as optimal.
        threads: of the engine.
        seed: for its random choices.
    """

    time_limit: float = defaults.TIME_LIMIT
    gap: float = defaults.GAP
    threads: int = defaults.THREADS
    seed: int = defaults.SEED
    began: float = field(default_factory=time.monotonic)

    @property
    def remaining(self) -> float:
        """Seconds left; never quite 0, so that an engine can still say that it stopped."""
        return max(1e-2, self.time_limit - (time.monotonic() - self.began))

    @property
    def expired(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() - self.began >= self.time_limit


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
    """

    name: ClassVar[str]
    amounts: ClassVar[bool] = True

    def solve(self, problem: Problem, options: Options, start: Cells | None = None) -> Outcome:
        """Solve a problem.

        Args:
            problem: what to solve.
            options: limits and tolerances.
            start: a solution to start from, where the engine can use one.
        """
        raise NotImplementedError

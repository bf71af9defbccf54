"""Walls and assertions as rows: what every recipe does alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from formulations.problem import Problem
from mlsysim.core.scenario import Bound
from mlsysim.core.tolerance import ROUNDING, TOLERANCE
from mlsysim.physics.types import Array
from mlsysim.walls import WALLS, State


@dataclass(frozen=True)
class Comparison:
    """``demand <= supply``, numbers or expressions.

    ``hard`` where the physics says so rather than the plan. The supply has the slack that ``eval``
    grants, so that the two give one verdict.
    """

    tag: str
    name: str
    demand: Array
    supply: Array
    hard: bool


def comparisons(state: State, bounds: tuple[Bound, ...]) -> Iterator[Comparison]:
    """Yield what limits a state: each limited row of each wall, and the plan's assertions.

    Rows that hold by construction (the step is as long as they make it) or that only show what an
    assertion enforces are left out. An assertion
    on a quotient is multiplied out: ``numerator <= limit x denominator``.
    """
    slack = 1.0 + TOLERANCE - ROUNDING
    for wall in WALLS:
        for index, row in enumerate(wall.rows(state)):
            if row.supply is not None and row.enforced:
                yield Comparison(wall.tag, f"{wall.tag}[{index}]", row.demand, row.supply * slack, row.hard)
    for index, bound in enumerate(bounds):
        numerator, denominator = bound.metric.parts(state)
        tag = f"assert{index}"
        if bound.high is not None:
            yield Comparison(tag, f"{tag}[max]", numerator, bound.high * slack * denominator, False)
        if bound.low is not None:
            yield Comparison(tag, f"{tag}[min]", bound.low * denominator, numerator * slack, False)


def add_rows(problem: Problem, state: State, bounds: tuple[Bound, ...]) -> None:
    """Add a row for each comparison of a state of tables."""
    for c in comparisons(state, bounds):
        problem.limit(c.tag, c.name, c.demand, c.supply, hard=c.hard)

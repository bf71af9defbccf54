"""Walls and assertions as rows: what every recipe does alike."""

from __future__ import annotations

from formulations.algebra import Problem
from mlsysim.core.resolve import Bound
from mlsysim.walls import WALLS, State


def add_walls(problem: Problem, state: State) -> None:
    """Add a row for each comparison of each wall that limits something.

    Comparisons that hold by construction (the step is as long as they make it) add nothing.
    """
    for wall in WALLS:
        for index, row in enumerate(wall.rows(state)):
            if row.supply is not None and not row.by_construction:
                problem.limit(wall.tag, f"{wall.tag}[{index}]", row.demand, row.supply)


def add_bounds(problem: Problem, state: State, bounds: tuple[Bound, ...]) -> None:
    """Add the plan's assertions: ``numerator <= limit x denominator``, or the other way."""
    for index, bound in enumerate(bounds):
        numerator, denominator = bound.metric.parts(state)
        tag = f"assert{index}"
        if bound.high is not None:
            problem.limit(tag, f"{tag}[max]", numerator, bound.high * denominator)
        if bound.low is not None:
            problem.limit(tag, f"{tag}[min]", bound.low * denominator, numerator)

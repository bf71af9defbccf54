"""Which dimensions of a space are decisions that the formulations know, and which are cases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mlsysim.core.metrics import METRICS
from mlsysim.space.design import DesignSpace
from mlsysim.space.dimensions import Dimension
from mlsysim.space.expression import conjuncts

FLEET = ("hardware.nodes", "hardware.accelerators")
INTERVAL = "checkpoint.interval"


@dataclass(frozen=True)
class Split:
    """Which dimensions a solver decides.

    Attributes:
        decided: those, and ``cases`` the others with the parameters.
        why_not: why there are none.
    """

    decided: tuple[Dimension, ...]
    cases: tuple[Dimension, ...]
    why_not: str = ""

    @property
    def points(self) -> int:
        """How many points of the grid one case stands for."""
        return math.prod(len(d.listed or ()) for d in self.decided)

    @property
    def note(self) -> str:
        """What the user is told."""
        names = ", ".join(d.name for d in self.decided)
        cases = math.prod(len(d.listed or ()) for d in self.cases)
        return (
            f"{names}: decided by the solver, with proof, in place of {self.points * cases:,} points; "
            f"{cases:,} {'problem' if cases == 1 else 'problems'}"
        )


def split(space: DesignSpace) -> Split:
    """Return which dimensions of a space a solver decides: all that it knows and that nobody wants apart."""

    def none(why: str) -> Split:
        return Split((), space.every, why)

    workload = space.plan.get("workload") or {}
    if len(space.wishes) != 1:
        return none("a solver makes one objective best")
    if space.how.method != "grid":
        return none("a sample is of points, each on its own")
    if workload.get("phase", "training") != "training" or _has(space, "workload.phase"):
        return none("only the layout of training is a decision of the formulations")
    used = space.wishes[0].expression.names.union(*(c.names for c in space.conditions))
    if any(name.endswith(".headroom") for name in used):
        return none("the headroom of a wall is no objective or limit of a formulation")
    of_run = any(name in METRICS and METRICS[name].of_run for name in used)
    decided = [
        d for d in space.dimensions if _is_decision(space, d, of_run) and d.name not in {*space.each, *used}
    ]
    if not decided:
        return none("no dimension is a decision that the formulations know")
    for condition in space.conditions:
        if (reason := _not_a_bound(space, condition)) is not None:
            return none(reason)
    cases = tuple(d for d in space.every if d not in decided)
    return Split(tuple(decided), cases)


def _has(space: DesignSpace, name: str) -> bool:
    return any(d.name == name for d in space.dimensions)


def _is_decision(space: DesignSpace, d: Dimension, of_run: bool) -> bool:
    """Return whether the formulations can decide a dimension of this space.

    The interval between checkpoints matters, and is one, only where a metric of the whole run is asked for.
    """
    given = space.plan.get("parallelism") or {}
    if d.listed is None:
        return False
    if d.name == INTERVAL:
        return of_run
    if d.name in FLEET:
        both = all(_has(space, name) for name in FLEET)
        return not both and not _has(space, "parallelism.accelerators") and "accelerators" not in given
    if d.name == "workload.precision":
        return not _has(space, "parallelism.precision") and "precision" not in given
    return d.name.startswith("parallelism.")


def _not_a_bound(space: DesignSpace, condition: Any) -> str | None:
    """Return why a condition is no limit of a formulation; None where it is one."""
    found = conjuncts(condition, space.scope)
    if found is None:
        return f"{condition.text}: only comparisons with < and > joined by and are limits of a formulation"
    for _, left, right in found:
        if left.names & METRICS.keys() and right.names & METRICS.keys():
            return f"{condition.text}: both sides depend on the decisions"
    return None

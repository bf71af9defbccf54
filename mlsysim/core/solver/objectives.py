"""What ``optimize parallelism`` makes least or greatest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlsysim.core import units
from mlsysim.core.errors import unknown
from mlsysim.core.metrics import METRICS
from mlsysim.physics.operations import taxed
from mlsysim.physics.types import Array
from mlsysim.walls import State

Parts = Callable[[State], tuple[Array, Array]]


@dataclass(frozen=True)
class Goal:
    """An objective, as a quotient of a state that is made least, or greatest.

    Attributes:
        name: as the user gives it.
        metric: what it is called in results.
        title: for people.
        unit: in which people read it.
        parts: numerator and denominator, in base units.
        greatest: whether more is better.
        of_run: whether it is of training on all tokens, and so depends on checkpoints and failures.
    """

    name: str
    metric: str
    title: str
    unit: str
    parts: Parts
    greatest: bool = False
    of_run: bool = False

    def cost(self, state: State) -> Any:
        """Return what a solver makes least: the quotient, or its inverse."""
        numerator, denominator = self.parts(state)
        if self.greatest:
            numerator, denominator = denominator, numerator
        return numerator if isinstance(denominator, float) and denominator == 1.0 else numerator / denominator

    def shown(self, cost: float | None) -> float | None:
        """Return the objective that a cost stands for, in base units."""
        return cost if cost is None or not self.greatest else 1.0 / cost

    def told(self, cost: float) -> dict[str, Any]:
        """Return the objective that a cost stands for, for JSON."""
        shown = self.shown(cost)
        assert shown is not None
        return {"objective": units.from_base(shown, self.unit), "unit": self.unit}


_METRICS = {
    "time": ("performance.latency", "step time"),
    "mfu": ("performance.mfu", "MFU"),
    "training-time": ("performance.training_time", "time to train"),
    "cost": ("macro.training_usd", "cost of training"),
    "energy": ("macro.training_kwh", "energy of training"),
    "carbon": ("macro.training_tco2e", "carbon of training"),
    "accelerators": ("feasibility.accelerators", "accelerators"),
}
NAMES = (*_METRICS, "cost+carbon")


def goal(name: str, tax: float = 0.0, shown_tax: float = 0.0) -> Goal:
    """Return an objective by name.

    Args:
        name: one of :data:`NAMES`.
        tax: on carbon, for ``cost+carbon`` [USD/kgCO2e].
        shown_tax: the same as people gave it [USD/tCO2e].

    Raises:
        UnknownNameError: naming those that there are.
    """
    if name == "cost+carbon":
        cost, carbon = METRICS["macro.training_usd"], METRICS["macro.training_tco2e"]

        def both(s: State) -> tuple[Array, Array]:
            return taxed(cost.parts(s)[0], carbon.parts(s)[0], tax), 1.0

        title = f"cost + {shown_tax:g} USD/tCO2e"
        return Goal(name, "macro.training_usd + carbon tax", title, "USD", both, of_run=True)
    if name not in _METRICS:
        raise unknown("objective", name, NAMES).at("objective")
    metric, title = _METRICS[name]
    m = METRICS[metric]
    return Goal(name, metric, title, m.unit, m.parts, greatest=name == "mfu", of_run=m.of_run)

"""What ``optimize batching`` makes least or greatest, and what decides among equally good answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlsysim.core.errors import unknown
from mlsysim.core.metrics import METRICS
from mlsysim.core.serving_metrics import capacity
from mlsysim.core.solver.objectives import Goal
from mlsysim.physics.operations import taxed
from mlsysim.physics.types import Array
from mlsysim.walls import State

_METRICS = {
    "cost": ("macro.usd_per_million_served", "cost of a million tokens"),
    "carbon": ("macro.gco2e_per_million_served", "carbon of a million tokens"),
    "latency": ("performance.response_p99", "P99 of the answer"),
}
NAMES = (*_METRICS, "cost+carbon", "throughput")


def tokens_per_dollar(s: State) -> tuple[Array, Array]:
    """Return the tokens that the deployment generates with all batches full, and what that costs."""
    return capacity(s) * s.serving.output * s.duration, s.bill.tco  # type: ignore[union-attr]


def service_goal(name: str, tax: float = 0.0, shown_tax: float = 0.0) -> Goal:
    """Return an objective of a service by name.

    Args:
        name: one of :data:`NAMES`.
        tax: on carbon, for ``cost+carbon`` [USD/kgCO2e].
        shown_tax: the same as people gave it [USD/tCO2e].

    Raises:
        UnknownNameError: naming those that there are.
    """
    if name == "throughput":
        title = "throughput for a dollar"
        return Goal(
            name, "tokens per dollar, batches full", title, "token/USD", tokens_per_dollar, greatest=True
        )
    if name == "cost+carbon":
        cost, carbon = METRICS["macro.usd_per_million_served"], METRICS["macro.gco2e_per_million_served"]

        def both(s: State) -> tuple[Array, Array]:
            (usd, tokens), (carbon_mass, _) = cost.parts(s), carbon.parts(s)
            return taxed(usd, carbon_mass, tax), tokens

        title = f"cost + {shown_tax:g} USD/tCO2e"
        return Goal(name, "macro.usd_per_million_served + carbon tax", title, "USD", both)
    if name not in _METRICS:
        raise unknown("objective", name, NAMES).at("objective")
    metric, title = _METRICS[name]
    m = METRICS[metric]
    return Goal(name, metric, title, m.unit, m.parts)


def ties(name: str) -> tuple[Callable[[State], Any], ...]:
    """Return what decides among deployments that are equally good, each to be made least.

    For the same money, the one that carries most; for the same throughput, the fewest accelerators.
    """
    if name in ("throughput", "latency"):
        return (lambda s: s.accelerators,)
    return (lambda s: -capacity(s),)

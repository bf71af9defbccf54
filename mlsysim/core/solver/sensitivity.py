"""Wall 21 forward: how much each metric moves when one supply does.

An elasticity is ``d ln metric / d ln supply``: -1 means that 1% more of the supply takes 1% off the
metric. It comes from evaluating the scenario again with the supply a little smaller and a little
larger and the layout held fixed, so it holds for small changes. What a large change is worth, after
planning anew, is for the solver to say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from mlsysim.core import units
from mlsysim.core.evaluation import Evaluation, Json, Reading, evaluate
from mlsysim.core.layout import Layout
from mlsysim.core.metrics import METRICS, find
from mlsysim.core.resolve import Scenario
from mlsysim.core.supplies import SUPPLIES, Supply, put

# Relative change of a supply, up and down. Small against the distance to most kinks of the
# roofline, large against the rounding of a step's time.
STEP = 1e-3
# One-sided elasticities further apart than this stand on a kink.
KINK = 1e-2


def scaled(s: Scenario, factors: dict[str, float]) -> Scenario:
    """Return a scenario with some supplies multiplied, by name of :data:`SUPPLIES`."""
    for name, factor in factors.items():
        supply = SUPPLIES[name]
        s = put(s, supply.path, supply.read(s) * factor)
    if s.job is not None:  # the job carries its chip and network
        s = replace(s, job=replace(s.job, chip=s.chip, network=s.network))
    return s


@dataclass(frozen=True)
class Elasticity:
    """How a metric answers to a supply.

    Attributes:
        metric: its full name.
        supply: the supply.
        there: how much of it the scenario has, in base units.
        value: ``d ln metric / d ln supply``, central; None where the metric changes sign or
            vanishes.
        falling, rising: the same for less and for more of the supply only.
    """

    metric: str
    supply: Supply
    there: float
    value: float | None
    falling: float | None
    rising: float | None

    @property
    def kink(self) -> bool:
        """Whether less and more of the supply count differently here, as on a roofline's ridge."""
        if self.falling is None or self.rising is None:
            return False
        return abs(self.falling - self.rising) > KINK

    def to_dict(self) -> Json:
        """Return the elasticity for JSON, the supply in its own unit."""
        return {
            "metric": self.metric,
            "supply": self.supply.name,
            "wall": self.supply.wall,
            "there": units.from_base(self.there, self.supply.unit),
            "unit": self.supply.unit,
            "elasticity": self.value,
            "falling": self.falling,
            "rising": self.rising,
            "kink": self.kink,
        }


@dataclass(frozen=True)
class Sensitivity:
    """The elasticities of one evaluated scenario.

    Attributes:
        evaluation: of the scenario as it is.
        step: relative change of each supply.
        elasticities: of every metric to every supply asked for.
    """

    evaluation: Evaluation
    step: float
    elasticities: tuple[Elasticity, ...]

    @property
    def binding(self) -> tuple[Reading, ...]:
        """The walls that bind or fail, in order."""
        return tuple(w for w in self.evaluation.walls if w.status in ("binding", "fail"))

    def of(self, metric: str, supply: str) -> float | None:
        """Return one elasticity by the names of its metric and supply."""
        name = find(metric).name
        return next(e.value for e in self.elasticities if (e.metric, e.supply.name) == (name, supply))

    def ranking(self, metric: str) -> tuple[Elasticity, ...]:
        """Return what a metric answers to, the strongest first; what it ignores is left out."""
        name = find(metric).name
        felt = [e for e in self.elasticities if e.metric == name and e.value]
        return tuple(sorted(felt, key=lambda e: -abs(e.value or 0.0)))

    def plot(self, kind: str | None = None) -> Any:
        """Return a Plotly figure: ``tornado``.

        Needs the extra ``labs``.

        Raises:
            InputError: there is no such plot.
            MissingExtraError: Plotly is not installed.
        """
        from mlsysim.viz.kinds import plot

        return plot(self, kind)

    def to_dict(self) -> Json:
        """Return the analysis for JSON."""
        return {
            "step": self.step,
            "binding_walls": [w.wall.number for w in self.binding],
            "elasticities": [e.to_dict() for e in self.elasticities],
        }


def sensitivity(
    s: Scenario,
    layout: Layout | None = None,
    *,
    metrics: Iterable[str] | None = None,
    supplies: Iterable[str] | None = None,
    step: float = STEP,
) -> Sensitivity:
    """Return how a scenario's metrics answer to its supplies.

    Args:
        s: the scenario.
        layout: of a training job; by rule if absent. It is held while supplies change.
        metrics: names of metrics; all that the scenario has by default.
        supplies: names of :data:`SUPPLIES`; all that the scenario has by default.
        step: relative change of each supply, between 0 and 1.

    Raises:
        UnknownNameError: a metric that is not there.
    """
    base = evaluate(s, layout)
    known = [name for name, m in METRICS.items() if m.applies(base.state)]
    chosen = [find(m).name for m in metrics] if metrics is not None else known
    found: list[Elasticity] = []
    for name in supplies if supplies is not None else SUPPLIES:
        supply = SUPPLIES[name]
        there = supply.of(s)
        if there is None:
            continue
        less = evaluate(scaled(s, {name: 1.0 - step}), base.layout).state
        more = evaluate(scaled(s, {name: 1.0 + step}), base.layout).state
        for metric in chosen:
            value = METRICS[metric].value
            low, here, high = value(less), value(base.state), value(more)
            found.append(
                Elasticity(
                    metric,
                    supply,
                    there,
                    _slope(low, high, 1.0 - step, 1.0 + step),
                    _slope(low, here, 1.0 - step, 1.0),
                    _slope(here, high, 1.0, 1.0 + step),
                )
            )
    return Sensitivity(base, step, tuple(found))


def _slope(low: float, high: float, below: float, above: float) -> float | None:
    """Return the slope between two points in logarithms; 0 where the metric does not move."""
    if low == high:
        return 0.0
    if not (low > 0.0 and high > 0.0 and math.isfinite(low) and math.isfinite(high)):
        return None
    return math.log(high / low) / math.log(above / below)

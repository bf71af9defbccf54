"""What an answer is weighed against: where a tax changes it, the frontier, and the baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mlsysim.core import text, units
from mlsysim.core.evaluation import Json
from mlsysim.core.metrics import METRICS
from mlsysim.core.solver.frontier import Frontier
from mlsysim.core.solver.parametric import Around, Envelope

COST, CARBON, WATER = "macro.tco_usd", "macro.carbon_tco2e", "macro.water_l"
SHOWN = {"cost": COST, "carbon": CARBON, "water": WATER}
TAX, WATER_PRICE = "USD/tCO2e", "USD/kL"
_UNITS = {name: METRICS[metric].unit for name, metric in SHOWN.items()}


@dataclass(frozen=True)
class Choice:
    """A plan in few words and numbers.

    Attributes:
        label: for people, e.g. the region.
        decided: its decisions, for JSON.
        cost, carbon, water: in base units.
        clean: share of its electricity that is free of carbon, where that is known.
        water_cost: what its water costs at the price that was given [USD]; ``cost`` is without it.
    """

    label: str
    decided: Json
    cost: float
    carbon: float
    water: float
    clean: float | None = None
    water_cost: float = 0.0

    def to_dict(self) -> Json:
        """Return the decisions with cost [USD], carbon [tCO2e], water [L] and what it costs [USD]."""
        more = {"water_cost": self.water_cost, "clean": self.clean}
        return self.decided | {name: self.shown(name) for name in SHOWN} | more

    def shown(self, name: str) -> float:
        """Return a metric in its unit."""
        return units.from_base(getattr(self, name), _UNITS[name])

    def amount(self, name: str) -> str:
        """Return a metric as people read it."""
        return text.amount(self.shown(name), _UNITS[name])


@dataclass(frozen=True)
class Baseline:
    """Something to compare the answer with: where the plan is now, or what costs least."""

    name: str
    title: str
    choice: Choice


@dataclass(frozen=True)
class Tradeoff:
    """What stands beside an answer; every answer of a solve is a :class:`Choice`.

    Attributes:
        chosen: the answer.
        baselines: to compare it with.
        around: how far the tax can move before the answer changes [USD/kgCO2e].
        tax: at which the answer is best; of ``around``.
        envelope: the best answers over a range of the tax.
        frontier: of ``metrics``.
        metrics: names of :data:`SHOWN`.
        choice: from what a solve returned to a choice.
    """

    chosen: Choice
    baselines: tuple[Baseline, ...] = ()
    around: Around | None = None
    tax: float = 0.0
    envelope: Envelope | None = None
    frontier: Frontier | None = None
    metrics: tuple[str, ...] = ()
    choice: Callable[[Any], Choice] = field(default=lambda answer: answer)

    def to_dict(self) -> Json:
        """Return the members ``baselines``, ``tax`` and ``pareto`` of a solution."""
        return {
            "baselines": [
                {"name": b.name, **b.choice.to_dict()}
                | {f"{name}_change": self.chosen.shown(name) - b.choice.shown(name) for name in SHOWN}
                for b in self.baselines
            ],
            "tax": self._tax(),
            "pareto": self._pareto(),
        }

    def _tax(self) -> Json | None:
        if self.envelope is not None:
            e = self.envelope
            return {
                "unit": TAX,
                "proven": e.proven,
                "gap": e.gap,
                "solves": e.solves,
                "plans": [
                    {
                        "from": per_tonne(s.low),
                        "to": per_tonne(s.high),
                        **self.choice(s.line.answer).to_dict(),
                    }
                    for s in e.stretches
                ],
            }
        if self.around is not None:
            a = self.around
            sides = {"below": a.below, "above": a.above}
            return {
                "unit": TAX,
                "proven": a.proven,
                "at": per_tonne(self.tax),
                "from": per_tonne(a.low),
                "to": None if a.above is None else per_tonne(a.high),
                **{k: None if x is None else self.choice(x.answer).to_dict() for k, x in sides.items()},
            }
        return None

    def _pareto(self) -> Json | None:
        if self.frontier is None:
            return None
        f = self.frontier
        return {
            "metrics": list(self.metrics),
            "units": [_UNITS[name] for name in self.metrics],
            "complete": f.complete,
            "solves": f.solves,
            "points": [{**self.choice(p.answer).to_dict(), "gap": p.gap} for p in f.points],
        }


def per_tonne(tax: float) -> float:
    """Return a tax in base units in USD per tonne."""
    return units.from_base(tax, TAX)

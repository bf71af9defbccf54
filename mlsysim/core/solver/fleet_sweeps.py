"""A plan with several jobs under a carbon tax that moves, and the schedules that none beats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mlsysim.core.errors import SolverLimitError
from mlsysim.core.schedule.summary import Judged
from mlsysim.core.schedule.types import Caps, Fleet, Weights
from mlsysim.core.schedule.weighed import Pareto, Taxed, Taxes
from mlsysim.core.solver.frontier import frontier
from mlsysim.core.solver.parametric import PROVEN, breakpoints

METRICS = ("cost", "carbon", "water")


@dataclass(frozen=True)
class Sweep:
    """A fleet that is solved again and again.

    Attributes:
        fleet: with the limits that all its schedules keep.
        solve: returns a schedule of a fleet and the gap of its proof; None where none exists.
        gap: that the proofs are to reach: values nearer than that are the same.
    """

    fleet: Fleet
    solve: Any
    gap: float

    def taxes(self, low: float, high: float) -> Taxes:
        """Return the best schedules over a range of the carbon tax [USD/kgCO2e].

        If the time is up between two solves, those that are done say what is known.

        Raises:
            SolverLimitError: the time is up before both ends are solved.
        """
        water = self.fleet.weights.water
        known: dict[float, tuple[float, float, Judged, float | None]] = {}

        def at(tax: float) -> tuple[float, float, Judged, float | None]:
            if tax in known:
                return known[tax]
            found = self.solve(replace(self.fleet, weights=Weights(1.0, tax, water)))
            assert found is not None  # whether one exists is no matter of the tax
            answer, gap = found
            cost, carbon, used = answer.usage.total()
            known[tax] = cost + water * used, carbon, answer, gap
            return known[tax]

        try:
            e = breakpoints(at, low, high)
        except SolverLimitError:
            if len(known) < 2:
                raise
            e = breakpoints(at, low, high, most=len(known))  # the same solves in the same order
        plans = tuple(Taxed(s.low, s.high, s.line.answer) for s in e.stretches)
        return Taxes(plans, e.gap, e.proven, e.solves)

    def pareto(self, metrics: tuple[str, ...], points: int) -> Pareto:
        """Return schedules that none beats in two or three of :data:`METRICS`."""

        def within(
            index: int, bounds: tuple[float | None, ...]
        ) -> tuple[tuple[float, ...], Judged, float | None] | None:
            only = Weights(**{name: float(name == metrics[index]) for name in METRICS})
            limits = dict(zip(metrics, bounds, strict=True))
            caps = Caps(
                **{name: min(getattr(self.fleet.caps, name), _or_none(limits.get(name))) for name in METRICS}
            )
            found = self.solve(replace(self.fleet, weights=only, caps=caps))
            if found is None:
                return None
            answer, gap = found
            taken = dict(zip(METRICS, answer.usage.total(), strict=True))
            return tuple(taken[name] for name in metrics), answer, gap

        f = frontier(within, len(metrics), points, step=max(PROVEN, self.gap))
        # all of them as parts of one plan: its objective, its limits
        told = tuple((replace(p.answer, fleet=self.fleet), p.gap) for p in f.points)
        return Pareto(metrics, told, f.complete, f.solves)


def _or_none(bound: float | None) -> float:
    return float("inf") if bound is None else bound

"""A carbon tax that moves, and frontiers, of plans with several jobs, against all of their schedules."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from fleets import Enumerated, mapping, schedules
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fleet_placement import shown, whole

from mlsysim.core.errors import SolverLimitError
from mlsysim.core.fleet_plan import load
from mlsysim.core.schedule.placement import Placement
from mlsysim.core.schedule.resolve import resolve_fleet
from mlsysim.core.schedule.scenario import FleetScenario
from mlsysim.core.schedule.types import Weights
from mlsysim.core.schedule.usage import broken, usage
from mlsysim.core.solver.fleets import Placing
from mlsysim.core.solver.placing import asking

REGIONS = [
    {"name": "Quebec", "price": "0.2 USD/kWh", "capacity": {"H100": 16.0}},
    {"name": "Germany", "price": "0.12 USD/kWh", "capacity": {"H100": 16.0}},
    {"name": "Poland", "price": "0.08 USD/kWh", "capacity": {"H100": 16.0}},
]


@st.composite
def plans(draw):
    """Two short jobs that compete for three regions of different price and carbon."""
    jobs = [
        {
            "name": name,
            "accelerator_hours": draw(st.floats(8, 64)),
            "hardware": [{"name": "H100", "accelerators": 16}],
        }
        for name in "ab"
    ]
    constraints = draw(st.sampled_from([{}, {"carbon": "25 kgCO2e"}, {"budget": 1e4}]))
    return mapping(*jobs, regions=REGIONS, ops={"hours": 6, "ownership": "paid"}, constraints=constraints)


def answered(plan, tax: str = "0", pareto: str = "", points: int = 1000) -> tuple[FleetScenario, Placement]:
    wish = asking(tax, 0.0, pareto, points)
    s = resolve_fleet(*load(plan), Weights(1.0, wish.low, 0.0))
    return s, Placing(s, Enumerated(), SimpleNamespace(time_limit=1.0, gap=0.0)).placed(wish)


def taken(s: FleetScenario) -> np.ndarray:
    """Return cost and carbon of every schedule that keeps all limits."""
    return np.array([usage(s.fleet, x).total()[:2] for x in schedules(s.fleet) if not broken(s.fleet, x)])


@settings(max_examples=6, deadline=None)
@given(plans(), st.lists(st.floats(0, 0.4), min_size=3, max_size=3))
def test_the_best_schedule_at_every_tax_is_in_the_range(plan, taxes):
    s, p = answered(plan, "0:400")
    if p.answer is None or p.dropped:
        return
    whole(p)
    assert p.taxes is not None
    assert p.taxes.proven
    ends = [(x.low, x.high) for x in p.taxes.plans]
    assert (ends[0][0], ends[-1][1]) == (0.0, pytest.approx(0.4))
    assert all(a[1] == b[0] for a, b in itertools.pairwise(ends))
    every = taken(s)
    for tax in (*taxes, *(low for low, _ in ends)):
        best = (every[:, 0] + tax * every[:, 1]).min()
        here = next(x.answer for x in p.taxes.plans if x.low <= tax <= x.high)
        cost, carbon, _ = here.usage.total()
        assert cost + tax * carbon == pytest.approx(best, rel=1e-9)


@settings(max_examples=6, deadline=None)
@given(plans())
def test_the_frontier_is_all_that_none_beats(plan):
    s, p = answered(plan, pareto="cost,carbon")
    if p.answer is None or p.dropped:
        return
    whole(p)
    assert p.pareto is not None
    every = taken(s)
    found = np.array([answer.usage.total()[:2] for answer, _ in p.pareto.points])
    near = 1e-5
    for cost, carbon in every:  # each is matched or beaten by a point
        assert ((found[:, 0] <= cost * (1 + near)) & (found[:, 1] <= carbon * (1 + near))).any()
    for cost, carbon in found:  # and no point is beaten in both
        assert not ((every[:, 0] < cost * (1 - near)) & (every[:, 1] < carbon * (1 - near))).any()


class Tired(Enumerated):
    """Enumeration that has no time for more than so many answers."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.left = answers

    def plan(self, fleet, options):
        found = super().plan(fleet, options)
        self.left -= 1
        if self.left < 0:
            found.status, found.schedule = "unknown", None
        return found


def test_when_the_time_is_up_what_is_known_is_shown():
    jobs = [{"name": "a", "accelerator_hours": 64.0}, {"name": "b", "accelerator_hours": 32.0}]
    plan = mapping(*jobs, regions=REGIONS, ops={"hours": 6, "ownership": "paid"})
    wish = asking("0:400", 0.0, "", 20)
    s = resolve_fleet(*load(plan), Weights(1.0, 0.0, 0.0))

    def after(answers: int) -> Placement:
        return Placing(s, Tired(answers), SimpleNamespace(time_limit=1.0, gap=0.0)).placed(wish)

    p = after(4)  # the plan itself, both ends, and one between
    whole(p)
    assert p.taxes is not None
    assert p.taxes.solves == 3
    assert not p.taxes.proven
    with pytest.raises(SolverLimitError):
        after(2)


def test_the_forms_say_what_moves():
    jobs = [{"name": "a", "accelerator_hours": 64.0}, {"name": "b", "accelerator_hours": 32.0}]
    plan = mapping(*jobs, regions=REGIONS, ops={"hours": 6, "ownership": "paid"})
    _, p = answered(plan, "0:400")
    plans_ = shown(p)["taxes"]["plans"]
    assert len(plans_) > 2
    assert plans_[0]["changed"] == []
    assert plans_[-1]["plan"] != plans_[0]["plan"]
    assert all(
        a["totals"]["carbon_tco2e"] > b["totals"]["carbon_tco2e"] for a, b in itertools.pairwise(plans_)
    )
    text = p.scorecard()
    assert "carbon tax $/t" in text
    assert "the points of change are exact" in text
    _, p = answered(plan, pareto="cost,carbon")
    assert "schedules that none beats in cost and carbon: all that there are" in p.scorecard()
    assert shown(p)["pareto"]["complete"]
    assert "| cost | carbon | what moves |" in p.markdown()

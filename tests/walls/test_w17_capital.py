"""Wall 17: the cost of a run against its budget (Barroso 2018)."""

from __future__ import annotations

import pytest
from walls_cases import reading, rows, train

import mlsysim

DAY = 86400.0


def test_rent_by_hand():
    """8 H100 for a day at the registry's rent, whatever else it would cost."""
    e = train(ops={"ownership": "rent"})
    rent = mlsysim.Hardware.Cloud.H100.price.rent
    (row,) = rows(e, 17)
    assert row.demand == pytest.approx(8 * 24 * rent.value, rel=1e-9)
    assert (row.unit, row.supply) == ("USD", None)


def test_own_by_hand():
    """Share of the purchase over the server's life, energy through the PUE, upkeep."""
    e = train(ops={"ownership": "own", "pue": 1.2})
    fleet, site = e.scenario.fleet, e.scenario.site
    energy = 8 * fleet.power * DAY * 1.2
    purchase = 8 * fleet.price
    by_hand = purchase * DAY / fleet.lifetime + energy * site.price + purchase * fleet.upkeep * DAY
    assert rows(e, 17)[0].demand == pytest.approx(by_hand, rel=1e-9)
    assert fleet.price > 0
    assert site.price > 0


def test_twice_the_days_cost_twice():
    one, two = (rows(train(ops={"duration_days": d}), 17)[0].demand for d in (1.0, 2.0))
    assert two == pytest.approx(2 * one, rel=1e-9)


@pytest.mark.parametrize(
    ("factor", "status", "exit_code"),
    [
        (2.0, "pass", 0),
        (1.06, "pass", 0),
        (1.04, "binding", 0),
        (1.0, "binding", 0),
        (0.99, "fail", 3),
    ],
)
def test_statuses_of_the_budget(factor, status, exit_code):
    cost = train().metric("macro.tco_usd")
    e = train(constraints={"budget": factor * cost})
    shown = reading(e, 17)
    assert (shown.status, e.exit_code) == (status, exit_code)
    assert e.feasible
    assert shown.supply == pytest.approx(factor * cost)
    entry = shown.to_dict()
    assert entry["headroom"] == pytest.approx(1 - 1 / factor)


def test_a_budget_with_its_unit():
    assert rows(train(constraints={"budget": "1_000 USD"}), 17)[0].supply == 1000.0


def test_without_a_budget_it_informs():
    shown = reading(train(), 17)
    assert (shown.status, shown.supply, shown.headroom) == ("info", None, None)
    assert shown.demand > 0

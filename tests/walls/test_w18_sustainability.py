"""Wall 18: carbon (Patterson 2021) and water (Li 2023) of a run against their caps."""

from __future__ import annotations

import pytest
from walls_cases import reading, rows, train

DAY = 86400.0


def test_carbon_and_water_by_hand():
    e = train(ops={"pue": 1.25})
    fleet, site = e.scenario.fleet, e.scenario.site
    it = 8 * fleet.power * DAY
    carbon, water = rows(e, 18)
    assert carbon.demand == pytest.approx(
        it * 1.25 * site.carbon_intensity + 8 * fleet.embodied * DAY / fleet.lifetime, rel=1e-9
    )
    assert water.demand == pytest.approx(it * site.wue + it * 1.25 * site.grid_water, rel=1e-9)
    assert (carbon.unit, water.unit) == ("tCO2e", "L")


def test_carbon_follows_the_grid():
    """The same run in Poland and Quebec: operational carbon in the ratio of their intensities."""
    dirty, clean = (train(ops={"region": r, "pue": 1.1}) for r in ("Poland", "Quebec"))
    ratio = dirty.scenario.site.carbon_intensity / clean.scenario.site.carbon_intensity
    assert ratio > 10
    operational = [e.metric("macro.operational_tco2e") for e in (dirty, clean)]
    assert operational[0] / operational[1] == pytest.approx(ratio, rel=1e-9)
    embodied = [e.metric("macro.embodied_tco2e") for e in (dirty, clean)]
    assert embodied[0] == embodied[1] > 0


def test_both_without_caps_inform():
    shown = reading(train(), 18)
    assert (shown.status, shown.supply) == ("info", None)


@pytest.mark.parametrize(
    ("factor", "status", "exit_code"),
    [(2.0, "pass", 0), (1.02, "binding", 0), (0.5, "fail", 3)],
)
@pytest.mark.parametrize(("limit", "metric"), [("carbon", "macro.carbon_tco2e"), ("water", "macro.water_l")])
def test_statuses_of_each_cap(factor, status, exit_code, limit, metric):
    demand = train().metric(metric)
    e = train(constraints={limit: factor * demand})
    shown = reading(e, 18)
    assert (shown.status, e.exit_code) == (status, exit_code)
    assert shown.demand == pytest.approx(demand)
    assert e.feasible


def test_the_tighter_cap_is_shown():
    base = train()
    carbon, water = base.metric("macro.carbon_tco2e"), base.metric("macro.water_l")
    failing = reading(train(constraints={"carbon": 10 * carbon, "water": 0.5 * water}), 18)
    assert (failing.status, failing.unit) == ("fail", "L")
    tight = reading(train(constraints={"carbon": 1.5 * carbon, "water": 10 * water}), 18)
    assert (tight.status, tight.unit) == ("pass", "tCO2e")


def test_a_cap_with_its_unit():
    assert rows(train(constraints={"carbon": "500 kgCO2e"}), 18)[0].supply == 500.0

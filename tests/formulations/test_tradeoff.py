"""Where a carbon tax moves one workload, and its frontier, against a loop of ``eval`` over the regions."""

from __future__ import annotations

import itertools
import json

import jsonschema
import numpy as np
import pytest
import random_problems as rp
from hypothesis import given
from hypothesis import strategies as st
from test_placement import PLANS, everywhere, with_constraints

import mlsysim
import mlsysim.optimize
from mlsysim.core import text
from mlsysim.core.errors import InputError, SolverLimitError, UnknownNameError
from mlsysim.core.schemas import result_schema
from mlsysim.core.solver import placing
from mlsysim.core.solver.tradeoff import SHOWN

PLACEMENT = mlsysim.optimize.placement


def amounts(plan):
    """Return cost [USD], carbon [tCO2e] and water [L] of a plan in every region."""
    return {name: tuple(e.metric(m) for m in SHOWN.values()) for name, e in everywhere(plan)}


def lower(points, tax):
    return min(cost + tax * carbon for cost, carbon, _ in points)


def bends(points, low, high):
    """Return where the lower envelope of cost + tax x carbon bends, from every pair of regions."""
    cost, carbon = np.array(sorted({p[:2] for p in points})).T
    one, other = np.triu_indices(len(cost), 1)
    one, other = one[carbon[one] != carbon[other]], other[carbon[one] != carbon[other]]
    at = (cost[other] - cost[one]) / (carbon[one] - carbon[other])
    inside = (at > low) & (at < high)
    at, one = at[inside], one[inside]
    values = cost + at[:, None] * carbon
    best = values <= values.min(axis=1, keepdims=True) * (1 + 1e-12)
    spread = np.where(best, carbon, -np.inf).max(axis=1) - np.where(best, carbon, np.inf).min(axis=1)
    real = best[np.arange(len(at)), one] & (spread > 1e-6 * carbon.max())
    return sorted({float(f"{x:.6g}") for x in at[real]})


def valid(result):
    """Return the JSON document of a result, validated."""
    document = json.loads(json.dumps(result.to_dict()))
    jsonschema.validate(document, result_schema())
    return document["solution"]


@pytest.mark.parametrize(("name", "solver"), [*((n, "auto") for n in PLANS), ("training", "exhaustive")])
def test_breakpoints_over_a_range_equal_brute_force(name, solver):
    points = list(amounts(name).values())
    result = PLACEMENT(PLANS[name], carbon_tax="0:2000", solver=solver)
    tax = valid(result)["tax"]
    assert tax["proven"]
    assert [float(f"{p['from']:.6g}") for p in tax["plans"][1:]] == pytest.approx(bends(points, 0, 2000))
    assert (tax["plans"][0]["from"], tax["plans"][-1]["to"]) == (0, pytest.approx(2000))
    for plan in tax["plans"]:
        assert (plan["cost"], plan["carbon"], plan["water"]) == pytest.approx(amounts(name)[plan["region"]])
        for at in (plan["from"], (plan["from"] + plan["to"]) / 2, plan["to"]):
            assert plan["cost"] + at * plan["carbon"] == pytest.approx(lower(points, at), rel=1e-9)
    # the plan that is shown is best at the low end; where several are, the range begins with the cleanest
    assert result.objective.value == pytest.approx(tax["plans"][0]["cost"], rel=1e-9)


@rp.examples(15)
@given(st.sampled_from(list(PLANS)), st.floats(1, 1000))
def test_one_tax_says_where_the_answer_changes(name, at):
    points = list(amounts(name).values())
    result = PLACEMENT(PLANS[name], carbon_tax=at)
    solution = valid(result)
    tax, chosen = solution["tax"], solution["plan"]["region"]
    assert tax["proven"]
    assert tax["from"] <= at * (1 + 1e-9)
    corners = bends(points, 0, 1e6)
    for end, side in ((tax["from"], -1), (tax["to"], 1)):
        beyond = [x for x in corners if side * (x - at) > 1e-6 * (1 + at)]
        if not beyond:
            assert tax["below" if side < 0 else "above"] is None
            continue
        nearest = min(beyond, key=lambda x: side * x)
        assert end == pytest.approx(nearest, rel=1e-5)
        other = PLACEMENT(PLANS[name], carbon_tax=nearest * (1 + side * 1e-3)).decided["region"]
        assert other != chosen
    cost, carbon, water = amounts(name)[chosen]
    by_name = {b["name"]: b for b in solution["baselines"]}
    assert by_name["cheapest"]["cost"] == pytest.approx(min(p[0] for p in points))
    assert by_name["now"]["region"] == result.before.scenario.region.name
    for b in by_name.values():
        theirs = amounts(name)[b["region"]]
        assert (b["cost"], b["carbon"], b["water"]) == pytest.approx(theirs)
        changes = (b["cost_change"], b["carbon_change"], b["water_change"])
        expected = [x - y for x, y in zip((cost, carbon, water), theirs, strict=True)]
        assert changes == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_where_all_cost_the_same_any_tax_decides():
    tax = valid(PLACEMENT(PLANS["rented"], carbon_tax=0))["tax"]
    assert (tax["from"], tax["to"], tax["below"]) == (0.0, 0.0, None)
    assert tax["above"]["carbon"] == min(p[1] for p in amounts("rented").values())


def undominated(points):
    """Return the points that none is as good as in everything, those a millionth apart as one."""
    kept = []
    for p in sorted(points):
        if not any(all(x <= y * (1 + 1e-6) for x, y in zip(q, p, strict=True)) for q in kept):
            kept = [q for q in kept if not all(x <= y * (1 + 1e-6) for x, y in zip(p, q, strict=True))]
            kept.append(p)
    return kept


REGIONS = tuple(sorted(amounts("training")))
METRICS = ("cost,carbon", "cost,water", "carbon,water", "cost,carbon,water")


@rp.examples(15)
@given(
    st.sampled_from(["training", "rented", "inference"]),
    st.lists(st.sampled_from(REGIONS), min_size=1, max_size=20, unique=True),
    st.sampled_from(METRICS),
    st.integers(2, 30),
)
def test_the_frontier_of_some_regions_equals_brute_force(name, regions, metrics, most):
    chosen = metrics.split(",")
    columns = [list(SHOWN).index(m) for m in chosen]
    here = {r: p for r, p in amounts(name).items() if r in regions}
    expected = undominated({tuple(p[c] for c in columns) for p in here.values()})
    pareto = valid(PLACEMENT(PLANS[name], pareto=metrics, points=most, regions=tuple(regions)))["pareto"]
    found = [tuple(p[m] for m in chosen) for p in pareto["points"]]
    assert len(found) == min(most, len(expected)) or (len(chosen) == 3 and not pareto["complete"])
    for p in found:
        assert any(p == pytest.approx(q, rel=2e-6) for q in expected)
    for p, q in itertools.permutations(found, 2):
        assert any(x < y for x, y in zip(p, q, strict=True))
    if pareto["complete"]:
        assert len(found) == len(expected)
    if len(expected) < most:
        assert pareto["complete"]
    assert all(p["gap"] == 0 for p in pareto["points"])


@pytest.mark.parametrize("metrics", METRICS)
def test_the_frontier_of_all_regions_equals_brute_force(metrics):
    columns = [list(SHOWN).index(m) for m in metrics.split(",")]
    expected = undominated({tuple(p[c] for c in columns) for p in amounts("training").values()})
    pareto = valid(PLACEMENT(PLANS["training"], pareto=metrics.split(","), points=200))["pareto"]
    assert pareto["complete"]
    assert len(pareto["points"]) == len(expected)
    for mine, theirs in zip(pareto["points"], expected, strict=True):
        assert tuple(mine[m] for m in metrics.split(",")) == pytest.approx(theirs, rel=2e-6)


@rp.examples(15)
@given(
    st.sampled_from(["training", "rented", "inference"]),
    st.lists(st.sampled_from(REGIONS), min_size=1, max_size=20, unique=True),
    st.sampled_from([100.0, 3000.0]),
)
def test_breakpoints_of_some_regions_equal_brute_force(name, regions, high):
    points = [p for r, p in amounts(name).items() if r in regions]
    tax = valid(PLACEMENT(PLANS[name], carbon_tax=(0, high), regions=tuple(regions)))["tax"]
    assert tax["proven"]
    assert [p["from"] for p in tax["plans"][1:]] == pytest.approx(bends(points, 0, high), rel=1e-5)


def test_limits_hold_along_the_range_and_the_frontier():
    points = sorted(amounts("training").values(), key=lambda p: p[1])
    cap = (points[9][1] + points[10][1]) / 2
    plan = with_constraints(PLANS["training"], carbon=f"{cap!r} tCO2e")
    without = tuple(r for r in REGIONS if r != "Quebec")  # which is both cheap and clean
    kept = [p for r, p in amounts("training").items() if p[1] <= cap and r in without]
    tax = valid(PLACEMENT(plan, carbon_tax=(0, 500), regions=without))["tax"]
    assert all(p["carbon"] <= cap * (1 + 1e-6) for p in tax["plans"])
    assert tax["plans"][0]["cost"] == pytest.approx(min(p[0] for p in kept))
    front = valid(PLACEMENT(plan, pareto="cost,carbon", regions=without))["pareto"]["points"]
    expected = undominated({p[:2] for p in kept})
    assert len(front) == len(expected) > 1
    for mine, theirs in zip(front, expected, strict=True):
        assert (mine["cost"], mine["carbon"]) == pytest.approx(theirs, rel=2e-6)


def test_limits_that_clash_are_given_up_for_all_of_it():
    plan = with_constraints(PLANS["training"], assert_=[{"metric": "performance.latency", "max": 1e-3}])
    free = valid(PLACEMENT(PLANS["training"], carbon_tax="0:300"))["tax"]
    result = PLACEMENT(plan, carbon_tax="0:300")
    assert result.exit_code == 3
    assert valid(result)["tax"]["plans"] == free["plans"]


@rp.examples(10)
@given(st.sampled_from(list(PLANS)), st.sampled_from([0.0, 40.0, 300.0]), st.just(0.0) | st.floats(1e-3, 500))
def test_a_water_price_is_part_of_the_cost(name, tax, price):
    result = PLACEMENT(PLANS[name], carbon_tax=tax, water_price=price)
    values = {
        region: cost + tax * carbon + price * water / 1e3
        for region, (cost, carbon, water) in amounts(name).items()
    }
    assert result.objective.value == pytest.approx(min(values.values()), rel=1e-9)
    assert values[result.decided["region"]] == pytest.approx(min(values.values()), rel=1e-9)
    solution = valid(result)
    assert solution["tax"]["proven"]
    for b in solution["baselines"]:
        assert b["water_cost"] == pytest.approx(price * b["water"] / 1e3)
    water = price * amounts(name)[result.decided["region"]][2] / 1e3
    rows = [line for line in result.scorecard().splitlines() if line.startswith("water, at its price")]
    assert len(rows) == bool(price)
    assert all(text.amount(water, "USD") in row for row in rows)


def test_an_answer_stands_where_what_it_is_weighed_against_takes_too_long(monkeypatch):
    expected = PLACEMENT(PLANS["training"], carbon_tax=50)

    def stops(self, tax):
        raise SolverLimitError("no plan was found within the limit", hint="raise the time limit")

    monkeypatch.setattr(placing.Placing, "at", stops)
    result = PLACEMENT(PLANS["training"], carbon_tax=50)
    assert result.decided == expected.decided
    assert valid(result)["tax"] is None
    assert "not known: no plan was found within the limit" in " ".join(result.scorecard().split())
    with pytest.raises(SolverLimitError):
        PLACEMENT(PLANS["training"], carbon_tax="0:300")


def test_what_fits_nowhere_is_weighed_against_nothing():
    plan = {
        "version": "1.0",
        "workload": {"name": "Llama3_70B", "batch_size": 4},
        "hardware": {"name": "V100", "accelerators": 1},
        "ops": {"duration_days": 1.0},
    }
    for extra in ({"carbon_tax": "0:300"}, {"pareto": "cost,carbon"}):
        solution = valid(PLACEMENT(plan, **extra))
        assert (solution["tax"], solution["pareto"], solution["baselines"]) == (None, None, [])


def test_the_text_says_what_the_json_says():
    one = PLACEMENT(PLANS["training"], carbon_tax=0.0)
    tax = valid(one)["tax"]
    shown = one.scorecard()
    assert all(len(line) <= 80 for line in shown.splitlines())
    flat = " ".join(shown.split())
    assert f"{tax['to']:,.1f} USD/tCO2e; above that {tax['above']['region']}" in flat
    assert "no region named" in shown  # the plan names none, so it stands for the average of its country
    there = {**PLANS["training"], "ops": {**PLANS["training"]["ops"], "region": "Poland"}}
    assert "where it is now  Poland" in PLACEMENT(there).scorecard()
    assert "cheapest region" in shown
    several = PLACEMENT(PLANS["training"], carbon_tax="0:300")
    shown = several.scorecard()
    assert all(len(line) <= 80 for line in shown.splitlines())
    for plan in valid(several)["tax"]["plans"]:
        assert plan["region"] in shown
        assert f"{plan['from']:,.1f} - {plan['to']:,.1f}" in shown
    assert "exact" in shown
    front = PLACEMENT(PLANS["training"], pareto="cost,carbon,water", points=5)
    shown = front.scorecard()
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert all(p["region"] in shown for p in valid(front)["pareto"]["points"])
    assert "that none beats in cost, carbon and water" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("extra", "where"),
    [
        ({"carbon_tax": "cheap"}, "carbon tax"),
        ({"carbon_tax": "300:0"}, "carbon tax"),
        ({"carbon_tax": "0:1:2"}, "carbon tax"),
        ({"carbon_tax": "0:nan"}, "carbon tax"),
        ({"carbon_tax": "-1:5"}, "carbon tax"),
        ({"carbon_tax": ""}, "carbon tax"),
        ({"water_price": -1.0}, "water price"),
        ({"water_price": float("nan")}, "water price"),
        ({"pareto": "cost"}, "pareto"),
        ({"pareto": "cost,cost"}, "pareto"),
        ({"pareto": "cost,carbon", "carbon_tax": 150}, "pareto"),
        ({"pareto": "cost,carbon", "water_price": 2.0}, "pareto"),
        ({"pareto": "cost,carbon", "points": 1}, "points"),
        ({"pareto": "cost,carbon", "points": 1.5}, "points"),
    ],
)
def test_what_cannot_be_asked_is_refused(extra, where):
    with pytest.raises(InputError) as caught:
        PLACEMENT(PLANS["training"], **extra)
    assert caught.value.where == where
    assert caught.value.hint


def test_an_unknown_metric_names_those_that_there_are():
    with pytest.raises(UnknownNameError, match="carbn"):
        PLACEMENT(PLANS["training"], pareto="cost,carbn")


@pytest.mark.parametrize(("given_", "same"), [("150", 150.0), ("0:300", (0, 300)), ("50:50", 50.0)])
def test_a_tax_may_be_text_or_numbers(given_, same):
    one, two = (PLACEMENT(PLANS["rented"], carbon_tax=x) for x in (given_, same))
    assert one.decided == two.decided
    assert valid(one)["tax"] == valid(two)["tax"]

"""The best region against a loop of ``eval`` over the regions."""

from __future__ import annotations

import itertools
from functools import lru_cache

import pytest
import random_problems as rp
from hypothesis import given
from hypothesis import strategies as st

import mlsysim
import mlsysim.optimize
from mlsysim.core.errors import InputError, UnknownNameError
from mlsysim.infra import CATALOG as INFRA

RELATIVE = 1e-6
TAXES = (0.0, 50.0, 150.0, 1000.0)

PLANS = {
    "training": {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "batch_size": 256},
        "hardware": {"name": "H100", "nodes": 4},
        "ops": {"duration_days": 30.0},
    },
    "own pue": {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "batch_size": 256},
        "hardware": {"name": "A100", "nodes": 2},
        "ops": {"duration_days": 10.0, "pue": 1.3},
    },
    "rented": {
        "version": "1.0",
        "workload": {"name": "GPT2", "batch_size": 64},
        "hardware": {"name": "H100", "nodes": 1},
        "ops": {"duration_days": 3.0, "ownership": "rent"},
    },
    "inference": {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "batch_size": 8, "phase": "inference"},
        "hardware": {"name": "H100", "accelerators": 8},
        "ops": {"duration_days": 365.0},
    },
    "vision": {
        "version": "1.0",
        "workload": {"name": "ResNet50", "batch_size": 1024},
        "hardware": {"name": "V100", "accelerators": 8},
        "ops": {"duration_days": 1.5},
    },
}


def with_constraints(plan, **constraints):
    return {**plan, "constraints": {k.rstrip("_"): v for k, v in constraints.items()}}


def in_region(plan, region):
    return {**plan, "ops": {**plan["ops"], "region": region}}


def candidates(plan):
    """Return the plan's own region and every place with a price."""
    places = [r.name for r in INFRA if not r.name.endswith("_Avg") and r.electricity_price() is not None]
    return dict.fromkeys([mlsysim.evaluate_plan(plan).scenario.region.name, *places])


@lru_cache
def everywhere(plan):
    """Evaluate one of the plans in every region."""
    return [(name, mlsysim.evaluate_plan(in_region(PLANS[plan], name))) for name in candidates(PLANS[plan])]


def loop(plan, tax, regions=None):
    """Return objective, name and evaluation of a plan in the regions, best first."""
    found = [
        (e.metric("macro.tco_usd") + tax * e.metric("macro.carbon_tco2e"), name, e)
        for name, e in everywhere(plan)
        if not regions or name in regions
    ]
    return sorted(found, key=lambda x: x[0])


@pytest.mark.parametrize("tax", TAXES)
@pytest.mark.parametrize("name", list(PLANS))
def test_the_optimum_equals_a_loop_over_regions(name, tax):
    expected = loop(name, tax)
    for solver in ("auto", "exhaustive"):
        result = mlsysim.optimize.placement(PLANS[name], carbon_tax=tax, solver=solver)
        assert (result.status, result.exit_code) == ("optimal", 0)
        assert result.objective.value == pytest.approx(expected[0][0], rel=RELATIVE)
        chosen = next(cost for cost, region, _ in expected if region == result.decided["region"])
        assert chosen == pytest.approx(expected[0][0], rel=RELATIVE)
        e = result.evaluation
        assert result.objective.value == pytest.approx(
            e.metric("macro.tco_usd") + tax * e.metric("macro.carbon_tco2e"), rel=1e-9
        )
        again = mlsysim.evaluate_plan(result.plan)
        assert again.scenario.region.name == result.decided["region"]
        for metric in ("macro.tco_usd", "macro.carbon_tco2e", "macro.water_l", "performance.latency"):
            assert again.metric(metric) == pytest.approx(e.metric(metric), rel=1e-9)
        assert again.layout == e.layout


LIMITS = {
    "budget": ("macro.tco_usd", "USD"),
    "carbon": ("macro.carbon_tco2e", "tCO2e"),
    "water": ("macro.water_l", "L"),
}


@rp.examples(30)
@given(
    st.sampled_from(list(PLANS)),
    st.sampled_from(TAXES),
    st.dictionaries(st.sampled_from(sorted(LIMITS)), st.integers(0, 30), max_size=2),
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "macro.tco_usd",
                    "macro.energy_kwh",
                    "macro.operational_tco2e",
                    "macro.carbon_tco2e",
                    "macro.water_l",
                    "macro.energy_cost_usd",
                ]
            ),
            st.sampled_from(["min", "max"]),
            st.integers(0, 30),
        ),
        max_size=2,
    ),
)
def test_limits_and_assertions(name, tax, limits, wishes):
    everything = loop(name, tax)
    tests, constraints, asserts = [], {}, []
    for limit, at in limits.items():
        metric, unit = LIMITS[limit]
        level = clear_of([e.metric(metric) for _, _, e in everything], at)
        constraints[limit] = f"{level!r} {unit}"
        tests.append((metric, "max", level))
    for metric, side, at in wishes:
        level = clear_of([e.metric(metric) for _, _, e in everything], at)
        asserts.append({"metric": metric, side: level})
        tests.append((metric, side, level))
    tags = [{"budget": "w17"}.get(limit, "w18") for limit in limits]
    tags += [f"assert{i}" for i in range(len(wishes))]
    plan = with_constraints(PLANS[name], **constraints, **({"assert_": asserts} if asserts else {}))
    kept = [
        x
        for x in everything
        if all(x[2].metric(m) <= v if side == "max" else x[2].metric(m) >= v for m, side, v in tests)
    ]
    for solver in ("auto", "exhaustive"):
        result = mlsysim.optimize.placement(plan, carbon_tax=tax, solver=solver)
        assert result.status == "optimal"
        left = [
            x
            for x in everything
            if all(
                x[2].metric(m) <= v if side == "max" else x[2].metric(m) >= v
                for (m, side, v), tag in zip(tests, tags, strict=True)
                if tag not in result.dropped
            )
        ]
        assert result.objective.value == pytest.approx(left[0][0], rel=RELATIVE)
        assert (not result.dropped) == bool(kept)
        assert set(result.dropped) <= set(tags)
        assert result.exit_code == (0 if kept else 3)
        assert bool(result.conflict) == (not kept)


def clear_of(values, at):
    """Return a number halfway between two distinct values, or beyond an end."""
    ordered = sorted({*values, 0.9 * min(values), 1.1 * max(values)})
    gaps = [(a, b) for a, b in itertools.pairwise(ordered) if b - a > 1e-4 * b]
    a, b = gaps[at % len(gaps)]
    return (a + b) / 2


@pytest.mark.parametrize("name", list(PLANS))
def test_a_higher_tax_never_raises_carbon_and_never_lowers_the_objective(name):
    carbon, objective = [], []
    for tax in (0.0, 10.0, 50.0, 150.0, 400.0, 1000.0, 20_000.0):
        result = mlsysim.optimize.placement(PLANS[name], carbon_tax=tax)
        carbon.append(result.evaluation.metric("macro.carbon_tco2e"))
        objective.append(result.objective.value)
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(carbon))
    assert all(b >= a * (1 - 1e-9) for a, b in itertools.pairwise(objective))
    assert carbon[-1] < carbon[0]
    assert carbon[-1] == pytest.approx(
        min(e.metric("macro.carbon_tco2e") for _, _, e in loop(name, 0.0)), rel=1e-6
    )


@pytest.mark.parametrize("regions", [("Quebec",), ("Poland", "Quebec"), ("Iowa", "Norway", "Poland")])
def test_restricting_the_regions(regions):
    names = tuple(INFRA.find(r) for r in regions)
    expected = loop("training", 150.0, names)
    assert len(expected) == len(regions)
    result = mlsysim.optimize.placement(PLANS["training"], carbon_tax=150.0, regions=regions, top=5)
    assert result.decided["region"] == expected[0][1]
    assert [a["region"] for a in result.alternatives] == [name for _, name, _ in expected[1:]]
    costs = [result.objective.value, *(a["objective"] for a in result.alternatives)]
    assert costs == pytest.approx([cost for cost, _, _ in expected], rel=RELATIVE)
    assert result.space_size == len(regions)


def test_a_region_named_twice_counts_once():
    result = mlsysim.optimize.placement(PLANS["training"], regions=("Quebec", "quebec", "Quebec"), top=3)
    assert result.space_size == 1
    assert result.alternatives == ()


def test_the_five_best_regions_in_order():
    expected = loop("training", 50.0)
    result = mlsysim.optimize.placement(PLANS["training"], carbon_tax=50.0, top=5)
    names = [result.decided["region"], *(a["region"] for a in result.alternatives)]
    assert len(set(names)) == 5
    costs = [result.objective.value, *(a["objective"] for a in result.alternatives)]
    assert costs == sorted(costs)
    assert costs == pytest.approx([cost for cost, _, _ in expected[:5]], rel=RELATIVE)


def test_an_unknown_region_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Quebek") as caught:
        mlsysim.optimize.placement(PLANS["training"], regions=("Quebek",))
    assert "Quebec" in str(caught.value)


@pytest.mark.parametrize("tax", [-1.0, float("nan"), float("inf"), True, "cheap", ()])
def test_a_tax_is_a_number_from_zero(tax):
    with pytest.raises(InputError):
        mlsysim.optimize.placement(PLANS["training"], carbon_tax=tax)


def test_the_layout_does_not_move_with_the_region():
    plan = {**PLANS["training"], "parallelism": {"tp": 4, "zero_stage": 1}}
    result = mlsysim.optimize.placement(plan, carbon_tax=150.0)
    here = mlsysim.evaluate_plan(plan)
    assert result.evaluation.layout == here.layout
    assert result.evaluation.metric("performance.latency") == here.metric("performance.latency")


def test_what_does_not_fit_fits_in_no_region():
    plan = {
        "version": "1.0",
        "workload": {"name": "Llama3_70B", "batch_size": 4},
        "hardware": {"name": "V100", "accelerators": 1},
        "ops": {"duration_days": 1.0},
    }
    result = mlsysim.optimize.placement(plan)
    assert (result.status, result.exit_code, result.decided) == ("infeasible", 2, {})
    assert [c.wall for c in result.conflict] == [2]


def test_a_step_that_is_too_slow_is_too_slow_everywhere():
    plan = with_constraints(PLANS["training"], assert_=[{"metric": "performance.latency", "max": 1e-3}])
    result = mlsysim.optimize.placement(plan, carbon_tax=150.0)
    free = mlsysim.optimize.placement(PLANS["training"], carbon_tax=150.0)
    assert (result.status, result.dropped, result.exit_code) == ("optimal", ("assert0",), 3)
    assert [c.tag for c in result.conflict] == ["assert0"]
    assert result.decided == free.decided
    assert result.objective.value == pytest.approx(free.objective.value, rel=RELATIVE)


def test_carbon_and_budget_together_may_be_too_much():
    everything = loop("training", 0.0)
    cheapest = everything[0][2]
    cleanest = min((e for _, _, e in everything), key=lambda e: e.metric("macro.carbon_tco2e"))
    assert cheapest is not cleanest
    budget = (cheapest.metric("macro.tco_usd") + everything[1][0]) / 2
    carbon = (cheapest.metric("macro.carbon_tco2e") + cleanest.metric("macro.carbon_tco2e")) / 2
    plan = with_constraints(PLANS["training"], budget=budget, carbon=carbon)
    result = mlsysim.optimize.placement(plan)
    assert (result.dropped, result.exit_code) == (("w17", "w18"), 3)
    assert sorted(c.wall for c in result.conflict) == [17, 18]
    for alone in ("budget", "carbon"):
        one = mlsysim.optimize.placement(
            with_constraints(PLANS["training"], **{alone: plan["constraints"][alone]})
        )
        assert (one.dropped, one.exit_code) == ((), 0)

"""Elasticities against what can be worked out by hand."""

from functools import cache
from typing import Any

import pytest

from mlsysim.core.api import scenario
from mlsysim.core.errors import UnknownNameError
from mlsysim.core.evaluation import evaluate
from mlsysim.core.resolve import Scenario
from mlsysim.core.solver.sensitivity import SUPPLIES, scaled, sensitivity

NEAR = 1e-5


@cache
def plan(kind: str) -> Scenario:
    """Return a small scenario; a stated efficiency switches tiles and launches off."""
    workload: dict[str, Any] = {"name": "Llama3_8B", "batch_size": 256, "efficiency": 0.5}
    hardware: dict[str, Any] = {"name": "H100", "nodes": 8}
    if kind == "decode":
        workload |= {"batch_size": 1, "phase": "inference"}
        hardware = {"name": "H100"}
    if kind == "prefill":  # an encoder over many tokens: compute all the way
        workload |= {"name": "BERT_Large", "batch_size": 64, "phase": "inference", "efficiency": 0.01}
        hardware = {"name": "H100"}
    ops = {"region": "Quebec", "duration_days": 30.0, "ownership": "rent" if kind == "rent" else "own"}
    return scenario({"version": "1.0", "workload": workload, "hardware": hardware, "ops": ops})


def test_compute_bound_inference():
    found = sensitivity(plan("prefill"))
    peak, between = found.of("latency", "peak"), found.of("latency", "bandwidth")
    # what lies between the products is 0.4% of the time
    assert peak + between == pytest.approx(-1.0, abs=NEAR)
    assert -0.01 < between < 0.0
    assert found.of("mfu", "peak") == pytest.approx(-peak - 1.0, abs=NEAR)
    assert found.of("throughput", "peak") == pytest.approx(-peak, abs=NEAR)
    assert found.ranking("latency")[0].supply.name == "peak"


def test_bandwidth_bound_decode():
    found = sensitivity(plan("decode"))
    assert found.of("latency", "bandwidth") == pytest.approx(-1.0, abs=NEAR)
    assert found.of("latency", "peak") == 0.0
    assert found.of("mfu", "peak") == pytest.approx(-1.0, abs=NEAR)
    assert [e.supply.name for e in found.ranking("latency")] == ["bandwidth"]
    assert found.ranking("latency")[0].supply.wall == found.evaluation.bottleneck_wall


def test_memory_share_is_inverse_to_capacity():
    found = sensitivity(plan("train"), metrics=["memory_share"], supplies=["capacity"])
    assert found.of("memory_share", "capacity") == pytest.approx(-1.0, abs=NEAR)


def test_a_step_answers_to_its_parts():
    found = sensitivity(plan("train"), metrics=["latency"])
    s = found.evaluation.state
    # nothing hides behind compute but gradients, so the share of matrix work bounds its worth
    assert found.of("latency", "bandwidth") == pytest.approx(-(s.stream + s.update) / s.time, abs=0.02)
    rates = [found.of("latency", n) for n in SUPPLIES if n in ("peak", "bandwidth") or "_bandwidth" in n]
    slow = [found.of("latency", n) for n in SUPPLIES if n.startswith("scale_") and "bandwidth" not in n]
    assert all(x is not None and x <= 0 for x in rates)
    assert all(x is not None and x >= 0 for x in slow)
    # time is homogeneous: all rates twice and all latencies half make half the step
    assert sum(rates) - sum(slow) == pytest.approx(-1.0, abs=1e-4)


def test_owned_cost_is_shares_of_the_bill():
    found = sensitivity(plan("train"))
    b = found.evaluation.state.bill
    assert found.of("tco_usd", "electricity_price") == pytest.approx(b.energy_cost / b.tco, abs=NEAR)
    assert found.of("tco_usd", "upkeep") == pytest.approx(b.upkeep / b.tco, abs=NEAR)
    assert found.of("tco_usd", "purchase_price") == pytest.approx(
        (b.capital_share + b.upkeep) / b.tco, abs=NEAR
    )
    assert found.of("tco_usd", "lifetime") == pytest.approx(-b.capital_share / b.tco, abs=NEAR)
    assert found.of("tco_usd", "carbon_intensity") == 0.0
    assert found.of("energy_kwh", "pue") == pytest.approx(1.0, abs=NEAR)
    assert found.of("carbon_tco2e", "carbon_intensity") == pytest.approx(
        b.operational_carbon / b.carbon, abs=NEAR
    )
    assert found.of("carbon_tco2e", "embodied_carbon") == pytest.approx(
        b.embodied_carbon / b.carbon, abs=NEAR
    )
    water = (found.of("water_l", "wue") or 0) + (found.of("water_l", "grid_water") or 0)
    assert water == pytest.approx(1.0, abs=NEAR)


def test_rent_is_all_of_the_cost():
    found = sensitivity(plan("rent"))
    assert found.of("tco_usd", "rent") == pytest.approx(1.0, abs=NEAR)
    assert found.of("tco_usd", "electricity_price") == 0.0


def test_layout_is_held():
    s = plan("train")
    found = sensitivity(s, supplies=["capacity"])
    assert found.of("latency", "capacity") == 0.0
    assert found.of("memory", "capacity") == 0.0
    assert found.evaluation.layout == evaluate(s).layout


@pytest.mark.parametrize("kind", ["train", "decode"])
def test_scaling_a_supply_scales_it_everywhere(kind):
    s = plan(kind)
    for name, supply in SUPPLIES.items():
        if supply.of(s) is None:
            continue
        twice = scaled(s, {name: 2.0})
        assert supply.of(twice) == pytest.approx(2 * (supply.of(s) or 0))
        if twice.job is not None:
            assert twice.job.chip == twice.chip
            assert twice.job.network == twice.network
        assert scaled(twice, {name: 0.5}) == s


def test_a_ridge_is_a_kink():
    s = plan("prefill")
    state = evaluate(s).state
    # slow memory until both take equally long for the whole pass; some product then stands on its ridge
    low, high = 1e-4, 1.0
    for _ in range(60):
        middle = (low * high) ** 0.5
        at = sensitivity(scaled(s, {"bandwidth": middle}), metrics=["latency"], supplies=["bandwidth"])
        # below the ridge most of the pass is memory's, above it what lies between the products is
        below = at.of("latency", "bandwidth") < -0.75
        low, high = (middle, high) if below else (low, middle)
    near = sensitivity(
        scaled(s, {"bandwidth": (low * high) ** 0.5}), metrics=["latency"], supplies=["bandwidth"], step=0.02
    )
    assert near.elasticities[0].kink
    assert near.elasticities[0].falling < -0.75 < near.elasticities[0].rising
    assert state.time > 0


def test_absent_supplies_are_left_out():
    names = {e.supply.name for e in sensitivity(plan("decode")).elasticities}
    assert "scale_out_bandwidth" not in names  # one accelerator has no network
    assert "launch_overhead" not in names  # a stated efficiency contains it


def test_binding_walls_and_json():
    found = sensitivity(plan("train"))
    shown = found.to_dict()
    assert shown["binding_walls"] == [w.wall.number for w in found.binding]
    assert found.evaluation.bottleneck_wall in shown["binding_walls"]
    assert {"metric", "supply", "wall", "there", "unit", "elasticity"} <= set(shown["elasticities"][0])


def test_unknown_metric():
    with pytest.raises(UnknownNameError):
        sensitivity(plan("decode"), metrics=["speed"])

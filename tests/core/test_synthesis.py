"""A synthesized specification meets its target, and a little less of it fails."""

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsysim.core.api import scenario
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import evaluate
from mlsysim.core.resolve import Scenario
from mlsysim.core.solver.sensitivity import SUPPLIES, scaled
from mlsysim.core.solver.synthesis import PLENTY, RATES, synthesize, target_of

LESS = 0.999


@cache
def plan(kind: str, latency: str = "") -> Scenario:
    workload: dict[str, Any] = {"name": "Llama3_8B", "batch_size": 256}
    hardware: dict[str, Any] = {"name": "H100", "nodes": 8}
    if kind == "decode":
        workload |= {"batch_size": 1, "phase": "inference", "efficiency": 0.5}
        hardware = {"name": "H100"}
    plan: dict[str, Any] = {"version": "1.0", "workload": workload, "hardware": hardware}
    if latency:
        plan["constraints"] = {"assert": [{"metric": "latency", "max": latency}]}
    return scenario(plan)


def seconds(s: Scenario, layout: Any, factors: dict[str, float]) -> float:
    return float(evaluate(scaled(s, factors), layout).state.time)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 1.0, 1.5, 4.0])
@pytest.mark.parametrize("kind", ["train", "decode"])
def test_meets_the_target_and_less_does_not(kind, share):
    s = plan(kind)
    base = evaluate(s)
    target = float(base.state.time) * share
    found = synthesize(s, target)
    for r in found.requirements:
        if r.supply.name not in RATES:
            continue
        others = {n: PLENTY for n in RATES if n != r.supply.name and SUPPLIES[n].of(s)}
        for amount, rest in ((r.alone, {}), (r.floor, others)):
            if amount is None:
                assert seconds(s, base.layout, rest | {r.supply.name: PLENTY}) > target
            elif amount > 0.0:
                factor = amount / r.there
                assert seconds(s, base.layout, rest | {r.supply.name: factor}) <= target * (1 + 1e-12)
                assert seconds(s, base.layout, rest | {r.supply.name: factor * LESS}) > target
        assert found.met == (r.alone is not None and r.alone <= r.there)
        assert r.enough or not found.met
    if found.factor is not None:
        rates = {n: found.factor for n in RATES if SUPPLIES[n].of(s)}
        assert seconds(s, base.layout, rates) <= target
        assert seconds(s, base.layout, {n: f * LESS for n, f in rates.items()}) > target


def test_decode_in_closed_form():
    s = plan("decode")
    now = float(evaluate(s).state.time)
    found = synthesize(s, now / 2)
    # bandwidth-bound: half the time takes twice the bandwidth, and no rate of compute helps
    assert found.of("bandwidth").alone == pytest.approx(2 * s.chip.bandwidth, rel=1e-9)
    assert found.of("peak").alone is None
    assert found.of("peak").enough
    assert not found.of("bandwidth").enough
    assert not found.met
    state = found.evaluation.state
    assert found.of("peak").floor == pytest.approx(state.matmul * s.chip.peak / (now / 2), rel=1e-6)
    assert found.factor == pytest.approx(2.0, rel=1e-9)


def test_capacity_is_what_is_held():
    found = synthesize(plan("train"), 100.0)
    assert found.of("capacity").alone == found.evaluation.state.memory
    assert found.of("capacity").enough == found.evaluation.feasible


def test_too_fast_for_latencies():
    found = synthesize(plan("train"), 1e-9)
    assert found.factor is None
    assert found.specification() is None
    assert all(r.alone is None for r in found.requirements if r.supply.name in RATES)


def test_specification_is_balanced():
    s = plan("train")
    found = synthesize(s, float(evaluate(s).state.time) / 1.5)
    assert found.factor is not None
    asked = found.specification()
    assert asked is not None
    assert asked["peak"] == pytest.approx(s.chip.peak * found.factor)
    assert set(asked) == set(RATES)
    assert found.factor >= 1.5 * (1 - 1e-9)  # latencies do not shrink


def test_target_of_the_plan():
    assert target_of(plan("decode")) is None
    s = plan("decode", "3 ms")
    assert target_of(s) == pytest.approx(0.003)
    assert synthesize(s).target == pytest.approx(0.003)


@pytest.mark.parametrize("target", [None, 0.0, -1.0, float("inf"), float("nan")])
def test_bad_targets(target):
    with pytest.raises(InputError):
        synthesize(plan("decode"), target)


def test_json():
    shown = synthesize(plan("decode"), 0.004).to_dict()
    assert shown["target_ms"] == pytest.approx(4.0)
    names = [r["supply"] for r in shown["requirements"]]
    assert names == ["peak", "bandwidth", "capacity"]
    assert shown["requirements"][1]["unit"] == "TB/s"


@settings(max_examples=10, deadline=None)
@given(st.floats(0.3, 3.0), st.floats(1.0, 3.0))
def test_a_looser_target_asks_for_no_more(share, looser):
    s = plan("train")
    now = float(evaluate(s).state.time)
    tight = synthesize(s, now * share, rates=["peak", "bandwidth"])
    loose = synthesize(s, now * share * looser, rates=["peak", "bandwidth"])
    for a, b in zip(tight.requirements, loose.requirements, strict=True):
        assert (b.alone if b.alone is not None else PLENTY * b.there) <= (
            a.alone if a.alone is not None else PLENTY * a.there
        ) * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(RATES), st.floats(1e-3, 1e3), st.floats(1.0, 1e3))
def test_a_step_never_grows_with_a_rate(name, here, more):
    s = plan("train")
    layout = evaluate(s).layout
    assert seconds(s, layout, {name: here * more}) <= seconds(s, layout, {name: here}) * (1 + 1e-12)

"""The decisions of a plan: fixed, listed or bounded, what is refused, and what a run makes of them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlsysim
from mlsysim.core import units
from mlsysim.core.errors import MlsysimError
from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.core.layout import FULL, Layout, columns_of, layout_at
from mlsysim.core.legal import legal_together, space
from mlsysim.core.metrics import METRICS
from mlsysim.core.sweep import evaluate_layouts
from mlsysim.core.training_run import failures_of
from mlsysim.core.variants import counts, variants
from mlsysim.core.wanted import Wanted, wanted
from mlsysim.physics import reliability
from mlsysim.walls import WALLS


def plan(**parallelism: Any) -> dict[str, Any]:
    """Llama 3 8B on 64 H100, with decisions; 32 layers, 32 heads, 8 KV heads."""
    return {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "batch_size": 512, "training_tokens": "1e12 token"},
        "hardware": {"name": "H100", "nodes": 8},
        "ops": {"region": "Quebec", "duration_days": 30},
        "parallelism": parallelism,
    }


def evaluated(**parallelism: Any) -> Evaluation:
    return mlsysim.evaluate_plan(plan(**parallelism))


def layout(**parallelism: Any) -> Layout:
    found = evaluated(**parallelism).layout
    assert found is not None
    return found


# -- what a plan may say ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "made"),
    [
        ({"tp": 4}, {"tp": 4, "dp": 16}),
        ({"tp": [2, 4]}, {"tp": 2}),
        ({"tp": {"min": 3}}, {"tp": 4}),
        ({"tp": {"min": 3, "max": 8}, "pp": {"min": 2}}, {"tp": 4, "pp": 2}),
        ({"dp": {"max": 8}}, {"tp": 8, "dp": 8}),
        ({"cp": {"min": 2}}, {"cp": 2}),
        ({"microbatch_size": [3, 4]}, {"microbatch_size": 4}),
        ({"pp": 4, "interleave": [2, 4]}, {"interleave": 2}),
        ({"pp": 4, "interleave": {"min": 3}}, {"interleave": 4}),
        ({"pp": 4, "first_stage_layers": 5}, {"first_stage_layers": 5, "last_stage_layers": 9}),
        ({"pp": 4, "last_stage_layers": {"max": 6}}, {"last_stage_layers": 6, "first_stage_layers": 8}),
        ({"pp": 2, "first_stage_layers": [20, 40]}, {"first_stage_layers": 20, "last_stage_layers": 12}),
        ({"pp": 4, "first_stage_layers": 0, "last_stage_layers": 0}, {"first_stage_layers": 0}),
        ({"pp": 4, "first_stage_layers": 5, "last_stage_layers": 0}, {"last_stage_layers": 9}),
        ({"recompute": "full"}, {"recompute": "full", "recompute_layers": 32, "pp": 1}),
        ({"recompute": "full", "recompute_layers": 0}, {"recompute": "full", "recompute_layers": 32}),
        ({"recompute": "full", "pp": 4}, {"recompute": "full", "recompute_layers": 8}),
        ({"recompute_layers": 4}, {"recompute": "full", "recompute_layers": 4}),
        ({"recompute_layers": {"min": 3, "max": 5}}, {"recompute": "full", "recompute_layers": 3}),
        ({"recompute_layers": [0, 4]}, {"recompute": "none", "recompute_layers": 0}),
        ({"recompute": "selective"}, {"recompute": "selective", "recompute_layers": 0}),
        ({"recompute": ["selective", "full"]}, {"recompute": "selective"}),
        ({"tp": 2, "sequence_parallel": False}, {"sequence_parallel": False}),
        ({"zero_stage": [2, 3]}, {"zero_stage": 2}),
        ({"overlap_gradients": False}, {"overlap_gradients": False}),
        ({"tp": 8, "overlap_tensor": True}, {"overlap_tensor": True}),
        ({"pp": 4, "interleave": 2, "overlap_pipeline": True}, {"overlap_pipeline": True}),
        ({"offload_optimizer": True}, {"offload_optimizer": True}),
        ({"offload_optimizer": [True, False]}, {"offload_optimizer": False}),
    ],
)
def test_the_rule_keeps_to_what_is_said(said, made):
    found = layout(**said).to_dict()
    assert {name: found[name] for name in made} == made
    for name, value in said.items():
        if name == "recompute_layers" and said.get("recompute") == "full" and value == 0:
            continue  # all of them
        if name.endswith("_stage_layers") and value == 0:
            continue  # as even as can be
        assert wanted(value).allows(found[name]), name


@pytest.mark.parametrize(
    ("said", "where", "word"),
    [
        ({"tp": 3}, "tp", "possible: 1, 2, 4, 8, 16, 32"),
        ({"tp": [3, 5]}, "tp", "tp 3 or 5"),
        ({"tp": {"min": 5, "max": 7}}, "tp", "at least 5 and at most 7"),
        ({"cp": {"min": 65}}, "cp", "cp at least 65"),
        ({"tp": []}, "tp", "at least 1"),
        ({"tp": {}}, "tp", "give min, max or both"),
        ({"tp": {"min": 4, "max": 2}}, "tp", "min is above max"),
        ({"tp": {"least": 4}}, "tp.least", "unknown key 'least'"),
        ({"tp": 0}, "tp", "greater than or equal to 1"),
        ({"tp": [2, 0]}, "tp.1", "greater than or equal to 1"),
        ({"tp": "x"}, "tp", "whole number"),
        ({"tp": {"min": "x"}}, "tp.min", "'x' is not allowed here"),
        ({"recompute": ["none", "some"]}, "recompute.1", "should be 'none', 'selective' or 'full'$"),
        ({"tpp": 2}, "tpp", "Nearest: tp"),
        ({"ep": 2}, "ep", "no experts"),
        ({"pp": 4, "interleave": 3}, "interleave", "divide the layers of a stage"),
        ({"pp": 1, "interleave": 2}, "interleave", "pp above 1"),
        ({"pp": 4, "first_stage_layers": 33}, "first_stage_layers", "share the rest of 32 layers"),
        ({"pp": 1, "first_stage_layers": {"max": 5}}, "first_stage_layers", "at most 5"),
        ({"pp": 4, "last_stage_layers": 31}, "last_stage_layers", "share the rest of 32 layers"),
        ({"recompute": "some"}, "recompute", "'none', 'selective' or 'full'"),
        ({"recompute": "none", "recompute_layers": 4}, "recompute_layers", "needs recompute: full"),
        ({"recompute_layers": 99}, "recompute_layers", "at most the layers of a stage"),
        ({"zero_stage": 4}, "zero_stage", "less than or equal to 3"),
        ({"zero_stage": [0, 9]}, "zero_stage.1", "less than or equal to 3"),
        ({"overlap_tensor": 1}, "overlap_tensor", "true or false"),
        ({"microbatch_size": [3, 5]}, "microbatch_size", "divide the batch of 512"),
        ({"dp": 64, "tp": 8}, "", "must be the accelerators"),
        ({"accelerators": 100}, "accelerators", "fleet of 64"),
        ({"accelerators": {"min": 65}}, "accelerators", "at least 65 accelerators of a fleet of 64"),
        ({"accelerators": [100, 200]}, "accelerators", "100 or 200"),
        ({"precision": "fp9"}, "precision", "Nearest"),
        ({"precision": ["bf16", "fp9"]}, "precision", "no precision called 'fp9'"),
        ({"precision": ["int8"]}, "precision", "training in int8"),
        ({"precision": ["bf16", "int8"]}, "precision", "training in int8"),
    ],
)
def test_errors_are_for_people(said, where, word):
    """Where it stands in the plan, and what would do instead."""
    with pytest.raises(MlsysimError, match=word) as caught:
        evaluated(**said)
    assert caught.value.where == "parallelism" + ("." + where if where else "")
    assert caught.value.hint


def test_a_precision_stands_in_one_place():
    twice = plan(precision="bf16")
    twice["workload"]["precision"] = "bf16"
    with pytest.raises(MlsysimError, match="given twice") as caught:
        mlsysim.evaluate_plan(twice)
    assert caught.value.where == "parallelism.precision"


# -- what is wanted ---------------------------------------------------------------------------------

ends = st.none() | st.integers(1, 50)


@given(low=ends, high=ends, value=st.integers(0, 60))
def test_ranges(low, high, value):
    given_range = {k: v for k, v in (("min", low), ("max", high)) if v is not None}
    if not given_range or (low or 0) > (high or 100):
        return
    wish = wanted(given_range)
    assert wish.allows(value) == ((low is None or value >= low) and (high is None or value <= high))
    assert wish.given() == given_range
    assert wish.single is None
    assert str(wish) == " and ".join(
        ([f"at least {low}"] if low is not None else []) + ([f"at most {high}"] if high is not None else [])
    )


@given(values=st.lists(st.integers(0, 9), min_size=1, max_size=8), value=st.integers(0, 9))
def test_lists(values, value):
    wish = wanted(values)
    assert wish.allows(value) == (value in values)
    distinct = list(dict.fromkeys(values))
    assert wish.single == (distinct[0] if len(distinct) == 1 else None)
    assert wanted(wish.given()) == wish
    assert wanted(value) == wanted([value]) == Wanted((value,))


# -- there and back -----------------------------------------------------------------------------------

DECIDED = [
    {},
    {"tp": [2, 4], "pp": 2},
    {"tp": 2, "pp": 4, "interleave": 2},
    {"pp": 4, "first_stage_layers": 7, "last_stage_layers": 5},
    {"pp": 3, "accelerators": {"max": 48}},
    {"recompute": "full", "recompute_layers": 3},
    {"recompute": "full"},
    {"recompute": "selective"},
    {"tp": 4, "overlap_tensor": True, "zero_stage": 3, "overlap_gradients": False},
    {"offload_optimizer": True, "precision": ["fp8", "bf16"]},
    {"accelerators": {"max": 50}},
    {"accelerators": [16, 40]},
    {"precision": "fp8"},
]


@pytest.mark.parametrize("said", DECIDED)
def test_an_evaluated_plan_evaluates_to_the_same(said):
    once = evaluated(**said)
    again = mlsysim.evaluate_plan(once.plan())
    assert again.layout == once.layout
    assert again.plan() == once.plan()
    assert again.scenario.accelerators == once.scenario.accelerators
    assert again.scenario.precision == once.scenario.precision
    for name, m in METRICS.items():
        if m.applies(once.state):
            assert again.metric(name) == once.metric(name), name


@settings(max_examples=40, deadline=None)
@given(pick=st.randoms(use_true_random=False))
def test_every_legal_layout_can_be_written_down(pick):
    """Also those that only a search finds: each is a plan that evaluates to the same."""
    s = SCENARIO
    legal = LEGAL
    for _ in range(200):
        shard = pick.randrange(len(legal.shard["tp"]))
        row = {k: v[shard] for k, v in legal.shard.items()}
        for table, on in ((legal.pipeline, ("pp",)), (legal.layer, ("tp", "cp", "ep"))):
            fits = np.flatnonzero(np.logical_and.reduce([table[k] == row[k] for k in on]))
            i = pick.choice(list(fits))
            row |= {k: v[i] for k, v in table.items()}
        columns = {k: np.array([v]) for k, v in row.items()}
        if legal_together(columns, s.batch, s.accelerators).all():
            break
    found = layout_at(columns, 0)
    once = evaluate(s, found)
    again = mlsysim.evaluate_plan(once.plan())
    assert again.layout == found
    assert again.state == once.state


@pytest.mark.parametrize("mode", ["none", "selective", "full"])
@pytest.mark.parametrize("layers", [0, 5])
def test_a_layout_is_its_columns(mode, layers):
    if mode != "full" and layers:
        return
    columns = columns_of(Layout(recompute=mode, recompute_layers=layers), 32)
    assert columns["recompute_layers"][0] == (32 if mode == "full" and not layers else layers)
    back = layout_at(columns, 0)
    assert back.recompute == mode
    assert (columns["recompute"][0] == FULL) == (mode == "full")


# -- open accelerators and precision --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "largest"),
    [
        ({"max": 50}, 48),  # six whole servers
        ({"max": 48}, 48),
        ({"max": 47}, 40),
        ({"max": 7}, 4),  # a part of one: 7, 6 and 5 do not divide a server
        ({"min": 8}, 64),
        ([16, 40], 40),
        ([3, 100], 3),
        (24, 24),
    ],
)
def test_eval_takes_the_largest_number_there_can_be(wish, largest):
    e = evaluated(accelerators=wish)
    assert e.scenario.accelerators == largest
    assert e.state.accelerators == largest
    assert e.metric("feasibility.accelerators") == largest
    made = e.layout
    assert made is not None
    assert made.tp * made.cp * made.pp * made.dp == largest


def test_numbers_on_which_no_layout_is_possible_are_left_out():
    """56 = 7 x 8: 512 sequences are not divided by 7, and neither are 32 heads nor the sequence; 7 stages
    of 32 layers are."""
    s = mlsysim.scenario(plan(accelerators={"max": 64}, pp=[1, 2, 4]))
    assert counts(s) == [1, 2, 4, 8, 16, 32, 64]
    assert 56 in counts(mlsysim.scenario(plan(accelerators={"max": 64})))


def test_variants_are_numbers_times_precisions():
    s = mlsysim.scenario(plan(accelerators=[8, 16], precision=["bf16", "fp8"]))
    found = [(v.scenario.accelerators, v.scenario.precision) for v in variants(s, intervals=False)]
    assert found == [(8, "bf16"), (16, "bf16"), (8, "fp8"), (16, "fp8")]


def test_a_list_of_precisions_starts_with_the_one_that_eval_takes():
    for precisions in (["bf16", "fp8"], ["fp8", "bf16"]):
        e = evaluated(precision=precisions)
        assert e.scenario.precision == precisions[0]
        assert e.metric("performance.latency") == evaluated(precision=precisions[0]).metric(
            "performance.latency"
        )


# -- checkpoints --------------------------------------------------------------------------------------


def test_intervals_around_the_best():
    failures = failures_of(mlsysim.scenario(plan()))
    found = failures.intervals()
    assert failures.best in found
    assert found == sorted(found)
    assert max(found) == pytest.approx(16 * failures.best)
    assert min(found) >= min(failures.best, failures.shortest)
    ratios = np.diff(np.log2(found))
    assert ratios == pytest.approx(np.full(len(ratios), 1 / 8))
    useful = [failures.at(x)["losses"].useful for x in found]
    assert max(useful) == pytest.approx(failures.at(failures.best)["losses"].useful, rel=1e-3)


def test_a_given_interval_is_the_only_one():
    given_interval = plan() | {"checkpoint": {"interval": "30 min"}}
    failures = failures_of(mlsysim.scenario(given_interval))
    assert failures.intervals() == [1800.0]


def test_an_interval_as_an_array_is_many_intervals():
    failures = failures_of(mlsysim.scenario(plan()))
    x = np.array([600.0, 3600.0, 86400.0])
    many = failures.at(x)["losses"].useful
    assert many == pytest.approx([float(failures.at(float(i))["losses"].useful) for i in x], rel=1e-12)


# -- metrics of the whole run -----------------------------------------------------------------------------


def test_the_whole_run_by_hand():
    """1e12 tokens in steps of 512 sequences, over the share of time that counts; the bill for that long."""
    e = evaluated()
    s = e.state
    step = e.metric("performance.latency") / 1e3
    assert s.losses is not None
    assert s.tokens == 512 * e.scenario.seq_len
    goodput = e.metric("performance.goodput")
    assert goodput == pytest.approx(s.losses.useful, rel=1e-12)
    assert 0.5 < goodput < 1.0
    seconds = 1e12 / s.tokens * step / goodput
    assert e.metric("performance.training_time") == pytest.approx(seconds / 86400, rel=1e-12)
    months = seconds / 86400 / 30  # the plan's duration
    for run, bill in (("usd", "tco_usd"), ("kwh", "energy_kwh"), ("tco2e", "carbon_tco2e")):
        whole = e.metric(f"macro.training_{run}")
        assert whole == pytest.approx(months * e.metric(f"macro.{bill}"), rel=1e-12)


def test_what_a_run_loses_is_what_walls_15_and_19_say():
    e = evaluated()
    losses = e.state.losses
    assert losses is not None
    f = failures_of(e.scenario)
    again = reliability.losses(
        interval=f.best, delta=f.stall, recovery=f.recovery, mtbf=f.mtbf, straggling=f.straggling
    )
    assert losses.useful == pytest.approx(again.useful, rel=1e-12)


def test_a_run_does_not_depend_on_how_long_the_plan_is():
    base = evaluated()
    longer = plan()
    longer["ops"]["duration_days"] = 90
    other = mlsysim.evaluate_plan(longer)
    for name in ("performance.training_time", "macro.training_usd", "macro.training_kwh"):
        assert other.metric(name) == pytest.approx(base.metric(name), rel=1e-9), name
    assert other.metric("macro.tco_usd") == pytest.approx(3 * base.metric("macro.tco_usd"), rel=1e-9)


def test_half_the_tokens_take_half_of_it():
    half = plan()
    half["workload"]["training_tokens"] = "5e11 token"
    e, base = mlsysim.evaluate_plan(half), evaluated()
    for name in ("performance.training_time", "macro.training_usd", "macro.training_tco2e"):
        assert e.metric(name) == pytest.approx(base.metric(name) / 2, rel=1e-12)


@pytest.mark.parametrize(
    "workload",
    [
        {"name": "ResNet50", "batch_size": 512},
        {"name": "Llama3_8B", "batch_size": 1, "phase": "inference"},
    ],
)
def test_a_run_without_tokens_has_no_such_metrics(workload):
    base: dict[str, Any] = {"version": "1.0", "workload": workload, "hardware": {"name": "H100"}}
    e = mlsysim.evaluate_plan(base)
    of_run = [name for name, m in METRICS.items() if m.of_run]
    assert len(of_run) == 5
    document = e.to_dict()
    for name in of_run:
        prefix, short = name.split(".")
        assert short not in document[prefix]["metrics"]
        bound = {"assert": [{"metric": name, "max": 1.0}]}
        with pytest.raises(MlsysimError, match="training on tokens") as caught:
            mlsysim.evaluate_plan(base | {"constraints": bound})
        assert caught.value.where == "constraints.assert.0"
        assert caught.value.hint


def test_an_assertion_may_bound_the_run():
    e = evaluated()
    days = e.metric("performance.training_time")
    for most, ok in ((days * 1.01, True), (days * 0.99, False)):
        bound = plan() | {"constraints": {"assert": [{"metric": "training_time", "max": f"{most} day"}]}}
        (check,) = mlsysim.evaluate_plan(bound).checks
        assert check.ok is ok
        assert units.from_base(check.value, "day") == pytest.approx(days)


# -- the host's memory ------------------------------------------------------------------------------------


def test_an_offloaded_optimizer_is_on_the_host_and_in_its_wall():
    """12 bytes a parameter over 64 ranks (stage 1); a DGX H100 has 2 TB for eight accelerators."""
    here, away = evaluated(), evaluated(offload_optimizer=True)
    assert here.state.host == 0.0
    assert away.state.host == pytest.approx(12 * 8_030_261_248 / 64, rel=1e-12)
    memory = WALLS[1]
    assert not any("host" in r.note for r in memory.rows(here.state))
    (row,) = [r for r in memory.rows(away.state) if "host" in r.note]
    assert row.hard
    assert row.demand == away.state.host
    assert row.supply == pytest.approx(2e12 / 8, rel=1e-9)


def test_a_host_without_room_is_a_wall():
    """Stage 0 leaves 96 GB of optimizer state on each host's eighth of 64 GB."""
    e = evaluated(offload_optimizer=True, zero_stage=0)
    assert e.feasible
    small = replace(e, state=replace(e.state, host_capacity=64e9))
    (memory,) = [w for w in small.walls if w.wall.number == 2]
    assert (memory.status, memory.hard) == ("fail", True)
    assert not small.feasible


# -- many layouts at once ---------------------------------------------------------------------------------

SCENARIO = mlsysim.scenario(plan())
LEGAL = space(SCENARIO)


def test_a_sweep_agrees_with_single_evaluations_on_the_new_decisions():
    s = SCENARIO
    rows = [
        Layout(
            tp=2, pp=4, dp=8, interleave=4, first_stage_layers=8, last_stage_layers=8, overlap_pipeline=True
        ),
        Layout(
            tp=2, pp=4, dp=8, first_stage_layers=10, last_stage_layers=6, recompute="full", recompute_layers=3
        ),
        Layout(tp=8, dp=8, overlap_tensor=True, sequence_parallel=True, offload_optimizer=True, zero_stage=2),
        Layout(pp=2, dp=32, overlap_gradients=False, zero_stage=3),
        Layout(pp=8, dp=8, recompute="full"),
        Layout(dp=64, recompute="selective"),
    ]
    each = [columns_of(row, 32) for row in rows]
    found = evaluate_layouts(s, {k: np.concatenate([c[k] for c in each]) for k in each[0]})
    for i, row in enumerate(rows):
        e = evaluate(s, row)
        for name, m in METRICS.items():
            if m.applies(e.state):
                assert math.isclose(found.metrics[name][i], e.metric(name), rel_tol=1e-12), (i, name)
        assert [str(w.status[i]) for w in found.walls] == [w.status for w in e.walls], i
        assert found.status[i] == e.status

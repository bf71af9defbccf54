"""Why, on plans small enough to enumerate: ways out, prices, frontiers, specifications, worst cases."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
import random_problems as rp
from hypothesis import assume, given
from hypothesis import strategies as st
from test_parallelism import between, brute, legal_layouts, plan_of, plans, points_of

import mlsysim
from formulations.infeasible import conflict
from mlsysim.core.api import scenario
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import evaluate
from mlsysim.core.resolve import resolve
from mlsysim.core.solver.designing import synthesis
from mlsysim.core.solver.drafts import patched
from mlsysim.core.solver.explain import explain
from mlsysim.core.solver.prices import sensitivity
from mlsysim.core.solver.question import question
from mlsysim.core.solver.robust import corners
from mlsysim.core.supplies import find, what_if

NEAR = 1e-6
SEEN: Counter[str] = Counter()


def again(plan, **how):
    return mlsysim.optimize.parallelism(plan, **how)


# -- ways out -------------------------------------------------------------------------------------


@rp.examples(12)
@given(plans(), st.sampled_from(["memory", "latency", "share", "budget"]), st.floats(0.3, 0.95))
def test_ways_out_make_the_plan_hold(plan, what, share):
    everything = brute(plan)
    physically = everything.within()
    assume(physically)
    if what == "memory":
        least = min(e.metric("feasibility.memory") for e in everything.points)
        plan = {**plan, "what_if": {"capacity": f"{least * share} GiB"}}
    elif what == "latency":
        plan["constraints"] = {"assert": [{"metric": "latency", "max": physically[0].time * share * 1e3}]}
    elif what == "budget":
        cost = physically[0].metric("macro.tco_usd")
        assume(cost > 0.0)
        plan["constraints"] = {"budget": cost * share}
    else:
        least = min(e.metric("performance.communication_share") for e in physically)
        assume(least * share > 1e-4)
        plan["constraints"] = {"communication": least * share}
    result = again(plan)
    assert result.conflict
    assert result.exit_code in (2, 3)
    for way in result.ways:
        changed = patched(plan, way.patch)
        then = again(changed)
        assert then.exit_code == 0, way.title
        assert not then.conflict
        assert float(then.evaluation.state.time) == pytest.approx(float(way.evaluation.state.time), rel=NEAR)
        SEEN[way.kind] += 1
        if way.kind in ("supply", "limit") and way.needed is not None:  # a little less is not enough
            less = way.needed - 2e-4 * (way.needed - way.there) - 4e-6 * way.needed
            if way.kind == "supply":
                tight = {**plan, "what_if": {"capacity": f"{less} GiB"}}
            elif what == "latency":
                tight = patched(plan, {"constraints": {"assert": {"0": {"max": less}}}})
            else:
                tight = patched(plan, {"constraints": {what if what == "budget" else "communication": less}})
            assert again(tight).exit_code != 0, way.title
    SEEN["conflicts"] += 1
    SEEN["ways"] += bool(result.ways)


def test_decisions_and_accelerators_are_ways_out():
    plan = plan_of(
        "Llama3_8B", "H100", 8, 64, fixed={"zero_stage": 0, "offload_optimizer": False, "tp": 1, "pp": 1}
    )
    result = explain(plan)
    assert result.exit_code == 2
    kinds = {w.kind: w for w in result.ways}
    assert {"supply", "decision"} <= kinds.keys()
    for way in result.ways:
        assert again(patched(plan, way.patch)).exit_code == 0
    big = plan_of("Llama3_405B", "H100", 8, 64)
    way = next(w for w in explain(big).ways if w.kind == "accelerators")
    assert again(patched(big, way.patch)).exit_code == 0
    for fewer in range(16, int(way.needed), 8):
        assert again(patched(big, {"hardware": {"accelerators": fewer}})).exit_code == 2


DECIDED = {
    "tp": [1, 2, 4],
    "pp": [1, 2, 4],
    "zero_stage": [0, 1, 2, 3],
    "microbatch_size": [1, 2],
    "recompute": ["none", "full"],
    "offload_optimizer": [False, True],
}


HELD = {"cp": 1, "interleave": 1, "sequence_parallel": False}


@pytest.mark.parametrize("model", ["Llama3_8B", "GPT2_XL"])
def test_decisions_in_a_conflict_are_those_of_enumeration(model):
    base = scenario(plan_of(model, "H100", 4, 8, fixed=HELD))
    points = points_of(base, legal_layouts(base))
    rng = random.Random(3)
    for _ in range(10):
        names = rng.sample(sorted(DECIDED), rng.randint(2, 4))
        fixed = {n: rng.choice(DECIDED[n]) for n in names}
        mine = [e for e in points if all(getattr(e.layout, n) == v for n, v in fixed.items())]
        if not mine:  # no layout at all has them
            continue
        # just enough for one plan, drawn from the lean and quick: others that the decisions leave have more
        one = min(rng.sample(points, 40), key=lambda e: e.metric("feasibility.memory") * e.time)
        room = one.metric("feasibility.memory") * rng.choice([0.9, *[1.0001] * 5])
        limit = one.time * 1e3 * rng.choice([0.9, *[1.0001] * 5])

        def holds(members, fixed=fixed, room=room, limit=limit):
            return any(
                ("w02" not in members or e.metric("feasibility.memory") <= room)
                and ("assert0" not in members or e.metric("performance.latency") <= limit)
                and all(getattr(e.layout, n) == v for n, v in fixed.items() if f"parallelism.{n}" in members)
                for e in points
            )

        plan = plan_of(
            model, "H100", 4, 8, fixed=HELD | fixed,
            asserts=[{"metric": "latency", "max": limit}],
        )  # fmt: skip
        plan["what_if"] = {"capacity": f"{room} GiB"}
        s = scenario(plan)
        everything = {"w02", "assert0", *(f"parallelism.{n}" for n in fixed)}
        q = question(plan, "explain", "time", 0.0, {})
        if holds(everything):
            continue
        how = q.opened()
        how["decisions"] = [n for n in how["decisions"] if n in fixed]  # the rest stays as it is
        clash = conflict(q.recipe().problem, **how)
        members = {*clash.tags, *(f"parallelism.{n}" for n in clash.decisions)}
        assert members <= everything
        assert not holds(members)
        for member in members:
            assert holds(members - {member}), (fixed, member)
        SEEN["decided"] += bool(clash.decisions)
        assert s.capacity == pytest.approx(room * 2**30)


def test_a_batch_that_the_plan_cannot_divide_has_no_plan():
    plan = plan_of("ResNet50", "V100", 2, 4, attention="unfused", precision="fp16")
    plan["parallelism"] = {"tp": 1, "cp": 1, "microbatch_size": 2, "interleave": 1}
    batch = sensitivity(plan).prices[0]
    assert batch.name == "batch"
    assert (batch.less.amount, batch.less.value) == (2, None)
    assert batch.more.value is not None


def test_a_decision_of_a_conflict_is_told_and_let_go():
    plan = plan_of("Llama3_70B", "H100", 64, 256, seq_len=4096)
    plan["parallelism"] = {"tp": 2, "pp": 1, "zero_stage": 1, "microbatch_size": 1}
    result = explain({**plan, "parallelism": {**plan["parallelism"], "offload_optimizer": False}})
    assert [c.tag for c in result.base.conflict] == [
        "w02", "parallelism.tp", "parallelism.pp", "parallelism.zero_stage",
    ]  # fmt: skip
    assert result.exit_code == 2
    ways = {w.title: w for w in result.ways if w.kind == "decision"}
    assert "zero_stage left open (the plan says 1): 3 then" in ways
    assert len(ways) == 3
    for way in ways.values():
        assert again(patched(plan, way.patch)).exit_code == 0
    assert "zero_stage: the plan says 1" in result.scorecard()


# -- prices ---------------------------------------------------------------------------------------


@rp.examples(6)
@given(plans(), st.sampled_from([0.02, 0.1, 0.3]))
def test_sensitivities_equal_planning_anew(plan, change):
    everything = brute(plan)
    assume(everything.within())
    s = scenario(plan)
    found = sensitivity(plan, change=change)
    for p in found.prices:
        for step in (p.less, p.more):
            if p.name == "batch":  # other layouts are legal then
                assert step.amount == round(s.batch * step.factor)
                workload = {**plan["workload"], "batch_size": round(step.amount)}
                other = {**plan, "workload": workload}
                try:
                    legal_layouts(scenario(other))
                except InputError:  # so few samples cannot be divided
                    points = []
                else:
                    points = brute(other).points
                SEEN["batches"] += 1
            else:
                points = brute_of(what_if(s, {p.name: step.factor}), everything)
            held = [e for e in points if e.feasible]
            if not held:
                assert step.value is None
                continue
            best = min(e.time for e in held)
            if p.name == "batch":  # of as many samples as the plan has
                best /= step.factor
            assert step.value == pytest.approx(best, rel=NEAR)
            SEEN["moved"] += step.moved
            SEEN["prices"] += 1
        base = found.base.value
        if p.name == "batch":  # as many samples in smaller steps take no less of what a step does once
            continue
        worse, better = (p.more, p.less) if p.dear else (p.less, p.more)
        assert better.value <= base * (1 + NEAR)
        assert worse.value is None or worse.value >= base * (1 - NEAR)


def brute_of(s, everything):
    return points_of(s, everything.points[0].sweep.layouts)


def test_a_larger_batch_of_the_same_plan_is_worth_its_price():
    plan = plan_of("Llama3_8B", "H100", 32, 128, fixed={"tp": 2, "pp": 2, "microbatch_size": 2})
    p = sensitivity(plan, supplies=["batch"]).of("batch")
    assert (p.unit, p.basis) == ("sample", "time of as many samples as the plan's step has")
    assert p.less.amount < 128 < p.more.amount
    unit = round(p.more.amount) - 128
    there = [held_at(plan, p, b) for b in (128 - unit, 128 + unit)]
    assert p.per_unit * 2 * unit == pytest.approx((there[1] - there[0]) * 1e3, rel=NEAR)
    assert p.per_unit < 0.0 < p.less.change


def held_at(plan, p, batch):
    layout = again(plan).evaluation.layout
    s = scenario({**plan, "workload": {**plan["workload"], "batch_size": batch}})
    return float(evaluate(s, layout).state.time) * 128 / batch


def test_peak_rates_have_a_price_each():
    plan = plan_of("Llama3_8B", "H100", 16, 64, fixed={"precision": ["bf16", "fp8"], "cp": 1, "pp": 1})
    found = sensitivity(plan)
    prices = {x.name: x for x in found.prices}
    assert found.base.evaluation.scenario.precision == "fp8"
    assert {"peak_fp8", "peak_bf16"} <= prices.keys()
    assert "peak" not in prices
    for name in ("peak_fp8", "peak_bf16"):  # attention runs in 16 bits
        then = again({**plan, "what_if": {name: "1.1x"}})
        assert prices[name].more.value == pytest.approx(then.objective.value, rel=NEAR)
        assert prices[name].more.change < 0.0


@pytest.mark.parametrize("objective", ["cost+carbon", "mfu"])
def test_prices_of_money_equal_planning_anew(objective):
    tax = 150.0 if objective == "cost+carbon" else 0.0
    plan = plan_of(
        "Llama3_8B", "H100", 32, 64, training_tokens=1e11,
        fixed={"accelerators": {"max": 32}, "cp": 1, "interleave": 1, "zero_stage": 1, "recompute": "none"},
    )  # fmt: skip
    names = ["electricity_price", "purchase_price", "mtbf", "peak", "scale_up_bandwidth", "capacity"]
    found = sensitivity(plan, objective=objective, carbon_tax=tax, supplies=names)
    for p in found.prices:
        for step in (p.less, p.more):
            changed = {**plan, "what_if": {p.name: f"{step.factor}x"}}
            then = again(changed, objective=objective, carbon_tax=tax)
            assert step.value == pytest.approx(then.objective.value, rel=NEAR)
    if objective == "cost+carbon":
        for p in sensitivity(plan, objective=objective, carbon_tax=tax).prices:
            if p.name == "carbon_tax":
                then = again(plan, objective=objective, carbon_tax=tax * 1.1)
                assert p.more.value == pytest.approx(then.objective.value, rel=NEAR)
                break
        else:
            raise AssertionError("the tax has no price")


def test_the_range_of_memory_is_where_the_plan_changes():
    plan = plan_of("Llama3_70B", "H100", 64, 256, seq_len=8192)
    found = sensitivity(plan, supplies=["capacity"])
    p = found.of("capacity")
    assert p.less.moved
    layout = found.base.evaluation.layout
    for factor, same in ((1.000001, True), (0.9995, False)):
        then = again({**plan, "what_if": {"capacity": f"{p.low * factor:.12g} GiB"}})
        assert (then.evaluation.layout == layout) == same


# -- the frontier ---------------------------------------------------------------------------------


@rp.examples(10)
@given(plans(), st.sampled_from(["feasibility.memory", "performance.bubble_time", "feasibility.activations"]))
def test_the_frontier_of_a_plan_is_that_of_enumeration(plan, second):
    everything = brute(plan)
    points = [(e.metric("performance.latency"), e.metric(second)) for e in everything.within()]
    assume(points)
    found = mlsysim.optimize.pareto(plan, ["time", second])
    values = [tuple(v) for v in (p["values"] for p in found.to_dict()["frontier"]["points"])]
    slack = 4e-9
    expected = {
        b for b in points
        if not any(
            a[0] <= b[0] * (1 + slack) and a[1] <= b[1] * (1 + slack)
            and (a[0] < b[0] * (1 - slack) or a[1] < b[1] * (1 - slack)) for a in points
        )
    }  # fmt: skip
    for a in expected:
        assert any(a == pytest.approx(v, rel=NEAR, abs=1e-12) for v in values)
    for v in values:
        assert any(v == pytest.approx(a, rel=NEAR, abs=1e-12) for a in expected)
    SEEN["frontiers"] += len(values) > 1


def test_the_frontier_of_fleets():
    plan = plan_of(
        "Llama3_8B", "H100", 32, 64, training_tokens=1e11,
        fixed={"accelerators": {"max": 32}, "cp": 1, "interleave": 1, "zero_stage": 1, "recompute": "none"},
    )  # fmt: skip
    found = mlsysim.optimize.pareto(plan, ["time", "accelerators"])
    assert found.status == "optimal"
    by_count = {e.scenario.accelerators: float(e.state.time) for e in found.points}
    assert len(by_count) == len(found.points) > 3
    for n in range(8, 33, 8):
        best = again({**plan, "parallelism": {**plan["parallelism"], "accelerators": n}}).objective.value
        at = [time for count, time in by_count.items() if count <= n]
        assert min(at) <= best * (1 + NEAR)
        if n in by_count:
            assert by_count[n] == pytest.approx(best, rel=NEAR)


# -- specifications -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "target"),
    [
        (plan_of("Mixtral_8x7B", "H100", 16, 32), "throughput >= 200000"),
        (plan_of("Llama3_70B", "H100", 8, 16), "latency <= 20 s"),
    ],
)
def test_a_specification_meets_its_target_and_less_does_not(plan, target):
    found = synthesis(plan, target=target)
    assert found.possible
    block = found.patch["what_if"]
    assert len(block) >= 3

    def met(change):
        s = scenario({**plan, "what_if": block})
        then = again({**plan, "what_if": scaled(block, change)})
        assert s.capacity > 0
        return then.exit_code == 0 and found.target.miss(then.evaluation) <= 1.0 + 1e-9

    assert met({})
    for name in block:
        assert not met({name: 0.999}), name


def scaled(block, change):
    found = {}
    for name, written in block.items():
        number, unit = written.split(" ", 1)
        found[name] = f"{float(number) * change.get(name, 1.0):.17g} {unit}"
    return found


def test_a_specification_has_the_memory_that_is_missing():
    plan = plan_of("Llama3_405B", "H100", 8, 64)
    found = synthesis(plan, target="latency <= 60 s")
    assert not found.met
    assert found.specs["capacity"].needed > 80 * 2**30
    then = again({**plan, **found.patch})
    assert then.exit_code == 0
    assert found.target.miss(then.evaluation) <= 1.0 + 1e-9
    for part in found.parts:  # a part is what it is, with the memory that it has
        result = again(patched(plan, part.patch))
        reached = result.exit_code == 0 and found.target.miss(result.evaluation) <= 1.0 + NEAR
        assert reached == part.meets


def test_a_target_below_all_latencies_is_impossible():
    assert synthesis(plan_of("Llama3_8B", "H100", 16, 64), target="latency <= 1 ns").exit_code == 2


# -- worst cases ----------------------------------------------------------------------------------


@rp.examples(7)
@given(plans(), st.sampled_from([0.05, 0.2, 0.5]), st.integers(0, 10))
def test_the_robust_plan_has_the_best_worst_case(plan, share, at):
    everything = brute(plan)
    physically = everything.within()
    assume(physically)
    limit = between([e.metric("performance.communication_share") for e in physically], at)
    if limit is not None and limit <= 1.0:
        plan = {**plan, "constraints": {"communication": limit}}
    worst, others = corners(scenario(plan), share)
    cases = [brute_of(s, everything) for s in (worst, *others)]
    columns = zip(*cases, strict=True)
    allowed = None if limit is None or limit > 1.0 else limit
    best = min(
        (
            es[0].time
            for es in columns
            if all(e.feasible for e in es)
            and (
                allowed is None
                or all(e.metric("performance.communication_share") <= allowed * (1 + 1e-9) for e in es)
            )
        ),
        default=None,
    )
    result = mlsysim.optimize.robust(plan, share)
    if best is None:
        assert result.dropped or result.status == "infeasible"
        return
    assert result.robust is not None
    assert result.robust.worst == pytest.approx(best, rel=NEAR)
    assert result.robust.usual >= result.robust.best_usual * (1 - NEAR)
    if result.robust.best_usual_worst is not None:
        assert result.robust.worst <= result.robust.best_usual_worst * (1 + NEAR)
    SEEN["robust"] += 1


# -- what_if --------------------------------------------------------------------------------------


def test_what_if_is_part_of_a_plan():
    plan = plan_of("Llama3_8B", "H100", 16, 64, fixed={"accelerators": {"max": 16}})
    changed = {**plan, "what_if": {"capacity": "96 GiB", "bandwidth": "1.5x", "efficiency": 0.3}}
    s, t = scenario(plan), scenario(changed)
    assert t.capacity == 96 * 2**30
    assert t.chip.bandwidth == pytest.approx(1.5 * s.chip.bandwidth)
    assert t.chip.share == pytest.approx(0.3)
    assert t.job.chip == t.chip
    e = evaluate(t)
    assert mlsysim.evaluate_plan(e.plan()).state.time == e.state.time  # the plan printed says so
    assert {a.name for a in t.assumptions} >= {"capacity", "bandwidth"}
    assert resolve(replace(t.settings, amounts={}, scales={})).chip == s.chip
    assert find("mtbf").of(s) is not None


@pytest.mark.parametrize("block", [{"capcity": 1}, {"capacity": "5 s"}, {"capacity": 0}, {"capacity": "0x"}])
def test_a_wrong_what_if_is_refused(block):
    with pytest.raises(mlsysim.MlsysimError):
        scenario({**plan_of("Llama3_8B", "H100", 16, 64), "what_if": block})


@pytest.mark.parametrize(
    ("block", "where", "nearest"),
    [
        ({"rent": "2 USD/h"}, "rent", "ops.ownership: rent"),
        ({"storage_bandwidth": "2x"}, "storage_bandwidth", "the data block"),
        ({"peak_fp8": "2x"}, "peak_fp8", "peak_bf16"),
    ],
)
def test_a_what_if_of_nothing_is_refused(block, where, nearest):
    with pytest.raises(InputError) as caught:
        scenario({**plan_of("Llama3_8B", "H100", 16, 64), "what_if": block})
    assert caught.value.where.endswith(f"what_if.{where}")
    assert nearest in caught.value.hint


def test_what_a_plan_has_none_of_elsewhere():
    serving = {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "phase": "inference"},
        "hardware": {"name": "H100"},
    }
    assert scenario({**serving, "what_if": {"bandwidth": "2x"}}).chip.bandwidth > 0
    for block in ({"mtbf": "2x"}, {"checkpoint_bandwidth": "2x"}, {"scale_up_bandwidth": "1 TB/s"}):
        with pytest.raises(InputError):
            scenario({**serving, "what_if": block})


def test_the_property_tests_met_enough():
    if not SEEN:
        pytest.skip("the property tests did not run")
    assert SEEN["decided"] >= 5
    assert SEEN["ways"] >= 3
    assert SEEN["prices"] >= 20
    assert SEEN["batches"] >= 4
    assert SEEN["frontiers"] >= 2
    assert SEEN["robust"] >= 2

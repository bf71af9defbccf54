"""The best deployment of a service: enumeration of plans by ``eval``, agreement of engines, and laws."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlsysim
from formulations import batching as recipe
from mlsysim.core.api import scenario
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Evaluation
from mlsysim.core.service_variants import batches, fewest_replicas, in_way, tabulated
from mlsysim.core.solver.batching import batching, decisions, ways_to_run
from mlsysim.core.solver.optimization import Optimization
from mlsysim.core.solver.service_goals import service_goal

# Long prompts, so that few requests fit and every plan can be looked at.
LENGTHS = {"prompt": 60_000, "output": 300, "output_cv": 0.5, "token_budget": 2048}


def plan(accelerators: int = 4, model: str = "Llama3_8B", **serving: Any) -> dict[str, Any]:
    return {
        "version": "1.0",
        "workload": {"name": model, "phase": "inference", "precision": "bf16"},
        "hardware": {"name": "H100", "accelerators": accelerators},
        "serving": {**LENGTHS, "scheduler": "prefill_first", **serving},
        "queue": {"rate": 0.1},
    }


def chat(accelerators: int = 8, qps: float = 10.0, **limits: Any) -> dict[str, Any]:
    return {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "phase": "inference", "precision": "bf16"},
        "hardware": {"name": "A100", "accelerators": accelerators},
        "serving": {"prompt": 1000, "output": 200, "scheduler": "prefill_first"},
        "queue": {"rate": qps},
        "constraints": limits,
    }


@cache
def every_plan(scheduler: str) -> tuple[Evaluation, ...]:
    """Each tp, number of replicas and batch, evaluated one by one."""
    found = []
    for tp in (1, 2, 4):
        for replicas in range(1, 4 // tp + 1):
            for requests in range(1, 90):
                given = plan(tp * replicas, tp=tp, requests=requests, scheduler=scheduler)
                e = mlsysim.evaluate_plan(given)
                found.append(e)
                if any(w.wall.number == 5 and w.status == "fail" for w in e.walls):
                    break  # and so is every larger batch
            else:
                raise AssertionError("the pool holds more than are looked at")
    return tuple(found)


def kept(e: Evaluation, tail: float, itl: float) -> bool:
    at_most = 1 + 1e-9
    p99 = e.metric("performance.response_p99") <= tail * at_most
    return e.feasible and p99 and e.metric("performance.itl") <= itl * at_most


@pytest.mark.parametrize("scheduler", ["prefill_first", "chunked"])
@pytest.mark.parametrize("objective", ["cost", "throughput", "latency", "carbon"])
@pytest.mark.parametrize(("tail", "itl"), [(30e3, 1e6), (16e3, 15.0), (3e3, 1e6)])
def test_the_optimum_is_that_of_enumeration(scheduler: str, objective: str, tail: float, itl: float):
    o = batching(plan(), sla_ms=tail, itl_ms=itl, objective=objective, schedulers=(scheduler,), tp=(1, 2, 4))
    wanted = service_goal(objective)
    allowed = [e for e in every_plan(scheduler) if kept(e, tail, itl)]
    if not allowed:
        assert o.exit_code == 3
        assert o.dropped
        return
    assert o.exit_code == 0
    best = min(float(wanted.cost(e.state)) for e in allowed)
    assert float(wanted.cost(o.evaluation.state)) == pytest.approx(best, rel=1e-9)
    same = [e for e in allowed if float(wanted.cost(e.state)) <= best * (1 + 1e-9)]
    if objective == "cost":  # for the same money the one that carries most
        most = max(e.metric("performance.request_capacity") for e in same)
        assert o.evaluation.metric("performance.request_capacity") == pytest.approx(most)
    mine = decisions(o.evaluation)
    alike = [
        d for e in allowed if (d := decisions(e))["tp"] == mine["tp"] and d["replicas"] == mine["replicas"]
    ]
    assert o.decided["largest_safe_requests"] == max(d["requests"] for d in alike)


def test_engines_agree():
    answers = [
        batching(plan(), sla_ms=30e3, solver=solver, tp=(1, 2, 4), schedulers=("chunked", "prefill_first"))
        for solver in ("auto", "highs", "cp-sat", "exhaustive")
    ]
    assert {o.status for o in answers} == {"optimal"}
    values = [o.objective.value for o in answers]
    assert values == pytest.approx([values[0]] * 4, rel=1e-9)
    assert len({str(o.decided) for o in answers}) == 1
    assert all("eval" in o.verified_by for o in answers)


def test_the_tables_are_the_numbers_of_eval():
    """Every cell of every row, against the evaluation of the plan that it stands for."""
    s = scenario(
        plan() | {"constraints": {"tail": "30 s", "ttft_tail": "9 s", "itl": "300 ms", "budget": 1e5}}
    )
    ways = ways_to_run(s, ("bf16", "fp8"), ("chunked", "prefill_first"), ("Llama3_8B",))
    found = recipe.formulate(s, ways, service_goal("cost").cost)
    choice = found.choice
    rows = {row.name: row for row in found.problem.rows}
    assert {"w02[0]", "w04[1]", "w05[0]", "w07[0]", "w07[1]", "w07[2]", "w17[0]"} <= set(rows)
    assert rows["w05[0]"].hard
    for at in np.random.default_rng(2).choice(choice.size, 25, replace=False):
        cells = {choice: np.array([at])}
        e = mlsysim.core.evaluation.evaluate(found.decode(cells)[0])
        cost = float(service_goal("cost").cost(e.state))
        if np.isfinite(cost) and e.feasible:
            assert float(found.problem.objective.at(cells)[0]) == pytest.approx(cost, rel=1e-9)
        for c in recipe.comparisons(e.state, ()):
            if np.isfinite(c.demand) and e.feasible:
                row = rows[c.name]
                assert float(row.demand.at(cells)[0]) == pytest.approx(float(c.demand), rel=1e-9), c.name
                assert float(row.allowed.at(cells)[0]) == pytest.approx(float(c.supply), rel=1e-9), c.name


def test_fewer_replicas_cannot_keep_up():
    s = in_way(scenario(chat(64)), ways_to_run(scenario(chat(64)), (), (), ())[0])
    requests = np.array([1.0, 4.0, 32.0, 200.0])
    one = np.ones(4)
    low = fewest_replicas(tabulated(s, one, requests, one), 64 * one)
    for n, b in zip(low, requests, strict=True):
        for replicas, keeps_up in ((n, True), (n - 1, False)):
            if replicas:
                q = tabulated(s, np.array([1.0]), np.array([b]), np.array([replicas])).queue
                assert bool(q.rate * q.service <= q.servers * (1 - 1e-5)) == keeps_up


@pytest.mark.parametrize("objective", ["cost", "throughput", "latency"])
@pytest.mark.parametrize(("qps", "sla_ms"), [(60.0, 5e3), (5.0, 1e3)])
def test_replicas_left_out_change_nothing(
    monkeypatch: pytest.MonkeyPatch, qps: float, sla_ms: float, objective: str
):
    def ask() -> Optimization:
        return batching(chat(12), qps=qps, sla_ms=sla_ms, objective=objective, tp=(1, 2))

    monkeypatch.setattr(recipe, "MOST_CELLS", 10**9)
    monkeypatch.setattr(recipe, "FEW_CELLS", 10**9)
    whole = ask()
    monkeypatch.setattr(recipe, "FEW_CELLS", 0)
    some = ask()
    assert some.space_size < whole.space_size
    assert (some.exit_code, some.dropped) == (whole.exit_code, whole.dropped)
    assert some.objective.value == pytest.approx(whole.objective.value, rel=1e-9)
    if not some.dropped:
        assert some.decided == whole.decided
    assert [c.least for c in some.conflict] == pytest.approx([c.least for c in whole.conflict])


def test_one_batch_beyond_the_pool_is_there_to_be_forbidden():
    s = in_way(scenario(plan()), ways_to_run(scenario(plan()), (), (), ())[0])
    for tp in (1, 2, 4):
        b = batches(s, tp)
        state = tabulated(s, np.full(len(b), float(tp)), b, np.full(len(b), 4.0))
        held = next(c for c in recipe.comparisons(state, ()) if c.name == "w05[0]")
        over = held.demand > held.supply
        assert over[-1]
        assert not over[0]
        assert (np.diff(b) == 1).all()


def test_options_are_taken_where_they_pay():
    few = batching(chat(8, 40), precisions=("bf16",), tp=(1,))
    many = batching(
        chat(8, 40), precisions=("bf16", "int8"), tp=(1,), schedulers=("chunked", "prefill_first")
    )
    assert many.objective.value <= few.objective.value * (1 + 1e-9)
    slow = batching(chat(8, 2), objective="latency", tp=(4,), replicas=(1,))
    fast = batching(chat(8, 2), objective="latency", tp=(4,), replicas=(1,), drafts=("Llama3_8B",))
    assert fast.objective.value <= slow.objective.value
    assert {c["draft"] for c in batching(chat(8, 2), drafts=("Llama3_8B",), top=5).alternatives} <= {
        None,
        "Llama3_8B",
    }


def test_infeasible_names_the_walls():
    """A model that no replica can hold, and a load that no fleet of this size carries."""
    big = batching(plan(1, "Llama3_70B"), tp=(1,), qps=1e-4)
    assert (big.status, big.exit_code) == ("infeasible", 2)
    assert {c.wall for c in big.conflict} <= {2, 5}
    crowd = batching(plan(4), qps=50.0)
    assert (crowd.status, crowd.exit_code) == ("infeasible", 2)
    assert [c.wall for c in crowd.conflict] == [7]
    assert any("carries at most" in note for note in crowd.notes)


def test_a_target_that_nothing_keeps_is_given_up_and_told():
    o = batching(plan(), sla_ms=1.0)
    assert o.exit_code == 3
    assert o.dropped == ("w07",)
    (member,) = o.conflict
    assert member.supply == pytest.approx(1.0)
    soonest = min(e.metric("performance.response_p99") for e in every_plan("prefill_first") if e.feasible)
    assert member.least == pytest.approx(soonest, rel=1e-5)
    assert o.decided["largest_safe_requests"] is None


def cost(o: Optimization) -> float:
    """What an answer costs an hour; without one, without end."""
    if o.status == "infeasible" or o.dropped:
        return float("inf")
    return o.evaluation.metric("macro.tco_usd")


TARGETS = st.sampled_from([4e3, 6e3, 8e3, 12e3, 30e3])


@settings(max_examples=4, deadline=None)
@given(tail=TARGETS, factor=st.floats(1.0, 3.0), qps=st.floats(0.5, 30.0))
def test_a_tighter_target_never_costs_less(tail: float, factor: float, qps: float):
    tight, loose = (batching(chat(qps=qps), sla_ms=t) for t in (tail, tail * factor))
    assert cost(loose) <= cost(tight) * (1 + 1e-9)


@settings(max_examples=4, deadline=None)
@given(tail=TARGETS, factor=st.floats(1.0, 3.0), qps=st.floats(0.5, 30.0))
def test_more_load_never_costs_less(tail: float, factor: float, qps: float):
    calm, busy = (batching(chat(), qps=q, sla_ms=tail) for q in (qps, qps * factor))
    assert cost(calm) <= cost(busy) * (1 + 1e-9)


@settings(max_examples=4, deadline=None)
@given(tail=TARGETS, fleet=st.integers(1, 8), more=st.integers(1, 8), qps=st.floats(0.5, 30.0))
def test_more_hardware_never_costs_more(tail: float, fleet: int, more: int, qps: float):
    small, large = (batching(chat(n, qps=qps), sla_ms=tail) for n in (fleet, fleet + more))
    assert cost(large) <= cost(small) * (1 + 1e-9)


@settings(max_examples=4, deadline=None)
@given(
    prompt=st.integers(100, 30_000),
    model=st.sampled_from(["Llama3_8B", "Mixtral_8x7B", "Llama3_70B"]),
    qps=st.floats(0.1, 50.0),
    objective=st.sampled_from(["cost", "throughput", "latency"]),
)
def test_no_answer_overflows_its_cache(prompt: int, model: str, qps: float, objective: str):
    o = batching(plan(8, model, prompt=prompt), qps=qps, objective=objective)
    if o.status == "optimal":
        assert o.evaluation.feasible
        held = o.evaluation.state.batching
        assert o.decided["requests"] <= o.evaluation.metric("feasibility.kv_requests") + 1
        assert held is not None


def test_what_the_plan_fixes_stays_fixed():
    o = batching(chat(8, 5) | {"serving": {"prompt": 1000, "output": 200, "tp": 2, "scheduler": "chunked"}})
    assert (o.decided["tp"], o.decided["scheduler"]) == (2, "chunked")
    asked = batching(chat(8, 5), replicas=(3,), tp=(1, 2))
    assert asked.decided["replicas"] == 3
    held = batching(
        chat(8, 5) | {"constraints": {"assert": [{"metric": "performance.utilization", "max": 0.2}]}}
    )
    assert held.evaluation.metric("performance.utilization") <= 0.2 * (1 + 1e-6)


def test_refused():
    with pytest.raises(InputError, match="deployments to choose from"):
        batching(chat(8), tp=(3,))
    quiet = {k: v for k, v in chat().items() if k != "queue"}
    with pytest.raises(InputError, match="no load"):
        batching(quiet)
    assert batching(quiet, qps=1.0).exit_code == 0
    with pytest.raises(InputError) as caught:
        batching(chat(), precisions=("fp3",))
    assert caught.value.where

"""``optimize serving`` from the plan to the answer and back."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml

from mlsysim.core.api import evaluate_plan
from mlsysim.core.errors import InputError
from mlsysim.core.schemas import result_schema
from mlsysim.core.solver.serving_check import broken
from mlsysim.core.solver.serving_mix import serving

PLAN = {
    "version": "1.0",
    "workload": {"name": "Llama3_8B", "phase": "inference", "precision": "bf16"},
    "hardware": {"name": "H100"},
    "ops": {"ownership": "rent"},
    "constraints": {"ttft": "2 s", "itl": "60 ms"},
    "mix": {
        "classes": [
            {"name": "chat", "prompt": 500, "output": 250, "rate": 10, "itl": "40 ms"},
            {"name": "code", "prompt": 2000, "output": 40, "rate": 6},
            {"name": "documents", "prompt": 7000, "output": 300, "rate": 0.5, "ttft": "8 s"},
        ],
        "accelerators": [{"name": "L4"}, {"name": "A100"}, {"name": "H100"}],
        "tp": [1, 2],
    },
}


def plan(**changes):
    """The plan with some keys of its mix replaced."""
    found = copy.deepcopy(PLAN)
    found["mix"].update(changes)
    return found


def value(result):
    return result.best.objective


def test_the_answer_is_proven_confirmed_and_fits_its_schema():
    found = serving(plan(), verify=True)
    assert found.best.status == "optimal"
    assert found.best.gap <= 1e-6
    assert found.confirmed_by == "scip"
    assert found.exit_code == 0
    document = found.to_dict()
    jsonschema.validate(json.loads(json.dumps(document)), result_schema())
    hour = document["solution"]["hours"][0]
    assert hour["cost_usd"] == pytest.approx(document["solution"]["objective"]["value"], rel=1e-6)
    for name, rate in (("chat", 10), ("code", 6), ("documents", 0.5)):
        served = sum(c["rate"] for p in hour["pools"] for c in p["classes"] if c["name"] == name)
        assert served == pytest.approx(rate)
    assert all(len(line) <= 80 for line in found.scorecard().splitlines())


def test_a_pool_is_what_eval_makes_of_it():
    """One class on one pool: rates, times and KV blocks are those of an ordinary plan's walls."""
    only = plan(classes=[PLAN["mix"]["classes"][0]], accelerators=[{"name": "H100"}], tp=[1])
    (runs,) = serving(only).hours
    (r,) = runs
    ordinary = {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "phase": "inference", "precision": "bf16"},
        "hardware": {"name": "H100", "accelerators": r.given.instances},
        "ops": {"ownership": "rent", "duration_days": 1.0 / 24.0},
        "serving": {
            "prompt": 500,
            "output": 250,
            "output_cv": 0.0,
            "requests": int(r.given.batch[0]),
            "scheduler": "chunked",
        },
        "queue": {"rate": 10.0},
    }
    e = evaluate_plan(ordinary)
    state = e.state
    assert float(state.serving.itl) == pytest.approx(r.mixed_itl, rel=1e-9)
    assert float(state.serving.ttft) + r.wait == pytest.approx(float(r.ttft[0]), rel=1e-9)
    assert 10.0 / (float(state.serving.rate) * r.given.instances) == pytest.approx(r.utilization, rel=1e-9)
    assert float(state.bill.tco) == pytest.approx(r.cost, rel=1e-9)
    kv = next(w for w in e.walls if w.wall.number == 5)
    assert kv.demand / kv.supply == pytest.approx(r.cache, rel=1e-9)


def test_tighter_targets_spares_and_smaller_stocks_never_cost_less():
    base = value(serving(plan()))
    tight = copy.deepcopy(PLAN)
    tight["constraints"] = {"ttft": "600 ms", "itl": "30 ms"}
    tight["mix"]["classes"][2]["ttft"] = "3 s"
    assert value(serving(tight)) >= base * (1 - 1e-9)
    assert value(serving(plan(spare=1))) >= base
    assert value(serving(plan(accelerators=PLAN["mix"]["accelerators"][:2]))) >= base * (1 - 1e-9)
    assert value(serving(plan(scale=1.5))) >= base
    few = [{"name": "L4", "available": 3}, {"name": "A100", "available": 2}, {"name": "H100", "available": 1}]
    assert value(serving(plan(accelerators=few))) >= base * (1 - 1e-9)


def test_a_spare_may_fail_and_targets_still_hold():
    found = serving(plan(spare=1))
    assert not broken(found.question, found.hours, 1e-9)
    for r in found.hours[0]:
        assert r.given.instances >= 2
        assert r.utilization < 1


def test_split_roles_keep_links_and_targets():
    found = serving(plan(roles=["prefill", "decode"]), verify=True)
    assert found.best.status == "optimal"
    assert {r.given.role for r in found.hours[0]} == {"prefill", "decode"}
    assert all(0 < r.links <= 1 for r in found.hours[0])
    both = serving(plan(roles=["mixed", "prefill", "decode"]))
    assert value(both) <= min(value(found), value(serving(plan()))) * (1 + 1e-9)


def test_a_day_follows_its_hours():
    hours = [0.2, 0.2, 1.0, 1.0, 0.5]
    found = serving(plan(hours=hours, scale=10))
    cost = [sum(r.cost for r in runs) for runs in found.hours]
    assert cost[0] == cost[1] < cost[2] == cost[3] > cost[4]
    steady = serving(plan(hours=hours, scale=10, start_up="12 min"), time_limit=3.0)
    assert value(steady) >= value(found) * (1 - 1e-3)
    assert steady.best.bound <= value(steady)


def test_carbon_and_a_tax_change_what_is_best():
    cost, carbon = serving(plan()), serving(plan(), objective="carbon")
    assert carbon.value(carbon.hours[0]) <= sum(r.carbon for r in cost.hours[0]) * (1 + 1e-9)
    taxed = serving(plan(), objective="cost+carbon", carbon_tax=100.0)
    paid = sum(r.cost + 0.1 * r.carbon for r in taxed.hours[0])
    assert value(taxed) == pytest.approx(paid)


LONG = {"prompt": 5000, "output": 50, "rate": 1}
ONE_L4 = {"accelerators": [{"name": "L4"}], "tp": [1], "token_budget": 128}


@pytest.mark.parametrize(
    ("changes", "tags", "code"),
    [
        ({"accelerators": [{"name": "H100", "available": 0}]}, ["stock"], 2),
        ({"accelerators": [{"name": "H100", "available": 1}], "spare": 1}, ["spare", "stock"], 3),
        (ONE_L4 | {"classes": [LONG | {"ttft": "100 ms", "itl": "1 s"}]}, ["ttft"], 3),
        (ONE_L4 | {"classes": [LONG | {"itl": "1 ms"}]}, ["itl"], 3),
    ],
)
def test_what_cannot_hold_is_named(changes, tags, code):
    found = serving(plan(**changes))
    assert [c.tag for c in found.clash] == tags
    assert found.exit_code == code
    jsonschema.validate(json.loads(json.dumps(found.to_dict())), result_schema())
    assert "No mix exists" in found.scorecard()


def test_weights_that_fit_nowhere():
    given = plan(accelerators=[{"name": "L4"}], tp=[1])
    given["workload"]["name"] = "Llama3_70B"
    found = serving(given)
    assert found.exit_code == 2
    assert [c.tag for c in found.clash] == ["memory"]


def test_a_trace_is_served_bucket_by_bucket(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    lines += [f"{0.2 * k},{rng.integers(50, 4000)},{rng.integers(5, 400)}" for k in range(400)]
    (tmp_path / "trace.csv").write_text("\n".join(lines), encoding="utf-8")
    given = plan(trace="trace.csv", buckets=4, classes=[])
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(given), encoding="utf-8")
    found = serving(path)
    assert found.best.status == "optimal"
    assert len(found.question.demand.names) == 16
    assert found.question.demand.rate.sum() == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("changes", "where", "problem"),
    [
        ({"accelerators": [{"name": "H1000"}]}, "mix.accelerators.0.name", "no hardware called"),
        ({"accelerators": [{"name": "H100"}, {"name": "H100"}]}, "mix.accelerators.1", "twice"),
        ({"precision": ["bf15"]}, "mix.precision.0", "no precision called"),
        ({"hours": [0, 0]}, "mix.hours", "no hour"),
        ({"classes": []}, "mix", "classes or a trace"),
        ({"roles": ["prefill"]}, "mix", "only go together"),
        ({"classes": [{"prompt": 5, "output": 5, "rate": 1, "ttft": "5 kg"}]}, "mix.classes.0.ttft", "kg"),
        ({"classes": [{"prompt": 5, "output": 5, "rats": 1}]}, "mix.classes.0.rats", "unknown key"),
        ({"trace": "none.csv", "classes": []}, "none.csv", "cannot be read"),
    ],
)
def test_errors_tell_their_place(tmp_path, changes, where, problem):
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan(**changes)), encoding="utf-8")
    with pytest.raises(InputError, match=problem) as caught:
        serving(path)
    assert where in caught.value.where


def test_a_plan_without_a_mix_says_so():
    with pytest.raises(InputError, match="no mix"):
        serving({k: v for k, v in PLAN.items() if k != "mix"})
    with pytest.raises(InputError, match="no objective called"):
        serving(PLAN, objective="speed")
    with pytest.raises(InputError, match="solves no serving mix"):
        serving(PLAN, solver="cp-sat")


@pytest.mark.parametrize("suffix", [".lp", ".mps"])
def test_the_program_can_be_written(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    serving(plan(), export=str(path))
    assert "w07(" in Path(path).read_text(encoding="utf-8")

"""Decisions beside the layout, and objectives beside the step: against one evaluation at a time."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

import mlsysim
import mlsysim.optimize
from formulations.joint import count
from mlsysim.core.api import scenario
from mlsysim.core.errors import InputError, UnknownNameError
from mlsysim.core.evaluation import evaluate
from mlsysim.core.solver.objectives import NAMES, goal
from mlsysim.core.variants import counts, variants, with_decisions

RELATIVE = 1e-6
SMALL = {
    "version": "1.0",
    "workload": {"name": "Llama3_2_1B", "batch_size": 24, "seq_len": 2048, "training_tokens": 1e9},
    "hardware": {"name": "H100", "accelerators": 16},
    "ops": {"region": "Quebec"},
}
DECISIONS = {"cp": 1, "interleave": 1, "zero_stage": [0, 1], "microbatch_size": [1, 2], "tp": {"max": 4}}


def plan(parallelism: dict[str, Any] | None = None, **blocks: Any) -> dict[str, Any]:
    return SMALL | blocks | {"parallelism": DECISIONS | (parallelism or {})}


def one_by_one(given: dict[str, Any], cost) -> list[float]:
    """Return the cost of the best layout of each fleet, precision and interval, solved on its own."""
    s = scenario(given)
    worth = []
    for variant in variants(s, intervals=False):
        here = variant.scenario
        fixed = {name: wish for name, wish in here.settings.fixed.items() if name != "accelerators"}
        block = {name: wish.given() for name, wish in fixed.items() if name != "precision"}
        alone = {
            **given,
            "workload": given["workload"] | {"precision": here.precision},
            "hardware": {"name": given["hardware"]["name"], "accelerators": here.accelerators},
            "parallelism": block,
        }
        found = mlsysim.optimize.parallelism(alone, solver="exhaustive")
        if found.status == "optimal":
            worth.append(float(cost(found.evaluation.state)))
    return worth


@pytest.mark.parametrize("solver", ["auto", "highs", "cp-sat", "exhaustive"])
@pytest.mark.parametrize(
    "block",
    [
        {"accelerators": {"max": 16}},
        {"accelerators": [2, 4, 6]},
        {"accelerators": {"min": 4, "max": 8}, "precision": ["bf16", "fp8"]},
        {"precision": ["fp8", "bf16"], "offload_optimizer": False},
    ],
    ids=["at most", "listed", "both", "precision"],
)
def test_the_step_is_the_shortest_of_all_fleets(block, solver):
    given = plan(block)
    found = mlsysim.optimize.parallelism(given, solver=solver)
    assert found.status == "optimal"
    assert found.objective.value == pytest.approx(
        min(one_by_one(given, lambda state: state.time)), rel=RELATIVE
    )
    again = mlsysim.evaluate_plan(found.plan)
    assert float(again.state.time) == pytest.approx(found.objective.value, rel=RELATIVE)
    assert again.scenario.accelerators == found.decided["accelerators"]
    assert again.scenario.precision == found.decided["precision"]


@pytest.mark.parametrize("name", NAMES)
def test_each_objective_is_the_best_of_all_fleets(name):
    given = plan({"accelerators": [2, 4, 8, 12], "offload_optimizer": False})
    wanted = goal(name, 0.1, 100.0)
    answers = {}
    for solver in ("auto", "highs", "cp-sat"):
        found = mlsysim.optimize.parallelism(given, objective=name, carbon_tax=100.0, solver=solver)
        assert found.status == "optimal"
        answers[solver] = found.objective.value
        assert found.objective.gap <= RELATIVE
    # every layout of every fleet, on its own
    costs = []
    for n in (2, 4, 8, 12):
        here = with_decisions(scenario(given), n, "bf16")
        alone = {**given, "hardware": {"name": "H100", "accelerators": n}, "parallelism": DECISIONS}
        best = mlsysim.optimize.parallelism(alone, solver="exhaustive")
        costs.append(float(wanted.cost(evaluate(here, best.evaluation.layout).state)))
    for value in answers.values():
        assert value == pytest.approx(wanted.shown(min(costs)), rel=RELATIVE)


def test_of_equally_good_answers_the_fewest_model_parallel_ranks():
    given = {
        **SMALL,
        "workload": {"name": "ResNet50", "batch_size": 256},
        "hardware": {"name": "V100", "accelerators": 4},
    }
    layout = mlsysim.optimize.parallelism(given).evaluation.layout
    assert layout.tp * layout.cp * layout.pp == 1
    fewest = mlsysim.optimize.parallelism(plan({"accelerators": 4}), objective="accelerators")
    ranks = [
        e.tp * e.pp
        for e in (
            mlsysim.optimize.parallelism(plan({"accelerators": 4, "tp": t})).evaluation.layout for t in (1, 2)
        )
    ]
    assert fewest.evaluation.layout.tp * fewest.evaluation.layout.pp <= min(ranks)


def test_the_interval_between_checkpoints_gives_way_to_a_limit():
    free = mlsysim.optimize.parallelism(plan(), objective="training-time")
    stall = free.evaluation.state.checkpoint.stall
    share = float(stall / free.evaluation.state.checkpoint.interval)
    tight = mlsysim.optimize.parallelism(
        plan(constraints={"checkpoint": share / 3}), objective="training-time"
    )
    assert tight.status == "optimal"
    assert tight.exit_code == 0
    interval = tight.decided["checkpoint_interval_s"]
    assert interval >= 3 * free.decided["checkpoint_interval_s"] * (1 - RELATIVE)
    # no longer than the limit asks for, to a step of the grid
    assert interval <= 3 * free.decided["checkpoint_interval_s"] * 2 ** (1 / 8) * (1 + RELATIVE)
    assert tight.objective.value > free.objective.value
    assert mlsysim.evaluate_plan(tight.plan).state.checkpoint.interval == pytest.approx(interval)


def test_the_fewest_accelerators_for_a_deadline():
    deadline = {"assert": [{"metric": "performance.training_time", "max": "3 h"}]}
    found = mlsysim.optimize.parallelism(
        plan({"accelerators": {"max": 16}}, constraints=deadline), objective="accelerators"
    )
    assert found.exit_code == 0
    n = found.decided["accelerators"]
    fewer = [k for k in counts(scenario(plan({"accelerators": {"max": 16}}))) if k < n]
    for k in fewer:
        alone = mlsysim.optimize.parallelism(plan({"accelerators": k}, constraints=deadline))
        assert alone.exit_code != 0


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("tp", [1, 2, 4]),
        ("pp", [1, 2, 4, 8]),
        ("microbatch_size", [1, 2]),
        ("zero_stage", [0, 1, 3]),
        ("recompute", ["none", "full"]),
        ("offload_optimizer", [False, True]),
        ("overlap_gradients", [False, True]),
    ],
)
def test_a_list_is_the_best_of_its_values(name, values):
    base = {k: v for k, v in DECISIONS.items() if k != name} | {"accelerators": 8}
    given = SMALL | {"parallelism": base | {name: values}}
    together = mlsysim.optimize.parallelism(given).objective.value
    alone = []
    for value in values:
        found = mlsysim.optimize.parallelism(SMALL | {"parallelism": base | {name: value}})
        alone.append(found.objective.value)
        got = getattr(found.evaluation.layout, name)
        assert got == value or name in (
            "zero_stage",
            "overlap_gradients",
        )  # nothing to shard, nothing to hide
    assert together == pytest.approx(min(x for x in alone if x is not None), rel=RELATIVE)


def test_the_space_is_counted():
    found = mlsysim.optimize.parallelism(plan({"accelerators": [2, 4]}))
    parts = [mlsysim.optimize.parallelism(plan({"accelerators": n})).space_size for n in (2, 4)]
    assert found.space_size == sum(parts)
    alone = mlsysim.optimize.parallelism(plan({"accelerators": 4}))
    assert alone.space_size == parts[1] == count(alone.problem)


def test_alternatives_are_the_next_best_of_all_fleets():
    given = plan({"accelerators": [2, 4], "offload_optimizer": False})
    found = mlsysim.optimize.parallelism(given, top=6)
    values = [found.objective.value * 1e3, *(a["objective"] for a in found.alternatives)]
    assert len(values) == 6
    assert values == sorted(values)
    each = [
        a
        for n in (2, 4)
        for r in [mlsysim.optimize.parallelism(plan({"accelerators": n, "offload_optimizer": False}), top=6)]
        for a in (r.objective.value * 1e3, *(x["objective"] for x in r.alternatives))
    ]
    assert values == pytest.approx(sorted(each)[:6], rel=RELATIVE)


def test_a_warm_start_changes_no_answer(tmp_path):
    cold = mlsysim.optimize.parallelism(plan())
    file = tmp_path / "result.json"
    file.write_text(json.dumps(cold.to_dict()))
    warm = mlsysim.optimize.parallelism(plan(), warm_start=str(file))
    assert warm.decided == cold.decided
    assert not warm.notes
    other = mlsysim.optimize.parallelism(plan({"tp": 2, "accelerators": 2}), warm_start=file)
    assert "warm start" in other.notes[0]
    file.write_text("{}")
    with pytest.raises(InputError, match="no layout"):
        mlsysim.optimize.parallelism(plan(), warm_start=file)
    file.write_text("{,")
    with pytest.raises(InputError, match="not JSON"):
        mlsysim.optimize.parallelism(plan(), warm_start=file)


def test_a_second_engine_confirms():
    found = mlsysim.optimize.parallelism(plan(), verify=True)
    assert found.confirmed_by == "exhaustive"
    model = {"name": "Llama3_70B", "batch_size": 192}
    fleet = {"name": "H100", "accelerators": 192}
    large = mlsysim.optimize.parallelism(SMALL | {"workload": model, "hardware": fleet}, verify=True)
    assert large.space_size > 2e6
    assert large.confirmed_by == "cp-sat"
    nothing = mlsysim.optimize.parallelism(
        {
            **SMALL,
            "workload": {"name": "Llama3_405B", "batch_size": 16},
            "hardware": {"name": "L4", "accelerators": 8},
        },
        verify=True,
    )
    assert nothing.status == "infeasible"
    assert nothing.confirmed_by


def test_a_plan_to_compare_stands_beside_the_optimum():
    mine = plan({"tp": 4, "accelerators": 16, "pp": 1, "recompute": "full"})
    found = mlsysim.optimize.parallelism(plan({"accelerators": 16}), compare=mine)
    document = found.to_dict()["solution"]["compared"]
    assert document["objective"] >= found.objective.value * 1e3
    assert len(document["walls"]) == 22
    text = found.scorecard()
    assert "yours" in text
    assert "Communication" in text


def test_progress_closes_in():
    told = []
    mlsysim.optimize.parallelism(plan(), solver="highs", progress=lambda *x: told.append(x))
    best = [b for b, _ in told if b is not None]
    bounds = [b for _, b in told if b is not None]
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in itertools.pairwise(best))
    assert bounds[-1] == pytest.approx(best[-1])


@pytest.mark.parametrize(("name", "suffix"), list(itertools.product(("time", "cost"), (".lp", ".mps"))))
def test_the_model_is_exported(tmp_path, name, suffix):
    file = tmp_path / f"model{suffix}"
    mlsysim.optimize.parallelism(plan({"accelerators": 4}), objective=name, export=str(file))
    text = file.read_text()
    assert "w02" in text
    assert "layer" in text


def test_what_is_wrong_is_said():
    with pytest.raises(UnknownNameError, match="objective"):
        mlsysim.optimize.parallelism(plan(), objective="tim")
    with pytest.raises(UnknownNameError, match="target"):
        mlsysim.optimize.parallelism(plan(), emit="megatro")
    vision = {**SMALL, "workload": {"name": "ResNet50", "batch_size": 64}}
    with pytest.raises(InputError, match="tokens"):
        mlsysim.optimize.parallelism(vision, objective="cost")
    with pytest.raises(InputError, match="accelerators"):
        mlsysim.evaluate_plan(plan({"accelerators": 32}))
    twice = {**SMALL, "workload": SMALL["workload"] | {"precision": "bf16"}}
    with pytest.raises(InputError, match="twice"):
        mlsysim.evaluate_plan(twice | {"parallelism": {"precision": ["bf16", "fp8"]}})

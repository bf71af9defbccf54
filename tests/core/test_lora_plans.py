"""Plans that train low-rank adapters: read, written back, optimized, refused where they make no sense."""

from __future__ import annotations

from typing import Any

import pytest

import mlsysim.optimize
from mlsysim.core.api import evaluate_plan
from mlsysim.core.errors import InputError
from mlsysim.core.plan_out import plan_of
from mlsysim.handover import launch

PLAN: dict[str, Any] = {
    "version": "1.0",
    "workload": {"name": "Llama3_8B", "batch_size": 32, "seq_len": 4096, "lora": {"rank": 16}},
    "hardware": {"name": "H100", "nodes": 1},
    "parallelism": {"tp": [1, 2, 8], "microbatch_size": [1, 2]},
}


FIXED = {"tp": 8, "offload_optimizer": False}


def plan(**lora: Any) -> dict[str, Any]:
    """The plan with adapters of its own."""
    return PLAN | {"workload": PLAN["workload"] | {"lora": lora}}


def test_all_products_have_adapters_where_none_are_named():
    found = evaluate_plan(PLAN).scenario.settings.lora
    assert found is not None
    assert (found.rank, found.targets) == (16.0, ("qkv", "projection", "up", "down"))


def test_a_plan_written_back_says_the_same():
    evaluation = evaluate_plan(plan(rank=8, targets=["qkv", "down", "qkv"]))
    written = plan_of(evaluation.scenario, evaluation.layout)
    assert written["workload"]["lora"] == {"rank": 8, "targets": ["qkv", "down"]}
    assert evaluate_plan(written).state.time == evaluation.state.time


@pytest.mark.parametrize("engine", ["highs", "cp-sat", "exhaustive"])
def test_engines_agree_about_adapters(engine):
    """The answer is decoded and evaluated again inside: a disagreement of more than 1e-6 would raise."""
    best = mlsysim.optimize.parallelism(PLAN, solver=engine)
    assert best.status == "optimal"
    assert best.objective.value == pytest.approx(mlsysim.optimize.parallelism(PLAN).objective.value, rel=1e-6)


def test_adapters_fit_where_the_whole_model_does_not():
    large = PLAN["workload"] | {"name": "Llama3_70B"}
    whole = {key: value for key, value in large.items() if key != "lora"}
    tuned = mlsysim.optimize.parallelism(PLAN | {"workload": large, "parallelism": FIXED})
    full = mlsysim.optimize.parallelism(PLAN | {"workload": whole, "parallelism": FIXED})
    assert (tuned.status, full.status) == ("optimal", "infeasible")


def test_a_checkpoint_holds_the_adapters():
    def size(workload: dict[str, Any]) -> float:
        return float(evaluate_plan(PLAN | {"workload": workload}).scenario.extras["checkpoint"].size)

    whole = {key: value for key, value in PLAN["workload"].items() if key != "lora"}
    assert size(PLAN["workload"]) < 0.05 * size(whole)


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        ({"lora": {"rank": 0}}, "rank"),
        ({"lora": {"targets": []}}, "targets"),
        ({"lora": {"targets": ["experts"]}}, "targets"),
        ({"phase": "inference"}, "lora is of training"),
        ({"name": "ResNet50", "seq_len": None}, "where adapters would go"),
    ],
)
def test_what_makes_no_sense_is_refused(workload, said):
    with pytest.raises(InputError, match=said):
        evaluate_plan(PLAN | {"workload": PLAN["workload"] | workload})


def test_no_framework_is_told_to_train_the_whole_model_instead():
    with pytest.raises(InputError, match="low-rank adapters"):
        launch.launch_of(evaluate_plan(PLAN))

"""What Python users call: the same checks as the command line, with their own names."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import mlsysim
from mlsysim.core.errors import InputError, UnknownNameError

CLUSTER = Path(__file__).parents[2] / "examples" / "example_cluster.yaml"


def test_names_and_entries_say_the_same():
    by_name = mlsysim.SystemEvaluator.evaluate("a", "Llama3_8B", "H100", batch_size=4, seq_len=100)
    by_entry = mlsysim.SystemEvaluator.evaluate(
        "a",
        mlsysim.Models.Language.Llama3_8B,
        mlsysim.Hardware.Cloud.H100,
        batch_size=4,
        seq_len=100,
        region=mlsysim.Infra["US_Avg"],
    )
    assert by_name.metric("performance.latency") == by_entry.metric("performance.latency")
    assert by_name.scenario.name == "a"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("model_obj", "Lama3"),
        ("model_obj", 5),
        ("model_obj", ""),
        ("hardware_obj", "H1000"),
        ("hardware_obj", None),
        ("batch_size", 0),
        ("batch_size", True),
        ("batch_size", 1.0),
        ("batch_size", 10**10),
        ("seq_len", -1),
        ("seq_len", 10**9),
        ("precision", "FP16"),
        ("precision", "fp4"),
        ("precision", 16),
        ("efficiency", 0),
        ("efficiency", 1.1),
        ("efficiency", float("nan")),
        ("efficiency", "high"),
        ("phase", "serving"),
        ("accelerators", 0),
        ("region", "Atlantis"),
        ("region", 7),
    ],
)
def test_a_wrong_argument_is_named(argument: str, value: Any):
    arguments: dict[str, Any] = {"model_obj": "Llama3_8B", "hardware_obj": "H100"} | {argument: value}
    with pytest.raises(InputError) as caught:
        mlsysim.SystemEvaluator.evaluate(**arguments)
    assert caught.value.where == argument.removesuffix("_obj")


def test_errors_found_after_reading_have_the_place_in_the_file(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(CLUSTER.read_text().replace("nodes: 64", "accelerators: 509"))
    with pytest.raises(InputError) as caught:
        mlsysim.evaluate_plan(path)
    assert caught.value.where == f"{path}:4: workload.batch_size"
    with pytest.raises(UnknownNameError) as unknown:
        mlsysim.optimize.placement(CLUSTER, regions=("Atlantis",))
    assert unknown.value.where == ""  # not of the plan: an argument


def test_an_option_is_no_key_of_the_plan():
    with pytest.raises(InputError) as caught:
        mlsysim.optimize.parallelism(CLUSTER, gap=-1.0)
    assert caught.value.where == "gap"


def test_mappings_have_keys_and_no_lines():
    plan = {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "batch_size": 7},
        "hardware": {"name": "H100", "accelerators": 509},
    }
    with pytest.raises(InputError) as caught:
        mlsysim.evaluate_plan(plan)
    assert caught.value.where == "workload.batch_size"


def test_threads_do_not_mix_up_their_plans(tmp_path):
    places: dict[int, str] = {}

    def work(number: int) -> None:
        path = tmp_path / f"plan{number}.yaml"
        blank = "\n" * number
        path.write_text(blank + CLUSTER.read_text().replace("nodes: 64", "accelerators: 509"))
        try:
            mlsysim.evaluate_plan(path)
        except InputError as error:
            places[number] = error.where.removeprefix(str(path))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert places == {n: f":{n + 4}: workload.batch_size" for n in range(8)}

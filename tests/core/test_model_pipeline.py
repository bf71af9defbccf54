"""Chains of models: what flows, and what is said when it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mlsysim import evaluate_plan
from mlsysim.core import units
from mlsysim.core.errors import InputError, UnknownNameError
from mlsysim.core.solver.models import (
    CheckpointModel,
    DataModel,
    DistributedModel,
    EconomicsModel,
    ForwardModel,
    InferenceScalingModel,
    Port,
    ReliabilityModel,
    ScalingModel,
    ServingModel,
    SustainabilityModel,
    TailLatencyModel,
)
from mlsysim.core.solver.pipeline import Pipeline

TRAINING = (
    DistributedModel(),
    DataModel(),
    CheckpointModel(),
    ReliabilityModel(),
    ScalingModel(),
    EconomicsModel(),
    SustainabilityModel(),
)
GIVEN: dict[str, Any] = {
    "model": "Llama3_8B",
    "hardware": "H100",
    "batch_size": 1024,
    "nodes": 8,
    "training_tokens": "1e12 token",
    "region": "Quebec",
}


def test_a_training_run_from_step_to_carbon():
    flow = Pipeline(TRAINING).run(**GIVEN)
    step, tokens = flow["step_time"], flow["tokens_per_step"]
    run = step * (units.quantity(1e12, "token") / tokens)
    assert flow["duration"].to("day").magnitude == pytest.approx(run.to("day").magnitude, rel=1e-12)
    e = evaluate_plan(
        {
            "version": "1.0",
            "workload": {"name": "Llama3_8B", "batch_size": 1024, "training_tokens": 1e12},
            "hardware": {"name": "H100", "nodes": 8},
            "ops": {"region": "Quebec", "duration_days": run.to("day").magnitude},
        }
    )
    for name, metric in (
        ("step_time", "performance.latency"),
        ("mfu", "performance.mfu"),
        ("cost", "macro.tco_usd"),
        ("carbon", "macro.carbon_tco2e"),
        ("energy", "macro.energy_kwh"),
    ):
        assert flow[name].magnitude == pytest.approx(e.metric(metric), rel=1e-12), name
    assert flow["goodput"].magnitude == pytest.approx(e.state.losses.useful, rel=1e-12)
    assert [r.model for r in flow.results] == [m.name for m in TRAINING]
    assert flow.to_dict()["results"][0]["values"]["step_time"]["unit"] == "ms"


def test_where_things_come_from():
    stages = Pipeline(TRAINING).stages(GIVEN)
    assert stages[1].takes["step_time"] == 1
    assert stages[3].takes["checkpoint_interval"] == 3
    assert stages[4].takes["tokens_per_step"] == 1
    assert stages[5].takes["duration"] == 5
    assert stages[5].takes["region"] == 0


def test_an_input_goes_before_a_result():
    pipeline = Pipeline([DistributedModel(), DataModel()])
    flow = pipeline.run(model="Llama3_8B", hardware="H100", batch_size=64, step_time="1 us")
    assert flow["data_stall_share"].magnitude > 0
    assert flow.stages[1].takes["step_time"] == 0


def test_a_served_model():
    flow = Pipeline([ServingModel(), TailLatencyModel(), InferenceScalingModel()]).run(
        model="Llama3_8B",
        hardware="H100",
        batch_size=16,
        arrival_rate=5,
        reasoning_steps=4,
        reasoning_tokens=100,
    )
    e = evaluate_plan(
        {
            "version": "1.0",
            "workload": {"name": "Llama3_8B", "phase": "inference", "batch_size": 16},
            "hardware": {"name": "H100"},
            "queue": {"rate": 5},
            "reasoning": {"steps": 4, "tokens_per_step": 100},
        }
    )
    assert flow["tail_latency"].magnitude == pytest.approx(e.walls[6].demand, rel=1e-12)
    assert flow["answer_time"].magnitude == pytest.approx(e.walls[11].demand, rel=1e-12)
    assert flow.stages[2].takes == {"ttft": 1, "itl": 1, "reasoning_steps": 0, "reasoning_tokens": 0}


def test_several_samples_are_served_together():
    pipeline = Pipeline([ServingModel(), InferenceScalingModel()])
    given = {"model": "Llama3_8B", "hardware": "H100", "reasoning_steps": 4, "reasoning_tokens": 100}
    flow = pipeline.run(**given, samples=8)
    alone = pipeline.run(**given)
    assert "ttft" not in flow.stages[1].takes
    assert flow["answer_time"] > alone["answer_time"]


EXPLAINED = """\
          name                 unit    from

1  CheckpointModel: wall 19 Checkpoint
   takes  model                        input
          hardware                     input
          batch_size           sample  input
   gives  checkpoint_size      GB
          checkpoint_bandwidth GB/s
          checkpoint_stall     s
          checkpoint_interval  s
"""


def test_explain_says_what_flows():
    text = Pipeline(TRAINING).explain()
    lines = text.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert [line.split(":")[0] for line in lines if line[:1].isdigit()] == [
        f"{i}  {m.name}" for i, m in enumerate(TRAINING, start=1)
    ]
    assert "1  DistributedModel: wall 14 Communication" in lines
    words = [line.split() for line in lines]
    assert ["step_time", "ms", "1", "DistributedModel"] in words
    assert ["duration", "day", "5", "ScalingModel"] in words
    assert ["checkpoint_interval", "s", "3", "CheckpointModel"] in words
    assert ["batch_size", "sample", "input"] in words
    assert ["gives", "cost", "USD"] in words


def test_explain_of_one_model_is_this():
    def squeezed(text: str) -> list[str]:
        return [" ".join(line.split()) for line in text.splitlines()]

    assert squeezed(Pipeline([CheckpointModel()]).explain()) == squeezed(EXPLAINED)


def test_explain_shows_what_is_missing_and_after_a_run_the_numbers():
    pipeline = Pipeline([ServingModel(), TailLatencyModel()])
    text = pipeline.explain("model", "hardware")
    assert ["takes", "arrival_rate", "1/s", "MISSING"] in [sorted_words(line) for line in text.splitlines()]
    flow = pipeline.run(model="Llama3_8B", hardware="H100", arrival_rate=1)
    shown = flow.explain()
    assert all(len(line) <= 80 for line in shown.splitlines())
    busy = next(line for line in shown.splitlines() if "busy_servers" in line)
    assert float(busy.split()[-1]) == pytest.approx(flow["busy_servers"].magnitude, rel=1e-3)


def sorted_words(line: str) -> list[str]:
    words = line.split()
    return words if words[:1] == ["takes"] else ["takes", *words]


# -- errors ---------------------------------------------------------------------------------------


def test_missing_input_names_the_model():
    with pytest.raises(InputError) as caught:
        Pipeline(TRAINING).run(**{k: v for k, v in GIVEN.items() if k != "nodes"})
    text = str(caught.value)
    assert "EconomicsModel (stage 6): 'accelerators' is missing" in text
    assert "give accelerators" in text


def test_nothing_runs_when_something_is_missing():
    class Never(ForwardModel):
        """Fails when it is asked."""

        walls = (1,)
        ways = ((),)
        gives = ()

        def read(self, given: Mapping[str, Any], numbers: Mapping[str, float], take: Any) -> Any:
            raise AssertionError

    with pytest.raises(InputError, match=r"TailLatencyModel \(stage 2\): 'service_time' is missing"):
        Pipeline([Never(), TailLatencyModel()]).run(arrival_rate=1, servers=2)


def test_order_matters():
    with pytest.raises(InputError, match=r"TailLatencyModel \(stage 1\): 'service_time'"):
        Pipeline([TailLatencyModel(), ServingModel()]).run(model="Llama3_8B", hardware="H100", arrival_rate=1)


def test_unknown_and_unused_inputs():
    pipeline = Pipeline([ScalingModel()])
    with pytest.raises(UnknownNameError, match="compute_budget"):
        pipeline.run(compute_buget=1e12)
    with pytest.raises(InputError, match="'model' does not count here"):
        pipeline.run(compute_budget=1e12, model="Llama3_8B")
    with pytest.raises(UnknownNameError, match="loss"):
        pipeline.run(compute_budget=1e12)["los"]


def test_an_error_of_a_stage_names_it():
    with pytest.raises(UnknownNameError, match="DistributedModel: model"):
        Pipeline(TRAINING).run(**GIVEN | {"model": "Llama3_9B"})


def test_units_must_fit():
    class Odd(ForwardModel):
        """Gives a step time in bytes."""

        walls = (1,)
        ways = ((),)
        gives = ("step_time",)
        own = (Port("step_time", "GB", "not a time"),)

        def read(self, given: Mapping[str, Any], numbers: Mapping[str, float], take: Any) -> Any:
            return {"step_time": 1.0}

    with pytest.raises(InputError, match="Odd gives 'step_time' in GB, not in ms"):
        Pipeline([Odd(), DataModel()])
    assert Odd().solve()["step_time"].units == units.ureg().Unit("GB")


@pytest.mark.parametrize("models", [[], [DataModel], ["DataModel"]])
def test_a_pipeline_is_made_of_models(models: Any):
    with pytest.raises(InputError, match="Pipeline"):
        Pipeline(models)

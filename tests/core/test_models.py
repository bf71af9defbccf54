"""The textbook's models against the walls of an evaluation, and against the physics they ask."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace
from functools import cache
from pathlib import Path
from typing import Any

import pint
import pytest

from mlsysim import Hardware, Models, evaluate_plan
from mlsysim.core import registry, units
from mlsysim.core.errors import InputError, UnitError, UnknownNameError
from mlsysim.core.evaluation import Evaluation
from mlsysim.core.solver import models as tier1
from mlsysim.core.solver.models import ports
from mlsysim.core.solver.models.ports import PORTS
from mlsysim.infra.own import resolve_region
from mlsysim.physics import dataflow, queueing, reasoning, scaling

PORTS_FILE = Path(ports.__file__).with_name("ports.txt")
MODEL = {"model": "Llama3_8B", "hardware": "H100"}
TRAIN = MODEL | {"batch_size": 256, "nodes": 4}


def plan(phase: str = "inference", **blocks: Any) -> Evaluation:
    """Evaluate the same scenario as a plan."""
    workload: dict[str, Any] = {"name": "Llama3_8B", "phase": phase}
    hardware: dict[str, Any] = {"name": "H100"}
    if phase == "training":
        workload["batch_size"] = 256
        hardware["nodes"] = 4
    whole = {"version": "1.0", "workload": workload, "hardware": hardware}
    for name, block in blocks.items():
        whole[name] = {**whole.get(name, {}), **block}
    return evaluate_plan(whole)


@cache
def training() -> Evaluation:
    return plan("training", data={})


def reading(e: Evaluation, number: int, row: int = 0) -> tuple[float, float | None, str]:
    """Demand, supply and unit of a row of a wall."""
    wall = e.walls[number - 1].wall
    found = wall.rows(e.state)[row]
    return float(found.demand), found.supply, found.unit


def same(quantity: Any, base: Any) -> None:
    """A result's quantity is a number in base units."""
    assert float(quantity.to_base_units().magnitude) == pytest.approx(float(base), rel=1e-12)


def test_all_models_name_walls_inputs_and_results():
    assert len(tier1.MODELS) == 19
    assert sorted(n for m in tier1.MODELS for n in m.walls) == list(range(1, 21))
    for kind in tier1.MODELS:
        model = kind()
        assert set(model.inputs) <= set(PORTS)
        for name in (*model.gives, *model.outputs(model.inputs)):
            assert model.port(name).unit is not None, name
        assert kind.__doc__
        assert getattr(tier1, kind.__name__) is kind


def test_every_name_is_there_once():
    lines = PORTS_FILE.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if "|" in line and not line.startswith("#")]
    assert len(rows) == len(PORTS)


def test_every_port_has_a_known_unit_and_is_used():
    used = {n for m in tier1.MODELS for n in (*m().inputs, *m().outputs(m().inputs))}
    assert set(PORTS) == used
    for port in PORTS.values():
        assert port.dimension is not None or port.unit is None


# -- each model and its wall ----------------------------------------------------------------------


def test_single_node():
    found = tier1.SingleNodeModel().solve(**MODEL, batch_size=8)
    e = plan(workload={"batch_size": 8})
    same(found["latency"], e.state.time)
    same(found["operations"], reading(e, 1)[0])
    same(found["memory"], reading(e, 2)[0])
    same(found["memory_capacity"], reading(e, 2)[1])
    same(found["bytes_moved"], reading(e, 2, 1)[0])
    assert found["tokens_per_second"].magnitude == pytest.approx(e.metric("performance.throughput"))
    assert (found.wall, found.walls) == (1, (1, 2))


def test_single_node_trains_on_one_accelerator():
    found = tier1.SingleNodeModel().solve(model="ResNet50", hardware="H100", phase="training", batch_size=64)
    assert found["samples_per_second"].magnitude > 0
    assert found["tokens_per_second"].magnitude == 0


def test_efficiency():
    found = tier1.EfficiencyModel().solve(**TRAIN, phase="training")
    same(found["model_operations"], reading(training(), 3)[0])
    same(found["kernel_operations"], reading(training(), 3)[1])
    assert found["mfu"].magnitude == pytest.approx(training().metric("performance.mfu"))
    same(found["kernel_share"], training().state.share)


def test_serving():
    found = tier1.ServingModel().solve(**MODEL, batch_size=16, prompt=1000, output=200, scheduler="chunked")
    serving = {"prompt": 1000, "output": 200, "scheduler": "chunked"}
    e = plan(workload={"batch_size": 16}, serving=serving)
    for row, name in enumerate(("ttft", "itl", "stall")):
        same(found[name], reading(e, 4, row)[0])
    same(found["request_rate"], e.state.serving.rate)
    assert "tail_percentile" not in {a.name for a in found.assumptions}


def test_batching():
    found = tier1.ContinuousBatchingModel().solve(**MODEL, batch_size=32, paged=False)
    e = plan(workload={"batch_size": 32}, serving={"paged": False})
    same(found["kv_blocks"], reading(e, 5)[0])
    same(found["kv_pool_blocks"], reading(e, 5)[1])


def test_weight_streaming():
    found = tier1.WeightStreamingModel().solve(**MODEL, injection="25 GB/s")
    e = plan(streaming={"injection": 25}, constraints={"layer_time": "1 s"})
    same(found["layer_weights"], reading(e, 6)[0])
    same(found["layer_time"], reading(e, 6, 1)[0])
    same(found["latency"], e.state.time)


def test_tail_latency_of_a_served_model():
    served = tier1.ServingModel().solve(**MODEL, batch_size=16)
    given = {n: served[n] for n in ("service_time", "service_cv", "servers")}
    found = tier1.TailLatencyModel().solve(arrival_rate=5, **given)
    e = plan(workload={"batch_size": 16}, queue={"rate": 5})
    same(found["tail_latency"], reading(e, 7)[0])
    same(found["mean_wait"], queueing.mean_wait(e.state.queue))


def test_tail_latency_without_end():
    found = tier1.TailLatencyModel().solve(arrival_rate=11, service_time="1 s", servers=10, percentile=0.9)
    assert math.isinf(found["tail_latency"].magnitude)
    assert found.to_dict()["values"]["tail_latency"] == {"value": None, "unit": "ms"}


def test_data():
    found = tier1.DataModel().solve(**TRAIN)
    size, supply, _ = reading(training(), 8)
    same(found["data_per_step"], size)
    same(found["storage_bandwidth"] * units.quantity(training().state.time, "s"), supply)
    direct = tier1.DataModel().solve(step_time=100, data_per_step="10 GB", storage_bandwidth="50 GB/s")
    ingest = dataflow.Ingest(10e9, 50e9)
    same(direct["data_stall_share"], dataflow.stall_share(0.1, ingest, dataflow.Transform(0.0, 1.0)))
    assert direct["data_stall_share"].magnitude == pytest.approx(0.5)


def test_a_known_step_time_replaces_that_of_the_plan():
    found = tier1.TransformationModel().solve(**TRAIN, step_time="2 s")
    work, _, _ = reading(training(), 9)
    same(found["cpu_time_per_step"], work)
    same(found["cores_needed"], dataflow.cores_needed(work, 2.0))


def test_transformation():
    found = tier1.TransformationModel().solve(**TRAIN)
    work, supply, _ = reading(training(), 9)
    same(found["cpu_time_per_step"], work)
    same(found["cpu_cores"] * training().state.time, supply)
    late = tier1.TransformationModel().solve(step_time="1 s", cpu_time_per_step=40, cpu_cores=20)
    assert late["cpu_stall_share"].magnitude == pytest.approx(0.5)


def test_topology():
    found = tier1.TopologyModel().solve(**TRAIN, topology="fat_tree", oversubscription=2)
    e = plan("training", network={"topology": "fat_tree", "oversubscription": 2})
    same(found["tensor_ranks"], reading(e, 10)[0])
    same(found["scale_up_domain"], reading(e, 10)[1])
    same(found["crossing"], reading(e, 10, 1)[0])
    same(found["bisection_bandwidth"] * units.quantity(e.state.time, "s"), reading(e, 10, 1)[1])


def test_scaling_of_a_plan():
    found = tier1.ScalingModel().solve(**TRAIN, training_tokens=2e12, step_time="3 s", tokens_per_step=1e6)
    e = plan("training", workload={"training_tokens": 2e12})
    same(found["training_compute"], reading(e, 11)[0])
    same(found["loss"], reading(e, 11, 2)[0])
    same(found["duration"], scaling.training_time(3.0, 2e12, 1e6))


def test_scaling_of_numbers():
    model = tier1.ScalingModel()
    hoffmann = scaling.Fit(
        *(registry.default(f"hoffmann_2022_{n}").base for n in scaling.Fit.__annotations__)
    )
    found = model.solve(parameters=70e9, training_tokens=1.4e12, scaling_fit="hoffmann_2022")
    same(found["loss"], scaling.loss(70e9, 1.4e12, hoffmann))
    assert "duration" not in found.values
    budget = model.solve(compute_budget=found["training_compute"])
    same(budget["training_tokens"], 1.4e12)  # Chinchilla: 20 tokens a parameter
    same(budget["training_compute"], 6 * 70e9 * 1.4e12)
    with pytest.raises(InputError, match="does not count here"):
        model.solve(compute_budget=1e12, parameters=1e9)


def test_inference_scaling():
    model = tier1.InferenceScalingModel()
    found = model.solve(ttft=200, itl=10, reasoning_steps=8, reasoning_tokens=128, revisions=2, verify="1 s")
    chain = reasoning.Chain(0.2, 0.01, 8.0, 128.0, 1.0, 2.0, 1.0)
    same(found["answer_time"], reasoning.answer_time(chain))
    planned = model.solve(**MODEL, reasoning_steps=8, reasoning_tokens=128, samples=4)
    e = plan(reasoning={"steps": 8, "tokens_per_step": 128, "samples": 4})
    same(planned["answer_time"], reading(e, 12)[0])
    same(planned["generated_tokens"], 4 * 8 * 128)


def test_compression():
    found = tier1.CompressionModel().solve(**MODEL, weight_format="int4")
    e = plan(fidelity={"weights": "int4"})
    same(found["accuracy_loss"], reading(e, 13)[0])
    same(found["weight_memory"], e.state.state)
    with pytest.raises(InputError, match="wall 13 does not apply: no published table"):
        tier1.CompressionModel().solve(model="DLRM", hardware="H100", sparsity="50%")


def test_distributed():
    found = tier1.DistributedModel().solve(**TRAIN, tp=2, microbatch_size=1)
    e = plan("training", parallelism={"tp": 2, "microbatch_size": 1})
    same(found["step_time"], e.state.time)
    same(found["communication_time"], reading(e, 14)[0])
    for name in ("compute_time", "memory_time", "bubble_time", "optimizer_time", "mfu"):
        assert found[name].magnitude == pytest.approx(e.metric(f"performance.{name}"))
    parts = ("compute_time", "memory_time", "communication_time", "bubble_time", "optimizer_time")
    same(sum(found[n] for n in parts), e.state.time)


def test_reliability():
    found = tier1.ReliabilityModel().solve(**TRAIN, duration="30 day", mtbf="20000 h")
    e = plan("training", reliability={"mtbf": 20000}, ops={"duration_days": 30})
    same(found["time_lost"], reading(e, 15)[0])
    same(found["goodput"], e.state.losses.useful)
    assert found["fleet_mtbf"].to("h").magnitude == pytest.approx(20000 / 32)


def test_orchestration():
    given = {"utilization": 0.9, "places": 4, "job_cv": 2}
    found = tier1.OrchestrationModel().solve(**given, job_time="6 h")
    e = plan("training", tenancy=given | {"job_time": 6})
    same(found["job_wait"], reading(e, 16)[0])
    same(tier1.OrchestrationModel().solve(**given, duration=0.25)["job_wait"], reading(e, 16)[0])
    assert math.isinf(tier1.OrchestrationModel().solve(utilization=1, job_time=1)["job_wait"].magnitude)


def test_economics_and_sustainability():
    ops = {"region": "Quebec", "duration": "14 day"}
    e = plan("training", ops={"region": "Quebec", "duration_days": 14.0})
    cost = tier1.EconomicsModel().solve(**MODEL, accelerators=32, **ops)
    same(cost["cost"], reading(e, 17)[0])
    same(cost["capital_share"] + cost["energy_cost"] + cost["upkeep"], reading(e, 17)[0])
    green = tier1.SustainabilityModel().solve(**MODEL, accelerators=32, **ops)
    same(green["carbon"], reading(e, 18)[0])
    same(green["water"], reading(e, 18, 1)[0])
    same(green["energy"], e.state.bill.energy)


def test_checkpoint():
    found = tier1.CheckpointModel().solve(**TRAIN, checkpoint_interval="10 min", checkpoint_asynchronous=True)
    e = plan("training", checkpoint={"interval": "10 min", "asynchronous": True})
    same(found["checkpoint_stall"], reading(e, 19)[0])
    same(found["checkpoint_size"], reading(e, 19, 1)[0])
    same(found["checkpoint_interval"], 600)


def test_responsible_engineering():
    found = tier1.ResponsibleEngineeringModel().solve(
        **TRAIN, clipping="ghost", groups=5, difference=0.05, compute_time=100
    )
    e = plan("training", privacy={"clipping": "ghost"}, fairness={"groups": 5, "difference": 0.05})
    same(found["dp_slowdown"], reading(e, 20)[0])
    same(found["subgroup_samples"], reading(e, 20, 1)[0])
    same(found["private_compute_time"], 0.1 * found["dp_slowdown"].magnitude)
    assert "epsilon" not in found.values


def test_the_privacy_loss_is_the_accountants():
    pytest.importorskip("dp_accounting")
    given = {"noise": 1.0, "samples": 1_000_000}
    found = tier1.ResponsibleEngineeringModel().solve(**TRAIN, noise=1.0, dataset_samples=1e6)
    e = plan("training", privacy=given)
    same(found["epsilon"], reading(e, 20, 1)[0])


# -- what goes in ---------------------------------------------------------------------------------


def test_names_objects_text_and_quantities_say_the_same():
    model = tier1.EconomicsModel()
    names = model.solve(**MODEL, accelerators=8, region="Quebec", duration=14)
    objects = model.solve(
        model=Models.Language.Llama3_8B,
        hardware=Hardware.Cloud.H100,
        accelerators=units.quantity(8, "device"),
        region=resolve_region("Quebec"),
        duration=units.quantity(14 * 86400, "week"),
    )
    text = model.solve(**MODEL, accelerators="8", region="Quebec", duration="336 h")
    foreign = model.solve(
        **MODEL, accelerators=8, region="Quebec", duration=pint.UnitRegistry().Quantity(2, "week")
    )
    for other in (objects, text, foreign):
        same(other["cost"], names["cost"].to_base_units().magnitude)


def test_a_changed_object_counts_as_it_is():
    h100 = Hardware.Cloud.H100
    memory = replace(h100.memory, bandwidth=replace(h100.memory.bandwidth, base=1e12))
    slow = replace(h100, memory=memory)
    found = tier1.SingleNodeModel().solve(model="Llama3_8B", hardware=slow)
    plain = tier1.SingleNodeModel().solve(**MODEL)
    assert found["latency"] > 2 * plain["latency"]


@pytest.mark.parametrize(
    ("inputs", "error", "says"),
    [
        (MODEL | {"batchsize": 4}, UnknownNameError, "batch_size"),
        ({"model": "Llama3_8B"}, InputError, "SingleNodeModel: 'hardware' is missing"),
        (MODEL | {"hardware": "H1000"}, UnknownNameError, "SingleNodeModel: hardware"),
        (MODEL | {"batch_size": 0}, InputError, "SingleNodeModel: batch_size: 0 is not allowed"),
        (MODEL | {"batch_size": 1.5}, InputError, "whole number"),
        (MODEL | {"batch_size": "4 GB"}, UnitError, "not a quantity in sample"),
        (MODEL | {"batch_size": units.quantity(4, "token")}, UnitError, "not a quantity in sample"),
        (MODEL | {"precision": "bf17"}, InputError, "SingleNodeModel: precision"),
        (MODEL | {"phase": "both"}, InputError, "SingleNodeModel: phase"),
        (MODEL | {"phase": "training"}, InputError, "batch_size is missing"),
    ],
)
def test_errors_name_the_model_and_the_input(inputs: dict[str, Any], error: type[InputError], says: str):
    with pytest.raises(error) as caught:
        tier1.SingleNodeModel().solve(**inputs)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("percentile", 1), ("percentile", 0), ("fanout", 1.5), ("arrival_cv", -1), ("servers", "inf")),
        *(("service_time", value) for value in (True, "5 GB", "soon", math.nan, 0)),
    ],
)
def test_numbers_out_of_range(name: str, value: Any):
    given = {"arrival_rate": 1, "service_time": 100, "servers": 2} | {name: value}
    with pytest.raises(InputError, match=f"TailLatencyModel: {name}: "):
        tier1.TailLatencyModel().solve(**given)


def test_unknown_scaling_law():
    with pytest.raises(UnknownNameError, match="ScalingModel: scaling_fit: no scaling law called 'hofmann'"):
        tier1.ScalingModel().solve(parameters=1e9, training_tokens=2e10, scaling_fit="hofmann")


def test_a_wall_that_does_not_apply_says_why():
    with pytest.raises(InputError, match="TopologyModel: wall 10 does not apply: one accelerator"):
        tier1.TopologyModel().solve(**MODEL, batch_size=8, accelerators=1)
    with pytest.raises(InputError, match="ServingModel: wall 4 does not apply"):
        tier1.ServingModel().solve(model="ResNet50", hardware="H100")


# -- what comes out -------------------------------------------------------------------------------


def test_a_result_is_frozen_and_plain():
    found = tier1.DistributedModel().solve(**TRAIN)
    with pytest.raises(FrozenInstanceError):
        found.model = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        found.values["step_time"] = 1  # type: ignore[index]
    with pytest.raises(UnknownNameError, match="step"):
        found["steptime"]
    shown = found.to_dict()
    assert shown["model"] == "DistributedModel"
    assert shown["walls"] == [14]
    assert shown["values"]["step_time"]["unit"] == "ms"
    assert shown["values"]["mfu"]["unit"] == "1"
    assert shown["values"]["step_time"]["value"] == found["step_time"].magnitude
    assert "seq_len" in {a["name"] for a in shown["assumptions"]}


@pytest.mark.parametrize("kind", tier1.MODELS)
def test_results_have_the_units_of_their_names(kind: type[tier1.ForwardModel]):
    model = kind()
    numbers = {"arrival_rate": 2, "service_time": 100, "servers": 4}
    numbers |= {"utilization": 0.5, "job_time": 1, "reasoning_steps": 2, "reasoning_tokens": 10}
    given = {n: v for n, v in (TRAIN | numbers).items() if n in model.inputs}
    found = model.solve(**given)
    assert set(found.values) == set(model.outputs(given))
    for name, shown in found.to_dict()["values"].items():  # what is printed can be read again
        assert units.factor(shown["unit"]) == units.factor(str(PORTS[name].unit))
    for name, quantity in found.values.items():
        port = PORTS[name]
        assert str(quantity.dimensionality) == port.dimension
        assert quantity.units == units.quantity(1.0, str(port.unit)).units

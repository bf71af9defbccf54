"""Points in arrays against one evaluation each; dimensions, samples, and failures as rows."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlsysim
from mlsysim.core.api import evaluate_plan, scenario
from mlsysim.core.errors import InputError, MlsysimError, UnknownNameError
from mlsysim.core.solver.sensitivity import SUPPLIES
from mlsysim.space import paths
from mlsysim.space.design import put
from mlsysim.space.dimensions import parameter, plan_dimension
from mlsysim.space.parts import evaluate, evaluated_part
from mlsysim.space.points import STATUSES, Evaluator
from mlsysim.space.sampling import drawn, sampling, size

TRAINING = {
    "version": "1.0",
    "workload": {"name": "Llama3_8B", "batch_size": 512},
    "hardware": {"name": "H100", "nodes": 4},
    "constraints": {"communication": 0.2, "budget": "1 MUSD", "assert": [{"metric": "mfu", "min": 0.1}]},
}
SERVING = {
    "version": "1.0",
    "workload": {"name": "Llama3_8B", "phase": "inference", "batch_size": 8},
    "hardware": {"name": "H100", "nodes": 1},
}
SPACES = {
    "training": (
        TRAINING,
        {
            "nodes": [2, 4, 7],
            "region": ["Quebec", "Norway", "US_Avg"],
            "duration": [3, 20.5],
            "pue": [1.1, 1.4],
            "budget": ["100 kUSD", "1 MUSD"],
            "tokens": ["1e11 token", "2e12 token"],
            "interval": ["600 s", "1 h"],
            "reliability.mtbf": ["3000 h", "50000 h"],
        },
    ),
    "other limits": (
        TRAINING,
        {
            "constraints.communication": [0.01, 0.3],
            "constraints.carbon": ["1 tCO2e", "900 tCO2e"],
            "loss": [1.9, 3],
        },
    ),
    "vision": (
        TRAINING | {"workload": {"name": "ResNet50", "batch_size": 512}},
        {"region": ["Quebec", "Iowa"], "duration": [1, 9], "batch": [256, 512]},
    ),
    "serving": (
        SERVING,
        {
            "hardware": ["H100", "A100", "TPUv4"],
            "precision": ["bf16", "fp8"],
            "batch": [1, 2, 64],
            "seq_len": [512, 4096, 200_000],
            "itl": [5, 50],
        },
    ),
    "queue": (
        SERVING | {"queue": {"rate": 3.0}, "serving": {"scheduler": "chunked"}},
        {
            "batch": [1, 16],
            "queue.rate": [1, 20, 300],
            "tail": ["10 s", "100 s"],
            "region": ["Quebec", "Norway"],
        },
    ),
    "images": (
        SERVING
        | {"workload": {"name": "ResNet50", "phase": "inference", "batch_size": 8}, "queue": {"rate": 9.0}},
        {"batch": [1, 16, 128], "queue.rate": [1, 2000, 1e6]},
    ),
}


def table(plan, dimensions, **more):
    space = mlsysim.DesignSpace(plan, dimensions, **more)
    return space, space.run(method="evaluate")


@pytest.mark.parametrize("name", SPACES)
def test_arrays_are_one_evaluation_each(name):
    """Every metric to rounding, every status."""
    plan, dimensions = SPACES[name]
    space, found = table(plan, dimensions)
    columns = drawn(space.every, space.how, 0, len(space))
    rng = np.random.default_rng(0)
    for i in rng.choice(len(found), min(60, len(found)), replace=False):
        values = {d.path.keys: d.values[int(c[i])] for d, c in zip(space.dimensions, columns, strict=True)}
        row = found.row(i)
        if row["status"] == "error":
            with pytest.raises(InputError) as caught:
                evaluate_plan(put(plan, values))
            assert caught.value.problem in row["reason"]
            continue
        one = evaluate_plan(put(plan, values))
        assert row["status"] == one.status, row["reason"]
        failed = {f"{w.wall.name} (wall {w.wall.number})" for w in one.walls if w.status == "fail"}
        assert failed == set(row["reason"].split("; ")) - {"", "an assertion of the plan"}
        assert row["layout"] == str(one.layout or "")
        for metric in mlsysim.core.metrics.METRICS.values():
            if metric.applies(one.state):
                assert row[metric.name] == pytest.approx(one.metric(metric.name), rel=1e-12, nan_ok=True)
            else:
                assert np.isnan(row[metric.name])


def test_the_spaces_hold_what_they_should():
    """Some rows of each status, or the test above proves little."""
    seen = set()
    for plan, dimensions in SPACES.values():
        seen |= set(table(plan, dimensions)[1].columns["status"].data.words)
    assert seen == set(STATUSES)


@pytest.mark.parametrize("name", sorted(set(SUPPLIES) - {"rent"}))
@pytest.mark.parametrize("plan", [TRAINING, SERVING], ids=["training", "serving"])
def test_a_supply_at_its_own_value_changes_nothing(plan, name):
    s = scenario(plan)
    there = SUPPLIES[name].of(s)
    if there is None:
        pytest.skip("this plan has none")
    value = there / mlsysim.core.units.factor(SUPPLIES[name].unit)[0]
    _, found = table(plan, {f"supplies.{name}": [value, 2 * value]})
    one = evaluate_plan(plan)
    for metric in ("performance.latency", "macro.tco_usd", "macro.carbon_tco2e", "feasibility.memory"):
        assert found[metric][0] == pytest.approx(one.metric(metric), rel=1e-12)


def test_what_if_holds_in_every_region_and_for_every_point():
    regions = {"ops.region": ["Quebec", "US_Avg"]}
    _, plain = table(TRAINING, regions)
    _, changed = table(TRAINING | {"what_if": {"electricity_price": "2x"}}, regions)
    assert changed["macro.energy_cost_usd"] == pytest.approx(2.0 * plain["macro.energy_cost_usd"])
    _, none = table(TRAINING | {"what_if": {"rent": "1 USD/h"}}, regions)
    assert all("what_if" in none.row(i)["reason"] or "rent" in none.row(i)["reason"] for i in range(2))
    assert {none.row(i)["status"] for i in range(2)} == {"error"}


def test_supplies_reach_the_metrics_that_they_feed():
    _, found = table(TRAINING, {"supplies.electricity_price": [0.1, 0.2], "supplies.power": [500, 1000]})
    cost = found["macro.energy_cost_usd"]
    assert cost[1] == pytest.approx(2 * cost[0])
    assert cost[2] == pytest.approx(2 * cost[0])
    _, found = table(SERVING | {"serving": {}}, {"supplies.bandwidth": [1.0, 3.0], "constraints.itl": [12.0]})
    assert found["performance.latency"][0] > 2 * found["performance.latency"][1]
    assert found.columns["status"].data.plain().tolist() == [
        "sla_violation",
        "pass",
    ]  # the service sees it too


def test_constraints_parameters_and_objectives():
    _, found = table(
        TRAINING,
        {"region": ["Quebec", "US_Avg"], "nodes": [2, 4]},
        parameters={"tax": {"values": [0, 100], "unit": "USD/tCO2e"}},
        minimize="macro.tco_usd + tax * macro.carbon_tco2e",
        constraints=["region != 'US_Avg' or tax < 50", "w02.headroom > 0.01"],
    )
    expected = found["macro.tco_usd"] + found["tax"] * found["macro.carbon_tco2e"]
    assert found["objective"].tolist() == pytest.approx(expected.tolist())
    broken = (found["ops.region"] == "US_Avg") & (found["tax"] == 100)
    assert found.holds.tolist() == (~broken).tolist()
    assert set(found["reason"][broken]) == {"region != 'US_Avg' or tax < 50"}
    best = found.best(len(found))
    assert len(best) == (~broken).sum()
    assert (np.diff(best["objective"]) >= 0).all()
    assert found.columns["objective"].unit == "USD"


def test_failures_are_rows_with_their_reason():
    _, found = table(TRAINING, {"nodes": [4, 5], "precision": ["bf16", "int8"], "hardware": ["H100", "V100"]})
    assert len(found) == 8
    errors = found["reason"][found["status"] == "error"]
    assert any("int8" in r for r in errors)
    assert any("bf16" in r for r in errors)  # V100 has none
    assert np.isnan(found["performance.latency"][found["status"] == "error"]).all()


def test_every_path_of_the_schema_is_a_dimension():
    assert paths.find("nodes").name == "hardware.nodes"
    assert paths.find("tp").name == "parallelism.tp"
    assert paths.find("budget").unit == "USD"
    assert paths.find("pue").name == "ops.pue"
    assert paths.find("electricity_price").name == "supplies.electricity_price"
    with pytest.raises(UnknownNameError, match="node"):
        paths.find("nodess")
    with pytest.raises(InputError, match="several"):
        paths.find("arrival_cv")


@pytest.mark.parametrize(
    ("dimensions", "where"),
    [
        ({"nodes": []}, "dimensions.nodes"),
        ({"nodes": [1, 1]}, "dimensions.nodes"),
        ({"nodes": [0]}, "dimensions.hardware.nodes"),
        ({"nodes": [1.5]}, "dimensions.hardware.nodes"),
        ({"hardware": ["H1000"]}, "dimensions.hardware.name"),
        ({"region": ["Quebek"]}, "dimensions.ops.region"),
        ({"budget": ["3 GB"]}, "dimensions.budget"),
        ({"nodes": {"min": 4, "max": 2}}, "dimensions.nodes"),
        ({"nodes": {"min": 4}}, "dimensions.nodes.max"),
        ({"nodes": {"min": 1, "max": 4, "steps": 3}}, "dimensions.nodes"),
        ({"nodes": {"min": 1, "max": 4, "points": 1}}, "dimensions.nodes.points"),
        ({"duration": {"min": 0, "max": 4, "log": True}}, "dimensions.duration"),
        ({"duration": {"min": "1 GB", "max": 4}}, "dimensions.duration.min"),
        ({"supplies.power": ["much"]}, "dimensions.supplies.power"),
        ({"supplies.pue": ["much"]}, "dimensions.supplies.pue"),
        ({"nodes": [None]}, "dimensions.nodes"),
        ({"nodes": [2], "hardware.nodes": [4]}, "dimensions"),
        ({"no.such": [1]}, "dimensions.no.such"),
    ],
)
def test_wrong_dimensions_are_refused_with_their_place(dimensions, where):
    with pytest.raises(InputError) as caught:
        mlsysim.DesignSpace(TRAINING, dimensions)
    assert caught.value.where == where
    assert caught.value.problem


@pytest.mark.parametrize(
    "more",
    [
        {"parameters": {"tax": {"values": [1], "unit": "parsec"}}},
        {"parameters": {"tax": ["a"]}},
        {"parameters": {"__x": [1]}},
        {"minimize": "macro.tco_usd > 3"},
        {"constraints": ["macro.tco_usd"]},
        {"constraints": ["macro.tco_usd < 3"] * 31},
        {"sample": "dice", "points": 3},
        {"sample": "sobol"},
        {"points": 3},
        {"sample": "sobol", "points": 3, "seed": -1},
        {"each": ["region"]},
        {"metrics": ["mfuu"]},
    ],
)
def test_wrong_questions_are_refused(more):
    with pytest.raises(MlsysimError):
        mlsysim.DesignSpace(TRAINING, {"nodes": [1, 2]}, **more)


def test_a_range_on_a_grid_needs_points():
    space = mlsysim.DesignSpace(TRAINING, {"duration": {"min": 1, "max": 4}})
    with pytest.raises(InputError, match="no grid"):
        len(space)
    assert plan_dimension("nodes", {"min": 1, "max": 64, "points": 7, "log": True}).listed == (
        1,
        2,
        4,
        8,
        16,
        32,
        64,
    )


@given(
    st.sampled_from(["latin", "sobol"]),
    st.integers(1, 70),
    st.integers(0, 5),
    st.tuples(st.integers(0, 70), st.integers(0, 70)).map(sorted),
)
@settings(max_examples=25, deadline=None)
def test_samples_stay_inside_and_come_in_any_parts(method, points, seed, ends):
    dims = [
        plan_dimension("nodes", {"min": 3, "max": 9}),
        plan_dimension("duration", {"min": 0.5, "max": 80, "log": True}),
        plan_dimension("region", ["Quebec", "Norway"]),
        parameter("tax", {"min": -1, "max": 1}),
    ]
    how = sampling(method, points, seed)
    assert size(dims, how) == points
    whole = drawn(dims, how, 0, points)
    nodes, duration, region, tax = whole
    assert nodes.dtype.kind == "i"
    assert ((nodes >= 3) & (nodes <= 9)).all()
    assert ((duration >= 0.5) & (duration <= 80)).all()
    assert ((region >= 0) & (region < 2)).all()
    assert ((tax >= -1) & (tax <= 1)).all()
    a, b = (min(e, points) for e in ends)
    assert all((x[a:b] == y).all() for x, y in zip(whole, drawn(dims, how, a, b), strict=True))
    if method == "latin":  # one point in each of as many slices
        assert sorted(np.floor((tax + 1) / 2 * points).astype(int)) == list(range(points))


def test_a_space_survives_its_data_and_its_pickle(tmp_path):
    plan, dimensions = SPACES["training"]
    space = mlsysim.DesignSpace(
        plan,
        dimensions,
        parameters={"tax": {"min": 0, "max": 9, "unit": "USD/tCO2e"}},
        minimize=["macro.tco_usd", "latency"],
        maximize="mfu",
        constraints=["mfu > 0.1"],
        sample="sobol",
        points=8,
        seed=3,
        each=["nodes"],
        metrics=["mfu"],
    )
    text = json.dumps(space.to_dict())
    again = mlsysim.DesignSpace.from_dict(json.loads(text))
    assert again.key == space.key == pickle.loads(pickle.dumps(space)).key
    assert again.to_dict() == space.to_dict()
    assert again == space
    assert len({again, space}) == 1
    assert "hardware.nodes" in repr(space)
    changed = copy.deepcopy(space.to_dict())
    changed["sampling"]["seed"] = 4
    assert mlsysim.DesignSpace.from_dict(changed).key != space.key


def test_a_worker_of_another_version_is_refused():
    with pytest.raises(InputError, match="another version"):
        evaluated_part("{}", "of yesterday", 0, 1)


def test_parts_are_the_whole():
    plan, dimensions = SPACES["queue"]
    space, whole = table(plan, dimensions)
    of = Evaluator(space)
    for start in range(0, len(space), 5):
        part = evaluate(of, start, min(start + 5, len(space)))
        for i in range(len(part)):
            ours, theirs = part.row(i), whole.row(start + i)
            assert ours["status"] == theirs["status"]
            assert ours["performance.latency"] == pytest.approx(theirs["performance.latency"], rel=1e-12)

"""Many layouts at once against one at a time."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest

import mlsysim
from mlsysim.core import sweep
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import STATUSES, Evaluation, evaluate
from mlsysim.core.layout import columns_of, layout_at
from mlsysim.core.legal import space
from mlsysim.core.metrics import METRICS
from mlsysim.core.sweep import Sweep, evaluate_layouts
from mlsysim.walls import WALLS

LIMITS = {
    "communication": 0.1,
    "failures": 0.05,
    "stragglers": 0.02,
    "checkpoint": 0.01,
    "budget": "2 MUSD",
    "carbon": "100 tCO2e",
}
ASSERTS = [
    {"metric": "performance.latency", "max": "40 s"},
    {"metric": "performance.mfu", "min": 0.2},
    {"metric": "feasibility.memory_share", "max": 0.95},
]


def plan(name: str, batch: int, **blocks: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "workload": {"name": name, "batch_size": batch},
        "hardware": {"name": "H100", "nodes": 16},
        "ops": {"region": "Quebec", "duration_days": 14.0},
    }
    merged = {key: {**base.get(key, {}), **blocks.get(key, {})} for key in {**base, **blocks}}
    return {"version": "1.0", **merged}


PLANS = {
    "dense": plan(
        "Llama3_8B",
        512,
        constraints={**LIMITS, "assert": ASSERTS},
        workload={"attention": "unfused", "training_tokens": "1e12 token"},
        data={"storage": "S3_Object_Store"},
        network={"oversubscription": 4.0},
        tenancy={"utilization": 0.9, "places": 4},
    ),
    "plain": plan("Llama3_70B", 1024),
    "moe": plan("Mixtral_8x7B", 512, constraints={**LIMITS, "assert": ASSERTS}, workload={"dropout": True}),
    "latent": plan("DeepSeek_V3", 512, constraints={"assert": ASSERTS[:1], "communication": 0.3}),
    "cnn": plan(
        "ResNet50", 4096, constraints=LIMITS, fairness={"groups": 4, "smallest_group": 10_000}, data={}
    ),
    "alone": plan("Llama3_2_1B", 64, hardware={"nodes": None, "accelerators": 1}),
}


@cache
def scenario(name: str) -> Any:
    return mlsysim.scenario(PLANS[name])


def random_layouts(s: Any, count: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Complete layouts whose factors agree; rules that join the factors may be broken.

    But for one: a layout names one way to recompute, so selective and full ones are not mixed.
    """
    legal, rng = space(s), np.random.default_rng(seed)

    def like(table: dict[str, np.ndarray], row: dict[str, Any], *on: str) -> dict[str, Any]:
        fits = np.flatnonzero(np.logical_and.reduce([table[name] == row[name] for name in on]))
        chosen = rng.choice(fits)
        return {name: column[chosen] for name, column in table.items()}

    points = []
    for i in rng.integers(len(legal.shard["tp"]), size=count):
        row = {name: column[i] for name, column in legal.shard.items()}
        row |= like(legal.layer, row, "tp", "cp", "ep") | like(legal.pipeline, row, "pp")
        if row["recompute"]:
            row["recompute_layers"] = 0
        points.append(row)
    return {name: np.array([p[name] for p in points]) for name in points[0]}


def close(found: float, expected: float | None) -> bool:
    if expected is None:
        return math.isnan(found)
    return found == expected or math.isclose(found, expected, rel_tol=1e-12, abs_tol=0.0)


def agree(found: Sweep, i: int, e: Evaluation) -> None:
    """Every wall and every metric of a point is that of a single evaluation."""
    for w, reading in zip(found.walls, e.walls, strict=True):
        where = (i, found.layout(i), w.wall.name)
        assert w.status[i] == reading.status, where
        assert w.unit[i] == reading.unit, where
        assert close(w.demand[i], reading.demand), where
        assert close(w.supply[i], reading.supply), where
        # headroom is one less a quotient: near zero it is exact to the quotient's last digits
        room = reading.headroom
        same = np.isnan(w.headroom[i]) if room is None else close(1 - w.headroom[i], 1 - room)
        assert same, where
    assert set(found.metrics) == {name for name, m in METRICS.items() if m.applies(e.state)}
    for name, column in found.metrics.items():
        assert close(column[i], e.metric(name)), (i, name)
    assert found.feasible[i] == e.feasible
    assert found.status[i] == e.status
    assert found.kept[i] == all(c.ok for c in e.checks)


@pytest.mark.parametrize("name", PLANS)
def test_a_sweep_is_many_evaluations(name: str):
    s = scenario(name)
    columns = random_layouts(s, 300)
    found = evaluate_layouts(s, columns)
    assert len(found) == 300
    for i in range(300):
        agree(found, i, evaluate(s, layout_at(columns, i)))


def test_plans_show_many_statuses():
    """The comparison above would mean little if every wall said the same at every point."""
    seen = {
        (w.wall.number, str(status))
        for name in PLANS
        for w in evaluate_layouts(scenario(name), random_layouts(scenario(name), 300)).walls
        for status in np.unique(w.status)
    }
    assert {status for _, status in seen} == {*STATUSES, "n/a"}
    for number in (2, 10, 14):
        assert {(number, "fail"), (number, "pass")} <= seen
    assert {(1, "binding"), (2, "binding"), (14, "binding")} <= seen


def test_points_do_not_depend_on_each_other():
    s = scenario("moe")
    columns = random_layouts(s, 50)
    whole = evaluate_layouts(s, columns).columns()
    order = np.random.default_rng(2).permutation(100) % 50
    mixed = evaluate_layouts(s, {name: column[order] for name, column in columns.items()})
    for name, column in mixed.columns().items():
        if column.dtype.kind == "f":
            np.testing.assert_allclose(column, whole[name][order], rtol=1e-14, err_msg=name)
        else:
            np.testing.assert_array_equal(column, whole[name][order], err_msg=name)


def test_shapes():
    s = scenario("dense")
    found = evaluate_layouts(s, random_layouts(s, 40))
    assert [w.wall for w in found.walls] == list(WALLS)
    table = found.columns()
    assert {column.shape for column in table.values()} == {(40,)}
    assert {name for name, m in METRICS.items() if not m.optional} < set(table)
    assert "w14.demand" in table


def test_one_point():
    s = scenario("plain")
    e = evaluate(s)
    assert e.layout is not None
    found = evaluate_layouts(s, columns_of(e.layout, s.job.weights.layers))
    agree(found, 0, e)
    row = found.row(0)
    assert row["layout"] == e.layout.to_dict()
    assert row["status"] == e.status
    assert row["metrics"]["performance.latency"] == e.metric("performance.latency")
    for shown, reading in zip(row["walls"], e.walls, strict=True):
        expected = reading.to_dict()
        del expected["note"]
        assert shown == expected


def test_a_single_value_stands_for_all():
    s = scenario("plain")
    columns = columns_of(evaluate(s).layout, s.job.weights.layers) | {"zero_stage": np.array([0, 1, 2, 3])}
    found = evaluate_layouts(s, columns)
    assert len(found) == 4
    assert [found.layout(i).zero_stage for i in range(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", PLANS)
def test_no_points(name: str):
    s = scenario(name)
    empty = {key: value[:0] for key, value in random_layouts(s, 1).items()}
    found = evaluate_layouts(s, empty)
    assert len(found) == 0
    assert {column.shape for column in found.columns().values()} == {(0,)}


def test_an_empty_list_is_a_column_of_no_points():
    columns = {name: [] for name in columns_of(evaluate(scenario("plain")).layout, 80)}
    assert len(evaluate_layouts(scenario("plain"), columns)) == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"tp": None}, "tp"),
        ({"tpp": np.array([1])}, "tpp"),
        ({"tp": np.array([1, 2]), "pp": np.array([1, 2, 4])}, "length"),
        ({"tp": np.array([1.5])}, "whole numbers"),
        ({"tp": np.array([[1]])}, "whole numbers"),
    ],
)
def test_other_columns_are_refused(change: dict[str, Any], problem: str):
    s = scenario("plain")
    columns = {
        k: v
        for k, v in (columns_of(evaluate(s).layout, s.job.weights.layers) | change).items()
        if v is not None
    }
    with pytest.raises(InputError, match=problem):
        evaluate_layouts(s, columns)


def test_inference_has_no_layouts():
    s = mlsysim.scenario(plan("Llama3_8B", 8, workload={"phase": "inference"}))
    with pytest.raises(InputError, match="training"):
        evaluate_layouts(s, {})


@pytest.mark.parametrize("spread", [3, 10**12])
def test_rows_are_numbered_by_kind(spread: int):
    rng = np.random.default_rng(0)
    columns = [rng.integers(4, size=200) * spread, rng.integers(5, size=200), np.full(200, 9)]
    index, kinds = sweep._numbered(columns)
    rows = list(zip(*columns, strict=True))
    assert kinds == len(set(rows)) == len(set(index.tolist()))
    assert len(set(zip(rows, index.tolist(), strict=True))) == kinds

"""Decisions go to the solver: its answer is that of enumeration, of ``optimize``, and proven."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

import mlsysim
import mlsysim.optimize
from mlsysim.core.errors import InputError
from mlsysim.core.metrics import METRICS
from mlsysim.space.solving import Solver
from mlsysim.space.split import split

PLAN = {
    "version": "1.0",
    "workload": {"name": "GPT2", "batch_size": 64, "seq_len": 1024},
    "hardware": {"name": "A100", "accelerators": 8},
}
# What the dimensions leave open is fixed, so that enumeration by the rule looks at the same layouts.
FIXED = {
    "cp": 1,
    "interleave": 1,
    "first_stage_layers": 0,
    "last_stage_layers": 0,
    "recompute": "none",
    "offload_optimizer": False,
    "overlap_tensor": False,
    "overlap_pipeline": False,
    "sequence_parallel": False,
}
DIMENSIONS = {
    "tp": [1, 2, 4],
    "pp": [1, 2, 4],
    "microbatch": [1, 2, 4, 8],
    "zero_stage": [0, 1, 3],
    "batch": [32, 64],
}


def spaces(**more):
    return mlsysim.DesignSpace(PLAN | {"parallelism": FIXED}, DIMENSIONS, **more)


@cache
def every():
    """All points of the grid, without objective or constraints."""
    return spaces().run(method="evaluate")


T = {name.split(".")[1]: name for name in METRICS}
QUESTIONS = [
    ({"minimize": "latency"}, lambda t: t[T["latency"]], None),
    (
        {"minimize": "performance.latency + performance.bubble_time"},
        lambda t: t[T["latency"]] + t[T["bubble_time"]],
        None,
    ),
    ({"maximize": "mfu"}, lambda t: t[T["mfu"]], None),
    ({"maximize": "-macro.usd_per_million_tokens"}, lambda t: -t[T["usd_per_million_tokens"]], None),
    (
        {"minimize": "latency", "constraints": ["feasibility.memory < 12"]},
        lambda t: t[T["latency"]],
        lambda t: t[T["memory"]] < 12,
    ),
    (
        {"minimize": "latency", "constraints": ["mfu > 0.01 and 12 GiB > feasibility.memory", "batch > 8"]},
        lambda t: t[T["latency"]],
        lambda t: (t[T["memory"]] < 12) & (t[T["mfu"]] > 0.01),
    ),
    (
        {"minimize": "feasibility.memory", "constraints": ["latency < 300"]},
        lambda t: t[T["memory"]],
        lambda t: t[T["latency"]] < 300,
    ),
]


@pytest.mark.parametrize(
    ("more", "worth", "kept"), QUESTIONS, ids=[" ".join(map(str, q[0].values())) for q in QUESTIONS]
)
def test_the_solver_finds_what_enumeration_finds(more, worth, kept):
    """The best of each case, over all points of the grid that are legal."""
    solved = spaces(**more).run(cached=False)
    assert len(solved) == 2
    assert set(solved["proof"]) == {"optimal"}
    assert solved.notes[0].startswith("parallelism.tp, parallelism.pp, parallelism.microbatch_size")
    assert "in place of 216 points" in solved.notes[0]
    sign = -1.0 if "maximize" in more else 1.0
    fine = every().holds if kept is None else every().holds & kept(every())
    names = ("parallelism.tp", "parallelism.pp", "parallelism.microbatch_size")
    for i, batch in enumerate((32, 64)):
        mine = every().keep((every()["workload.batch_size"] == batch) & fine)
        best = sign * min(sign * worth(mine))
        assert solved["objective"][i] == pytest.approx(best, rel=1e-9)
        assert solved["bound"][i] == pytest.approx(best, rel=1e-9)
        at = mine.keep(np.isclose(worth(mine), best, rtol=1e-9))
        assert tuple(solved[n][i] for n in names) in {tuple(r[n] for n in names) for r in at.rows()}


def test_a_constraint_on_a_case_alone_rules_it_out():
    found = spaces(minimize="latency", constraints=["batch > 40"]).run(cached=False)
    assert found["status"].tolist() == ["sla_violation", "pass"]
    assert found["reason"].tolist() == ["batch > 40", ""]


@pytest.mark.parametrize("model", ["GPT2", "Llama3_8B"])
def test_the_answer_is_that_of_optimize(model):
    plan = PLAN | {"workload": {"name": model, "batch_size": 64}}
    space = mlsysim.DesignSpace(plan, {"batch": [32, 48], "zero_stage": [0, 1, 2, 3]}, minimize="latency")
    of = Solver(space)
    for batch in (32, 48):
        ours = of.solve({"workload.batch_size": batch})
        theirs = mlsysim.optimize.parallelism(plan | {"workload": {"name": model, "batch_size": batch}})
        assert ours.proof == theirs.status == "optimal"
        assert ours.objective == pytest.approx(theirs.objective.value, rel=1e-9)
        assert ours.evaluation.layout == theirs.evaluation.layout


def test_fleet_and_precision_are_decided_too():
    plan = PLAN | {"hardware": {"name": "H100", "nodes": 1}}
    dimensions = {"nodes": [1, 2, 4], "precision": ["bf16", "fp8"], "region": ["Quebec", "Iowa"]}
    found = mlsysim.DesignSpace(plan, dimensions, minimize="latency").run(cached=False)
    assert found["ops.region"].tolist() == ["Quebec", "Iowa"]
    every = mlsysim.DesignSpace(plan, dimensions, minimize="latency", each=["nodes", "precision"])
    # each fleet and precision for itself: nothing is left for a solver
    assert "no dimension" in split(every).why_not
    apart = mlsysim.DesignSpace(
        plan, {**dimensions, "zero_stage": [0, 1]}, minimize="latency", each=["nodes", "precision"]
    )
    cases = apart.run(cached=False)
    assert len(cases) == 12
    best = cases.best().row(0)
    two = (
        mlsysim.DesignSpace(plan, {**dimensions, "zero_stage": [0, 1]}, minimize="latency")
        .run(cached=False)
        .row(0)
    )
    assert two["objective"] == pytest.approx(best["objective"], rel=1e-9)
    assert two["hardware.nodes"] == best["hardware.nodes"]
    assert two["workload.precision"] == best["workload.precision"]


def test_costs_of_the_run_decide_the_checkpoints_too():
    plan = {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "batch_size": 64},
        "hardware": {"name": "H100", "nodes": 1},
    }
    space = mlsysim.DesignSpace(
        plan,
        {"zero_stage": [0, 1, 2, 3]},
        parameters={"tax": {"values": [0, 100], "unit": "USD/tCO2e"}},
        minimize="macro.training_usd + tax * macro.training_tco2e",
    )
    found = space.run(cached=False)
    for i, tax in enumerate((0, 100)):
        theirs = mlsysim.optimize.parallelism(plan, objective="cost+carbon", carbon_tax=tax)
        assert found["objective"][i] == pytest.approx(theirs.objective.value, rel=1e-9)


def test_an_interval_between_checkpoints_is_decided_where_it_matters():
    plan = {
        "version": "1.0",
        "workload": {"name": "GPT2", "batch_size": 64},
        "hardware": {"name": "H100", "nodes": 1},
    }
    dimensions = {"interval": ["30 s", "10 min", "2 h", "30 h"], "zero_stage": [0, 1]}
    goal = "macro.training_usd + 10 USD/tCO2e * macro.training_tco2e"
    apart = mlsysim.DesignSpace(plan, dimensions, minimize=goal, each=["interval"]).run(cached=False)
    found = mlsysim.DesignSpace(plan, dimensions, minimize=goal).run(cached=False)
    assert (len(apart), len(found)) == (4, 1)
    best = apart.best().row(0)
    assert found["objective"][0] == pytest.approx(best["objective"], rel=1e-9)
    assert found["checkpoint.interval"][0] == best["checkpoint.interval"] == 7200.0
    assert found.columns["checkpoint.interval"].unit == "s"
    step = mlsysim.DesignSpace(plan, dimensions, minimize="latency")
    assert [d.name for d in split(step).decided] == ["parallelism.zero_stage"]


def test_what_cannot_be_is_proven_and_a_row():
    space = mlsysim.DesignSpace(
        PLAN,
        {"accelerators": [8, 7], "tp": [2, 4]},
        minimize="latency",
        constraints=["latency < 0.001"],
        each=["accelerators"],
    )
    found = space.run(cached=False)
    assert found["proof"].tolist() == ["infeasible", ""]
    assert found["status"].tolist() == ["sla_violation", "error"]
    assert found["reason"][0] == "no layout keeps the limits (proven)"
    assert "7 accelerators" in found["reason"][1]
    assert np.isnan(found["objective"]).all()
    assert not len(found.best())
    plan = PLAN | {"workload": {"name": "Llama3_405B", "batch_size": 64}}
    found = mlsysim.DesignSpace(plan, {"batch": [64], "tp": [1, 2]}, minimize="latency").run(cached=False)
    assert found["status"].tolist() == ["fail"]
    assert found["reason"].tolist() == ["no layout keeps the walls (proven)"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"minimize": ["latency", "macro.tco_usd"]}, "one objective"),
        ({}, "one objective"),
        ({"minimize": "latency", "sample": "latin", "points": 4}, "sample"),
        (
            {"minimize": "latency", "constraints": ["tp > 1"], "each": ["pp", "microbatch", "zero_stage"]},
            "no dimension",
        ),
        ({"minimize": "latency", "constraints": ["mfu > 0.1 or tp > 1"]}, "joined by and"),
        ({"minimize": "latency", "constraints": ["latency < 3 * performance.bubble_time"]}, "both sides"),
        ({"minimize": "latency", "constraints": ["w02.headroom > 0.1"]}, "headroom"),
    ],
)
def test_what_no_solver_can_do_is_evaluated_and_said(more, why):
    few = {"tp": [1, 2], "pp": [1], "microbatch": [1], "zero_stage": [0], "batch": [64]}
    space = mlsysim.DesignSpace(PLAN | {"parallelism": FIXED}, few, **more)
    assert why in split(space).why_not
    found = space.run()
    assert len(found) == len(space)
    assert "proof" not in found.columns
    if "minimize" in more:
        assert why in found.notes[0]
    with pytest.raises(InputError, match="nothing here is for a solver"):
        space.run(method="solve")


def test_what_an_expression_names_is_kept_apart():
    found = split(spaces(minimize="latency", constraints=["tp > 1"]))
    assert [d.name for d in found.decided] == [
        "parallelism.pp",
        "parallelism.microbatch_size",
        "parallelism.zero_stage",
    ]


def test_a_limit_of_time_is_said_in_the_row():
    space = mlsysim.DesignSpace(
        PLAN
        | {
            "workload": {"name": "Llama3_70B", "batch_size": 1024},
            "hardware": {"name": "H100", "accelerators": 512},
        },
        {"zero_stage": [0, 1, 2, 3]},
        minimize="latency",
    )
    found = space.run(cached=False, solver={"time_limit": 0.001, "solver": "highs"})
    row = found.row(0)
    assert row["proof"] in ("feasible", "")
    assert row["proof"] == "feasible" or row["status"] == "error"
    assert math.isnan(row["gap"]) or row["gap"] >= 0

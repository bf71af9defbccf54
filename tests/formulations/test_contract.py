"""What every answer promises: a true status, a repeatable plan, and a check that can fail."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import mlsysim
import mlsysim.optimize
from formulations import parallelism as parallelism_recipe
from formulations import placement as placement_recipe
from formulations.engines import Exhaustive, Highs
from formulations.engines.base import STATUSES, Options, Outcome
from formulations.presolve import reduce
from formulations.problem import Problem
from formulations.solve import solve
from mlsysim.core.errors import MismatchError, SolverLimitError

PLAN = {
    "version": "1.0",
    "workload": {"name": "Llama3_8B", "batch_size": 16},
    "hardware": {"name": "H100", "nodes": 1},
}
# the limits push maxima up, which takes a solver much longer than enumeration
HARD = {
    "version": "1.0",
    "workload": {"name": "Llama3_8B", "batch_size": 64},
    "hardware": {"name": "L4", "nodes": 16},
    "constraints": {
        "assert": [
            {"metric": "latency", "min": 1897.169237353085},
            {"metric": "bubble_time", "max": 47216.30350057931},
        ]
    },
}


def test_statuses_are_four_and_no_other():
    assert set(STATUSES) == {"optimal", "feasible", "infeasible", "unknown"}
    for status in STATUSES:
        assert Outcome(status, "e", "1", 0.0).status == status
    for status in ("", "OPTIMAL", "unbounded", "timeout", "error"):
        with pytest.raises(ValueError, match="status"):
            Outcome(status, "e", "1", 0.0)


def test_an_engine_without_a_solution_gives_no_numbers():
    problem = small_problem()
    problem.limit("r", "r", 2.0, 1.0)
    for engine in (Highs(), Exhaustive()):
        o = engine.solve(problem, Options())
        assert (o.status, o.objective, o.cells) == ("infeasible", None, {})
    assert solve(problem).gap is None


def small_problem():
    problem = Problem("small")
    a, b = problem.choose("a", k=[0, 1, 2]), problem.choose("b", j=[0, 1])
    problem.limit("w", "w", a.table([1.0, 2.0, 3.0]) * b.table([1.0, 3.0]), 5.0)
    problem.minimize(a.table([9.0, 5.0, 1.0]) + b.table([4.0, 1.0]))
    return problem


def test_the_engine_names_itself():
    for name in ("highs", "exhaustive"):
        o = mlsysim.optimize.parallelism(PLAN, solver=name).solved.outcome
        assert o.engine == name
        assert o.version
        assert o.seconds >= 0.0
        assert o.status == "optimal"


@pytest.fixture(scope="module")
def hardest():
    result = mlsysim.optimize.parallelism(HARD, solver="exhaustive")
    assert result.status == "optimal"
    return result.objective.value


@pytest.mark.parametrize("time_limit", [0.001, 0.05, 0.3, 1.0])
def test_a_time_limit_never_gives_a_wrong_status(hardest, time_limit):
    try:
        result = mlsysim.optimize.parallelism(HARD, time_limit=time_limit)
    except SolverLimitError:
        return
    o = result.objective
    assert result.status in ("optimal", "feasible")
    assert o.value >= hardest * (1 - 1e-6)
    assert o.bound is None or o.bound <= hardest * (1 + 1e-6)
    if result.status == "optimal":
        assert o.value == pytest.approx(hardest, rel=1e-6)
        assert o.gap <= 1e-6
    elif o.bound is not None:
        assert o.gap == pytest.approx((o.value - o.bound) / o.value, rel=1e-9)
    # stopped early or not, the answer is a plan that holds
    assert not result.dropped
    assert result.exit_code == 0
    assert float(result.evaluation.state.time) == pytest.approx(o.value, rel=1e-6)
    assert mlsysim.evaluate_plan(result.plan).exit_code == 0


def test_enumeration_that_is_stopped_at_once_knows_nothing():
    o = Exhaustive().solve(small_problem(), Options(time_limit=0.0))
    assert (o.status, o.objective, o.bound, o.cells) == ("unknown", None, None, {})


@pytest.fixture
def stopped(monkeypatch):
    monkeypatch.setattr(Exhaustive, "solve", lambda *_: Outcome("unknown", "exhaustive", "1", 1.0))


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("optimize", [mlsysim.optimize.parallelism, mlsysim.optimize.placement])
def test_no_answer_within_the_limit_is_an_error_of_its_own(optimize):
    with pytest.raises(SolverLimitError) as caught:
        optimize(PLAN, solver="exhaustive", time_limit=1.0)
    assert caught.value.code == "solver_limit"
    assert "time limit" in caught.value.hint


@pytest.mark.usefixtures("stopped")
def test_the_exit_code_of_a_solver_limit_is_four(tmp_path, capsys):
    from mlsysim.cli.main import run

    path = tmp_path / "plan.yaml"
    path.write_text(json.dumps(PLAN), encoding="utf-8")
    assert run(["optimize", "parallelism", str(path), "--solver", "exhaustive"]) == 4
    assert run(["optimize", "parallelism", str(path), "--solver", "highs"]) == 0
    assert "Traceback" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("solver", ["highs", "exhaustive"])
def test_the_same_seed_gives_the_same_answer(solver):
    documents = []
    for _ in range(3):
        result = mlsysim.optimize.parallelism(PLAN, solver=solver, seed=7, top=3)
        document = result.to_dict()
        document["solution"]["engine"].pop("seconds")
        documents.append((result.evaluation.layout, document))
    assert documents[0] == documents[1] == documents[2]


def test_engines_and_seeds_agree_on_the_worth():
    values = [
        mlsysim.optimize.parallelism(PLAN, solver=solver, seed=seed).objective.value
        for solver in ("highs", "exhaustive")
        for seed in (0, 1, 2)
    ]
    assert values == pytest.approx([values[0]] * len(values), rel=1e-9)


# -- the gate -------------------------------------------------------------------------------------


def test_a_wrong_layout_is_caught(monkeypatch):
    decode = parallelism_recipe.Recipe.decode

    def other(self, cells):
        s, layout = decode(self, cells)
        return s, replace(layout, sequence_parallel=not layout.sequence_parallel, zero_stage=3)

    monkeypatch.setattr(parallelism_recipe.Recipe, "decode", other)
    with pytest.raises(MismatchError, match="objective"):
        mlsysim.optimize.parallelism(PLAN)


def test_a_wrong_region_is_caught(monkeypatch):
    monkeypatch.setattr(
        placement_recipe.Recipe,
        "decode",
        lambda self, cells: self.regions[(int(next(iter(cells.values()))[0]) + 1) % len(self.regions)],
    )
    with pytest.raises(MismatchError, match="objective"):
        mlsysim.optimize.placement(PLAN, carbon_tax=150.0)


@pytest.mark.parametrize("factor", [1.0 + 1e-5, 1.0 - 1e-5, 0.5])
def test_a_wrong_objective_is_caught(monkeypatch, factor):
    engine = Highs.solve

    def wrong(self, problem, options, start=None):
        o = engine(self, problem, options, start)
        return replace(o, objective=o.objective * factor)

    monkeypatch.setattr(Highs, "solve", wrong)
    problem = Problem("single")
    a = problem.choose("a", k=[0, 1])
    y = problem.amount("y", 1.0, 2.0)  # with an amount there is no first solution to fall back on
    problem.minimize(a.table([3.0, 4.0]) + y)
    with pytest.raises(MismatchError, match="objective"):
        solve(problem)


def test_cells_that_break_a_row_are_caught(monkeypatch):
    problem = small_problem()
    a, b = problem.choices
    forbidden = {a: np.array([2]), b: np.array([1])}
    worth = float(problem.objective.at(forbidden)[0])
    monkeypatch.setattr(
        Exhaustive,
        "solve",
        lambda *_: Outcome("optimal", "exhaustive", "1", 0.0, objective=worth, bound=worth, cells=forbidden),
    )
    with pytest.raises(MismatchError, match="breaks a row"):
        solve(problem, "exhaustive")


def test_an_engine_that_misses_a_known_solution_is_caught(monkeypatch):
    monkeypatch.setattr(Highs, "solve", lambda *_: Outcome("infeasible", "highs", "1", 0.0))
    problem = small_problem()
    assert reduce(problem).incumbent is not None
    with pytest.raises(MismatchError, match="known solution"):
        solve(problem, "highs")


def test_physics_that_differs_from_the_rows_is_caught(monkeypatch):
    from mlsysim.core.solver import optimizers

    real = optimizers.evaluate

    def leaky(s, layout=None):
        e = real(s, layout)
        return e if layout is None else replace(e, state=replace(e.state, memory=e.state.memory * 1.01))

    monkeypatch.setattr(optimizers, "evaluate", leaky)
    with pytest.raises(MismatchError, match="w02"):
        mlsysim.optimize.parallelism(PLAN)


def test_importing_the_package_imports_no_solver():
    import subprocess
    import sys

    code = (
        "import sys, mlsysim, mlsysim.optimize, formulations;"
        "print([m for m in ('highspy', 'ortools', 'pyomo') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

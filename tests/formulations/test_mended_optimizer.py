"""What the optimizer once got wrong."""

import numpy as np
import pytest

import mlsysim
from formulations.engines.base import Options
from formulations.problem import Problem
from formulations.solve import solve
from mlsysim.core.errors import MlsysimError, SolverLimitError

PLANS = {
    "experts": {
        "workload": {"name": "DeepSeek_V3", "batch_size": 1024},
        "hardware": {"name": "H100", "nodes": 32},
    },
    "dense": {
        "workload": {"name": "Llama3_70B", "batch_size": 4096},
        "hardware": {"name": "H100", "nodes": 64},
    },
}
METRICS = ("performance.communication_share", "feasibility.memory", "performance.communication_time")


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("less", [1e-3, 1e-4])
def test_a_limit_just_below_the_optimum_is_kept(name, metric, less):
    """A limit is kept to its own size, however large a row can be elsewhere in the space."""
    plan = {"version": "1.0", **PLANS[name]}
    best = mlsysim.optimize.parallelism(plan)
    limit = best.evaluation.quantity(metric).to_base_units().magnitude * (1 - less)
    unit = best.evaluation.quantity(metric).to_base_units().units
    text = float(limit) if unit.dimensionless else f"{float(limit)!r} {unit:~}"
    asked = mlsysim.optimize.parallelism(
        plan | {"constraints": {"assert": [{"metric": metric, "max": text}]}}
    )
    assert asked.dropped or all(c.ok for c in asked.evaluation.checks)
    assert asked.dropped or asked.exit_code == 0
    assert asked.objective.value >= best.objective.value * (1 - 1e-9)


@pytest.mark.parametrize("seconds", [0.001, 0.01, 0.03, 0.1, 0.2, 0.4])
def test_time_that_runs_out_is_never_called_physics(seconds):
    """A plan that exists is found, or the limit is said to have stopped the search."""
    plan = {
        "version": "1.0",
        **PLANS["dense"],
        "constraints": {"assert": [{"metric": "performance.latency", "max": 50.0}]},
    }
    try:
        result = mlsysim.optimize.parallelism(plan, time_limit=seconds)
    except SolverLimitError:
        return
    assert result.status in ("optimal", "feasible")
    assert result.exit_code == 3


def test_a_limit_that_pushes_a_maximum_up_is_quick():
    """At least this long a bubble: seconds by branch and bound, a moment by what presolve leaves."""
    plan = {
        "version": "1.0",
        "workload": {"name": "Mixtral_8x7B", "batch_size": 512},
        "hardware": {"name": "H100", "nodes": 4},
    }
    best = mlsysim.optimize.parallelism(plan).evaluation.metric("performance.latency")
    asked = {"constraints": {"assert": [{"metric": "performance.latency", "min": best * 1.05}]}}
    result = mlsysim.optimize.parallelism(plan | asked, time_limit=30)
    assert result.status == "optimal"
    assert result.evaluation.metric("performance.latency") >= best * 1.05 * (1 - 1e-6)


def three() -> tuple[Problem, list]:
    problem = Problem("three")
    return problem, [problem.choose(name, **{name: [0, 1, 2]}) for name in "abc"]


def test_an_optimum_of_nothing_but_rounding():
    problem, (a, b, c) = three()
    problem.minimize(a.table([0.1, 5, 7]) + b.table([0.2, 5, 7]) - c.table([0.3, 0.1, 0]))
    assert solve(problem).outcome.objective == pytest.approx(0.0, abs=1e-15)


def test_rows_of_numbers_keep_their_size():
    problem, (a, *_) = three()
    problem.minimize(a.table([1, 2, 3]))
    problem.limit("r", "r", 0.1 + 0.2, 0.3)
    assert solve(problem).outcome.status == "optimal"


@pytest.mark.parametrize("solver", ["highs", "exhaustive"])
def test_a_table_without_a_number_is_refused(solver):
    problem, (a, *_) = three()
    with pytest.raises(ValueError, match="not a number"):
        problem.minimize(a.table([np.nan, 2, 3]))


def test_amounts_alone():
    problem = Problem("amounts")
    y = problem.amount("y", -1.5, 2.0)
    problem.minimize(y)
    assert solve(problem).outcome.objective == pytest.approx(-1.5)


def test_a_choice_excludes_nothing_of_itself():
    problem, (a, *_) = three()
    with pytest.raises(ValueError, match="nothing to exclude"):
        problem.exclude(a, [0, 1, 2], a, [0, 1, 2], lambda x, y: x == y)


def test_columns_of_a_choice_are_equally_long():
    with pytest.raises(ValueError, match="equally long"):
        Problem("ragged").choose("a", k=[0, 1], j=[1, 2, 3])


def test_one_clock_for_one_question():
    options = Options(time_limit=0.001)
    while not options.expired:
        pass
    assert 0 < options.remaining < 0.02
    assert issubclass(SolverLimitError, MlsysimError)

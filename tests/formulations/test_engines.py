"""Engines against each other, and against enumeration that shares no code with them."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import random_problems as rp
from hypothesis import assume, given

from formulations.algebra import Amount
from formulations.engines import ENGINES, CpSat, Exhaustive, Highs, Pyomo, engine
from formulations.engines.base import Options
from formulations.joint import holds
from formulations.linear import linearize
from formulations.problem import Problem
from formulations.solve import feasible, solve
from mlsysim.core.errors import MissingExtraError, UnknownNameError

RELATIVE = 1e-6


def same(a, b):
    return abs(a - b) <= RELATIVE * max(1.0, abs(b))


def agrees(outcome, truth, spec):
    """Check an outcome against the enumerated solutions, best first."""
    if not truth:
        assert outcome.status == "infeasible"
        assert outcome.objective is None
        assert not outcome.cells
        return
    best = truth[0][0]
    assert outcome.status == "optimal"
    assert same(outcome.objective, best)
    assert outcome.bound <= outcome.objective + RELATIVE * max(1.0, abs(best))
    assert same(outcome.bound, best)
    point = tuple(int(outcome.cells[c][0]) for c in outcome.cells)
    assert rp.together(spec, point)
    assert rp.holding(spec, point, tolerance=1e-6)
    assert same(rp.value(spec.objective, point), best)


@rp.examples(300)
@given(rp.specs())
def test_all_engines_find_the_enumerated_optimum(spec):
    truth = rp.enumerate_all(spec)
    # an optimum of rounding errors around zero has no relative size
    assume(not truth or truth[0][0] == 0.0 or abs(truth[0][0]) > 1e-9)
    problem = rp.problem_of(spec)
    agrees(solve(problem, "exhaustive").outcome, truth, spec)
    agrees(solve(problem, "highs").outcome, truth, spec)
    # on its own, without presolve: the linearization itself is exact
    agrees(Highs().solve(problem, Options()), truth, spec)


@rp.examples(200)
@given(rp.amount_specs())
def test_amounts_reach_the_optimum_of_an_independent_judge(spec):
    # away from zero, where a relative comparison of objectives says nothing
    spec = replace(spec, objective=("sum", ("number", 50.0), spec.objective))
    truth = rp.best_with_amounts(spec)
    problem, choices, amounts = rp.written(spec)
    for outcome in (solve(problem, "highs").outcome, Highs().solve(problem, Options())):
        if truth is None:
            assert outcome.status == "infeasible"
            continue
        assert outcome.status == "optimal"
        assert same(outcome.objective, truth)
        point = tuple(int(outcome.cells[c][0]) for c in choices)
        levels = tuple(outcome.amounts[a] for a in amounts)
        assert rp.together(spec, point)
        for level, (low, high, whole) in zip(levels, spec.amounts, strict=True):
            assert low - 1e-9 <= level <= high + 1e-9
            assert not whole or level == round(level)
        assert same(rp.value(spec.objective, point, levels), truth)
        for row in spec.rows:
            assert rp.value(row.tree, point, levels) <= row.supply + 1e-6


def two_choices():
    problem = Problem("two")
    a = problem.choose("a", k=[0, 1, 2])
    b = problem.choose("b", j=[0, 1, 2])
    return problem, a, b


def test_a_maximum_that_is_pushed_up_is_exact():
    problem, a, b = two_choices()
    x, y = a.table([1.0, 4.0, 6.0]), b.table([2.0, 5.0, 3.0])
    # without exactness the solver would claim a maximum above both
    problem.minimize(a.table([0.0, 1.0, 2.0]) + b.table([0.0, 1.0, 2.0]) - 2.0 * np.maximum(x, y))
    for name in ENGINES:
        assert solve(problem, name).outcome.objective == pytest.approx(-10.0, rel=1e-9)


def test_a_maximum_that_is_pushed_up_may_come_from_either_side():
    for lead in (0, 1):
        problem, a, b = two_choices()
        x, y = a.table([1.0, 4.0, 6.0]), b.table([2.0, 9.0, 3.0])
        # the cheap cell of one side, whatever the other side's largest value is
        problem.minimize(
            a.table([0.0, 50.0, 50.0 * lead]) + b.table([0.0, 50.0 * (1 - lead), 50.0]) - np.maximum(x, y)
        )
        for name in ENGINES:
            assert solve(problem, name).outcome.objective == pytest.approx((-6.0, -9.0)[lead], rel=1e-9)
        # presolve leaves nothing to decide: on its own the engine must know it too
        assert Highs().solve(problem, Options()).objective == pytest.approx((-6.0, -9.0)[lead], rel=1e-9)


def test_an_amount_below_zero_times_a_table():
    problem, a, _ = two_choices()
    y = problem.amount("y", -4.0, 3.0)
    problem.limit("r", "r", -1.0 * y, 2.5)
    problem.minimize(y * a.table([1.0, 2.0, 4.0]) + a.table([0.0, 0.0, 9.0]))
    outcome = solve(problem).outcome
    assert outcome.objective == pytest.approx(-5.0, rel=1e-9)
    assert outcome.amounts[y] == pytest.approx(-2.5, rel=1e-9)


def test_a_maximum_in_a_row_that_wants_it_large():
    problem, a, b = two_choices()
    x, y = a.table([1.0, 4.0, 6.0]), b.table([2.0, 5.0, 3.0])
    problem.limit("r", "r", 5.0, np.maximum(x, y))
    problem.minimize(a.table([0.0, 1.0, 9.0]) + b.table([0.0, 1.0, 2.0]))
    for name in ENGINES:
        outcome = solve(problem, name).outcome
        assert outcome.objective == pytest.approx(1.0, rel=1e-9)
        assert (int(outcome.cells[a][0]), int(outcome.cells[b][0])) == (0, 1)


def test_maxima_inside_maxima_of_both_signs():
    problem, a, b = two_choices()
    x, y = a.table([1.0, 4.0, 6.0]), b.table([2.0, 5.0, 3.0])
    inner = np.minimum(x + y, 7.0)
    problem.minimize(np.maximum(inner, 2.0 * x) - np.maximum(y, inner - x))
    expected = min(
        max(min(p + q, 7), 2 * p) - max(q, min(p + q, 7) - p) for p in (1, 4, 6) for q in (2, 5, 3)
    )
    assert expected == 1
    for name in ENGINES:
        assert solve(problem, name).outcome.objective == pytest.approx(expected, rel=1e-9)


def test_choices_that_share_an_attribute_agree():
    problem = Problem("shared")
    a = problem.choose("a", tp=[1, 2, 4], own=[0, 1, 2])
    b = problem.choose("b", tp=[2, 4, 8])
    problem.minimize(a.table([0.0, 3.0, 1.0]) + b.table([1.0, 4.0, 0.0]))
    for name in ENGINES:
        outcome = solve(problem, name).outcome
        assert outcome.objective == pytest.approx(4.0, rel=1e-9)
        assert (int(outcome.cells[a][0]), int(outcome.cells[b][0])) == (1, 0)


def test_choices_that_cannot_agree_are_infeasible():
    problem = Problem("apart")
    a, b = problem.choose("a", tp=[1, 2]), problem.choose("b", tp=[4, 8])
    problem.minimize(a.table([1.0, 2.0]) + b.table([1.0, 2.0]))
    for name in ENGINES:
        assert solve(problem, name).outcome.status == "infeasible"
    assert Highs().solve(problem, Options()).status == "infeasible"


@pytest.mark.parametrize(("demand", "supply", "status"), [(3.0, 4.0, "optimal"), (4.0, 3.0, "infeasible")])
def test_rows_of_numbers_only(demand, supply, status):
    problem, a, _ = two_choices()
    problem.limit("r", "r", demand, supply)
    problem.minimize(a.table([3.0, 2.0, 1.0]))
    for name in ENGINES:
        assert solve(problem, name).outcome.status == status
    assert Highs().solve(problem, Options()).status == status


def test_an_objective_that_is_a_number_asks_for_any_solution():
    problem, a, _ = two_choices()
    problem.limit("r", "r", a.table([3.0, 1.0, 2.0]), 1.5)
    problem.minimize(7.0)
    for name in ENGINES:
        outcome = solve(problem, name).outcome
        assert (outcome.status, outcome.objective) == ("optimal", 7.0)
        assert int(outcome.cells[a][0]) == 1


def test_scales_far_apart_do_not_blur_the_optimum():
    problem, a, b = two_choices()
    problem.limit("w", "w", a.table([3e11, 5e10, 1e10]) * b.table([1.0, 0.5, 2.0]), 4e10)
    problem.minimize(a.table([1e-3, 2e-3, 5e-3]) * b.table([1.0, 3.0, 0.7]))
    for name in ENGINES:
        outcome = solve(problem, name).outcome
        assert outcome.objective == pytest.approx(3.5e-3, rel=1e-9)


def test_a_maximum_far_above_the_optimum_costs_no_exactness():
    # divided by its largest value, the maximum is smaller than HiGHS's tolerance where it matters
    problem, a, b = two_choices()
    most = np.maximum(a.table([0.0, 1234.5**2, 0.0]), b.table([0.001, 0.5, 0.5]))
    problem.minimize(a.table([0.001, 0.0, 0.0015]) + most)
    for chosen in (Highs(), CpSat(), Exhaustive()):
        outcome = chosen.solve(problem, Options())
        assert outcome.status == "optimal"
        assert outcome.objective == pytest.approx(0.002, rel=1e-9)
        assert outcome.bound <= 0.002 * (1 + 1e-9)


def test_enumeration_refuses_amounts():
    problem, a, _ = two_choices()
    problem.minimize(a.table([1.0, 2.0, 3.0]) + problem.amount("y", 0.0, 1.0))
    assert not Exhaustive.amounts
    with pytest.raises(ValueError, match="amounts"):
        solve(problem, "exhaustive")


def test_a_whole_amount_is_whole():
    problem, a, _ = two_choices()
    y = problem.amount("y", 0.0, 10.0, whole=True)
    problem.limit("r", "r", 7.4, y * a.table([1.0, 2.0, 3.0]))
    problem.minimize(3.0 * y + a.table([0.0, 5.0, 9.0]))
    outcome = solve(problem).outcome
    assert outcome.objective == pytest.approx(17.0, rel=1e-9)
    assert outcome.amounts == {y: 4.0}


def test_a_matrix_is_what_it_says_it_is():
    problem, a, b = two_choices()
    y = Amount("y", -1.0, 4.0)
    problem.amounts.append(y)
    problem.limit("w01", "w01[0]", a.table([1.0, 2.0, 3.0]) * b.table([1.0, 1.0, 2.0]) + y, 5.0)
    most = np.maximum(a.table([1.0, 2.0, 3.0]), b.table([3.0, 2.0, 1.0]))
    problem.minimize(y * b.table([1.0, 2.0, 3.0]) + most)
    m = linearize(problem)
    assert len(m.cost) == len(m.low) == len(m.high) == len(m.whole)
    assert len(m.row_low) == len(m.row_high) == len(m.tags) == len(m.starts) - 1
    assert m.starts[-1] == len(m.columns) == len(m.values)
    assert m.columns.max() < len(m.cost)
    assert np.isfinite([m.low, m.high]).all()
    assert np.isfinite(m.values).all()
    assert m.tags.count("w01") == 1
    # entries of one row and column are added up, once
    for i in range(len(m.row_low)):
        row = m.columns[m.starts[i] : m.starts[i + 1]]
        assert len(set(row.tolist())) == len(row)


def test_engines_by_name():
    assert isinstance(engine("auto"), Highs)
    assert isinstance(engine("exhaustive"), Exhaustive)
    assert isinstance(engine("cp-sat"), CpSat)
    assert isinstance(engine("pyomo:highs"), Pyomo)
    with pytest.raises(UnknownNameError, match="gurobi"):
        engine("gurobi")


@pytest.mark.parametrize(
    ("name", "package", "title"),
    [("highs", "highspy", "HiGHS"), ("cp-sat", "ortools", "CP-SAT"), ("pyomo:cbc", "pyomo", "Pyomo")],
)
def test_a_missing_engine_is_refused_by_name(monkeypatch, name, package, title):
    problem, a, _ = two_choices()
    problem.minimize(a.table([4.0, 2.0, 3.0]))
    monkeypatch.setitem(sys.modules, package, None)
    for ask in (solve, feasible):
        with pytest.raises(MissingExtraError, match=title) as caught:
            ask(problem, name)
        assert "mlsysim[solvers]" in caught.value.hint
    # of little there is to look at, nobody has to be asked
    assert solve(problem).outcome.objective == pytest.approx(2.0)


def test_the_gap_is_relative_to_the_answer():
    problem, a, _ = two_choices()
    problem.minimize(a.table([4.0, 2.0, 3.0]))
    solved = solve(problem)
    assert solved.gap == 0.0
    assert math.isclose(solved.outcome.bound, 2.0, rel_tol=1e-9)
    assert holds(problem, solved.outcome.cells)[0]


def test_importing_the_engines_imports_no_solver():
    code = (
        "import sys, formulations.engines;"
        "print([m for m in ('highspy', 'ortools', 'pyomo') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""CP-SAT: whole numbers that decide what floats would, with a bound on what rounding costs."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import random_problems as rp
from hypothesis import assume, given
from hypothesis import strategies as st

from formulations.engines import CpSat, Exhaustive, Highs, child, cpsat_search
from formulations.engines.base import Options
from formulations.engines.scaling import BITS, Gated, Largest, Level, Pair, Single, grid_of, limit_of, sum_of
from formulations.joint import holds
from formulations.problem import Problem
from formulations.solve import solve
from mlsysim.core.errors import MismatchError, MlsysimError

RELATIVE = 1e-6


def same(a, b):
    return abs(a - b) <= RELATIVE * max(1.0, abs(b))


def agrees(outcome, truth, spec):
    """Check an outcome against the enumerated solutions, best first."""
    if not truth:
        assert (outcome.status, outcome.objective, outcome.cells) == ("infeasible", None, {})
        return
    assert outcome.status == "optimal"
    assert same(outcome.objective, truth[0][0])
    assert outcome.bound <= outcome.objective + 1e-9 * abs(outcome.objective)
    assert same(outcome.bound, truth[0][0])
    point = tuple(int(i[0]) for i in outcome.cells.values())
    assert rp.together(spec, point)
    assert rp.holding(spec, point)
    assert same(rp.value(spec.objective, point), truth[0][0])


@rp.examples(500)
@given(rp.specs())
def test_four_judges_agree(spec):
    truth = rp.enumerate_all(spec)
    # an optimum of rounding errors around zero has no relative size
    assume(not truth or truth[0][0] == 0.0 or abs(truth[0][0]) > 1e-9)
    problem = rp.problem_of(spec)
    agrees(CpSat().solve(problem, Options()), truth, spec)
    agrees(solve(problem, "highs").outcome, truth, spec)
    agrees(Exhaustive().solve(problem, Options()), truth, spec)


@rp.examples(100)
@given(rp.amount_specs())
def test_amounts_reach_the_optimum_of_an_independent_judge(spec):
    spec = replace(spec, objective=("sum", ("number", 50.0), spec.objective))
    truth = rp.best_with_amounts(spec)
    problem, choices, amounts = rp.written(spec)
    continuous = not all(whole for _, _, whole in spec.amounts)
    outcome = CpSat().solve(problem, Options(gap=1e-6 if continuous else 1e-9))
    if truth is None:
        # a row that two units of an amount can only just break leaves the question open
        assert outcome.status == "infeasible" or (continuous and outcome.status != "optimal")
        return
    # where continuous amounts and products of them are many, the rounding may be more than the gap
    assert outcome.status == "optimal" or (continuous and outcome.status == "feasible")
    assert outcome.bound <= truth + RELATIVE * max(1.0, abs(truth))
    assert same(outcome.objective, truth)
    point = tuple(int(outcome.cells[c][0]) for c in choices)
    levels = tuple(outcome.amounts[a] for a in amounts)
    for level, (low, high, whole) in zip(levels, spec.amounts, strict=True):
        assert low <= level <= high
        assert not whole or level == round(level)
    assert same(rp.value(spec.objective, point, levels), truth)


# -- rounding -------------------------------------------------------------------------------------


def whole_value(s, grid, cells, levels):
    """Return the sum in steps of a grid, as the solver would add it up."""
    total = int(grid.whole(np.array([s.constant]))[0])
    for p in s.parts:
        if isinstance(p, Single):
            total += int(grid.whole(p.values)[cells[p.choice]])
        elif isinstance(p, Pair):
            line = grid.whole(p.values)[p.left_class[cells[p.left]]]
            total += int(line[p.right_class[cells[p.right]]])
        elif isinstance(p, Level):
            base, step, _, _ = p.units
            k = 0 if p.choice is None else p.which[cells[p.choice]]
            units = round((levels[p.amount] - base) / step) if step else 0
            total += int(grid.whole(p.factors * step)[k]) * units + int(grid.whole(p.factors * base)[k])
        elif isinstance(p, Gated):
            total += whole_value(p.args[p.which[cells[p.choice]]], grid, cells, levels)
        else:
            assert isinstance(p, Largest)
            total += p.sign * max(whole_value(a, grid, cells, levels) for a in p.args)
    return total


@rp.examples(200)
@given(rp.specs(), st.data())
def test_rounding_stays_within_its_bound(spec, data):
    problem = rp.problem_of(spec)
    point = data.draw(st.tuples(*(st.integers(0, n - 1) for n in spec.sizes)))
    cells = dict(zip(problem.choices, point, strict=True))
    arrays = {c: np.array([i]) for c, i in cells.items()}
    total = sum_of(problem.objective, problem.choices)
    grid = grid_of(total)
    exact = Fraction(float(problem.objective.at(arrays)[0])) * Fraction(grid.scale)
    assert abs(whole_value(total, grid, cells, {}) - exact) <= total.error(grid)
    assert total.reach * grid.scale <= 2.0**BITS
    for row in problem.rows:
        total, slack = limit_of(row, problem.choices)
        grid = grid_of(total)
        if row.holds(arrays, None, 1e-9)[0]:
            most = slack * grid.scale + total.error(grid)
            assert whole_value(total, grid, cells, {}) <= np.floor(most)


@rp.examples(100)
@given(rp.amount_specs(), st.data())
def test_rounding_of_amounts_stays_within_its_bound(spec, data):
    problem, choices, amounts = rp.written(spec)
    point = data.draw(st.tuples(*(st.integers(0, n - 1) for n in spec.sizes)))
    levels = {
        a: float(data.draw(st.integers(int(a.low), int(a.high)) if a.whole else st.floats(a.low, a.high)))
        for a in amounts
    }
    cells = dict(zip(choices, point, strict=True))
    total = sum_of(problem.objective, problem.choices)
    grid = grid_of(total)
    arrays = {c: np.array([i]) for c, i in cells.items()}
    exact = float(problem.objective.at(arrays, levels)[0]) * grid.scale
    assert abs(whole_value(total, grid, cells, levels) - exact) <= total.error(grid)


def test_whole_numbers_and_halves_are_not_rounded():
    problem = Problem("halves")
    a, b = problem.choose("a", i=range(3)), problem.choose("b", j=range(3))
    e = a.table([1.5, 2.0, -3.0]) * b.table([0.5, 4.0, 1.0]) + np.maximum(a.table([1, 2, 3]), 2.5)
    total = sum_of(e.expr(), problem.choices)
    assert grid_of(total).exact
    assert total.error(grid_of(total)) == 0.0


def test_a_difference_far_below_the_values_decides():
    # a scale that fits the values alone would call all of these equal
    problem = Problem("near")
    choices = [problem.choose(f"c{i}", **{f"k{i}": range(6)}) for i in range(4)]
    rng = np.random.default_rng(5)
    tables = [c.table(1e6 + rng.permutation(6) * 1e-6) for c in choices]
    problem.minimize(tables[0] + tables[1] + tables[2] + tables[3])
    found, truth = CpSat().solve(problem, Options(gap=0.0)), Exhaustive().solve(problem, Options())
    assert found.objective == truth.objective
    assert found.bound <= truth.objective


def test_a_gap_that_rounding_leaves_open_is_told():
    problem = Problem("amounts")
    a = problem.choose("a", k=[0, 1])
    y = problem.amount("y", 0.0, 1.0)
    problem.limit("r", "r", 1.0, 3.0 * y + a.table([0.0, 0.1]))
    problem.minimize(y * a.table([1.0, 1.1]) + a.table([1.0, 1.0]))
    strict, loose = (CpSat().solve(problem, Options(gap=gap)) for gap in (1e-12, 1e-6))
    assert (strict.status, loose.status) == ("feasible", "optimal")
    assert strict.bound < 1.33 < strict.objective + 1e-7
    assert strict.objective - strict.bound < 1e-6


def test_no_whole_number_between_the_ends_of_a_whole_amount():
    problem = Problem("none")
    a = problem.choose("a", k=[0, 1])
    y = problem.amount("y", 0.2, 0.8, whole=True)
    problem.minimize(a.table([1.0, 2.0]) + y)
    assert CpSat().solve(problem, Options()).status == "infeasible"


# -- promises -------------------------------------------------------------------------------------


def test_a_time_limit_leaves_an_answer_and_its_gap():
    problem = rp.quadratic()
    outcome = CpSat().solve(problem, Options(time_limit=1.0))
    assert outcome.status == "feasible"
    assert outcome.seconds < 10.0
    assert outcome.bound < outcome.objective
    assert outcome.objective == pytest.approx(float(problem.objective.at(outcome.cells)[0]), rel=1e-12)


def test_no_time_at_all_knows_nothing_and_reads_no_numbers():
    outcome = CpSat().solve(rp.quadratic(30, 20), Options(time_limit=0.0))
    assert (outcome.status, outcome.objective, outcome.bound, outcome.cells) == ("unknown", None, None, {})


def test_a_start_is_where_the_search_begins():
    problem = rp.quadratic()
    good = Highs().solve(problem, Options(time_limit=2.0))
    # longer than it takes to read the hint, too short to find as good an answer from nothing
    outcome = CpSat().solve(problem, Options(time_limit=1.0), start=good.cells)
    assert outcome.objective <= good.objective * (1 + 1e-9)


def test_the_same_seed_gives_the_same_answer():
    problem = rp.quadratic(5, 4)
    first, again = (CpSat().solve(problem, Options(seed=4)) for _ in range(2))
    assert first.status == again.status == "optimal"
    assert (first.objective, first.bound, first.nodes) == (again.objective, again.bound, again.nodes)
    assert all((first.cells[c] == again.cells[c]).all() for c in problem.choices)


def test_an_answer_that_rounding_lets_through_a_row_is_forbidden():
    problem = Problem("row")
    a, b = problem.choose("a", i=range(3)), problem.choose("b", j=range(3))
    # the first cell breaks the row by a part in 10^8, far above the tolerance and far below 1
    problem.limit("r", "r", a.table([1.0 + 1e-8, 1.0, 0.5]) * b.table([1e9, 1e9, 1e-3]), 1e9)
    problem.minimize(a.table([1.0, 2.0, 3.0]) + b.table([1.0, 1.1, 9.0]))
    outcome = CpSat().solve(problem, Options())
    assert outcome.status == "optimal"
    assert outcome.objective == pytest.approx(3.0)
    assert holds(problem, outcome.cells)[0]


def test_a_process_that_the_system_ended_for_memory_knows_nothing(monkeypatch):
    monkeypatch.setattr(child, "PROGRAM", "import os; os.kill(os.getpid(), 9)")
    monkeypatch.setattr(child, "_kept", [])
    assert CpSat().solve(rp.quadratic(3, 3), Options()).status == "unknown"


def test_a_process_that_crashed_is_an_error(monkeypatch):
    monkeypatch.setattr(child, "PROGRAM", "import os; os._exit(3)")
    monkeypatch.setattr(child, "_kept", [])
    with pytest.raises(MlsysimError, match="status 3"):
        CpSat().solve(rp.quadratic(3, 3), Options())


def test_an_error_in_the_other_process_comes_out_of_this_one():
    problem = rp.quadratic(3, 3)
    with pytest.raises(MismatchError, match="refuses the model"):
        CpSat().solve(problem, Options(threads=-7))
    assert CpSat().solve(problem, Options()).status == "optimal"


def test_the_other_process_is_kept(monkeypatch):
    monkeypatch.setattr(child, "_kept", [])
    CpSat().solve(rp.quadratic(3, 3), Options())
    (kept,) = child._kept
    CpSat().solve(rp.quadratic(3, 3), Options())
    assert child._kept == [kept]
    other = child.borrow("another library")
    assert other is not kept  # which of two HiGHS a process has loaded cannot be changed
    other.end()
    kept.end()


def test_a_claim_against_a_known_solution_is_not_believed():
    cp = SimpleNamespace(INFEASIBLE=3, UNKNOWN=0, OPTIMAL=4)
    solver = SimpleNamespace(best_objective_bound=100.0)
    cpsat_search._believe(cp, solver, cp.OPTIMAL, 100.0)
    cpsat_search._believe(cp, solver, cp.UNKNOWN, 1.0)
    for status, known in ((cp.OPTIMAL, 99.0), (cp.INFEASIBLE, 1000.0)):
        with pytest.raises(MismatchError, match="known"):
            cpsat_search._believe(cp, solver, status, known)

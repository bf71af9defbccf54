"""Pyomo: files with readable names, and other people's solvers, of whom nothing is believed unproven."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import highspy
import numpy as np
import pytest
import random_problems as rp
from hypothesis import given

from formulations import parallelism
from formulations.engines import Highs, Pyomo, engine
from formulations.engines import pyomo as module
from formulations.engines.base import Options
from formulations.engines.pyomo import export, to_pyomo
from formulations.linear import linearize
from formulations.names import clean, distinct
from formulations.presolve import reduce, restrict
from formulations.problem import Problem
from formulations.solve import solve
from mlsysim.core.api import scenario
from mlsysim.core.errors import InputError, MlsysimError, UnknownNameError

EXAMPLES = Path(__file__).parents[2] / "examples"
SOLVERS = ("appsi_highs", "highs")


@pytest.fixture(scope="module")
def plan():
    s = scenario(EXAMPLES / "llama3_70b.yaml")
    problem = parallelism.formulate(s, s.settings.bounds).problem
    small = reduce(problem).problem
    # as small as presolve makes it, with the rows that presolve found to hold anyway
    cells = []
    for big, few in zip(problem.choices, small.choices, strict=True):
        rows = set(zip(*(c.tolist() for c in few.columns.values()), strict=True))
        here = zip(*(c.tolist() for c in big.columns.values()), strict=True)
        cells.append(np.array([i for i, row in enumerate(here) if row in rows]))
    return restrict(problem, cells)


def optimum(path):
    """Return the optimum of a file, and the names that HiGHS reads in it."""
    h = highspy.Highs()
    h.setOptionValue("output_flag", False)
    h.setOptionValue("mip_rel_gap", 1e-9)
    assert h.readModel(str(path)) == highspy.HighsStatus.kOk
    h.run()
    assert h.getModelStatus() == highspy.HighsModelStatus.kOptimal
    rows = [h.getRowName(i)[1] for i in range(h.getNumRow())]
    return h.getObjectiveValue(), rows, [h.getColName(i)[1] for i in range(h.getNumCol())]


@pytest.mark.parametrize("suffix", ["lp", "mps"])
def test_a_file_is_the_same_problem_with_the_walls_named(plan, tmp_path, suffix):
    path = tmp_path / f"plan.{suffix}"
    export(plan, path)
    best, rows, columns = optimum(path)
    assert best == pytest.approx(solve(plan, "highs").outcome.objective, rel=1e-7)
    for name in ("c_u_w02(0)_", "c_u_w14(0)_", "c_u_assert0(min)_", "c_u_assert1(max)_", "c_e_one(layer)_"):
        assert name in rows
    assert any(re.fullmatch(r"c_e_agree\(layer,shard,tp\d+_cp\d+_ep\d+\)_", r) for r in rows)
    assert {"layer(0)", "pipeline(0)", "shard(0)"} <= set(columns)
    assert "w14(0)" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", ["lp", "mps"])
def test_amounts_and_maxima_survive_a_file(tmp_path, suffix):
    problem = Problem("mixed")
    a = problem.choose("a", k=[0, 1, 2])
    b = problem.choose("b", j=[0, 1, 2])
    y, n = problem.amount("y", -1.0, 4.0), problem.amount("e3 of it", 0.0, 5.0, whole=True)
    problem.limit("r", "r", 7.4, n * a.table([1.0, 2.0, 3.0]) - y)
    problem.limit("s", "s", 5.0, np.maximum(a.table([1.0, 4.0, 6.0]), b.table([2.0, 5.0, 3.0])) + 0.25 * y)
    problem.minimize(3.0 * n + 0.1 * y + a.table([7.0, 12.0, 16.0]) + b.table([0.0, 1.0, 2.0]))
    path = tmp_path / f"mixed.{suffix}"
    export(problem, path)
    best, _, columns = optimum(path)
    assert best == pytest.approx(Highs().solve(problem, Options()).objective, rel=1e-7)
    assert {"y", "_e3_of_it"} <= set(columns)


@pytest.mark.parametrize("name", ["plan.txt", "plan", "plan.lp.gz"])
def test_a_file_of_no_known_kind_is_refused(plan, tmp_path, name):
    with pytest.raises(InputError, match="no format") as caught:
        export(plan, tmp_path / name)
    assert ".lp or .mps" in caught.value.hint
    assert not (tmp_path / name).exists()


def test_names_are_unique_and_legal(plan):
    linear = linearize(plan)
    for names, count in ((linear.row_names, len(linear.row_low)), (linear.column_names, len(linear.cost))):
        assert len(names) == len(set(names)) == count
        assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.,()]*", n) for n in names)
    tags = {n for n, tag in zip(linear.row_names, linear.tags, strict=True) if tag}
    assert {"w02(0)", "w14(0)", "assert0(min)"} <= tags
    assert not any(t.startswith(("one", "hull", "agree")) for t in tags)


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("w14[0]", "w14(0)"),
        ("a b", "a_b"),
        ("e1", "_e1"),
        ("free", "_free"),
        ("Inf", "_Inf"),
        ("3x", "_3x"),
        ("", "_"),
        ("a=b:c", "a_b_c"),
        ("layer", "layer"),
        ("x" * 999, "x" * 200),
    ],
)
def test_a_name_is_cleaned(name, cleaned):
    assert clean(name) == cleaned


def test_names_that_become_alike_are_told_apart():
    assert distinct(["a b", "a_b", "a b", "a_b.2"]) == ["a_b", "a_b.2", "a_b.3", "a_b.2.2"]


def test_names_are_not_made_until_somebody_asks(plan):
    linear = linearize(plan)
    assert "row_names" not in vars(linear)
    assert len(linear.row_names) == len(linear.row_low)
    assert "row_names" in vars(linear)


def test_a_model_has_its_rows_by_name(plan):
    model = to_pyomo(linearize(plan))
    assert model.component("w14(0)") is not None
    assert model.component("layer(0)").bounds == (0.0, 1.0)


@pytest.mark.parametrize("solver", SOLVERS)
@rp.examples(15)
@given(rp.specs())
def test_other_routes_to_a_solver_agree(solver, spec):
    truth = rp.enumerate_all(spec)
    outcome = solve(rp.problem_of(spec), f"pyomo:{solver}").outcome
    assert outcome.status == ("optimal" if truth else "infeasible")
    if truth:
        assert abs(outcome.objective - truth[0][0]) <= 1e-6 * max(1.0, abs(truth[0][0]))


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_plan_and_its_verdicts(plan, solver):
    chosen = engine(f"pyomo:{solver}")
    truth = Highs().solve(plan, Options())
    outcome = chosen.solve(plan, Options())
    assert (outcome.status, outcome.engine) == ("optimal", f"pyomo:{solver}")
    assert outcome.objective == pytest.approx(truth.objective, rel=1e-9)
    impossible = Problem("impossible")
    a, b = impossible.choose("a", tp=[1, 2]), impossible.choose("b", tp=[4, 8])
    impossible.minimize(a.table([1.0, 2.0]) + b.table([1.0, 2.0]))
    assert chosen.solve(impossible, Options()).status == "infeasible"


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_time_limit_leaves_an_answer_and_its_gap(solver):
    told = []
    problem = rp.quadratic()
    options = Options(time_limit=1.5, progress=lambda *pair: told.append(pair))
    outcome = Pyomo(solver).solve(problem, options)
    assert outcome.status in ("feasible", "unknown")
    assert outcome.seconds < 15.0
    if outcome.objective is not None:
        assert outcome.bound is None or outcome.bound < outcome.objective
        assert told == [(outcome.objective, outcome.bound)]


@pytest.mark.parametrize("name", ["glpk", "no_such_solver"])
def test_a_solver_out_of_reach_is_named_with_those_within(name, plan):
    with pytest.raises(UnknownNameError, match=name) as caught:
        Pyomo(name).solve(plan, Options())
    assert "pyomo:highs" in caught.value.hint


def test_a_name_is_needed():
    with pytest.raises(UnknownNameError, match="pyomo:"):
        engine("pyomo:")
    assert engine("pyomo:cbc").solver == "cbc"


# -- what solvers say -----------------------------------------------------------------------------


def said(condition, bound, monkeypatch, *, gap=1e-9, solutions=1):
    """Return the outcome of a made-up solver on a problem whose optimum is 2."""
    problem = Problem("small")
    a = problem.choose("a", k=[0, 1])
    problem.minimize(a.table([4.0, 2.0]))
    linear = linearize(problem)
    results = SimpleNamespace(
        solver=SimpleNamespace(termination_condition=condition, message="licence expired"),
        problem=SimpleNamespace(lower_bound=None if bound is None else bound / linear.scale),
        solution=[None] * solutions,
    )
    monkeypatch.setattr(module, "_values", lambda *_: np.array([0.0, 1.0]))
    common = {"engine": "pyomo:made_up", "version": "1", "seconds": 0.0}
    return module._outcome(results, None, [], linear, Options(gap=gap), common)


@pytest.mark.parametrize(
    ("condition", "bound", "gap", "status"),
    [
        ("optimal", 2.0, 1e-9, "optimal"),
        ("globallyOptimal", 2.0, 1e-9, "optimal"),
        ("optimal", 1.9999, 1e-9, "feasible"),  # within the solver's own gap, not within ours
        ("optimal", 1.9999, 1e-3, "optimal"),
        ("optimal", None, 1e-9, "feasible"),
        ("optimal", float("-inf"), 1e-9, "feasible"),
        ("optimal", "<undefined>", 1e-9, "feasible"),
        ("maxTimeLimit", 2.0, 1e-9, "feasible"),
        ("feasible", 2.0, 1e-9, "feasible"),
        ("userInterrupt", 1.0, 1e-9, "feasible"),
        ("infeasible", 1.0, 1e-9, "infeasible"),
        ("infeasibleOrUnbounded", None, 1e-9, "infeasible"),
        ("something new", 2.0, 1e-9, "feasible"),
    ],
)
def test_an_unproven_answer_is_never_optimal(condition, bound, gap, status, monkeypatch):
    if isinstance(bound, str):
        monkeypatch.setattr(module, "_number", lambda x, real=module._number: real(bound))
        bound = None
    outcome = said(condition, bound, monkeypatch, gap=gap)
    assert outcome.status == status
    assert (outcome.objective is None) == (status == "infeasible")


@pytest.mark.parametrize("condition", ["maxTimeLimit", "optimal", "unknown", "other"])
def test_no_solution_is_no_answer(condition, monkeypatch):
    assert said(condition, 1.0, monkeypatch, solutions=0).status == "unknown"


@pytest.mark.parametrize("condition", ["error", "solverFailure", "licensingProblems", "invalidProblem"])
def test_a_solver_that_fails_says_why(condition, monkeypatch):
    with pytest.raises(MlsysimError, match=condition) as caught:
        said(condition, 2.0, monkeypatch)
    assert "licence expired" in caught.value.hint

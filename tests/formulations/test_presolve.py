"""Presolve, joins and bounds against :mod:`itertools`."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import random_problems as rp
from hypothesis import assume, given
from hypothesis import strategies as st

from formulations import first
from formulations.bounds import Bounds
from formulations.engines.base import Options
from formulations.joint import best, codes, compatible, holds, join
from formulations.presolve import reduce, restrict
from formulations.solve import solve

RELATIVE = 1e-9


def searched(way):
    """First solutions by descent from seeds, or outright as where there is little to look at."""
    return patch.object(first, "OUTRIGHT", 0 if way == "seeds" else first.OUTRIGHT)


def points_of(problem, batches):
    found = []
    for batch in batches:
        columns = [batch[c].tolist() for c in problem.choices]
        found += list(zip(*columns, strict=True))
    return found


@rp.examples(120)
@given(rp.specs(rows=0))
def test_join_lists_the_legal_combinations_and_no_other(spec):
    problem = rp.problem_of(spec)
    expected = list(rp.legal(spec))
    found = points_of(problem, join(problem))
    assert len(found) == len(set(found))
    assert sorted(found) == expected
    # in small batches: the same, in the same order
    assert points_of(problem, join(problem, chunk=3)) == found


@rp.examples(60)
@given(rp.specs(rows=0), st.data())
def test_join_of_a_subset_of_cells(spec, data):
    problem = rp.problem_of(spec)
    kept = [sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))) for n in spec.sizes]
    subset = {c: np.array(k) for c, k in zip(problem.choices, kept, strict=True)}
    found = points_of(problem, join(problem, subset))
    assert sorted(found) == [
        p for p in rp.legal(spec) if all(cell in k for cell, k in zip(p, kept, strict=True))
    ]


@rp.examples(60)
@given(rp.specs(rows=0))
def test_compatible_pairs(spec):
    problem = rp.problem_of(spec)
    two = [(i, j) for i in range(len(spec.sizes)) for j in range(i + 1, len(spec.sizes))]
    for i, j in two:
        a, b = problem.choices[i], problem.choices[j]
        agree = compatible(problem, a, b)
        np.testing.assert_array_equal(agree.T, compatible(problem, b, a))
        pair = rp.Spec(
            (spec.columns[i], spec.columns[j]),
            spec.objective,
            exclusions=tuple(
                ((0, lk, 1, rk, bad) if (left, right) == (i, j) else (1, lk, 0, rk, bad))
                for left, lk, right, rk, bad in spec.exclusions
                if {left, right} == {i, j}
            ),
        )
        for k in range(a.size):
            for m in range(b.size):
                assert agree[k, m] == rp.together(pair, (k, m))
        code_a, code_b = codes(a, b)
        assert len(code_a) == a.size
        assert len(code_b) == b.size


@rp.examples(150)
@given(rp.specs())
def test_reduction_keeps_the_optimum(spec):
    truth = rp.enumerate_all(spec)
    assume(not truth or truth[0][0] == 0.0 or abs(truth[0][0]) > 1e-9)
    problem = rp.problem_of(spec)
    for way in ("none", "seeds", "outright"):
        with searched(way):
            reduced = reduce(problem, prune=way != "none")
        if reduced.infeasible:
            assert not truth
            continue
        found, whole = best(reduced.problem), best(problem)
        assert found.complete
        assert whole.complete
        assert (found.objective is None) == (not truth)
        assert (whole.objective is None) == (not truth)
        if truth:
            slack = RELATIVE * max(1.0, abs(truth[0][0]))
            assert abs(found.objective - truth[0][0]) <= slack
            assert abs(whole.objective - truth[0][0]) <= slack
        for choice, original, at in zip(reduced.problem.choices, problem.choices, reduced.cells, strict=True):
            assert choice.size == len(at)
            for name, column in choice.columns.items():
                np.testing.assert_array_equal(column, original.columns[name][at])


@rp.examples(100)
@given(rp.specs(), st.sampled_from(["seeds", "outright"]))
def test_a_known_solution_holds_and_is_worth_what_it_says(spec, way):
    problem = rp.problem_of(spec)
    with searched(way):
        reduced = reduce(problem)
    if reduced.incumbent is None:
        return
    worth, cells = reduced.incumbent
    point = tuple(int(cells[c][0]) for c in problem.choices)
    assert rp.together(spec, point)
    assert rp.holding(spec, point, tolerance=1e-6)
    assert abs(rp.value(spec.objective, point) - worth) <= RELATIVE * max(1.0, abs(worth))
    assert holds(problem, cells)[0]


@rp.examples(60)
@given(rp.specs())
def test_the_first_solution_of_a_small_problem_is_the_best(spec):
    problem = rp.problem_of(spec)
    truth = rp.enumerate_all(spec)
    for way in ("seeds", "outright"):
        with searched(way):
            found = first.first_solutions(problem, [], Options(), 1)
        # eight cells of each choice are tried together, and no choice here has more
        assert bool(found) == bool(truth)
        if found:
            assert abs(found[0][0] - truth[0][0]) <= RELATIVE * max(1.0, abs(truth[0][0]))


@rp.examples(120)
@given(rp.specs(rows=1))
def test_lower_bounds_hold_cell_by_cell(spec):
    problem = rp.problem_of(spec)
    bounds = Bounds(problem)
    least = [np.full(n, np.inf) for n in spec.sizes]
    for point in rp.legal(spec):
        worth = rp.value(spec.objective, point)
        for i, cell in enumerate(point):
            least[i][cell] = min(least[i][cell], worth)
    for i, choice in enumerate(problem.choices):
        low = bounds.of(problem.objective, choice)
        assert low.shape == (choice.size,)
        finite = np.isfinite(least[i])
        slack = 1e-9 * np.maximum(1.0, np.abs(least[i][finite]))
        assert (low[finite] <= least[i][finite] + slack).all()


def test_a_lower_bound_sees_what_goes_together():
    spec = rp.Spec(
        ({"tp": [1, 2], "k": [0, 1]}, {"tp": [1, 2], "j": [0, 1]}),
        (
            "sum",
            ("table", 0, (1.0, 2.0)),
            ("table", 1, (10.0, 3.0)),
            ("product", ("table", 0, (1.0, 2.0)), ("table", 1, (4.0, 5.0))),
        ),
    )
    problem = rp.problem_of(spec)
    low = Bounds(problem).of(problem.objective, problem.choices[0])
    np.testing.assert_allclose(low, [15.0, 15.0], rtol=1e-12)


@rp.examples(60)
@given(rp.specs(), st.data())
def test_restriction_is_the_same_problem_on_fewer_cells(spec, data):
    problem = rp.problem_of(spec)
    kept = [np.array(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1)))) for n in spec.sizes]
    small = restrict(problem, kept)
    inside = [
        (w, p) for w, p in rp.enumerate_all(spec) if all(cell in k for cell, k in zip(p, kept, strict=True))
    ]
    found = best(small)
    assert (found.objective is None) == (not inside)
    if inside:
        assert abs(found.objective - inside[0][0]) <= RELATIVE * max(1.0, abs(inside[0][0]))


@rp.examples(40)
@given(rp.specs())
def test_ties_and_repeats_give_one_answer(spec):
    answers = set()
    for _ in range(2):
        problem = rp.problem_of(spec)
        for solver in ("exhaustive", "highs"):
            o = solve(problem, solver).outcome
            answers.add((solver, o.status, o.objective, tuple(int(i[0]) for i in o.cells.values())))
    assert len(answers) == 2


@rp.examples(40)
@given(rp.specs())
def test_enumeration_takes_the_first_of_equals(spec):
    truth = rp.enumerate_all(spec)
    assume(truth)
    # to the last bit only where the arithmetic is exact
    assume(all(float(w * 16).is_integer() for w, _ in truth))
    problem = rp.problem_of(spec)
    found = best(problem)
    equals = {p for w, p in truth if w == truth[0][0]}
    in_order = [p for p in points_of(problem, join(problem)) if p in equals]
    assert tuple(int(found.cells[c][0]) for c in problem.choices) == in_order[0]
    assert found.seen == len(list(rp.legal(spec)))


def test_enumeration_says_when_it_is_not_complete():
    spec = rp.Spec(
        ({"a": [0, 1]}, {"b": [0, 1]}), ("sum", ("table", 0, (1.0, 4.0)), ("table", 1, (1.0, 8.0)))
    )
    problem = rp.problem_of(spec)
    stopped = best(problem, stop=lambda: True)
    assert (stopped.objective, stopped.seen, stopped.complete) == (None, 0, False)
    assert best(problem).complete


def test_forbidding_walks_through_all_solutions_in_order():
    spec = rp.Spec(
        ({"a": [0, 1, 2]}, {"b": [0, 1]}), ("sum", ("table", 0, (1.0, 4.0, 2.5)), ("table", 1, (1.0, 8.0)))
    )
    problem = rp.problem_of(spec)
    worths = []
    while (o := solve(problem).outcome).status == "optimal":
        worths.append(o.objective)
        problem = problem.forbidding(o.cells)
    assert o.status == "infeasible"
    assert worths == [w for w, _ in rp.enumerate_all(spec)]

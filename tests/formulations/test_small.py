"""Small problems in one pass: the answer of every other engine, ties included."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from random_problems import enumerate_all, examples, problem_of, quadratic, specs

from formulations.engines.base import Options
from formulations.joint import join
from formulations.pairs import At
from formulations.small import solve_small
from formulations.solve import solve


@given(specs())
@examples(150)
def test_one_pass_finds_what_enumeration_finds(spec):
    problem = problem_of(spec)
    found = solve_small(problem).outcome
    known = solve(problem, "exhaustive", Options()).outcome
    every = enumerate_all(spec)
    assert found.status == known.status == ("optimal" if every else "infeasible")
    if every:
        least = min(value for value, _ in every)
        assert np.isclose(found.objective, least, rtol=1e-9, atol=1e-9)
        assert np.isclose(found.bound, least, rtol=1e-9, atol=1e-9)
        assert np.isclose(problem.objective.at(found.cells)[0], least, rtol=1e-9, atol=1e-9)


@given(specs(), st.integers(0, 3))
@examples(100)
def test_matrices_of_pairs_are_term_by_term(spec, chosen):
    problem = problem_of(spec)
    expressions = [problem.objective, *problem.ties, *(r.expr for r in problem.rows)]
    e = expressions[chosen % len(expressions)]
    for cells in join(problem):
        ours, theirs = At(cells).value(e), e.at(cells)
        assert np.allclose(ours, theirs, rtol=1e-9, atol=1e-9 * (1.0 + np.abs(theirs).max(initial=0.0)))


def test_a_problem_that_is_not_small_is_left_alone():
    assert solve_small(quadratic(14, 8)) is None

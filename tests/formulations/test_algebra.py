"""The algebra against direct evaluation of the same arithmetic."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import random_problems as rp
from hypothesis import given
from hypothesis import strategies as st

from formulations.algebra import Amount, Expr, Table, as_expr
from formulations.problem import Problem, shared

SIZES = (3, 4, 2)


def choices_of(sizes=SIZES):
    problem = Problem("algebra")
    return [problem.choose(f"c{i}", **{f"k{i}": range(n)}) for i, n in enumerate(sizes)]


@st.composite
def trees_with_points(draw):
    numbers = draw(st.sampled_from(rp.PALETTES))
    tree = draw(rp.trees(SIZES, numbers, depth=2, amounts=2))
    points = draw(st.lists(st.tuples(*(st.integers(0, n - 1) for n in SIZES)), min_size=1, max_size=5))
    levels = (draw(st.sampled_from([-2.0, 0.5, 3.0])), draw(st.sampled_from([0.0, 1.0, 4.0])))
    return tree, points, levels


@rp.examples(150)
@given(trees_with_points())
def test_expressions_are_worth_what_the_arithmetic_says(case):
    tree, points, levels = case
    choices = choices_of()
    amounts = [Amount("y", -2.0, 3.0), Amount("z", 0.0, 4.0, whole=True)]
    expr = as_expr(rp.build(tree, choices, amounts))
    cells = {c: np.array([p[i] for p in points]) for i, c in enumerate(choices)}
    got = expr.at(cells, dict(zip(amounts, levels, strict=True)))
    expected = [rp.value(tree, p, levels) for p in points]
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-9)


@rp.examples(100)
@given(trees_with_points())
def test_bounds_bound(case):
    tree, _, _ = case
    choices = choices_of()
    amounts = [Amount("y", -2.0, 3.0), Amount("z", 0.0, 4.0, whole=True)]
    low, high = as_expr(rp.build(tree, choices, amounts)).bounds()
    slack = 1e-9 * max(1.0, abs(low), abs(high))
    for point in itertools.product(*(range(n) for n in SIZES)):
        for levels in itertools.product((-2.0, 0.7, 3.0), (0.0, 4.0)):
            assert low - slack <= rp.value(tree, point, levels) <= high + slack


@rp.examples(60)
@given(st.lists(rp.HALVES, min_size=3, max_size=3), st.lists(rp.HALVES, min_size=3, max_size=3), rp.HALVES)
def test_tables_of_one_choice_stay_tables(a, b, number):
    choice, *_ = choices_of()
    x, y, p, q = choice.table(a), choice.table(b), np.array(a), np.array(b)
    for ours, theirs in (
        (x + y, p + q),
        (x - y, p - q),
        (x * y, p * q),
        (-x, -p),
        (x + number, p + number),
        (number - x, number - p),
        (x * number, p * number),
        (number * x, number * p),
        (np.maximum(x, y), np.maximum(p, q)),
        (np.minimum(x, y), np.minimum(p, q)),
        (np.maximum(x, number), np.maximum(p, number)),
        (np.minimum(number, x), np.minimum(number, p)),
        (np.float64(number) + x, number + p),
        (np.array(number) * x, number * p),
        (sum([x, y]), p + q),
    ):
        assert isinstance(ours, Table)
        assert ours.choice is choice
        np.testing.assert_array_equal(ours.values, theirs)


def test_bounds_of_a_sum_of_tables_are_reached():
    a, b, _ = choices_of()
    expr = a.table([1.0, 5.0, -2.0]) + 3.0 * b.table([0.0, 1.0, 2.0, 7.0]) - 4.0
    assert expr.bounds() == (-6.0, 22.0)


@pytest.mark.parametrize("factor", [2.0, -2.0])
def test_bounds_of_a_maximum_follow_its_sign(factor):
    a, b, _ = choices_of()
    expr = factor * np.maximum(a.table([1.0, 5.0, 2.0]), b.table([0.0, 3.0, 2.0, 4.0]))
    assert expr.bounds() == tuple(sorted((factor * 1.0, factor * 5.0)))


def test_division():
    a, b, _ = choices_of()
    x, y = a.table([1.0, 2.0, 4.0]), b.table([1.0, 2.0, 5.0, 8.0])
    np.testing.assert_array_equal((x / 2.0).values, [0.5, 1.0, 2.0])
    np.testing.assert_array_equal((8.0 / x).values, [8.0, 4.0, 2.0])
    np.testing.assert_array_equal(np.true_divide(8.0, x).values, [8.0, 4.0, 2.0])
    at = {a: np.array([2]), b: np.array([3])}
    assert (x / y).at(at)[0] == 0.5
    with pytest.raises(ZeroDivisionError):
        x / 0.0


def test_an_amount_times_a_table_and_over_one():
    a, _, _ = choices_of()
    y = Amount("y", -1.0, 6.0)
    t = a.table([1.0, 2.0, 4.0])
    for cell, level in itertools.product(range(3), (-1.0, 0.0, 2.5)):
        at = {a: np.array([cell])}
        assert (y * t).at(at, {y: level})[0] == level * t.values[cell]
        assert (t * y - 2.0 * y).at(at, {y: level})[0] == level * (t.values[cell] - 2.0)
        assert (y / t).at(at, {y: level})[0] == level / t.values[cell]
    assert (y * t).bounds() == (-4.0, 24.0)


def test_a_constant_table_is_a_number_and_zero_is_nothing():
    a, b, _ = choices_of()
    assert not (a.table(3.0) * b.table([1.0, 2.0, 3.0, 4.0])).products
    assert (a.table(3.0) * b.table([1.0, 2.0, 3.0, 4.0])).bounds() == (3.0, 12.0)
    assert (a.table(0.0) * b.table([1.0, 2.0, 3.0, 4.0])).bounds() == (0.0, 0.0)


def test_a_maximum_drops_what_can_never_be_it():
    a, b, _ = choices_of()
    x, y = a.table([5.0, 6.0, 7.0]), b.table([1.0, 2.0, 3.0, 5.0])
    assert not as_expr(np.maximum(x, y)).maxima
    assert as_expr(np.maximum(x, y)).bounds() == (5.0, 7.0)
    assert as_expr(np.maximum(x, y + 1.0)).maxima
    assert not as_expr(np.maximum(x, 5.0)).maxima
    assert as_expr(np.maximum(a.table(2.0), b.table(2.0))).bounds() == (2.0, 2.0)


def test_products_of_sums_are_multiplied_out():
    a, b, c = choices_of()
    x, y, z = a.table([1.0, 2.0, 3.0]), b.table([4.0, 5.0, 6.0, 7.0]), c.table([8.0, 9.0])
    expr = (x + y + 2.0) * z
    for i, j, k in itertools.product(range(3), range(4), range(2)):
        at = {a: np.array([i]), b: np.array([j]), c: np.array([k])}
        assert expr.at(at)[0] == (x.values[i] + y.values[j] + 2.0) * z.values[k]


def test_a_table_times_what_is_no_sum_of_tables():
    a, b, c = choices_of()
    x, y, z = a.table([1.0, 2.0, 3.0]), b.table([-4.0, 5.0, 6.0, 7.0]), c.table([8.0, -9.0])
    n = Amount("n", -1.0, 2.0)
    exprs = {
        "three tables": ((x * y) * z, lambda i, j, k: x.values[i] * y.values[j] * z.values[k]),
        "a maximum": (
            np.maximum(x, y - 3.0) * z,
            lambda i, j, k: max(x.values[i], y.values[j] - 3.0) * z.values[k],
        ),
        "over a table": ((x * y) / z, lambda i, j, k: x.values[i] * y.values[j] / z.values[k]),
        "an amount": (n * x * y, lambda i, j, k: 1.5 * x.values[i] * y.values[j]),
    }
    for name, (expr, truth) in exprs.items():
        low, high = expr.bounds()
        for i, j, k in itertools.product(range(3), range(4), range(2)):
            at = {a: np.array([i]), b: np.array([j]), c: np.array([k])}
            assert expr.at(at, {n: 1.5})[0] == pytest.approx(truth(i, j, k), rel=1e-15), name
            assert low <= expr.at(at, {n: 1.5})[0] <= high


def test_functions_of_one_choice_are_tables():
    a, *_ = choices_of()
    x = a.table([1.0, 4.0, 9.0])
    np.testing.assert_array_equal(np.sqrt(x).values, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(np.abs(-x).values, x.values)
    np.testing.assert_array_equal(np.power(x, 2.0).values, [1.0, 16.0, 81.0])


def refusals():
    a, b, c = choices_of()
    x, y, z = a.table([1.0, 2.0, 3.0]), b.table([4.0, 5.0, 6.0, 7.0]), c.table([8.0, 9.0])
    n, m = Amount("n", 0.0, 1.0), Amount("m", 0.0, 1.0)
    return {
        "two amounts": lambda: n * m,
        "an amount squared": lambda: n * n,
        "two sums": lambda: (x + y) * (y + z),
        "over an amount": lambda: x / n,
        "over a sum": lambda: x / (x + y),
        "a number over an amount": lambda: 1.0 / n,
        "a number over a sum": lambda: 1.0 / (x + y),
        "a vector times a table": lambda: np.array([1.0, 2.0, 3.0]) * x,
        "a table times a vector": lambda: x * np.array([1.0, 2.0, 3.0]),
        "a square root of a sum": lambda: np.sqrt(x + y),
        "an absolute value of two tables": lambda: np.hypot(x, y),
        "a power": lambda: x**2,
        "an order": lambda: x < y,
        "a keyword": lambda: np.add(x, y, dtype=float),
    }


@pytest.mark.parametrize("name", list(refusals()))
def test_what_is_not_linear_in_cells_is_refused(name):
    with pytest.raises(TypeError):
        refusals()[name]()


def test_a_table_has_a_value_for_each_cell():
    a, *_ = choices_of()
    np.testing.assert_array_equal(a.table(2).values, [2.0, 2.0, 2.0])
    with pytest.raises(ValueError, match="broadcast"):
        a.table([1.0, 2.0])


def test_choices_and_amounts_are_checked():
    problem = Problem("p")
    with pytest.raises(ValueError, match="no cells"):
        problem.choose("empty", k=[])
    for low, high in ((2.0, 1.0), (0.0, math.inf), (-math.inf, 0.0), (math.nan, 1.0)):
        with pytest.raises(ValueError, match="finite bounds"):
            problem.amount("y", low, high)
    assert not problem.choices
    assert not problem.amounts


def test_rows_move_to_one_side_and_keep_their_meaning():
    problem = Problem("p")
    a = problem.choose("a", k=[0, 1, 2])
    b = problem.choose("b", j=[0, 1])
    x, y = a.table([1.0, 5.0, 9.0]), b.table([2.0, 6.0])
    rows = [
        problem.limit("r", "r0", x + 1.0, 6.0),
        problem.limit("r", "r1", x + 1.0, y + 3.0),
        problem.limit("r", "r2", 4.0, y),
        problem.limit("r", "r3", 4.0, 5.0),
        problem.limit("r", "r4", 5.0, 4.0),
    ]
    for i, j in itertools.product(range(3), range(2)):
        at = {a: np.array([i]), b: np.array([j])}
        p, q = x.values[i], y.values[j]
        expected = [p + 1 <= 6, p + 1 <= q + 3, q >= 4, True, False]
        assert [bool(r.expr.at(at)[0] <= r.supply) for r in rows] == expected
    assert all(r.scale > 0 for r in rows)


def test_space_size_and_shared_attributes():
    problem = Problem("p")
    a = problem.choose("a", tp=[1, 2], cp=[1, 1])
    b = problem.choose("b", cp=[1, 2, 3], pp=[1, 1, 1])
    assert problem.space_size == 6.0
    assert shared(a, b) == ["cp"]
    assert a.label(1) == "tp=2,cp=1"
    assert Expr().bounds() == (0.0, 0.0)

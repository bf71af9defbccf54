"""Random problems of the algebra, each with a second reading that shares no code with it.

An expression is drawn as a tree. :func:`build` turns the tree into the algebra with its own
arithmetic; :func:`value` reads the same tree with plain Python numbers at one combination of cells.
:func:`legal` and :func:`enumerate_all` list combinations with :mod:`itertools`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from formulations.algebra import Amount, Choice
from formulations.problem import Problem

Tree = tuple[Any, ...]
Point = tuple[int, ...]


def examples(count: int) -> settings:
    """Return the settings of a property test; in CI the examples are the same every time."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=bool(os.environ.get("CI")),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


# repeated, negative and zero values; exact halves so that sums carry no rounding
HALVES = st.integers(-12, 12).map(lambda k: k / 2)
# what physics gives: positive, of any digits, over a few orders of magnitude
POSITIVE = st.sampled_from([0.0, 0.001, 0.013, 0.1, 0.3, 0.7, 1.0, 1.1, 2.9, 17.3, 123.4, 1234.5])
PALETTES = (HALVES, POSITIVE)


@dataclass(frozen=True)
class RowSpec:
    """``tree <= supply``."""

    tag: str
    tree: Tree
    supply: float
    supply_tree: Tree | None = None


@dataclass(frozen=True)
class Spec:
    """A problem before it is written in the algebra.

    Attributes:
        columns: attributes of the cells of each choice.
        exclusions: left choice, left keys, right choice, right keys, excluded pairs of keys.
        amounts: low, high, whole.
    """

    columns: tuple[dict[str, list[int]], ...]
    objective: Tree
    rows: tuple[RowSpec, ...] = ()
    exclusions: tuple[tuple[int, tuple[int, ...], int, tuple[int, ...], frozenset[tuple[int, int]]], ...] = ()
    amounts: tuple[tuple[float, float, bool], ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(next(iter(c.values()))) for c in self.columns)


def build(tree: Tree, choices: list[Choice], amounts: list[Amount]) -> Any:
    """Return the tree in the algebra."""
    kind, *rest = tree
    if kind == "number":
        return rest[0]
    if kind == "table":
        return choices[rest[0]].table(rest[1])
    if kind == "amount":
        return amounts[rest[0]]
    parts = [build(t, choices, amounts) for t in rest]
    total = parts[0]
    for part in parts[1:]:
        if kind == "sum":
            total = total + part
        elif kind == "difference":
            total = total - part
        elif kind == "product":
            total = total * part
        elif kind == "max":
            total = np.maximum(total, part)
        else:
            assert kind == "min"
            total = np.minimum(total, part)
    return total


def value(tree: Tree, point: Point, amounts: tuple[float, ...] = ()) -> float:
    """Return the tree's value at one combination of cells, with plain numbers."""
    kind, *rest = tree
    if kind == "number":
        return float(rest[0])
    if kind == "table":
        return float(rest[1][point[rest[0]]])
    if kind == "amount":
        return float(amounts[rest[0]])
    parts = [value(t, point, amounts) for t in rest]
    if kind == "sum":
        return sum(parts)
    if kind == "difference":
        return parts[0] - parts[1]
    if kind == "product":
        return parts[0] * parts[1]
    return max(parts) if kind == "max" else min(parts)


def problem_of(spec: Spec) -> Problem:
    """Return the problem in the algebra."""
    return written(spec)[0]


def written(spec: Spec) -> tuple[Problem, list[Choice], list[Amount]]:
    """Return the problem in the algebra, its choices and its amounts."""
    problem = Problem("random")
    choices = [problem.choose(f"c{i}", **columns) for i, columns in enumerate(spec.columns)]
    amounts = [
        problem.amount(f"y{i}", low, high, whole=whole) for i, (low, high, whole) in enumerate(spec.amounts)
    ]
    for left, left_keys, right, right_keys, pairs in spec.exclusions:
        problem.exclude(
            choices[left],
            left_keys,
            choices[right],
            right_keys,
            lambda a, b, pairs=pairs: np.array([[(int(x), int(y)) in pairs for y in b[0]] for x in a[:, 0]]),
        )
    for i, row in enumerate(spec.rows):
        supply = row.supply if row.supply_tree is None else build(row.supply_tree, choices, amounts)
        problem.limit(row.tag, f"{row.tag}[{i}]", build(row.tree, choices, amounts), supply)
    problem.minimize(build(spec.objective, choices, amounts))
    return problem, choices, amounts


def together(spec: Spec, point: Point) -> bool:
    """Return whether cells agree on shared attributes and no pair is excluded."""
    seen: dict[str, int] = {}
    for columns, cell in zip(spec.columns, point, strict=True):
        for name, column in columns.items():
            if seen.setdefault(name, column[cell]) != column[cell]:
                return False
    return not any(
        (left_keys[point[left]], right_keys[point[right]]) in pairs
        for left, left_keys, right, right_keys, pairs in spec.exclusions
    )


def legal(spec: Spec) -> Iterator[Point]:
    """Yield the combinations of cells that go together, rows aside."""
    for point in itertools.product(*(range(n) for n in spec.sizes)):
        if together(spec, point):
            yield point


def holding(spec: Spec, point: Point, tolerance: float = 1e-9) -> bool:
    """Return whether a combination keeps every row."""
    for row in spec.rows:
        supply = row.supply if row.supply_tree is None else value(row.supply_tree, point)
        demand = value(row.tree, point)
        if demand > supply + tolerance * max(1.0, abs(demand), abs(supply)):
            return False
    return True


def enumerate_all(spec: Spec) -> list[tuple[float, Point]]:
    """Return all solutions with their objective, best first; ties in the order of cells."""
    found = [(value(spec.objective, p), p) for p in legal(spec) if holding(spec, p)]
    return sorted(found)


@st.composite
def column_sets(draw: st.DrawFn, most: int = 4, cells: int = 6) -> tuple[dict[str, list[int]], ...]:
    """Draw choices whose cells share attributes or not."""
    count = draw(st.integers(2, most))
    shared = draw(st.sets(st.sampled_from(["tp", "cp", "pp"]), max_size=2))
    sets = []
    for i in range(count):
        size = draw(st.integers(1, cells))
        columns = {f"own{i}": list(range(size))}
        for name in sorted(shared):
            if draw(st.booleans()):
                columns[name] = draw(st.lists(st.integers(1, 3), min_size=size, max_size=size))
        sets.append(columns)
    return tuple(sets)


@st.composite
def trees(
    draw: st.DrawFn,
    sizes: tuple[int, ...],
    numbers: st.SearchStrategy[float],
    *,
    depth: int = 2,
    amounts: int = 0,
) -> Tree:
    """Draw a sum of tables, products, numbers, and maxima and minima of such sums."""

    def table(i: int | None = None) -> Tree:
        i = draw(st.integers(0, len(sizes) - 1)) if i is None else i
        return ("table", i, tuple(draw(st.lists(numbers, min_size=sizes[i], max_size=sizes[i]))))

    def term(depth: int) -> Tree:
        kinds = ["table", "table", "product", "number"]
        kinds += ["max", "min", "negated", "nested"] if depth else []
        kinds += ["amount", "scaled"] if amounts else []
        kind = draw(st.sampled_from(kinds))
        if kind == "table":
            return table()
        if kind == "number":
            return ("number", draw(numbers))
        if kind == "product":
            left, right = draw(st.integers(0, len(sizes) - 1)), draw(st.integers(0, len(sizes) - 1))
            return ("product", table(left), table(right))
        if kind == "amount":
            return ("product", ("number", draw(numbers)), ("amount", draw(st.integers(0, amounts - 1))))
        if kind == "scaled":
            return ("product", ("amount", draw(st.integers(0, amounts - 1))), table())
        if kind == "nested":  # a whole sum, products and maxima and all, times a table
            return ("product", total(depth - 1), table())
        if kind == "negated":
            return ("product", ("number", -1.0), total(depth - 1))
        return (kind, total(depth - 1), total(depth - 1))

    def total(depth: int) -> Tree:
        # a table leads, so that a sum is never a bare number
        terms = [table(), *(term(depth) for _ in range(draw(st.integers(0, 2))))]
        return ("sum", *terms)

    return total(depth)


@st.composite
def specs(draw: st.DrawFn, *, most: int = 4, cells: int = 6, rows: int = 3) -> Spec:
    """Draw a problem without amounts."""
    columns = draw(column_sets(most, cells))
    numbers = draw(st.sampled_from(PALETTES))
    sizes = tuple(len(next(iter(c.values()))) for c in columns)
    objective = draw(trees(sizes, numbers))
    bare = Spec(columns, objective, exclusions=draw(exclusion_sets(sizes)))
    points = list(itertools.islice(legal(bare), 400))
    limits = []
    for i in range(draw(st.integers(0, rows))):
        tree = draw(trees(sizes, numbers, depth=draw(st.integers(0, 2))))
        kind = draw(st.sampled_from(["share", "share", "share", "constant", "table"]))
        if kind == "constant":
            limits.append(RowSpec(f"t{i}", ("number", draw(numbers)), draw(numbers)))
        elif kind == "table" or not points:
            limits.append(RowSpec(f"t{i}", tree, 0.0, draw(trees(sizes, numbers, depth=1))))
        else:  # a supply that some share of the points keeps, sometimes none
            values = sorted(value(tree, p) for p in points)
            at = draw(st.integers(-1, len(values) - 1))
            gap = draw(st.sampled_from([0.0, 0.25]))
            limits.append(RowSpec(f"t{i}", tree, values[0] - 1.0 if at < 0 else values[at] + gap))
    return Spec(columns, objective, tuple(limits), bare.exclusions)


@st.composite
def exclusion_sets(draw: st.DrawFn, sizes: tuple[int, ...]) -> Any:
    """Draw pairs of cells that cannot go together."""
    found = []
    for _ in range(draw(st.integers(0, 2))):
        left, right = draw(st.permutations(range(len(sizes))))[:2]
        keys = [
            tuple(draw(st.lists(st.integers(0, 2), min_size=sizes[i], max_size=sizes[i])))
            for i in (left, right)
        ]
        pairs = draw(st.frozensets(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=4))
        found.append((left, keys[0], right, keys[1], pairs))
    return tuple(found)


@st.composite
def amount_specs(draw: st.DrawFn) -> Spec:
    """Draw a problem of two or three small choices and one or two amounts.

    Two continuous amounts come without maxima, so that each combination of cells leaves a linear
    program in the plane.
    """
    columns = draw(column_sets(3, 3))
    sizes = tuple(len(next(iter(c.values()))) for c in columns)
    kind = draw(st.sampled_from(["one", "whole", "one and whole", "two"]))
    wholes = {"one": [False], "whole": [True], "one and whole": [False, True], "two": [False, False]}[kind]
    amounts = []
    for whole in wholes:
        low = draw(st.integers(-3, 2))
        amounts.append((float(low), float(low + draw(st.integers(0, 5))), whole))
    depth = 0 if kind == "two" else 1
    numbers = HALVES
    limits = [
        RowSpec(
            f"t{i}",
            draw(trees(sizes, numbers, depth=depth, amounts=len(amounts))),
            draw(st.integers(-40, 60)) / 4,
        )
        for i in range(draw(st.integers(0, 3)))
    ]
    return Spec(
        columns,
        draw(trees(sizes, numbers, depth=depth, amounts=len(amounts))),
        tuple(limits),
        draw(exclusion_sets(sizes)),
        tuple(amounts),
    )


def best_with_amounts(spec: Spec) -> float | None:
    """Return the least objective over cells and amounts; None if nothing holds.

    Independent of the algebra: whole amounts are enumerated; one continuous amount is searched at
    every kink of the objective and every crossing of a row, two at every vertex of the polygon.
    """
    found = [v for p in legal(spec) for v in [_best_at(spec, p)] if v is not None]
    return min(found, default=None)


def _best_at(spec: Spec, point: Point) -> float | None:
    free = [i for i, (_, _, whole) in enumerate(spec.amounts) if not whole]
    ranges = [
        [0.0] if i in free else [float(k) for k in range(int(low), int(high) + 1)]
        for i, (low, high, _) in enumerate(spec.amounts)
    ]
    found = []
    for fixed in itertools.product(*ranges):
        if len(free) == 2:
            candidates = _vertices(spec, point)
        elif free:
            candidates = [
                (*fixed[: free[0]], y, *fixed[free[0] + 1 :]) for y in _stops(spec, point, fixed, free[0])
            ]
        else:
            candidates = [fixed]
        found += [
            value(spec.objective, point, y)
            for y in candidates
            if all(value(r.tree, point, y) <= r.supply + 1e-9 for r in spec.rows)
        ]
    return min(found, default=None)


def _stops(spec: Spec, point: Point, fixed: tuple[float, ...], i: int) -> list[float]:
    """Return the ends, kinks and crossings along one continuous amount."""
    low, high, _ = spec.amounts[i]

    def at(tree: Tree, y: float) -> float:
        return value(tree, point, (*fixed[:i], y, *fixed[i + 1 :]))

    stops = {low, high}
    lines = [r.tree for r in spec.rows] + [spec.objective]
    for tree in lines:
        stops |= _kinks(tree, at, low, high)
    ordered = sorted(stops)
    for row in spec.rows:
        for a, b in itertools.pairwise(ordered):
            fa, fb = at(row.tree, a) - row.supply, at(row.tree, b) - row.supply
            if fa * fb < 0.0:
                stops.add(a + (b - a) * fa / (fa - fb))
    return sorted(stops)


def _kinks(tree: Tree, at: Any, low: float, high: float) -> set[float]:
    """Return where the slope of a tree may change along one amount."""
    kind, *rest = tree
    if kind in ("number", "table", "amount"):
        return set()
    found: set[float] = set()
    for part in rest:
        found |= _kinks(part, at, low, high)
    if kind in ("max", "min"):  # both are straight between kinks
        for a, b in itertools.pairwise(sorted({low, high, *found})):
            fa, fb = at(rest[0], a) - at(rest[1], a), at(rest[0], b) - at(rest[1], b)
            if fa * fb < 0.0:
                found.add(a + (b - a) * fa / (fa - fb))
    return found


def _vertices(spec: Spec, point: Point) -> list[tuple[float, ...]]:
    """Return where the lines of rows and ranges cross in the plane of two amounts."""
    lines = []
    for row in spec.rows:
        zero = value(row.tree, point, (0.0, 0.0))
        lines.append(
            (
                value(row.tree, point, (1.0, 0.0)) - zero,
                value(row.tree, point, (0.0, 1.0)) - zero,
                row.supply - zero,
            )
        )
    for i, (low, high, _) in enumerate(spec.amounts):
        lines += [(1.0 - i, float(i), low), (1.0 - i, float(i), high)]
    found = []
    for (a, b, c), (d, e, f) in itertools.combinations(lines, 2):
        if abs(a * e - b * d) > 1e-12:
            y = ((c * e - b * f) / (a * e - b * d), (a * f - c * d) / (a * e - b * d))
            if all(low - 1e-9 <= v <= high + 1e-9 for v, (low, high, _) in zip(y, spec.amounts, strict=True)):
                found.append(y)
    return found


def quadratic(count: int = 14, cells: int = 8) -> Problem:
    """Return a quadratic assignment; at its usual size no engine finishes it in seconds."""
    rng = np.random.default_rng(3)
    problem = Problem("quadratic")
    choices = [problem.choose(f"c{i}", **{f"k{i}": range(cells)}) for i in range(count)]
    total = 1000.0 + choices[0].table(rng.random(cells))
    for i, a in enumerate(choices):
        for b in choices[i + 1 :]:
            total = total + a.table(rng.normal(size=cells)) * b.table(rng.normal(size=cells))
    problem.minimize(total)
    return problem

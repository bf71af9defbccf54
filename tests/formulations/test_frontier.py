"""The exact frontier against enumeration that shares no code with it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import random_problems as rp
from hypothesis import given
from hypothesis import strategies as st

from formulations import frontier as frontiers
from formulations.algebra import as_expr
from formulations.frontier import frontier

NEAR = 1e-9
SEEN: Counter[str] = Counter()


def brute(spec, trees):
    """Return the values that no solution's values beat."""
    points = [tuple(rp.value(t, p) for t in trees) for p in rp.legal(spec) if rp.holding(spec, p)]

    def beats(a, b):
        no_worse = all(x <= y + NEAR * max(1.0, abs(y)) for x, y in zip(a, b, strict=True))
        return no_worse and any(x < y - NEAR * max(1.0, abs(y)) for x, y in zip(a, b, strict=True))

    return [b for b in points if not any(beats(a, b) for a in points)]


def same(a, b):
    return all(abs(x - y) <= 1e-7 * max(1.0, abs(y)) for x, y in zip(a, b, strict=True))


@rp.examples(100)
@given(st.data())
def test_the_frontier_is_that_of_enumeration(data):
    spec = data.draw(rp.specs(most=3, cells=5, rows=1))
    count = data.draw(st.sampled_from([2, 2, 3]))
    more = [data.draw(rp.trees(spec.sizes, rp.HALVES, depth=1)) for _ in range(count - 1)]
    trees = [spec.objective, *more]
    problem, choices, amounts = rp.written(spec)
    costs = [as_expr(rp.build(t, choices, amounts)) for t in trees]
    expected = brute(spec, trees)
    way = data.draw(st.sampled_from(["closed", "one by one", "exhaustive"]))
    shared = sorted({n for c in spec.columns for n in c if not n.startswith("own")})
    with pytest.MonkeyPatch.context() as patch:
        if way == "one by one":
            patch.setattr(frontiers, "ENUMERABLE", -1)
            patch.setattr(frontiers, "QUICK", -1)
        solver = "exhaustive" if way == "exhaustive" else "auto"
        found = frontier(problem, costs, solver, split=shared if data.draw(st.booleans()) else ())
    assert found.status == ("optimal" if expected else "infeasible")
    values = [p.values for p in found.points]
    assert all(any(same(a, b) for b in values) for a in expected)
    assert all(any(same(a, b) for b in expected) for a in values)
    for p in found.points:
        at = tuple(int(p.cells[c][0]) for c in choices)
        assert rp.together(spec, at)
        assert rp.holding(spec, at)
        assert same(p.values, tuple(rp.value(t, at) for t in trees))
    for i, a in enumerate(values):  # mutually: none beats another
        assert not any(np.all(np.array(b) <= np.array(a)) for j, b in enumerate(values) if i != j)
    SEEN[way] += len(values) > 1
    SEEN["cases"] += 1


def test_the_property_test_met_enough():
    if not SEEN:
        pytest.skip("the property test did not run")
    assert min(SEEN[way] for way in ("closed", "one by one", "exhaustive")) >= 1

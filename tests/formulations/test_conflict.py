"""What cannot hold together, against enumeration that shares no code with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import random_problems as rp
from hypothesis import given
from hypothesis import strategies as st

import formulations.solve
from formulations.infeasible import conflict, least
from formulations.presolve import restrict
from formulations.solve import HANDFUL

SEEN: Counter[str] = Counter()


@st.composite
def tight(draw, least=-1):
    """Draw a problem whose rows leave little, often nothing: up to four reasons, some of two rows."""
    spec = draw(rp.specs(most=3, cells=4, rows=0))
    points = list(rp.legal(spec))
    rows = []
    if not points:  # no cells go together: no row is to blame
        return replace(spec, rows=(rp.RowSpec("t0", ("number", 1.0), 2.0),))
    for _ in range(draw(st.integers(2, 5))):
        tree = draw(rp.trees(spec.sizes, rp.HALVES, depth=draw(st.integers(0, 1))))
        values = sorted(rp.value(tree, p) for p in points)
        at = draw(st.integers(least, max(0, len(values) // 3)))
        supply = values[0] - 1.0 if at < 0 else values[at] + draw(st.sampled_from([0.0, 0.25]))
        rows.append(rp.RowSpec(f"t{draw(st.integers(0, 3))}", tree, supply))
    return replace(spec, rows=tuple(rows))


def possible(spec, tags):
    kept = replace(spec, rows=tuple(r for r in spec.rows if r.tag in tags))
    return any(rp.holding(kept, p) for p in rp.legal(spec))


@rp.examples(250)
@given(tight(), st.sampled_from(["listed", "reduced", "highs"]))
def test_a_conflict_is_minimal(spec, way):
    """By looking at all there is, as it is and after presolve, and by an engine."""
    tags = {r.tag for r in spec.rows}
    problem = rp.problem_of(spec)
    if possible(spec, tags):
        SEEN["feasible"] += 1
        return
    with patch.object(formulations.solve, "HANDFUL", HANDFUL if way == "listed" else 0):
        clash = conflict(problem, "highs" if way == "highs" else "auto")
    assert clash is not None
    assert clash.decisions == ()
    found = clash.tags
    assert len(set(found)) == len(found)
    assert bool(found) == any(True for _ in rp.legal(spec))
    assert set(found) <= tags
    assert not possible(spec, set(found))
    for tag in found:  # without any one of them something holds
        assert possible(spec, set(found) - {tag})
    SEEN["infeasible"] += 1
    SEEN["several"] += len(found) > 1


@rp.examples(200)
@given(tight(least=0), st.data())
def test_a_conflict_with_decisions_is_minimal(spec, data):
    problem = rp.problem_of(spec)
    kept = {}  # a decision a choice: the cells that it leaves
    for i, size in enumerate(spec.sizes):
        if data.draw(st.integers(0, 3)):
            which = data.draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=max(1, size // 2)))
            kept[f"d{i}"] = (i, sorted(which))

    def opened(names):
        cells = [np.arange(size) for size in spec.sizes]
        for name, (i, which) in kept.items():
            if name not in names:
                cells[i] = np.array(which)
        return restrict(problem, cells)

    def holds(tags, decisions):
        rows = replace(spec, rows=tuple(r for r in spec.rows if r.tag in tags))
        return any(
            rp.holding(rows, p) and all(p[kept[d][0]] in kept[d][1] for d in decisions)
            for p in rp.legal(spec)
        )

    tags = {r.tag for r in spec.rows}
    if holds(tags, kept):
        return
    clash = conflict(opened([]), decisions=list(kept), opened=opened)
    assert clash is not None
    mine = (set(clash.tags), set(clash.decisions))
    assert not holds(*mine)
    for tag in clash.tags:
        assert holds(mine[0] - {tag}, mine[1])
    for name in clash.decisions:
        assert holds(mine[0], mine[1] - {name})
    SEEN["of decisions"] += bool(clash.decisions)
    SEEN["of both"] += bool(clash.decisions) and bool(clash.tags)
    SEEN["decided"] += 1


@rp.examples(100)
@given(tight(), st.data())
def test_the_least_that_a_row_takes(spec, data):
    index = data.draw(st.integers(0, len(spec.rows) - 1))
    row = spec.rows[index]
    problem, _, _ = rp.written(spec)
    others = [r for i, r in enumerate(problem.rows) if i != index]
    rest = replace(spec, rows=tuple(r for i, r in enumerate(spec.rows) if i != index))
    values = [rp.value(row.tree, p) for p in rp.legal(rest) if rp.holding(rest, p)]
    if row.supply <= 0.0:
        return
    found = least(problem, problem.rows[index], others)
    if not values:
        assert found is None
        return
    assert found is not None
    assert found[0] * row.supply == pytest.approx(min(values), rel=1e-9, abs=1e-9)
    SEEN["least"] += 1


def test_the_property_tests_met_enough():
    if not SEEN:
        pytest.skip("the property tests did not run")
    assert SEEN["infeasible"] >= 30
    assert SEEN["several"] >= 5
    assert SEEN["least"] >= 5
    assert SEEN["decided"] >= 50
    assert SEEN["of both"] >= 10

"""Breakpoints and frontiers against brute force over random candidates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsysim.core.solver.frontier import frontier
from mlsysim.core.solver.parametric import PROVEN, around, breakpoints

# candidates of which many tie: few distinct numbers, far from a difference of a millionth
numbers = st.integers(0, 40).map(lambda x: x * 0.75)
lines = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=14)
triples = st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=12)


class Best:
    """The least of cost + parameter x carbon over a list; among ties the last, to be unkind."""

    def __init__(self, candidates, gap=0.0):
        self.candidates, self.gap, self.calls = candidates, gap, 0

    def __call__(self, at):
        self.calls += 1
        i = min(reversed(range(len(self.candidates))), key=lambda i: value(self.candidates[i], at))
        return (*self.candidates[i], i, self.gap)


def value(candidate, at):
    return candidate[0] + at * candidate[1]


def corners(candidates, low, high):
    """Return where the lower envelope bends, by looking at every pair of lines."""
    found = set()
    for (a, p), (b, q) in itertools.combinations(set(candidates), 2):
        if p == q:
            continue
        at = (b - a) / (p - q)
        if not low < at < high:
            continue
        here = min(value(c, at) for c in candidates)
        if value((a, p), at) <= here + 1e-9:
            slopes = {c[1] for c in candidates if value(c, at) <= here + 1e-9}
            if len(slopes) > 1:
                found.add(round(at, 7))
    return sorted(found)


@given(lines, st.sampled_from([(0.0, 10.0), (0.0, 0.5), (1.0, 1.0), (0.3, 2000.0)]))
def test_breakpoints_are_the_corners_of_the_lower_envelope(candidates, interval):
    low, high = interval
    solve = Best(candidates)
    envelope = breakpoints(solve, low, high)
    assert envelope.proven
    assert envelope.gap == pytest.approx(0.0, abs=1e-9)
    assert [round(x, 7) for x in envelope.breakpoints] == corners(candidates, low, high)
    assert (envelope.stretches[0].low, envelope.stretches[-1].high) == interval
    for one, after in itertools.pairwise(envelope.stretches):
        assert one.high == after.low
        assert after.line.carbon < one.line.carbon
        assert after.line.cost > one.line.cost
    for stretch in envelope.stretches:
        for at in np.linspace(stretch.low, stretch.high, 5):
            best = min(value(c, at) for c in candidates)
            assert stretch.line.at(at) == pytest.approx(best, rel=1e-9, abs=1e-9)
    assert solve.calls == envelope.solves <= 2 * len(set(candidates)) + 1


@given(lines, numbers, st.sampled_from([30.0, 2000.0]))
def test_the_next_change_on_both_sides_is_the_nearest_corner(candidates, at, high):
    found = around(Best(candidates), at, 0.0, high)
    bends = corners(candidates, 0.0, high)
    assert found.proven
    assert found.line.at(at) == pytest.approx(min(value(c, at) for c in candidates), abs=1e-9)
    assert found.low <= at + 1e-9
    assert found.high >= at - 1e-9
    for end, beyond, side in ((found.low, found.below, -1), (found.high, found.above, 1)):
        between = [x for x in bends if side * (x - at) > 1e-6]
        if abs(end - at) <= 1e-6 and beyond is not None:  # the answer changes right here
            assert any(abs(x - at) <= 1e-6 for x in bends) or at in (0.0, high)
        elif beyond is None:
            assert not between
        else:
            nearest = min(between, key=lambda x: side * x)
            assert end == pytest.approx(nearest, abs=1e-6)
            assert side * (found.line.carbon - beyond.carbon) > 0


@pytest.mark.parametrize("gap", [None, 0.02])
def test_an_unproven_solve_makes_an_unproven_envelope(gap):
    candidates = [(0.0, 30.0), (10.0, 10.0), (40.0, 0.0)]
    envelope = breakpoints(Best(candidates, gap), 0.0, 10.0)
    assert not envelope.proven
    assert envelope.gap is None if gap is None else envelope.gap >= gap - 1e-12
    assert not around(Best(candidates, gap), 1.0, 0.0, 10.0).proven


class Sloppy(Best):
    """A solver that stops at any answer within its gap of the best, and says so."""

    def __init__(self, candidates, gap, random):
        super().__init__(candidates, gap)
        self.random = random

    def __call__(self, at):
        self.calls += 1
        least = min(value(c, at) for c in self.candidates)
        near = [i for i, c in enumerate(self.candidates) if value(c, at) * (1 - self.gap) <= least]
        i = self.random.choice(near)
        return (*self.candidates[i], i, self.gap)


@given(lines, st.sampled_from([0.001, 0.02, 0.3]), st.randoms(use_true_random=False))
def test_with_unproven_solves_the_gap_covers_what_is_missed(candidates, gap, random):
    candidates = [(cost + 1.0, carbon + 0.5) for cost, carbon in candidates]
    envelope = breakpoints(Sloppy(candidates, gap, random), 0.0, 20.0, most=25)
    assert not envelope.proven
    for at in np.linspace(0.0, 20.0, 41):
        stretch = next(s for s in envelope.stretches if at <= s.high)
        least = min(value(c, at) for c in candidates)
        assert 1 - least / stretch.line.at(at) <= envelope.gap + 1e-9
    near = around(Sloppy(candidates, gap, random), 3.0, 0.0, 20.0)
    assert not near.proven
    assert near.low <= 3.0 <= near.high


def test_an_envelope_cut_short_says_how_good_it_is():
    candidates = [(50.0 + k * k, float(100 - 2 * k)) for k in range(30)]
    whole = breakpoints(Best(candidates), 0.0, 30.0)
    assert whole.proven
    assert len(whole.stretches) > 10
    cut = breakpoints(Best(candidates), 0.0, 30.0, most=4)
    assert cut.solves == 4
    assert not cut.proven
    worst = max(
        1 - min(value(c, t) for c in candidates) / min(s.line.at(t) for s in cut.stretches)
        for t in np.linspace(0.0, 30.0, 301)
    )
    assert 0 < worst <= cut.gap + 1e-12


class Within:
    """The least of a metric within bounds, over a list."""

    def __init__(self, candidates, gap=0.0):
        self.candidates, self.gap, self.calls = candidates, gap, 0

    def __call__(self, index, bounds):
        self.calls += 1
        kept = [
            (c[index], -i)
            for i, c in enumerate(self.candidates)
            if all(b is None or x <= b for x, b in zip(c, bounds, strict=True))
        ]
        if not kept:
            return None
        i = -min(kept)[1]
        return self.candidates[i], i, self.gap


def undominated(candidates):
    """Return the distinct points that no other is at least as good as in everything."""
    return sorted(
        {
            c
            for c in candidates
            if not any(d != c and all(x <= y for x, y in zip(d, c, strict=True)) for d in candidates)
        }
    )


@pytest.mark.parametrize("metrics", [2, 3])
@given(data=st.data(), most=st.integers(2, 30))
@settings(max_examples=60)
def test_the_frontier_is_what_brute_force_finds(metrics, data, most):
    candidates = [c[:metrics] for c in data.draw(triples)]
    expected = undominated(candidates)
    solve = Within(candidates)
    found = frontier(solve, metrics, most)
    points = [p.values for p in found.points]
    assert solve.calls == found.solves
    assert set(points) <= set(expected)
    assert points == sorted(points)
    assert len(points) == min(most, len(expected)) or (metrics == 3 and not found.complete)
    if found.complete:
        assert points == expected
    if len(expected) < most:
        assert found.complete
    for p, q in itertools.permutations(points, 2):
        assert any(x < y for x, y in zip(p, q, strict=True))


def test_many_points_are_spread_over_the_whole_frontier():
    candidates = [(float(k), float(1000 - k)) for k in range(1001)]
    found = frontier(Within(candidates), 2, 11)
    assert not found.complete
    assert len(found.points) == 11
    assert [p.values[0] for p in found.points] == pytest.approx([100.0 * k for k in range(11)], abs=1)
    assert found.solves < 20


def test_unproven_points_are_no_complete_frontier():
    candidates = [(1.0, 5.0), (2.0, 1.0)]
    found = frontier(Within(candidates, gap=10 * PROVEN), 2, 10)
    assert [p.values for p in found.points] == candidates
    assert not found.complete
    assert not any(p.proven for p in found.points)
    assert frontier(Within([]), 2, 5).points == ()

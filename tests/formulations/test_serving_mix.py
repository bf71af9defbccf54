"""Serving mixes: the optimum is that of brute force, engines agree, and more never costs more."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formulations.engines.base import Options
from formulations.serving import Mix, price_of, priced, program, starts
from formulations.serving_bounds import all_cells, bound
from formulations.serving_days import best, whole
from formulations.serving_first import first_plan


def exact() -> Options:
    """Return options whose clock begins now."""
    return Options(gap=1e-9, time_limit=60.0)


def mix(
    seed: int, *, kinds: int = 3, classes: int = 4, hours: int = 1, split: bool = False, most: int = 4
) -> Mix:
    """A random problem; headroom grows with the number of instances, as queues have it."""
    rng = np.random.default_rng(seed)
    role = np.zeros(kinds, dtype=np.int64)
    if split:
        role[-2:] = (1, 2)
    time = rng.uniform(0.2, 1.0, (classes, kinds))
    time[rng.random((classes, kinds)) < 0.2] = np.inf
    moved = np.where(role > 0, rng.uniform(0.1, 0.6, (classes, kinds)), 0.0)
    n = np.arange(most + 1.0)
    work = tuple(n * (1.0 - rng.uniform(0.2, 0.7) / np.sqrt(n + 1.0)) for _ in range(kinds))
    return Mix(
        rate=rng.uniform(0.1, 1.2, (classes, hours)),
        time=time,
        moved=moved,
        role=role,
        group=np.zeros(kinds, dtype=np.int64),
        work=work,
        cost=rng.uniform(0.5, 3.0, kinds),
        start=np.zeros(kinds),
        units=rng.integers(1, 3, kinds).astype(float),
        stock=rng.integers(0, 2, kinds),
        stocks=np.array([np.inf, 6.0]),
    )


def serves(m: Mix, counts: tuple[int, ...]) -> bool:
    """Whether some numbers of instances can serve one hour: a linear program of its own, by hand."""
    from formulations.engines.arrays import highs
    from formulations.matrix import Linear

    for s, there in enumerate(m.stocks):
        if sum(n * u for n, u, k in zip(counts, m.units, m.stock, strict=True) if k == s) > there:
            return False
    classes, kinds = m.time.shape
    columns = [(u, v) for u in range(classes) for v in range(kinds) if np.isfinite(m.time[u, v])]
    rows: list[tuple[dict[int, float], float, float]] = []
    for u in range(classes):
        on = {k: 1.0 for k, (a, v) in enumerate(columns) if a == u and m.role[v] < 2}
        rows.append((on, m.rate[u, 0], m.rate[u, 0]))
        moved = {k: (1.0, -1.0)[m.role[v] - 1] for k, (a, v) in enumerate(columns) if a == u and m.role[v]}
        rows.append((moved, 0.0, 0.0))
    for v in range(kinds):
        busy = {k: m.time[u, v] for k, (u, a) in enumerate(columns) if a == v}
        rows.append((busy, -np.inf, float(m.work[v][counts[v]])))
        link = {k: m.moved[u, v] for k, (u, a) in enumerate(columns) if a == v}
        rows.append((link, -np.inf, float(counts[v])))
    if any(not on and low > 0 for on, low, _ in rows):
        return False
    return (
        highs(
            Linear(
                np.zeros(len(columns)),
                0.0,
                np.zeros(len(columns)),
                np.full(len(columns), 100.0),
                np.zeros(len(columns), dtype=bool),
                np.array([low for _, low, _ in rows]),
                np.array([high for _, _, high in rows]),
                np.cumsum([0] + [len(on) for on, _, _ in rows]),
                np.array([k for on, _, _ in rows for k in on], dtype=np.int64),
                np.array([x for on, _, _ in rows for x in on.values()]),
                [],
                1.0,
                {},
                {},
            ),
            Options(),
        ).status
        == "optimal"
    )


def brute(m: Mix) -> float:
    """The least cost of one hour over all numbers of instances; infinite if nothing serves."""
    ordered = sorted(
        itertools.product(*(range(k + 1) for k in m.most)), key=lambda c: float(m.cost @ np.array(c))
    )
    return next((float(m.cost @ np.array(c)) for c in ordered if serves(m, c)), np.inf)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_the_best_mix_is_that_of_brute_force(seed, split):
    m = mix(seed, split=split, kinds=4 if split else 3, most=3)
    found = best(m, exact())
    assert (found.objective or np.inf) == pytest.approx(brute(m), rel=1e-7)
    assert found.status in ("optimal", "infeasible")
    if found.plan is not None:
        assert found.bound == pytest.approx(found.objective, rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_a_bound_is_never_above_the_best(seed, split):
    m = mix(seed, split=split, kinds=4 if split else 3, most=3)
    true = brute(m)
    rng = np.random.default_rng(seed)
    b = bound(m, all_cells(m), rng.uniform(0.0, 0.5, 2))
    assert b.least <= true * (1 + 1e-9)
    cost, counts = first_plan(m, all_cells(m), b.by)
    if counts:
        assert cost >= true * (1 - 1e-9)
        assert serves(m, tuple(counts.get(v, 0) for v in range(m.kinds)))


@pytest.mark.parametrize("seed", range(4))
def test_two_engines_agree(seed):
    m = mix(seed, kinds=5, classes=12, split=bool(seed % 2), most=6)
    ours, theirs = best(m, exact()), whole(m, exact(), "scip")
    assert ours.status == theirs.status
    if ours.objective is not None:
        assert ours.objective == pytest.approx(theirs.objective, rel=1e-6)


def test_the_numbers_of_an_answer_serve_every_class():
    m = mix(5, kinds=6, classes=10, most=8)
    found = best(m, exact())
    assert found.plan is not None
    flow = found.plan.flow[:, :, 0]
    assert flow.sum(axis=1) == pytest.approx(m.rate[:, 0])
    for v in range(m.kinds):
        busy = float(flow[:, v] @ np.where(np.isfinite(m.time[:, v]), m.time[:, v], 0.0))
        assert busy <= m.work[v][found.plan.count[v, 0]] * (1 + 1e-7) + 1e-9
    assert not flow[~np.isfinite(m.time)].any()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_more_hardware_or_fewer_requests_never_cost_more(seed):
    m = mix(seed, most=3)
    before = best(m, exact()).objective or np.inf
    # one kind fewer to choose from, or a smaller stock
    fewer = best(m.some(np.arange(m.kinds - 1)), exact()).objective or np.inf
    assert fewer >= before * (1 - 1e-9)
    less = best(replace(m, stocks=np.array([4.0, 2.0])), exact()).objective or np.inf
    assert less >= before * (1 - 1e-9)
    assert (best(replace(m, rate=0.7 * m.rate), exact()).objective or np.inf) <= before * (1 + 1e-9)


def test_hours_without_starts_are_added_up():
    m = mix(3, hours=3, classes=5)
    found = best(m, exact())
    assert found.objective == pytest.approx(sum(brute(m.hour(h)) for h in range(3)), rel=1e-7)
    assert found.status == "optimal"


@pytest.mark.parametrize("seed", [1, 2, 8])
def test_starts_are_paid_for_where_a_day_is_best(seed):
    m = mix(seed, hours=3, classes=3, kinds=2, most=3)
    m = replace(
        m, time=np.where(np.isfinite(m.time), m.time, 1.0), start=0.4 * m.cost, stocks=np.full(2, np.inf)
    )
    options = [
        [c for c in itertools.product(*(range(k + 1) for k in m.most)) if serves(m.hour(h), c)]
        for h in range(3)
    ]
    least = np.inf
    for day in itertools.product(*options):
        count = np.array(day).T
        least = min(least, float(m.cost @ count.sum(axis=1) + m.start @ starts(count).sum(axis=1)))
    found = best(m, exact())
    assert (found.objective or np.inf) == pytest.approx(least, rel=1e-6)


def test_a_start_is_counted_from_the_last_hour_to_the_first():
    assert starts(np.array([[2, 2, 5, 1]])).tolist() == [[1, 0, 3, 0]]
    assert starts(np.array([[3]])).tolist() == [[0]]


def test_the_price_of_a_split_request_is_that_of_both_halves():
    m = mix(0, kinds=3, split=True)
    m = replace(m, time=np.full(m.time.shape, 2.0))
    each = priced(m, np.array([9.0, 1.0, 2.0]), np.zeros(3))
    assert price_of(m, each) == pytest.approx(np.full(len(m.time), 6.0))


def test_names_of_the_program_tell_their_walls():
    p = program(mix(1, kinds=2, hours=2), names=("L4", "H100")).linear
    assert {"w07(L4,0)", "one(H100,1)", "serve(0,1)", "stock(1,0)"} <= set(p.row_names)
    assert len(set(p.column_names)) == len(p.cost)

"""The least hardware: rates by linear programs, and the bound over layouts near them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from test_parallelism import legal_layouts, plan_of, points_of

from formulations.specification import Tangent, cheapest, least_cost
from mlsysim.core.api import scenario
from mlsysim.core.evaluation import evaluate
from mlsysim.core.resolve import resolve
from mlsysim.core.solver.asked import asked
from mlsysim.core.solver.designing import _Designer, synthesis, weights
from mlsysim.core.solver.objectives import goal
from mlsysim.core.solver.question import Question
from mlsysim.core.solver.synthesis import RATES
from mlsysim.core.solver.target import target
from mlsysim.core.solver.undercut import Proof, Spec, Undercut
from mlsysim.walls import Limits

PLAN = plan_of("Llama3_8B", "H100", 16, 64, fixed={"cp": 1, "interleave": 1, "offload_optimizer": False})
AIM = "latency <= 2.5 s"


@pytest.fixture(scope="module")
def found():
    return synthesis(PLAN, target=AIM)


def of_parts(parts, fixed):
    """A time that is a sum of parts in inverse proportion to the rates."""
    return lambda x: Tangent(x.copy(), float((parts / x).sum() + fixed), -parts / x**2)


@pytest.mark.parametrize("seed", range(12))
def test_closed_form_and_linear_program_agree(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 5))
    w, parts, fixed = rng.uniform(0.05, 3, size), rng.uniform(0.01, 1, size), rng.uniform(0, 0.6)
    ends = np.full(size, 1e-2), np.full(size, 60.0)
    cost, rates = least_cost(w, parts[None, :], np.array([1.0 - fixed]), ends)
    lp = cheapest(w, ends, of_parts(parts, fixed), np.ones(size))
    assert lp is not None
    assert lp.cost == pytest.approx(cost[0], rel=1e-4)
    # without ends it is that of Cauchy and Schwarz
    assert cost[0] == pytest.approx(np.sqrt(w * parts).sum() ** 2 / (1.0 - fixed), rel=1e-9)
    assert (parts / rates[0]).sum() == pytest.approx(1.0 - fixed, rel=1e-9)
    # between narrower ends some rates are at theirs, and it costs more
    narrow = rates[0] * 1.02, rates[0] * 1.5
    narrow[0][0], narrow[1][0] = 0.01, 60.0
    dearer, _ = least_cost(w, parts[None, :], np.array([1.0 - fixed]), narrow)
    again = cheapest(w, narrow, of_parts(parts, fixed), rates[0] * 1.1)
    assert again is not None
    assert again.cost == pytest.approx(dearer[0], rel=1e-4)
    assert dearer[0] >= cost[0]


@pytest.mark.parametrize("seed", range(6))
def test_parts_that_hide_one_another_are_pieces(seed):
    rng = np.random.default_rng(seed)
    w, fixed = rng.uniform(0.1, 2, 2), rng.uniform(0.0, 0.4)
    sums = rng.uniform(0.01, 0.6, (3, 2))
    asked = []

    def slowest(x):
        asked.append(x)
        parts = sums[np.argmax(sums @ (1.0 / x))]
        return of_parts(parts, fixed)(x)

    ends = np.full(2, 0.05), np.full(2, 40.0)
    lp = cheapest(w, ends, slowest, np.ones(2))
    assert lp is not None
    assert slowest(lp.rates).value <= 1.0 + 1e-5
    # the whole curve: for each first rate the least of the second that every sum allows
    first = np.linspace(ends[0][0], ends[1][0], 400_001)
    room = 1.0 - fixed - sums[:, :1] / first
    second = np.where(
        (room > 0).all(axis=0), (sums[:, 1:] / np.where(room > 0, room, 1.0)).max(axis=0), np.inf
    )
    assert lp.cost == pytest.approx((w[0] * first + w[1] * second).min(), rel=1e-4)
    # a piece is asked for once, and the answer is checked
    assert len(asked) <= 1 + len(sums) + 1


def test_no_rates_are_enough():
    parts = np.array([0.5, 0.5])
    ends = np.array([0.1, 0.1]), np.array([0.9, 0.9])
    cost, _ = least_cost(np.ones(2), parts[None, :], np.array([1.0]), ends)
    assert np.isinf(cost[0])
    assert np.isinf(least_cost(np.ones(2), parts[None, :], np.array([-0.1]), ends)[0][0])
    assert cheapest(np.ones(2), ends, of_parts(parts, 0.0), np.ones(2)) is None


def made():
    s = scenario(PLAN)
    s = resolve(s.settings.__class__(**{**s.settings.__dict__, "bounds": (), "limits": Limits()}))
    return _Designer(s, target(AIM, s), weights(None), asked({}))


def test_rates_of_the_answer_are_those_of_its_linear_program(found):
    d = made()
    at = {n: found.specs[n].factor for n in RATES}
    u = Undercut(Question(d.s, goal("time"), d.ask), d.aim, d.weigh, Spec(found.evaluation, at, found.cost))
    assert u._in_order(1.5)  # where the fabric overtakes the links, time is not convex
    e = evaluate(d.s, found.evaluation.layout)
    lp = cheapest(u.weights, (u.at / 1.5, u.at * 1.5), u._tangent(e), u.at)
    mine = float(u.weights @ u.at)
    assert mine == pytest.approx(lp.cost, rel=3e-3)
    # all of them alike, or cheap as links are, they would cost more
    assert mine < d.aim.miss(e) * float(u.weights.sum())


def test_no_layout_undercuts_the_bound(found):
    proof = found.proof
    assert proof is not None
    assert proof.layouts > 10
    assert proof.bound <= found.cost
    assert found.gap == pytest.approx(1.0 - proof.bound / found.cost)
    document = found.to_dict()["synthesis"]
    assert document["proof"]["within"] == proof.width
    assert document["cost"] == found.cost
    d = made()
    at = {n: found.specs[n].factor for n in RATES if n in found.specs}
    u = Undercut(Question(d.s, goal("time"), d.ask), d.aim, d.weigh, Spec(found.evaluation, at, found.cost))
    points = points_of(d.s, legal_layouts(d.s))
    quick = sorted(points, key=lambda p: p.time)[:60]
    tried = 0
    for p in random.Random(1).sample(quick, 12):
        e = evaluate(d.s, p.layout)
        lp = cheapest(u.weights, (u.at / proof.width, u.at * proof.width), u._tangent(e), u.at)
        if lp is not None:
            cost = lp.cost + d.weigh["capacity"] * float(e.state.memory) / d.s.capacity
            assert cost >= proof.bound * (1.0 - 1e-4)
            assert cost >= found.cost * (1.0 - found.gap - 1e-4)
            tried += 1
    assert tried >= 4


def test_what_is_proven_moves_with_the_rates(found):
    d = made()
    at = {n: found.specs[n].factor for n in RATES}
    u = Undercut(Question(d.s, goal("time"), d.ask), d.aim, d.weigh, Spec(found.evaluation, at, found.cost))
    proof = Proof(0.5, 1.5, 10, 1)
    moved = {n: f * by for (n, f), by in zip(at.items(), (1.1, 0.95, 1.0, 0.98), strict=True)}
    around = u.around(proof, moved)
    ends = u.at / 1.5, u.at * 1.5
    there = np.array([moved[n] for n in u.names])
    assert (there / around.width >= ends[0] * (1 - 1e-12)).all()
    assert (there * around.width <= ends[1] * (1 + 1e-12)).all()
    assert around.width == pytest.approx(1.5 / 1.1)
    assert around.bound == proof.bound
    assert u.around(proof, moved | {RATES[0]: 2.0 * at[RATES[0]]}) is None


def test_rates_as_arrays_are_rates_one_by_one():
    s = scenario(PLAN)
    e = evaluate(s)
    aim = target("throughput >= 100000", s)
    factors = np.array([0.5, 1.0, 3.0])
    for name in RATES:
        together = aim.misses(e, {name: factors})
        for f, miss in zip(factors, together, strict=True):
            alone = evaluate(scenario({**PLAN, "what_if": {name: f"{f}x"}}), e.layout)
            assert miss == pytest.approx(aim.miss(alone), rel=1e-12)

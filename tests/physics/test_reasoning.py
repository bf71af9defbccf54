"""Answers that are thought about."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.core.units import ureg
from mlsysim.physics import reasoning
from mlsysim.physics.reasoning import Chain

chains = st.builds(
    Chain,
    ttft=st.floats(0.0, 10.0),
    itl=st.floats(1e-4, 1.0),
    steps=st.integers(1, 100).map(float),
    tokens_per_step=st.integers(1, 2000).map(float),
    samples=st.integers(1, 64).map(float),
    revisions=st.integers(1, 16).map(float),
    verify=st.floats(0.0, 5.0),
)
chance = st.floats(1e-6, 0.999)


def test_the_equation_of_the_wall():
    """0.5 s, and 8 steps of 250 tokens at 20 ms: 40.5 s."""
    assert reasoning.answer_time(Chain(0.5, 0.020, 8.0, 250.0)) == pytest.approx(40.5)


def test_samples_cost_tokens_and_revisions_cost_time():
    plain = Chain(0.5, 0.02, 4.0, 100.0)
    sampled = Chain(0.5, 0.02, 4.0, 100.0, samples=16.0)
    revised = Chain(0.5, 0.02, 4.0, 100.0, revisions=16.0)
    assert reasoning.generated_tokens(sampled) == reasoning.generated_tokens(revised) == 6400
    assert reasoning.answer_time(sampled) == reasoning.answer_time(plain)
    assert reasoning.answer_time(revised) == pytest.approx(0.5 + 16 * 8.0)


@given(chains, st.floats(0.0, 1e4))
def test_the_most_steps_fit_and_one_more_does_not(c, target):
    def with_steps(steps: float) -> Chain:
        return Chain(c.ttft, c.itl, steps, c.tokens_per_step, c.samples, c.revisions, c.verify)

    most = float(reasoning.most_steps(c, target))
    if most:
        assert reasoning.answer_time(with_steps(most)) <= target * (1 + 1e-9)
    if target >= c.ttft + c.verify:
        assert reasoning.answer_time(with_steps(most + 1)) >= target * (1 - 1e-9)


@given(chains, chains)
def test_more_of_anything_takes_longer(a, b):
    least = Chain(**{k: min(getattr(a, k), getattr(b, k)) for k in vars(a)})
    most = Chain(**{k: max(getattr(a, k), getattr(b, k)) for k in vars(a)})
    assert reasoning.answer_time(least) <= reasoning.answer_time(a) <= reasoning.answer_time(most)
    assert reasoning.generated_tokens(least) <= reasoning.generated_tokens(b)


def test_samples_cover_what_one_misses():
    """``1 - (1 - p)^N``: a model right once in 20 is right once in 100 tries with 99.4 percent."""
    assert reasoning.coverage(0.05, 100.0) == pytest.approx(1 - 0.95**100)
    assert reasoning.coverage(0.3, 1.0) == pytest.approx(0.3)
    assert reasoning.coverage(0.0, 50.0) == 0.0
    assert reasoning.coverage(1.0, 1.0) == 1.0


@given(chance, chance)
def test_the_samples_for_a_coverage_reach_it(success, target):
    n = float(reasoning.samples_for(success, target))
    assert reasoning.coverage(success, n) >= target * (1 - 1e-6)
    if n > 1:
        assert reasoning.coverage(success, n - 1) < target * (1 + 1e-6)


def test_a_model_that_is_never_right_needs_endless_samples():
    assert reasoning.samples_for(0.0, 0.5) == math.inf
    assert reasoning.samples_for(0.0, 0.0) == 0.0
    assert reasoning.samples_for(0.5, 0.75) == 2.0
    assert reasoning.samples_for(1.0, 0.9) == 1.0 or reasoning.samples_for(1.0, 0.9) == 0.0


@pytest.mark.parametrize(
    ("ratio", "factor"),
    # Snell 2024, section 7: M = 14 at the three ratios R of inference to training tokens
    [(0.16, 14 + 3 / 0.16 * 13), (0.79, 14 + 3 / 0.79 * 13), (22.0, 14 + 3 / 22 * 13)],
)
def test_the_exchange_of_pretraining_for_inference(ratio, factor):
    assert reasoning.matched_inference(14.0, 1 / ratio) == pytest.approx(factor)


@given(st.floats(1.0, 100.0), st.floats(1e-3, 1e3), st.sampled_from([2.0, 4.0]))
def test_both_models_cost_the_same(larger, ratio, flops):
    """Total operations with N = D_inference = 1: ``M (6 D + k)`` against ``6 D + k x factor``."""
    factor = reasoning.matched_inference(larger, ratio, flops)
    assert larger * (6 * ratio + flops) == pytest.approx(6 * ratio + flops * factor, rel=1e-9)


def test_numbers_and_arrays_agree_to_the_bit():
    itl, steps = np.array([0.01, 0.03, 0.2]), np.array([[1.0], [7.0]])
    whole = reasoning.answer_time(Chain(0.4, itl, steps, 130.0, revisions=3.0, verify=0.1))
    covered = reasoning.coverage(itl, steps)
    for i, j in np.ndindex(2, 3):
        one = Chain(0.4, float(itl[j]), float(steps[i, 0]), 130.0, revisions=3.0, verify=0.1)
        assert reasoning.answer_time(one) == whole[i, j]
        assert reasoning.coverage(float(itl[j]), float(steps[i, 0])) == covered[i, j]


def test_dimensions():
    u = ureg()
    c = Chain(u.Quantity(0.4, "s"), u.Quantity(20.0, "ms/token"), 8.0, u.Quantity(100.0, "token"),
              verify=u.Quantity(1.0, "s"))  # fmt: skip
    assert reasoning.answer_time(c).check("[time]")
    assert reasoning.generated_tokens(c).check("[token]")

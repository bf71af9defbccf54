"""Pipeline schedules against Narayanan 2021 and Korthikanti 2022."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_cases import LLAMA3_8B
from test_training import ideal, run

from mlsysim.physics import pipeline
from mlsysim.physics import training as tr


@pytest.mark.parametrize(
    ("p", "v", "m", "fraction"),
    [
        # Narayanan 2021, section 2.2: t_pb / t_id = (p - 1) / (v m)
        (4, 1, 8, 3 / 8),
        (4, 2, 8, 3 / 16),
        (8, 1, 64, 7 / 64),
        (64, 2, 512, 63 / 1024),
        (1, 1, 1, 0.0),
    ],
)
def test_bubble_fraction(p, v, m, fraction):
    model = replace(LLAMA3_8B, layers=128.0, vocab=0.0)
    j = ideal(model=model, weights=tr.weights_of(model), accelerators=float(p), batch=float(m))
    step = run(j, pp=p, interleave=v)
    assert step.bubble / step.matmul == pytest.approx(fraction, rel=1e-12, abs=1e-14)


def test_the_fullest_stage_sets_the_pace():
    assert pipeline.layers_per_stage(126.0, np.array([1, 2, 4, 16, 126])).tolist() == [126, 63, 32, 8, 1]


@pytest.mark.parametrize(
    ("layers", "p", "v", "held"),
    [
        # Korthikanti 2022, section 4.2.3: L layers, times 1 + (p - 1) / (p m) interleaved
        (96, 8, 1, 96.0),
        (96, 8, 3, 96 * (1 + 7 / 24)),
        (105, 35, 3, 105 * (1 + 34 / 105)),
        (128, 64, 1, 128.0),
        (48, 1, 1, 48.0),
    ],
)
def test_first_stage_holds_the_whole_model_worth(layers, p, v, held):
    assert layers / p * pipeline.in_flight(float(p), float(v), 0.0) == pytest.approx(held, rel=1e-12)


def test_interleaved_first_stage_counted_by_warm_up():
    """2 (p - 1) + (v - 1) p chunks go forward before the first backward, and one more (Megatron-LM)."""
    layers, p, v = 96, 8, 3
    chunks = 2 * (p - 1) + (v - 1) * p + 1
    by_chunks = chunks * layers / (p * v)
    assert layers / p * pipeline.in_flight(8.0, 3.0, 0.0) == pytest.approx(by_chunks, rel=1e-12)


@pytest.mark.parametrize(
    ("layers", "p", "v", "held"),
    [
        (96, 8, 1, 12.0),  # one microbatch of its own layers
        (96, 8, 3, (2 * 8 + 1) * 4.0),  # 16 chunks of 4 layers go forward before the first backward
        (32, 2, 16, (15 * 2 + 1) * 1.0),
        (48, 1, 1, 48.0),
    ],
)
def test_last_stage_counted_by_warm_up(layers, p, v, held):
    """(v - 1) p chunks, and the one at work (Megatron-LM, warm-up of the last rank)."""
    assert layers / p * pipeline.in_flight(float(p), float(v), p - 1.0) == pytest.approx(held, rel=1e-12)


def test_sends():
    """A microbatch goes forward and back once through each chunk of a stage."""
    assert pipeline.sends(np.array([1, 2, 8]), np.array([1, 1, 3])).tolist() == [0, 2, 6]


@given(layers=st.integers(1, 200), p=st.integers(1, 200))
def test_the_fullest_stage_is_the_least_that_will_do(layers, p):
    per_stage = pipeline.layers_per_stage(layers, float(p))
    assert per_stage * p >= layers > (per_stage - 1) * p


@given(p=st.integers(1, 200), v=st.integers(1, 16))
def test_later_stages_hold_less(p, v):
    held = pipeline.in_flight(float(p), float(v), np.arange(p, dtype=float))
    assert (np.diff(held) < 0).all()
    # two chunks of v fewer with each stage; without chunks one microbatch
    assert np.diff(held) == pytest.approx(-2.0 / v if v > 1 else -1.0)
    assert held[-1] >= 1.0
    assert p <= held[0] < 2 * p


def test_arrays_agree_with_scalars():
    p, v, s = np.array([1, 2, 8, 16]), np.array([1, 3, 1, 4]), np.array([0, 1, 5, 2])
    one = [float(pipeline.in_flight(*x)) for x in zip(p, v, s, strict=True)]
    assert pipeline.in_flight(p, v, s).tolist() == one

"""Pipeline schedules against Narayanan 2021 and Korthikanti 2022."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.physics import pipeline


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
    layers = 128.0
    ideal = m * pipeline.layers_per_stage(layers, float(p))
    assert pipeline.bubble_layers(layers, float(p), float(v)) / ideal == pytest.approx(fraction, rel=1e-12)


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
    assert pipeline.in_flight_layers(float(layers), float(p), float(v)) == pytest.approx(held, rel=1e-12)


def test_interleaved_first_stage_counted_by_warm_up():
    """2 (p - 1) + (v - 1) p chunks go forward before the first backward, and one more (Megatron-LM)."""
    layers, p, v = 96, 8, 3
    chunks = 2 * (p - 1) + (v - 1) * p + 1
    by_chunks = chunks * layers / (p * v)
    assert pipeline.in_flight_layers(96.0, 8.0, 3.0) == pytest.approx(by_chunks, rel=1e-12)


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
    assert pipeline.last_in_flight_layers(float(layers), float(p), float(v)) == pytest.approx(held, rel=1e-12)


def test_sends():
    """A microbatch goes forward and back once through each chunk of a stage."""
    assert pipeline.sends(np.array([1, 2, 8]), np.array([1, 1, 3])).tolist() == [0, 2, 6]


@given(layers=st.integers(1, 200), p=st.integers(1, 200), v=st.integers(1, 16))
def test_laws(layers, p, v):
    bubble = pipeline.bubble_layers(layers, float(p), float(v))
    assert bubble >= pipeline.bubble_layers(layers, float(p), v + 1.0) >= 0
    assert (bubble == 0) == (p == 1)
    per_stage = pipeline.layers_per_stage(layers, float(p))
    assert per_stage * p >= layers > (per_stage - 1) * p
    plain = pipeline.in_flight_layers(layers, float(p), 1.0)
    assert plain == per_stage * p
    first = pipeline.in_flight_layers(layers, float(p), float(v))
    assert plain <= first < 2 * plain
    assert per_stage <= pipeline.last_in_flight_layers(layers, float(p), float(v)) <= first * (1 + 1e-12)


def test_arrays_agree_with_scalars():
    p, v = np.array([1, 2, 8, 16]), np.array([1, 3, 1, 4])
    for function in (pipeline.bubble_layers, pipeline.in_flight_layers, pipeline.last_in_flight_layers):
        assert function(80.0, p, v).tolist() == [float(function(80.0, *x)) for x in zip(p, v, strict=True)]

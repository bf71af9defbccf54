"""Weights that stream in layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.core.units import ureg
from mlsysim.physics import streaming
from mlsysim.physics.streaming import Stream

positive = st.floats(1e-6, 1e6)
streams = st.builds(
    Stream, weights=positive, injection=positive, compute=positive, layers=st.integers(1, 200).map(float),
    training=st.booleans(),
)  # fmt: skip


def test_gpt3_through_the_links_of_a_wafer():
    """1.2 Tbit/s are 150 GB/s, so the 350 GB of GPT-3 in 16 bits take 2.33 s to come in."""
    s = Stream(weights=350e9 / 96, injection=12 * 100e9 / 8, compute=0.0, layers=96.0)
    assert streaming.pass_time(s) == pytest.approx(7 / 3)
    assert streaming.layer_time(s) == pytest.approx(7 / 3 / 96)


def test_the_batch_that_hides_the_stream_does():
    """15.84 PFLOP/s against 150 GB/s of 2-byte weights: 105,600 tokens."""
    tokens = streaming.hiding_tokens(2.0, 15.84e15, 150e9)
    assert tokens == pytest.approx(105_600)
    params = 1.8e9
    s = Stream(2 * params, 150e9, 2 * params * tokens / 15.84e15, 96.0)
    assert streaming.load_time(s) == pytest.approx(s.compute)


def test_three_layers_by_hand():
    """Load 2, work 5: load, then three times work. Load 5, work 2: three loads, then work."""
    assert streaming.pass_time(Stream(2.0, 1.0, 5.0, 3.0)) == 2 + 3 * 5
    assert streaming.pass_time(Stream(5.0, 1.0, 2.0, 3.0)) == 3 * 5 + 2
    # backward: the last layer's weights are still there, the first layer's gradients leave last
    assert streaming.step_time(Stream(2.0, 1.0, 5.0, 3.0, training=True)) == 17 + 3 * 10 + 2
    assert streaming.step_time(Stream(5.0, 1.0, 2.0, 3.0, training=True)) == 17 + 4 + 2 * 5 + 5


@given(streams)
def test_a_layer_takes_as_long_as_the_slower_of_both(s):
    time = streaming.layer_time(s)
    assert time >= streaming.load_time(s)
    assert time >= s.compute
    assert time in (streaming.load_time(s), s.compute)


@given(streams)
def test_a_pass_lies_between_all_hidden_and_nothing_hidden(s):
    work = s.layers * s.compute
    load = s.layers * streaming.load_time(s)
    assert max(work, load) <= streaming.pass_time(s) * (1 + 1e-9)
    assert streaming.pass_time(s) <= (work + load) * (1 + 1e-9)
    assert streaming.exposed_time(s) >= -1e-9 * streaming.step_time(s)


@given(streams, st.floats(1.0, 100.0))
def test_a_wider_link_never_slows_a_step(s, factor):
    wider = Stream(s.weights, s.injection * factor, s.compute, s.layers, s.training)
    assert streaming.step_time(wider) <= streaming.step_time(s) * (1 + 1e-12)


def test_two_layers_lie_in_memory():
    assert streaming.buffer_bytes(Stream(3e9, 1e9, 1.0, 10.0)) == 6e9


def test_an_endless_link_leaves_the_work():
    assert streaming.exposed_time(Stream(1e9, np.inf, 0.1, 10.0, training=True)) == pytest.approx(0.0)


def test_numbers_and_arrays_agree_to_the_bit():
    weights, compute = np.array([1e9, 3e9, 7e9]), np.array([[1e-3], [0.2]])
    whole = streaming.step_time(Stream(weights, 150e9, compute, 32.0, training=True))
    for i, j in np.ndindex(2, 3):
        one = Stream(float(weights[j]), 150e9, float(compute[i, 0]), 32.0, training=True)
        assert streaming.step_time(one) == whole[i, j]


def test_dimensions():
    u = ureg()
    s = Stream(u.Quantity(2.0, "GB"), u.Quantity(150.0, "GB/s"), u.Quantity(5.0, "ms"), 80.0, training=True)
    assert streaming.layer_time(s).check("[time]")
    assert streaming.step_time(s).check("[time]")
    assert streaming.buffer_bytes(s).check("[information]")
    tokens = streaming.hiding_tokens(
        u.Quantity(2.0, "byte/param"), u.Quantity(1.0, "PFLOP/s"), u.Quantity(150.0, "GB/s")
    )
    # two operations a parameter and token are a pure number in the equation
    assert tokens.check("[compute]/[parameter]")

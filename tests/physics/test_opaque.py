"""Models known by their totals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.physics.opaque import Operations, single_pass
from mlsysim.physics.roofline import Chip

# ResNet-50: 25.6M parameters, 4.1G multiply-adds an image (He 2016)
RESNET50 = Operations(params=25.6e6, flops=8.2e9, activations=11e6, moved=1e6)
CHIP = Chip(peak=100e12, share=0.5, bandwidth=1e12, bandwidth_share=0.8, launch=5e-6)


def test_by_hand():
    batch = single_pass(RESNET50, CHIP, batch=32.0, width=2.0)
    assert batch.flops == 32 * 8.2e9
    assert batch.matmul == pytest.approx(32 * 8.2e9 / 50e12, rel=1e-12)  # 5.248 ms
    moved = 51.2e6 + 32 * (1e6 + 22e6)  # weights once, inputs and activations of each image
    assert batch.stream == pytest.approx(moved / 0.8e12, rel=1e-12)  # 0.984 ms
    assert batch.time == pytest.approx(5.248e-3 + 5e-6, rel=1e-12)
    assert (batch.weights, batch.cache) == (51.2e6, 0.0)


def test_one_sample_is_bound_by_its_weights():
    table = Operations(params=1e9, flops=1e6)  # a recommender: much to read, little to do
    one = single_pass(table, CHIP, batch=1.0, width=4.0)
    assert one.time == pytest.approx(4e9 / 0.8e12 + 5e-6, rel=1e-12)


def test_tables_are_looked_up():
    """DLRM reads its MLPs whole, and 26 rows of 128 numbers an impression, not 24 billion parameters."""
    table = Operations(params=24e9, flops=4.9e6, moved=13312.0, read=2.4e6)
    many = single_pass(table, CHIP, batch=100.0, width=2.0)
    assert many.stream == pytest.approx((4.8e6 + 1331200) / 0.8e12, rel=1e-12)
    assert many.weights == 48e9  # held all the same


def test_nothing_takes_one_launch():
    assert single_pass(Operations(0.0, 0.0), CHIP, batch=1.0, width=2.0).time == 5e-6


@given(batch=st.integers(1, 10_000), factor=st.floats(1.0, 100.0))
def test_laws(batch, factor):
    base = single_pass(RESNET50, CHIP, batch=float(batch), width=2.0)
    assert base.time == max(base.matmul, base.stream) + 5e-6
    more = single_pass(RESNET50, CHIP, batch=batch + 1.0, width=2.0)
    assert more.time > base.time
    assert more.time / (batch + 1) <= base.time / batch  # a larger batch never does worse a sample
    for better in (replace(CHIP, peak=factor * 100e12), replace(CHIP, bandwidth=factor * 1e12)):
        assert single_pass(RESNET50, better, batch=float(batch), width=2.0).time <= base.time


def test_unknown_bandwidth_counts_compute_only():
    batch = single_pass(RESNET50, replace(CHIP, bandwidth=math.inf), batch=1.0, width=2.0)
    assert batch.stream == 0.0


def test_arrays_agree_with_scalars():
    sizes = np.array([1.0, 2.0, 100.0])
    many = single_pass(RESNET50, CHIP, batch=sizes, width=2.0)
    one = [single_pass(RESNET50, CHIP, batch=float(b), width=2.0) for b in sizes]
    assert many.time.tolist() == [float(p.time) for p in one]

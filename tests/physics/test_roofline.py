"""The roofline (Williams 2009) and the quantization of NVIDIA's matrix multiplication guide."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_cases import H100

from mlsysim.physics import roofline
from mlsysim.physics.roofline import Chip
from mlsysim.physics.transformer import Matmul

# NVIDIA's guide, section 2: 125 TFLOP/s over 900 GB/s
V100 = Chip(peak=125e12, share=1.0, bandwidth=900e9, bandwidth_share=1.0)
TILED = Chip(peak=312e12, share=1.0, bandwidth=math.inf, bandwidth_share=1.0, units=108.0, tile=128.0)
sizes = st.integers(1, 20_000)


def intensity(p: Matmul) -> float:
    """Operations over bytes in 16 bits, as the library times them: compute over stream."""
    compute = roofline.compute_time(2.0 * p.rows * p.inner * p.columns, V100)
    everything = replace(V100, peak=math.inf)
    return float(compute * V100.peak / (roofline.matmul_time(p, everything, 2.0) * V100.bandwidth))


def test_ridge():
    assert round(roofline.ridge(V100), 1) == 138.9
    h100 = Chip(989.4e12, 1.0, 3.35e12, 1.0)
    assert round(roofline.ridge(h100)) == 295


@pytest.mark.parametrize(
    ("columns", "printed", "bound"), [(128.0, 124.1, "memory"), (8192.0, 2730.7, "math")]
)
def test_intensity_of_the_guide(columns, printed, bound):
    """Section 2 of the guide: 8192 x 128 x 8192 is memory-limited on a V100, 8192^3 is not."""
    p = Matmul(8192.0, 8192.0, columns)
    assert round(intensity(p), 1) == printed
    time = roofline.matmul_time(p, V100, 2.0)
    flops = 2 * 8192 * 8192 * columns
    moved = 2 * (8192 * 8192 + 2 * 8192 * columns)
    assert time == pytest.approx(moved / 900e9 if bound == "memory" else flops / 125e12, rel=1e-12)


@given(rows=sizes, inner=sizes, columns=sizes)
def test_attainable_rate_is_the_lower_of_peak_and_bandwidth_times_intensity(rows, inner, columns):
    p = Matmul(float(rows), float(inner), float(columns))
    flops = 2.0 * rows * inner * columns
    moved = 2.0 * (rows * inner + inner * columns + rows * columns)
    rate = flops / roofline.matmul_time(p, V100, 2.0)
    assert rate == pytest.approx(min(125e12, 900e9 * flops / moved), rel=1e-12)


def test_no_bandwidth_limit_is_compute_only():
    assert roofline.stream_time(1e12, replace(V100, bandwidth=math.inf)) == 0.0


# -- tiles and waves ------------------------------------------------------------------------------


def tiled(rows: float, columns: float, units: float = 0.0) -> float:
    return float(roofline.tile_share(Matmul(rows, 1024.0, columns), replace(TILED, units=units)))


def test_tile_quantization_of_the_guide():
    """256 x 256 fills four 128 x 128 tiles; 256 x 257 takes six, half as much again, for 0.39% more."""
    assert tiled(256.0, 256.0) == 1.0
    even, odd = (
        roofline.matmul_time(Matmul(256.0, 1024.0, n), replace(TILED, units=0.0), 2.0) for n in (256.0, 257.0)
    )
    assert odd / even == pytest.approx(1.5, rel=1e-12)
    assert tiled(256.0, 257.0) == pytest.approx(256 * 257 / (6 * 128 * 128), rel=1e-12)


def test_wave_quantization_on_108_units():
    """108 tiles of an A100 are one wave; one row of tiles more starts a second one."""
    assert tiled(12 * 128.0, 9 * 128.0, units=108.0) == 1.0
    # 13 x 9 = 117 tiles in two waves of 108
    assert tiled(13 * 128.0, 9 * 128.0, units=108.0) == pytest.approx(117 / 216, rel=1e-12)
    one, two = (roofline.matmul_time(Matmul(n * 128.0, 1024.0, 9 * 128.0), TILED, 2.0) for n in (12, 13))
    assert two / one == pytest.approx(2.0, rel=1e-12)


def test_grouped_products_share_waves():
    """Nine products of 12 tiles fill the wave that one alone leaves mostly empty."""
    alone = Matmul(12 * 128.0, 1024.0, 128.0, 1.0)
    assert roofline.tile_share(alone, TILED) == pytest.approx(12 / 108, rel=1e-12)
    assert roofline.tile_share(alone._replace(count=9.0), TILED) == 1.0


@pytest.mark.parametrize(("rows", "height"), [(1, 16), (16, 16), (17, 32), (64, 64), (65, 128), (128, 128)])
def test_few_rows_use_a_flatter_tile(rows, height):
    assert tiled(float(rows), 128.0) == pytest.approx(rows / height, rel=1e-12)


def test_quantization_is_off_without_a_tile():
    p = Matmul(np.array([1.0, 200.0]), 1024.0, 129.0)
    assert roofline.tile_share(p, V100).tolist() == [1.0, 1.0]


def test_a_large_product_reaches_the_share():
    p = Matmul(2.0**20, 4096.0, 132 * 128.0)
    share = 2 * p.rows * p.inner * p.columns / roofline.matmul_time(p, replace(H100, launch=0.0), 2.0)
    assert share / H100.peak == pytest.approx(0.8, rel=1e-12)


def test_launches_are_paid_once_a_product():
    """Also by a share of one: half of the layers being of its kind costs a kernel where it is."""
    for count in (1.0, 0.5):
        p = Matmul(128.0, 128.0, 128.0, count)
        with_launch = roofline.matmul_time(p, replace(V100, launch=1e-6), 2.0)
        assert with_launch - roofline.matmul_time(p, V100, 2.0) == pytest.approx(1e-6, rel=1e-9)


@given(rows=sizes, columns=sizes, units=st.sampled_from([0.0, 1.0, 108.0, 132.0]))
def test_the_share_is_a_share(rows, columns, units):
    assert 0.0 < tiled(float(rows), float(columns), units) <= 1.0 + 1e-12


@given(rows=sizes, inner=sizes, columns=sizes)
def test_quantization_never_speeds_up(rows, inner, columns):
    p = Matmul(float(rows), float(inner), float(columns))
    bare = replace(H100, tile=0.0, units=0.0)
    assert roofline.matmul_time(p, H100, 2.0) >= roofline.matmul_time(p, bare, 2.0) * (1 - 1e-12)


@given(rows=sizes, inner=sizes, columns=sizes, factor=st.floats(1.0, 100.0))
def test_a_better_chip_is_never_slower(rows, inner, columns, factor):
    p = Matmul(float(rows), float(inner), float(columns))
    base = roofline.matmul_time(p, H100, 2.0)
    for better in (
        replace(H100, peak=factor * H100.peak),
        replace(H100, bandwidth=factor * H100.bandwidth),
        replace(H100, launch=H100.launch / factor),
    ):
        assert roofline.matmul_time(p, better, 2.0) <= base * (1 + 1e-12)


@given(rows=sizes, inner=sizes, columns=sizes, more=st.integers(0, 500))
def test_a_larger_product_never_takes_less_time(rows, inner, columns, more):
    base = roofline.matmul_time(Matmul(float(rows), float(inner), float(columns)), H100, 2.0)
    for p in (
        Matmul(float(rows + more), float(inner), float(columns)),
        Matmul(float(rows), float(inner + more), float(columns)),
        Matmul(float(rows), float(inner), float(columns + more)),
    ):
        assert roofline.matmul_time(p, H100, 2.0) >= base * (1 - 1e-12)


def test_arrays_agree_with_scalars():
    rows, columns = np.array([1.0, 100.0, 4096.0, 130.0]), np.array([7.0, 128.0, 14336.0, 40_000.0])
    count = np.array([1.0, 2.0, 1.0, 0.5])
    many = roofline.matmul_time(Matmul(rows, 512.0, columns, count), H100, 2.0)
    one = [
        float(roofline.matmul_time(Matmul(r, 512.0, c, n), H100, 2.0))
        for r, c, n in zip(rows, columns, count, strict=True)
    ]
    assert many.tolist() == one

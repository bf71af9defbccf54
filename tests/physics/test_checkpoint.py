"""Checkpoints against the sizes that were published."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.core.units import ureg
from mlsysim.physics import checkpoint as ckpt
from mlsysim.physics.memory import StateBytes

ADAM = StateBytes(weights=2.0, gradients=2.0, optimizer=12.0)
GIB, TB = 2.0**30, 1e12


def test_bloom() -> None:
    # BigScience: 329 GB of bf16 weights, 2.3 TB in full, for 176,247 million parameters; in the
    # binary gigabytes that file sizes are listed in
    params = 176.247e9
    assert params * ADAM.weights / GIB == pytest.approx(329, rel=0.003)
    assert ckpt.checkpoint_bytes(params, ADAM) / GIB == pytest.approx(2300, rel=0.002)


def test_opt() -> None:
    # metaseq: 1.6 TB in 992 files of about 1.7 GB; Adam's moments in 32 bits, weights in 16, no
    # 32-bit copy of them (Zhang 2022, section 2.2)
    size = ckpt.checkpoint_bytes(175e9, StateBytes(2.0, 2.0, 8.0))
    assert size / GIB == pytest.approx(1600, rel=0.02)
    assert size / 992 == pytest.approx(1.7e9, rel=0.05)


def test_check_n_run() -> None:
    # Eisenman 2022: 6 to 17 times less to write
    full = ckpt.checkpoint_bytes(1e12, ADAM)
    assert full / ckpt.checkpoint_bytes(1e12, ADAM, reduction=17.0) == pytest.approx(17.0)


def test_what_the_fullest_rank_writes() -> None:
    # 1000 parameters on a rank, 4 data-parallel copies, 2 + 12 bytes each
    assert [float(ckpt.rank_bytes(1000.0, 4.0, zero, ADAM)) for zero in range(4)] == [
        14_000.0,
        2000.0 + 3000.0,
        2000.0 + 3000.0,
        500.0 + 3000.0,
    ]


@given(
    params=st.floats(1e6, 1e12),
    dp=st.sampled_from([1.0, 2.0, 64.0]),
    model=st.sampled_from([1.0, 8.0, 128.0]),
    zero=st.integers(0, 3),
)
def test_ranks_write_the_whole_between_them(params: float, dp: float, model: float, zero: int) -> None:
    whole = ckpt.checkpoint_bytes(params, ADAM)
    fullest = ckpt.rank_bytes(params / model, dp, zero, ADAM)
    assert fullest * model * dp >= whole * (1 - 1e-12)
    if zero == 3:
        assert fullest * model * dp == pytest.approx(whole)
    assert fullest <= ckpt.rank_bytes(params / model, dp, max(zero - 1, 0), ADAM)


def test_write_time_is_that_of_the_slower_end() -> None:
    # Llama 3 405B to 2 TB/s: 2.835 s; but one rank that writes 40 GB at 10 GB/s takes 4 s
    size = ckpt.checkpoint_bytes(405e9, ADAM)
    assert ckpt.write_time(size, 2 * TB) == pytest.approx(2.835)
    assert ckpt.write_time(size, 2 * TB, 40e9, 10e9) == 4.0


def test_asynchronous_writes_stop_the_run_for_the_snapshot() -> None:
    snapshot = ckpt.snapshot_time(40e9, 50e9)
    assert snapshot == 0.8
    assert ckpt.stall_time(30.0, snapshot, True) == 0.8
    assert ckpt.stall_time(30.0, snapshot, False) == 30.0
    assert ckpt.stall_time(0.5, snapshot, True) == 0.5  # storage that is faster than memory
    assert ckpt.shortest_interval(30.0, 0.8) == pytest.approx(29.2)
    assert ckpt.shortest_interval(30.0, 30.0) == 0.0


def test_arrays_are_scalars_side_by_side() -> None:
    dp, zero = np.meshgrid([1.0, 3.0, 64.0], [0, 1, 2, 3])
    table = ckpt.rank_bytes(1e9, dp, zero, ADAM)
    times = ckpt.write_time(1e12, 1e9, table, 1e6)
    for i in np.ndindex(dp.shape):
        one = ckpt.rank_bytes(1e9, float(dp[i]), int(zero[i]), ADAM)
        assert table[i] == one
        assert times[i] == ckpt.write_time(1e12, 1e9, one, 1e6)


def test_dimensions() -> None:
    u = ureg()
    each = StateBytes(*(n * u.byte / u.param for n in (2.0, 2.0, 12.0)))
    size = ckpt.checkpoint_bytes(405e9 * u.param, each)
    assert size.check("[information]")
    rank = ckpt.rank_bytes(1e9 * u.param, 8.0, 1, each)
    assert rank.check("[information]")
    write = ckpt.write_time(size, 2 * u.TB / u.second, rank, 1 * u.GB / u.second)
    assert write.check("[time]")
    assert ckpt.stall_time(write, ckpt.snapshot_time(rank, 50 * u.GB / u.second), True).check("[time]")
    assert ckpt.shortest_interval(write, write).check("[time]")

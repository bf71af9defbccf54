"""Training state under ZeRO against the tables of Rajbhandari 2020."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_cases import ADAM

from mlsysim.physics.memory import StateBytes, state_bytes, update_bytes

BILLION, GB = 1e9, 1e9
sizes = st.floats(1.0, 1e13)
ranks = st.integers(1, 100_000)


def test_figure_1():
    """7.5B parameters on 64 ranks: 120 GB, 31.4, 16.6 and 1.9."""
    held = state_bytes(7.5 * BILLION, 64.0, np.arange(4), ADAM) / GB
    assert [round(x, 1) for x in held.tolist()] == [120.0, 31.4, 16.6, 1.9]


@pytest.mark.parametrize(
    ("billions", "dp", "printed"),
    [
        # table 1: stages 1, 2 and 3 in GB
        (7.5, 1, ("120", "120", "120")),
        (7.5, 4, ("52.5", "41.3", "30")),
        (7.5, 16, ("35.6", "21.6", "7.5")),
        (7.5, 64, ("31.4", "16.6", "1.88")),
        (7.5, 256, ("30.4", "15.4", "0.47")),
        (7.5, 1024, ("30.1", "15.1", "0.12")),
        (128, 1, ("2048", "2048", "2048")),
        (128, 4, ("896", "704", "512")),
        (128, 16, ("608", "368", "128")),
        (128, 64, ("536", "284", "32")),
        (128, 256, ("518", "263", "8")),
        (1000, 4, ("7000", "5500", "4000")),
        (1000, 16, ("4750", "2875", "1000")),
    ],
)
def test_table_1(billions, dp, printed):
    for stage, text in enumerate(printed, start=1):
        digits = len(text.partition(".")[2])
        held = state_bytes(billions * BILLION, float(dp), stage, ADAM) / GB
        assert float(held) == pytest.approx(float(text), abs=0.5 * 10.0**-digits * (1 + 1e-9))


def test_gpt2_of_section_3_takes_24_gb():
    """1.5B parameters: 16 bytes each, where the weights alone are 3 GB."""
    assert state_bytes(1.5 * BILLION, 1.0, 0, ADAM) == 24 * GB
    assert state_bytes(1.5 * BILLION, 1.0, 0, StateBytes(2.0, 0.0, 0.0)) == 3 * GB


def test_the_step_moves_what_it_reads_and_writes():
    # gradients in (2), state in and out (2 x 12), weights out (2): 28 bytes a parameter
    assert update_bytes(1e6, 1.0, 0, ADAM) == 28e6
    assert update_bytes(1e6, 8.0, 0, ADAM) == 28e6
    assert [float(update_bytes(1e6, 8.0, z, ADAM)) for z in (1, 2, 3)] == [3.5e6] * 3


@given(params=sizes, dp=ranks)
def test_stages_never_hold_more(params, dp):
    held = state_bytes(params, float(dp), np.arange(4), ADAM)
    assert (np.diff(held) <= 0).all()
    moved = update_bytes(params, float(dp), np.arange(4), ADAM)
    assert (np.diff(moved) <= 0).all()


@given(params=sizes, dp=ranks, stage=st.integers(0, 3))
def test_more_ranks_never_hold_more(params, dp, stage):
    assert state_bytes(params, dp + 1.0, stage, ADAM) <= state_bytes(params, float(dp), stage, ADAM)


@given(params=sizes, stage=st.integers(0, 3))
def test_limits(params, stage):
    """One rank holds everything; many hold what their stage leaves whole (section 5)."""
    assert state_bytes(params, 1.0, stage, ADAM) == pytest.approx(16 * params)
    whole = {0: 16, 1: 4, 2: 2, 3: 0}[stage]
    many = state_bytes(params, 1e15, stage, ADAM)
    assert many == pytest.approx(whole * params, rel=1e-12, abs=1e-12 * params)
    assert state_bytes(0.0, 8.0, stage, ADAM) == 0.0


@given(params=sizes, dp=ranks)
def test_stage_3_shares_everything(params, dp):
    assert dp * state_bytes(params, float(dp), 3, ADAM) == pytest.approx(16 * params, rel=1e-12)


def test_arrays_agree_with_scalars():
    params, dp, zero = np.array([1e9, 7e9, 1e12]), np.array([1.0, 64.0, 8.0]), np.array([0, 1, 3])
    for function in (state_bytes, update_bytes):
        one = [float(function(*x, ADAM)) for x in zip(params, dp, zero, strict=True)]
        assert function(params, dp, zero, ADAM).tolist() == one

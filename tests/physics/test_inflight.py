"""The most that a replica answers where prompts join running answers in the same pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.physics import serving
from mlsysim.physics.collectives import Network, Tier
from mlsysim.physics.inflight import in_flight_rate
from mlsysim.physics.kvcache import Lengths
from mlsysim.physics.roofline import Chip
from mlsysim.physics.serving import Instance
from mlsysim.physics.transformer import Transformer

LLAMA = Transformer(32.0, 4096.0, 14336.0, 32.0, 8.0, 128.0, 128256.0)
CHIP = Chip(1000e12, 0.8, 3e12, 0.9, units=132.0, tile=128.0, launch=4e-6)
ALONE = Tier(1e30, 0.0)
ONE = Instance(LLAMA, CHIP, Network(ALONE, ALONE, 1.0), 1.0, 2.0)


def rate(batch, prompt, output, budget=8192.0):
    return float(in_flight_rate(ONE, float(batch), Lengths(float(prompt), float(output)), budget))


def test_answers_of_one_token_are_prompts_one_pass_each():
    assert rate(4, 512, 1) == pytest.approx(4.0 / float(serving.prefill(ONE, 512.0, 4.0).time))


def test_a_full_pass_holds_its_budget():
    # 2048 + 255 tokens over 256 passes: 9 a place and pass, so 910 places fill a pass of 8192
    assert rate(2000, 2048, 256) == rate(10000, 2048, 256)
    assert rate(2000, 2048, 256, 1e9) > rate(2000, 2048, 256)


@given(st.integers(1, 2000), st.integers(1, 8192), st.integers(1, 4096))
def test_nothing_beats_passes_without_end(batch, prompt, output):
    """Matrices bound the rate, and places never hinder each other by more than tiles that are not full."""
    found = rate(batch, prompt, output)
    assert found > 0.0
    matrices = 2.0 * 32 * (4096 * (4096 + 2 * 1024) + 4096 * 4096 + 3 * 4096 * 14336)
    assert found * (prompt + output - 1) * matrices <= 1000e12 * 0.8
    assert rate(2 * batch, prompt, output) >= 0.75 * found  # tiles of a pass are whole


@given(st.integers(2, 500), st.integers(1, 4096), st.integers(2, 2048))
def test_one_prompt_at_a_time_is_slower(batch, prompt, output):
    n = Lengths(float(prompt), float(output))
    alone = float(serving.prefill_first(ONE, float(batch), n).rate)
    assert rate(batch, prompt, output, 1e9) >= 0.9 * alone

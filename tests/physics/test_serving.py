"""Serving: speculation and schedulers, against the figures of their papers."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mlsysim.core.units import ureg
from mlsysim.physics import kvcache, serving
from mlsysim.physics.collectives import Network, Tier
from mlsysim.physics.kvcache import Lengths
from mlsysim.physics.roofline import Chip
from mlsysim.physics.serving import Draft, Instance
from mlsysim.physics.transformer import Transformer

LLAMA_7B = Transformer(layers=32.0, hidden=4096.0, ffn=11008.0, heads=32.0, kv_heads=32.0, head_dim=128.0,
                       vocab=32000.0)  # fmt: skip
LLAMA3_8B = replace(LLAMA_7B, ffn=14336.0, kv_heads=8.0, vocab=128256.0)
LLAMA3_70B = replace(LLAMA3_8B, layers=80.0, hidden=8192.0, ffn=28672.0, heads=64.0)
ALONE = Network(Tier(math.inf, 0.0), Tier(math.inf, 0.0), 1.0)
NVLINK = Tier(360e9, 1e-6)
BOX = Network(NVLINK, Tier(45e9, 3e-6), 8.0)
H100 = Chip(989.4e12, 0.773, 3.35e12, 0.862, 132.0, 128.0, 2.1e-6)
ONE = Instance(LLAMA3_8B, H100, ALONE, 1.0, 2.0)
FOUR = Instance(LLAMA3_70B, H100, BOX, 4.0, 2.0)
CHAT = Lengths(prompt=1000.0, output=200.0)
GUESSES = Draft(replace(ONE, model=replace(LLAMA3_8B, layers=2.0)), 4.0, 0.8)
SCHEDULERS = {
    "first": lambda i, b, n, **k: serving.prefill_first(i, b, n, **k),
    "chunked": lambda i, b, n, **k: serving.chunked(i, b, n, 512.0, **k),
    "split": lambda i, b, n, **k: serving.disaggregated(i, i, b, n, NVLINK, **k),
}

batches = st.integers(1, 256).map(float)
requests = st.builds(
    Lengths,
    prompt=st.integers(1, 8192).map(float),
    output=st.integers(1, 4096).map(float),
    output_cv=st.floats(0.0, 2.0),
)
every = pytest.mark.parametrize("kind", sorted(SCHEDULERS))


# -- speculative decoding ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acceptance", "drafted", "operations", "speed"),
    # Leviathan 2023, table 1 (a draft that costs nothing)
    [(0.6, 2, 1.53, 1.96), (0.7, 3, 1.58, 2.53), (0.8, 2, 1.23, 2.44), (0.8, 5, 1.63, 3.69),
     (0.9, 2, 1.11, 2.71), (0.9, 10, 1.60, 6.86)],
)  # fmt: skip
def test_leviathans_table_1(acceptance, drafted, operations, speed):
    assert serving.speculative_speedup(acceptance, drafted, 0.0) == pytest.approx(speed, abs=0.006)
    assert serving.speculative_operations(acceptance, drafted, 0.0) == pytest.approx(operations, abs=0.006)


def test_leviathans_translation_is_expected_at_3_2():
    """Table 4: T5-small for T5-XXL, alpha 0.75, gamma 7, c 0.02; 3.4 were measured."""
    assert serving.speculative_speedup(0.75, 7.0, 0.02) == pytest.approx(3.2, abs=0.05)


@given(st.floats(0.0, 1.0), st.integers(0, 20))
def test_a_verification_yields_the_sum_of_its_chances(acceptance, drafted):
    expected = sum(acceptance**k for k in range(drafted + 1))
    assert serving.expected_tokens(acceptance, float(drafted)) == pytest.approx(expected, rel=1e-9)


def test_a_draft_that_always_fails_only_costs():
    assert serving.expected_tokens(0.0, 5.0) == 1.0
    assert serving.expected_tokens(1.0, 5.0) == 6.0
    useless = replace(GUESSES, acceptance=0.0)
    plain, slower = serving.prefill_first(ONE, 1.0, CHAT), serving.prefill_first(ONE, 1.0, CHAT, useless)
    assert slower.itl > plain.itl
    assert slower.ttft == plain.ttft


def test_guessing_pays_for_one_reader():
    plain, guessed = serving.prefill_first(ONE, 1.0, CHAT), serving.prefill_first(ONE, 1.0, CHAT, GUESSES)
    assert 1.5 < plain.itl / guessed.itl < serving.expected_tokens(0.8, 4.0)


# -- schedulers -------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(batches, requests)
def test_little_counts_the_places(batch, n):
    """Rate times residence is the number of places: nobody else holds one."""
    assume(n.output > 1)  # or only one place is ever taken
    s = serving.prefill_first(ONE, batch, n)
    assert s.rate * serving.response_time(s, n.output) == pytest.approx(batch, rel=1e-9)


def test_little_counts_the_places_of_chunked_prefill_too():
    """Two chunks of exactly 400 tokens, and decode long enough to carry them."""
    n = Lengths(prompt=800.0, output=1000.0)
    s = serving.chunked(ONE, 21.0, n, 420.0)
    assert s.rate * serving.response_time(s, n.output) == pytest.approx(21.0, rel=1e-9)


def test_a_lone_request_meets_nobody():
    alone = [serving.prefill_first(ONE, 1.0, CHAT), serving.chunked(ONE, 1.0, CHAT, 4096.0)]
    step = serving.decode(ONE, 1.0, kvcache.held_tokens(CHAT)).time
    for s in alone:
        assert s.ttft == pytest.approx(serving.prefill(ONE, 1000.0).time)
        assert s.itl == pytest.approx(step)
        assert s.stall == pytest.approx(step)
        assert s.rate == pytest.approx(1 / serving.response_time(s, 200.0))


def test_chunks_trade_the_first_token_for_steady_ones():
    """Agrawal 2024, figure 1: whole prompts stall answers for as long as they are read."""
    n = Lengths(prompt=8000.0, output=400.0)
    whole, cut = serving.prefill_first(FOUR, 32.0, n), serving.chunked(FOUR, 32.0, n, 512.0)
    assert cut.stall < 0.2 * whole.stall
    assert cut.ttft > whole.ttft
    strict, relaxed = (serving.chunked(FOUR, 32.0, n, b) for b in (512.0, 2048.0))
    assert strict.stall < relaxed.stall
    assert strict.ttft > relaxed.ttft


def test_separate_accelerators_never_stall_but_for_the_transfer():
    s = serving.disaggregated(FOUR, FOUR, 32.0, CHAT, NVLINK)
    step = serving.decode(FOUR, 32.0, kvcache.held_tokens(CHAT)).time
    assert s.itl == pytest.approx(step + s.transfer / 199)
    assert s.stall == pytest.approx(step + s.transfer)
    assert s.stall < serving.prefill_first(FOUR, 32.0, CHAT).stall


def test_the_cache_of_opt_66b_takes_90_gbit():
    """Zhong 2024, section 3.3: 1.13 GB for 512 tokens; at 10 requests a second 90 Gbit/s."""
    opt = Transformer(layers=64.0, hidden=9216.0, ffn=36864.0, heads=72.0, kv_heads=72.0, head_dim=128.0,
                      vocab=50272.0, gated=False)  # fmt: skip
    size = serving.transfer_bytes(opt, 2.0, 512.0)
    assert size / 2**30 == pytest.approx(1.13, abs=0.006)
    assert 10 * size * 8 / 2**30 == pytest.approx(90, rel=0.01)


def test_a_move_layer_by_layer_hides_behind_the_prefill():
    slow = Tier(1e9, 0.0)
    after = serving.disaggregated(ONE, ONE, 8.0, CHAT, slow)
    along = serving.disaggregated(ONE, ONE, 8.0, CHAT, slow, layerwise=True)
    step = serving.decode(ONE, 8.0, kvcache.held_tokens(CHAT)).time
    assert after.stall - step == pytest.approx(after.transfer)
    assert along.stall - step == pytest.approx(after.transfer - along.ttft)
    quick = serving.disaggregated(ONE, ONE, 8.0, CHAT, Tier(400e9, 0.0), layerwise=True)
    assert quick.stall - step == pytest.approx(quick.transfer / 32)


def test_the_fuller_stage_sets_the_rate():
    both = [serving.disaggregated(ONE, ONE, 64.0, CHAT, NVLINK, prefills=p, decodes=d)
            for p, d in ((1.0, 1.0), (2.0, 1.0), (1.0, 2.0), (3.0, 3.0))]  # fmt: skip
    assert both[3].rate == pytest.approx(3 * both[0].rate)
    assert min(both[1].rate, both[2].rate) == pytest.approx(both[0].rate)
    assert max(both[1].rate, both[2].rate) > both[0].rate


@every
@settings(max_examples=25, deadline=None)
@given(batches, requests)
def test_every_service_is_sound(kind, batch, n):
    s = SCHEDULERS[kind](ONE, batch, n)
    for f in fields(s):
        value = float(getattr(s, f.name))
        assert math.isfinite(value), f.name
        assert value >= 0.0, f.name
    assert s.ttft > 0
    assert s.stall >= s.itl * (1 - 1e-9)


@every
@settings(max_examples=25, deadline=None)
@given(batches, requests, st.floats(1.0, 4.0))
def test_a_faster_chip_serves_no_slower(kind, batch, n, factor):
    faster = replace(ONE, chip=replace(H100, peak=H100.peak * factor, bandwidth=H100.bandwidth * factor))
    before, after = SCHEDULERS[kind](ONE, batch, n), SCHEDULERS[kind](faster, batch, n)
    assert after.ttft <= before.ttft
    assert after.itl <= before.itl
    assert after.rate >= before.rate


@every
@pytest.mark.parametrize("draft", [None, GUESSES])
def test_an_answer_of_one_token_needs_no_decode(kind, draft):
    s = SCHEDULERS[kind](ONE, 4.0, Lengths(500.0, 1.0), draft=draft)
    assert serving.response_time(s, 1.0) == s.ttft
    assert s.rate > 0


@every
def test_numbers_and_arrays_agree_to_the_bit(kind):
    batch, prompt = np.array([1.0, 7.0, 64.0]), np.array([[33.0], [3000.0]])
    whole = SCHEDULERS[kind](FOUR, batch, Lengths(prompt, 300.0, output_cv=0.5), draft=GUESSES)
    for i, j in np.ndindex(2, 3):
        n = Lengths(float(prompt[i, 0]), 300.0, output_cv=0.5)
        one = SCHEDULERS[kind](FOUR, float(batch[j]), n, draft=GUESSES)
        for f in fields(one):
            table = np.broadcast_to(getattr(whole, f.name), (2, 3))
            assert float(getattr(one, f.name)) == table[i, j], f.name


def test_dimensions():
    u = ureg()
    s = serving.Service(
        u.Quantity(0.3, "s"), u.Quantity(20.0, "ms"), u.Quantity(0.1, "s"), u.Quantity(2.0, "1/s")
    )
    assert serving.response_time(s, 200.0).check("[time]")
    assert serving.transfer_bytes(LLAMA3_8B, u.Quantity(2.0, "byte"), 512.0).check("[information]")
    moved = serving.net.send_time(
        serving.transfer_bytes(LLAMA3_8B, u.Quantity(2.0, "byte"), 512.0),
        Tier(u.Quantity(50.0, "GB/s"), u.Quantity(3.0, "us")),  # type: ignore[arg-type]
    )
    assert moved.check("[time]")

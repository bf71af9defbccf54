"""One pass of inference (Pope 2023): bytes and operations counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_cases import DEEPSEEK_V3, H100, LLAMA2_7B, LLAMA3_8B, MIXTRAL_8X7B, gpt

from mlsysim.physics import transformer as tf
from mlsysim.physics.collectives import Network, Tier
from mlsysim.physics.inference import Pass, decode_load, decode_step, prefill_load
from mlsysim.physics.roofline import Chip

PLAIN = Chip(peak=1e15, share=1.0, bandwidth=1e12, bandwidth_share=1.0)
# Llama 2 7B: all parameters less the input embedding and 65 norms
READ = 6_738_415_616 - 32_000 * 4096 - 65 * 4096
BERT = gpt(24.0, 1024.0, 16.0, causal=False)
MODELS = {
    "llama": LLAMA3_8B,
    "mixtral": MIXTRAL_8X7B,
    "deepseek": DEEPSEEK_V3,
    "encoder": BERT,
    "window": replace(LLAMA3_8B, window=1024.0),
}


def decode(model: tf.Transformer, chip: Chip = PLAIN, batch: float = 1.0, context: float = 2048.0) -> Pass:
    return decode_step(model, chip, batch=batch, context=context, width=2.0)


def test_one_token_of_llama_2_by_hand():
    token = decode(LLAMA2_7B)
    # 4 x 2048 x 4096 operations of attention in each of 32 layers
    attention = 32 * 4 * 2048 * 4096
    assert token.flops == 2 * READ + attention
    assert token.matmul == pytest.approx((2 * READ + attention) / 1e15, rel=1e-12)
    # weights once, half a MiB for each cached token, and in each layer: norms 4 and residuals 6 widths
    # of 4096, positions 4, the activation 3 of 11008
    between = 32 * 2 * (14 * 4096 + 3 * 11008)
    assert token.stream == pytest.approx((2 * READ + 2048 * 2**19 + between) / 1e12, rel=1e-12)
    assert token.weights == 2 * 6_738_415_616
    assert token.cache == 2048 * 2**19


def test_decoding_alone_is_bound_by_bandwidth():
    """Pope 2023: weights and cache are read for every step; operands add a little."""
    token = decode(LLAMA2_7B)
    assert token.stream <= token.time <= 1.001 * token.stream
    assert token.stream > 100 * token.matmul


def test_a_large_batch_is_bound_by_operations():
    """Above some thousand tokens, 1e15 over 1e12 operations a byte, reading the weights is hidden."""
    step = decode(LLAMA2_7B, batch=8192.0, context=1.0)
    assert step.matmul <= step.time
    assert step.stream < step.matmul
    few = decode(LLAMA2_7B, batch=16.0, context=1.0)
    assert few.stream > few.matmul


def test_the_batch_shares_the_weights_but_not_the_cache():
    one, many = decode(LLAMA2_7B), decode(LLAMA2_7B, batch=64.0)
    between = tf.elementwise_bytes(LLAMA2_7B, 1.0, 1.0, False, 2.0) * 32
    assert many.stream - one.stream == pytest.approx(63 * (2048 * 2**19 + between) / 1e12, rel=1e-9)
    assert (many.weights, many.cache) == (one.weights, 64 * one.cache)


@pytest.mark.parametrize(
    ("batch", "used"),
    [
        # of 8 experts with 2 a token: 2, then 8 (1 - (3/4)^n)
        (1, 2.0),
        (2, 3.5),
        (4, 8 * (1 - 0.75**4)),
        (1000, 8.0),
    ],
)
def test_only_chosen_experts_are_read(batch, used):
    step = decode(MIXTRAL_8X7B, batch=float(batch), context=1.0)
    expert = 32 * 3 * 4096 * 14336
    rest = tf.total_params(MIXTRAL_8X7B) - 8 * expert - 32_000 * 4096 - 65 * 4096
    cache = batch * 2 * 32 * 8 * 128  # elements
    between = 32 * tf.elementwise_bytes(MIXTRAL_8X7B, batch, 1.0, False, 2.0)
    read = 2 * (rest + used * expert + cache)
    assert step.stream == pytest.approx((read + between) / 1e12, rel=1e-12)
    # the work is that of two experts a token, and all of them are held
    assert step.flops == pytest.approx(2 * batch * (rest + 2 * expert) + batch * 4 * 32 * 4096, rel=1e-12)
    assert step.weights == 2 * tf.total_params(MIXTRAL_8X7B)


def test_an_encoder_passes_over_all_its_tokens_and_keeps_no_cache():
    step = decode(BERT, batch=4.0, context=512.0)
    assert step.flops == pytest.approx(tf.forward_flops(BERT, 4 * 512.0, 512.0), rel=1e-12)
    assert step.cache == 0.0


def test_a_window_limits_what_is_read():
    wide, narrow = decode(LLAMA3_8B, context=8192.0), decode(MODELS["window"], context=8192.0)
    assert wide.stream - narrow.stream == pytest.approx((8192 - 1024) * 2**17 / 1e12, rel=1e-9)
    assert decode(MODELS["window"], context=512.0).stream == decode(LLAMA3_8B, context=512.0).stream


def test_latent_cache_is_small():
    """70,272 bytes a token (DeepSeek-AI 2025, table 1)."""
    assert decode(DEEPSEEK_V3, context=1000.0).cache == 70_272_000


@given(
    name=st.sampled_from(sorted(MODELS)),
    batch=st.integers(1, 512),
    context=st.integers(1, 32_768),
    factor=st.floats(1.0, 10.0),
)
def test_laws(name, batch, context, factor):
    model = MODELS[name]
    base = decode(model, H100, float(batch), float(context))
    slack = 1 - 1e-9
    assert base.time >= max(base.matmul, base.stream) * slack
    for better in (replace(H100, peak=factor * H100.peak), replace(H100, bandwidth=factor * H100.bandwidth)):
        assert decode(model, better, float(batch), float(context)).time <= base.time / slack
    assert decode(model, H100, batch + 1.0, float(context)).time >= base.time * slack
    longer = decode(model, H100, float(batch), context + 1.0)
    assert longer.time >= base.time * slack
    assert longer.cache >= base.cache
    # narrower numbers are never slower, but for the casts of what does not come out of a norm
    half = decode_step(model, H100, batch=float(batch), context=float(context), width=1.0)
    tokens = batch * (1.0 if model.causal else context)
    cast = [p for p in tf.layer_matmuls(model, tokens, 1.0, 1.0) if not p.normed]
    moved = sum(3.0 * p.rows * p.inner * p.count for p in cast) / (H100.bandwidth * H100.bandwidth_share)
    casts = model.layers * (moved + H100.launch * sum(p.launches for p in cast))
    assert half.time <= (base.time + casts) / slack
    assert half.weights == base.weights / 2


def test_the_work_space_of_a_token_by_hand():
    """Two residual streams and the gated MLP (wider than queries, keys and values) in 16 bits, and
    logits in 32."""
    work = 2 * (2 * 4096 + 2 * 11008) + 4 * 32_000
    assert decode(LLAMA2_7B).activations == work
    # eight sequences, an eighth of the widths on each of eight ranks; the streams are whole
    eight = decode_step(LLAMA2_7B, PLAIN, batch=8.0, context=10.0, width=2.0, tp=8.0)
    assert eight.activations == 8 * (2 * (2 * 4096 + 2 * 11008 / 8) + 4 * 32_000 / 8)


def test_tensor_ranks_share_weights_and_talk():
    """Eight ranks hold and read an eighth, and sum a token of 4096 twice in each of 32 layers."""
    one = decode(LLAMA2_7B)
    wire = Network(Tier(100e9, 1e-6), Tier(1e9, 1e-3), 8.0)
    eight = decode_step(LLAMA2_7B, PLAIN, batch=1.0, context=2048.0, width=2.0, tp=8.0, network=wire)
    assert eight.weights == one.weights / 8
    assert eight.cache == one.cache / 8
    # norms and residuals are not divided
    whole = 32 * 2 * 10 * 4096 / 1e12
    assert eight.stream == pytest.approx((one.stream - whole) / 8 + whole, rel=1e-12)
    # 8 KiB among 8 ranks: three rounds of doubling are the fastest
    assert eight.exposed == pytest.approx(32 * 2 * 3 * (1e-6 + 8192 / 100e9), rel=1e-12)
    quiet = decode_step(LLAMA2_7B, PLAIN, batch=1.0, context=2048.0, width=2.0, tp=8.0)
    assert eight.time - quiet.time == pytest.approx(eight.exposed, rel=1e-9)


def test_guesses_are_verified_at_once():
    """Four tokens at once score 100, 101, 102 and 103 keys, and read the cache once."""
    load = decode_load(LLAMA2_7B, 2.0, 100.0, 4.0)
    assert (load.tokens, load.scored, load.read) == (8.0, 2 * (100 + 101 + 102 + 103), 200.0)
    assert (load.outputs, load.kept) == (8.0, 8.0)
    both = load + prefill_load(LLAMA2_7B, 1.0, 10.0)
    # a prompt of 10: half of 10 x 10 pairs, and only the last token's logits
    assert (both.tokens, both.scored, both.read, both.kept) == (18.0, 812.0 + 50.0, 200.0, 9.0)


def test_chunks_of_a_prompt_score_as_many_pairs_as_the_whole():
    for model in (LLAMA2_7B, MODELS["window"]):
        whole = prefill_load(model, 3.0, 4000.0)
        first, second = prefill_load(model, 3.0, 1500.0), prefill_load(model, 3.0, 2500.0, 1500.0)
        assert first.scored + second.scored == pytest.approx(whole.scored, rel=1e-12)
        assert first.tokens + second.tokens == whole.tokens
        assert second.held == whole.held
        assert second.read == 3 * (1024 if model.window else 1500)


def test_unknown_bandwidth_counts_compute_only():
    step = decode(LLAMA2_7B, replace(PLAIN, bandwidth=math.inf))
    assert step.stream == 0.0
    assert step.time == pytest.approx(step.matmul, rel=1e-12)


def test_arrays_agree_with_scalars():
    batch, context = np.array([1.0, 8.0, 100.0]), np.array([1.0, 4096.0, 10.0])
    for model in (LLAMA3_8B, DEEPSEEK_V3, MODELS["window"]):
        many = decode_step(model, H100, batch=batch, context=context, width=2.0)
        for i, (b, c) in enumerate(zip(batch, context, strict=True)):
            one = decode_step(model, H100, batch=float(b), context=float(c), width=2.0)
            for field in ("time", "matmul", "stream", "flops", "cache", "activations"):
                assert np.broadcast_to(getattr(many, field), 3)[i] == pytest.approx(
                    getattr(one, field), rel=1e-12
                ), field

"""Passes of inference: prefill, decode, chunks and tensor parallelism, against measurements."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.physics import inference, serving
from mlsysim.physics import transformer as tf
from mlsysim.physics.collectives import Network, Tier, all_reduce_time
from mlsysim.physics.roofline import Chip
from mlsysim.physics.serving import Instance
from mlsysim.physics.transformer import Transformer

LLAMA_7B = Transformer(layers=32.0, hidden=4096.0, ffn=11008.0, heads=32.0, kv_heads=32.0, head_dim=128.0,
                       vocab=32000.0)  # fmt: skip
LLAMA3_8B = replace(LLAMA_7B, ffn=14336.0, kv_heads=8.0, vocab=128256.0)
LLAMA3_70B = replace(LLAMA3_8B, layers=80.0, hidden=8192.0, ffn=28672.0, heads=64.0)
GPT_J = replace(LLAMA_7B, layers=28.0, ffn=16384.0, heads=16.0, kv_heads=16.0, head_dim=256.0, vocab=50400.0,
                gated=False, norms=1.0)  # fmt: skip
MIXTRAL = replace(LLAMA3_8B, vocab=32000.0, experts=8.0, experts_active=2.0, expert_ffn=14336.0)
PALM_540B = Transformer(layers=118.0, hidden=18432.0, ffn=73728.0, heads=48.0, kv_heads=1.0, head_dim=256.0,
                        vocab=256000.0, tied=True, norms=1.0)  # fmt: skip
TPU_V4 = Chip(275e12, 1.0, 1200e9, 1.0)
ALONE = Network(Tier(math.inf, 0.0), Tier(math.inf, 0.0), 1.0)
NVLINK = Tier(360e9, 1e-6)
BOX = Network(NVLINK, Tier(45e9, 3e-6), 8.0)
H100 = Chip(989.4e12, 0.773, 3.35e12, 0.862, 132.0, 128.0, 2.1e-6)
CHIPS = {
    "A100": (Chip(312e12, 0.773, 2.039e12, 0.862, 108.0, 128.0, 2.1e-6), 2.0),
    "H100": (replace(H100, peak=1978.9e12), 1.0),  # in 8 bits
    "L40S": (Chip(733e12, 0.773, 0.864e12, 0.862, 142.0, 128.0, 2.1e-6), 1.0),
}
ONE = Instance(LLAMA3_8B, H100, ALONE, 1.0, 2.0)
FOUR = Instance(LLAMA3_70B, H100, BOX, 4.0, 2.0)
batches = st.integers(1, 256).map(float)


# -- passes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "tokens", "context", "seconds", "printed"),
    # Pope 2023, table 2: PaLM 540B on 64 chips; 2048 tokens of prompt, or 64 generated
    [(1, 2048, 1024, 0.29, 0.43), (512, 2048, 1024, 85.2, 0.76), (64, 64, 2048, 1.82, 0.14),
     (512, 64, 2048, 6.0, 0.33)],
)  # fmt: skip
def test_the_utilization_of_palm_540b(batch, tokens, context, seconds, printed):
    """Operations of the same passes over their measured time; the paper pads heads and counts 2N."""
    work = tf.forward_flops(PALM_540B, batch * tokens, context)
    assert work / (seconds * 64 * 275e12) == pytest.approx(printed, rel=0.06)


def test_palm_540b_decodes_no_faster_than_its_roofline():
    """Pope 2023, table 2: 28.5 ms a token for 64 readers; reading 8.4 GB a chip alone takes 7 ms."""
    torus = Tier(270e9, 0.0)
    palm = Instance(PALM_540B, TPU_V4, Network(torus, torus, 64.0), 64.0, 1.0)
    step = serving.decode(palm, 64.0, 2048.0)
    assert 540e9 / 64 / 1200e9 < step.time < 1.82 / 64
    assert step.time > 0.25 * 1.82 / 64


@pytest.mark.parametrize(
    ("chip", "model", "batch", "prompt", "output", "seconds"),
    # static batches of TensorRT-LLM 0.6.1 and 0.9 on one accelerator, its performance tables
    [("A100", LLAMA_7B, 384, 128, 128, 8.80), ("A100", LLAMA_7B, 60, 128, 2048, 63.73),
     ("A100", LLAMA_7B, 52, 2048, 128, 11.26), ("A100", GPT_J, 512, 128, 128, 10.28),
     ("A100", GPT_J, 60, 2048, 128, 11.46), ("A100", LLAMA_7B, 16, 2048, 2048, 54.34),
     ("H100", LLAMA_7B, 112, 128, 2048, 33.64), ("H100", LLAMA_7B, 48, 2048, 2048, 35.88),
     ("H100", GPT_J, 120, 128, 2048, 30.68), ("L40S", LLAMA_7B, 64, 128, 2048, 79.25),
     ("L40S", LLAMA_7B, 16, 2048, 2048, 61.02), ("L40S", GPT_J, 32, 2048, 2048, 85.33)],
)  # fmt: skip
def test_measured_batches_take_as_long(chip, model, batch, prompt, output, seconds):
    machine, width = CHIPS[chip]
    i = Instance(model, machine, ALONE, 1.0, width)
    time = serving.prefill(i, prompt, batch).time
    time += (output - 1) * serving.decode(i, batch, prompt + output / 2).time
    assert 0.89 * seconds < time < 1.03 * seconds


def test_prefill_is_compute_bound_and_decode_bandwidth_bound():
    reading, adding = serving.prefill(ONE, 2048.0), serving.decode(ONE, 16.0, 2048.0)
    assert reading.matmul > 4 * reading.stream
    assert adding.stream > 5 * adding.matmul


def test_prefill_does_the_operations_of_a_forward_pass():
    """Matrices and attention over every token, the output projection over the last one."""
    work = serving.prefill(ONE, 1000.0, 3.0).flops
    expected = 3 * tf.forward_flops(LLAMA3_8B, 1000.0, 500.0) - 3 * 999 * 2 * 4096 * 128256
    assert work == pytest.approx(expected)


@pytest.mark.parametrize("model", [LLAMA3_8B, replace(LLAMA3_8B, window=700.0), MIXTRAL])
@pytest.mark.parametrize("chunk", [100.0, 500.0, 1000.0])
def test_chunks_add_up_to_the_prompt(model, chunk):
    count = int(2000 / chunk)
    parts = [inference.prefill_load(model, 4.0, chunk, chunk * k) for k in range(count)]
    whole = inference.prefill_load(model, 4.0, 2000.0)
    assert sum(p.tokens for p in parts) == whole.tokens
    assert sum(p.scored for p in parts) == pytest.approx(whole.scored)
    assert parts[-1].held == whole.held


def test_the_average_chunk_stands_for_all():
    parts = [inference.prefill_load(LLAMA3_8B, 1.0, 250.0, 250.0 * k) for k in range(8)]
    mean = serving.chunk_load(ONE, 250.0, 2000.0)
    assert mean.scored * 8 == pytest.approx(sum(p.scored for p in parts))
    assert mean.read * 8 == pytest.approx(sum(p.read for p in parts))


def test_a_window_bounds_what_is_read():
    narrow = replace(LLAMA3_8B, window=256.0)
    load = inference.decode_load(narrow, 2.0, 1000.0)
    assert load.read == 2 * 256
    assert load.scored == 2 * 256
    assert load.held == 2 * 1000


def test_an_encoder_passes_once_and_keeps_nothing():
    load = inference.decode_load(replace(LLAMA3_8B, causal=False), 4.0, 128.0)
    assert (load.tokens, load.scored, load.held, load.read) == (512.0, 512.0 * 128, 0.0, 0.0)


# -- tensor parallelism -----------------------------------------------------------------------------


def test_a_pass_over_four_exchanges_two_all_reduces_a_layer():
    step = serving.decode(FOUR, 8.0, 1000.0)
    assert step.exposed == pytest.approx(80 * 2 * all_reduce_time(8 * 8192 * 2, 4.0, NVLINK))
    beside = serving.decode(replace(FOUR, model=replace(LLAMA3_70B, norms=1.0)), 8.0, 1000.0)
    assert beside.exposed == pytest.approx(step.exposed / 2)
    assert serving.decode(ONE, 8.0, 1000.0).exposed == 0.0


def test_four_hold_a_quarter_each_until_the_heads_run_out():
    whole = serving.decode(replace(FOUR, tp=1.0), 8.0, 1000.0)
    quarter, sixteenth = (
        serving.decode(FOUR, 8.0, 1000.0),
        serving.decode(replace(FOUR, tp=16.0), 8.0, 1000.0),
    )
    assert quarter.weights == pytest.approx(whole.weights / 4)
    assert quarter.cache == pytest.approx(whole.cache / 4)
    assert quarter.flops == pytest.approx(whole.flops / 4)
    assert sixteenth.cache == pytest.approx(whole.cache / 8)


@given(st.sampled_from([1.0, 2.0, 4.0]), batches, st.floats(1.0, 1e4))
def test_with_free_links_more_accelerators_are_faster(tp, batch, context):
    free = replace(FOUR, network=replace(ALONE, domain=8.0), chip=replace(H100, tile=0.0, launch=0.0))
    fast = serving.decode(replace(free, tp=2 * tp), batch, context).time
    assert fast <= serving.decode(replace(free, tp=tp), batch, context).time * (1 + 1e-12)


@given(batches, batches, st.floats(1.0, 1e4), st.floats(1.0, 1e4))
def test_more_sequences_and_longer_ones_take_longer(b1, b2, c1, c2):
    chip = replace(H100, tile=0.0)  # tiles make steps of it
    i = replace(ONE, chip=chip)
    less = serving.decode(i, min(b1, b2), min(c1, c2)).time
    assert less <= serving.decode(i, max(b1, b2), max(c1, c2)).time * (1 + 1e-12)


@given(batch=batches, injection=st.floats(1e9, 1e15))
def test_streamed_weights_take_as_long_as_their_link(batch, injection):
    """No pass is quicker than its layers over the link, and a link without end costs nothing but work."""
    step = serving.decode(replace(ONE, injection=injection), batch, 1000.0)
    assert step.time >= LLAMA3_8B.layers * tf.layer_params(LLAMA3_8B) * 2.0 / injection * (1.0 - 1e-12)
    assert step.time >= step.matmul * (1.0 - 1e-12)
    endless = serving.decode(replace(ONE, injection=math.inf), batch, 1000.0)
    assert endless.time == pytest.approx(endless.matmul, rel=1e-9)


@given(tp=st.sampled_from([8.0, 16.0, 32.0]), batch=batches)
def test_ranks_beyond_a_domain_reduce_in_two_levels_where_that_is_quicker(tp, batch):
    """Never slower than flat over the slower tier, and the same within one domain (Cho 2019)."""
    size = batch * LLAMA3_70B.hidden * 2.0
    flat = tf.all_reduces(LLAMA3_70B) * all_reduce_time(size, tp, BOX.up if tp <= 8 else BOX.out)
    taken = inference.tensor_traffic(LLAMA3_70B, batch, tp, BOX, 2.0)
    assert taken == pytest.approx(flat, rel=1e-12) if tp <= 8 else taken <= flat * (1.0 + 1e-12)
    if batch >= 64 and tp > 8:
        assert taken < 0.9 * flat

"""What the software of a run does beside its layout."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_cases import H100, IDEAL, LLAMA3_8B, MIXTRAL_8X7B, job
from test_training import FREE, WIRE, ideal, run

from mlsysim.physics import modules, roofline, work
from mlsysim.physics import transformer as tf
from mlsysim.physics.job import LOSS_BYTES, MODULES, Stack
from mlsysim.physics.shard import shard_part


def test_sums_of_their_own_are_read_and_written_once_a_microbatch():
    """A kernel reads the gradient and the sum and writes the sum, for each weight; the product writes it."""
    alone = job(accelerators=1.0, batch=4.0)
    own = replace(alone, stack=Stack(fused_sums=False))
    fused, apart = (run(j, dp=1) for j in (alone, own))
    params = LLAMA3_8B.layers * (tf.layer_params(LLAMA3_8B) - 2 * 4096) + 128256 * 4096
    moved = 4.0 * params * (2.0 + 8.0)
    stream = H100.bandwidth * H100.bandwidth_share
    assert apart.time - fused.time == pytest.approx(moved / stream, rel=0.15)
    assert run(replace(own, stack=Stack(False, sum_bytes=4.0)), dp=1).time < apart.time


def test_an_early_stop_leaves_out_the_last_product():
    """Of a layer's forward pass: the product down, hidden x ffn weights."""
    whole = ideal(accelerators=1.0, batch=4.0)
    early = replace(whole, stack=Stack(early_stop=True))
    down = 2.0 * 4 * 4096.0 * 4096 * 14336 * 32 / 1e15
    assert run(whole, recompute=2).time - run(early, recompute=2).time == pytest.approx(down, rel=1e-9)
    assert run(whole).time == run(early).time


def test_blocking_launches_add_to_every_operator():
    j = job(accelerators=1.0, batch=4.0)
    blocked = replace(j, stack=Stack(blocking=50e-6))
    forward, backward = work.waited(blocked, LLAMA3_8B)
    assert backward == 2.0 * forward
    assert run(blocked).time - run(j).time == pytest.approx(4 * 32 * (forward + backward), rel=1e-9)
    assert tf.operators(LLAMA3_8B, False) == tf.operators(LLAMA3_8B, True) + 7


def test_scattered_sends_divide_what_stages_exchange():
    j = job(batch=512.0)
    scattered = replace(j, stack=Stack(scattered_sends=True))
    layout = {"tp": 4, "pp": 4, "dp": 4}
    assert run(scattered, **layout).exposed < run(j, **layout).exposed
    assert run(scattered, sequence_parallel=True, **layout).exposed == pytest.approx(
        run(j, sequence_parallel=True, **layout).exposed
    )


def test_attention_in_fewer_bits_is_faster_by_its_gain():
    j = job(accelerators=1.0, batch=4.0)
    once, back = work.attention(j, LLAMA3_8B, 4096.0, 1.0, 1.0)
    faster = work.attention(replace(j, stack=Stack(attention_gain=1.25)), LLAMA3_8B, 4096.0, 1.0, 1.0)
    for fast, slow in zip(faster, (once, back), strict=True):
        assert fast == (pytest.approx(slow.compute / 1.25), 0.0)


def test_unfused_attention_is_batched_products_by_hand():
    """Heads of 96: the scores have a short inner side, values fill three quarters of a tile's side."""
    chip = roofline.Chip(1e14, 1.0, 1e15, 1.0, tile=128.0, depth=192.0)
    m = replace(LLAMA3_8B, head_dim=96.0, kv_heads=32.0)
    once, back = work.attention(job(fused_attention=False, chip=chip, seq_len=2048.0), m, 4096.0, 2.0, 1.0)
    square = 2.0 * 2048.0 * 2048.0 * 2 * 32 / 2 / 1e14  # operations for each step of a side, 2 sequences
    scores, values = (96.0 + 192.0) * square, 96.0 * (2048.0 + 192.0) / 2048.0 / 0.75 * square
    assert once == (pytest.approx(scores + values, rel=1e-9), pytest.approx(0.0, abs=1e-6))
    assert back == (pytest.approx(scores + 3.0 * values, rel=1e-9), pytest.approx(0.0, abs=1e-6))
    # with little bandwidth all four move the square
    slow = replace(chip, bandwidth=1e9)
    once, back = work.attention(job(fused_attention=False, chip=slow, seq_len=2048.0), m, 4096.0, 2.0, 1.0)
    square = 2.0 * 32 / 2 * 2 * 2048.0 * 2048.0
    moved = square + 2.0 * 32 / 2 * 2 * 2.0 * 2048.0 * 96.0
    # softmax reads half of it and writes it, backward reads two halves
    assert sum(once) == pytest.approx((2.0 * moved + 1.5 * square) / 1e9, rel=1e-9)
    assert sum(back) == pytest.approx((4.0 * moved + 2.0 * square) / 1e9, rel=1e-9)


def test_dropout_passes_over_unfused_scores_once_more_each_way():
    j = job(fused_attention=False)
    scores = 32 * 4096.0 * 4096.0
    kept, dropped = (
        [sum(x) for x in work.attention(each, LLAMA3_8B, 4096.0, 1.0, 1.0)]
        for each in (j, replace(j, dropout=True))
    )
    per_byte = 1.0 / (H100.bandwidth * H100.bandwidth_share)
    for a, b in zip(kept, dropped, strict=True):
        assert b - a == pytest.approx(5.0 * scores * per_byte)


def test_biases_of_experts_are_added_as_fast_as_the_host_says():
    """Three operators an expert forward, seven backward; as one graph, what memory takes."""
    biased = replace(MIXTRAL_8X7B, bias=True)
    j = job(model=biased, chip=replace(H100, eager=1e-3))
    assert work.biased(j, biased, 4096.0, 2.0, 1.0) == (pytest.approx(3e-3 * 4), pytest.approx(7e-3 * 4))
    graph = replace(j, chip=H100)
    elements = 4096.0 * 2 * 4096
    stream = H100.bandwidth * H100.bandwidth_share
    assert work.biased(graph, biased, 4096.0, 2.0, 1.0) == (
        pytest.approx(28 * elements / stream),
        pytest.approx(36 * elements / stream),
    )
    assert work.biased(j, MIXTRAL_8X7B, 4096.0, 2.0, 1.0) == (0.0, 0.0)


def test_a_bias_of_scores_is_written_and_read_forward():
    j = job(fused_attention=False)
    plain, biased = (
        [sum(x) for x in work.attention(each, LLAMA3_8B, 4096.0, 1.0, 1.0)]
        for each in (j, replace(j, stack=Stack(score_bias=True)))
    )
    moved = 2.0 * 2.0 * 32 * 4096.0 * 4096.0
    assert biased[0] - plain[0] == pytest.approx(moved / (H100.bandwidth * H100.bandwidth_share))
    assert biased[1] == plain[1]


@pytest.mark.parametrize(
    ("zero", "stack", "passes"),
    [
        (0, Stack(reduced_bytes=4.0), 4.0),  # sums in 32 bits, to all
        (1, Stack(reduced_bytes=4.0), 3.0),  # and to each its share; weights in 16 bits come back
        (1, Stack(whole_sums=True), 3.0),
        (2, Stack(reduced_bytes=4.0), 1.0),  # once a step the weights alone
        (1, Stack(), 2.0),
    ],
)
def test_gradients_may_be_sent_wider_or_to_all(zero, stack, passes):
    """In passes of 16 bits over the parameters of a rank."""
    j = ideal(network=WIRE, accelerators=4.0, batch=4.0, overlap=0.0, stack=stack)
    part = shard_part(j, tp=1, cp=1, pp=1, dp=4, ep=1, zero=zero)
    once = 3 / 4 * 2 * tf.total_params(LLAMA3_8B) / 100e9
    assert part.reduce_bare + part.reduce_rest == pytest.approx(passes * once, rel=1e-9)
    repeated = {0: 0.0, 1: 0.0, 2: (stack.reduced_bytes or 2.0) / 2.0}[zero]
    assert part.gather_bare + part.gather_rest == pytest.approx(repeated * once, rel=1e-9)


@given(share=st.floats(0.0, 1.0), own=st.floats(0.0, 0.9))
def test_hidden_shards_take_their_share_of_the_work(share, own):
    """Where nothing of them sticks out; never less than the units that send."""
    alone = ideal(
        network=WIRE, accelerators=8.0, batch=512.0, sender_share=own, chip=replace(IDEAL, peak=1e12)
    )
    j = replace(alone, stack=Stack(shard_share=share))
    part = shard_part(alone, tp=1, cp=1, pp=1, dp=8, ep=1, zero=3)
    none = run(replace(alone, network=FREE), dp=8, zero=3).time
    rounds = 512 / 8
    expected = rounds * (part.gather_bare + max(share, own) * part.gather_rest)
    assert run(j, dp=8, zero=3).time - none == pytest.approx(expected, rel=1e-6)


def test_selective_recomputation_repeats_all_of_the_attention_core():
    """Products, softmax and dropout (Korthikanti 2022, section 5)."""
    j = job(fused_attention=False, dropout=True, accelerators=1.0, batch=4.0)
    core, _ = work.attention(j, LLAMA3_8B, 4096.0, 1.0, 1.0)
    apart = run(j, recompute=1).time - run(j).time
    assert apart == pytest.approx(4 * 32 * sum(core), rel=1e-9)


def test_a_loss_moves_its_bytes_for_each_logit():
    j = job()
    times = [
        work.head(replace(j, stack=Stack(loss_bytes=size)), LLAMA3_8B, 4096.0, 2.0)[1]
        for size in LOSS_BYTES.values()
    ]
    assert times == sorted(times, reverse=True)
    most, least = max(LOSS_BYTES.values()), min(LOSS_BYTES.values())
    moved = (most - least) * 4096.0 * 128256 / 2.0
    assert times[0] - times[-1] == pytest.approx(moved / (H100.bandwidth * H100.bandwidth_share), rel=1e-9)
    assert Stack().loss_bytes == LOSS_BYTES["compiled"]


def test_each_token_that_is_predicted_passes_the_vocabulary():
    j = replace(ideal(), stack=Stack(predictions=2.0))
    once, _ = work.head(ideal(), LLAMA3_8B, 4096.0, 1.0)
    twice, _ = work.head(j, LLAMA3_8B, 4096.0, 1.0)
    joined = 3 * 2.0 * 4096 * 2 * 4096 * 4096 / 1e15
    assert twice - 2.0 * once == pytest.approx(joined, rel=1e-9)


def test_deferred_gradients_hide_in_the_drain():
    """The last stage is the slowest by its head; what it leaves to the drain is no work of a microbatch."""
    j = ideal(accelerators=4.0, batch=64.0)
    layout = {"pp": 4, "dp": 1, "first": 8, "last": 8}
    times = [run(replace(j, stack=Stack(deferred=float(n))), **layout).time for n in (0, 8, 16, 64, 1000)]
    own = work.head_weights(j, LLAMA3_8B, 4096.0, 1.0)
    assert times[0] - times[1] == pytest.approx(8 * own, rel=1e-6)
    # no more than fits into the drain, nor than there are
    assert times == sorted(times, reverse=True)
    assert times[3] == times[4]
    drain = times[0] - times[4]
    assert 0.0 < drain <= 64 * own * (1 + 1e-9)
    assert run(replace(j, stack=Stack(deferred=8.0)), dp=4).time == run(j, dp=4).time


def test_modules_that_are_computed_again_take_their_forward_pass():
    j = job(model=MIXTRAL_8X7B)
    once = work.attention(j, MIXTRAL_8X7B, 4096.0, 1.0, 1.0)[0]

    def time(*names, m=MIXTRAL_8X7B):
        of = replace(j, stack=Stack(repeated=names))
        return sum(modules.repeated(of, m, 4096.0, 1.0, 1.0, False, once))

    assert time() == 0.0
    assert time("core_attn") == pytest.approx(sum(once))
    stream = H100.bandwidth * H100.bandwidth_share
    assert time("moe_act") == pytest.approx(3.0 * 2 * 2 * 14336 * 4096 / stream)
    assert time("layernorm") == pytest.approx(2.0 * 2 * 2 * 4096 * 4096 / stream)
    assert time("mlp") == 0.0 < time("mlp", m=LLAMA3_8B)
    assert time("moe") > time("moe_act")
    # all at once is the sum, but for the activation that two of them name
    whole = sum(time(name) for name in MODULES) - time("moe_act")
    assert time(*MODULES) == pytest.approx(whole, rel=1e-9)
    layer = work.products(j, tf.layer_matmuls(MIXTRAL_8X7B, 4096.0, 1.0, 1.0))[0]
    assert time("moe") < layer.compute + layer.excess + time("moe_act")


def test_keys_that_come_round_the_ring_cost_less_than_short_sequences():
    """Kernels of later hops have no diagonal, and three quarters of a query's keys or queries each."""
    chip = replace(H100, attention=0.7, attention_length=1000.0, attention_width=60.0)
    j = job(chip=chip, seq_len=8192.0)
    alone = sum(work.attention(j, LLAMA3_8B, 8192.0, 1.0, 1.0)[0])
    for cp in (2.0, 4.0, 8.0):
        shared = cp * sum(work.attention(j, LLAMA3_8B, 8192.0 / cp, 1.0, cp)[0])
        assert shared / alone == pytest.approx(
            (8192 + 1000 * (1 + 0.75 * (cp - 1))) / (8192 + 1000), rel=1e-9
        )

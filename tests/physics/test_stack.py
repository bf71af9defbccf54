"""What the software of a run does beside its layout."""

from __future__ import annotations

from dataclasses import replace

import pytest
from physics_cases import H100, LLAMA3_8B, MIXTRAL_8X7B, job
from test_training import ideal, run

from mlsysim.physics import modules, work
from mlsysim.physics import transformer as tf
from mlsysim.physics.job import LOSS_BYTES, MODULES, Stack


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
    assert faster == (pytest.approx(once / 1.25), pytest.approx(back / 1.25))


def test_dropout_passes_over_unfused_scores_once_more_each_way():
    j = job(fused_attention=False)
    scores = 32 * 4096.0 * 4096.0
    kept = work.elementwise(j, LLAMA3_8B, 4096.0, 1.0, 1.0, False)
    dropped = work.elementwise(replace(j, dropout=True), LLAMA3_8B, 4096.0, 1.0, 1.0, False)
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
    assert time("core_attn") == pytest.approx(once)
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
    alone = work.attention(j, LLAMA3_8B, 8192.0, 1.0, 1.0)[0]
    for cp in (2.0, 4.0, 8.0):
        shared = cp * work.attention(j, LLAMA3_8B, 8192.0 / cp, 1.0, cp)[0]
        assert shared / alone == pytest.approx(
            (8192 + 1000 * (1 + 0.75 * (cp - 1))) / (8192 + 1000), rel=1e-9
        )

"""A training step against ideal machines, published volumes and laws that must hold."""

from __future__ import annotations

import math
from dataclasses import astuple, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from physics_cases import (
    ADAM,
    DEEPSEEK_V3,
    H100,
    IDEAL,
    KORTHIKANTI,
    LLAMA3_8B,
    MIXTRAL_8X7B,
    NODES,
    gpt,
    job,
)

from mlsysim.core.layout import ends
from mlsysim.physics import training as tr
from mlsysim.physics import transformer as tf
from mlsysim.physics.collectives import Network, Tier
from mlsysim.physics.opaque import Operations
from mlsysim.physics.training import Job, Step

FREE = Network(Tier(math.inf, 0.0), Tier(math.inf, 0.0), 1e9)
WIRE = Network(Tier(100e9, 0.0), Tier(100e9, 0.0), 1e9)
ALONE: dict[str, Any] = {
    "tp": 1,
    "cp": 1,
    "pp": 1,
    "dp": 1,
    "ep": 1,
    "microbatch": 1,
    "interleave": 1,
    "first": 0,
    "last": 0,
    "recompute": 0,
    "recomputed": 0,
    "sequence_parallel": False,
    "zero": 0,
    "overlap_gradients": True,
    "overlap_tensor": False,
    "overlap_pipeline": False,
    "offload": False,
}


def parts(j: Job, **layout: Any) -> tuple[tr.LayerPart, tr.PipelinePart, tr.ShardPart]:
    """The factors of a step; ``recompute`` 0, 1, 2 is none, selective, and full for all layers."""
    c = ALONE | layout
    layers = j.weights.layers
    mode = np.asarray(c["recompute"])
    first, last = ends(layers, np.asarray(c["pp"]), np.asarray(c["first"]), np.asarray(c["last"]))
    layer = tr.layer_part(
        j,
        tp=c["tp"],
        cp=c["cp"],
        ep=c["ep"],
        microbatch=c["microbatch"],
        selective=mode == 1,
        sequence_parallel=c["sequence_parallel"],
        overlap=c["overlap_tensor"],
    )
    pipe = tr.pipeline_part(
        j,
        pp=c["pp"],
        interleave=c["interleave"],
        first=first,
        last=last,
        recomputed=np.where(mode == 2, layers, c["recomputed"]),
        overlap=c["overlap_pipeline"],
    )
    shard = tr.shard_part(
        j,
        tp=c["tp"],
        cp=c["cp"],
        pp=c["pp"],
        dp=c["dp"],
        ep=c["ep"],
        zero=c["zero"],
        overlap=c["overlap_gradients"],
        offload=c["offload"],
    )
    return layer, pipe, shard


def run(j: Job, **layout: Any) -> Step:
    """The step of a layout, scalars or arrays."""
    return tr.step(j, *parts(j, **layout))


def ideal(**changes: Any) -> Job:
    """No bandwidth limits, no launches, nothing hidden or fused."""
    base: dict[str, Any] = {"chip": IDEAL, "network": FREE, "reserve": 0.0, "fused_attention": False}
    return job(**(base | changes))


# -- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [LLAMA3_8B, MIXTRAL_8X7B, DEEPSEEK_V3, gpt(24.0, 2304.0, 24.0)])
def test_an_ideal_machine_runs_at_the_peak(model):
    """Forward once, backward twice (Kaplan 2020): three times the forward operations.

    Unfused attention multiplies all scores, those that the mask takes away too.
    """
    step = run(ideal(model=model, accelerators=1.0, batch=4.0), microbatch=2)
    flops = 3.0 * tf.forward_flops(model, 4 * 4096.0, 4096.0)
    assert step.time == pytest.approx(flops / 1e15, rel=1e-12)
    assert step.matmul == pytest.approx(step.time, rel=1e-12)


@pytest.mark.parametrize("layout", [{"tp": 8, "dp": 8}, {"tp": 2, "cp": 4, "dp": 8}, {"dp": 64}])
def test_ideal_machines_share_the_work_evenly(layout):
    step = run(ideal(), **layout)
    flops = 3.0 * tf.forward_flops(LLAMA3_8B, 128 * 4096.0, 4096.0)
    assert step.time == pytest.approx(flops / 64 / 1e15, rel=1e-12)


def test_full_recomputation_repeats_the_forward_pass():
    """Narayanan 2021, section 3.5: four passes' worth instead of three, in the layers."""
    j = ideal(model=replace(LLAMA3_8B, vocab=0.0), accelerators=1.0, batch=4.0)
    assert run(j, recompute=2).time / run(j).time == pytest.approx(4 / 3, rel=1e-12)


def test_selective_recomputation_repeats_the_attention_core():
    """4 b s^2 h a layer beside 72 b s h^2 (1 + s / 6h) (Korthikanti 2022, appendix A, no mask)."""
    model, _ = KORTHIKANTI["175B"]
    j = ideal(
        model=replace(model, vocab=0.0, positions=0.0, causal=False),
        accelerators=1.0,
        batch=1.0,
        seq_len=2048.0,
    )
    share = 2048 / (18 * 12288) / (1 + 2048 / (6 * 12288))
    assert run(j, recompute=1).time / run(j).time - 1 == pytest.approx(share, rel=1e-9)


def test_a_fused_backward_pass_recomputes_scores():
    """Dao 2023: 2.5 times the forward attention, 3.5 in all, of the scores that the mask leaves.

    Unfused it is three times all of the square, twice as many.
    """
    fused, plain = (run(ideal(fused_attention=f, accelerators=1.0, batch=1.0)).time for f in (True, False))
    attention = 32 * tf.attention_flops(LLAMA3_8B, 4096.0, 2048.0)
    assert fused - plain == pytest.approx((3.5 - 3 * 2) * attention / 1e15, rel=1e-9)


@pytest.mark.parametrize(("p", "v"), [(2, 1), (4, 1), (4, 2), (8, 4)])
def test_the_bubble_is_narayanans(p, v):
    """(p - 1) / (v m) of the layers' time, for m = 16 microbatches."""
    j = ideal(model=replace(LLAMA3_8B, vocab=0.0), accelerators=float(p), batch=16.0)
    step = run(j, pp=p, interleave=v)
    assert step.bubble / step.matmul == pytest.approx((p - 1) / (v * 16), rel=1e-12)
    assert step.time == pytest.approx(step.matmul + step.bubble, rel=1e-12)


def test_tensor_parallel_traffic_of_megatron():
    """Shoeybi 2019, section 3: two all-reduces of b s h forward and two backward in each layer."""
    step = run(ideal(network=WIRE, accelerators=8.0, batch=16.0), tp=8)
    all_reduce = 2 * 7 / 8 * 4096 * 4096 * 2 / 100e9
    assert step.exposed == pytest.approx(16 * 32 * 4 * all_reduce, rel=1e-12)
    # recomputing the forward pass repeats its two
    again = run(ideal(network=WIRE, accelerators=8.0, batch=16.0), tp=8, recompute=2)
    assert again.exposed == pytest.approx(16 * 32 * 6 * all_reduce, rel=1e-12)


def test_expert_parallel_traffic_by_hand():
    """Two tokens' copies to their experts and back, forward and backward: 7/8 leave the rank."""
    j = ideal(network=WIRE, model=MIXTRAL_8X7B, accelerators=8.0, batch=8.0, overlap=1.0)
    layer = tr.layer_part(j, tp=1, cp=1, ep=8, microbatch=1, selective=False, sequence_parallel=False)
    once = 7 / 8 * 2 * 4096 * 4096 * 2 / 100e9
    assert layer.exposed == pytest.approx(4 * once, rel=1e-12)


def test_ring_attention_hides_behind_attention():
    """Keys and values of a rank go round; nothing shows while attention takes longer (Liu 2023)."""
    slow = ideal(network=Network(Tier(1e9, 0.0), Tier(1e9, 0.0), 1e9), accelerators=4.0, batch=4.0)
    layer = tr.layer_part(slow, tp=1, cp=4, ep=1, microbatch=1, selective=False, sequence_parallel=False)
    tokens = 1024
    attention = 2 * tokens * 4096 * 2 * 4096 / 1e15  # unfused: the whole square
    ring = 3 * tokens * 2 * 1024 * 2 / 1e9
    assert layer.exposed == pytest.approx((ring - attention) + (2 * ring - 2 * attention), rel=1e-9)
    fast = ideal(network=WIRE, accelerators=4.0, batch=4.0, chip=replace(IDEAL, peak=1e13))
    layer = tr.layer_part(fast, tp=1, cp=4, ep=1, microbatch=1, selective=False, sequence_parallel=False)
    assert layer.exposed == 0.0


@pytest.mark.parametrize(("zero", "passes"), [(0, 2), (1, 2), (2, 2), (3, 3)])
def test_gradient_traffic_of_zero(zero, passes):
    """Rajbhandari 2020, section 7: twice the parameters up to stage 2, three times with stage 3."""
    j = ideal(network=WIRE, accelerators=64.0, batch=64.0, overlap=0.0)
    parameters = 8_030_261_248
    moved = passes * 63 / 64 * 2 * parameters / 100e9
    assert run(j, dp=64, zero=zero).exposed == pytest.approx(moved, rel=1e-12)


def test_traffic_of_each_microbatch():
    """With 4 microbatches, stage 2 scatters four times and gathers once, stage 3 three passes each."""
    j = ideal(network=WIRE, accelerators=64.0, batch=256.0, overlap=0.0)
    one = 63 / 64 * 2 * 8_030_261_248 / 100e9
    for zero, passes in ((0, 2), (1, 2), (2, 5), (3, 12)):
        assert run(j, dp=64, zero=zero).exposed == pytest.approx(passes * one, rel=1e-12)


def test_a_pipeline_sends_what_it_computed():
    """Two stages, 16 microbatches: an activation and a gradient each (b s h in 16 bits), and the fill."""
    step = run(ideal(network=WIRE, accelerators=2.0, batch=16.0), pp=2)
    hop = 4096 * 4096 * 2 / 100e9
    assert step.exposed == pytest.approx((16 * 2 + 2) * hop, rel=1e-12)


def test_stages_in_different_nodes_use_the_slow_network():
    _, pipe, _ = parts(job(), pp=np.array([1, 2, 4, 8]))
    assert pipe.hop_per_byte[1:].tolist() == [1 / 50e9] * 3
    _, inside, _ = parts(job(accelerators=8.0), pp=4)
    assert inside.hop_per_byte == 1 / 400e9


def test_stages_that_share_nodes_still_cross_between_them():
    """Four stages of 4 on two nodes of 8: the second sends to the third over the slow network."""
    _, pipe, _ = parts(job(accelerators=16.0), pp=4)
    assert pipe.hop_per_byte == 1 / 50e9
    assert pipe.hop_latency == 5e-6


def test_a_parallel_block_sums_once():
    """Chowdhery 2022, section 2: attention and MLP of a parallel block share one all-reduce a pass."""
    serial = replace(LLAMA3_8B, norms=2.0)
    exposed = [
        run(ideal(model=m, network=WIRE, accelerators=8.0, batch=8.0), tp=8).exposed
        for m in (replace(serial, norms=1.0), serial)
    ]
    assert exposed[0] == pytest.approx(exposed[1] / 2, rel=1e-12)


def test_the_optimizer_streams_its_state():
    """28 bytes a parameter at the achieved bandwidth (stage 0), an eighth of it on 8 ranks (stage 1)."""
    chip = replace(IDEAL, bandwidth=1e12, bandwidth_share=0.5)
    whole = run(ideal(chip=chip, accelerators=8.0), dp=8)
    assert whole.update == pytest.approx(28 * 8_030_261_248 / 0.5e12, rel=1e-12)
    assert run(ideal(chip=chip, accelerators=8.0), dp=8, zero=1).update == pytest.approx(whole.update / 8)


def test_gradients_hide_behind_the_last_backward_pass():
    """One microbatch on 8 ranks: two thirds of the work hide what may hide of the traffic, which is all
    but the 32nd of the last layer, at half overlap half of that. Where traffic is far longer than the
    work, all of the work hides traffic, at any of these overlaps."""
    model = replace(LLAMA3_8B, vocab=0.0)
    work = 3.0 * tf.forward_flops(model, 4096.0, 4096.0) / 1e15
    parameters = 32 * 218_112_000 + 4096
    for traffic, overlap, shown in (
        (1.0, 1.0, 1.0 - 2 / 3 * work),
        (1.0, 0.5, 1.0 - 2 / 3 * work),
        (1.0, 0.1, 1.0 - 0.1 * 31 / 32),
        (0.5 * work, 1.0, 0.5 * work / 32),
        (0.5 * work, 0.5, 0.5 * work * 33 / 64),
    ):
        wire = Tier(2 * 7 / 8 * 2 * parameters / traffic, 0.0)
        j = ideal(
            model=model,
            weights=tr.weights_of(model),
            network=Network(wire, wire, 1e9),
            overlap=overlap,
            accelerators=8.0,
            batch=8.0,
        )
        assert run(j, dp=8).exposed == pytest.approx(shown, rel=1e-9)


def test_the_larger_end_of_the_pipeline_sets_the_gradient_traffic():
    """Two stages of a tied GPT: embedding and learned positions on the first, a copy of the embedding
    and the final norm on the last."""
    model = gpt(24.0, 2304.0, 24.0)
    j = ideal(
        model=model,
        weights=tr.weights_of(model),
        network=WIRE,
        accelerators=4.0,
        batch=2.0,
        seq_len=2048.0,
        overlap=0.0,
    )
    shard = tr.shard_part(j, tp=1, cp=1, pp=2, dp=2, ep=1, zero=0)
    h = 2304
    stage = 12 * (12 * h * h + 13 * h) + (51200 + 2048) * h
    both = 51200 * h  # whose gradients the two ends add up besides
    assert shard.reduce_bare + shard.reduce_rest == pytest.approx(
        2 * 1 / 2 * 2 * (stage + both) / 100e9, rel=1e-12
    )
    apart = replace(j, weights=replace(j.weights, tied=0.0))
    shard = tr.shard_part(apart, tp=1, cp=1, pp=2, dp=2, ep=1, zero=0)
    assert shard.reduce_bare + shard.reduce_rest == pytest.approx(2 * 1 / 2 * 2 * stage / 100e9, rel=1e-12)


def test_gradients_of_experts_go_to_fewer_copies():
    """Mixtral on 8 ranks, experts over 4: two copies of each expert, eight of all the rest."""
    j = ideal(
        model=MIXTRAL_8X7B,
        network=WIRE,
        accelerators=8.0,
        batch=8.0,
        overlap=0.0,
        weights=tr.weights_of(MIXTRAL_8X7B),
    )
    shard = tr.shard_part(j, tp=1, cp=1, pp=1, dp=8, ep=4, zero=0)
    experts = 32 * 8 * 3 * 4096 * 14336
    rest = 46_702_792_704 - experts
    moved = 7 / 8 * rest + 1 / 2 * experts / 4
    assert shard.reduce_bare + shard.reduce_rest == pytest.approx(2 * 2 * moved / 100e9, rel=1e-12)


@pytest.mark.parametrize("tp", [1, 4])
def test_the_loss_streams_its_logits(tp):
    """Read and written three times in 32 bits, 128256 words divided by the ranks."""
    chip = replace(IDEAL, peak=1e9, bandwidth=1e12, bandwidth_share=0.5)  # products hide their operands
    layer = tr.layer_part(
        ideal(chip=chip), tp=tp, cp=1, ep=1, microbatch=1, selective=False, sequence_parallel=False
    )
    assert layer.head_stream == pytest.approx(4096 * 6 * 4 * 128_256 / tp / 0.5e12, rel=1e-9)
    assert layer.head == pytest.approx(3 * 2 * 4096 * 4096 * 128_256 / tp / 1e9, rel=1e-12)


@pytest.mark.parametrize(("recompute", "forwards"), [(0, 1), (2, 2)])
def test_elementwise_work_by_hand(recompute, forwards):
    """Operators one by one; unfused, softmax reads half of the scores of 32 heads and writes them all."""
    chip = replace(IDEAL, peak=1e9, bandwidth=1e12, bandwidth_share=0.5)
    layer = tr.layer_part(
        ideal(chip=chip), tp=2, cp=1, ep=1, microbatch=1, selective=False, sequence_parallel=True
    )
    elementwise = layer.elementwise + (layer.again_elementwise if recompute else 0.0)
    # two norms and two residuals, rotation of q and k, gate and its product
    residuals, rotation, scores = 2 * 3 * 4096, 2 * (4096 + 1024), 32 * 4096
    forward = 2 * 2 * 4096 + residuals + rotation + 3 * 14336 + 1.5 * scores
    back = 2 * 3 * 4096 + residuals + rotation + 5 * 14336 + 2 * scores
    # in 16 bits, half on each rank
    assert elementwise == pytest.approx(4096 * 2 * (forwards * forward + back) / 2 / 0.5e12, rel=1e-9)


# -- memory ---------------------------------------------------------------------------------------


def test_parameters_are_somewhere():
    for model in (LLAMA3_8B, MIXTRAL_8X7B, DEEPSEEK_V3, gpt(24.0, 2304.0, 24.0)):
        w = tr.weights_of(model)
        layers = w.layers * (w.dense + w.expert)
        assert layers + w.ends == pytest.approx(tf.total_params(model), rel=1e-12)
        # a tied output has a copy of the embedding on the last stage
        copy = model.vocab * model.hidden if model.tied else 0.0
        assert layers + w.first + w.last == pytest.approx(tf.total_params(model) + copy, rel=1e-12)


def test_state_of_gpt3_on_64_accelerators():
    """16 bytes x (12 of 96 layers and the embeddings) / 8, by hand from 12 h^2 + 13 h a layer."""
    model, _ = KORTHIKANTI["175B"]
    step = run(ideal(model=model, accelerators=64.0, batch=64.0, seq_len=2048.0), tp=8, pp=8)
    h = 12288
    assert step.state == pytest.approx(16 * (12 * (12 * h * h + 13 * h) + (51200 + 2048) * h) / 8, rel=1e-12)


@pytest.mark.parametrize(("interleave", "layers"), [(1, 96), (3, 96 * (1 + 7 / 24))])
def test_activations_of_gpt3_on_64_accelerators(interleave, layers):
    """Korthikanti 2022, equation 4 and section 4.2.3: (s b h / t)(34 + 80) for L layers' worth."""
    model, _ = KORTHIKANTI["175B"]
    j = ideal(model=model, accelerators=64.0, batch=64.0, seq_len=2048.0, dropout=True)
    step = run(j, tp=8, pp=8, interleave=interleave, sequence_parallel=True)
    assert step.activations == pytest.approx(layers * 2048 * 12288 * 114 / 8, rel=1e-12)


def test_memory_of_one_accelerator_by_hand():
    """Llama 3 8B, one sequence of 4096, full recomputation: 16 bytes a parameter, 32 inputs, one layer
    at work, and the output with its 32-bit logits."""
    step = run(job(accelerators=1.0, batch=1.0), recompute=2)
    layer = 2 * (4 * 4096 + (4096 + 2 * 1024 + 4096) + 3 * 14336)
    output = 2 * 2 * 4096 + 4 * 128_256
    by_hand = 16 * 8_030_261_248 + 4096 * (32 * 2 * 4096 + layer + output) + 1e9
    assert step.memory == pytest.approx(by_hand, rel=1e-12)


def test_few_microbatches_leave_few_activations():
    """Two microbatches in four stages: the first stage never holds more than two."""
    layer = 2 * (4 * 4096 + 10240 + 3 * 14336) * 4096
    step = run(ideal(fused_attention=True, accelerators=4.0, batch=2.0), pp=4)
    # two microbatches of 8 layers on the first stage; the last holds one and the output
    first, last = 16 * layer, 8 * layer + 4096 * (4 * 4096 + 4 * 128_256)
    state = tr.shard_part(ideal(accelerators=4.0), tp=1, cp=1, pp=4, dp=1, ep=1, zero=0)
    held = max(8 * state.layer + state.first + first, 8 * state.layer + state.last + last)
    assert step.memory == pytest.approx(held, rel=1e-12)


def test_an_interleaved_last_stage_may_be_the_fullest():
    """Two stages, 16 chunks each: 31 layers in flight and the 32-bit logits of 128256 words on the
    last, 33 layers on the first."""
    layer = 2 * (4 * 4096 + 10240 + 3 * 14336) * 4096
    logits = 4096 * (4 * 4096 + 4 * 128_256)
    assert 31 * layer + logits > 33 * layer
    j = ideal(fused_attention=True, accelerators=2.0, batch=32.0)
    state = tr.shard_part(j, tp=1, cp=1, pp=2, dp=1, ep=1, zero=0)
    step = run(j, pp=2, interleave=16)
    assert step.memory == pytest.approx(16 * state.layer + state.last + 31 * layer + logits, rel=1e-12)


def test_more_ranks_than_kv_heads_replicate_them():
    """Llama 3 8B on 16 ranks: half of 8 key and value heads' worth is a copy (Pope 2023, section 3.3)."""
    step = run(job(accelerators=16.0), tp=16)
    split = 8_030_261_248 - 32 * 2 * 4096 * 1024
    assert step.state == pytest.approx(16 * (split / 16 + 32 * 2 * 4096 * 1024 / 8), rel=1e-12)


def test_zero_divides_the_state_of_64_copies():
    """Rajbhandari 2020: 16, 4 + 12/64, 2 + 14/64 and 16/64 bytes a parameter; stage 3 also holds
    what it lacks of two layers."""
    p, layer = 8_030_261_248, 218_112_000
    held = [float(run(job(), dp=64, zero=z).state) for z in range(4)]
    assert held[:3] == pytest.approx([16 * p, (4 + 12 / 64) * p, (2 + 14 / 64) * p], rel=1e-12)
    assert held[3] == pytest.approx(16 / 64 * p + 2 * 2 * layer * 63 / 64, rel=1e-12)


def test_expert_ranks_host_their_share():
    """Mixtral on 8 ranks: an eighth of the experts, whole attention and embeddings."""
    expert = 32 * 8 * 3 * 4096 * 14336
    step = run(job(model=MIXTRAL_8X7B, accelerators=8.0), dp=8, ep=8)
    assert step.state == pytest.approx(16 * (tf.total_params(MIXTRAL_8X7B) - expert + expert / 8), rel=1e-12)


# -- models by their totals -----------------------------------------------------------------------


def test_a_model_by_its_totals_by_hand():
    resnet = Operations(params=25.6e6, flops=8.2e9, activations=11e6)
    j = ideal(model=resnet, accelerators=8.0, batch=256.0, weights=tr.weights_of(resnet))
    step = run(j, dp=8, microbatch=16)
    assert step.time == pytest.approx(3 * 32 * 8.2e9 / 1e15, rel=1e-12)
    assert step.state == 16 * 25.6e6
    assert step.activations == 16 * 11e6 * 2


def test_a_model_by_its_totals_bound_by_memory():
    """A pass reads 51.2 MB of weights, 16 images of 1 MB and their 22 MB of activations at 0.5 TB/s, and
    starts a kernel; the backward pass twice as much; gradients in 16 bits go round 8 ranks."""
    resnet = Operations(params=25.6e6, flops=8.2e6, activations=11e6, moved=1e6)
    chip = replace(IDEAL, bandwidth=1e12, bandwidth_share=0.5, launch=1e-5)
    weights = tr.weights_of(resnet)
    j = ideal(model=resnet, weights=weights, chip=chip, network=WIRE, accelerators=8.0, batch=128.0)
    step = run(j, dp=8, microbatch=16)
    one = (51.2e6 + 16 * 23e6) / 0.5e12 + 1e-5
    traffic = 2 * 7 / 8 * 51.2e6 / 100e9
    assert step.matmul == pytest.approx(3 * 16 * 8.2e6 / 1e15, rel=1e-12)
    assert step.matmul + step.elementwise == pytest.approx(3 * one, rel=1e-12)
    assert step.time == pytest.approx(3 * one + traffic + 28 * 25.6e6 / 0.5e12, rel=1e-12)


def test_training_looks_tables_up_as_inference_does():
    """Layers of 2.4 M parameters are read whole, and the rows of 24 billion more as they are needed."""
    table = Operations(params=24e9, flops=4.9e6, activations=7520.0, moved=13312.0, read=2.4e6)
    chip = replace(IDEAL, bandwidth=1e12, bandwidth_share=0.5, launch=1e-5)
    j = ideal(model=table, weights=tr.weights_of(table), chip=chip, accelerators=1.0, batch=1000.0)
    step = run(j, microbatch=1000)
    one = (4.8e6 + 1000 * (13312 + 2 * 7520)) / 0.5e12 + 1e-5
    assert step.matmul + step.elementwise == pytest.approx(3 * one, rel=1e-12)


# -- laws -----------------------------------------------------------------------------------------

JOBS = {
    "llama": job(),
    "mixtral": job(model=MIXTRAL_8X7B, weights=tr.weights_of(MIXTRAL_8X7B)),
    "unfused": job(fused_attention=False, dropout=True),
}
layouts = st.fixed_dictionaries(
    {
        "tp": st.sampled_from([1, 2, 4, 8]),
        "cp": st.sampled_from([1, 2]),
        "pp": st.sampled_from([1, 2, 4]),
        "interleave": st.sampled_from([1, 2, 4]),
        "microbatch": st.sampled_from([1, 2, 4]),
        "recompute": st.sampled_from([0, 1, 2]),
        "sequence_parallel": st.booleans(),
        "zero": st.sampled_from([0, 1, 3]),
    }
).map(
    lambda c: (
        c | {"dp": 64 // (c["tp"] * c["cp"] * c["pp"]), "interleave": c["interleave"] if c["pp"] > 1 else 1}
    )
)
names = st.sampled_from(sorted(JOBS))
SLACK = 1 + 1e-9


@given(name=names, c=layouts)
def test_the_parts_add_up(name, c):
    step = run(JOBS[name], **c)
    parts = step.matmul + step.elementwise + step.exposed + step.bubble + step.update
    assert step.time == pytest.approx(parts, rel=1e-12)
    assert step.memory == pytest.approx(step.state + step.activations + 1e9, rel=1e-12)
    assert min(astuple(step)) >= 0


@given(name=names, c=layouts, factor=st.floats(1.0, 100.0))
def test_better_machines_are_never_slower(name, c, factor):
    j = JOBS[name]
    base = run(j, **c).time
    up, out = NODES.up, NODES.out
    for change in (
        {"chip": replace(H100, peak=factor * H100.peak)},
        {"chip": replace(H100, bandwidth=factor * H100.bandwidth)},
        {"chip": replace(H100, launch=0.0)},
        {"network": replace(NODES, up=replace(up, bandwidth=factor * up.bandwidth))},
        {"network": replace(NODES, out=replace(out, bandwidth=factor * out.bandwidth))},
        {"network": replace(NODES, up=replace(up, latency=0.0), out=replace(out, latency=0.0))},
    ):
        assert run(replace(j, **change), **c).time <= base * SLACK


@given(name=names, c=layouts, overlap=st.floats(0.0, 1.0))
def test_overlap_is_never_slower(name, c, overlap):
    none, some, whole = (run(replace(JOBS[name], overlap=x), **c).time for x in (0.0, overlap, 1.0))
    assert whole <= some * SLACK
    assert some <= none * SLACK


@given(name=names, c=layouts)
def test_recomputation_saves_memory_and_costs_time(name, c):
    none, selective, full = (run(JOBS[name], **(c | {"recompute": r})) for r in range(3))
    assert full.memory <= selective.memory * SLACK
    assert selective.memory <= none.memory * SLACK
    assert none.time <= selective.time * SLACK
    assert selective.time <= full.time * SLACK


@given(name=names, c=layouts)
def test_sharding_and_sequence_parallelism_never_hold_more(name, c):
    held = [run(JOBS[name], **(c | {"zero": z})).memory for z in range(4)]
    assert held == sorted(held, reverse=True)
    split, whole = (run(JOBS[name], **(c | {"sequence_parallel": s})) for s in (True, False))
    assert split.memory <= whole.memory
    assert split.time <= whole.time * SLACK


@given(name=names, c=layouts, factor=st.integers(1, 8))
def test_a_larger_batch_never_takes_less_time_but_less_a_sample(name, c, factor):
    j = JOBS[name]
    base, more = run(j, **c), run(replace(j, batch=factor * j.batch), **c)
    assert more.time >= base.time / SLACK
    assert more.time / factor <= base.time * SLACK
    assert more.memory >= base.memory


@settings(max_examples=30)
@given(name=names, c=layouts)
def test_tensor_ranks_never_make_a_layer_slower_or_fatter(name, c):
    """The work of a layer, without traffic; and what it keeps."""
    keys = ("cp", "microbatch", "recompute", "sequence_parallel")
    split = [parts(JOBS[name], tp=t, **{k: c[k] for k in keys})[0] for t in (1, 2, 4, 8)]
    for one, more in pairwise(split):
        assert more.matmul <= one.matmul * SLACK
        assert more.elementwise <= one.elementwise * SLACK
        assert more.again_matmul <= one.again_matmul * SLACK
        assert more.again_elementwise <= one.again_elementwise * SLACK
        assert more.kept <= one.kept
        assert more.kept_again <= one.kept_again
        assert more.head <= one.head * SLACK


@given(name=names, c=layouts)
def test_no_layout_beats_the_kernels(name, c):
    """MFU stays below the share that large products reach (wall 3)."""
    j = JOBS[name]
    flops = 3.0 * tf.forward_flops(j.model, 128 * 4096.0, tf.attended(j.model, 4096.0))
    assert flops / (run(j, **c).time * 64 * H100.peak) <= H100.share


def test_arrays_agree_with_scalars():
    rng = np.random.default_rng(0)
    n = 40
    c = {
        "tp": rng.choice([1, 2, 4, 8], n),
        "cp": rng.choice([1, 2], n),
        "pp": rng.choice([1, 2, 4], n),
        "ep": rng.choice([1, 2], n),
        "microbatch": rng.choice([1, 2], n),
        "interleave": rng.choice([1, 2], n),
        "recompute": rng.choice([0, 1, 2], n),
        "sequence_parallel": rng.choice([True, False], n),
        "zero": rng.choice([0, 1, 2, 3], n),
    }
    c["dp"] = 64 // (c["tp"] * c["cp"] * c["pp"])
    for j in JOBS.values():
        many = run(j, **c)
        for i in range(n):
            one = run(j, **{k: v[i].item() for k, v in c.items()})
            for field, value in zip(Step.__dataclass_fields__, astuple(one), strict=True):
                here = np.broadcast_to(getattr(many, field), n)[i]
                assert here == pytest.approx(float(value), rel=1e-12), field


def test_plain_sgd_holds_less():
    """8 bytes of optimizer state instead of 12 (Rajbhandari 2020, section 3.1, without the variance)."""
    sgd = run(job(state=replace(ADAM, optimizer=8.0)), dp=64).state
    assert run(job(), dp=64).state - sgd == pytest.approx(4 * 8_030_261_248)

"""One layer of a training job, for one microbatch, on one rank: time and activations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from mlsysim.physics import inference, roofline, traffic
from mlsysim.physics import transformer as tf
from mlsysim.physics.job import Job
from mlsysim.physics.opaque import Operations
from mlsysim.physics.types import Array

# Tensor cores take rows of a multiple of 16 bytes: 8 elements of 16 bits (NVIDIA, Matrix Multiplication
# Background User's Guide, section 4).
ALIGNED = 8
# Operators that a host issues one by one for a product of an expert in fewer than 16 bits: cast, layout of
# the scaling factors and product forward; cast, layout and two products backward (NVIDIA Transformer
# Engine, GroupedLinear).
ISSUED = 3.0
ISSUED_BACKWARD = 4.0
# Bytes of a sum of gradients in 32 bits, read and written for each microbatch.
SUM = 8.0


@dataclass(frozen=True)
class LayerPart:
    """One layer, one microbatch, one rank [s, byte].

    ``again_*`` is what comes on top of it where the layer is recomputed in full. ``rounds`` is
    microbatches over pipeline stages; ``filled``, ``steady`` and ``again`` say how far a pipeline of
    that many rounds fills: the share of its stages, whether all, and whether there is a second round.
    """

    matmul: Array  # matrix products and attention, forward and backward
    elementwise: Array
    exposed: Array  # tensor, context and expert traffic
    again_matmul: Array
    again_elementwise: Array
    again_exposed: Array
    backward: Array  # backward share of the layer's time, behind which gradients hide
    head: Array  # vocabulary layer, forward and backward: matrix work
    head_stream: Array  # and its memory-bound work
    kept: Array  # activations kept until the backward pass
    kept_again: Array  # by a layer that is recomputed in full: its input
    head_kept: Array
    boundary: Array  # bytes sent to the next stage
    passed: Array  # bytes of a step that all pipelines together send past one of their stages
    rounds: Array  # B tp cp / (N microbatch)
    filled: Array
    steady: Array
    again: Array


def layer_part(
    job: Job,
    *,
    tp: Array,
    cp: Array,
    ep: Array,
    microbatch: Array,
    selective: Array,
    sequence_parallel: Array,
    overlap: Array = False,
    overlap_experts: Array = False,
) -> LayerPart:
    """Return what one layer costs for one microbatch; arguments broadcast.

    Args:
        job: the job.
        tp: tensor-parallel ranks.
        cp: context-parallel ranks.
        ep: expert-parallel ranks.
        microbatch: sequences.
        selective: whether attention scores are recomputed instead of kept (Korthikanti 2022).
        sequence_parallel: whether the rest of the layer is divided by ``tp`` too.
        overlap: whether tensor-parallel traffic hides behind the products that it belongs to.
        overlap_experts: whether exchanges between experts hide behind the work of another microbatch.
    """
    rounds = job.batch * tp * cp / (job.accelerators * microbatch)
    if isinstance(job.model, Operations):
        return _opaque_layer(job, job.model, microbatch, rounds)
    m = job.model
    tokens = microbatch * job.seq_len / cp
    selective = np.asarray(selective)
    flags = np.asarray(sequence_parallel) * np.asarray(overlap) * np.asarray(overlap_experts)
    none = 0.0 * tokens * tp * ep * selective * flags

    forward, backward = _products(job, tf.layer_matmuls(m, tokens, tp, ep))
    attention, attention_back = _attention(job, m, tokens, tp, cp)
    # selective recomputation repeats the attention core where scores are not fused away
    core_again = 0.0 if job.fused_attention else np.where(selective, 1.0, 0.0)
    stream, back_stream = _elementwise(job, m, tokens, tp, ep, sequence_parallel)
    comm, comm_back = traffic.ring(job, m, tokens, tp, cp, attention, attention_back)
    tensor = inference.tensor_traffic(m, tokens, tp, job.network, job.width)
    comm = comm + traffic.tensor_left(job, tensor, forward.compute + forward.excess, tp, overlap)
    comm_back = comm_back + traffic.tensor_left(job, tensor, backward.compute + backward.excess, tp, overlap)

    once = forward.compute + attention
    back = backward.compute + attention_back + attention * core_again
    back_stream = back_stream + backward.excess
    experts = traffic.exchange(job, m, tokens, tp, cp, ep)
    comm = comm + traffic.exchange_left(job, experts, once + stream + forward.excess, overlap_experts)
    comm_back = comm_back + traffic.exchange_left(job, experts, back + back_stream, overlap_experts)
    issued = _issued(job, m, ep)
    wait_again = np.maximum(issued * ISSUED - (once + stream + forward.excess + comm), 0.0)
    wait = issued * (ISSUED + ISSUED_BACKWARD) - (
        once + back + stream + forward.excess + back_stream + comm + comm_back
    )
    wait = np.maximum(wait, 0.0)
    head, head_stream = _head(job, m, tokens, tp)

    def kept(mode: Array) -> Array:
        return none + tf.activation_bytes(
            m,
            tokens,
            job.seq_len,
            tp,
            sequence_parallel,
            mode,
            width_bytes=job.width,
            fused_attention=job.fused_attention,
            dropout=job.dropout,
        )

    boundary = none + tokens * m.hidden * job.width / np.where(sequence_parallel, tp, 1.0)
    return LayerPart(
        matmul=none + once + back,
        elementwise=none + stream + forward.excess + back_stream + wait,
        exposed=none + comm + comm_back,
        again_matmul=none + once,
        again_elementwise=none + stream + forward.excess + wait_again,
        again_exposed=none + comm,
        backward=none + back + back_stream + comm_back,
        head=none + head,
        head_stream=none + head_stream,
        kept=kept(np.where(selective, 1, 0)),
        kept_again=kept(np.asarray(2)),
        head_kept=none + tf.head_activation_bytes(m, tokens, tp, sequence_parallel, job.width),
        boundary=boundary,
        passed=boundary * (job.batch * tp * cp / microbatch),
        **_filling(rounds + none),
    )


def _filling(rounds: Array) -> dict[str, Array]:
    """Return how far a pipeline fills with so many microbatches a stage."""
    return {
        "rounds": rounds,
        "filled": np.minimum(rounds, 1.0),
        "steady": np.where(rounds >= 1.0, 1.0, 0.0),
        "again": np.minimum(np.maximum(rounds - 1.0, 0.0), 1.0),
    }


def _issued(job: Job, m: tf.Transformer, ep: Array) -> Array:
    """Return the time in which the host issues one operator for each product of a rank's experts [s].

    While that takes longer than the accelerator's work, the accelerator waits: with many experts on a
    rank and few tokens for each.
    """
    if not job.chip.narrow:
        return 0.0 * ep
    return job.chip.host * 2.0 * m.moe_share * m.experts / ep


class _Time(NamedTuple):
    """Time of matrix products: at the achieved rate, and what memory and launches add [s]."""

    compute: Array
    excess: Array


def _products(job: Job, products: list[tf.Matmul], chip: roofline.Chip | None = None) -> tuple[_Time, _Time]:
    """Return the time of products, forward and backward.

    The gradients of inputs and of weights are two products of the same size. That of the weights is
    added to a sum in 32 bits, which is read and written for each microbatch (Shoeybi 2019; the default
    of Megatron). Operands that are cast for the product are read and written besides: the input
    forward, the gradient of the output backward.
    """
    chip = chip or job.chip
    inputs = [tf.Matmul(p.rows, p.columns, p.inner, p.count, p.launches, grouped=p.grouped) for p in products]
    weights = [
        tf.Matmul(p.inner, p.rows, p.columns, p.count, p.launches, grouped=p.grouped) for p in products
    ]

    def time(group: list[tf.Matmul], sums: list[tf.Matmul], cast: list[tf.Matmul]) -> _Time:
        compute = sum(roofline.matmul_compute(p, chip) for p in group + sums)
        whole = sum(roofline.matmul_time(p, chip, job.width) for p in group)
        whole = whole + sum(roofline.matmul_time(p, chip, job.width, summed=SUM) for p in sums)
        casts = roofline.stream_time(sum(roofline.cast_bytes(p, chip, job.width) for p in cast), chip)
        return _Time(compute, whole - compute + casts)

    return time(products, [], products), time(inputs, weights, inputs)


def _attention(job: Job, m: tf.Transformer, tokens: Array, tp: Array, cp: Array) -> tuple[Array, Array]:
    """Return the time of the matrix work of attention, forward and backward [s].

    Fused, it skips the masked half, and its backward pass recomputes the scores: 2.5 times the forward
    work (Dao 2023, section 3), at a somewhat lower rate. Unfused, two batched products work on the whole
    square, on ordinary cores where the rows of a head are not aligned.
    """
    if not job.fused_attention:
        span = tf.over_layers(m, np.minimum(m.window, job.seq_len), job.seq_len) if m.window else job.seq_len
        chip = roofline.wide(job.chip)
        if m.head_dim % ALIGNED and chip.plain_peak:
            chip = replace(chip, peak=chip.plain_peak)
        once = roofline.compute_time(tf.attention_flops(m, tokens, span) / tp, chip)
        return once, 2.0 * once
    width = tf.head_width(m)

    def time(one: tf.Transformer) -> Array:
        """Time of layers that all attend alike: a window is as far from the peak as a short sequence."""
        span = tf.attended(one, job.seq_len)
        flops = tf.attention_flops(one, tokens, span) / tp
        length = np.minimum(job.seq_len, 2.0 * span) / cp
        return roofline.attention_time(flops, job.chip, length, width)

    once = time(replace(m, window=0.0))
    if m.window:
        once = tf.over_layers(m, time(replace(m, full_layers=0.0)), once)
    slower = 1.0 / roofline.ATTENTION_BACKWARD if job.chip.attention else 1.0
    return once, 2.5 * slower * once


def _elementwise(
    job: Job, m: tf.Transformer, tokens: Array, tp: Array, ep: Array, sequence_parallel: Array
) -> tuple[Array, Array]:
    """Return the time of memory-bound operators of a layer, forward and backward [s]."""

    def time(backward: bool) -> Array:
        moved = tf.elementwise_bytes(m, tokens, tp, sequence_parallel, job.width, backward=backward, ep=ep)
        if not job.fused_attention:
            # scores written, softmax read and written, read again; twice as much for their gradients
            scores = job.width * m.attention_blocks * m.heads * job.seq_len * tokens / tp
            moved = moved + (8.0 if backward else 4.0) * scores
        return roofline.kernel_time(moved, job.chip)

    return time(False), time(True)


def _head(job: Job, m: tf.Transformer, tokens: Array, tp: Array) -> tuple[Array, Array]:
    """Return the vocabulary layer's time, forward and backward: matrix work, and the rest [s].

    It stays in 16 bits where the layers run in fewer.
    """
    forward, backward = _products(job, [tf.Matmul(tokens, m.hidden, m.vocab / tp)], roofline.wide(job.chip))
    # the loss reads and writes 32-bit logits about three times
    loss = roofline.kernel_time(3.0 * 2.0 * 4.0 * tokens * m.vocab / tp, job.chip)
    return forward.compute + backward.compute, forward.excess + backward.excess + loss


def _opaque_layer(job: Job, m: Operations, microbatch: Array, rounds: Array) -> LayerPart:
    """Return the whole of a model that is known by its totals, as one layer.

    The backward pass does twice the work of the forward pass (Kaplan 2020, section 2.1).
    """
    none = 0.0 * rounds
    compute = roofline.compute_time(microbatch * m.flops, job.chip) + none
    moved = m.params_read * job.width + microbatch * (m.moved + m.activations * job.width)
    forward = np.maximum(compute, roofline.stream_time(moved, job.chip)) + job.chip.launch
    kept = microbatch * m.activations * job.width + none
    return LayerPart(
        matmul=3.0 * compute,
        elementwise=3.0 * (forward - compute),
        exposed=none,
        again_matmul=compute,
        again_elementwise=forward - compute,
        again_exposed=none,
        backward=2.0 * forward,
        head=none,
        head_stream=none,
        kept=kept,
        kept_again=kept,
        head_kept=none,
        boundary=none,
        passed=none,
        **_filling(rounds),
    )

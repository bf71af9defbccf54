"""One layer of a training job, for one microbatch, on one rank: time and activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mlsysim.physics import collectives as net
from mlsysim.physics import inference, roofline
from mlsysim.physics import transformer as tf
from mlsysim.physics.job import Job
from mlsysim.physics.opaque import Operations
from mlsysim.physics.types import Array


@dataclass(frozen=True)
class LayerPart:
    """One layer, one microbatch, one rank [s, byte]."""

    matmul: Array  # matrix products and attention, forward, backward and recomputation
    elementwise: Array
    exposed: Array  # tensor, context and expert traffic
    backward: Array  # backward share of the layer's time, behind which gradients hide
    head: Array  # vocabulary layer, forward and backward: matrix work
    head_stream: Array  # and its memory-bound work
    kept: Array  # activations kept until the backward pass
    transient: Array  # activations of the layer at work
    head_kept: Array
    boundary: Array  # bytes sent to the next stage
    rounds: Array  # microbatches a step over pipeline size: B tp cp / (N microbatch)


def layer_part(
    job: Job,
    *,
    tp: Array,
    cp: Array,
    ep: Array,
    microbatch: Array,
    recompute: Array,
    sequence_parallel: Array,
) -> LayerPart:
    """Return what one layer costs for one microbatch; arguments broadcast.

    ``recompute`` is an index into :data:`mlsysim.physics.transformer.RECOMPUTE`.
    """
    if isinstance(job.model, Operations):
        return _opaque_layer(job, job.model, microbatch)
    m, chip = job.model, job.chip
    tokens = microbatch * job.seq_len / cp
    recompute = np.asarray(recompute)
    again = np.where(recompute == 2, 1.0, 0.0)

    forward, backward = _products(job, tf.layer_matmuls(m, tokens, tp, ep))
    attention = roofline.compute_time(tf.attention_flops(m, tokens, tf.attended(m, job.seq_len)) / tp, chip)
    # a fused backward pass recomputes the scores: 2.5 times the forward work (Dao 2023, sec. 3)
    attention_back = attention * (2.5 if job.fused_attention else 2.0)
    # selective recomputation repeats the attention core where scores are not fused away
    core_again = 0.0 * again if job.fused_attention else np.where(recompute == 1, 1.0, 0.0)
    stream = roofline.stream_time(_moved(job, m, tokens, tp, sequence_parallel), chip)
    comm, comm_back = _traffic(job, m, tokens, tp, cp, ep, attention, attention_back)

    once = forward.compute + attention
    matmul = once * (1.0 + again) + attention * core_again + backward.compute + attention_back
    # elementwise operators of the backward pass read and write about twice as much
    elementwise = stream * (3.0 + again) + forward.excess * (1.0 + again) + backward.excess
    exposed = comm * (1.0 + again) + comm_back
    head, head_stream = _head(job, m, tokens, tp)

    def kept(mode: Array) -> Array:
        return tf.activation_bytes(
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

    return LayerPart(
        matmul=matmul,
        elementwise=elementwise,
        exposed=exposed,
        backward=matmul - once + elementwise - stream - forward.excess + exposed - comm,
        head=head,
        head_stream=head_stream,
        kept=kept(recompute),
        transient=np.where(recompute == 2, kept(np.zeros_like(again)), 0.0),
        head_kept=tf.head_activation_bytes(m, tokens, tp, sequence_parallel, job.width),
        boundary=tokens * m.hidden * job.width / np.where(sequence_parallel, tp, 1.0),
        rounds=job.batch * tp * cp / (job.accelerators * microbatch) + 0.0 * again,
    )


class _Time(NamedTuple):
    """Time of matrix products: at the achieved rate, and what memory and launches add [s]."""

    compute: Array
    excess: Array


def _products(job: Job, products: list[tf.Matmul]) -> tuple[_Time, _Time]:
    """Return the time of products, forward and backward.

    The gradients of inputs and of weights are two products of the same size.
    """
    back = [
        q
        for p in products
        for q in (
            tf.Matmul(p.rows, p.columns, p.inner, p.count, p.launches),
            tf.Matmul(p.inner, p.rows, p.columns, p.count, p.launches),
        )
    ]

    def time(group: list[tf.Matmul]) -> _Time:
        compute = sum(roofline.matmul_compute(p, job.chip) for p in group)
        return _Time(compute, sum(roofline.matmul_time(p, job.chip, job.width) for p in group) - compute)

    return time(products), time(back)


def _moved(job: Job, m: tf.Transformer, tokens: Array, tp: Array, sequence_parallel: Array) -> Array:
    """Return the bytes that memory-bound operators of a layer move, forward [byte]."""
    moved = tf.elementwise_bytes(m, tokens, tp, sequence_parallel, job.width)
    if job.fused_attention:
        return moved
    # scores written, softmax read and written, read again
    return moved + 4.0 * job.width * m.attention_blocks * m.heads * job.seq_len * tokens / tp


def _head(job: Job, m: tf.Transformer, tokens: Array, tp: Array) -> tuple[Array, Array]:
    """Return the vocabulary layer's time, forward and backward: matrix work, and the rest [s]."""
    forward, backward = _products(job, [tf.Matmul(tokens, m.hidden, m.vocab / tp)])
    # the loss reads and writes 32-bit logits about three times
    loss = roofline.stream_time(3.0 * 2.0 * 4.0 * tokens * m.vocab / tp, job.chip)
    return forward.compute + backward.compute, forward.excess + backward.excess + loss


def _traffic(
    job: Job,
    m: tf.Transformer,
    tokens: Array,
    tp: Array,
    cp: Array,
    ep: Array,
    attention: Array,
    attention_back: Array,
) -> tuple[Array, Array]:
    """Return the exposed traffic of one layer, forward and backward [s]."""
    network, width = job.network, job.width
    tensor = inference.tensor_traffic(m, tokens, tp, network, width)
    # context parallel: keys and values go round the ring while attention works on what is there
    # (Liu 2023, Ring Attention)
    values = m.v_width if m.kv_rank else m.kv_width
    kv = tokens * (m.kv_width + values) * tf.kv_share(m, tp) * width
    hop = net.by_extent(tp * cp, network, net.send_time(kv, network.up), net.send_time(kv, network.out))
    ring = (cp - 1.0) * hop
    context = np.maximum(ring - attention, 0.0)
    context_back = np.maximum(2.0 * ring - attention_back, 0.0)
    # expert parallel: tokens to their experts and back (Lepikhin 2020)
    sent = m.moe_share * tokens * m.experts_active * m.hidden * width / tp
    expert = 2.0 * net.hierarchical_all_to_all_time(sent, ep, tp * cp, network)
    return tensor + context + expert, tensor + context_back + expert


def _opaque_layer(job: Job, m: Operations, microbatch: Array) -> LayerPart:
    """Return the whole of a model that is known by its totals, as one layer.

    The backward pass does twice the work of the forward pass (Kaplan 2020, section 2.1).
    """
    compute = roofline.compute_time(microbatch * m.flops, job.chip)
    moved = m.params_read * job.width + microbatch * (m.moved + m.activations * job.width)
    forward = np.maximum(compute, roofline.stream_time(moved, job.chip)) + job.chip.launch
    none = 0.0 * compute
    return LayerPart(
        matmul=3.0 * compute,
        elementwise=3.0 * (forward - compute),
        exposed=none,
        backward=2.0 * forward,
        head=none,
        head_stream=none,
        kept=microbatch * m.activations * job.width,
        transient=none,
        head_kept=none,
        boundary=none,
        rounds=job.batch / (job.accelerators * microbatch),
    )

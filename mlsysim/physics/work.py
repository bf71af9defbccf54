"""Work of a layer of a training job on one rank: products, attention, memory-bound operators."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mlsysim.physics import lora, roofline
from mlsysim.physics import transformer as tf
from mlsysim.physics.job import Job
from mlsysim.physics.types import Array

# Tensor cores take rows of a multiple of 16 bytes: 8 elements of 16 bits (NVIDIA, Matrix Multiplication
# Background User's Guide, section 4).
ALIGNED = 8
# Operators that a host issues one by one for a product of an expert in fewer than 16 bits: cast, layout of
# the scaling factors and product forward; cast, layout and two products backward (NVIDIA Transformer
# Engine, GroupedLinear).
ISSUED = 3.0
ISSUED_BACKWARD = 4.0
# A bias is added to the output of each expert by itself, weighted in 32 bits: operators forward and
# backward, and the bytes that they move for an element (NVIDIA Megatron-LM, TEGroupedMLP._apply_bias:
# product, sum, concatenation and conversion; backward the conversions and two reductions of products).
BIASED = (3.0, 28.0)
BIASED_BACKWARD = (7.0, 36.0)
# Bytes of a sum of gradients in 32 bits, read and written for each microbatch.
SUM = 8.0


def issued(job: Job, m: tf.Transformer, ep: Array) -> Array:
    """Return the time in which the host issues one operator for each product of a rank's experts [s]."""
    if not job.chip.narrow:
        return 0.0 * ep
    return job.chip.host * 2.0 * m.moe_share * m.experts / ep


def host_waits(
    job: Job,
    m: tf.Transformer,
    layer: list[tf.Matmul],
    ep: Array,
    busy: Array,
    busy_back: Array,
) -> tuple[Array, Array]:
    """Return how long the accelerator waits for the host, in a layer's passes and in a forward pass alone.

    Products of experts in fewer than 16 bits are issued one by one. A forward pass stops at the routing: how
    many tokens each expert has decides the sizes of what follows, so the host cannot be ahead of the
    accelerator there, and what it takes to issue the experts' operators beyond their work is waited for. Over
    both passes it waits at least until all operators of the layer are issued. Where the host issues a forward
    and a backward pass in turns, each stop of the one holds up the other: the accelerator waits for all that
    is issued.

    Args:
        job: the job.
        m: the model.
        layer: matrix products of the layer, forward.
        ep: expert-parallel ranks.
        busy: time of the accelerator's own work and traffic, forward.
        busy_back: the same, backward.
    """
    once = issued(job, m, ep)
    if not (job.chip.host and m.experts and job.chip.narrow):
        return 0.0 * (once + busy), 0.0 * (once + busy)
    experts, _ = products(job, [p for p in layer if p.grouped])
    others = job.chip.host * tf.operators(m, job.fused_attention)
    behind = np.maximum(once * ISSUED - experts.compute - experts.excess, 0.0)
    whole = once * (ISSUED + ISSUED_BACKWARD) + 3.0 * others
    if job.stack.in_turns:
        return whole + 0.0 * busy, once * ISSUED + others + 0.0 * busy
    return (
        np.maximum(whole - busy - busy_back, behind),
        np.maximum(once * ISSUED + others - busy, behind),
    )


class Time(NamedTuple):
    """Time of matrix products: at the achieved rate, and what memory and launches add [s]."""

    compute: Array
    excess: Array


def products(
    job: Job, products: list[tf.Matmul], chip: roofline.Chip | None = None, *, frozen: bool = False
) -> tuple[Time, Time]:
    """Return the time of products, forward and backward.

    The gradients of inputs and of weights are two products of the same size. That of the weights is
    added to a sum in 32 bits, which is read and written for each microbatch (Shoeybi 2019; the default
    of Megatron), by the product or by a kernel of its own (:class:`mlsysim.physics.job.Stack`). Operands
    that are cast for the product are read and written besides: the input forward, the gradient of the
    output backward. Weights that are frozen have no gradient.
    """
    chip, layouts = chip or job.chip, 1.0 if frozen else 2.0
    inputs = [tf.Matmul(p.rows, p.columns, p.inner, p.count, p.launches, grouped=p.grouped) for p in products]
    weights = [
        tf.Matmul(p.inner, p.rows, p.columns, p.count, p.launches, grouped=p.grouped) for p in products
    ]

    def time(group: list[tf.Matmul], sums: list[tf.Matmul], cast: list[tf.Matmul]) -> Time:
        compute = sum(roofline.matmul_compute(p, chip) for p in group + sums)
        fused = job.stack.fused_sums
        whole = sum(roofline.matmul_time(p, chip, job.width) for p in group)
        whole = whole + sum(roofline.matmul_time(p, chip, job.width, summed=SUM * fused) for p in sums)
        if not fused:
            added = sum(p.rows * p.columns * p.count for p in sums)
            # a large tensor, read and written in order: no slower than any stream
            whole = whole + roofline.stream_time((job.width + job.stack.sum_bytes) * added, chip)
        casts = roofline.stream_time(
            sum(roofline.cast_bytes(p, chip, job.width, layouts) for p in cast), chip
        )
        return Time(compute, whole - compute + casts)

    return time(products, [], products), time(inputs, [] if frozen else weights, inputs)


def adapters(job: Job, m: tf.Transformer, tokens: Array, tp: Array) -> tuple[Array, Array]:
    """Return the time of a layer's adapters, forward and backward [s].

    Their products run in 16 bits, and what they give is added: two tensors read, one written.
    """
    own = job.lora
    if own is None:
        return 0.0, 0.0
    forward, backward = products(job, lora.matmuls(m, own, tokens, tp), roofline.wide(job.chip))

    def added(back: bool) -> Array:
        elements = lora.added_elements(m, own, tokens, tp, backward=back)
        return roofline.kernel_time(3.0 * job.width * elements, job.chip)

    return (
        forward.compute + forward.excess + added(False),
        backward.compute + backward.excess + added(True),
    )


def biased(job: Job, m: tf.Transformer, tokens: Array, ep: Array, shared: Array) -> tuple[Array, Array]:
    """Return the time in which the biases of experts are added, forward and backward [s].

    Expert by expert, as long as the host takes to issue that: it has waited for the routing, so that it
    is not ahead. As one graph it is what memory takes.

    Args:
        job: the job.
        m: the model.
        tokens: tokens of the rank.
        ep: expert-parallel ranks.
        shared: ranks that the tokens are divided by besides.
    """
    if not (m.bias and m.experts):
        return 0.0 * ep * shared, 0.0 * ep * shared
    elements = tokens * m.experts_active * m.hidden / shared

    def time(operators: float, moved: float) -> Array:
        issued = operators * job.chip.eager * m.experts / ep
        return m.moe_share * np.maximum(issued, roofline.kernel_time(moved * elements, job.chip))

    return time(*BIASED), time(*BIASED_BACKWARD)


def waited(job: Job, m: tf.Transformer) -> tuple[float, float]:
    """Return what the host adds to a layer, forward and backward, where it waits for every operator [s].

    The backward pass has two operators for each of the forward pass, and where sums are kernels of their
    own, one for every weight and bias.
    """
    forward = tf.operators(m, job.fused_attention)
    sums = 0.0 if job.stack.fused_sums else tf.weight_tensors(m)
    return job.stack.blocking * forward, job.stack.blocking * (2.0 * forward + sums)


def stopped(job: Job, m: tf.Transformer, tokens: Array, tp: Array) -> Time:
    """Return what a recomputation that stops early leaves out: the last product of the MLP.

    Its output is no operand of the backward pass. Of experts it is one: their weights are its gradient.
    """
    if not job.stack.early_stop or m.moe_share == 1.0:
        return Time(0.0, 0.0)
    dense = 1.0 - m.moe_share
    forward, _ = products(job, [tf.Matmul(tokens, m.ffn / tp, m.hidden, dense, dense)])
    return forward


def attention(job: Job, m: tf.Transformer, tokens: Array, tp: Array, cp: Array) -> tuple[Time, Time]:
    """Return the time of the matrix work of attention, forward and backward.

    Fused, it skips the masked half, and its backward pass recomputes the scores: 2.5 times the forward
    work (Dao 2023, section 3), at a somewhat lower rate. Unfused, it is batched products of the whole
    square; see :func:`_unfused`.
    """
    if not job.fused_attention:
        return _unfused(job, m, tokens, tp, cp)
    width = tf.head_width(m)

    def time(one: tf.Transformer) -> Array:
        """Time of layers that all attend alike: a window is as far from the peak as a short sequence."""
        span = tf.attended(one, job.seq_len)
        flops = tf.attention_flops(one, tokens, span) / tp
        # a query meets its keys in a kernel for each rank of the ring, in a quarter of them with no key of
        # its own: either the second half of the queries works on all keys, or all on the first half
        length = np.minimum(job.seq_len, 2.0 * span) / (1.0 + 0.75 * (cp - 1.0))
        return roofline.attention_time(flops, job.chip, length, width) / job.stack.attention_gain

    once = time(replace(m, window=0.0))
    if m.window:
        once = tf.over_layers(m, time(replace(m, full_layers=0.0)), once)
    slower = 1.0 / roofline.ATTENTION_BACKWARD if job.chip.attention else 1.0
    return Time(once, 0.0 * once), Time(2.5 * slower * once, 0.0 * once)


def _unfused(job: Job, m: tf.Transformer, tokens: Array, tp: Array, cp: Array) -> tuple[Time, Time]:
    """Return the time of the batched products of scores, and of what is done to the scores between them.

    As other products: a head is the inner size of the scores, which is short, and a side of the values,
    which fills tiles or does not; both move the square. On ordinary cores where the rows of a head are not
    aligned. Backward, the gradient of the probabilities is as the scores, those of values, queries and keys
    are as the values (Shoeybi 2019, ``ParallelAttention``).
    """
    chip = roofline.wide(job.chip)
    if m.head_dim % ALIGNED and chip.plain_peak:
        # starts and ends of a tile's loop take as long, which is less of a slower loop
        chip = replace(chip, peak=chip.plain_peak, depth=chip.depth * chip.plain_peak / chip.peak)
    span = tf.over_layers(m, np.minimum(m.window, job.seq_len), job.seq_len) if m.window else job.seq_len
    queries, blocks = job.seq_len / cp, m.attention_blocks
    count = blocks * m.heads * tokens / (queries * tp)
    keys, values = m.qk_width / m.heads, m.v_width / m.heads

    def time(backward: bool, *sides: tuple[Array, Array, Array]) -> Time:
        group = [tf.Matmul(*side, count, blocks) for side in sides]
        compute = sum(roofline.matmul_compute(p, chip) for p in group)
        between = roofline.kernel_time(score_bytes(job, m, tokens, tp, backward), job.chip)
        return Time(compute, sum(roofline.matmul_time(p, chip, job.width) for p in group) - compute + between)

    # the side of a head comes first, where libraries have flatter tiles
    of_values, of_keys = (values, span, queries), (keys, span, queries)
    return (
        time(False, (queries, keys, span), of_values),
        time(True, (queries, values, span), of_values, of_keys, of_keys),
    )


def score_bytes(job: Job, m: tf.Transformer, tokens: Array, tp: Array, backward: bool) -> Array:
    """Return what is read and written of scores that are not fused away, besides by their products [byte].

    Softmax reads and writes them, backward it reads their gradients and itself; its kernel for causal
    attention reads the lower half alone (NVIDIA Megatron-LM, scaled_upper_triang_masked_softmax). Dropout
    reads and writes them once more each way, with a mask of one byte. A bias is written where the product
    reads it.
    """
    passes = (2.0 if backward else 1.0) * (0.5 if m.causal else 1.0) + 1.0
    passes = passes + (2.0 if job.dropout else 0.0)
    passes = passes + (0.0 if backward or not job.stack.score_bias else 2.0)
    each = passes * job.width + (1.0 if job.dropout else 0.0)
    return each * tf.score_elements(m, tokens, job.seq_len, tp)


def elementwise(
    job: Job, m: tf.Transformer, tokens: Array, tp: Array, ep: Array, sequence_parallel: Array
) -> tuple[Array, Array]:
    """Return the time of memory-bound operators of a layer, forward and backward [s].

    Those of scores are with the products that they are between: :func:`attention`.
    """

    def time(backward: bool) -> Array:
        moved = tf.elementwise_bytes(m, tokens, tp, sequence_parallel, job.width, backward=backward, ep=ep)
        return roofline.kernel_time(moved, job.chip)

    return time(False), time(True)


def head(job: Job, m: tf.Transformer, tokens: Array, tp: Array) -> tuple[Array, Array]:
    """Return the vocabulary layer's time, forward and backward: matrix work, and the rest [s].

    It stays in 16 bits where the layers run in fewer, unless the software says otherwise. Where more than
    one token is predicted, each passes through it, and what comes out of the model is joined with the
    embedding of the token before and projected to the width of one (DeepSeek-AI 2024 (V3), section 2.2).
    """
    chip, times = _head_chip(job), job.stack.predictions
    frozen = job.lora is not None
    group = [tf.Matmul(tokens, m.hidden, m.vocab / tp, times, times)]
    if times > 1.0:
        group.append(tf.Matmul(tokens, 2.0 * m.hidden, m.hidden / tp, times - 1.0, times - 1.0))
    forward, backward = products(job, group, chip, frozen=frozen)
    loss = roofline.kernel_time(times * job.stack.loss_bytes * tokens * m.vocab / tp, job.chip)
    return forward.compute + backward.compute, forward.excess + backward.excess + loss


def head_weights(job: Job, m: tf.Transformer, tokens: Array, tp: Array) -> Array:
    """Return the time of the gradient of the vocabulary layer's weights, part of :func:`head` [s]."""
    if job.lora is not None:
        return 0.0 * tokens * tp
    p = tf.Matmul(m.hidden, tokens, m.vocab / tp, job.stack.predictions, job.stack.predictions)
    return roofline.matmul_time(p, _head_chip(job), job.width, summed=SUM * job.stack.fused_sums)


def _head_chip(job: Job) -> roofline.Chip:
    return job.chip if job.stack.narrow_head else roofline.wide(job.chip)

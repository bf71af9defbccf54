"""One inference step on one accelerator: compute-bound or bandwidth-bound (Pope 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics import roofline
from mlsysim.physics import transformer as tf
from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Pass:
    """One forward pass for a batch on one accelerator [s, FLOP, byte].

    Attributes:
        matmul: time of the matrix work at its achieved rate.
        stream: time to read weights, cache and inputs.
        time: the pass; operators overlap neither more nor less than the roofline says.
        flops: operations done.
        weights, cache, activations: memory held.
    """

    matmul: Array
    stream: Array
    time: Array
    flops: Array
    weights: Array
    cache: Array
    activations: Array


def decode_step(
    m: tf.Transformer, chip: roofline.Chip, *, batch: Array, context: Array, width: float
) -> Pass:
    """Return the pass that adds one token to each of ``batch`` sequences.

    Weights are read once for the batch, the KV cache of every sequence once (Pope 2023,
    section 3). A model without a causal mask (an encoder) makes one pass over ``context`` tokens.

    Args:
        m: the model.
        chip: the accelerator.
        batch: sequences.
        context: tokens that each sequence already has.
        width: bytes of a weight and of a cached element.
    """
    tokens = batch * (1.0 if m.causal else context)
    span = np.minimum(context, m.window) if m.window else context
    products = [p._replace(count=p.count * m.layers) for p in tf.layer_matmuls(m, tokens, 1.0, 1.0)]
    if m.experts:  # only the experts that some token of the batch chose are read
        products = [_routed(m, p, tokens) for p in products]
    products.append(tf.Matmul(tokens, m.hidden, m.vocab))
    attention = m.layers * tf.attention_flops(m, tokens, span)
    cache = batch * context * tf.kv_bytes_per_token(m, width) * (1.0 if m.causal else 0.0)
    read = cache * (span / context)
    weights = tf.total_params(m) * width
    matmul = sum(_compute(p, chip) for p in products) + roofline.compute_time(attention, chip)
    moved = sum(width * p.count * p.inner * p.columns for p in products) + read
    stream = roofline.stream_time(moved, chip)
    time = sum(roofline.matmul_time(p, chip, width) for p in products) + np.maximum(
        roofline.compute_time(attention, chip), roofline.stream_time(read, chip)
    )
    flops = sum(2.0 * p.rows * p.inner * p.columns * p.count for p in products) + attention
    widest = max(m.qk_width + 2.0 * m.kv_width, (2.0 if m.gated else 1.0) * m.ffn)
    activations = tokens * (2.0 * m.hidden + widest) * width + batch * m.vocab * 4.0
    return Pass(
        matmul=matmul,
        stream=stream,
        time=time,
        flops=flops,
        weights=weights,
        cache=cache,
        activations=activations,
    )


def _routed(m: tf.Transformer, p: tf.Matmul, tokens: Array) -> tf.Matmul:
    """Return an expert product with the experts that a small batch leaves idle taken out.

    With ``k`` of ``E`` experts a token and balanced routing, ``E (1 - (1 - k/E)^n)`` are used.
    """
    if np.ndim(p.count) or p.count <= m.layers:
        return p
    used = 1.0 - (1.0 - m.experts_active / m.experts) ** tokens
    return p._replace(rows=p.rows / used, count=p.count * used)


def _compute(p: tf.Matmul, chip: roofline.Chip) -> Array:
    return roofline.compute_time(2.0 * p.rows * p.inner * p.columns * p.count, chip) / roofline.tile_share(
        p, chip
    )

"""One inference pass of a model: compute-bound or bandwidth-bound (Pope 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics import collectives as net
from mlsysim.physics import kvcache, roofline
from mlsysim.physics import transformer as tf
from mlsysim.physics.types import Array

# Bytes of an element between products, of one that is exchanged and of the output projection: 16 bits
# where weights and cache are stored in fewer (NVIDIA Model Optimizer, recipes of post-training
# quantization).
ACTIVATION = 2.0


@dataclass(frozen=True)
class Load:
    """What the sequences of a pass ask of the model. The loads of a mixed batch add up.

    Attributes:
        tokens: that go through the matrices.
        scored: pairs of a token and a key that it attends to.
        read: cached tokens whose keys and values are read.
        held: cached tokens in memory after the pass.
        outputs: tokens that go through the output projection.
        kept: tokens whose logits are kept.
        captured: whether the kernels are launched as one graph, as those of decode passes are: then the
            host does not hold them up.
    """

    tokens: Array
    scored: Array
    read: Array
    held: Array
    outputs: Array
    kept: Array
    captured: bool = False

    def __add__(self, other: Load) -> Load:
        return Load(
            tokens=self.tokens + other.tokens,
            scored=self.scored + other.scored,
            read=self.read + other.read,
            held=self.held + other.held,
            outputs=self.outputs + other.outputs,
            kept=self.kept + other.kept,
            captured=self.captured and other.captured,
        )


@dataclass(frozen=True)
class Pass:
    """One forward pass for a batch, on each of its accelerators [s, FLOP, byte].

    Attributes:
        matmul: time of the matrix work at its achieved rate.
        stream: time to read weights, cache and inputs at the pace of streams.
        time: the pass; operators overlap neither more nor less than the roofline says.
        flops: operations done.
        weights, cache, activations: memory held.
        exposed: time of collectives.
    """

    matmul: Array
    stream: Array
    time: Array
    flops: Array
    weights: Array
    cache: Array
    activations: Array
    exposed: Array = 0.0


def decode_load(m: tf.Transformer, batch: Array, context: Array, queries: Array = 1.0) -> Load:
    """Return the load of adding ``queries`` tokens to each of ``batch`` sequences.

    The KV cache of every sequence is read once (Pope 2023, section 2). A model without a causal
    mask (an encoder) makes one pass over ``context`` tokens and keeps no cache.

    Args:
        m: the model.
        batch: sequences.
        context: tokens that each sequence already has.
        queries: tokens worked on at once: more than one where guesses are verified.
    """
    reach = context + 0.5 * (queries - 1.0)
    span = tf.in_reach(m, reach)
    tokens = batch * (queries if m.causal else context)
    cached = 1.0 if m.causal else 0.0
    return Load(
        tokens=tokens,
        scored=tokens * span,
        read=cached * batch * tf.in_reach(m, context),
        held=cached * batch * context,
        outputs=tokens,
        kept=batch * queries,
        captured=True,
    )


def prefill_load(m: tf.Transformer, batch: Array, prompt: Array, cached: Array = 0.0) -> Load:
    """Return the load of reading ``prompt`` tokens of each of ``batch`` sequences.

    Only the last token's logits are needed. With ``cached`` tokens already there, as for the later
    chunks of a prompt, the cache is read once (Agrawal 2024, section 4).
    """

    def scored_up_to(length: Array) -> Array:
        return length * tf.attended(m, np.maximum(length, 1.0))

    return Load(
        tokens=batch * prompt,
        scored=batch * (scored_up_to(cached + prompt) - scored_up_to(cached)),
        read=batch * tf.in_reach(m, cached),
        held=batch * (cached + prompt),
        outputs=batch + 0.0 * prompt,
        kept=batch + 0.0 * prompt,
    )


def tensor_traffic(m: tf.Transformer, tokens: Array, tp: Array, network: net.Network, width: float) -> Array:
    """Return the time of one layer's all-reduces over ``tp`` accelerators in a pass [s].

    See :func:`mlsysim.physics.transformer.all_reduces`. An all-gather with a reduce-scatter, as
    sequence parallelism has it, moves as much (Korthikanti 2022, section 4.2.2).
    """
    size = tokens * m.hidden * width
    return tf.all_reduces(m) * net.hierarchical_all_reduce_time(size, tp, 1.0, network)


def forward(
    m: tf.Transformer,
    chip: roofline.Chip,
    load: Load,
    *,
    width: float,
    tp: Array = 1.0,
    network: net.Network | None = None,
    shared_reads: bool = True,
    rereads: float | None = None,
) -> Pass:
    """Return one forward pass over ``tp`` accelerators that share each layer's matrices.

    Weights are read once for the batch (Pope 2023, section 2). Norms, residuals, positions and
    activations move what :func:`mlsysim.physics.transformer.elementwise_bytes` counts, and each kernel
    takes its time to start, which is most of a small pass; a pass whose kernels the host launches one by
    one takes at least the time of that. Where products run in fewer bits than 16,
    inputs that do not come out of a norm are cast before them, and the output projection stays in 16.

    Args:
        m: the model.
        chip: the accelerator.
        load: what the batch asks for.
        width: bytes of a weight and of a cached element; others have at least :data:`ACTIVATION`.
        tp: tensor-parallel size.
        network: of the accelerators; collectives take no time where it is None.
        shared_reads: whether query heads that share a KV head read its cache once; kernels without
            grouped queries read it once for each.
        rereads: rate at which they then do, from the level-2 cache; see
            :func:`mlsysim.physics.roofline.cache_time`.
    """
    products = products_of(m, load, tp)
    wide = max(width, ACTIVATION)
    head = head_of(m, load, tp)
    kv = kvcache.token_bytes(m, width, tp)
    attention, cached, times, scores = attention_of(
        m, chip, load, width=width, tp=tp, shared_reads=shared_reads
    )
    weights = sum(width * p.count * p.inner * p.columns for p in products) + wide * head.inner * head.columns
    moved, kernels = between(m, products, load, width=width, tp=tp)
    exposed = 0.0 * cached / chip.bandwidth
    if network is not None:
        exposed = exposed + m.layers * tensor_traffic(m, load.tokens, tp, network, wide)
    time = (
        sum(roofline.matmul_time(p, chip, width) for p in products)
        + roofline.matmul_time(head, roofline.wide(chip), wide)
        + np.maximum(scores, roofline.cache_time(cached, chip, times, rereads))
        + roofline.stream_time(moved, chip)
        + chip.launch * kernels
        + exposed
    )
    every = [*products, head]
    if chip.host and not load.captured:
        reduces = m.layers * tf.all_reduces(m) * np.where(np.asarray(tp) > 1, 1.0, 0.0)
        time = np.maximum(time, chip.host * (kernels + reduces + sum(p.launches for p in every)))
    widest = max(m.qk_width + 2.0 * m.kv_width, (2.0 if m.gated else 1.0) * m.ffn)
    return Pass(
        matmul=sum(roofline.matmul_compute(p, chip) for p in products)
        + roofline.matmul_compute(head, roofline.wide(chip))
        + scores,
        stream=roofline.stream_time(weights + moved + cached * (times if rereads is None else 1.0), chip),
        time=time,
        flops=sum(2.0 * p.rows * p.inner * p.columns * p.count for p in every) + attention,
        weights=held_weights(m, tp) * width,
        cache=load.held * kv,
        activations=load.tokens * (2.0 * m.hidden + widest / tp) * wide + load.kept * m.vocab / tp * 4.0,
        exposed=exposed,
    )


def products_of(m: tf.Transformer, load: Load, tp: Array) -> list[tf.Matmul]:
    """Return the matrix products of all layers of a pass; see :func:`forward`."""
    products = [
        p._replace(count=p.count * m.layers, launches=p.launches * m.layers)
        for p in tf.layer_matmuls(m, load.tokens, tp, 1.0)
    ]
    # only the experts that some token of the batch chose are read
    return [_routed(m, p, load.tokens) for p in products] if m.experts else products


def head_of(m: tf.Transformer, load: Load, tp: Array) -> tf.Matmul:
    """Return the output projection of a pass."""
    return tf.Matmul(load.outputs, m.hidden, m.vocab / tp, name="vocabulary")


def attention_of(
    m: tf.Transformer, chip: roofline.Chip, load: Load, *, width: float, tp: Array, shared_reads: bool
) -> tuple[Array, Array, Array, Array]:
    """Return attention over all layers of a pass: operations, cache, its reads, time of its matrix work.

    In FLOP, byte, how often and s; see :func:`forward`.
    """
    flops = m.layers * tf.attention_flops(m, load.scored, 1.0) / tp
    heads_of_group = 1.0 if shared_reads or m.kv_rank else m.heads / tp / (m.kv_heads * tf.kv_share(m, tp))
    cached = load.read * kvcache.token_bytes(m, width, tp)
    # prompts attend to half of their length on average
    length = 2.0 * load.scored / np.maximum(load.tokens, 1.0)
    return flops, cached, heads_of_group, roofline.attention_time(flops, chip, length, tf.head_width(m))


def between(
    m: tf.Transformer, products: list[tf.Matmul], load: Load, *, width: float, tp: Array
) -> tuple[Array, Array]:
    """Return what memory-bound operators of a pass move, and how many kernels there are [byte]."""
    wide = max(width, ACTIVATION)
    moved = m.layers * tf.elementwise_bytes(m, load.tokens, tp, False, wide)
    kernels = m.layers * tf.elementwise_kernels(m)
    if width < wide:
        cast = [p for p in products if not p.normed]
        moved = moved + sum((wide + width) * p.rows * p.inner * p.count for p in cast)
        kernels = kernels + sum(p.launches for p in cast)
    return moved, kernels


def decode_step(
    m: tf.Transformer,
    chip: roofline.Chip,
    *,
    batch: Array,
    context: Array,
    width: float,
    queries: Array = 1.0,
    tp: Array = 1.0,
    network: net.Network | None = None,
) -> Pass:
    """Return the pass that adds ``queries`` tokens to each of ``batch`` sequences.

    See :func:`decode_load` and :func:`forward`.
    """
    return forward(m, chip, decode_load(m, batch, context, queries), width=width, tp=tp, network=network)


def _routed(m: tf.Transformer, p: tf.Matmul, tokens: Array) -> tf.Matmul:
    """Return an expert product with the experts that a small batch leaves idle taken out.

    With ``k`` of ``E`` experts a token and balanced routing, ``E (1 - (1 - k/E)^n)`` are used.
    """
    if np.ndim(p.count) or p.count <= m.layers:
        return p
    used = 1.0 - (1.0 - m.experts_active / m.experts) ** tokens
    return p._replace(rows=p.rows / used, count=p.count * used)


def held_weights(m: tf.Transformer, tp: Array) -> Array:
    """Return the parameters that one of ``tp`` accelerators holds, replicated KV heads included."""
    return tf.total_params(m) / tp + m.layers * tf.kv_params(m) * (tf.kv_share(m, tp) - 1.0 / tp)

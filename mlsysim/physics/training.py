"""One training step of a transformer over a fleet, in factors.

Time and memory of a step factor into three parts that share few decisions:

- :func:`layer_part`: one layer and one microbatch on one rank, of (tp, cp, ep, microbatch,
  recompute, sequence parallel);
- :func:`pipeline_part`: of (pp, interleave);
- :func:`shard_part`: training state and gradient traffic, of (tp, cp, pp, dp, ep, zero).

Each part takes scalars or arrays. :func:`step` joins them and only adds, multiplies and takes
maxima, so it serves the engine with floats, sweeps with arrays and the solver with tables.

Ranks are placed tensor-parallel innermost, then context, then data, then pipeline (Narayanan
2021, section 3). Expert-parallel ranks are taken from the data-parallel ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics import collectives as net
from mlsysim.physics import memory, pipeline, roofline
from mlsysim.physics import transformer as tf
from mlsysim.physics.opaque import Operations
from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Weights:
    """Where the parameters of a model lie [param].

    Attributes:
        layers: how many equal layers there are.
        dense, expert: of one layer; expert weights are divided by expert parallelism too.
        first, last: held by the first and the last stage of a pipeline besides their layers.
        ends: held besides by a stage that is both.
    """

    layers: float
    dense: float
    expert: float
    first: float
    last: float
    ends: float


def weights_of(m: tf.Transformer | Operations) -> Weights:
    """Return where a model's parameters lie. A model known by its totals is one layer."""
    if isinstance(m, Operations):
        return Weights(1.0, m.params, 0.0, 0.0, 0.0, 0.0)
    first, head = tf.embedding_params(m), tf.head_params(m)
    last = head + m.vocab * m.hidden if m.tied else head
    expert = tf.expert_params(m)
    return Weights(m.layers, tf.layer_params(m) - expert, expert, first, last, first + head)


@dataclass(frozen=True)
class Job:
    """What does not change with the layout.

    Attributes:
        model: the transformer, or the totals of another model.
        weights: where its parameters lie.
        chip: the accelerator at the precision of the run.
        network: its network.
        accelerators: ``N``.
        batch: sequences (samples) a step.
        seq_len: tokens a sequence.
        width: bytes of an activation, a weight and a communicated gradient.
        state: bytes of training state a parameter.
        reserve: memory that the runtime keeps for itself [byte].
        overlap: share of gradient traffic that may hide behind compute.
        fused_attention, dropout: see :func:`mlsysim.physics.transformer.activation_bytes`.
    """

    model: tf.Transformer | Operations
    weights: Weights
    chip: roofline.Chip
    network: net.Network
    accelerators: float
    batch: float
    seq_len: float
    width: float
    state: memory.StateBytes
    reserve: float
    overlap: float
    fused_attention: bool
    dropout: bool


@dataclass(frozen=True)
class LayerPart:
    """One layer, one microbatch, one rank [s, byte]."""

    matmul: Array  # matrix products and attention, forward, backward and recomputation
    elementwise: Array
    exposed: Array  # tensor, context and expert traffic
    backward: Array  # backward share of the layer's time, behind which gradients hide
    head: Array  # vocabulary layer, forward and backward
    kept: Array  # activations kept until the backward pass
    transient: Array  # activations of the layer at work
    head_kept: Array
    boundary: Array  # bytes sent to the next stage
    rounds: Array  # microbatches a step over pipeline size: B tp cp / (N microbatch)


@dataclass(frozen=True)
class PipelinePart:
    """A pipeline schedule, in layers and stages."""

    stages: Array
    stage_layers: Array
    bubble: Array
    in_flight: Array
    sends: Array
    hop_per_byte: Array
    hop_latency: Array
    fill_sends: Array


@dataclass(frozen=True)
class ShardPart:
    """Training state and gradient traffic of one rank."""

    state_first: Array
    state_last: Array
    reduce: Array  # once a step
    reduce_floor: Array  # of it, what no compute is left to hide
    gather: Array  # every microbatch and stage of the pipeline (ZeRO 2 and 3)
    gather_floor: Array
    update: Array


@dataclass(frozen=True)
class Step:
    """A training step.

    Times in s, memory in byte per accelerator (the fullest one).
    """

    time: Array
    matmul: Array
    elementwise: Array
    exposed: Array
    bubble: Array
    update: Array
    memory: Array
    state: Array
    activations: Array


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
    """Return what one layer costs for one microbatch; arguments broadcast."""
    if isinstance(job.model, Operations):
        return _opaque_layer(job, job.model, microbatch)
    m, chip, width = job.model, job.chip, job.width
    tokens = microbatch * job.seq_len / cp
    again = np.where(np.asarray(recompute) == 2, 1.0, 0.0)

    products = tf.layer_matmuls(m, tokens, tp, ep)
    forward = sum(roofline.matmul_time(p, chip, width) for p in products)
    # gradients of inputs and of weights: two products of the same size
    backward = sum(
        roofline.matmul_time(tf.Matmul(p.rows, p.columns, p.inner, p.count), chip, width)
        + roofline.matmul_time(tf.Matmul(p.inner, p.rows, p.columns, p.count), chip, width)
        for p in products
    )
    attention = roofline.compute_time(tf.attention_flops(m, tokens, tf.attended(m, job.seq_len)) / tp, chip)
    # a fused backward pass recomputes the scores: 2.5 times the forward work (Dao 2023, sec. 3)
    attention_back = attention * (2.5 if job.fused_attention else 2.0)
    # selective recomputation repeats the attention core where scores are not fused away
    core_again = 0.0 * again if job.fused_attention else np.where(np.asarray(recompute) == 1, 1.0, 0.0)
    moved = tf.elementwise_bytes(m, tokens, tp, sequence_parallel, width)
    if not job.fused_attention:  # scores written, softmax read and written, read again
        moved = moved + 4.0 * width * m.attention_blocks * m.heads * job.seq_len * tokens / tp
    stream = roofline.stream_time(moved, chip)

    comm, comm_back = _layer_traffic(job, m, tokens, tp, cp, ep, attention, attention_back)
    matmul = (forward + attention) * (1.0 + again) + attention * core_again + backward + attention_back
    elementwise = stream * (3.0 + again)  # backward reads and writes about twice as much
    exposed = comm * (1.0 + again) + comm_back

    head_products = [
        tf.Matmul(tokens, m.hidden, m.vocab / tp),
        tf.Matmul(tokens, m.vocab / tp, m.hidden),
        tf.Matmul(m.hidden, tokens, m.vocab / tp),
    ]
    # the loss reads and writes 32-bit logits about three times
    head = sum(roofline.matmul_time(p, chip, width) for p in head_products) + roofline.stream_time(
        3.0 * 2.0 * 4.0 * tokens * m.vocab / tp, chip
    )

    def kept(mode: Array) -> Array:
        return tf.activation_bytes(
            m,
            tokens,
            job.seq_len,
            tp,
            sequence_parallel,
            mode,
            width_bytes=width,
            fused_attention=job.fused_attention,
            dropout=job.dropout,
        )

    return LayerPart(
        matmul=matmul,
        elementwise=elementwise,
        exposed=exposed,
        backward=matmul - forward - attention + elementwise - stream + exposed - comm,
        head=head,
        kept=kept(recompute),
        transient=np.where(np.asarray(recompute) == 2, kept(np.zeros_like(again)), 0.0),
        head_kept=tf.head_activation_bytes(m, tokens, tp, sequence_parallel, width),
        boundary=tokens * m.hidden * width / np.where(sequence_parallel, tp, 1.0),
        rounds=job.batch * tp * cp / (job.accelerators * microbatch) + 0.0 * again,
    )


def _layer_traffic(
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
    # tensor parallel: two all-reduces a pass, or as much as all-gather plus reduce-scatter
    # (Shoeybi 2019, section 3; Korthikanti 2022, section 4.2.2)
    size = tokens * m.hidden * width
    blocks = 1.0 + m.attention_blocks
    tensor = blocks * net.by_extent(
        tp, network, net.all_reduce_time(size, tp, network.up), net.all_reduce_time(size, tp, network.out)
    )
    # context parallel: keys and values go round the ring while attention works on what is there
    # (Liu 2023, Ring Attention)
    kv = tokens * (m.kv_width + m.v_width if m.kv_rank else 2.0 * m.kv_width) * width / tp
    hop = net.by_extent(tp * cp, network, net.send_time(kv, network.up), net.send_time(kv, network.out))
    ring = (cp - 1.0) * hop
    context = np.maximum(ring - attention, 0.0)
    context_back = np.maximum(2.0 * ring - attention_back, 0.0)
    # expert parallel: tokens to their experts and back (Lepikhin 2020)
    sent = m.moe_share * tokens * m.experts_active * m.hidden * width / tp
    expert = 2.0 * net.by_extent(
        tp * cp * ep,
        network,
        net.all_to_all_time(sent, ep, network.up),
        net.all_to_all_time(sent, ep, network.out),
    )
    return tensor + context + expert, tensor + context_back + expert


def _opaque_layer(job: Job, m: Operations, microbatch: Array) -> LayerPart:
    """Return the whole of a model that is known by its totals, as one layer.

    The backward pass does twice the work of the forward pass (Kaplan 2020, section 2.1).
    """
    compute = roofline.compute_time(microbatch * m.flops, job.chip)
    moved = m.params * job.width + microbatch * (m.moved + m.activations * job.width)
    forward = np.maximum(compute, roofline.stream_time(moved, job.chip)) + job.chip.launch
    none = 0.0 * compute
    return LayerPart(
        matmul=3.0 * compute,
        elementwise=3.0 * (forward - compute),
        exposed=none,
        backward=2.0 * forward,
        head=none,
        kept=microbatch * m.activations * job.width,
        transient=none,
        head_kept=none,
        boundary=none,
        rounds=job.batch / (job.accelerators * microbatch),
    )


def pipeline_part(job: Job, *, pp: Array, interleave: Array) -> PipelinePart:
    """Return a pipeline schedule; arguments broadcast."""
    layers = job.weights.layers
    up, out = job.network.up, job.network.out
    stride = job.accelerators / pp  # stages lie this far apart
    crosses = stride >= job.network.domain
    sends = pipeline.sends(pp, interleave)
    return PipelinePart(
        stages=pp + 0.0 * interleave,
        stage_layers=pipeline.layers_per_stage(layers, pp) + 0.0 * interleave,
        bubble=pipeline.bubble_layers(layers, pp, interleave),
        in_flight=pipeline.in_flight_layers(layers, pp, interleave),
        sends=sends,
        hop_per_byte=np.where(crosses, 1.0 / out.bandwidth, 1.0 / up.bandwidth),
        hop_latency=np.where(crosses, out.latency, up.latency),
        fill_sends=2.0 * (pp - 1.0) + 0.0 * interleave,
    )


def shard_part(job: Job, *, tp: Array, cp: Array, pp: Array, dp: Array, ep: Array, zero: Array) -> ShardPart:
    """Return training state and gradient traffic of one rank; arguments broadcast."""
    w, network, b = job.weights, job.network, job.state
    n = pipeline.layers_per_stage(w.layers, pp)
    expert, dense = n * w.expert / (tp * ep), n * w.dense / tp
    alone = np.asarray(pp) == 1  # one stage holds both ends
    first = np.where(alone, w.ends, w.first) / tp
    last = np.where(alone, w.ends, w.last) / tp

    # gradients and optimizer state of shared weights are divided among tp x cp x dp copies less
    # the tp split: context-parallel ranks hold copies too
    copies, expert_copies = dp * cp, dp * cp / ep
    zero = np.asarray(zero)

    def state(edge: Array) -> Array:
        held = memory.state_bytes(dense + edge, copies, zero, b) + memory.state_bytes(
            expert, expert_copies, zero, b
        )
        # stage 3 gathers the layer at work and the next one
        gathered = 2.0 * (dense + expert) / n * b.weights
        return held + np.where((zero >= 3) & (copies > 1), gathered, 0.0)

    edge = np.maximum(first, last)
    size, expert_size = (dense + edge) * job.width, expert * job.width
    one_pass = net.hierarchical_gather_time(size, copies, tp * 1.0, network) + net.hierarchical_gather_time(
        expert_size, expert_copies, tp * ep * 1.0, network
    )
    # 0: all-reduce; 1: reduce-scatter and all-gather; once a step.
    # 2: reduce-scatter each microbatch, all-gather once a step. 3: two gathers, one scatter.
    reduce = one_pass * np.select([zero <= 1, zero == 2], [2.0, 1.0], 0.0)
    gather = one_pass * np.select([zero == 2, zero == 3], [1.0, 3.0], 0.0)
    update = roofline.stream_time(
        memory.update_bytes(dense + edge, copies, zero, b)
        + memory.update_bytes(expert, expert_copies, zero, b),
        job.chip,
    )
    # the first layer's gather and the last layer's reduction have nothing to hide behind
    bare = 1.0 - job.overlap + job.overlap / n
    return ShardPart(
        state_first=state(first),
        state_last=state(last),
        reduce=reduce,
        reduce_floor=reduce * bare,
        gather=gather * pp,
        gather_floor=gather * pp * bare,
        update=update,
    )


def step(job: Job, layer: LayerPart, pipe: PipelinePart, shard: ShardPart) -> Step:
    """Join the parts into a step.

    ``m = rounds x stages`` microbatches pass through each stage; the bubble is that of
    :func:`mlsysim.physics.pipeline.bubble_layers`.
    """
    rounds = layer.rounds
    full = pipe.stages * pipe.stage_layers  # layers a round: L where stages are equal
    whole = layer.matmul + layer.elementwise + layer.exposed
    head = layer.head * rounds * pipe.stages
    bubble = whole * pipe.bubble
    hops = (
        (layer.boundary * rounds) * (pipe.stages * pipe.sends * pipe.hop_per_byte)
        + rounds * (pipe.stages * pipe.sends * pipe.hop_latency)
        + layer.boundary * (pipe.fill_sends * pipe.hop_per_byte)
        + pipe.fill_sends * pipe.hop_latency
    )
    # gradients reduced once a step hide behind one microbatch's backward pass, those of ZeRO 2
    # and 3 behind the whole step's compute
    reduce = np.maximum(shard.reduce_floor, shard.reduce - job.overlap * (layer.backward * pipe.stage_layers))
    gather = np.maximum(
        rounds * shard.gather_floor, rounds * shard.gather - job.overlap * ((whole * rounds) * full)
    )
    matmul = (layer.matmul * rounds) * full + head
    elementwise = (layer.elementwise * rounds) * full
    exposed = (layer.exposed * rounds) * full + hops + reduce + gather
    first = shard.state_first + (layer.kept * np.minimum(rounds, 1.0)) * pipe.in_flight
    last = shard.state_last + layer.kept * pipe.stage_layers + layer.head_kept
    held = np.maximum(first, last) + layer.transient + job.reserve
    state = np.maximum(shard.state_first, shard.state_last)
    return Step(
        time=matmul + elementwise + exposed + bubble + shard.update,
        matmul=matmul,
        elementwise=elementwise,
        exposed=exposed,
        bubble=bubble,
        update=shard.update,
        memory=held,
        state=state,
        activations=held - state - job.reserve,
    )

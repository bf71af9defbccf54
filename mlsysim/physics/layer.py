"""One layer of a training job, for one microbatch, on one rank: time and activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics import inference, modules, roofline, traffic, work
from mlsysim.physics import lora as low_rank
from mlsysim.physics import transformer as tf
from mlsysim.physics.job import Job
from mlsysim.physics.opaque import Operations
from mlsysim.physics.types import Array


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
    head_weights: Array  # of both, what the gradient of its weights takes
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

    products = tf.layer_matmuls(m, tokens, tp, ep)
    forward, backward = work.products(job, products, frozen=job.lora is not None)
    attention, attention_back = work.attention(job, m, tokens, tp, cp)
    # selective recomputation repeats the attention core where scores are not fused away
    core_again = 0.0 if job.fused_attention else np.where(selective, 1.0, 0.0)
    stream, back_stream = work.elementwise(job, m, tokens, tp, ep, sequence_parallel)
    stream = stream + attention.excess
    back_stream = back_stream + attention_back.excess + attention.excess * core_again
    comm, comm_back = traffic.ring(job, m, tokens, tp, cp, sum(attention), sum(attention_back))
    tensor = inference.tensor_traffic(m, tokens, tp, job.network, job.width)
    comm = comm + traffic.tensor_left(job, tensor, forward.compute + forward.excess, tp, overlap)
    comm_back = comm_back + traffic.tensor_left(job, tensor, backward.compute + backward.excess, tp, overlap)

    once = forward.compute + attention.compute
    back = backward.compute + attention_back.compute + attention.compute * core_again
    back_stream = back_stream + backward.excess
    again = modules.repeated(job, m, tokens, tp, ep, sequence_parallel, attention)
    back = back + again.compute
    back_stream = back_stream + again.excess
    experts = traffic.exchange(job, m, tokens, tp, cp, ep)
    comm = comm + traffic.exchange_left(job, experts, once + stream + forward.excess, overlap_experts)
    comm_back = comm_back + traffic.exchange_left(job, experts, back + back_stream, overlap_experts)
    busy = once + stream + forward.excess + comm
    busy_back = back + back_stream + comm_back
    wait, wait_again = work.host_waits(job, m, products, ep, busy, busy_back)
    added, added_back = work.biased(job, m, tokens, ep, np.where(sequence_parallel, tp, 1.0))
    adapters, adapters_back = work.adapters(job, m, tokens, tp)
    waited, waited_back = work.waited(job, m)
    stream = stream + added + adapters + waited
    back_stream = back_stream + added_back + adapters_back + waited_back
    last = work.stopped(job, m, tokens, tp)
    head, head_stream = work.head(job, m, tokens, tp)

    more = 0.0
    if job.lora is not None:
        more = low_rank.kept_elements(m, job.lora, tokens, tp, np.where(sequence_parallel, tp, 1.0))

    def kept(mode: Array) -> Array:
        return (
            none
            + np.where(mode == 2, 0.0, more * job.width)
            + tf.activation_bytes(
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
        )

    scattered = np.asarray(sequence_parallel) | job.stack.scattered_sends
    boundary = none + tokens * m.hidden * job.width / np.where(scattered, tp, 1.0)
    return LayerPart(
        matmul=none + once + back,
        elementwise=none + stream + forward.excess + back_stream + wait,
        exposed=none + comm + comm_back,
        again_matmul=none + once - last.compute,
        again_elementwise=none + stream + forward.excess - last.excess + wait_again,
        again_exposed=none + comm,
        # what hides behind the backward pass goes on while the accelerator waits for the host
        backward=none + back + back_stream + comm_back + np.maximum(wait - wait_again, 0.0),
        head=none + head,
        head_stream=none + head_stream,
        head_weights=none + work.head_weights(job, m, tokens, tp),
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
        head_weights=none,
        kept=kept,
        kept_again=kept,
        head_kept=none,
        boundary=none,
        passed=none,
        **_filling(rounds),
    )

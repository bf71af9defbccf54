"""Training state and gradient traffic of one rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlsysim.physics import collectives as net
from mlsysim.physics import memory, pipeline, roofline, topology
from mlsysim.physics.job import Job, adapters_of
from mlsysim.physics.types import Array


@dataclass(frozen=True)
class ShardPart:
    """Training state and gradient traffic of one rank [byte, s].

    State and what ZeRO 3 gathers are for each layer of a stage; the ends of the model come on top.
    """

    layer: Array
    gathered: Array  # of one layer, by ZeRO stage 3
    first: Array  # besides its layers, on the first stage
    last: Array
    host: Array  # optimizer state in the host's memory, for the fullest stage of an even split
    reduce_bare: Array  # once a step, what no compute is left to hide
    reduce_rest: Array  # what compute may hide
    gather_bare: Array  # every microbatch and stage of the pipeline (ZeRO 2 and 3)
    gather_rest: Array
    update: Array
    crossing: Array  # of a step between the halves of a fleet without pipeline stages


def shard_part(
    job: Job,
    *,
    tp: Array,
    cp: Array,
    pp: Array,
    dp: Array,
    ep: Array,
    zero: Array,
    overlap: Array = True,
    offload: Array = False,
) -> ShardPart:
    """Return training state and gradient traffic of one rank; arguments broadcast.

    Traffic and the optimizer step are those of the fullest stage of an even split.

    Args:
        job: the job.
        tp: tensor-parallel ranks.
        cp: context-parallel ranks.
        pp: pipeline stages.
        dp: data-parallel ranks.
        ep: expert-parallel ranks.
        zero: ZeRO stage.
        overlap: whether gradient traffic hides behind compute.
        offload: whether the optimizer and its state are on the host (Ren 2021, ZeRO-Offload).
    """
    w, network, b = job.weights, job.network, job.state
    n = pipeline.layers_per_stage(w.layers, pp)
    replicated = w.kv * (np.maximum(1.0 / tp, 1.0 / w.kv_heads) - 1.0 / tp)
    expert, dense = w.expert / (tp * ep), w.dense / tp + replicated
    alone = np.asarray(pp) == 1  # one stage holds both ends
    first = np.where(alone, w.ends, w.first) / tp
    last = np.where(alone, w.ends, w.last) / tp
    edge = np.maximum(first, last)
    # what is trained: all of it, or adapters beside weights that are frozen
    adapters = adapters_of(job)
    full = 1.0 if adapters is None else 0.0
    shared, own = (dense, expert) if adapters is None else (adapters.dense / tp, 0.0 * expert)

    # gradients and optimizer state of shared weights are divided among tp x cp x dp copies less
    # the tp split: context-parallel ranks hold copies too
    copies, expert_copies = dp * cp, dp * cp / ep
    zero, offload = np.asarray(zero), np.asarray(offload)

    def both(of: Callable[..., Array], shared: Array, own: Array, b: memory.StateBytes = b) -> Array:
        return of(shared, copies, zero, b) + of(own, expert_copies, zero, b)

    def state(shared: Array, own: Array = 0.0) -> Array:
        away = np.where(offload, both(memory.optimizer_bytes, shared, own), 0.0)
        return both(memory.state_bytes, shared, own) - away

    def frozen(shared: Array, own: Array = 0.0) -> Array:
        """State of weights that are frozen, where there are any."""
        return (1.0 - full) * both(memory.state_bytes, shared, own, memory.StateBytes(b.weights, 0.0, 0.0))

    def one_pass(shared: Array, own: Array, width: float = job.width) -> Array:
        """Time to gather a stage's parameters, or to scatter their gradients."""
        return net.hierarchical_gather_time(
            shared * width, copies, tp * 1.0, network
        ) + net.hierarchical_gather_time(own * width, expert_copies, tp * ep * 1.0, network)

    # of a stage: what is trained, and all that stage 3 of ZeRO gathers
    tuned, tuned_own = n * shared + full * edge, n * own
    held, held_own = (n * (dense + (1.0 - full) * shared) + edge, n * expert)
    # stage 3 gathers what it lacks of a layer
    lacking = (held - edge) / n * (1.0 - 1.0 / copies) + expert * (1.0 - 1.0 / expert_copies)
    update, sums = (
        one_pass(tuned, tuned_own),
        one_pass(tuned, tuned_own, job.stack.reduced_bytes or job.width),
    )
    # 0: all-reduce; 1: reduce-scatter and all-gather; once a step.
    # 2: reduce-scatter each microbatch, all-gather once a step. 3: two gathers, one scatter.
    spread = np.where((zero == 0) | ((zero == 1) & job.stack.whole_sums), 2.0, 1.0 * (zero == 1))
    reduce = sums * spread + update * ((zero == 1) | (zero == 2))
    gather = (sums * (zero >= 2) + 2.0 * one_pass(held, held_own) * (zero == 3)) * pp
    # the first layer's gather and the last layer's reduction have nothing to hide behind
    hides = np.where(overlap, job.overlap * (1.0 - 1.0 / n) * _hidden(job), 0.0)
    # nor has the gather of stage 2, which comes after the optimizer
    reduce_hides = np.where(zero == 2, 0.0, hides)
    none = 0.0 * offload * np.asarray(overlap)
    return ShardPart(
        layer=state(shared, own) + frozen(dense, expert) + none,
        gathered=np.where((zero >= 3) & (copies > 1), lacking * b.weights, 0.0) + none,
        first=state(full * first) + frozen(first) + none,
        last=state(full * last) + frozen(last) + none,
        host=np.where(offload, both(memory.optimizer_bytes, tuned, tuned_own), 0.0) + none,
        reduce_bare=reduce * (1.0 - reduce_hides) + _tied(job, tp, cp, pp, dp) + none,
        reduce_rest=reduce * reduce_hides + none,
        gather_bare=gather * (1.0 - hides) + none,
        gather_rest=gather * hides + none,
        update=_update_time(job, tuned, tuned_own, copies, expert_copies, zero, offload) + none,
        crossing=np.where(
            alone, _crossing(job, (tuned, tuned_own), (held, held_own), copies, expert_copies, zero), 0.0
        )
        + none,
    )


def _hidden(job: Job) -> float:
    """Return the share of hidden gathers and reductions that is left where their units alone are lost."""
    more = max(job.stack.shard_share - job.sender_share, 0.0)
    return 1.0 - more / (1.0 - job.sender_share) if more else 1.0


def _tied(job: Job, tp: Array, cp: Array, pp: Array, dp: Array) -> Array:
    """Return the time in which both ends of a pipeline add up the gradients of a matrix that they share [s].

    Input embedding and output projection, once a step, between the first and the last stage (Shoeybi 2019;
    Narayanan 2021: Megatron's embedding group).
    """
    if not job.weights.tied:
        return 0.0 * tp
    size = job.weights.tied * (job.stack.reduced_bytes or job.width) / tp
    up, out = (net.all_reduce_time(size, 2.0, tier) for tier in (job.network.up, job.network.out))
    return np.where(np.asarray(pp) > 1, net.by_extent(tp * cp * dp * pp, job.network, up, out), 0.0)


def _update_time(
    job: Job, shared: Array, own: Array, copies: Array, expert_copies: Array, zero: Array, offload: Array
) -> Array:
    """Return the time of the optimizer step [s].

    On the host it moves the same bytes at the host's pace, after the gradients have come down and
    before the weights go up (Ren 2021, section 4).
    """
    b = job.state
    moved = memory.update_bytes(shared, copies, zero, b) + memory.update_bytes(own, expert_copies, zero, b)
    # what a rank updates, sent as gradients and brought back as weights
    updated = (shared / np.where(zero >= 1, copies, 1.0) + own / np.where(zero >= 1, expert_copies, 1.0)) * (
        b.gradients + b.weights
    )
    away = moved / job.host_bandwidth + updated / job.host_link
    return np.where(offload, away, roofline.stream_time(moved, job.chip))


def _crossing(
    job: Job,
    tuned: tuple[Array, Array],
    held: tuple[Array, Array],
    copies: Array,
    expert_copies: Array,
    zero: Array,
) -> Array:
    """Return what gradients and weights send across the middle in a step, in one direction [byte].

    Once a step each way for stages 0 to 2; a gather of all weights twice for stage 3, and the scatter of
    gradients; what ZeRO 2 and 3 repeat for every microbatch is counted once.
    """
    n = job.accelerators

    def once(shared: Array, own: Array) -> Array:
        return topology.group_crossing(shared * job.width, copies, n / copies) + topology.group_crossing(
            own * job.width, expert_copies, n / expert_copies
        )

    return np.where(zero == 3, 2.0 * once(*held) + once(*tuned), 2.0 * once(*tuned))

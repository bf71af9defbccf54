"""Training state and gradient traffic of one rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlsysim.physics import collectives as net
from mlsysim.physics import memory, pipeline, roofline, topology
from mlsysim.physics.job import Job
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

    # gradients and optimizer state of shared weights are divided among tp x cp x dp copies less
    # the tp split: context-parallel ranks hold copies too
    copies, expert_copies = dp * cp, dp * cp / ep
    zero, offload = np.asarray(zero), np.asarray(offload)

    def both(of: Callable[..., Array], shared: Array, own: Array) -> Array:
        return of(shared, copies, zero, b) + of(own, expert_copies, zero, b)

    def state(shared: Array, own: Array = 0.0) -> Array:
        away = np.where(offload, both(memory.optimizer_bytes, shared, own), 0.0)
        return both(memory.state_bytes, shared, own) - away

    # stage 3 gathers what it lacks of a layer
    lacking = dense * (1.0 - 1.0 / copies) + expert * (1.0 - 1.0 / expert_copies)
    edge = np.maximum(first, last)
    size, expert_size = (n * dense + edge) * job.width, n * expert * job.width
    one_pass = net.hierarchical_gather_time(size, copies, tp * 1.0, network) + net.hierarchical_gather_time(
        expert_size, expert_copies, tp * ep * 1.0, network
    )
    # 0: all-reduce; 1: reduce-scatter and all-gather; once a step.
    # 2: reduce-scatter each microbatch, all-gather once a step. 3: two gathers, one scatter.
    reduce = one_pass * np.select([zero <= 1, zero == 2], [2.0, 1.0], 0.0)
    gather = one_pass * np.select([zero == 2, zero == 3], [1.0, 3.0], 0.0) * pp
    # the first layer's gather and the last layer's reduction have nothing to hide behind
    hides = np.where(overlap, job.overlap * (1.0 - 1.0 / n), 0.0)
    # nor has the gather of stage 2, which comes after the optimizer
    reduce_hides = np.where(zero == 2, 0.0, hides)
    none = 0.0 * offload * np.asarray(overlap)
    return ShardPart(
        layer=state(dense, expert) + none,
        gathered=np.where((zero >= 3) & (copies > 1), lacking * b.weights, 0.0) + none,
        first=state(first) + none,
        last=state(last) + none,
        host=np.where(offload, both(memory.optimizer_bytes, n * dense + edge, n * expert), 0.0) + none,
        reduce_bare=reduce * (1.0 - reduce_hides) + none,
        reduce_rest=reduce * reduce_hides + none,
        gather_bare=gather * (1.0 - hides) + none,
        gather_rest=gather * hides + none,
        update=_update_time(job, n * dense + edge, n * expert, copies, expert_copies, zero, offload) + none,
        crossing=np.where(alone, _crossing(job, size, copies, expert_size, expert_copies, zero), 0.0) + none,
    )


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
    job: Job, size: Array, copies: Array, expert_size: Array, expert_copies: Array, zero: Array
) -> Array:
    """Return what gradients and weights send across the middle in a step, in one direction [byte].

    Once a step each way for stages 0 to 2, with another gather for stage 3; what ZeRO 2 and 3 repeat
    for every microbatch is counted once.
    """
    n = job.accelerators
    once = topology.group_crossing(size, copies, n / copies) + topology.group_crossing(
        expert_size, expert_copies, n / expert_copies
    )
    return once * np.where(zero == 3, 3.0, 2.0)

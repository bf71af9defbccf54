"""Training state and gradient traffic of one rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics import collectives as net
from mlsysim.physics import memory, pipeline, roofline, topology
from mlsysim.physics.job import Job
from mlsysim.physics.types import Array


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
    crossing: Array  # of a step between the halves of a fleet without pipeline stages [byte]


def shard_part(job: Job, *, tp: Array, cp: Array, pp: Array, dp: Array, ep: Array, zero: Array) -> ShardPart:
    """Return training state and gradient traffic of one rank; arguments broadcast."""
    w, network, b = job.weights, job.network, job.state
    n = pipeline.layers_per_stage(w.layers, pp)
    replicated = w.kv * (np.maximum(1.0 / tp, 1.0 / w.kv_heads) - 1.0 / tp)
    expert, dense = n * w.expert / (tp * ep), n * (w.dense / tp + replicated)
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
        # stage 3 gathers what it lacks of the layer at work and of the next one
        lacking = dense * (1.0 - 1.0 / copies) + expert * (1.0 - 1.0 / expert_copies)
        gathered = np.minimum(2.0, n) / n * lacking * b.weights
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
        # the gather of stage 2 comes after the optimizer, with nothing to hide behind
        reduce_floor=reduce * np.where(zero == 2, 1.0, bare),
        gather=gather * pp,
        gather_floor=gather * pp * bare,
        update=update,
        crossing=np.where(alone, _crossing(job, size, copies, expert_size, expert_copies, zero), 0.0),
    )


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

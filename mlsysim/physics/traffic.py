"""Traffic of a layer between ranks, and what is left of it where work hides some."""

from __future__ import annotations

import numpy as np

from mlsysim.physics import collectives as net
from mlsysim.physics import transformer as tf
from mlsysim.physics.job import Job
from mlsysim.physics.types import Array


def traffic_left(bare: Array, rest: Array, work: Array, sender_share: float) -> Array:
    """Return the time that traffic adds to a step when work hides some of it.

    ``bare + s rest + (1 - s) max(0, rest - work)``: while traffic is hidden, the share ``s`` of the
    accelerator that moves data is lost to the work.

    Args:
        bare: what nothing can hide.
        rest: what the work may hide.
        work: the time of the work alone.
        sender_share: of the accelerator's units, those that move data.
    """
    return bare + sender_share * rest + (1.0 - sender_share) * np.maximum(0.0 * work, rest - work)


def tensor_left(job: Job, traffic: Array, work: Array, ranks: Array, overlap: Array) -> Array:
    """Return what is left of tensor-parallel traffic where products work on what has arrived.

    Product and traffic are cut into a part for each rank; the first part has nothing to hide behind
    (Wang 2022, section 4).
    """
    bare = traffic / ranks
    hidden = traffic_left(bare, traffic - bare, work, job.sender_share)
    return np.where(np.asarray(overlap) & (np.asarray(ranks) > 1), hidden, traffic)


def ring(
    job: Job, m: tf.Transformer, tokens: Array, tp: Array, cp: Array, attention: Array, attention_back: Array
) -> tuple[Array, Array]:
    """Return the exposed context-parallel traffic of one layer, forward and backward [s].

    Keys and values go round the ring while attention works on what is there (Liu 2023, Ring Attention).
    """
    network = job.network
    values = m.v_width if m.kv_rank else m.kv_width
    kv = tokens * (m.kv_width + values) * tf.kv_share(m, tp) * job.width
    hop = net.by_extent(tp * cp, network, net.send_time(kv, network.up), net.send_time(kv, network.out))
    ring = (cp - 1.0) * hop
    return np.maximum(ring - attention, 0.0), np.maximum(2.0 * ring - attention_back, 0.0)


def exchange(job: Job, m: tf.Transformer, tokens: Array, tp: Array, cp: Array, ep: Array) -> Array:
    """Return the time in which tokens go to their experts and back, one way through a layer [s].

    Lepikhin 2020; the backward pass sends as much. A token goes to each of its experts, or once to each
    rank that hosts some of them (:class:`mlsysim.physics.job.Stack`).
    """
    times = m.experts_active if job.stack.copies else tf.ranks_chosen(m, ep)
    sent = m.moe_share * tokens * times * m.hidden * job.width / tp
    return 2.0 * net.hierarchical_all_to_all_time(sent, ep, tp * cp, job.network)


def exchange_left(job: Job, exchange: Array, work: Array, overlap: Array) -> Array:
    """Return what is left of an exchange that may run beside the work of another microbatch.

    DualPipe does so (DeepSeek-AI 2024 (V3), section 3.2.1), and 1F1B in Megatron-Core.
    """
    hidden = traffic_left(0.0 * exchange, exchange, work, job.sender_share)
    return np.where(np.asarray(overlap), hidden, exchange)

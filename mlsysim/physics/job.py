"""A training job: what does not change with its layout."""

from __future__ import annotations

from dataclasses import dataclass

from mlsysim.physics import collectives as net
from mlsysim.physics import memory, roofline
from mlsysim.physics import transformer as tf
from mlsysim.physics.opaque import Operations


@dataclass(frozen=True)
class Weights:
    """Where the parameters of a model lie [param].

    Attributes:
        layers: how many equal layers there are.
        dense, expert: of one layer; expert weights are divided by expert parallelism too.
        kv, kv_heads: those of one layer's keys and values, which are replicated where there are
            more tensor-parallel ranks than KV heads.
        first, last: held by the first and the last stage of a pipeline besides their layers.
        ends: held besides by a stage that is both.
    """

    layers: float
    dense: float
    expert: float
    kv: float
    kv_heads: float
    first: float
    last: float
    ends: float


def weights_of(m: tf.Transformer | Operations) -> Weights:
    """Return where a model's parameters lie. A model known by its totals is one layer."""
    if isinstance(m, Operations):
        return Weights(1.0, m.params, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    first, head = tf.embedding_params(m), tf.head_params(m)
    last = head + m.vocab * m.hidden if m.tied else head
    expert = tf.expert_params(m)
    dense = tf.layer_params(m) - expert
    return Weights(m.layers, dense, expert, tf.kv_params(m), m.kv_heads, first, last, first + head)


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
        sender_share: of the accelerator's units, those that move the data of hidden traffic.
        host_link: bandwidth from an accelerator to its host [byte/s].
        host_bandwidth: of the host's memory, for each accelerator [byte/s].
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
    sender_share: float
    host_link: float
    host_bandwidth: float
    fused_attention: bool
    dropout: bool

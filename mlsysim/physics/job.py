"""A training job: what does not change with its layout."""

from __future__ import annotations

from dataclasses import dataclass

from mlsysim.physics import collectives as net
from mlsysim.physics import lora as low_rank
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
        tied: held by the first and the last stage alike, of one matrix.
    """

    layers: float
    dense: float
    expert: float
    kv: float
    kv_heads: float
    first: float
    last: float
    ends: float
    tied: float = 0.0


def weights_of(m: tf.Transformer | Operations) -> Weights:
    """Return where a model's parameters lie. A model known by its totals is one layer."""
    if isinstance(m, Operations):
        return Weights(1.0, m.params, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    first, head = tf.embedding_params(m), tf.head_params(m)
    tied = m.vocab * m.hidden if m.tied else 0.0
    expert = tf.expert_params(m)
    dense = tf.layer_params(m) - expert
    return Weights(
        m.layers, dense, expert, tf.kv_params(m), m.kv_heads, first, head + tied, first + head, tied
    )


# Bytes of a logit that a loss reads and writes, by how it is made. Operator by operator (NVIDIA Megatron-LM,
# vocab_parallel_cross_entropy): 16 to 32 bits, maximum, difference, exponential, sum, quotient; backward a
# product and 32 to 16 bits. Compiled (fused_cross_entropy.py): 32-bit logits about three times. As one
# kernel (Transformer Engine, parallel_cross_entropy): logits in 16 bits read twice, their gradient written
# in their place, and scaled.
LOSS_BYTES = {"operators": 52.0, "compiled": 24.0, "kernel": 10.0}
# Modules that Megatron-LM can recompute by themselves (``recompute_modules``).
MODULES = ("core_attn", "mla_up_proj", "layernorm", "moe_act", "mlp", "shared_experts", "moe")


@dataclass(frozen=True)
class Stack:
    """What the software of a run does, beside its layout.

    Attributes:
        fused_sums: whether the gradient of a weight is added to its sum in the product's own kernel
            (Megatron-LM since 2022, ``gradient_accumulation_fusion``), or by a kernel after it.
        early_stop: whether a layer that is recomputed stops at the last tensor that its backward pass
            needs, which leaves out its last product: PyTorch's ``set_checkpoint_early_stop``, default of
            checkpoints that are not reentrant; XLA drops that product as dead code.
        sum_bytes: read and written where a kernel of its own adds the gradient of a weight to its sum: 8
            in 32 bits, 4 in 16.
        scattered_sends: whether each tensor-parallel rank sends its share of what stages exchange, to be
            gathered behind (Narayanan 2021, section 4.1), though the ranks hold it all.
        attention_gain: rate of fused attention over that in 16 bits, where it runs in fewer.
        narrow_head: whether the vocabulary layer runs at the precision of the others.
        blocking: time that the host adds to every operator, where it waits for each to end before it
            issues the next (``CUDA_LAUNCH_BLOCKING=1``) [s].
        score_bias: whether a bias is added to scores that are not fused away (Press 2022, ALiBi): copied
            into their place, which their product then reads (PyTorch, ``baddbmm``).
        reduced_bytes: of a gradient as it is sent; 0 where that is the width of an activation.
        whole_sums: whether each rank gets the sums of all gradients though it updates its share alone
            (DeepSpeed, ``BF16_Optimizer``).
        shard_share: share of the work's time that is lost to gathers and reductions of shards while they are
            hidden; 0 where that is the share of units that send.
        loss_bytes: read and written by the loss for each logit, forward and backward; :data:`LOSS_BYTES`
            for implementations of it [byte].
        deferred: microbatches whose gradient of the vocabulary layer's weights the last stage leaves to
            the drain of the pipeline (Megatron-LM, ``defer_embedding_wgrad_compute``).
        predictions: tokens that each position predicts, each through the vocabulary layer; the layers of
            all but the first are among those of the model (DeepSeek-AI 2024 (V3), section 2.2).
        repeated: modules of a layer that the backward pass computes again; :data:`MODULES`.
        in_turns: whether the host issues the forward pass of one microbatch and the backward pass of another
            in turns, so that one's exchanges hide behind the other's work (Megatron-Core,
            ``overlap_moe_expert_parallel_comm``), and no graph of the whole step does it.
        copies: whether a token is sent to each of its experts, rather than once to each of their ranks.
    """

    fused_sums: bool = True
    early_stop: bool = False
    sum_bytes: float = 8.0
    scattered_sends: bool = False
    attention_gain: float = 1.0
    narrow_head: bool = False
    blocking: float = 0.0
    score_bias: bool = False
    reduced_bytes: float = 0.0
    whole_sums: bool = False
    shard_share: float = 0.0
    loss_bytes: float = 24.0
    deferred: float = 0.0
    predictions: float = 1.0
    repeated: tuple[str, ...] = ()
    in_turns: bool = False
    copies: bool = False


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
        stack: what the software does.
        lora: adapters that are trained in the place of the model; None where it is trained itself.
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
    stack: Stack = Stack()
    lora: low_rank.Lora | None = None


def adapters_of(job: Job) -> Weights | None:
    """Return where the parameters of a job's adapters lie; None where the model itself is trained."""
    if job.lora is None or isinstance(job.model, Operations):
        return None
    m = job.model
    return Weights(m.layers, low_rank.params(m, job.lora), 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)

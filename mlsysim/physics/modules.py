"""Modules of a layer that the backward pass computes again, one by one.

Between keeping all activations and recomputing whole layers, software drops what is cheap to make again:
``recompute_modules`` of NVIDIA Megatron-LM (``transformer_config.py``). What they save of memory is not
counted here.
"""

from __future__ import annotations

import numpy as np

from mlsysim.physics import roofline, work
from mlsysim.physics import transformer as tf
from mlsysim.physics.job import Job
from mlsysim.physics.types import Array


def repeated(
    job: Job,
    m: tf.Transformer,
    tokens: Array,
    tp: Array,
    ep: Array,
    sequence_parallel: Array,
    attention: work.Time,
) -> work.Time:
    """Return the time of modules that are computed again, of one layer and microbatch [s].

    Products and attention at the pace of the forward pass, norms and activations at that of memory. The
    last product of an MLP is left out: its output is no operand of the backward pass.

    Args:
        job: the job, with the modules in its software.
        m: the model.
        tokens: tokens of the rank.
        tp: tensor-parallel ranks.
        ep: expert-parallel ranks.
        sequence_parallel: whether norms are divided by ``tp`` too.
        attention: time of attention, forward.
    """
    names = job.stack.repeated
    if not names:
        return work.Time(0.0 * tokens, 0.0 * tokens)
    products = [p for p in tf.layer_matmuls(m, tokens, tp, ep) if _repeats(p.name, names)]
    forward, _ = work.products(job, products)
    core = attention if "core_attn" in names else work.Time(0.0, 0.0)
    compute, excess = forward.compute + core.compute, forward.excess + core.excess
    shared = np.where(sequence_parallel, tp, 1.0)
    # read and written: elements of a token
    moved = 0.0 * tokens * tp
    if "layernorm" in names:
        moved = moved + 2.0 * m.norms * m.hidden / shared
    if "mla_up_proj" in names and m.kv_rank:  # norms of the latents, and positions
        moved = moved + 2.0 * (m.q_rank + m.kv_rank) + 2.0 * m.heads * m.rope_dim / tp
    act = (3.0 if m.gated else 2.0) / tp
    if {"moe_act", "moe"} & set(names):
        moved = moved + act * m.moe_share * m.experts_active * m.expert_ffn
    if {"shared_experts", "moe"} & set(names):
        moved = moved + act * m.moe_share * m.shared_experts * m.expert_ffn
    if "mlp" in names:
        moved = moved + act * (1.0 - m.moe_share) * m.ffn
    return work.Time(compute, excess + roofline.kernel_time(tokens * job.width * moved, job.chip))


# The products that a module repeats.
_PRODUCTS = {
    "mla_up_proj": ("KV up", "Q up"),
    "mlp": ("MLP up",),
    "shared_experts": ("shared experts up",),
    "moe": ("router", "experts up", "shared experts up"),
}


def _repeats(product: str, names: tuple[str, ...]) -> bool:
    return any(product in _PRODUCTS.get(name, ()) for name in names)

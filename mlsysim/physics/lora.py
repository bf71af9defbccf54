"""Low-rank adapters: finetuning in which the weights of the model are frozen (Hu 2021, LoRA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mlsysim.physics import transformer as tf
from mlsysim.physics.transformer import Matmul, Transformer
from mlsysim.physics.types import Array

# The products of a layer that may have an adapter, in the order in which they run.
TARGETS = ("qkv", "projection", "up", "down")


@dataclass(frozen=True)
class Lora:
    """Adapters of a model.

    Attributes:
        rank: inner size of an adapter.
        targets: products that have one, of :data:`TARGETS`; those of routed experts have none.
    """

    rank: float
    targets: tuple[str, ...] = TARGETS


class Adapted(NamedTuple):
    """A product with an adapter: its sizes, and how often a token passes it in an average layer."""

    inner: float
    columns: float
    share: float


def adapted(m: Transformer, lora: Lora) -> list[Adapted]:
    """Return the products of an average layer that have an adapter, on all ranks together."""
    dense, shared = 1.0 - m.moe_share, m.moe_share * bool(m.shared_experts)
    ups = 2.0 if m.gated else 1.0
    blocks = m.attention_blocks
    if m.kv_rank:  # the projections down to the latents take the place of those to the heads
        attended = (m.kv_rank + m.rope_dim) + (m.q_rank or m.qk_width)
    else:
        attended = m.qk_width + 2.0 * m.kv_width
    widths = [(m.ffn, dense), (m.shared_experts * m.expert_ffn, shared)]
    found = {
        "qkv": [Adapted(m.hidden, attended, blocks)],
        "projection": [Adapted(m.v_width, m.hidden, blocks)],
        "up": [Adapted(m.hidden, ups * width, share) for width, share in widths if share],
        "down": [Adapted(width, m.hidden, share) for width, share in widths if share],
    }
    return [a for name in TARGETS if name in lora.targets for a in found[name]]


def params(m: Transformer, lora: Lora) -> float:
    """Return the parameters of one layer's adapters: ``r (inner + columns)`` each [param]."""
    return sum(lora.rank * (a.inner + a.columns) * a.share for a in adapted(m, lora))


def matmuls(m: Transformer, lora: Lora, tokens: Array, tp: Array) -> list[Matmul]:
    """Return the products of one layer's adapters on one rank, forward.

    Tensor parallelism divides both, as it does the product that they belong to.
    """
    return [
        product
        for a in adapted(m, lora)
        for product in (
            Matmul(tokens, a.inner / tp, lora.rank, a.share, a.share),
            Matmul(tokens, lora.rank, a.columns / tp, a.share, a.share),
        )
    ]


def added_elements(m: Transformer, lora: Lora, tokens: Array, tp: Array, *, backward: bool) -> Array:
    """Return the elements that the sums with what adapters give have: outputs, or gradients of inputs."""
    return sum(tokens * (a.inner if backward else a.columns) * a.share for a in adapted(m, lora)) / tp


def kept_elements(m: Transformer, lora: Lora, tokens: Array, tp: Array, shared: Array) -> Array:
    """Return by how many elements a layer keeps more than in full training; mostly below 0.

    A frozen product keeps no input for the gradient of its weights. Norms keep theirs, and so does
    attention its output: what is left out are outputs of norms, and of the activation.

    Args:
        m: the model.
        lora: its adapters.
        tokens: tokens of the rank.
        tp: tensor-parallel ranks.
        shared: ranks that the norms are divided by.
    """
    kept = tokens * lora.rank * sum(a.share for a in adapted(m, lora))
    if "qkv" not in lora.targets:
        kept = kept - tokens * m.hidden / shared
    dense = (1.0 - m.moe_share) * m.ffn + m.moe_share * m.shared_experts * m.expert_ffn
    routed = m.moe_share * m.experts_active
    if "up" not in lora.targets and m.moe_share == 0.0:  # a router reads the output of its norm besides
        kept = kept - tokens * m.hidden / shared
    kept = kept - tokens * routed * m.hidden / shared  # copies of tokens that experts would keep
    inner = routed * m.expert_ffn + (0.0 if "down" in lora.targets else dense)
    return kept - tokens * inner / tp


def model_flops(forward: float, attention: float) -> float:
    """Return the operations of a step that frozen weights leave [FLOP].

    Their products run forward and once backward, attention as in full training; adapters aside.

    Args:
        forward: operations of a forward pass.
        attention: those of attention among them.
    """
    return 2.0 * (forward - attention) + 3.0 * attention


def trained_params(m: Transformer, lora: Lora | None) -> float:
    """Return the parameters that a run trains [param]."""
    return m.layers * params(m, lora) if lora else tf.total_params(m)

"""Parameters, operations and activations of a transformer.

Symbols follow Korthikanti et al. 2022: ``s`` sequence length, ``b`` microbatch, ``h`` hidden size,
``a`` heads, ``L`` layers, ``v`` vocabulary, ``t`` tensor-parallel size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Transformer:
    """A transformer in numbers: what the equations below need, and nothing else.

    ``experts`` is 0 for a dense model; ``kv_rank`` is 0 without latent attention;
    ``attention_blocks`` is above 1 where some layers also attend to an encoder.
    """

    layers: float
    hidden: float
    ffn: float
    heads: float
    kv_heads: float
    head_dim: float
    vocab: float
    positions: float = 0.0
    gated: bool = True
    tied: bool = False
    causal: bool = True
    norm_width: float = 1.0
    norms: float = 2.0
    qkv_bias: bool = False
    bias: bool = False
    relative: bool = False
    attention_blocks: float = 1.0
    window: float = 0.0
    full_layers: float = 0.0
    experts: float = 0.0
    experts_active: float = 0.0
    expert_ffn: float = 0.0
    shared_experts: float = 0.0
    dense_layers: float = 0.0
    q_rank: float = 0.0
    kv_rank: float = 0.0
    rope_dim: float = 0.0
    nope_dim: float = 0.0
    value_dim: float = 0.0

    @property
    def moe_share(self) -> float:
        """Share of the layers whose MLP is a mixture of experts."""
        return (self.layers - self.dense_layers) / self.layers if self.experts else 0.0

    @property
    def qk_width(self) -> float:
        """Width of all query heads."""
        return self.heads * ((self.nope_dim + self.rope_dim) if self.kv_rank else self.head_dim)

    @property
    def kv_width(self) -> float:
        """Width of all key heads as the attention kernel reads them."""
        return self.qk_width if self.kv_rank else self.kv_heads * self.head_dim

    @property
    def v_width(self) -> float:
        """Width of all value heads as they enter the output projection."""
        return self.heads * (self.value_dim if self.kv_rank else self.head_dim)


class Matmul(NamedTuple):
    """``count`` products of a ``rows x inner`` by an ``inner x columns`` matrix, in some launches.

    ``normed`` says that the input comes out of a norm, which can write it in fewer bits at no cost;
    ``grouped`` that the products have operands of their own, as those of experts; ``name`` is for people.
    """

    rows: Array
    inner: Array
    columns: Array
    count: Array = 1.0
    launches: Array = 1.0
    normed: bool = False
    grouped: bool = False
    name: str = ""


# -- parameters ---------------------------------------------------------------------------------


def attention_params(m: Transformer) -> float:
    """Return the parameters of one layer's attention, norms excluded [param]."""
    if m.kv_rank:  # latent attention, DeepSeek-AI 2024 (V2), section 2.1
        query = (
            m.hidden * m.q_rank + m.q_rank * (m.qk_width + m.norm_width)
            if m.q_rank
            else m.hidden * m.qk_width
        )
        latent = (
            m.hidden * (m.kv_rank + m.rope_dim)
            + m.norm_width * m.kv_rank
            + m.kv_rank * m.heads * (m.nope_dim + m.value_dim)
        )
        return m.attention_blocks * (query + latent + m.v_width * m.hidden)
    qkv = m.qk_width + 2.0 * m.kv_width
    bias = qkv * (m.qkv_bias or m.bias) + m.hidden * m.bias
    relative = m.hidden * m.qk_width * m.relative  # of Transformer-XL, Dai 2019, section 3.3
    return m.attention_blocks * (m.hidden * qkv + m.qk_width * m.hidden + bias + relative)


def mlp_params(m: Transformer, width: float) -> float:
    """Return the parameters of one MLP of inner ``width`` [param]."""
    up = 2.0 if m.gated else 1.0
    return (up + 1.0) * m.hidden * width + m.bias * (up * width + m.hidden)


def expert_params(m: Transformer) -> float:
    """Return the parameters of the routed experts of an average layer [param]."""
    return m.moe_share * m.experts * mlp_params(m, m.expert_ffn)


def layer_params(m: Transformer) -> float:
    """Return the parameters of an average layer, experts included [param]."""
    routed = m.moe_share * (m.shared_experts * mlp_params(m, m.expert_ffn) + m.hidden * m.experts)
    dense = (1.0 - m.moe_share) * mlp_params(m, m.ffn)
    norms = (m.norms + m.attention_blocks - 1.0) * m.norm_width * m.hidden
    return attention_params(m) + dense + routed + expert_params(m) + norms


def embedding_params(m: Transformer) -> float:
    """Return the parameters of the input embedding and of learned positions [param]."""
    return (m.vocab + m.positions) * m.hidden


def head_params(m: Transformer) -> float:
    """Return the parameters of the output projection; the final norm included [param]."""
    return (0.0 if m.tied else m.vocab * m.hidden) + m.norm_width * m.hidden


def total_params(m: Transformer) -> float:
    """Return all parameters [param]."""
    return m.layers * layer_params(m) + embedding_params(m) + head_params(m)


def active_params(m: Transformer) -> float:
    """Return the parameters that one token passes through [param]."""
    if not m.experts:
        return total_params(m)
    idle = 1.0 - m.experts_active / m.experts
    return total_params(m) - m.layers * expert_params(m) * idle


# -- operations ---------------------------------------------------------------------------------


def attended(m: Transformer, seq_len: Array) -> Array:
    """Return how many positions a token attends to on average over a sequence.

    Half the sequence when causal (the kernels skip the masked half), at most the window.
    """
    span = 0.5 * seq_len if m.causal else 1.0 * seq_len
    if not m.window:
        return span
    # a causal window w over s tokens: w - w^2 / (2 s) for s > w
    w = np.minimum(m.window, seq_len)
    return over_layers(m, w - 0.5 * w * w / seq_len if m.causal else w, span)


def in_reach(m: Transformer, length: Array) -> Array:
    """Return how many of ``length`` earlier tokens a new one attends to, on average over the layers."""
    return over_layers(m, np.minimum(length, m.window), length) if m.window else length


def over_layers(m: Transformer, windowed: Array, full: Array) -> Array:
    """Return the mean over the layers of what windowed and full layers have.

    Some models attend to the whole context in every second or sixth layer (Gemma Team 2024, 2025).
    """
    share = m.full_layers / m.layers
    return (1.0 - share) * windowed + share * full


def attention_flops(m: Transformer, tokens: Array, span: Array) -> Array:
    """Return the operations of scores and weighted values of one layer, forward [FLOP].

    2 operations a multiply-add, for ``tokens`` queries over ``span`` keys each.
    """
    return m.attention_blocks * 2.0 * tokens * span * (m.qk_width + m.v_width)


def attention_bytes(m: Transformer, tokens: Array, tp: Array, width_bytes: float) -> Array:
    """Return what fused attention of one layer reads and writes on one rank, forward [byte].

    Queries, keys, values and the result, once each: scores never leave the chip (Dao 2022). Backward it
    is twice that: all four again, the gradient of the result, and three gradients.
    """
    keys = m.v_width / tp if m.kv_rank else m.kv_width * kv_share(m, tp)
    key_width = m.qk_width / tp if m.kv_rank else keys
    return m.attention_blocks * tokens * width_bytes * ((m.qk_width + m.v_width) / tp + key_width + keys)


def score_elements(m: Transformer, tokens: Array, seq_len: Array, tp: Array) -> Array:
    """Return how many scores one layer has on one rank: of each token with all of its sequence, by head."""
    return m.attention_blocks * m.heads * seq_len * tokens / tp


def kv_share(m: Transformer, tp: Array) -> Array:
    """Return the share of keys and values that a tensor-parallel rank holds.

    Beyond one KV head a rank, heads are replicated (Pope 2023, section 3.3). Latent attention has a
    key and a value for every query head.
    """
    return 1.0 / tp if m.kv_rank else np.maximum(1.0 / tp, 1.0 / m.kv_heads)


def kv_params(m: Transformer) -> float:
    """Return the parameters of one layer's key and value projections [param]."""
    return 0.0 if m.kv_rank else m.attention_blocks * 2.0 * m.hidden * m.kv_width


def all_reduces(m: Transformer) -> float:
    """Return how often a layer's pass sums over its tensor-parallel ranks.

    Once after attention and once after the MLP (Shoeybi 2019, section 3); a parallel block sums both
    at once (Chowdhery 2022, section 2).
    """
    return m.attention_blocks if m.norms < 2.0 else 1.0 + m.attention_blocks


def layer_matmuls(m: Transformer, tokens: Array, tp: Array, ep: Array) -> list[Matmul]:
    """Return the matrix products of an average layer on one rank, forward.

    Args:
        m: the model.
        tokens: tokens that the rank works on.
        tp: tensor-parallel size; divides heads and MLP widths (Shoeybi 2019).
        ep: expert-parallel size; a rank hosts ``experts / ep`` experts and, with balanced
            routing, as many token copies as it sends.
    """
    n = m.attention_blocks
    if m.kv_rank:
        products = [
            Matmul(tokens, m.hidden, m.kv_rank + m.rope_dim, n, n, True, name="KV down"),
            Matmul(tokens, m.kv_rank, m.heads * (m.nope_dim + m.value_dim) / tp, n, n, name="KV up"),
        ]
        if m.q_rank:
            products += [
                Matmul(tokens, m.hidden, m.q_rank, n, n, name="Q down"),
                Matmul(tokens, m.q_rank, m.qk_width / tp, n, n, name="Q up"),
            ]
        else:
            products.append(Matmul(tokens, m.hidden, m.qk_width / tp, n, n, name="Q"))
    else:
        columns = m.qk_width / tp + 2.0 * m.kv_width * kv_share(m, tp)
        products = [Matmul(tokens, m.hidden, columns, n, n, True, name="QKV")]
    products.append(Matmul(tokens, m.v_width / tp, m.hidden, n, n, name="attention output"))
    if m.moe_share < 1.0:
        dense = 1.0 - m.moe_share
        products += _mlp(m, "MLP", tokens, m.ffn / tp, dense, dense, True)
    if m.moe_share:
        local, share = m.experts / ep, m.moe_share
        products.append(Matmul(tokens, m.hidden, m.experts, share, share, name="router"))
        # a rank's experts are one grouped product (Gale 2023, MegaBlocks)
        rows, width = tokens * m.experts_active / local, m.expert_ffn / tp
        products += [p._replace(grouped=True) for p in _mlp(m, "experts", rows, width, share * local, share)]
        if m.shared_experts:
            width = m.shared_experts * m.expert_ffn / tp
            products += _mlp(m, "shared experts", tokens, width, share, share)
    return products


def _mlp(
    m: Transformer,
    name: str,
    rows: Array,
    width: Array,
    count: Array,
    launches: Array,
    normed: bool = False,
) -> list[Matmul]:
    up = (2.0 if m.gated else 1.0) * width
    return [
        Matmul(rows, m.hidden, up, count, launches, normed, name=f"{name} up"),
        Matmul(rows, width, m.hidden, count, launches, name=f"{name} down"),
    ]


def ranks_chosen(m: Transformer, ep: Array) -> Array:
    """Return to how many of ``ep`` expert-parallel ranks a token goes, with balanced routing.

    One copy serves all of its experts on a rank (DeepSeek-AI 2024 (V3), section 3.2.2). With ``k``
    different ones of ``E`` experts and ``E/n`` on each of ``n`` ranks, a rank has none of them with
    probability ``C(E - E/n, k) / C(E, k)``.
    """
    missed = 1.0 + 0.0 * np.asarray(ep, dtype=float)
    for i in range(int(m.experts_active)):
        missed = missed * np.maximum(m.experts - m.experts / ep - i, 0.0) / (m.experts - i)
    return ep * (1.0 - missed)


def forward_flops(m: Transformer, tokens: Array, span: Array) -> Array:
    """Return the operations of one forward pass of the whole model [FLOP].

    2 operations a token and matrix parameter, plus attention over ``span`` positions a token
    (Kaplan 2020, section 2.1; Chowdhery 2022, appendix B).
    """
    products = layer_matmuls(m, tokens, 1.0, 1.0)
    layer = sum(2.0 * p.rows * p.inner * p.columns * p.count for p in products)
    head = 2.0 * tokens * m.hidden * m.vocab
    return m.layers * (layer + attention_flops(m, tokens, span)) + head


def elementwise_bytes(
    m: Transformer,
    tokens: Array,
    tp: Array,
    sequence_parallel: Array,
    width_bytes: float,
    *,
    backward: bool = False,
    ep: Array = 1.0,
) -> Array:
    """Return the bytes that memory-bound operators of one layer move, forward or backward [byte].

    Counted by operator, as Megatron and Transformer Engine run them, in tensors of width ``h``:

    - a norm reads one and writes one; its gradient reads the input and the gradient, and writes one;
    - a residual addition reads two and writes one, and so does the sum of the gradients of its branches;
    - rotary positions read and write queries and keys, both ways;
    - the activation reads its one or two inputs and writes its output; its gradient reads all of these
      and writes one for each input;
    - experts: token copies are gathered and scattered back, and once more by local expert where they
      come from other ranks.

    Norms and residuals are divided by ``tp`` only with sequence parallelism (Korthikanti 2022, section
    4.2.2).
    """
    shared = np.where(sequence_parallel, tp, 1.0)
    blocks = m.attention_blocks
    norms = (3.0 if backward else 2.0) * (m.norms + blocks - 1.0) * m.hidden / shared
    residuals = 3.0 * (1.0 + blocks if m.norms >= 2.0 else blocks) * m.hidden / shared
    rope = 2.0 * blocks * (m.qk_width / tp + m.kv_width * kv_share(m, tp))
    ups = 2.0 if m.gated else 1.0
    per_inner = (2.0 * ups + 1.0 if backward else ups + 1.0) / tp
    inner = (1.0 - m.moe_share) * m.ffn + m.moe_share * (m.experts_active + m.shared_experts) * m.expert_ffn
    copies = m.moe_share * np.where(np.asarray(ep) > 1, 8.0, 4.0) * m.experts_active * m.hidden / shared
    return tokens * width_bytes * (norms + residuals + rope + per_inner * inner + copies)


def elementwise_kernels(m: Transformer) -> float:
    """Return the kernels of one layer's forward pass besides its matrix products.

    A norm with the residual before it, positions, and fused attention are one each, and so is the
    activation; experts need a choice and a gathering and a scattering of tokens.
    """
    blocks = m.attention_blocks
    return (m.norms + blocks - 1.0) + 2.0 * blocks + 1.0 + 3.0 * m.moe_share


def operators(m: Transformer, fused_attention: bool) -> float:
    """Return the operators that a framework issues for one layer's forward pass.

    Products, two reductions over ranks and the kernels above; where attention is not fused, two batched
    products, softmax and dropout in the place of one kernel, and copies into heads and back (Shoeybi 2019,
    ``ParallelAttention``).
    """
    blocks = m.attention_blocks
    products = 2.0 * blocks + 2.0
    attention = 0.0 if fused_attention else 7.0 * blocks
    return products + all_reduces(m) + elementwise_kernels(m) + attention + 2.0


def weight_tensors(m: Transformer) -> float:
    """Return how many tensors the weights and biases of a layer are, experts aside."""
    norms = m.norms + m.attention_blocks - 1.0
    return (2.0 * m.attention_blocks + 2.0) * (1.0 + m.bias) + norms * m.norm_width


def head_width(m: Transformer) -> float:
    """Return the width of a head: the mean of that of keys and of values."""
    return 0.5 * (m.qk_width + m.v_width) / m.heads


# -- activations --------------------------------------------------------------------------------

RECOMPUTE = ("none", "selective", "full")


def activation_bytes(
    m: Transformer,
    tokens: Array,
    seq_len: float,
    tp: Array,
    sequence_parallel: Array,
    recompute: Array,
    *,
    width_bytes: float = 2.0,
    fused_attention: bool = True,
    dropout: bool = False,
) -> Array:
    """Return the activations that one layer keeps for its backward pass, on one rank [byte].

    Korthikanti et al. 2022, equations 1 to 6, written per tensor so that grouped queries, gated
    MLPs and experts count as they are. With ``h``-wide heads, a 4h GELU MLP and dropout it is
    ``sbh (10 + 24/t + 5 a s / (h t))``, and ``(sbh/t) (34 + 5 a s / h)`` with sequence parallelism.

    Args:
        m: the model.
        tokens: ``s b`` on this rank (after context parallelism).
        seq_len: ``s``, the keys that each token scores against.
        tp: ``t``.
        sequence_parallel: whether the rest of the layer is divided by ``t`` too.
        recompute: index into :data:`RECOMPUTE`.
        width_bytes: bytes of one activation element.
        fused_attention: the scores are never stored (Dao 2022), as selective recomputation has it.
        dropout: masks of one byte an element are kept.
    """
    n = m.attention_blocks
    shared = np.where(sequence_parallel, tp, 1.0)
    masks = 2.0 if dropout else 0.0
    outside = (m.norms + 1.0 + n) * m.hidden * width_bytes + masks * m.hidden
    values = m.v_width if m.kv_rank else m.kv_width
    heads = (m.qk_width + m.v_width) / tp + (m.kv_width + values) * kv_share(m, tp)
    per_inner = 3.0 if m.gated else 2.0
    inner = (1.0 - m.moe_share) * m.ffn + m.moe_share * (m.experts_active + m.shared_experts) * m.expert_ffn
    copies = m.moe_share * m.experts_active * m.hidden
    kept = tokens * (outside / shared + width_bytes * (n * heads + per_inner * inner / tp + copies / shared))
    # softmax output, its mask, and the dropped-out scores: 2 + 1 + 2 bytes in the paper
    scores = (2.0 * width_bytes + 1.0 if dropout else width_bytes) * score_elements(m, tokens, seq_len, tp)
    stored_scores = 0.0 * scores if fused_attention else np.where(recompute == 0, scores, 0.0)
    whole = tokens * m.hidden * width_bytes / shared
    return np.where(recompute == 2, whole, kept + stored_scores)


def head_activation_bytes(
    m: Transformer, tokens: Array, tp: Array, sequence_parallel: Array, width_bytes: float = 2.0
) -> Array:
    """Return what final norm, output projection and loss keep [byte].

    Korthikanti 2022, section 4.3: inputs of norm and projection, and logits in 32 bits.
    """
    shared = np.where(sequence_parallel, tp, 1.0)
    return tokens * (2.0 * width_bytes * m.hidden / shared + 4.0 * m.vocab / tp)


def kv_bytes_per_token(m: Transformer, width_bytes: float) -> float:
    """Return the bytes that one token leaves in the KV cache over all layers [byte].

    Keys and values of every KV head (Pope 2023, section 2.1), or the latent and the rotary key
    (DeepSeek-AI 2024, section 2.1.2).
    """
    width = (m.kv_rank + m.rope_dim) if m.kv_rank else 2.0 * m.kv_heads * m.head_dim
    return m.layers * m.attention_blocks * width * width_bytes

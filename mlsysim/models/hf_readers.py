"""What single model families have of their own in a Hugging Face ``config.json``.

Each reader takes the keys of a config and adds to the draft of an architecture; all raise InputError
on a key that is missing, malformed, or does not go with another.
"""

from __future__ import annotations

import math

from mlsysim.core.errors import InputError
from mlsysim.models.hf_keys import Draft, Keys, Number


def attention_bias(keys: Keys, draft: Draft) -> None:
    """Llama, Gemma, Qwen 3: biases of the attention and of the MLP, both off by default."""
    attention = keys.flag("attention_bias", False)
    draft.traits["bias"] = ("all" if keys.flag("mlp_bias", False) else "qkv") if attention else "none"


def window(keys: Keys, draft: Draft, full: float = 0.0, *full_keys: str) -> None:
    """Set a sliding window and the number of layers without it, unless it spans the context anyway."""
    span = keys.maybe("sliding_window", least=1)
    context = draft.numbers.get("context")
    if span is not None and (context is None or span.value < context.value):
        draft.numbers["window"] = Number(span.value, span.keys)
        if full:
            draft.derive("full_layers", full, *full_keys)


def qwen_window(keys: Keys, draft: Draft) -> None:
    """Qwen 2 and 3: a window only if it is switched on, and only from ``max_window_layers`` on."""
    full = keys.maybe("max_window_layers")
    if keys.flag("use_sliding_window", False) and full and full.value < draft.value("layers"):
        window(keys, draft, full.value, *full.keys)


def gemma2_window(keys: Keys, draft: Draft) -> None:
    """Gemma 2: windowed layers alternate with full ones (Gemma Team 2024, section 2)."""
    window(keys, draft, draft.value("layers") // 2, "num_hidden_layers")


def gemma3_window(keys: Keys, draft: Draft) -> None:
    """Gemma 3: five windowed layers to a full one (Gemma Team 2025, section 2)."""
    period = keys.maybe("sliding_window_pattern", "_sliding_window_pattern", least=1)
    full = draft.value("layers") // (period.value if period else 6)
    window(keys, draft, full, "num_hidden_layers", *(period.keys if period else ()))


def _experts(
    keys: Keys, draft: Draft, count: Number, dense: float, dense_keys: tuple[str, ...], width: Number
) -> bool:
    """Set the fields of a mixture of experts; return False where every layer is dense."""
    layers = draft.value("layers")
    if dense >= layers or not count.value:
        return False
    active = keys.need("num_experts_per_tok")
    if active.value > count.value:
        raise InputError(
            f"{active.value:g} of {count.value:g} experts cannot be active",
            where=keys.spot("num_experts_per_tok"),
        )
    draft.numbers |= {"experts": count, "experts_active": active, "expert_ffn": width}
    if dense:
        draft.derive("dense_layers", dense, *dense_keys)
    else:
        draft.numbers["ffn"] = width
    return True


def mixtral(keys: Keys, draft: Draft) -> None:
    """Jiang 2024: every layer has experts of the usual MLP width."""
    window(keys, draft)
    _experts(keys, draft, keys.need("num_local_experts"), 0.0, (), draft.numbers["ffn"])


def qwen_moe(keys: Keys, draft: Draft) -> None:
    """Qwen MoE: experts on every ``decoder_sparse_step``-th layer that is not ``mlp_only``."""
    qwen_window(keys, draft)
    layers = int(draft.value("layers"))
    step = keys.maybe("decoder_sparse_step", least=1)
    every = int(step.value) if step else 1
    only = keys.positions("mlp_only_layers", layers)
    dense = layers - (layers // every - sum((i + 1) % every == 0 for i in only))
    width = keys.need("moe_intermediate_size")
    if _experts(
        keys, draft, keys.need("num_experts"), dense, ("decoder_sparse_step", "mlp_only_layers"), width
    ):
        shared = keys.maybe("shared_expert_intermediate_size")
        if shared and shared.value:
            draft.derive("shared_experts", shared.value / width.value, *shared.keys, *width.keys)


def deepseek(keys: Keys, draft: Draft) -> None:
    """DeepSeek-AI 2024: latent attention; experts after the first dense layers."""
    for name, key in (
        ("kv_rank", "kv_lora_rank"),
        ("rope_dim", "qk_rope_head_dim"),
        ("nope_dim", "qk_nope_head_dim"),
        ("value_dim", "v_head_dim"),
    ):
        draft.numbers[name] = keys.need(key)
    draft.numbers["head_dim"] = draft.numbers["value_dim"]
    rank = keys.maybe("q_lora_rank", least=1)
    if rank is not None:
        draft.numbers["q_rank"] = rank
    elif not keys.has("q_lora_rank"):
        raise InputError(
            "'q_lora_rank' is missing", where=keys.where, hint="null says that queries are not compressed"
        )
    count = keys.maybe("n_routed_experts")
    if count is not None and count.value:
        first, step = keys.maybe("first_k_dense_replace"), keys.maybe("moe_layer_freq", least=1)
        layers, every = int(draft.value("layers")), int(step.value) if step else 1
        start = min(int(first.value), layers) if first else 0
        sparse = (layers + every - 1) // every - (start + every - 1) // every
        shared = keys.maybe("n_shared_experts")
        if (
            _experts(
                keys,
                draft,
                count,
                layers - sparse,
                ("first_k_dense_replace", "moe_layer_freq"),
                keys.need("moe_intermediate_size"),
            )
            and shared
            and shared.value
        ):
            draft.numbers["shared_experts"] = shared
    extra = keys.maybe("num_nextn_predict_layers")
    if extra and extra.value:
        draft.notes.append("without the layers that predict further tokens")


def llama4(keys: Keys, draft: Draft) -> None:
    """Llama 4: one shared expert; experts on every ``interleave_moe_layer_step``-th layer."""
    step = keys.maybe("interleave_moe_layer_step", least=1)
    layers, every = int(draft.value("layers")), int(step.value) if step else 1
    sparse = keys.positions("moe_layers", layers)
    dense = layers - (len(sparse) or layers // every)
    width = draft.numbers["ffn"]
    if dense:
        draft.numbers["ffn"] = keys.need("intermediate_size_mlp")
    if _experts(keys, draft, keys.need("num_local_experts"), dense, ("interleave_moe_layer_step",), width):
        draft.derive("shared_experts", 1.0, "one in every layer that has experts")


def neox(keys: Keys, draft: Draft) -> None:
    """GPT-NeoX: parallel residuals, yet a norm for each of attention and MLP (Black 2022)."""
    draft.traits["bias"] = "all" if keys.flag("attention_bias", True) else "none"


def opt(keys: Keys, draft: Draft) -> None:
    """OPT: embeddings as wide as the model, which only OPT-350M is not (Zhang 2022)."""
    width = keys.maybe("word_embed_proj_dim", least=1)
    if width is not None and width.value != draft.value("hidden"):
        raise InputError(
            f"an embedding of width {width.value:g} in a model of width "
            f"{draft.value('hidden'):g} is not modelled",
            where=keys.spot("word_embed_proj_dim"),
            hint="write an entry of your own, with `parameters` as published",
        )
    draft.traits["bias"] = "all" if keys.flag("enable_bias", True) else "none"


def falcon(keys: Keys, draft: Draft) -> None:
    """Falcon: multi-query or grouped heads, and one norm a layer or two (Almazrouei 2023)."""
    new = keys.flag("new_decoder_architecture", False)
    grouped = keys.maybe("num_kv_heads", "n_head_kv", least=1)
    if new and grouped is not None:
        draft.numbers["kv_heads"] = grouped
    elif not new and keys.flag("multi_query", True):
        draft.derive("kv_heads", 1.0, "multi_query")
    norms = keys.maybe("num_ln_in_parallel_attn", least=1)
    two = new and (norms is None or norms.value == 2.0)
    draft.traits["parallel_block"] = keys.flag("parallel_attn", True) and not two
    draft.traits["bias"] = "all" if keys.flag("bias", False) else "none"
    draft.traits["positions"] = "alibi" if keys.flag("alibi", False) else "rope"


def mamba(keys: Keys, draft: Draft) -> None:
    """Mamba (Gu and Dao 2023), as released (``d_model``, ``ssm_cfg``) or as in Transformers."""
    own = keys.part("ssm_cfg")
    if own.text("layer") not in ("", "Mamba1"):
        raise InputError(f"the layer {own.text('layer')[:80]!r} is not modelled", where=own.spot("layer"))
    n = draft.numbers
    n["layers"], n["hidden"] = keys.need("num_hidden_layers", "n_layer"), keys.need("hidden_size", "d_model")
    hidden = draft.value("hidden")
    for name, key, old, usual in (
        ("state", "state_size", "d_state", 16.0),
        ("conv", "conv_kernel", "d_conv", 4.0),
        ("expand", "expand", "expand", 2.0),
    ):
        n[name] = (
            keys.maybe(key, least=1)
            or own.maybe(old, least=1)
            or Number(usual, (), note="default of Gu and Dao 2023")
        )
    inner = keys.maybe("intermediate_size", least=1)
    if inner is not None:  # what the weights have; Falcon Mamba's `expand` says something else
        draft.derive("expand", inner.value / hidden, *inner.keys, *n["hidden"].keys)
    given, place = ("time_step_rank", keys) if keys.has("time_step_rank") else ("dt_rank", own)
    if not place.has(given) or place.says(given, "auto"):
        draft.derive("dt_rank", math.ceil(hidden / 16.0), *n["hidden"].keys)
    else:
        n["dt_rank"] = place.need(given)
    n["vocab"] = keys.need("vocab_size")
    padded = keys.maybe("pad_vocab_size_multiple", least=1)
    if padded is not None and not keys.has("model_type"):
        draft.derive(
            "vocab",
            -(-draft.value("vocab") // padded.value) * padded.value,
            "vocab_size",
            "pad_vocab_size_multiple",
        )
    draft.traits["bias"] = "all" if keys.flag("use_bias", False) else "none"

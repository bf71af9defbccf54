"""What the keys of a Hugging Face ``config.json`` mean, one record per model family.

A family says which key holds which field of :class:`mlsysim.models.Architecture`, what is fixed by
its code rather than by the config (gated MLP, norms, biases, positions, tied embeddings), and which
readers handle what is its own. The meaning of the keys follows the documentation of each family's
configuration class in Transformers and the paper of the family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mlsysim.core.errors import InputError
from mlsysim.models import hf_readers as own
from mlsysim.models.hf_keys import Draft, Keys, Number

Names = Mapping[str, tuple[str, ...]]
Reader = Callable[[Keys, Draft], None]

MODERN: Names = {
    "layers": ("num_hidden_layers",),
    "hidden": ("hidden_size",),
    "ffn": ("intermediate_size",),
    "heads": ("num_attention_heads",),
    "kv_heads": ("num_key_value_heads",),
    "head_dim": ("head_dim",),
    "vocab": ("vocab_size",),
    "context": ("max_position_embeddings",),
}
GPT2: Names = {
    "layers": ("n_layer",),
    "hidden": ("n_embd",),
    "ffn": ("n_inner",),
    "heads": ("n_head",),
    "vocab": ("vocab_size",),
    "context": ("n_positions",),
}
PHI: Names = {  # the first release used names like those of GPT-2
    **{name: (*MODERN[name], *GPT2[name]) for name in GPT2},
    "kv_heads": ("num_key_value_heads", "n_head_kv"),
    "vocab": ("vocab_size",),
}
BLOOM: Names = {
    "layers": ("n_layer", "num_hidden_layers"),
    "hidden": ("hidden_size", "n_embed"),
    "heads": ("n_head", "num_attention_heads"),
    "vocab": ("vocab_size",),
    "context": ("seq_length",),
}
FALCON: Names = {
    "layers": ("num_hidden_layers", "n_layer"),
    "hidden": ("hidden_size", "n_embed"),
    "ffn": ("ffn_hidden_size",),
    "heads": ("num_attention_heads", "n_head"),
    "vocab": ("vocab_size",),
    "context": ("max_position_embeddings",),
}
OPT: Names = {
    "layers": ("num_hidden_layers",),
    "hidden": ("hidden_size",),
    "ffn": ("ffn_dim",),
    "heads": ("num_attention_heads",),
    "vocab": ("vocab_size",),
    "context": ("max_position_embeddings",),
}
OPTIONAL = frozenset({"kv_heads", "head_dim", "context"})


@dataclass(frozen=True)
class Family:
    """How the configs of one family read.

    Attributes:
        title: the family's name.
        names: the keys that hold each architecture field, the usual one first.
        traits: what the family's code fixes.
        tied: whether the output shares the embedding where the config is silent.
        readers: what the family has of its own, applied in order.
        defaults: sizes that nested configs leave out when they equal the class's default.
        ffn_ratio: width of the MLP in hidden sizes where the config is silent; 0 for no default.
        kind: kind of model.
    """

    title: str
    names: Names = field(default_factory=lambda: MODERN)
    traits: Mapping[str, bool | str] = field(default_factory=dict)
    tied: bool = False
    readers: tuple[Reader, ...] = ()
    defaults: Mapping[str, float] = field(default_factory=dict)
    ffn_ratio: float = 0.0
    kind: str = "transformer"


def read_family(keys: Keys, family: Family, outer: Keys) -> Draft:
    """Read a config as one of ``family``.

    Args:
        keys: the config of the language model.
        family: its family.
        outer: the whole config, which may state ``tie_word_embeddings`` for a nested one.

    Raises:
        InputError: a key is missing, malformed, or does not go with another.
    """
    tied = keys.flag("tie_word_embeddings", outer.flag("tie_word_embeddings", family.tied))
    draft = Draft(traits={**family.traits, "tied_embeddings": tied})
    if family.kind == "transformer":
        _sizes(keys, family, draft)
    for reader in family.readers:
        reader(keys, draft)
    if family.kind == "transformer":
        _heads(keys, draft)
    return draft


def _sizes(keys: Keys, family: Family, draft: Draft) -> None:
    """Read the sizes that all transformers have."""
    silent = set(OPTIONAL) | set(family.defaults)
    if family.ffn_ratio:
        silent.add("ffn")
    if family.traits.get("positions") == "learned":
        silent.discard("context")  # the table of positions has parameters
    for name, names in family.names.items():
        found = keys.maybe(*names, least=1) if name in silent else keys.need(*names)
        if found is None and name in family.defaults:
            found = Number(family.defaults[name], (), note="default of the family's configuration class")
        if found is not None:
            draft.numbers[name] = found
    if "ffn" not in draft.numbers:
        draft.derive(
            "ffn", family.ffn_ratio * draft.value("hidden"), f"{family.ffn_ratio:g} times the hidden size"
        )


def _heads(keys: Keys, draft: Draft) -> None:
    """Fill in heads that the config leaves to the hidden size, and check that they divide it."""
    hidden, heads = draft.value("hidden"), draft.value("heads")
    if "head_dim" not in draft.numbers:
        if hidden % heads:
            raise InputError(f"hidden size {hidden:g} is not a multiple of {heads:g} heads", where=keys.where)
        draft.derive("head_dim", hidden / heads, "hidden size", "heads")
    kv_heads = draft.numbers.setdefault("kv_heads", draft.numbers["heads"]).value
    if heads % kv_heads:
        raise InputError(
            f"{heads:g} heads are not a multiple of {kv_heads:g} key and value heads", where=keys.where
        )


RMS: Mapping[str, bool | str] = {"norm": "rmsnorm", "bias": "none", "positions": "rope"}
OLDER: Mapping[str, bool | str] = {"norm": "layernorm", "bias": "all", "gated_mlp": False}

_LLAMA = Family("Llama", traits=RMS, readers=(own.attention_bias,))
_MISTRAL = Family("Mistral", traits=RMS, readers=(own.window,))
_DEEPSEEK = Family("DeepSeek", traits=RMS, readers=(own.attention_bias, own.deepseek))
_PHI = Family("Phi", PHI, {**OLDER, "positions": "rope", "parallel_block": True}, ffn_ratio=4.0)
_MAMBA = Family("Mamba", {}, {"norm": "rmsnorm", "positions": "none"}, True, (own.mamba,), kind="mamba")
_GEMMA3_DEFAULTS = {"vocab": 262208.0, "heads": 8.0, "kv_heads": 4.0, "head_dim": 256.0, "context": 131072.0}

FAMILIES: Mapping[str, Family] = {
    "llama": _LLAMA,
    "llama4_text": Family("Llama 4", traits=RMS, readers=(own.attention_bias, own.llama4)),
    "mistral": _MISTRAL,
    "ministral3": _MISTRAL,
    "mixtral": Family("Mixtral", traits=RMS, readers=(own.mixtral,)),
    "qwen2": Family("Qwen2", traits={**RMS, "bias": "qkv"}, readers=(own.qwen_window,)),
    "qwen2_moe": Family("Qwen2", traits={**RMS, "bias": "qkv"}, readers=(own.qwen_moe,)),
    "qwen3": Family(
        "Qwen3", traits=RMS, readers=(own.attention_bias, own.qwen_window), defaults={"head_dim": 128.0}
    ),
    "qwen3_moe": Family("Qwen3", traits=RMS, readers=(own.attention_bias, own.qwen_moe)),
    "deepseek_v2": _DEEPSEEK,
    "deepseek_v3": _DEEPSEEK,
    "kimi_k2": _DEEPSEEK,
    "gemma": Family(
        "Gemma", traits=RMS, tied=True, readers=(own.attention_bias,), defaults={"head_dim": 256.0}
    ),
    "gemma2": Family(
        "Gemma 2",
        traits=RMS,
        tied=True,
        readers=(own.attention_bias, own.gemma2_window),
        defaults={"head_dim": 256.0},
    ),
    "gemma3_text": Family(
        "Gemma 3",
        traits=RMS,
        tied=True,
        defaults=_GEMMA3_DEFAULTS,
        readers=(own.attention_bias, own.gemma3_window),
    ),
    "phi": _PHI,
    "phi-msft": _PHI,
    "phi3": Family("Phi-3", traits=RMS, readers=(own.window,)),
    "gpt2": Family("GPT-2", GPT2, {**OLDER, "positions": "learned"}, tied=True, ffn_ratio=4.0),
    "gpt_neox": Family("GPT-NeoX", traits={**OLDER, "positions": "rope"}, readers=(own.neox,)),
    "opt": Family("OPT", OPT, {**OLDER, "positions": "learned"}, True, (own.opt,)),
    "bloom": Family("BLOOM", BLOOM, {**OLDER, "positions": "alibi"}, tied=True, ffn_ratio=4.0),
    "falcon": Family("Falcon", FALCON, OLDER, True, (own.falcon,), ffn_ratio=4.0),
    "mamba": _MAMBA,
    "falcon_mamba": _MAMBA,
}

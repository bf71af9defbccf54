"""Plans to hand over, and what the emitted texts say, read back."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from dataclasses import fields, make_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import mlsysim
from mlsysim.core.evaluation import Evaluation
from mlsysim.core.layout import Layout

NAMES = yaml.safe_load((Path(__file__).parent / "option_names.yaml").read_text(encoding="utf-8"))

# Dense with grouped queries, with as many KV heads as heads, with windows, experts, latent attention.
MODELS = (
    "Llama3_8B",
    "GPT3",
    "GPT2_XL",
    "OPT_175B",
    "MPT_7B",
    "Falcon_40B",
    "Qwen2_5_7B",
    "Gemma_3_27B",
    "Gemma_2_9B",
    "Mistral_7B",
    "Mixtral_8x7B",
    "GPT_OSS_20B",
    "Qwen3_30B_A3B",
    "Llama4_Scout",
    "DeepSeek_V2",
    "DeepSeek_R1",
    "BERT_Large",
    "T5_11B",
)

LATER: dict[str, Any] = {
    "first_stage_layers": 0,
    "last_stage_layers": 0,
    "recompute_layers": 0,
    "offload_optimizer": False,
    "overlap_gradients": True,
    "overlap_tensor": False,
    "overlap_pipeline": False,
    "overlap_experts": False,
}
_HAS = {f.name for f in fields(Layout)}
# a layout with all decisions, whether the engine has them yet or not
Decided: Any = make_dataclass(
    "Decided",
    [(n, type(v), v) for n, v in LATER.items() if n not in _HAS],
    bases=(Layout,),
    frozen=True,
)


@cache
def plan(model: str = "Llama3_8B", accelerators: int = 64, batch: int = 256, **workload: Any) -> Evaluation:
    """An evaluated training plan, by the rule."""
    return mlsysim.evaluate_plan(
        {
            "version": "1.0",
            "workload": {"name": model, "batch_size": batch, "seq_len": 2048, **workload},
            "hardware": {"name": "H100", "accelerators": accelerators},
        }
    )


def given(evaluation: Evaluation, **decisions: Any) -> Evaluation:
    """The plan with another layout; what is handed over does not depend on its physics."""
    return replace(evaluation, layout=Decided(**decisions))


def arguments(text: str) -> list[str]:
    """The words of the lists that a script hands to its command."""
    found = []
    for block in re.findall(r"^(?:ARGS\+|LAUNCH)=\((.*?)\)$", text, re.MULTILINE | re.DOTALL):
        found += shlex.split(block, comments=True)
    return found


def flags(text: str) -> dict[str, str | None]:
    """The options of a Megatron-LM script, with their values."""
    words = arguments(text[text.index("ARGS=()") :])
    found: dict[str, str | None] = {}
    for i, word in enumerate(words):
        if word.startswith("--"):
            assert word not in found, word
            value = words[i + 1] if i + 1 < len(words) else "--"
            found[word] = None if value.startswith("--") else value
    return found


def overrides(text: str) -> dict[str, Any]:
    """The overrides of a Megatron Bridge script; their values are YAML."""
    words = arguments(text[text.index("ARGS=()") :])
    runner = {w: words[i + 1] for i, w in enumerate(words) if w.startswith("--")}
    pairs = [w.split("=", 1) for w in words if "=" in w]
    assert len(dict(pairs)) == len(pairs)
    assert len(words) == len(pairs) + 2 * len(runner)
    return runner | {key: yaml.safe_load(value) for key, value in pairs}


def leaves(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of nested mappings by dotted names."""
    found = {}
    for key, value in data.items():
        if isinstance(value, dict) and value:
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def options(target: str, text: str) -> dict[str, Any]:
    """What a text sets, by name."""
    if target == "torchtitan":
        return leaves(tomllib.loads(text))
    if target == "deepspeed":
        return leaves(json.loads(text))
    return flags(text) if target == "megatron" else overrides(text)

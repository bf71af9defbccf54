"""NeMo, today Megatron Bridge: a script that starts a recipe with overrides of its configuration.

Recipes bring settings of their own, so every decision of the plan is said, also what is off.
"""

from __future__ import annotations

import shlex

from mlsysim.handover import core
from mlsysim.handover.launch import Handover, Launch
from mlsysim.handover.megatron import STRATEGIES, torchrun

# Recipes of the project, by the model of the zoo that they train.
RECIPES = {
    "DeepSeek_V2": "deepseek_v2_pretrain_config",
    "DeepSeek_V3": "deepseek_v3_pretrain_config",
    "GPT3": "gpt3_175b_pretrain_config",
    "GPT_OSS_20B": "gpt_oss_20b_pretrain_config",
    "GPT_OSS_120B": "gpt_oss_120b_pretrain_config",
    "Gemma_2_9B": "gemma2_9b_pretrain_config",
    "Gemma_2_27B": "gemma2_27b_pretrain_config",
    "Kimi_K2": "kimi_k2_pretrain_config",
    "Llama2_7B": "llama2_7b_pretrain_config",
    "Llama3_8B": "llama3_8b_pretrain_config",
    "Llama3_70B": "llama3_70b_pretrain_config",
    "Llama3_405B": "llama31_405b_pretrain_config",
    "Llama3_2_1B": "llama32_1b_pretrain_config",
    "Llama3_2_3B": "llama32_3b_pretrain_config",
    "Qwen2_5_7B": "qwen25_7b_pretrain_config",
    "Qwen2_5_72B": "qwen25_72b_pretrain_config",
    "Qwen3_8B": "qwen3_8b_pretrain_config",
    "Qwen3_32B": "qwen3_32b_pretrain_config",
    "Qwen3_30B_A3B": "qwen3_30b_a3b_pretrain_config",
    "Qwen3_235B_A22B": "qwen3_235b_a22b_pretrain_config",
}
BARE = "vanilla_gpt_pretrain_config"  # a GPT without choices of its own
FORMATS = {
    "bf16": "bf16_mixed",
    "fp16": "fp16_mixed",
    "fp32": None,
    "fp8": "bf16_with_fp8_current_scaling_mixed",
    "fp4": "bf16_with_nvfp4_mixed",
}


def emit(at: Launch) -> Handover:
    """Return a training plan as a bash script of recipe overrides."""
    notes: list[str] = []
    recipe = RECIPES.get(at.model_name, BARE)
    groups = {
        "model": _model(at, notes) if recipe == BARE else {},
        "batch": _batch(at),
        "parallelism": _parallelism(at, notes),
        "memory": _memory(at, notes),
        "precision": _precision(at, notes),
    }
    if recipe != BARE:
        notes.append("what is not set here, such as the learning rate, is as the recipe has it")
    notes.append("data and folders are yours: pass KEY=VALUE overrides as arguments of this script")
    return Handover("nemo", _script(at, recipe, groups, notes), "nemo.sh", tuple(notes))


def _model(at: Launch, notes: list[str]) -> core.Settings:
    found = core.architecture(at, notes)
    if at.model.kv_rank:
        notes.append("the bare recipe has no latent attention: use a recipe of the model's family")
        for name in ("multi_latent_attention", "q_lora_rank", "kv_lora_rank"):
            found.pop(name)
        for name in ("qk_head_dim", "qk_pos_emb_head_dim", "v_head_dim"):
            found.pop(name)
    if found["position_embedding_type"] not in ("rope", "learned_absolute"):
        kind = at.architecture.positions or "no"
        notes.append(f"{kind} positions are not a choice of the bare recipe: learned ones are set")
        found["position_embedding_type"] = "learned_absolute"
    found.pop("max_position_embeddings")  # it follows the length of the sequences
    found["activation_func"] = "silu" if at.model.gated else "gelu"
    if "window_size" in found:
        found["window_size"] = f"[{found['window_size']}]"
    if found.get("moe_layer_freq"):
        dense = int(at.model.dense_layers)
        pattern = ",".join("0" if i < dense else "1" for i in range(at.layers))
        found["moe_layer_freq"] = f"[{pattern}]"
    if not at.fused_attention:
        notes.append(
            "unfused attention cannot be asked for by an override: attention is as the recipe has it"
        )
    if at.dropout:
        notes.append("the share that dropout drops is not in the plan: the default is taken")
    else:
        found |= {"hidden_dropout": 0.0, "attention_dropout": 0.0}
    return _under("model", found)


def _batch(at: Launch) -> core.Settings:
    found: core.Settings = {
        "dataset.seq_length": at.seq_len,
        "train.global_batch_size": at.batch,
        "train.micro_batch_size": at.microbatch,
        "optimizer.optimizer": at.optimizer,
    }
    if at.steps:
        found["train.train_iters"] = at.steps
    if at.save_interval:
        found["checkpoint.save_interval"] = at.save_interval
    return found


def _parallelism(at: Launch, notes: list[str]) -> core.Settings:
    moves = core.overlap(at, notes)
    moves["batch_p2p_comm"] = not moves["overlap_p2p_comm"]
    found = _under("model", core.parallel(at, notes) | moves)
    # switches off what would choose the overlap by itself
    found["comm_overlap"] = None
    found["ddp.overlap_grad_reduce"] = at.overlap_gradients
    for block in ("ddp", "optimizer"):
        found[f"{block}.overlap_param_gather"] = at.overlap_gradients and at.zero_stage > 0
        found[f"{block}.use_distributed_optimizer"] = at.zero_stage > 0
    sharded = at.zero_stage >= 2
    found["dist.use_megatron_fsdp"] = found["ddp.use_megatron_fsdp"] = sharded
    if sharded:
        found["ddp.data_parallel_sharding_strategy"] = STRATEGIES[at.zero_stage]
        found["checkpoint.ckpt_format"] = "fsdp_dtensor"
        if at.tp > 1 or at.cp > 1:
            notes.append("ZeRO stages 2 and 3 are Megatron-FSDP, which is advised against with tp or cp")
    return found


def _memory(at: Launch, notes: list[str]) -> core.Settings:
    settings = core.recomputation(at, notes)
    if "recompute_modules" in settings:
        settings["recompute_modules"] = f"[{settings['recompute_modules']}]"
    found = _under("model", settings)
    offload = at.offload_optimizer and at.optimizer == "adam" and at.zero_stage > 0
    if at.offload_optimizer and not offload:
        notes.append("the optimizer is offloaded with Adam and a ZeRO stage only: left out")
    found["optimizer.optimizer_cpu_offload"] = offload
    if offload:
        found["optimizer.optimizer_offload_fraction"] = 1.0
        found["optimizer.use_precision_aware_optimizer"] = True  # which offloading asks for
    return found


def _precision(at: Launch, notes: list[str]) -> core.Settings:
    if at.precision not in FORMATS:
        notes.append(f"{at.precision} is not a format of its training: bf16 is set")
    if at.precision in ("fp8", "fp4"):
        notes.append("the scaling recipe is not in the plan: a usual one is set")
    if at.precision != "fp32" and at.gradient_bytes == 2.0:
        notes.append("its mixed precision reduces gradients in 32 bits, where the plan counts 16")
    return {"mixed_precision": FORMATS.get(at.precision, FORMATS["bf16"])}


def _script(at: Launch, recipe: str, groups: dict[str, core.Settings], notes: list[str]) -> str:
    lines = ["#!/usr/bin/env bash", *(f"# {line}" for line in at.head("Megatron Bridge (NeMo)"))]
    lines += [f"# note: {n}" for n in notes]
    lines += ["set -euo pipefail", ""]
    if (at.tp > 1 or at.cp > 1) and at.zero_stage < 2:
        lines += ["# needed by tensor and context parallelism before Blackwell"]
        lines += ["export CUDA_DEVICE_MAX_CONNECTIONS=1", ""]
    lines.append(torchrun(at, "scripts/training/run_recipe.py"))
    lines.append(f"ARGS+=(--recipe {recipe} --mode pretrain)")
    for title, settings in groups.items():
        if settings:
            texts = [f"\n  {shlex.quote(f'{name}={_text(value)}')}" for name, value in settings.items()]
            lines.append(f"# {title}")
            lines.append("ARGS+=(" + "".join(texts) + "\n)")
    lines += ["", '"${LAUNCH[@]}" "${ARGS[@]}" "$@"', ""]
    return "\n".join(lines)


def _text(value: core.Value) -> str:
    """Return a value in the grammar of overrides; a layout has characters that need quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    return f'"{text}"' if isinstance(value, str) and any(c in text for c in "|*") else text


def _under(block: str, settings: core.Settings) -> core.Settings:
    return {f"{block}.{name}": value for name, value in settings.items()}

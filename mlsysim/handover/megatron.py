"""Megatron-LM: a script that starts ``pretrain_gpt.py`` under torchrun."""

from __future__ import annotations

import shlex

from mlsysim.handover import core
from mlsysim.handover.launch import Handover, Launch

# How the command line spells a field of Megatron Core, where not just with hyphens.
SPELLED = {
    "num_layers_in_first_pipeline_stage": "decoder_first_pipeline_num_layers",
    "num_layers_in_last_pipeline_stage": "decoder_last_pipeline_num_layers",
    "virtual_pipeline_model_parallel_size": "num_virtual_stages_per_pipeline_rank",
    "num_moe_experts": "num_experts",
    "gated_linear_unit": "swiglu",
}
# The base format, and the 8- or 4-bit format on top of it.
FORMATS: dict[str, core.Settings] = {
    "bf16": {"bf16": True},
    "fp16": {"fp16": True},
    "fp32": {},
    "fp8": {"bf16": True, "fp8_format": "hybrid"},
    "fp4": {"bf16": True, "fp4_format": "e2m1"},
}
STRATEGIES = {2: "optim_grads", 3: "optim_grads_params"}


def emit(at: Launch) -> Handover:
    """Return a training plan as a bash script."""
    notes: list[str] = []
    groups = {
        "model": _model(at, notes),
        "batch": _batch(at, notes),
        "parallelism": _parallelism(at, notes),
        "memory": _memory(at, notes),
        "precision": _precision(at, notes),
    }
    yours = ["data", "tokenizer", "learning rate", *(() if at.steps else ("length of the run",))]
    notes.append(
        f"{', '.join(yours)} and checkpoint folders are yours: pass them as arguments of this script"
    )
    return Handover("megatron", _script(at, groups, notes), "megatron.sh", tuple(notes))


def _model(at: Launch, notes: list[str]) -> core.Settings:
    found = core.architecture(at, notes)
    if at.architecture.positions not in core.POSITIONS:
        notes.append(f"{at.architecture.positions} positions are not there: set to none")
    # flags say the opposite here, or come in pairs
    found["disable_bias_linear"] = not found.pop("add_bias_linear")
    found["untie_embeddings_and_output_weights"] = not found.pop("share_embeddings_and_output_weights")
    found["group_query_attention"] = found["num_query_groups"] is not None
    if at.model.kv_rank:
        found["rope_type"] = "rope"  # latent attention would take YaRN
    if not at.fused_attention:
        found["attention_backend"] = "unfused"
    if at.dropout:
        notes.append("the share that dropout drops is not in the plan: the default is taken")
        return found
    return found | {"hidden_dropout": 0.0, "attention_dropout": 0.0}


def _batch(at: Launch, notes: list[str]) -> core.Settings:
    if at.optimizer not in ("adam", "sgd"):
        notes.append(f"the optimizer {at.optimizer} is not there: the default is taken")
    return {
        "seq_length": at.seq_len,
        "micro_batch_size": at.microbatch,
        "global_batch_size": at.batch,
        "train_iters": at.steps,
        "save_interval": at.save_interval,
        "optimizer": at.optimizer if at.optimizer in ("adam", "sgd") else None,
    }


def _parallelism(at: Launch, notes: list[str]) -> core.Settings:
    found = core.parallel(at, notes) | core.overlap(at, notes)
    overlaps = found.pop("overlap_p2p_comm")
    found["no_overlap_p2p_communication"] = at.interleave > 1 and not overlaps
    found["overlap_grad_reduce"] = at.overlap_gradients
    found["overlap_param_gather"] = at.overlap_gradients and at.zero_stage > 0
    found["use_distributed_optimizer"] = at.zero_stage > 0
    if at.zero_stage >= 2:
        found["use_megatron_fsdp"] = True
        found["data_parallel_sharding_strategy"] = STRATEGIES[at.zero_stage]
        found["ckpt_format"] = "fsdp_dtensor"
        if at.tp > 1 or at.cp > 1:
            notes.append(
                "ZeRO stages 2 and 3 are Megatron-FSDP, which Megatron-LM advises against with tp or cp"
            )
    return found


def _memory(at: Launch, notes: list[str]) -> core.Settings:
    found = core.recomputation(at, notes)
    if at.offload_optimizer:
        if at.optimizer != "adam" or not at.zero_stage:
            notes.append("the optimizer is offloaded with Adam and a ZeRO stage only: left out")
            return found
        found["optimizer_cpu_offload"] = True
        found["optimizer_offload_fraction"] = 1.0
        found["use_precision_aware_optimizer"] = True  # which offloading asks for
    return found


def _precision(at: Launch, notes: list[str]) -> core.Settings:
    found = FORMATS.get(at.precision)
    if found is None:
        notes.append(f"{at.precision} is not a format of its training: bf16 is set")
        found = FORMATS["bf16"]
    if at.precision in ("fp8", "fp4"):
        notes.append("the scaling recipe is not in the plan: the default is taken")
    if found.get("bf16") and at.gradient_bytes == 2.0:
        return found | {"grad_reduce_in_bf16": True}  # the plan counts 16-bit gradients
    return found


def _script(at: Launch, groups: dict[str, core.Settings], notes: list[str]) -> str:
    lines = ["#!/usr/bin/env bash", *(f"# {line}" for line in at.head("Megatron-LM"))]
    lines += [f"# note: {n}" for n in notes]
    lines += ["set -euo pipefail", ""]
    if (at.tp > 1 or at.cp > 1) and at.zero_stage < 2:
        lines += ["# needed by tensor and context parallelism before Blackwell"]
        lines += ["export CUDA_DEVICE_MAX_CONNECTIONS=1", ""]
    lines.append(torchrun(at, "pretrain_gpt.py"))
    for title, settings in groups.items():
        # zero is a value, unlike what is absent or off
        flags = [_flag(name, value) for name, value in settings.items() if not _off(value)]
        if not flags:
            continue
        lines.append(f"# {title}")
        lines.append("ARGS+=(" + "".join(f"\n  {flag}" for flag in flags) + "\n)")
    lines += ["", '"${LAUNCH[@]}" "${ARGS[@]}" "$@"', ""]
    return "\n".join(lines)


def torchrun(at: Launch, entry: str) -> str:
    """Return the lines that say how each server starts its processes."""
    return "\n".join(
        [
            "LAUNCH=(",
            f"  torchrun --nnodes {at.nodes} --nproc-per-node {at.per_node}",
            '  --node-rank "${NODE_RANK:-0}"',
            '  --master-addr "${MASTER_ADDR:-localhost}" --master-port "${MASTER_PORT:-29500}"',
            f"  {entry}",
            ")",
            "ARGS=()",
        ]
    )


def _off(value: core.Value) -> bool:
    return value is None or value is False


def _flag(name: str, value: core.Value) -> str:
    flag = "--" + SPELLED.get(name, name).replace("_", "-")
    return flag if value is True else f"{flag} {shlex.quote(str(value))}"

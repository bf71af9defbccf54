"""DeepSpeed: the JSON configuration of a job.

JSON has no comments and DeepSpeed takes nothing that it does not know, so the notes are only in
the returned object.
"""

from __future__ import annotations

import json

from mlsysim.handover.launch import Handover, Launch

Block = dict[str, object]

OPTIMIZERS = {"adam": "AdamW", "sgd": "SGD"}


def emit(at: Launch) -> Handover:
    """Return a training plan as a DeepSpeed configuration."""
    notes: list[str] = []
    config: Block = {
        "train_batch_size": at.batch,
        "train_micro_batch_size_per_gpu": at.microbatch,
        "gradient_accumulation_steps": at.accumulation,
    }
    if at.tp > 1 and at.pp == 1:
        # it would be checked against all ranks, before tensor-parallel groups are formed
        del config["train_batch_size"]
        notes.append(f"train_batch_size is left out with AutoTP; the other two make it {at.batch}")
    config |= _optimizer(at, notes) | _precision(at, notes) | _zero(at, notes)
    config |= _parallelism(at, notes)
    _pipeline(at, notes)
    _beyond(at, notes)
    return Handover("deepspeed", json.dumps(config, indent=2) + "\n", "ds_config.json", tuple(notes))


def _optimizer(at: Launch, notes: list[str]) -> Block:
    notes.append("learning rate and schedule are yours: add them to optimizer.params or pass an optimizer")
    if at.optimizer not in OPTIMIZERS:
        notes.append(f"the optimizer {at.optimizer} is not there: pass one to deepspeed.initialize")
        return {}
    found: Block = {"optimizer": {"type": OPTIMIZERS[at.optimizer], "params": {}}}
    if at.optimizer == "sgd" and at.zero_stage:
        found["zero_allow_untested_optimizer"] = True
    return found


def _precision(at: Launch, notes: list[str]) -> Block:
    if at.precision == "fp16":
        return {"fp16": {"enabled": True}}
    if at.precision == "fp32":
        return {}
    if at.precision != "bf16":
        notes.append(
            f"{at.precision} is not a setting of DeepSpeed: bf16 is set, the rest is the model's code"
        )
    return {"bf16": {"enabled": True}}


def _zero(at: Launch, notes: list[str]) -> Block:
    if not at.zero_stage:
        if at.offload_optimizer:
            notes.append("the optimizer is offloaded with a ZeRO stage only: left out")
        return {}
    found: Block = {"stage": at.zero_stage, "overlap_comm": at.overlap_gradients}
    if at.offload_optimizer:
        found["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
    return {"zero_optimization": found}


def _parallelism(at: Launch, notes: list[str]) -> Block:
    """Return tensor, sequence and expert parallelism, each with its conditions."""
    found: Block = {}
    inside = {"tp": at.tp, "cp": at.cp, "ep": at.ep}
    if at.pp > 1:
        if any(n > 1 for n in inside.values()):
            left = ", ".join(f"{name} {n}" for name, n in inside.items() if n > 1)
            notes.append(f"beside a pipeline this is not a setting but the model's code: {left}")
        return found
    if at.tp > 1:
        found["tensor_parallel"] = {"autotp_size": at.tp, "tp_overlap_comm": at.overlap_tensor}
        notes.append(
            "tensor parallelism is AutoTP, which splits models that it knows (of Hugging Face, or by a "
            "partition_config); other models bring their own through mpu"
        )
        if at.sequence_parallel:
            notes.append(
                "sequence parallelism beside tensor parallelism is not there: activations are larger"
            )
    if at.cp > 1 and at.tp > 1:
        notes.append(f"context parallelism with AutoTP is not there: cp {at.cp} is left out")
    elif at.cp > 1:
        found |= {"sequence_parallel_size": at.cp, "data_parallel_size": at.dp}
        notes.append(
            "context parallelism is Ulysses, which exchanges heads and needs the model's attention for it"
        )
        if at.model.heads % at.cp:
            notes.append(f"{at.model.heads:g} heads do not divide by cp {at.cp}, as Ulysses asks")
    if at.ep > 1:
        if at.tp > 1 or (at.zero_stage == 3 and at.cp > 1):
            notes.append(
                f"expert with tensor or, at ZeRO 3, context parallelism is not there: ep {at.ep} left out"
            )
        else:
            found["expert_parallel"] = {"enabled": True, "autoep_size": at.ep}
            notes.append("expert parallelism is AutoEP, which splits models that it knows")
    return found


def _pipeline(at: Launch, notes: list[str]) -> None:
    if at.pp == 1:
        return
    split = "evenly" if at.even else "as " + ", ".join(map(str, at.stages))
    notes.append(
        f"pipeline stages are the model's code: a PipelineModule with num_stages {at.pp}, its {at.layers} "
        f"layers split {split}"
    )
    if at.interleave > 1:
        notes.append("its pipeline has no interleaved schedule")
    if at.zero_stage >= 2:
        notes.append(f"its pipeline runs with ZeRO stages 0 and 1, not with {at.zero_stage}")
    if at.overlap_pipeline:
        notes.append("overlap of traffic between stages is not a setting")


def _beyond(at: Launch, notes: list[str]) -> None:
    """Say what the configuration has no place for."""
    if at.overlap_experts and at.ep > 1:
        notes.append("overlap of experts' exchanges is not a setting")
    if at.recompute == "selective":
        notes.append("recomputation is the model's code: checkpoint the attention scores of each layer")
    if at.recompute == "full":
        count = at.recompute_layers or max(at.stages)
        notes.append(f"recomputation is the model's code: checkpoint {count} layers of each stage")
    if not at.zero_stage and at.dp > 1:
        notes.append("without a ZeRO stage, whether gradients overlap is not a setting")
    if at.save_interval:
        notes.append(f"checkpoints are the script's: save_checkpoint every {at.save_interval} steps")
    if at.steps:
        notes.append(f"the length of the run is the script's: {at.steps} steps")
    notes.append(f"the model and its sequences of {at.seq_len} tokens are the script's")
    notes.append(f"start it on {at.nodes} servers of {at.per_node}: {at.summary}")

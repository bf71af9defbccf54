"""torchtitan: the TOML file of a job, as releases up to 0.2.2 read it.

Development after that release describes a run in Python instead, with the same names for most of
what is set here; a note says so.
"""

from __future__ import annotations

import json

from mlsysim.handover.launch import Handover, Launch

Tables = dict[str, dict[str, object]]

# Models that the release has, by the model of the zoo: name and flavor.
MODELS = {
    "DeepSeek_V2": ("deepseek_v3", "236B"),
    "DeepSeek_V3": ("deepseek_v3", "671B"),
    "DeepSeek_R1": ("deepseek_v3", "671B"),
    "GPT_OSS_20B": ("gpt_oss", "20b"),
    "GPT_OSS_120B": ("gpt_oss", "120b"),
    "Llama3_8B": ("llama3", "8B"),
    "Llama3_70B": ("llama3", "70B"),
    "Llama3_405B": ("llama3", "405B"),
    "Llama4_Scout": ("llama4", "17bx16e"),
    "Qwen3_8B": ("qwen3", "8B"),
    "Qwen3_32B": ("qwen3", "32B"),
    "Qwen3_30B_A3B": ("qwen3", "30B-A3B"),
    "Qwen3_235B_A22B": ("qwen3", "235B-A22B"),
}


def emit(at: Launch) -> Handover:
    """Return a training plan as a TOML job file."""
    notes: list[str] = []
    tables: Tables = {
        "job": {"description": at.title},
        "model": _model(at, notes),
        "optimizer": {"name": "AdamW"},
        "training": _training(at, notes),
        "parallelism": _parallelism(at, notes),
        "activation_checkpoint": _recomputation(at, notes),
    }
    if at.optimizer != "adam":
        notes.append(f"the optimizer {at.optimizer} is not there: AdamW is set")
    if at.save_interval:
        tables["checkpoint"] = {"enable": True, "interval": at.save_interval}
    _compiled(at, tables)
    notes.append("this file is for releases up to 0.2.2; later ones take a configuration written in Python")
    notes.append("data set, learning rate and folders are yours: add them here")
    return Handover("torchtitan", _toml(at, tables, notes), "torchtitan.toml", tuple(notes))


def _model(at: Launch, notes: list[str]) -> dict[str, object]:
    if at.model_name in MODELS:
        name, flavor = MODELS[at.model_name]
        return {"name": name, "flavor": flavor}
    notes.append(f"it has no {at.model_name}: set name and flavor under [model] to a model of yours")
    return {"name": at.model_name}  # which it refuses; without a name it would train its default


def _training(at: Launch, notes: list[str]) -> dict[str, object]:
    # a pipeline gets all microbatches of a rank at once, anything else adds gradients up
    local = at.batch // at.dp if at.pp > 1 else at.microbatch
    found: dict[str, object] = {
        "local_batch_size": local,
        "global_batch_size": at.batch,
        "seq_len": at.seq_len,
    }
    if at.steps:
        found["steps"] = at.steps
    if at.precision not in ("bf16", "fp32", "fp8"):
        notes.append(f"{at.precision} is not a format of its training: bf16 is set")
    found["mixed_precision_param"] = "float32" if at.precision == "fp32" else "bfloat16"
    if at.offload_optimizer:
        found["enable_cpu_offload"] = True
        notes.append("offloading takes weights and gradients along with the optimizer state")
    if at.dropout:
        notes.append("its models have no dropout")
    if not at.fused_attention:
        notes.append("its attention is fused; unfused attention is not a setting")
    divisor = at.tp * (2 * at.cp if at.cp > 1 else 1)
    if at.seq_len % divisor:
        notes.append(f"sequences of {at.seq_len} do not divide by tp and 2 x cp ({divisor}), as it asks")
    return found


def _parallelism(at: Launch, notes: list[str]) -> dict[str, object]:
    found = _data(at, notes) | {
        "tensor_parallel_degree": at.tp,
        "context_parallel_degree": at.cp,
        "pipeline_parallel_degree": at.pp,
    }
    if at.tp > 1 and not at.sequence_parallel:
        notes.append("its tensor parallelism always divides the rest of a layer too (sequence parallelism)")
    if at.tp > 1 and at.overlap_tensor:
        found["enable_async_tensor_parallel"] = True
    if at.ep > 1:
        # experts take data-parallel ranks, and tp divides them as it divides the other matrices
        found |= {"expert_parallel_degree": at.ep, "expert_tensor_parallel_degree": at.tp}
    if at.pp > 1:
        found |= _pipeline(at, notes)
    return found


def _data(at: Launch, notes: list[str]) -> dict[str, object]:
    """Return how data-parallel ranks hold the training state."""
    found: dict[str, object] = {"data_parallel_replicate_degree": 1, "data_parallel_shard_degree": at.dp}
    if at.dp * at.cp > 1 and not at.overlap_gradients:
        notes.append("traffic of data-parallel ranks always overlaps; that cannot be switched off")
    if at.zero_stage == 3:
        return found | {"fsdp_reshard_after_forward": "always"}
    if at.zero_stage == 0 and at.dp == at.accelerators and not at.offload_optimizer:
        return found | {"data_parallel_replicate_degree": at.dp, "data_parallel_shard_degree": 1}
    if at.dp * at.cp > 1:
        found["fsdp_reshard_after_forward"] = "never"
        if at.zero_stage < 2:
            notes.append(
                f"it has no ZeRO stage {at.zero_stage} here; the nearest is set, FSDP that keeps weights "
                "between forward and backward, and it holds less than the plan counts"
            )
        else:
            notes.append("ZeRO stage 2 is FSDP that keeps weights between forward and backward")
    return found


def _pipeline(at: Launch, notes: list[str]) -> dict[str, object]:
    schedule = "Interleaved1F1B" if at.interleave > 1 else "1F1B"
    found: dict[str, object] = {
        "pipeline_parallel_schedule": schedule,
        "pipeline_parallel_microbatch_size": at.microbatch,
    }
    if not at.overlap_pipeline:
        notes.append("traffic between stages is sent beside the work; that cannot be switched off")
    if at.even:
        # embedding and head count as no layers, as in the plan
        return found | {
            "pipeline_parallel_first_stage_less_layers": 0,
            "pipeline_parallel_last_stage_less_layers": 0,
            "pipeline_parallel_layers_per_stage": at.chunks[0],
        }
    parts: list[list[str]] = []
    first = 0
    for layers in at.chunks:
        parts.append([f"layers.{i}" for i in range(first, first + layers)])
        first += layers
    parts[0].insert(0, "tok_embeddings")
    parts[-1] += ["norm", "output"]
    return found | {"module_fqns_per_model_part": parts}


def _recomputation(at: Launch, notes: list[str]) -> dict[str, object]:
    if at.recompute == "selective":
        notes.append("selective recomputation goes by operation here and is not the same as in the plan")
        return {"mode": "selective", "selective_ac_option": "op"}
    held = max(at.stages)
    if at.recompute == "full" and 0 < at.recompute_layers < held:
        if held % at.recompute_layers == 0 and at.even:
            return {"mode": "selective", "selective_ac_option": str(held // at.recompute_layers)}
        notes.append(
            f"recomputing {at.recompute_layers} of {held} layers of a stage is not a setting: every layer is"
        )
    return {"mode": at.recompute}


def _compiled(at: Launch, tables: Tables) -> None:
    """Add what needs compiled code: 8-bit matrices, and tensor-parallel traffic beside the work."""
    if at.precision == "fp8":
        converters = ["quantize.linear.float8"]
        if at.model.experts:
            converters.append("quantize.grouped_mm.float8")
            tables["quantize.grouped_mm.float8"] = {"fqns": ["experts"]}
        tables["model"]["converters"] = converters
        tables["quantize.linear.float8"] = {
            "recipe_name": "rowwise",
            "filter_fqns": ["output", "router.gate"],
        }
    if at.precision == "fp8" or (at.overlap_tensor and at.tp > 1):
        tables["compile"] = {"enable": True, "components": ["model", "loss"]}


def _toml(at: Launch, tables: Tables, notes: list[str]) -> str:
    lines = [f"# {line}" for line in at.head("torchtitan")]
    lines += [f"# note: {n}" for n in notes]
    command = f"CONFIG_FILE=torchtitan.toml NGPU={at.per_node} ./run_train.sh"
    if at.nodes == 1:
        lines.append(f"# start: {command}")
    else:
        lines.append(f"# start on {at.nodes} servers of {at.per_node} with torchrun")
    for name, table in tables.items():
        lines += ["", f"[{name}]"]
        lines += [f"{key} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    """Return a value as TOML has it; for those used here JSON is the same."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        return "[\n" + "".join(f"  {json.dumps(row)},\n" for row in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

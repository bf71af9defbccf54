"""What is handed over says the same as the plan, and what cannot be said is noted."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reading import MODELS, Decided, arguments, flags, given, options, overrides, plan

import mlsysim
from mlsysim.core.errors import InputError, UnknownNameError
from mlsysim.handover import TARGETS, emit, launch_of

# tp, cp, pp, dp, ep and more, for 64 accelerators and a batch of 256
LAYOUTS: tuple[dict[str, Any], ...] = (
    {"dp": 64},
    {"dp": 64, "zero_stage": 3, "microbatch_size": 2, "recompute": "full"},
    {"tp": 8, "dp": 8, "zero_stage": 1, "sequence_parallel": True},
    {"tp": 4, "pp": 4, "dp": 4, "interleave": 2, "zero_stage": 1, "recompute": "selective"},
    {"tp": 2, "cp": 4, "pp": 2, "dp": 4, "zero_stage": 2},
    {"cp": 8, "dp": 8, "zero_stage": 1},
    {"pp": 8, "dp": 8, "recompute": "full", "recompute_layers": 2},
)
MOE = {"tp": 2, "pp": 2, "dp": 16, "ep": 8, "zero_stage": 1, "sequence_parallel": True}


@pytest.fixture(params=range(len(LAYOUTS)), ids=lambda i: str(LAYOUTS[i]))
def decisions(request: pytest.FixtureRequest) -> dict[str, Any]:
    return LAYOUTS[request.param]


def number(value: Any) -> int:
    return int(value)


def test_degrees_make_the_world(decisions: dict[str, Any]):
    e = given(plan(), **decisions)
    at = launch_of(e)
    assert at.tp * at.cp * at.pp * at.dp == at.nodes * at.per_node == 64
    assert at.dp * at.microbatch * at.accumulation == at.batch == 256
    assert sum(at.stages) == sum(at.chunks) == at.layers

    f = flags(emit(e, "megatron").text)
    named = [f[f"--{n}-parallel-size"] for n in ("tensor-model", "context", "pipeline-model")]
    assert [number(v) for v in named] == [at.tp, at.cp, at.pp]
    assert number(f["--global-batch-size"]) % (at.dp * number(f["--micro-batch-size"])) == 0
    assert number(f["--num-layers"]) == 32

    o = overrides(emit(e, "nemo").text)
    assert o["model.tensor_model_parallel_size"] == at.tp
    assert o["model.context_parallel_size"] == at.cp
    assert o["model.pipeline_model_parallel_size"] == at.pp
    assert o["train.global_batch_size"] == 256
    assert o["train.micro_batch_size"] == at.microbatch


def test_torchtitan_degrees_make_the_world(decisions: dict[str, Any]):
    at = launch_of(given(plan(), **decisions))
    job = tomllib.loads(emit(given(plan(), **decisions), "torchtitan").text)
    p, t = job["parallelism"], job["training"]
    data = p["data_parallel_replicate_degree"] * p["data_parallel_shard_degree"]
    ranks = p["tensor_parallel_degree"] * p["context_parallel_degree"] * p["pipeline_parallel_degree"]
    assert data == at.dp
    assert data * ranks == 64
    assert t["global_batch_size"] % (t["local_batch_size"] * data) == 0
    if at.pp > 1:  # all microbatches of a rank pass the pipeline at once
        assert t["local_batch_size"] * data == 256
        assert p["pipeline_parallel_microbatch_size"] == at.microbatch
    else:
        assert t["local_batch_size"] == at.microbatch
    assert job["model"] == {"name": "llama3", "flavor": "8B"}


def test_deepspeed_batch_is_consistent(decisions: dict[str, Any]):
    at = launch_of(given(plan(), **decisions))
    config = json.loads(emit(given(plan(), **decisions), "deepspeed").text)
    micro, steps = config["train_micro_batch_size_per_gpu"], config["gradient_accumulation_steps"]
    assert at.dp * micro * steps == config.get("train_batch_size", 256) == 256
    assert config.get("zero_optimization", {}).get("stage", 0) == at.zero_stage
    assert config["bf16"] == {"enabled": True}


@pytest.mark.parametrize("target", ["megatron", "nemo"])
@pytest.mark.parametrize("model", ["Llama3_8B", "DeepSeek_R1", "Mixtral_8x7B"])
def test_bash_reads_the_scripts(target: str, model: str, tmp_path: Path):
    decided = {**MOE, "last_stage_layers": 5, "pp": 2}
    if model == "Llama3_8B":
        decided["ep"] = 1
    text = emit(given(plan(model), **decided), target).text
    path = tmp_path / "launch.sh"
    path.write_text(text, encoding="utf-8")
    subprocess.run(["bash", "-n", path], check=True)
    # a torchrun that tells what it was given
    (tmp_path / "torchrun").write_text('#!/bin/bash\nprintf "%s\\0" "$@"\n')
    (tmp_path / "torchrun").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    told = subprocess.run(
        ["bash", path, "--more", "a b"], env=env, check=True, capture_output=True, text=True
    )
    words = told.stdout.split("\0")[:-1]
    assert words[:4] == ["--nnodes", "8", "--nproc-per-node", "8"]
    assert words[-2:] == ["--more", "a b"]
    started = words.index("pretrain_gpt.py" if target == "megatron" else "scripts/training/run_recipe.py")
    assert words[started + 1 : -2] == arguments(text[text.index("ARGS=()") :])


def test_architecture_as_the_data_state_it():
    f = flags(emit(given(plan("DeepSeek_R1"), dp=64), "megatron").text)
    assert f["--moe-layer-freq"] == "([0]*3+[1]*58)"
    assert (f["--q-lora-rank"], f["--kv-lora-rank"], f["--v-head-dim"]) == ("1536", "512", "128")
    assert (f["--num-experts"], f["--moe-router-topk"]) == ("256", "8")
    assert "--num-query-groups" not in f
    f = flags(emit(given(plan("Gemma_2_9B"), dp=64), "megatron").text)
    assert (f["--window-size"], f["--window-attn-skip-freq"]) == ("4095,0", "2")
    assert "--untie-embeddings-and-output-weights" not in f
    f = flags(emit(given(plan("GPT3"), dp=64), "megatron").text)
    assert (f["--normalization"], f["--position-embedding-type"]) == ("LayerNorm", "learned_absolute")
    assert {"--disable-bias-linear", "--swiglu", "--group-query-attention"}.isdisjoint(f)
    # its own default drops a tenth
    assert (f["--hidden-dropout"], f["--attention-dropout"]) == ("0.0", "0.0")
    f = flags(emit(given(plan("Qwen2_5_7B"), dp=64), "megatron").text)
    assert {"--add-qkv-bias", "--disable-bias-linear"} <= set(f)


def test_pipeline_that_is_not_even():
    decided = {"pp": 4, "dp": 16, "first_stage_layers": 7, "last_stage_layers": 5}
    e = given(plan(), **decided)
    assert launch_of(e).stages == (7, 10, 10, 5)
    f = flags(emit(e, "megatron").text)
    assert (f["--decoder-first-pipeline-num-layers"], f["--decoder-last-pipeline-num-layers"]) == ("7", "5")
    o = overrides(emit(e, "nemo").text)
    assert o["model.num_layers_in_first_pipeline_stage"] == 7
    parts = options("torchtitan", emit(e, "torchtitan").text)["parallelism.module_fqns_per_model_part"]
    assert [sum(m.startswith("layers.") for m in part) for part in parts] == [7, 10, 10, 5]
    assert parts[0][0] == "tok_embeddings"
    assert parts[-1][-2:] == ["norm", "output"]

    e = given(plan("DeepSeek_R1"), pp=4, dp=16)  # 61 layers
    assert launch_of(e).stages == (16, 15, 15, 15)
    layout = "E,t*16|t*15|t*15|t*15,L"
    assert flags(emit(e, "megatron").text)["--pipeline-model-parallel-layout"] == layout
    assert overrides(emit(e, "nemo").text)["model.pipeline_model_parallel_layout"] == layout

    e = given(plan("DeepSeek_R1"), pp=4, dp=16, interleave=2)
    f = flags(emit(e, "megatron").text)
    assert f["--pipeline-model-parallel-layout"] == "E,t*8|t*8|t*8|t*8|t*8|t*7|t*7|t*7,L"
    assert "--num-virtual-stages-per-pipeline-rank" not in f  # they exclude each other


def test_interleaved_pipeline():
    e = given(plan(), pp=4, dp=16, interleave=2)
    assert flags(emit(e, "megatron").text)["--num-virtual-stages-per-pipeline-rank"] == "2"
    assert overrides(emit(e, "nemo").text)["model.virtual_pipeline_model_parallel_size"] == 2
    o = options("torchtitan", emit(e, "torchtitan").text)
    assert o["parallelism.pipeline_parallel_schedule"] == "Interleaved1F1B"
    assert o["parallelism.pipeline_parallel_layers_per_stage"] == 4
    assert "interleaved" in " ".join(emit(e, "deepspeed").notes)


def test_recomputation_of_some_layers():
    e = given(plan(), pp=4, dp=16, recompute="full", recompute_layers=2)
    f = flags(emit(e, "megatron").text)
    assert (f["--recompute-method"], f["--recompute-num-layers"]) == ("block", "2")
    o = options("torchtitan", emit(e, "torchtitan").text)
    assert (o["activation_checkpoint.mode"], o["activation_checkpoint.selective_ac_option"]) == (
        "selective",
        "4",
    )
    e = given(plan(), pp=4, dp=16, recompute="full", recompute_layers=3)
    h = emit(e, "torchtitan")
    assert options("torchtitan", h.text)["activation_checkpoint.mode"] == "full"
    assert "3 of 8 layers" in " ".join(h.notes)
    e = given(plan(), pp=4, dp=16, interleave=2, recompute="full", recompute_layers=3)
    h = emit(e, "megatron")
    assert flags(h.text)["--recompute-num-layers"] == "2"
    assert "4 a stage instead of 3" in " ".join(h.notes)


def test_overlap_and_offload():
    decided = {"tp": 2, "pp": 4, "dp": 8, "interleave": 2, "zero_stage": 1, "sequence_parallel": True}
    off = flags(emit(given(plan(), **decided, overlap_gradients=False), "megatron").text)
    assert {"--overlap-grad-reduce", "--overlap-param-gather", "--tp-comm-overlap"}.isdisjoint(off)
    assert "--no-overlap-p2p-communication" in off
    every = {"overlap_tensor": True, "overlap_pipeline": True, "offload_optimizer": True}
    e = given(plan(), **decided, **every)
    on = flags(emit(e, "megatron").text)
    assert {"--overlap-grad-reduce", "--overlap-param-gather", "--tp-comm-overlap"} <= set(on)
    assert {"--optimizer-cpu-offload", "--use-precision-aware-optimizer"} <= set(on)
    assert "--no-overlap-p2p-communication" not in on
    assert options("torchtitan", emit(e, "torchtitan").text)["training.enable_cpu_offload"] is True
    zero = json.loads(emit(given(plan(), dp=64, zero_stage=2, **every), "deepspeed").text)[
        "zero_optimization"
    ]
    assert zero["offload_optimizer"]["device"] == "cpu"


def test_layouts_without_later_decisions_take_their_defaults():
    at = launch_of(plan())
    assert (at.first_stage_layers, at.recompute_layers, at.offload_optimizer) == (0, 0, False)
    assert at.overlap_gradients is getattr(plan().layout, "overlap_gradients", True)
    assert Decided(dp=2).recompute_layers == 0


def test_length_and_checkpoints_in_steps():
    e = plan(training_tokens=1.0e12)
    at = launch_of(e)
    assert at.steps == -(-1_000_000_000_000 // (256 * 2048))
    assert at.save_interval == round(e.scenario.extras["checkpoint"].interval / e.state.time)
    assert flags(emit(e, "megatron").text)["--save-interval"] == str(at.save_interval)
    assert "--train-iters" not in flags(emit(plan(), "megatron").text)


def test_zero_stages():
    for stage, strategy in ((2, "optim_grads"), (3, "optim_grads_params")):
        f = flags(emit(given(plan(), dp=64, zero_stage=stage), "megatron").text)
        assert f["--data-parallel-sharding-strategy"] == strategy
        assert f["--ckpt-format"] == "fsdp_dtensor"
        assert (
            "CUDA_DEVICE_MAX_CONNECTIONS" not in emit(given(plan(), dp=64, zero_stage=stage), "megatron").text
        )
    assert "--use-distributed-optimizer" not in flags(emit(given(plan(), dp=64), "megatron").text)
    h = emit(given(plan(), tp=2, dp=32, zero_stage=1), "torchtitan")
    assert "no ZeRO stage 1" in " ".join(h.notes)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("model", MODELS)
def test_notes_stand_in_the_text_where_it_has_comments(target: str, model: str):
    h = emit(given(plan(model), tp=2, pp=2, dp=16, recompute="selective"), target)
    assert h.target == target
    assert str(h) == h.text
    assert h.text.endswith("\n")
    assert len(set(h.notes)) == len(h.notes)
    if target != "deepspeed":
        assert all(f"# note: {n}\n" in h.text for n in h.notes)


def test_names_cannot_leave_their_comment():
    e = plan()
    wicked = replace(e.scenario.settings, name='a\n$(touch x)\r"""\u2028 b\x7f')
    e = replace(e, scenario=replace(e.scenario, settings=wicked))
    for target in ("megatron", "nemo"):
        lines = emit(e, target).text.splitlines()
        assert all(line.startswith("#") for line in lines if "touch" in line)
    assert "touch x" in tomllib.loads(emit(e, "torchtitan").text)["job"]["description"]


@pytest.mark.parametrize("target", TARGETS)
def test_refused(target: str):
    inference = mlsysim.SystemEvaluator.evaluate("a", "Llama3_8B", "H100", batch_size=1)
    with pytest.raises(InputError) as caught:
        emit(inference, target)
    assert caught.value.where == "workload.phase"
    with pytest.raises(InputError) as caught:
        emit(plan("Mamba_2_8B"), target)
    assert caught.value.where == "workload.name"
    assert "not a transformer" in str(caught.value)
    assert caught.value.hint


def test_an_unknown_framework():
    with pytest.raises(UnknownNameError, match="Nearest: megatron"):
        emit(plan(), "megatronn")


def test_exchanges_of_experts_overlap_where_megatron_can():
    moe = plan("Mixtral_8x7B")
    decided = {"tp": 2, "pp": 2, "dp": 16, "ep": 8, "zero_stage": 1, "overlap_experts": True}
    plain = emit(given(moe, **decided), "megatron")
    assert "--overlap-moe-expert-parallel-comm" not in flags(plain.text)
    assert "needs an interleaved pipeline" in " ".join(plain.notes)
    chunks = emit(given(moe, **decided, interleave=2), "megatron")
    assert "--overlap-moe-expert-parallel-comm" in flags(chunks.text)

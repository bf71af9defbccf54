"""Settings of serving engines: every option exists in its project, and says the same as the plan."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import arguments

import mlsysim
from mlsysim.core.errors import InputError, UnknownNameError
from mlsysim.core.evaluation import Evaluation
from mlsysim.core.serve import service_plan
from mlsysim.handover.launch import Handover
from mlsysim.handover.serving import ENGINES, emit_service

NAMES = yaml.safe_load((Path(__file__).parent / "engine_names.yaml").read_text(encoding="utf-8"))
KNOWN = {
    engine: {name: kind for names in project["files"].values() for name, kind in names.items()}
    for engine, project in NAMES.items()
}


@cache
def service(model: str = "Llama3_8B", hardware: str = "H100", **how: Any) -> Evaluation:
    return mlsysim.evaluate_plan(service_plan(model, hardware, batch=64, **how))


def flags(text: str) -> dict[str, str | None]:
    """The options of a script with their values."""
    words = arguments(text)
    found: dict[str, str | None] = {}
    for i, word in enumerate(words):
        if word.startswith("--"):
            value = words[i + 1] if i + 1 < len(words) else "--"
            found[word] = None if value.startswith("--") else value
    return found


def extra(text: str) -> dict[str, Any]:
    """What a script writes to a file of options, by dotted names."""
    if "<<END" not in text:
        return {}
    block = yaml.safe_load(text.split("<<END\n")[1].split("\nEND\n")[0])
    return {f"{outer}.{name}": value for outer, inner in block.items() for name, value in inner.items()}


def check(engine: str, h: Handover) -> None:
    known = KNOWN[engine]
    for name, value in (flags(h.text) | extra(h.text)).items():
        assert name in known, (engine, name)
        kind = known[name]
        if kind == "flag":
            assert value is None, name
        elif isinstance(kind, list):
            assert value in kind, (name, value)
        else:
            assert value is not None, name
            {"int": int, "float": float, "str": str, "json": json.loads}[kind](value)


@settings(max_examples=60, deadline=None)
@given(
    model=st.sampled_from(["Llama3_8B", "Mixtral_8x7B", "DeepSeek_R1", "Mamba_2_8B"]),
    how=st.fixed_dictionaries(
        {
            "precision": st.sampled_from(["bf16", "fp16", "fp8", "int8", "fp32"]),
            "scheduler": st.sampled_from(["prefill_first", "chunked", "disaggregated"]),
            "tp": st.sampled_from([1, 2, 8]),
            "replicas": st.integers(1, 3),
            "draft": st.sampled_from([None, "Llama3_8B"]),
        }
    ),
)
def test_options_of_any_service(model: str, how: dict[str, Any]):
    try:
        e = service(model, **how)
    except InputError:  # a state space has no cache to serve from
        assert model == "Mamba_2_8B"
        return
    for engine in ENGINES:
        check(engine, emit_service(e, engine))


def test_the_lists_say_where_they_are_from():
    assert set(NAMES) == set(ENGINES)
    for project in NAMES.values():
        assert len(project["commit"]) == 40
        assert project["repository"].startswith("github.com/")


def test_the_settings_say_the_same_as_the_plan():
    e = service(tp=2, replicas=3, precision="fp8", scheduler="chunked", token_budget=512)
    f = flags(emit_service(e, "vllm").text)
    assert (f["--tensor-parallel-size"], f["--max-num-seqs"], f["--max-num-batched-tokens"]) == (
        "2",
        "64",
        "512",
    )
    assert (f["--quantization"], f["--kv-cache-dtype"]) == ("fp8", "fp8")
    assert "--enable-chunked-prefill" in f
    assert float(f["--gpu-memory-utilization"]) == 0.9
    f = flags(emit_service(e, "sglang").text)
    assert (f["--tp-size"], f["--max-running-requests"], f["--chunked-prefill-size"]) == ("2", "64", "448")
    f = flags(emit_service(e, "tensorrt-llm").text)
    assert (f["--tp_size"], f["--max_batch_size"], f["--max_num_tokens"]) == ("2", "64", "512")
    for engine in ENGINES:
        assert "start 3 of these servers behind a load balancer" in emit_service(e, engine).notes


def test_the_pool_of_the_cache_is_the_plans():
    """TensorRT-LLM takes a share of what the weights leave, the plan one of everything."""
    e = service(precision="bf16")
    s = e.scenario
    share = float(flags(emit_service(e, "tensorrt-llm").text)["--kv_cache_free_gpu_memory_fraction"])
    free = s.capacity - e.state.state - s.reserve
    assert share * free == pytest.approx(e.state.batching.pool, rel=1e-3)


def test_whole_prompts_fit_a_pass():
    e = service(scheduler="prefill_first")
    f = flags(emit_service(e, "vllm").text)
    assert int(f["--max-num-batched-tokens"]) >= int(f["--max-model-len"])
    assert flags(emit_service(e, "sglang").text)["--chunked-prefill-size"] == "-1"
    assert "--enable_chunked_prefill" not in flags(emit_service(e, "tensorrt-llm").text)


@pytest.mark.parametrize("engine", ENGINES)
def test_bash_runs_the_script(engine: str, tmp_path: Path):
    e = service(draft="Llama3_8B", tp=2)
    path = tmp_path / "serve.sh"
    path.write_text(emit_service(e, engine).text, encoding="utf-8")
    for name in ("vllm", "python", "trtllm-serve"):
        (tmp_path / name).write_text('#!/bin/bash\nprintf "%s\\0" "$@"\n')
        (tmp_path / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "MODEL": "a/model", "DRAFT": "a/draft"}
    told = subprocess.run(
        ["bash", path, "--more"], env=env, check=True, capture_output=True, text=True, cwd=tmp_path
    )
    words = told.stdout.split("\0")[:-1]
    assert "a/model" in words
    assert words[-1] == "--more"
    if engine == "vllm":
        guess = json.loads(words[words.index("--speculative-config") + 1])
        assert guess == {"model": "a/draft", "num_speculative_tokens": 7}
    if engine == "sglang":
        assert words[words.index("--speculative-draft-model-path") + 1] == "a/draft"
    if engine == "tensorrt-llm":
        assert "a/draft" in (tmp_path / "extra_options.yaml").read_text(encoding="utf-8")
    env.pop("MODEL")
    refused = subprocess.run(
        ["bash", path], env=env, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert refused.returncode != 0
    assert "Llama3_8B" in refused.stderr


def test_names_cannot_leave_their_comment():
    e = service()
    wicked = replace(e.scenario.settings, name='a\n$(touch x)\r"""\u2028 b\x7f')
    e = replace(e, scenario=replace(e.scenario, settings=wicked))
    for engine in ENGINES:
        lines = emit_service(e, engine).text.splitlines()
        assert all(line.startswith("#") for line in lines if "touch" in line)


def test_refused():
    with pytest.raises(UnknownNameError, match="Nearest: vllm"):
        emit_service(service(), "vlm")
    bert = mlsysim.SystemEvaluator.evaluate("a", "BERT_Large", "H100")
    with pytest.raises(InputError, match="only a service"):
        emit_service(bert, "vllm")


def test_a_plan_comes_back_the_same():
    e = service(tp=2, replicas=2, scheduler="chunked")
    again = mlsysim.evaluate_plan(yaml.safe_load(emit_service(e, "plan").text))
    assert again.to_dict()["performance"] == e.to_dict()["performance"]

"""Hand-over of a service: settings of vLLM, SGLang and TensorRT-LLM, each as a script that starts it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from mlsysim.core import registry
from mlsysim.core.errors import InputError, unknown
from mlsysim.core.evaluation import Evaluation
from mlsysim.core.states import replica
from mlsysim.handover.launch import Handover, one_line
from mlsysim.physics import occupancy

PLAN = "plan"
Settings = dict[str, "int | float | str | bool | None"]


@dataclass(frozen=True)
class Serve:
    """A service as settings; whole numbers, whatever the engine.

    ``budget`` is None where prompts are read whole; ``share`` is of the memory that weights,
    activations and cache take together, ``cache_share`` of what the weights leave.
    """

    title: str
    model: str
    precision: str
    tp: int
    replicas: int
    requests: int
    longest: int
    budget: int | None
    block: int | None
    share: float
    cache_share: float
    paged: bool
    draft: str | None
    draft_tokens: int
    scheduler: str

    def head(self, engine: str) -> list[str]:
        """Return the lines that say what a file is, for a comment."""
        return [
            f"{self.title}: {engine}, written by mlsysim",
            f"model {self.model}, {self.precision}; {self.replicas} x tp {self.tp}, "
            f"{self.requests} requests at once on each",
        ]


def check_engine(engine: str) -> None:
    """Refuse an engine that does not exist, before any work is done for it.

    Raises:
        UnknownNameError: naming those that there are.
    """
    if engine not in EMITTERS and engine != PLAN:
        raise unknown("engine", engine, (PLAN, *EMITTERS)).at("emit")


def emit_service(e: Evaluation, engine: str) -> Handover:
    """Return an evaluated service as a plan file, or as settings of a serving engine.

    Args:
        e: of a plan of inference that answers token by token.
        engine: one of :data:`ENGINES`, or ``plan``.

    Raises:
        InputError: an unknown engine, or a plan that is no service.
    """
    check_engine(engine)
    if engine == PLAN:
        import yaml

        return Handover(PLAN, yaml.safe_dump(e.plan(), sort_keys=False), "plan.yaml", ())
    return EMITTERS[engine](serve_of(e))


def serve_of(e: Evaluation) -> Serve:
    """Return an evaluated service as settings.

    Raises:
        InputError: the plan is no service.
    """
    s, state = e.scenario, e.state
    service, batching = state.serving, state.batching
    if service is None:
        raise InputError(
            "only a service can be handed over to a serving engine",
            where="serving",
            hint="the plan is to be of inference with a causal language model",
        )
    block = s.settings.blocks.get("serving", {})
    tp, requests = (int(x) for x in replica(s))
    taken = {a.name: a.value for a in s.assumptions}
    draft = block.get("draft")
    weights = float(state.state)
    free = max(s.capacity - weights - s.reserve, 1.0)
    tokens = 0
    if draft is not None:
        tokens = int(draft.tokens or taken.get("draft_tokens") or 0)
    chunked = block.get("scheduler") == "chunked"
    share = block.get("kv_memory_share") or registry.default("kv_memory_share", "1").base
    return Serve(
        title=one_line(s.name),
        model=one_line(s.model.reference),
        precision=s.precision,
        tp=tp,
        replicas=int(occupancy.replicas(service, state.accelerators, state.tensor_ranks)),
        requests=requests,
        longest=int(batching.lengths.longest) if batching is not None else s.seq_len,
        budget=int(block.get("token_budget") or taken["token_budget"]) if chunked else None,  # type: ignore[arg-type]
        block=None if batching is None else int(batching.block),
        share=float(share),
        cache_share=0.0 if batching is None else min(float(batching.pool) / free, 1.0),
        paged=batching is None or batching.paged,
        draft=None if draft is None else one_line(draft.model),
        draft_tokens=tokens,
        scheduler=block.get("scheduler", "prefill_first"),
    )


FORMATS = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32", "fp8": "bfloat16"}


def _common(at: Serve, notes: list[str]) -> None:
    """Say what no engine is told by its options."""
    if at.replicas > 1:
        notes.append(f"start {at.replicas} of these servers behind a load balancer")
    if at.precision not in FORMATS:
        notes.append(f"give a checkpoint in {at.precision}: its format is read from there")
    if at.scheduler == "disaggregated":
        notes.append("separate servers for prefill and decode are not set up here: this is one for both")
    if not at.paged:
        notes.append("its cache is paged: the plan reserves the longest sequence for each request")


def vllm(at: Serve) -> Handover:
    """Return a service as a script that starts ``vllm serve``."""
    notes: list[str] = []
    _common(at, notes)
    settings: Settings = {
        "tensor-parallel-size": at.tp,
        "max-num-seqs": at.requests,
        "max-model-len": at.longest,
        "gpu-memory-utilization": at.share,
        "block-size": at.block,
        "dtype": FORMATS.get(at.precision),
    }
    if at.precision == "fp8":
        settings |= {"quantization": "fp8", "kv-cache-dtype": "fp8"}
    if at.budget is None:
        # whole prompts have to fit a pass
        settings |= {
            "no-enable-chunked-prefill": True,
            "max-num-batched-tokens": max(at.longest, at.requests),
        }
        notes.append("versions that always cut prompts up take no heed of --no-enable-chunked-prefill")
    else:
        settings |= {"enable-chunked-prefill": True, "max-num-batched-tokens": at.budget}
    if at.draft is not None:
        guess = {"model": "$DRAFT", "num_speculative_tokens": at.draft_tokens}
        settings["speculative-config"] = json.dumps(guess)
    return _script(at, "vllm", "vLLM", "vllm serve {model}", settings, notes)


def sglang(at: Serve) -> Handover:
    """Return a service as a script that starts ``sglang.launch_server``."""
    notes: list[str] = []
    _common(at, notes)
    settings: Settings = {
        "tp-size": at.tp,
        "max-running-requests": at.requests,
        "context-length": at.longest,
        "mem-fraction-static": at.share,
        "page-size": at.block,
        "dtype": FORMATS.get(at.precision),
    }
    if at.precision == "fp8":
        settings |= {"quantization": "fp8", "kv-cache-dtype": "fp8_e4m3"}
    if at.budget is None:
        settings["chunked-prefill-size"] = -1
    else:
        # the budget less the running answers is the chunk
        settings |= {"chunked-prefill-size": max(at.budget - at.requests, 1), "enable-mixed-chunk": True}
    if at.draft is not None:
        settings |= {
            "speculative-algorithm": "STANDALONE",
            "speculative-draft-model-path": "$DRAFT",
            "speculative-num-steps": at.draft_tokens,
            "speculative-eagle-topk": 1,
            "speculative-num-draft-tokens": at.draft_tokens + 1,
        }
    return _script(
        at, "sglang", "SGLang", "python -m sglang.launch_server --model-path {model}", settings, notes
    )


def tensorrt_llm(at: Serve) -> Handover:
    """Return a service as a script that starts ``trtllm-serve``."""
    notes: list[str] = []
    _common(at, notes)
    settings: Settings = {
        "tp_size": at.tp,
        "max_batch_size": at.requests,
        "max_seq_len": at.longest,
        "max_num_tokens": at.budget or max(at.longest, at.requests),
        "kv_cache_free_gpu_memory_fraction": round(at.cache_share, 4),
        "enable_chunked_prefill": at.budget is not None,
    }
    before: list[str] = []
    if at.precision == "fp8":
        notes.append("give a checkpoint in fp8, its KV cache too: the format is read from there")
    if at.draft is not None:
        options = {
            "decoding_type": "Draft_Target",
            "max_draft_len": at.draft_tokens,
            "speculative_model": "$DRAFT",
        }
        before = ["cat > extra_options.yaml <<END", "speculative_config:"]
        before += [f"  {name}: {value}" for name, value in options.items()] + ["END"]
        settings["extra_llm_api_options"] = "extra_options.yaml"
    return _script(at, "tensorrt-llm", "TensorRT-LLM", "trtllm-serve {model}", settings, notes, before)


def _script(
    at: Serve,
    engine: str,
    title: str,
    command: str,
    settings: Settings,
    notes: list[str],
    before: list[str] | None = None,
) -> Handover:
    lines = ["#!/usr/bin/env bash", *(f"# {line}" for line in at.head(title))]
    lines += [f"# note: {n}" for n in notes]
    lines += ["set -euo pipefail", ""]
    lines.append(f': "${{MODEL:?the path or Hugging Face name of {_plain(at.model)}}}"')
    if at.draft is not None:
        lines.append(f': "${{DRAFT:?the path or Hugging Face name of {_plain(at.draft)}}}"')
    lines += before or []
    lines.append("ARGS=()")
    flags = [
        _flag(name, value) for name, value in settings.items() if value is not None and value is not False
    ]
    lines.append("ARGS+=(" + "".join(f"\n  {flag}" for flag in flags) + "\n)")
    lines += ["", command.format(model='"$MODEL"') + ' "${ARGS[@]}" "$@"', ""]
    return Handover(engine, "\n".join(lines), f"{engine}.sh", tuple(notes))


def _plain(name: str) -> str:
    """Return a name without what a shell would read in it."""
    return "".join(c for c in name if c.isalnum() or c in "-_./: ")


def _flag(name: str, value: int | float | str | bool) -> str:
    if value is True:
        return f"--{name}"
    text = str(value)
    if "$DRAFT" in text:  # filled in by the shell
        return f"--{name} " + '"' + text.replace('"', '\\"') + '"'
    return f"--{name} {shlex.quote(text)}"


EMITTERS: dict[str, Callable[[Serve], Handover]] = {
    "vllm": vllm,
    "sglang": sglang,
    "tensorrt-llm": tensorrt_llm,
}
ENGINES = tuple(EMITTERS)

"""A service in a few words, as a plan: what ``mlsysim serve MODEL HARDWARE`` evaluates."""

from __future__ import annotations

from typing import Any

from mlsysim.core import registry
from mlsysim.core.api import evaluate_plan
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Evaluation, Json
from mlsysim.physics import kvcache


def service_plan(
    model: str,
    hardware: str,
    *,
    qps: float | None = None,
    prompt: float | None = None,
    output: float | None = None,
    batch: int | None = None,
    tp: int = 1,
    replicas: int = 1,
    precision: str | None = None,
    scheduler: str = "prefill_first",
    token_budget: int | None = None,
    draft: str | None = None,
    region: str | None = None,
    rented: bool = False,
    ttft_ms: float | None = None,
    itl_ms: float | None = None,
    sla_ms: float | None = None,
) -> Json:
    """Return a plan of a service.

    Args:
        model: of the zoo, by name.
        hardware: of the zoo, by name.
        qps: requests a second, all replicas together; no queue if absent.
        prompt: tokens of a prompt on average.
        output: tokens of an answer on average.
        batch: requests that a replica works on at once; absent, the plan says nothing.
        tp: accelerators of a replica.
        replicas: copies of the model.
        precision: number format; the accelerator's usual one if absent.
        scheduler: ``prefill_first``, ``chunked`` or ``disaggregated``.
        token_budget: tokens of a pass of the chunked scheduler.
        draft: a model that guesses ahead (speculative decoding).
        region: where, for cost and carbon.
        rented: accelerators are rented rather than owned.
        ttft_ms: target for the time to first token under load, at the percentile, or without a queue [ms].
        itl_ms: target for the time between tokens [ms].
        sla_ms: target for the whole answer at the percentile [ms].
    """
    instances = 2 if scheduler == "disaggregated" else 1
    ttft = "ttft" if qps is None else "ttft_tail"
    plan: Json = {
        "version": "1.0",
        "workload": _given(name=model, phase="inference", precision=precision),
        "hardware": {"name": hardware, "accelerators": tp * replicas * instances},
        "ops": _given(region=region, ownership="rent" if rented else None),
        "serving": _given(
            prompt=prompt,
            output=output,
            requests=batch,
            tp=tp,
            scheduler=scheduler,
            token_budget=token_budget,
            draft=None if draft is None else {"model": draft},
        ),
        "queue": None if qps is None else {"rate": qps},
        "constraints": _given(**{ttft: ttft_ms, "itl": itl_ms, "tail": sla_ms}),
    }
    return {key: block for key, block in plan.items() if block}


def _given(**fields: Any) -> Json:
    return {key: value for key, value in fields.items() if value is not None}


def serve(model: str, hardware: str, **how: Any) -> Evaluation:
    """Return the evaluation of a service; see :func:`service_plan` for the arguments.

    Without a batch, a replica works on as many requests as its KV pool holds, at most the default of
    the registry, ``running_requests``.

    Raises:
        InputError: a name or number is wrong, or the model does not answer token by token.
    """
    plan = service_plan(model, hardware, **how)
    if "requests" not in plan["serving"]:
        plan["serving"]["requests"] = _fitting(plan)
    return checked(evaluate_plan(plan))


def checked(e: Evaluation) -> Evaluation:
    """Return an evaluation if it is of a service.

    Raises:
        InputError: the model does not answer token by token, or the plan is of training.
    """
    if e.state.serving is None:
        raise InputError(
            "the plan is of training"
            if e.layout is not None
            else f"{e.scenario.model.name} does not answer token by token",
            where="workload",
            hint="serve takes a plan of inference with a causal language model; see: mlsysim eval",
        )
    return e


def _fitting(plan: Json) -> int:
    """Return how many requests a replica works on at once where nobody says."""
    most = int(registry.default("running_requests", "1").base)
    one = plan | {"serving": plan["serving"] | {"requests": 1}}
    held = checked(evaluate_plan(one)).state.batching
    return most if held is None else max(1, min(most, int(kvcache.most_requests(held))))

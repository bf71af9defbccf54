"""``mlsysim optimize batching``: the deployment of a service for its load."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mlsysim.cli import complete, exits
from mlsysim.cli.optimize import run
from mlsysim.cli.options import (
    EXPORT,
    GAP,
    LIMIT,
    OBJECTIVE,
    PLAN,
    PROGRESS,
    SEED,
    SOLVER,
    TAX,
    THREADS,
    TOP,
    VERIFY,
    how_of,
)
from mlsysim.cli.output import OUTPUT, chosen
from mlsysim.cli.reporting import REPORT
from mlsysim.core.solver import defaults

BATCHING = """\b
Examples:
  mlsysim optimize batching plan.yaml --sla-ms 12000 --qps 40
  mlsysim optimize batching plan.yaml --qps 40 --ttft-ms 500 --itl-ms 50
  mlsysim optimize batching plan.yaml --precision bf16 --precision fp8
  mlsysim optimize batching plan.yaml --emit vllm > serve.sh

The plan is of inference; its hardware is the most that there is. Decided are the requests that run at
once, tp, replicas, and among the ways to run: what the plan fixes stays fixed. Objectives: cost (of a
million tokens at this load; then the most throughput), throughput (for a dollar, batches full), carbon,
cost+carbon, latency. P99 is of the whole answer, with batches full.
""" + exits.told(0, 1, 2, 3, 4)


def batching(
    context: typer.Context,
    plan: PLAN,
    qps: Annotated[float | None, typer.Option(help="Requests a second; the plan's if absent.")] = None,
    sla_ms: Annotated[float | None, typer.Option(help="Target for the P99 of the whole answer.")] = None,
    ttft_ms: Annotated[float | None, typer.Option(help="Target for the P99 of the first token.")] = None,
    itl_ms: Annotated[float | None, typer.Option(help="Target for the time between tokens.")] = None,
    objective: OBJECTIVE = "cost",
    carbon_tax: TAX = 0.0,
    tp: Annotated[
        list[int] | None, typer.Option(help="Accelerators of a replica; repeat for several.")
    ] = None,
    replicas: Annotated[list[int] | None, typer.Option(help="Replicas; repeat for several.")] = None,
    precision: Annotated[list[str] | None, typer.Option(help="A number format; repeat for several.")] = None,
    scheduler: Annotated[
        list[str] | None, typer.Option(help="prefill_first or chunked; repeat for both.")
    ] = None,
    draft: Annotated[
        list[str] | None,
        typer.Option(
            help="A model that may guess ahead; repeat for several.", autocompletion=complete.models
        ),
    ] = None,
    solver: SOLVER = "auto",
    time_limit: LIMIT = defaults.TIME_LIMIT,
    gap: GAP = defaults.GAP,
    threads: THREADS = defaults.THREADS,
    seed: SEED = defaults.SEED,
    top: TOP = 1,
    emit: Annotated[
        str | None,
        typer.Option(
            metavar="ENGINE",
            help="Print settings instead: plan, vllm, sglang, tensorrt-llm.",
            autocompletion=complete.words("plan", "vllm", "sglang", "tensorrt-llm"),
        ),
    ] = None,
    verify: VERIFY = False,
    export: EXPORT = None,
    report: REPORT = None,
    show_progress: PROGRESS = False,
    output: OUTPUT = None,
) -> int:
    """Find the batch, tp and replicas that serve a load for the least money within its targets."""
    from mlsysim.core.solver.batching import batching as best

    how = how_of(solver, time_limit, gap, threads, seed, top, verify, export, show_progress)

    def call() -> Any:
        return best(
            plan,
            qps=qps,
            sla_ms=sla_ms,
            ttft_ms=ttft_ms,
            itl_ms=itl_ms,
            objective=objective,
            carbon_tax=carbon_tax,
            tp=tuple(tp or ()),
            replicas=tuple(replicas or ()),
            precisions=tuple(precision or ()),
            schedulers=tuple(scheduler or ()),
            drafts=tuple(draft or ()),
            emit=emit,
            **how,
        )

    return run(chosen(context, output), call, quiet=show_progress, report=report)

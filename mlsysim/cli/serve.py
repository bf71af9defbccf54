"""``mlsysim serve``: latency, throughput and cost of a language model that answers requests."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mlsysim.cli import complete, exits
from mlsysim.cli.options import HARDWARE
from mlsysim.cli.output import Output, chosen, emit
from mlsysim.cli.reporting import REPORT, kept, ready
from mlsysim.core.errors import InputError

EPILOG = """\b
Examples:
  mlsysim serve Llama3_8B H100 --qps 10
  mlsysim serve Llama3_70B H100 --tp 4 --qps 6 --prompt 1200 --output 250
  mlsysim serve Llama3_70B H200 --tp 2 --draft Llama3_8B --batch 16
  mlsysim serve plan.yaml -o json

A plan's serving and queue blocks say the same and more: mlsysim schema. The numbers are those of eval.
Best batch, tp and replicas: mlsysim optimize batching.
""" + exits.told(0, 1, 2, 3)
# What the arguments are called here, by their places in the plan.
OPTIONS = {
    "workload.name": "MODEL",
    "hardware.name": "HARDWARE",
    "workload.precision": "--precision",
    "serving.prompt": "--prompt",
    "serving.output": "--output-tokens",
    "serving.requests": "--batch",
    "serving.tp": "--tp",
    "serving.scheduler": "--scheduler",
    "serving.token_budget": "--token-budget",
    "serving.draft.model": "--draft",
    "hardware.accelerators": "--replicas",
    "queue.rate": "--qps",
    "ops.region": "--region",
    "ops.ownership": "--rent",
    "constraints.ttft": "--ttft-ms",
    "constraints.ttft_tail": "--ttft-ms",
    "constraints.itl": "--itl-ms",
    "constraints.tail": "--sla-ms",
}
FORM = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FORM|TOKENS",
        help="Form of the result (text, json, markdown), or the tokens of an answer.",
        show_default="text",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    short = "Latency, throughput and cost of serving a language model."
    app.command("serve", short_help=short, epilog=EPILOG)(serve)


def serve(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODEL | PLAN",
            help="A model of the zoo, or a plan file.",
            autocompletion=complete.plans_and_models,
        ),
    ],
    hardware: HARDWARE = None,
    qps: Annotated[float | None, typer.Option(help="Requests a second, all replicas together.")] = None,
    prompt: Annotated[float | None, typer.Option(help="Tokens of a prompt, on average.")] = None,
    output_tokens: Annotated[float | None, typer.Option(help="Tokens of an answer, on average.")] = None,
    batch: Annotated[
        int | None, typer.Option(help="Requests that a replica works on at once; what fits if absent.")
    ] = None,
    tp: Annotated[int, typer.Option(min=1, help="Accelerators of a replica (tensor parallel).")] = 1,
    replicas: Annotated[int, typer.Option(min=1, help="Copies of the model.")] = 1,
    precision: Annotated[str | None, typer.Option(help="Number format, e.g. bf16, fp8.")] = None,
    scheduler: Annotated[
        str, typer.Option(help="prefill_first, chunked or disaggregated.")
    ] = "prefill_first",
    token_budget: Annotated[
        int | None, typer.Option(help="Tokens of a pass of the chunked scheduler.")
    ] = None,
    draft: Annotated[
        str | None, typer.Option(help="A model that guesses ahead.", autocompletion=complete.models)
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Where, for cost and carbon.", autocompletion=complete.regions)
    ] = None,
    rent: Annotated[bool, typer.Option("--rent", help="Rented accelerators, not owned ones.")] = False,
    ttft_ms: Annotated[float | None, typer.Option(help="Target for the first token, wait included.")] = None,
    itl_ms: Annotated[float | None, typer.Option(help="Target for the time between tokens.")] = None,
    sla_ms: Annotated[float | None, typer.Option(help="Target for the P99 of the whole answer.")] = None,
    report: REPORT = None,
    output: FORM = None,
) -> int:
    """Predict latency, throughput, KV capacity, tails under load, and cost of serving MODEL on HARDWARE."""
    from mlsysim.core import serving_view
    from mlsysim.core.api import evaluate_plan
    from mlsysim.core.serve import checked
    from mlsysim.core.serve import serve as evaluate

    form, tokens = _form(context, output)
    ready(report)
    if hardware is None:
        _only_a_plan(context, what)
        result = checked(evaluate_plan(what))
    else:
        try:
            result = evaluate(
                what,
                hardware,
                qps=qps,
                prompt=prompt,
                output=output_tokens if tokens is None else tokens,
                batch=batch,
                tp=tp,
                replicas=replicas,
                precision=precision,
                scheduler=scheduler,
                token_budget=token_budget,
                draft=draft,
                region=region,
                rented=rent,
                ttft_ms=ttft_ms,
                itl_ms=itl_ms,
                sla_ms=sla_ms,
            )
        except InputError as error:
            error.where = OPTIONS.get(error.where, error.where)
            raise
    emit(
        form,
        result.to_dict,
        lambda: serving_view.render(result),
        lambda: serving_view.markdown(result),
    )
    kept(report, result)
    return result.exit_code


def _form(context: typer.Context, given: list[str] | None) -> tuple[Output, float | None]:
    """Return the form of the result and the tokens of an answer: ``--output`` says either."""
    form: Output | None = None
    tokens: float | None = None
    for word in given or ():
        if word.lower() in list(Output):
            form = Output(word.lower())
            continue
        try:
            tokens = float(word)
        except ValueError:
            raise InputError(
                f"{word!r} is not allowed here",
                where="--output",
                hint=f"give {', '.join(Output)}, or how many tokens an answer has",
            ) from None
    return chosen(context, form), tokens


def _only_a_plan(context: typer.Context, what: str) -> None:
    """Refuse options that a plan file states itself, rather than ignore them."""
    from mlsysim.cli.eval import is_plan

    if not is_plan(what):
        raise InputError(
            f"{what!r} is neither a plan file nor a model with an accelerator",
            where="serve",
            hint="mlsysim serve plan.yaml, or with an accelerator, e.g. mlsysim serve Llama3_8B H100",
        )
    for name in context.params:
        source: Any = context.get_parameter_source(name)
        if name not in ("what", "output", "report") and source is not None and source.name == "COMMANDLINE":
            raise InputError(
                f"--{name.replace('_', '-')} goes with MODEL HARDWARE, not with a plan file",
                where="serve",
                hint="set it in the plan",
            )

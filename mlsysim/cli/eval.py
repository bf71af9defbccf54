"""``mlsysim eval``: a plan, or a model on an accelerator, against every wall."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from mlsysim.cli import complete, exits
from mlsysim.cli.options import HARDWARE
from mlsysim.cli.output import OUTPUT, Output, chosen, emit
from mlsysim.cli.reporting import REPORT, kept, ready
from mlsysim.core.errors import InputError

EPILOG = """\b
Examples:
  mlsysim eval plan.yaml
  mlsysim eval plan.yaml -o markdown
  mlsysim eval plan.yaml --wall communication
  mlsysim eval plan.yaml --watch
  mlsysim -o json eval plan.yaml | jq .performance.metrics.latency
  mlsysim eval plan.yaml --report plan.html
  mlsysim eval plan.yaml --chart roofline
  mlsysim eval fleet.yaml
  mlsysim eval Llama3_8B H100
  mlsysim eval Llama3_70B B200 --batch-size 32 --precision fp8 --seq-len 8192

\b
The smallest plan:
  version: "1.0"
  workload: {name: Llama3_70B, batch_size: 4096}
  hardware: {name: H100, nodes: 64}

All keys: mlsysim schema.  Names: mlsysim zoo models, mlsysim zoo hardware.
""" + exits.told(0, 1, 2, 3)
# What the arguments are called here, by their names in Python.
ARGUMENTS = {
    "model": "MODEL",
    "hardware": "HARDWARE",
    "batch_size": "--batch-size",
    "precision": "--precision",
    "efficiency": "--efficiency",
    "seq_len": "--seq-len",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "eval",
        short_help="Hold a plan, or a model on an accelerator, against every wall.",
        epilog=EPILOG,
    )(evaluate)


def evaluate(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="PLAN | MODEL",
            help="A plan file (.yaml), a scenario, or a model of the zoo.",
            autocompletion=complete.plans_and_models,
        ),
    ],
    hardware: HARDWARE = None,
    batch_size: Annotated[int, typer.Option(help="Sequences or samples on the accelerator.")] = 1,
    precision: Annotated[str | None, typer.Option(help="Number format, e.g. bf16, fp8, int8.")] = None,
    efficiency: Annotated[
        str, typer.Option(help="Share of the peak that matrix work reaches, or auto.")
    ] = "auto",
    seq_len: Annotated[int | None, typer.Option(help="Context of each sequence [tokens].")] = None,
    wall: Annotated[
        str | None,
        typer.Option(help="Show one wall at close range, by number or name.", autocompletion=complete.walls),
    ] = None,
    chart: Annotated[
        list[str] | None,
        typer.Option(help="Draw walls, roofline, memory or time with characters; repeat for several."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Evaluate again whenever the plan changes, until Ctrl-C.")
    ] = False,
    report: REPORT = None,
    output: OUTPUT = None,
) -> int:
    """Evaluate a plan file, a scenario of the zoo, or one inference step of MODEL on one HARDWARE."""
    form = chosen(context, output)
    ready(report)
    if chart and (wall is not None or form is Output.json):
        other = "-o json" if wall is None else "--wall"
        raise InputError(f"--chart does not go with {other}", where="--chart", hint="leave one of them out")

    def show() -> int:
        if hardware is None:
            result = _named(context, what)
        else:
            result = _step(what, hardware, batch_size, precision, _efficiency(efficiency), seq_len=seq_len)
        _print(form, result, wall, chart)
        kept(report, result)
        return int(result.exit_code)

    if not watch:
        return show()
    from mlsysim.cli.watch import watching

    return watching(what, form, show)


def _step(
    what: str, hardware: str, batch: int, precision: str | None, share: Any, seq_len: int | None
) -> Any:
    """Return the evaluation of one inference step."""
    from mlsysim.core.api import SystemEvaluator

    try:
        return SystemEvaluator.evaluate("", what, hardware, batch, precision, share, seq_len=seq_len)
    except InputError as error:
        error.where = ARGUMENTS.get(error.where, error.where)
        if error.where == "MODEL" and is_plan(what):
            error.hint = f"a plan names its hardware itself: mlsysim eval {what}"
        raise


def _named(context: typer.Context, what: str) -> Any:
    """Return the evaluation of a plan file, or of a scenario of the zoo."""
    from mlsysim.core.api import evaluate_any

    if is_plan(what):
        _no_options(context)
        return evaluate_any(what)
    scenario = _scenario(what)
    if scenario is None:
        raise InputError(
            f"{what!r} is neither a plan file, nor a scenario, nor a model with an accelerator",
            where="eval",
            hint="mlsysim eval plan.yaml, or mlsysim eval MODEL HARDWARE, e.g. mlsysim eval Llama3_8B H100",
        )
    _no_options(context)
    return scenario.evaluate()


def _print(form: Output, result: Any, wall: str | None, chart: list[str] | None) -> None:
    """Print an evaluation, one of its walls, or charts of it."""
    from mlsysim.core.evaluation import Evaluation

    if (chart or wall is not None) and not isinstance(result, Evaluation):
        option = "--chart" if wall is None else "--wall"
        raise InputError(
            f"{option} is of plans with one job", where="eval", hint="leave it out, or evaluate a job alone"
        )
    if chart:
        drawn = _charts(result, chart)
        emit(form, result.to_dict, lambda: drawn, lambda: f"```\n{drawn}\n```")
    elif wall is None:
        emit(form, result.to_dict, result.scorecard, lambda: _markdown(result))
    else:
        from mlsysim.core.wall_view import view

        near = view(result, wall)
        emit(form, near.to_dict, near.text, near.markdown)


def _charts(result: Any, names: list[str]) -> str:
    """Return charts of characters, one below the other."""
    from mlsysim.core.charts import chart

    try:
        return "\n\n".join(chart(result, name) for name in names)
    except InputError as error:
        error.where = "--chart"
        raise


def _scenario(what: str) -> Any:
    """Return the named scenario of the zoo, or None where no such is there."""
    from mlsysim.core.errors import UnknownNameError
    from mlsysim.systems import CATALOG
    from mlsysim.systems.scenarios import ScenarioEntry

    try:
        entry = CATALOG.get(what)
    except UnknownNameError:
        return None
    return entry if isinstance(entry, ScenarioEntry) else None


def is_plan(what: str) -> bool:
    """Whether an argument means a file."""
    if what.endswith((".yaml", ".yml", ".json")) or "/" in what or os.sep in what:
        return True
    try:
        return bool(what) and Path(what).exists()
    except (OSError, ValueError):  # a name too long for a file, or a null byte
        return False


def _no_options(context: typer.Context) -> None:
    """Refuse options that a plan file states itself, rather than ignore them."""
    for name in ("batch_size", "precision", "efficiency", "seq_len"):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise InputError(
                f"--{name.replace('_', '-')} goes with MODEL HARDWARE, not with a plan file",
                where="eval",
                hint="set it in the plan",
            )


def _efficiency(given: str) -> float | str:
    try:
        return float(given)
    except ValueError:  # auto, or something to be refused with the other wrong values
        return given


def _markdown(result: Any) -> str:
    from mlsysim.report import markdown

    return markdown(result)

"""``mlsysim eval``: a plan, or a model on an accelerator, against every wall."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mlsysim.cli.output import OUTPUT, chosen, emit
from mlsysim.core.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "eval", epilog="Examples:  mlsysim eval plan.yaml   |   mlsysim eval Llama3_8B H100 --batch-size 32"
    )(evaluate)


def evaluate(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(metavar="PLAN | MODEL", help="A plan file (.yaml), or a model of the zoo.")
    ],
    hardware: Annotated[
        str | None, typer.Argument(metavar="[HARDWARE]", help="An accelerator of the zoo, with a model.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Sequences or samples on the accelerator.")] = 1,
    precision: Annotated[str | None, typer.Option(help="Number format, e.g. bf16, fp8, int8.")] = None,
    efficiency: Annotated[
        str, typer.Option(help="Share of the peak that matrix work reaches, or auto.")
    ] = "auto",
    seq_len: Annotated[int | None, typer.Option(help="Context of each sequence [tokens].")] = None,
    output: OUTPUT = None,
) -> int:
    """Evaluate a plan file, or one inference step of MODEL on one HARDWARE."""
    from mlsysim.core.api import SystemEvaluator, evaluate_plan

    form = chosen(context, output)
    if hardware is not None:
        result = SystemEvaluator.evaluate(
            "", what, hardware, batch_size, precision, _efficiency(efficiency), seq_len=seq_len
        )
    elif what.endswith((".yaml", ".yml", ".json")) or "/" in what or Path(what).exists():
        _no_options(context)
        result = evaluate_plan(what)
    else:
        raise InputError(
            f"{what!r} is neither a plan file nor a model with an accelerator",
            where="eval",
            hint="mlsysim eval plan.yaml, or mlsysim eval MODEL HARDWARE",
        )
    emit(form, result.to_dict, result.scorecard, lambda: _markdown(result))
    return result.exit_code


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
    if given == "auto":
        return given
    try:
        return float(given)
    except ValueError:
        raise InputError(
            f"{given!r} is not allowed here",
            where="--efficiency",
            hint="give 'auto' or a share of the peak above 0 and at most 1",
        ) from None


def _markdown(result: Any) -> str:
    from mlsysim.core.markdown import evaluation

    return evaluation(result)

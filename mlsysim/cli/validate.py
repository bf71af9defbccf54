"""``mlsysim validate``: predictions against what was measured."""

from __future__ import annotations

from typing import Annotated

import typer

from mlsysim.cli import complete, exits
from mlsysim.cli.output import OUTPUT, chosen, emit, progress, write

EPILOG = """\b
Examples:
  mlsysim validate
  mlsysim validate --kind training --chip H100
  mlsysim validate --set BLOOM -o json
  mlsysim validate --file rows.yaml

A row is predicted from its configuration alone. The form of a file of rows is
in registry/measurements/README.md; what the errors teach in docs/accuracy.md.
""" + exits.told(0, 1, _0="done")


def register(app: typer.Typer) -> None:
    """Add the command."""
    short = "Predict what was measured, and show how far off that is."
    app.command("validate", short_help=short, epilog=EPILOG)(validate)


def validate(
    context: typer.Context,
    set_: Annotated[str, typer.Option("--set", help="Only sets whose name contains this.")] = "",
    chip: Annotated[
        str, typer.Option(help="Only this accelerator of the zoo.", autocompletion=complete.hardware)
    ] = "",
    kind: Annotated[
        str, typer.Option(help="Only this kind: training, finetuning, serving, memory, energy, ...")
    ] = "",
    file: Annotated[
        str | None, typer.Option(help="A file of rows of your own, in place of the registry's.")
    ] = None,
    output: OUTPUT = None,
) -> int:
    """Predict measured training steps, serving, memory, operators and energy, and compare."""
    from mlsysim.core.validation import report
    from mlsysim.core.validation.judge import validate as run

    form = chosen(context, output)
    with progress("predicting"):
        found = run(file=file, set_=set_, chip=chip, kind=kind)
    if found.strange:
        write(f"fields that nothing reads: {', '.join(found.strange)}\n", "stderr")
    emit(
        form,
        lambda: report.document(found),
        lambda: report.as_text(found),
        lambda: report.markdown(found),
    )
    return 0

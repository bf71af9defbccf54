"""``mlsysim zoo``: what the registry holds, and where each number comes from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mlsysim.cli import complete, exits
from mlsysim.cli.output import OUTPUT, chosen, emit

EPILOG = """\b
Examples:
  mlsysim zoo hardware --sort -memory
  mlsysim zoo models --filter llama
  mlsysim zoo hardware H100
  mlsysim zoo walls
  mlsysim zoo check my_registry/
""" + exits.told(0, 1, _0="done", _1="bad input, or the registry is not sound")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "zoo",
        short_help="Show what the registry holds, with its sources.",
        epilog=EPILOG,
    )(zoo)


def zoo(
    context: typer.Context,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="hardware|models|infra|systems|walls|check",
            help="What to list.",
            autocompletion=complete.words(*complete.KINDS),
        ),
    ],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="One entry in full, with its sources.",
            autocompletion=complete.entries,
        ),
    ] = None,
    filter_: Annotated[
        str, typer.Option("--filter", help="Only entries whose name, group or title contains this.")
    ] = "",
    sort: Annotated[str, typer.Option(help="Column to sort by; a leading '-' reverses.")] = "",
    output: OUTPUT = None,
) -> int:
    """List what the zoo holds, show one entry, or check a registry folder."""
    from mlsysim.core import zoo as listing

    form = chosen(context, output)
    view: Any = listing.check(name) if kind == "check" else listing.view(kind, name, filter_, sort)
    emit(form, view.to_dict, view.text, view.markdown)
    return int(view.exit_code)

"""``--report``: the result as a page of its own, besides what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mlsysim.cli.output import write
from mlsysim.core.errors import InputError, MissingExtraError

REPORT = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Also write a page of its own (.html): walls, proof, plots, sources."),
]


def ready(path: str | None) -> None:
    """Refuse a report that could not be written, before any work is done for it.

    Raises:
        InputError: there is no such folder, or the file is one.
        MissingExtraError: Plotly is not installed.
    """
    if path is None:
        return
    from mlsysim.viz.theme import plotly

    try:
        plotly()
    except MissingExtraError as error:
        error.where = "--report"
        raise
    file = Path(path)
    try:
        wrong = (
            "a folder has this name" if file.is_dir() else "" if file.parent.is_dir() else "no such folder"
        )
    except (OSError, ValueError):  # a name too long for a file, or a null byte
        wrong = "no file can have this name"
    if wrong:
        raise InputError(f"{path[:200]}: {wrong}", where="--report", hint="give the path of a page to write")


def kept(path: str | None, result: Any) -> None:
    """Write the report of a result, if it is asked for, and say so on stderr."""
    if path is None:
        return
    from mlsysim.report import write as write_page

    write_page(result, path)
    write(f"report: {path}\n", "stderr")

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
    if wrong := _wrong(path):
        raise InputError(f"{path[:200]}: {wrong}", where="--report", hint="give the path of a page to write")


def _wrong(path: str) -> str:
    """Return why no page can have this name; empty where one can."""
    file = Path(path)
    try:
        if file.is_dir():
            return "a folder has this name"
        if not file.parent.is_dir():
            return "no such folder"
    except OSError:  # a name too long for a file
        return "no file can have this name"
    return "no file can have this name" if "\0" in path else ""


def kept(path: str | None, result: Any) -> None:
    """Write the report of a result, if it is asked for, and say so on stderr."""
    if path is None:
        return
    from mlsysim.report import write as write_page

    write_page(result, path)
    write(f"report: {path}\n", "stderr")

"""What the commands that explain have in common."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer

from mlsysim.cli.options import OPTIONS
from mlsysim.cli.output import Output, emit, progress
from mlsysim.cli.reporting import kept, ready
from mlsysim.core.errors import InputError


def whole(name: str) -> Any:
    """Return a module of the solvers, imported when it is needed."""
    return import_module(f"mlsysim.core.solver.{name}")


def refuse(context: typer.Context, option: str, *others: str) -> None:
    """Refuse options that another one leaves no room for, rather than ignore them.

    Raises:
        InputError: one of them was given.
    """
    for name in others:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            shown = f"--{name.replace('_', '-')}"
            raise InputError(f"{shown} does not go with {option}", where=shown, hint="leave one of them out")


def run_why(form: Output, call: Callable[[], Any], what: str, report: str | None = None) -> int:
    """Work something out, print it in the form asked for, write its report, return its exit code."""
    ready(report)
    try:
        with progress(what):
            result = call()
    except InputError as error:
        error.where = OPTIONS.get(error.where, error.where)
        raise
    emit(form, result.to_dict, result.scorecard, result.markdown)
    kept(report, result)
    return int(result.exit_code)

"""What goes to stdout and what to stderr."""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer

from mlsysim.core.errors import MlsysimError


class Output(StrEnum):
    """The form of the result on stdout."""

    text = "text"
    json = "json"
    markdown = "markdown"


OUTPUT = Annotated[
    Output | None,
    typer.Option(
        "-o",
        "--output",
        help="Form of the result; may stand before or after the command.",
        show_default="text",
    ),
]


def chosen(context: typer.Context, output: Output | None) -> Output:
    """Return the output format: the command's own, or one given before it."""
    at: typer.Context | None = context
    while output is None and at is not None:
        output = at.obj if isinstance(at.obj, Output) else None
        at = at.parent  # type: ignore[assignment]
    return output or Output.text


def emit(
    output: Output, document: Callable[[], Any], text: Callable[[], str], markdown: Callable[[], str]
) -> None:
    """Print the result once, in the form asked for."""
    if output is Output.json:
        sys.stdout.write(json.dumps(finite(document()), indent=2, ensure_ascii=False) + "\n")
    elif output is Output.markdown:
        sys.stdout.write(markdown() + "\n")
    else:
        sys.stdout.write(text() + "\n")


def finite(value: Any) -> Any:
    """Return plain data in which what JSON cannot say (infinity, NaN) is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value


def emit_error(error: MlsysimError, output: Output) -> None:
    """Print an error: a JSON document on stdout, or a message on stderr."""
    if output is Output.json:
        document = {
            "schema_version": "1.0",
            "status": "error",
            "error": {
                "code": error.code,
                "where": error.where or None,
                "problem": error.problem,
                "hint": error.hint or None,
            },
        }
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"mlsysim: {error}\n" if not error.where else f"{error}\n")


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Say on stderr what takes more than a second, and how long it has taken."""
    done = threading.Event()

    def report() -> None:
        seconds, tty = 1, sys.stderr.isatty()
        if done.wait(1.0):
            return
        while True:
            sys.stderr.write(f"\r{what}: {seconds} s" if tty else f"{what} ...\n")
            sys.stderr.flush()
            if done.wait(1.0 if tty else 30.0):
                break
            seconds += 1
        if tty:
            sys.stderr.write("\r" + " " * (len(what) + 12) + "\r")

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()

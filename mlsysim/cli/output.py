"""What goes to stdout and what to stderr."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import Annotated, Any, Literal

import typer

from mlsysim.core.errors import MlsysimError
from mlsysim.core.said import error_document, error_text, finite


class OutputError(MlsysimError):
    """The result cannot be written, e.g. to a full disk."""

    code = "no_output"


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
        case_sensitive=False,
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
        write_json(document())
    elif output is Output.markdown:
        write(markdown() + "\n")
    else:
        write(text() + "\n")


def write_json(document: Any) -> None:
    """Print one JSON document, in ASCII so that no locale can spoil it."""
    write(json.dumps(finite(document), indent=2) + "\n")


def write(text: str, to: Literal["stdout", "stderr"] = "stdout") -> None:
    """Print text, with escapes for characters that the stream cannot show.

    A reader that has had enough, as in ``mlsysim zoo hardware | head``, is no error.

    Raises:
        OutputError: the text cannot be written.
    """
    stream = getattr(sys, to)
    if stream is None:  # closed by the caller: mlsysim ... >&-
        return
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        _discard(stream)
    except OSError as error:
        _discard(stream)
        raise OutputError(f"the result cannot be written: {error.strerror}", where=to) from error


def _discard(stream: Any) -> None:
    """Send what a stream still holds nowhere, or Python complains at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def emit_error(error: MlsysimError, output: Output) -> None:
    """Print an error: a JSON document on stdout, or a message on stderr."""
    if output is Output.json and not isinstance(error, OutputError):
        write_json(error_document(error))
        return
    with suppress(OutputError):
        write(error_text(error) + "\n", "stderr")


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Say on stderr what takes more than a second, and how long it has taken."""
    done = threading.Event()
    tty = sys.stderr is not None and sys.stderr.isatty()

    def report() -> None:
        seconds = 1
        if done.wait(1.0):
            return
        with suppress(OutputError):
            while True:
                write(f"\r{what}: {seconds} s" if tty else f"{what} ...\n", "stderr")
                if done.wait(1.0 if tty else 30.0):
                    break
                seconds += 1
            if tty:
                write("\r" + " " * (len(what) + 12) + "\r", "stderr")

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()

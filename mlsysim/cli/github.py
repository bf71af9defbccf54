"""What a step of GitHub Actions leaves behind: annotations, outputs and a summary."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mlsysim.cli.output import OutputError
from mlsysim.core.several import File

LEVELS = {1: "error", 2: "error", 3: "warning"}


def at_lines(files: Sequence[File]) -> Iterator[str]:
    """Yield a workflow command for each reason: GitHub shows it at the line of the plan."""
    for f in files:
        for r in f.reasons:
            where = f"file={_property(f.name)}" + (f",line={r.line}" if r.line else "")
            title = _property(f"mlsysim: {f.verdict}")
            yield f"::{LEVELS[f.code]} {where},title={title}::{_data(r.text)}"


def append(variable: str, text: str) -> None:
    """Append text to a file that an environment variable names; nothing where there is none.

    Raises:
        OutputError: it cannot be written.
    """
    name = os.environ.get(variable)
    if not name:
        return
    try:
        with Path(name).open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise OutputError(f"{variable} cannot be written: {error.strerror}", where=name) from error


def outputs(values: Mapping[str, str]) -> str:
    """Return outputs of a step, each between marks that nobody can guess and so nobody can forge."""
    mark = f"mlsysim_{secrets.token_hex(16)}"
    return "".join(f"{name}<<{mark}\n{value}\n{mark}\n" for name, value in values.items())


def _data(text: str) -> str:
    """Return text as it stands in the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Return text as it stands in a property of a workflow command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")

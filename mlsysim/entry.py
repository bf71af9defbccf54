"""The command ``mlsysim``: starts the command line, or says which extra is missing."""

from __future__ import annotations

import os
import sys
from types import TracebackType


def main() -> None:
    """Run the command line and exit with its code."""
    if not os.environ.get("MLSYSIM_TRACEBACK"):
        sys.excepthook = defect
    try:
        from mlsysim.cli.main import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich", "shellingham"):
            raise
        _say("mlsysim: the command line is not installed.\n  pip install 'mlsysim[cli]'\n")
        sys.exit(1)
    sys.exit(run(sys.argv[1:]))


def defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say what went wrong inside mlsysim, in place of a traceback; Python then exits with 1."""
    if issubclass(kind, KeyboardInterrupt):
        _say("interrupted\n")
    else:
        _say(
            f"mlsysim: internal error: {kind.__name__}: {error}\n"
            "  this is a defect of mlsysim, please report it; MLSYSIM_TRACEBACK=1 shows where it is\n"
        )


def _say(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text)

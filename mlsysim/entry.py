"""The command ``mlsysim``: starts the command line, or says which extra is missing."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from mlsysim.cli.main import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich", "shellingham"):
            raise
        sys.stderr.write("mlsysim: the command line is not installed.\n  pip install 'mlsysim[cli]'\n")
        sys.exit(1)
    sys.exit(run(sys.argv[1:]))

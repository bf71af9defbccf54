"""The command ``mlsysim``: commands, errors and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import Abort, Exit, TyperException

from mlsysim.cli import eval as eval_command
from mlsysim.cli import optimize as optimize_command
from mlsysim.cli import schema as schema_command
from mlsysim.cli import zoo as zoo_command
from mlsysim.cli.output import OUTPUT, Output, emit_error
from mlsysim.core.errors import InputError, MlsysimError, SolverLimitError

EPILOG = (
    "Exit codes: 0 holds, 1 bad input, 2 physically infeasible, 3 a limit of the plan is "
    "violated, 4 the solver stopped without an answer."
)

app = typer.Typer(
    name="mlsysim",
    no_args_is_help=True,
    add_completion=True,
    epilog=EPILOG,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Will it fit, how fast, what does it cost and emit, and what is the best "
    "way to run it: ML systems from physics, optimized with proof.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from mlsysim import __version__

        typer.echo(f"mlsysim {__version__}")
        raise Exit(0)


@app.callback()
def root(
    context: typer.Context,
    output: OUTPUT = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Keep the output format for the command that follows."""
    context.obj = output


eval_command.register(app)
optimize_command.register(app)
zoo_command.register(app)
schema_command.register(app)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code.

    A traceback never reaches a user for anything that a user can cause.
    """
    try:
        result = app(list(arguments), standalone_mode=False, prog_name="mlsysim")
    except TyperException as error:  # a usage error: Click's own code 2 would mean the physics
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if not message:  # no command given: the help is already printed
            return 1
        emit_error(InputError(message, hint=f"see: {_help_for(arguments)}"), _asked(arguments))
        return 1
    except Exit as stop:
        return int(stop.exit_code)
    except Abort:
        sys.stderr.write("interrupted\n")
        return 130
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except SolverLimitError as error:
        emit_error(error, _asked(arguments))
        return 4
    except MlsysimError as error:
        emit_error(error, _asked(arguments))
        return 1
    except BrokenPipeError:  # e.g. mlsysim zoo hardware | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return result if isinstance(result, int) else 0


def _asked(arguments: Sequence[str]) -> Output:
    """Return the output format that the arguments ask for, even if they are wrong otherwise."""
    for i, argument in enumerate(arguments):
        value = ""
        if argument in ("-o", "--output") and i + 1 < len(arguments):
            value = arguments[i + 1]
        elif argument.startswith("--output="):
            value = argument.partition("=")[2]
        elif argument.startswith("-o") and not argument.startswith("--"):
            value = argument[2:].lstrip("=")
        if value in (Output.json, Output.markdown, Output.text):
            return Output(value)
    return Output.text


def _help_for(arguments: Sequence[str]) -> str:
    commands = [
        a for a in arguments[:2] if a in ("eval", "zoo", "schema", "optimize", "parallelism", "placement")
    ]
    return " ".join(["mlsysim", *commands, "--help"])

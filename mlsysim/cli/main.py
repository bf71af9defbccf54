"""The command ``mlsysim``: commands, errors and exit codes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer
from typer.exceptions import Abort, Exit, TyperException

from mlsysim.cli import ci as ci_command
from mlsysim.cli import eval as eval_command
from mlsysim.cli import explain as explain_command
from mlsysim.cli import init as init_command
from mlsysim.cli import lab as lab_command
from mlsysim.cli import mcp as mcp_command
from mlsysim.cli import optimize as optimize_command
from mlsysim.cli import schema as schema_command
from mlsysim.cli import serve as serve_command
from mlsysim.cli import solve as solve_command
from mlsysim.cli import sweep as sweep_command
from mlsysim.cli import validate as validate_command
from mlsysim.cli import zoo as zoo_command
from mlsysim.cli.output import OUTPUT, Output, OutputError, emit_error, write
from mlsysim.core.errors import InputError, MlsysimError, SolverLimitError

EPILOG = """\b
Examples:
  mlsysim eval Llama3_8B H100 --batch-size 32
  mlsysim eval plan.yaml
  mlsysim serve Llama3_8B H100 --qps 10
  mlsysim optimize parallelism plan.yaml
  mlsysim -o json eval plan.yaml | jq .macro.metrics.tco_usd

\b
Exit codes:
  0 holds                       3 a limit of the plan is violated
  1 bad input                   4 the solver stopped without an answer
  2 physically infeasible
"""

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

        write(f"mlsysim {__version__}\n")
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


init_command.register(app)
eval_command.register(app)
serve_command.register(app)
optimize_command.register(app)
explain_command.register(app)
solve_command.register(app)
sweep_command.register(app)
zoo_command.register(app)
validate_command.register(app)
lab_command.register(app)
schema_command.register(app)
ci_command.register(app)
mcp_command.register(app)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code.

    A traceback never reaches a user for anything that a user can cause.
    """
    try:
        result = app(list(arguments), standalone_mode=False, prog_name="mlsysim")
    except TyperException as error:  # a usage error: Click's own code 2 would mean the physics
        message = error.format_message()
        if message.startswith("Usage:"):  # no command given: the message is the whole help
            with suppress(OutputError):
                write(message + "\n", "stderr")
            return 1
        return _failed(InputError(message, hint=f"see: {_help_for(arguments)}"), arguments)
    except Exit as stop:
        return int(stop.exit_code)
    except (Abort, KeyboardInterrupt):
        write("interrupted\n", "stderr")
        return 130
    except MlsysimError as error:
        return _failed(error, arguments)
    except OSError as error:  # from Click's own writing, e.g. of the help to a full disk
        return _failed(OutputError(f"the help cannot be written: {error.strerror}"), arguments)
    return result if isinstance(result, int) else 0


def _failed(error: MlsysimError, arguments: Sequence[str]) -> int:
    with suppress(OutputError):
        emit_error(error, _asked(arguments))
    return 4 if isinstance(error, SolverLimitError) else 1


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


_COMMANDS = (
    "eval",
    "serve",
    "batching",
    "zoo",
    "schema",
    "validate",
    "optimize",
    "parallelism",
    "placement",
    "solve",
    "sensitivity",
    "synthesis",
    "explain",
    "sweep",
    "lab",
    "mcp",
    "init",
    "ci",
)


def _help_for(arguments: Sequence[str]) -> str:
    commands = [a for a in arguments[:2] if a in _COMMANDS]
    return " ".join(["mlsysim", *commands, "--help"])

"""``mlsysim mcp``: the tools for agents, over the Model Context Protocol."""

from __future__ import annotations

from typing import Annotated

import typer

from mlsysim.cli import exits
from mlsysim.core.errors import MissingExtraError

EPILOG = """\b
Examples:
  mlsysim mcp
  mlsysim mcp --time-limit 20 --workers 1

\b
An agent's host starts it, e.g. with this in its configuration:
  {"mcpServers": {"mlsysim": {"command": "mlsysim", "args": ["mcp"]}}}

Needs the extra mcp. Tools: eval, eval_model, serve, optimize_..., explain, solve_..., zoo_list, zoo_show,
schema; docs/agents.md has them. A plan comes as text and can name neither files nor downloads.
""" + exits.told(0, 1, _0="done")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "mcp",
        short_help="Serve eval, optimize, explain and the zoo to agents.",
        epilog=EPILOG,
    )(mcp)


def mcp(
    time_limit: Annotated[
        float, typer.Option(min=1, max=86_400, help="Most seconds that a call may give a solver.")
    ] = 60.0,
    wall_clock: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=172_800,
            help="Seconds after which a call is ended; twice the time limit and 30 s if absent.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Calls that run at a time.")] = 2,
    memory: Annotated[int, typer.Option(min=512, help="Most memory of a call [MiB].")] = 4096,
) -> int:
    """Serve tools for agents over the Model Context Protocol, on stdin and stdout, until stdin ends."""
    from mlsysim.mcp.limits import MIB, Limits

    try:
        from mlsysim.mcp.server import main
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "anyio", "jsonschema", "mcp_types"):
            raise
        raise MissingExtraError(
            "the Model Context Protocol is not installed", where="mcp", hint="pip install 'mlsysim[mcp]'"
        ) from error
    clock = 2 * time_limit + 30 if wall_clock is None else wall_clock
    main(Limits(solver=time_limit, wall_clock=clock, memory=memory * MIB, workers=workers))
    return 0

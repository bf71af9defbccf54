"""The server: the tools over the Model Context Protocol, on stdin and stdout."""

from __future__ import annotations

import json
from typing import Any

import anyio
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp.types import Tool as Described

from mlsysim import __version__
from mlsysim.core.errors import InputError, MlsysimError, nearest
from mlsysim.core.said import error_document, error_text
from mlsysim.mcp.arguments import plan_text
from mlsysim.mcp.limits import Limits
from mlsysim.mcp.pool import Pool
from mlsysim.mcp.tools import Tool, table

Json = dict[str, Any]
INSTRUCTIONS = """\
mlsysim predicts ML systems from physics and finds provably best plans. Write a plan (tool: schema; names: \
zoo_list), hold it against the walls (eval), find the best one (optimize_*), and ask why (explain, solve_*). \
A plan is text: it cannot name files or downloads. Units are in the documents; an infeasible plan is a \
result, not an error."""


async def serve(limits: Limits) -> None:
    """Answer on stdin and stdout until stdin ends."""
    async with Pool(limits) as pool:
        server = build(pool)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())


def build(pool: Pool) -> Server[Any]:
    """Return the server of a pool's tools."""
    tools = table(pool.limits)

    async def list_tools(
        context: ServerRequestContext[Any], page: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=[_described(tool) for tool in tools.values()])

    async def call_tool(context: ServerRequestContext[Any], call: CallToolRequestParams) -> CallToolResult:
        tool = tools.get(call.name)
        if tool is None:
            close = nearest(call.name, tools) or list(tools)
            raise MCPError(
                INVALID_PARAMS, f"no tool called {call.name[:60]!r}; there are: {', '.join(close)}"
            )
        try:
            arguments = _checked(tool, call.arguments or {}, pool.limits)
        except MlsysimError as error:
            return _result({"document": error_document(error), "error": error_text(error)})
        return _result(await pool.call(tool.name, arguments))

    return Server(
        "mlsysim",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _described(tool: Tool) -> Described:
    return Described(
        name=tool.name,
        description=tool.about,
        input_schema=tool.input_schema,
        output_schema=tool.output_schema(),
        annotations=ToolAnnotations(
            read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )


def _checked(tool: Tool, given: Json, limits: Limits) -> Json:
    """Return the arguments of a call with their defaults.

    Raises:
        InputError: one is missing, unknown or of the wrong kind.
        CallLimitError: the plan is too large.
    """
    if "plan" in given and isinstance(given["plan"], str | dict):
        given = given | {"plan": plan_text(given["plan"], limits)}
    wrong = best_match(Draft202012Validator(tool.input_schema).iter_errors(given))
    if wrong is not None:
        message = wrong.message if len(wrong.message) < 200 else wrong.message[:197] + "..."
        where = ".".join(map(str, wrong.absolute_path)) or tool.name
        about = tool.takes.get(str(next(iter(wrong.absolute_path), "")), {}).get("description", "")
        raise InputError(message, where=where, hint=about or f"it takes: {', '.join(tool.takes)}")
    return tool.filled(given)


def _result(answer: Json) -> CallToolResult:
    document, error = answer["document"], answer["error"]
    text = json.dumps(document, separators=(",", ":")) if error is None else error
    return CallToolResult(
        content=[TextContent(text=text)], structured_content=document, is_error=error is not None
    )


def main(limits: Limits) -> None:
    """Serve until stdin ends."""
    anyio.run(serve, limits)

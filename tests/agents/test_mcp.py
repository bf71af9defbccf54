"""``mlsysim mcp``, through the client of the protocol's own SDK: what agents get is what the CLI prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from jsonschema import Draft202012Validator
from mcp import Client, StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError

from mlsysim.cli.main import run
from mlsysim.core.schemas import results
from mlsysim.mcp.limits import Limits
from mlsysim.mcp.tools import table

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
Json = dict[str, Any]


def plan(name: str) -> str:
    """Return the text of an example."""
    return (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")


def session(work: Callable[[Client], Awaitable[Any]], *options: str, cwd: Path = ROOT) -> Any:
    """Start ``mlsysim mcp``, work with it through the SDK's client, and end it."""
    environment = {k: v for k, v in os.environ.items() if k in ("PYTHONPATH", "PYTHONPYCACHEPREFIX")}
    arguments = ["-m", "mlsysim", "mcp", *options]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=environment, cwd=cwd)

    async def main() -> Any:
        with anyio.fail_after(120):
            async with Client(stdio_client(server)) as client:
                return await work(client)

    return anyio.run(main)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Json:
    """Return what the command line prints as JSON."""
    run(["-o", "json", *arguments])
    return dict(json.loads(capsys.readouterr().out))


def timeless(document: Any) -> Any:
    """Return a document without the seconds that a solver took."""
    if isinstance(document, dict):
        return {k: timeless(v) for k, v in document.items() if k != "seconds"}
    return [timeless(v) for v in document] if isinstance(document, list) else document


# What agents call, and what says the same in a shell; {} is the path of the example.
SAME: dict[str, tuple[str, Json, str | None, tuple[str, ...]]] = {
    "eval": ("eval", {}, "llama3_70b", ("eval", "{}")),
    "one wall": ("eval", {"wall": "14"}, "llama3_70b", ("eval", "{}", "--wall", "14")),
    "inference": ("eval", {}, "chat_service", ("eval", "{}")),
    "jobs": ("eval", {}, "fleet_small", ("eval", "{}")),
    "fails": ("eval", {}, "too_small", ("eval", "{}")),
    "model": (
        "eval_model",
        {"model": "Llama3_8B", "hardware": "H100", "batch_size": 32},
        None,
        ("eval", "Llama3_8B", "H100", "--batch-size", "32"),
    ),
    "serve": (
        "serve",
        {"model": "Llama3_8B", "hardware": "H100", "qps": 10, "prompt": 500},
        None,
        ("serve", "Llama3_8B", "H100", "--qps", "10", "--prompt", "500"),
    ),
    "parallelism": (
        "optimize_parallelism",
        {"top": 2, "emit": "megatron"},
        "llama3_70b",
        ("optimize", "parallelism", "{}", "--top", "2", "--emit", "megatron"),
    ),
    "placement": (
        "optimize_placement",
        {"carbon_tax": "0:300", "regions": ["Quebec", "Iowa"]},
        "example_cluster",
        ("optimize", "placement", "{}", "--carbon-tax", "0:300", "--region", "Quebec", "--region", "Iowa"),
    ),
    "batching": (
        "optimize_batching",
        {"qps": 20},
        "chat_batching",
        ("optimize", "batching", "{}", "--qps", "20"),
    ),
    "explain": ("explain", {}, "too_small", ("explain", "{}")),
    "sensitivity": (
        "solve_sensitivity",
        {"supplies": ["capacity"]},
        "llama3_70b",
        ("solve", "sensitivity", "{}", "--supply", "capacity"),
    ),
    "zoo": (
        "zoo_list",
        {"kind": "hardware", "filter": "h100"},
        None,
        ("zoo", "hardware", "--filter", "h100"),
    ),
    "entry": ("zoo_show", {"kind": "walls", "name": "14"}, None, ("zoo", "walls", "14")),
    "schema": ("schema", {}, None, ("schema",)),
}
WRONG: dict[str, tuple[str, Json, str]] = {
    "unknown name": ("eval", {"plan": plan("llama3_70b").replace("H100", "H1000")}, "Nearest: H100"),
    "not YAML": ("eval", {"plan": "a: [b"}, "plan:2: not valid YAML"),
    "empty": ("eval", {"plan": ""}, "the file is empty"),
    "bomb": (
        "eval",
        {"plan": "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1},' * 9}]\n" for i in range(1, 12))},
        "without YAML aliases",
    ),
    "deep": ("eval", {"plan": "a: " + "[" * 5000}, "nests too deeply"),
    "a tag": ("eval", {"plan": "a: !!python/object/apply:os.system ['true']"}, "YAML tag"),
    "huge": ("eval", {"plan": "# " + "x" * 300_000}, "a plan of 300,002 bytes"),
    "huge and nested": ("eval", {"plan": {"a": ["x" * 100] * 4000}}, "a plan of"),
    "no plan": ("eval", {}, "'plan' is a required property"),
    "an unknown argument": ("eval", {"plan": "{}", "file": "/etc/passwd"}, "'file' was unexpected"),
    "a list": ("eval", {"plan": [1]}, "is not of type"),
    "over the cap": ("explain", {"plan": "{}", "time_limit": 3600}, "greater than the maximum of 60"),
    "a solver that starts programs": ("explain", {"plan": "{}", "solver": "pyomo:sh"}, "is not one of"),
    "an unknown region": (
        "optimize_placement",
        {"plan": plan("example_cluster"), "regions": ["Atlantis"]},
        "Atlantis",
    ),
}


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """One session: all tools, all calls, one after the other, then many at a time."""

    async def work(client: Client) -> dict[str, Any]:
        found: dict[str, Any] = {"tools": (await client.list_tools()).tools}
        for case, (tool, arguments, example, _) in SAME.items():
            given = arguments | ({"plan": plan(example)} if example else {})
            found[case] = await client.call_tool(tool, given)
        for case, (tool, arguments, _) in WRONG.items():
            found[case] = await client.call_tool(tool, arguments)
        found["as JSON"] = await client.call_tool("eval", {"plan": json.loads(_as_json("llama3_70b"))})
        try:
            await client.call_tool("evaluate", {})
        except MCPError as error:
            found["no tool"] = str(error)
        at_once: list[Any] = [None] * 6

        async def one(i: int) -> None:
            name = ("llama3_70b", "mixtral_moe")[i % 2]
            at_once[i] = (name, await client.call_tool("eval", {"plan": plan(name)}))

        async with anyio.create_task_group() as group:
            for i in range(len(at_once)):
                group.start_soon(one, i)
        return found | {"at once": at_once}

    return dict(session(work))


def _as_json(example: str) -> str:
    import yaml

    return json.dumps(yaml.safe_load(plan(example)))


def test_the_tools_are_listed_with_their_schemas(answers):
    tools = {tool.name: tool for tool in answers["tools"]}
    assert (
        set(tools)
        == set(table(Limits()))
        == {tool for tool, *_ in SAME.values()}
        | {
            "optimize_serving",
            "solve_synthesis",
        }
    )
    for tool in tools.values():
        Draft202012Validator.check_schema(tool.input_schema)
        Draft202012Validator.check_schema(tool.output_schema)
        assert tool.input_schema["additionalProperties"] is False
        assert tool.annotations.read_only_hint
        assert len(tool.description) > 40
    assert tools["explain"].output_schema == results()["explanation"]


@pytest.mark.parametrize("case", SAME)
def test_a_tool_gives_the_document_of_the_command(case, answers, capsys):
    _, _, example, command = SAME[case]
    path = str(EXAMPLES / f"{example}.yaml")
    expected = printed(capsys, *(word.format(path) for word in command))
    given = answers[case]
    assert not given.is_error
    assert timeless(given.structured_content) == timeless(expected)
    assert json.loads(given.content[0].text) == given.structured_content


def test_a_plan_may_be_an_object(answers):
    metrics = answers["as JSON"].structured_content["performance"]["metrics"]
    assert metrics == answers["eval"].structured_content["performance"]["metrics"]


def test_calls_at_a_time_do_not_mix(answers):
    for name, given in answers["at once"]:
        assert not given.is_error
        assert given.structured_content["plan"]["workload"]["name"] in plan(name)
    assert {name for name, _ in answers["at once"]} == {"llama3_70b", "mixtral_moe"}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(case, answers):
    given = answers[case]
    assert given.is_error
    assert WRONG[case][2] in given.content[0].text
    assert given.structured_content["status"] == "error"
    assert "Traceback" not in given.content[0].text


def test_an_error_reads_as_on_the_command_line(answers, tmp_path, capsys):
    path = tmp_path / "plan.yaml"
    path.write_text(WRONG["unknown name"][1]["plan"], encoding="utf-8")
    run(["eval", str(path)])
    said = capsys.readouterr().err.replace(str(path), "plan").rstrip("\n")
    assert answers["unknown name"].content[0].text == said


def test_an_unknown_tool_is_an_error_of_the_protocol(answers):
    assert "no tool called 'evaluate'" in answers["no tool"]
    assert "eval" in answers["no tool"]


def test_a_call_that_takes_too_long_is_ended_and_others_go_on():
    """A stuck call blocks neither pings nor other calls, is ended by the clock, and the server goes on."""

    async def work(client: Client) -> Json:
        found: Json = {}

        async def stuck() -> None:
            synthesis = {"plan": plan("llama3_70b"), "target": "latency <= 10 s"}
            found["stuck"] = await client.call_tool("solve_synthesis", synthesis)

        async with anyio.create_task_group() as group:
            group.start_soon(stuck)
            await anyio.sleep(0.3)
            await client.list_tools(cache_mode="bypass")
            found["listed"] = "stuck" not in found
            found["other"] = await client.call_tool("zoo_list", {"kind": "models"})
        found["next"] = await client.call_tool("zoo_list", {"kind": "models"})
        return found

    found = session(work, "--wall-clock", "1", "--workers", "2")
    assert found["stuck"].is_error
    assert "solve_synthesis: stopped after 1 s" in found["stuck"].content[0].text
    assert found["listed"]  # while the other call was stuck
    assert not found["other"].is_error
    assert not found["next"].is_error


def test_a_call_that_is_cancelled_ends_its_process(tmp_path):
    async def work(client: Client) -> Any:
        with anyio.move_on_after(0.5):
            await client.call_tool(
                "solve_synthesis", {"plan": plan("llama3_70b"), "target": "latency <= 10 s"}
            )
        # the only place to run is free again, long before the solver would have been done
        begin = time.monotonic()
        given = await client.call_tool("zoo_show", {"kind": "hardware", "name": "H100"})
        return given, time.monotonic() - begin

    given, seconds = session(work, "--workers", "1", cwd=tmp_path)
    assert not given.is_error
    assert seconds < 30


def test_nothing_but_the_protocol_is_on_stdout():
    """Written by hand, as a host would: each line of stdout is a message, and the end of stdin is the end."""
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"},
        },
    }
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    call = {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": {"name": "optimize_parallelism", "arguments": {"plan": plan("llama3_70b")}},
    }
    with subprocess.Popen(
        [sys.executable, "-m", "mlsysim", "mcp"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        for message in (hello, ready, call):
            server.stdin.write(json.dumps(message) + "\n")
        server.stdin.flush()
        lines = [server.stdout.readline() for _ in range(2)]
        rest, said = server.communicate(timeout=60)
    answers = {m["id"]: m for m in map(json.loads, lines)}
    assert answers[1]["result"]["serverInfo"]["name"] == "mlsysim"
    assert answers[2]["result"]["structuredContent"]["solution"]["status"] == "optimal"
    assert (rest, said, server.returncode) == ("", "", 0)

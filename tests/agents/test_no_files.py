"""A plan that comes as text reaches no file, folder, download or program, whatever it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlsysim.mcp.limits import Limits
from mlsysim.mcp.worker import answered, receive, send

ROOT = Path(__file__).parents[2]
PLANS = sorted((ROOT / "examples").glob("*.yaml"))
REFUSAL = "a plan given as text can name no file and no download"
CANARY = "CANARY"


class Worker:
    """The process that runs tools, without the server."""

    def __init__(self, limits: Limits) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlsysim.mcp.worker", json.dumps(asdict(limits))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert receive(self.process.stdout) == {"ready": True}

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        send(self.process.stdin, {"tool": tool, "arguments": arguments})
        found = receive(self.process.stdout)
        assert found is not None
        return found

    def end(self) -> None:
        self.process.stdin.close()
        assert self.process.wait(30) == 0
        self.process.stdout.close()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    found = Worker(Limits())
    yield found
    found.end()


def leaves(data: Any, keys: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the places of a document's texts."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        if isinstance(value, dict | list):
            yield from leaves(value, (*keys, key))
        elif isinstance(value, str):
            yield (*keys, key)


def put(data: Any, keys: tuple[str | int, ...], text: str) -> Any:
    """Return a document with a text in place of another."""
    copy = json.loads(json.dumps(data, default=str))
    at = copy
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = text
    return copy


def places() -> dict[str, tuple[Any, tuple[str | int, ...]]]:
    """Return every place of a text in the examples once, with a plan that has it."""
    found = {}
    for path in PLANS:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        for keys in leaves(data):
            found.setdefault(".".join(k for k in keys if isinstance(k, str)), (data, keys))
    return found


def test_no_text_of_a_plan_tells_whether_a_file_is_there(worker, tmp_path):
    """Existing and missing files, of every kind that is read elsewhere, give the same answer."""
    (tmp_path / "there").mkdir()
    refused = set()
    for name in ("entry.yaml", "config.json", "rows.csv", ""):
        there, away = (str(tmp_path / folder / name) for folder in ("there", "away_"))
        if name:
            Path(there).write_text(f"{CANARY}: 1\n", encoding="utf-8")
        for place, (data, keys) in places().items():
            told = []
            for path in (there, away):
                answer = worker.call("eval", plan=json.dumps(put(data, keys, path)))
                assert CANARY not in json.dumps(answer)
                told.append(json.dumps(answer).replace(path, "PATH").replace(path[:57], "PATH"))
                if REFUSAL in str(answer["error"]):
                    refused.add(place)
            assert told[0] == told[1], place
    assert {"workload.name", "hardware.name", "ops.region", "regions.name"} <= refused


@pytest.mark.parametrize(
    "plan",
    [
        "workload: {name: NAME, batch_size: 8}\nhardware: {name: H100, nodes: 1}",
        "workload: {name: Llama3_8B, batch_size: 8}\nhardware: {name: NAME, nodes: 1}",
        "workload: {name: Llama3_8B, batch_size: 8}\nhardware: {name: H100, nodes: 1}\nops: {region: NAME}",
        "workload: {name: Llama3_8B, batch_size: 8, phase: inference}\nhardware: {name: H100}\n"
        "serving: {draft: {model: NAME}}",
    ],
    ids=["model", "hardware", "region", "draft"],
)
@pytest.mark.parametrize("name", ["/etc/passwd", "../own.yaml", "~/x.yaml", "hf://org/name", "a/b.json"])
def test_names_of_files_and_downloads_are_refused(worker, plan, name):
    answer = worker.call("eval", plan='version: "1.0"\n' + plan.replace("NAME", name))
    assert REFUSAL in answer["error"]
    assert answer["document"]["error"]["code"] == "no_files"
    assert answer["error"].startswith("plan:")


def test_a_trace_and_profiles_are_refused(worker, tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2024-01-01,1,1\n", encoding="utf-8")
    mix = yaml.safe_load((ROOT / "examples" / "serving_mix.yaml").read_text(encoding="utf-8"))
    del mix["mix"]["classes"]
    mix["mix"]["trace"] = str(trace)
    assert REFUSAL in worker.call("optimize_serving", plan=json.dumps(mix))["error"]
    fleet = yaml.safe_load((ROOT / "examples" / "fleet_small.yaml").read_text(encoding="utf-8"))
    fleet["regions"][0]["profile"] = {"file": str(trace)}
    assert REFUSAL in worker.call("eval", plan=json.dumps(fleet))["error"]


def test_the_second_lock_holds_without_the_first():
    """What the interpreter refuses once the process is locked."""
    code = """
import os, socket, subprocess, sys
from pathlib import Path
from mlsysim.mcp import jail
jail.close(4096 << 20)
import mlsysim, json, numpy.fft  # its own code still loads
mlsysim.evaluate_plan({"version": "1.0", "workload": {"name": "Llama3_8B", "batch_size": 8},
                       "hardware": {"name": "H100", "nodes": 1}})
attempts = {
    "read": lambda: Path(sys.argv[1]).read_text(),
    "through the package": lambda: open(os.path.join(mlsysim.__path__[0], "..", "..", sys.argv[1][1:])),
    "low": lambda: os.open(sys.argv[1], os.O_RDONLY),
    "write": lambda: open(sys.argv[1] + ".new", "w"),
    "write our own": lambda: open(mlsysim.__file__, "a"),
    "list": lambda: os.listdir("/etc"),
    "walk": lambda: list(os.scandir("/etc")),
    "shell": lambda: os.system("true"),
    "program": lambda: subprocess.run(["true"]),
    "remove": lambda: os.remove(sys.argv[1]),
    "connect": lambda: socket.create_connection(("127.0.0.1", 9)),
}
for name, attempt in attempts.items():
    try:
        attempt()
    except PermissionError as error:
        print(name, error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code, __file__], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    said = [line.removesuffix(" 1") for line in done.stdout.splitlines()]
    assert said == [
        "read",
        "through the package",
        "low",
        "write",
        "write our own",
        "list",
        "walk",
        "shell",
        "program",
        "remove",
        "connect",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="the bound on memory is of Linux")
def test_memory_is_bounded():
    code = "from mlsysim.mcp import jail; jail.close(512 << 20); bytearray(1 << 30)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "MemoryError" in done.stderr


def test_a_result_that_is_too_large_is_an_error():
    found = answered("zoo_list", {"kind": "models", "filter": "", "sort": ""}, Limits(result=1000))
    assert "at most 1,000 are sent" in found["error"]
    assert found["document"]["error"]["code"] == "call_limit"


def test_a_defect_is_told_and_survived(worker):
    answer = worker.call("zoo_show", kind="hardware")  # as the server would never send it
    assert "internal error: KeyError" in answer["error"]
    assert worker.call("zoo_show", kind="hardware", name="H100")["error"] is None


def test_this_process_is_not_sealed():
    from mlsysim.core import sealed

    assert not sealed.is_sealed()

"""The help of every command: examples that run, exit codes, 80 columns."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from running import EXAMPLES, call, too_wide

from mlsysim.cli.main import app
from mlsysim.core.registry import root

ROOT = Path(__file__).parents[2]
# What the examples call plan.yaml, where a command takes another kind of plan than the rest.
PLANS = {"optimize batching": "serving", "optimize serving": "mix", "serve": "serving"}
MINE = "parallelism: {tp: 8}\n"
CAMPAIGN = """\
version: "1.0"
plan: mine.yaml
dimensions:
  hardware.accelerators: [8, 16]
  ops.region: [Quebec, Virginia]
minimize: macro.tco_usd
"""
ROWS = """\
rows:
- id: mine
  set: ours
  kind: training
  source: our cluster
  model: {type: gpt-dense, layers: 32, hidden: 4096, heads: 32, vocab: 51200, seq_len: 2048, mlp: gelu}
  hardware: {chip: H100, count: 8}
  config: {tp: 2, pp: 1, dp: 4, microbatch: 1, global_batch: 64, precision: bf16}
  measured: {iteration_time_s: 3.0}
"""
# Examples that need a cluster, a terminal, a browser or a client, or that another test runs already.
ELSEWHERE = ("--scheduler tcp://", "--watch", "mlsysim mcp", "mlsysim lab")
ALREADY = ("mlsysim validate",)


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command and group of commands with its words."""
    group = typer.main.get_command(app) if group is None else group
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


COMMANDS = dict(commands())


@cache
def examples(path: tuple[str, ...]) -> list[str]:
    """Return the lines of a command's examples."""
    lines = call(*path, "--help").out.splitlines()
    found = []
    for line in lines[lines.index("  Examples:") + 1 :]:
        if not line.startswith("    mlsysim "):
            break
        found.append(line.strip())
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files that examples name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plans").mkdir()
    shutil.copy(EXAMPLES / "llama3_70b.yaml", tmp_path / "plans")
    shutil.copy(EXAMPLES / "fleet_small.yaml", tmp_path / "fleet.yaml")
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN, encoding="utf-8")
    (tmp_path / "rows.yaml").write_text(ROWS, encoding="utf-8")
    (tmp_path / "my_registry").symlink_to(root())
    return tmp_path


def _plan(words: list[str], line: str) -> None:
    """Put the plans there that a command takes, small ones, so that solving takes no time."""
    kind = PLANS.get(" ".join(words[:2])) or PLANS.get(words[0]) or "training"
    if words[0] == "init":
        Path("fleet.yaml").unlink()
        return
    text = call("init", "-", "--kind", kind, "--accelerators", "8" if kind == "training" else "1").out
    if "ways_out" in line:
        text = (EXAMPLES / "too_small.yaml").read_text(encoding="utf-8")
    Path("plan.yaml").write_text(text, encoding="utf-8")
    Path("mine.yaml").write_text(text.replace("# parallelism", "# ") + MINE, encoding="utf-8")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_fits_has_examples_and_exit_codes(path):
    result = call(*path, "--help")
    assert (result.code, result.err) == (0, "")
    assert too_wide(result.out) == []
    assert examples(path)
    assert "Exit codes:" in result.out
    for option in COMMANDS[path].params:
        assert option.help or option.name in ("help",), option.name


@pytest.mark.parametrize("line", dict.fromkeys(line for path in COMMANDS for line in examples(path)))
def test_an_example_runs(line, folder):
    if line in ALREADY or any(word in line for word in ELSEWHERE):
        pytest.skip("is tried with what it needs elsewhere")
    words = line.split()
    words = words[3:] if words[1:2] == ["-o"] else words[1:]
    _plan(words, line)
    if "|" in line or ">" in shlex.split(line):
        _piped(line, folder)
        return
    result = call(*shlex.split(line)[1:])
    assert result.code in (0, 3), result.err
    assert result.out or words[0] == "init"


def _piped(line: str, folder: Path) -> None:
    """Run an example that a shell takes part in."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "mlsysim").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mlsysim "$@"\n')
    (programs / "mlsysim").chmod(0o755)
    if not shutil.which("jq") or os.name == "nt":
        pytest.skip("needs jq and a shell")
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        env=os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode in ((2,) if "ways_out" in line else (0, 3)), done.stderr
    if "jq" in line:
        assert done.stdout.strip() not in ("", "null")


def test_what_is_tried_elsewhere_is_little():
    lines = {line for path in COMMANDS for line in examples(path)}
    assert len(lines) > 50
    assert sum(any(word in line for word in ELSEWHERE) for line in lines) < 10

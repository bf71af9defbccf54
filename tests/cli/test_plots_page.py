"""docs/plots.md is true: its commands and its snippet run, its tables name what there is."""

from __future__ import annotations

import re
import shlex

import pytest
from running import EXAMPLES, call

import mlsysim
from mlsysim import viz
from mlsysim.core.charts import CHARTS
from mlsysim.viz.kinds import kinds

PAGE = (EXAMPLES.parent / "docs" / "plots.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL) for line in block.splitlines()
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(EXAMPLES)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(command, tmp_path):
    done = call(*shlex.split(command)[1:])
    assert done.code == 0, done.err
    if "--report" in command:
        assert (tmp_path / command.split()[-1]).stat().st_size < 6e6


def test_the_snippet_runs(tmp_path, capsys):
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(snippet, "docs/plots.md", "exec"), {})
    assert capsys.readouterr().out.startswith("## ")
    assert (tmp_path / "best.html").exists()


def test_charts_functions_and_kinds_are_told():
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)) == set(CHARTS)
    rows = re.findall(r"^\| `viz\.(\w+)` \|.*\| `(\w+)`", PAGE, flags=re.MULTILINE)
    assert {name for name, _ in rows} | {"plot"} == set(viz.__all__)
    told = {kind for _, kind in rows}
    evaluation = mlsysim.evaluate_plan("examples/llama3_70b.yaml")
    assert set(kinds(evaluation)) <= told

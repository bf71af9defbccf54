"""Every command and every snippet of the README runs."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mlsysim.walls import WALLS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[list[str]]:
    """The mlsysim commands of all shell blocks, as arguments."""
    found = []
    for line in "\n".join(blocks("sh")).splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words and words[0].removeprefix(".venv/bin/") == "mlsysim":
                found.append(words[1:])
    return found


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mlsysim", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_command_runs(arguments):
    done = run(arguments)
    # the plan with the impossible assertion says so: exit 3
    expected = 3 if any("example_cluster" in a for a in arguments) else 0
    assert done.returncode == expected, done.stderr
    assert done.stdout
    # progress, where the machine is slow, and what a framework cannot express
    said = {line for line in done.stderr.splitlines() if not line.startswith("note: ")}
    assert said <= {"solving ...", "predicting ..."}


def test_the_first_command_does_the_set_up_and_the_main_job():
    first = blocks("sh")[0].strip()
    set_up, install, job = (shlex.split(part) for part in first.split("&&"))
    assert set_up == ["python3", "-m", "venv", ".venv"]
    assert install == [".venv/bin/pip", "install", "-q", ".[cli]"]
    assert job[1:] in commands()


def test_the_second_command_is_what_ci_runs():
    *_, last = blocks("sh")[1].strip().split("&&")
    assert shlex.split(last) == [".venv/bin/python", "-m", "pytest"]
    assert '"$venv/bin/python" -m pytest' in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("snippet", blocks("python"))
def test_python_snippet_runs(snippet):
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "holds: yes" in done.stdout


@pytest.mark.parametrize("snippet", blocks("yaml"))
def test_plan_snippet_is_the_shipped_example(snippet, tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(snippet, encoding="utf-8")
    assert run(["eval", str(plan)]).returncode == 3


def test_the_wall_table_lists_all_walls():
    rows = re.findall(r"^\| (\d+) \| ([A-Z][A-Za-z -]+) \| .* \|$", README, flags=re.MULTILINE)
    assert [(int(n), name) for n, name in rows] == [(w.number, w.name) for w in WALLS]

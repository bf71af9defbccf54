"""Every command and every snippet of the README runs."""

import io
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import yaml

from docgen.snippets import session, snippets
from mlsysim import evaluate_plan
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


def test_every_snippet_runs():
    """In one session, as those of the other pages: see docgen/snippets.py."""
    found = snippets("README.md", README)
    with session("README.md", README) as running:
        printed = {s.line: running.run(s) for s in found}
    assert all(printed[s.line] for s in found if s.language in ("sh", "python") and not s.why)


def test_the_command_is_installed_as_the_readme_calls_it():
    """As a program of its own: what it says on stderr is progress and notes, and nothing else."""
    done = run(["optimize", "parallelism", "examples/llama3_70b.yaml", "--emit", "megatron"])
    assert done.returncode == 0, done.stderr
    assert done.stdout
    # progress, where the machine is slow, and what a framework cannot express
    said = {line for line in done.stderr.splitlines() if not line.startswith("note: ")}
    assert said <= {"solving ..."}


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


def test_the_python_snippet_prints_a_scorecard():
    (snippet,) = blocks("python")
    out = io.StringIO()
    with redirect_stdout(out):
        exec(snippet.partition("\nbest =")[0], {})
    assert "holds: yes" in out.getvalue()


def test_the_plan_asks_for_what_nothing_can_do():
    (snippet,) = blocks("yaml")
    assert evaluate_plan(yaml.safe_load(snippet)).exit_code == 3


def test_the_wall_table_lists_all_walls():
    rows = re.findall(r"^\| (\d+) \| ([A-Z][A-Za-z -]+) \| .* \|$", README, flags=re.MULTILINE)
    assert [(int(n), name) for n, name in rows] == [(w.number, w.name) for w in WALLS]

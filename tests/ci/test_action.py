"""The GitHub Action and the hook for pre-commit: their files are sound, and their steps run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = ACTION["runs"]["steps"]
HOOK = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))[0]
EXAMPLES = ROOT / "examples"
bash = pytest.mark.skipif(os.name == "nt" or not shutil.which("bash"), reason="needs bash")


class Runner:
    """A folder that looks like a runner of GitHub Actions to the steps of the action."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.temp = folder / "temp"
        self.programs = folder / "bin"
        for made in (self.work, self.temp / "mlsysim" / "bin", self.programs):
            made.mkdir(parents=True)
        self._program(self.temp / "mlsysim" / "bin" / "mlsysim", f'exec "{sys.executable}" -m mlsysim "$@"')

    def _program(self, path: Path, script: str) -> None:
        path.write_text(f"#!/usr/bin/env bash\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def gh(self, listing: str = "", code: int = 0) -> None:
        """Put a ``gh`` there that answers with a listing and keeps what it was asked."""
        calls = self.folder / "gh"
        calls.mkdir(exist_ok=True)
        self._program(
            self.programs / "gh",
            f'printf "%s\\n" "$@" > "{calls}/$(ls "{calls}" | wc -l)"\nprintf "%s" "{listing}"\nexit {code}',
        )

    @property
    def asked(self) -> list[list[str]]:
        """What ``gh`` was asked, call by call."""
        return [p.read_text(encoding="utf-8").splitlines() for p in sorted((self.folder / "gh").iterdir())]

    def step(self, name: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a step of the action as a runner would."""
        (step,) = (s for s in STEPS if s.get("name") == name)
        assert step["shell"] == "bash"
        assert set(environment) == set(step.get("env", {}))
        files = {n: str(self.temp / n.lower()) for n in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        given = {
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_REPOSITORY": "someone/plans",
            "RUNNER_TEMP": str(self.temp),
        }
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.work,
            env=given | files | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def outputs(self) -> dict[str, str]:
        """Return the outputs of the steps so far, read as a runner reads them."""
        found, lines = {}, iter((self.temp / "github_output").read_text(encoding="utf-8").splitlines())
        for line in lines:
            name, heredoc, mark = line.partition("<<")
            if not heredoc:
                name, _, value = line.partition("=")
                found[name] = value
                continue
            value = []
            while (line := next(lines)) != mark:
                value.append(line)
            found[name] = "\n".join(value)
        return found


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


def test_no_expression_stands_in_a_script():
    """What a stranger wrote into a pull request must not become part of a shell's program."""
    for step in STEPS:
        assert "${{" not in step.get("run", "")
    for script in (ROOT / "ci").glob("*.sh"):
        text = script.read_text(encoding="utf-8")
        assert "${{" not in text
        assert "eval " not in text
        assert "set -euo pipefail" in text


def test_the_action_uses_what_it_declares():
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert ACTION["runs"]["using"] == "composite"
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])
    assert all(i["description"] for i in ACTION["inputs"].values())
    assert {o["value"].split(".")[-1].rstrip(" }") for o in ACTION["outputs"].values()} == {
        "exit-code",
        "verdict",
        "report",
    }


def test_the_example_workflow_gives_inputs_that_are_there():
    workflow = yaml.safe_load((EXAMPLES / "ci" / "plans.yml").read_text(encoding="utf-8"))
    (step,) = (s for s in workflow["jobs"]["evaluate"]["steps"] if "mlsysim@" in s.get("uses", ""))
    assert set(step["with"]) <= set(ACTION["inputs"])
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}


@bash
def test_plans_are_evaluated_and_told(runner):
    for name in ("llama3_70b", "example_cluster"):
        shutil.copy(EXAMPLES / f"{name}.yaml", runner.work)
    done = runner.step("Evaluate the plans", MLSYSIM_PLANS="  *.yaml \n\n", MLSYSIM_FAIL_ON="violation")
    assert done.returncode == 0, done.stderr
    outputs = runner.outputs()
    report = Path(outputs["report"]).read_text(encoding="utf-8")
    assert outputs["exit-code"] == outputs["step-code"] == "3"
    assert outputs["verdict"] == "violates a limit"
    assert report == done.stdout == (runner.temp / "github_step_summary").read_text(encoding="utf-8")
    assert "### mlsysim: 1 of 2 plans holds" in report
    assert "| `llama3_70b.yaml` | ✅ holds |" in report
    assert "::warning file=example_cluster.yaml,line=13,title=mlsysim%3A violates a limit::" in done.stderr
    assert runner.step("Verdict", MLSYSIM_CODE=outputs["step-code"]).returncode == 3


@bash
@pytest.mark.parametrize(
    ("plans", "fail_on", "code", "step"),
    [
        ("example_cluster.yaml", "infeasible", "3", "0"),
        ("too_small.yaml", "infeasible", "2", "2"),
        ("too_small.yaml", "error", "2", "0"),
        ("none.yaml\ntoo_small.yaml", "error", "1", "1"),
        ("none.yaml", "never", "1", "0"),
        ("nothing/*.yaml", "violation", "1", "1"),
        ("", "violation", "1", "1"),
    ],
)
def test_what_fails_is_chosen(runner, plans, fail_on, code, step):
    for name in ("example_cluster", "too_small"):
        shutil.copy(EXAMPLES / f"{name}.yaml", runner.work)
    done = runner.step("Evaluate the plans", MLSYSIM_PLANS=plans, MLSYSIM_FAIL_ON=fail_on)
    assert done.returncode == 0, done.stderr
    assert (runner.outputs()["exit-code"], runner.outputs()["step-code"]) == (code, step)


EVIL = "$(touch pwned)`touch pwned`; touch pwned ::error::x %0A.yaml"


@bash
def test_names_and_titles_of_strangers_are_only_text(runner):
    plan = (EXAMPLES / "too_small.yaml").read_text(encoding="utf-8")
    title = "</details><img src=x> @everyone | `x` ::error::forged"
    (runner.work / EVIL).write_text(f"name: {json.dumps(title)}\n{plan}", encoding="utf-8")
    (runner.work / "-o json.yaml").write_text(plan, encoding="utf-8")
    done = runner.step("Evaluate the plans", MLSYSIM_PLANS="*.yaml", MLSYSIM_FAIL_ON="violation")
    assert done.returncode == 0
    assert not (runner.work / "pwned").exists()
    report = Path(runner.outputs()["report"]).read_text(encoding="utf-8")
    shown = "".join(report.split("```")[::2])  # what is not in a block of code
    assert shown.count("<details") == shown.count("</details>") == 4
    assert "<img" not in shown
    assert "@everyone" not in shown
    assert "| `-o json.yaml` | ❌ infeasible |" in report
    assert [line for line in done.stderr.splitlines() if not line.startswith("::error file=")] == []


@bash
def test_a_comment_is_made_once_and_then_replaced(runner):
    report = runner.temp / "report.md"
    report.write_text("### mlsysim\n", encoding="utf-8")
    given = {
        "GH_TOKEN": "t",
        "MLSYSIM_NAME": "my plans",
        "MLSYSIM_PULL": "7",
        "MLSYSIM_REPORT": str(report),
    }
    runner.gh()
    assert runner.step("Comment on the pull request", **given).returncode == 0
    listing, posted = runner.asked
    assert "repos/someone/plans/issues/7/comments?per_page=100" in listing
    assert posted[:5] == ["api", "--silent", "--method", "POST", "repos/someone/plans/issues/7/comments"]
    body = Path(posted[-1].removeprefix("body=@")).read_text(encoding="utf-8")
    assert body == "<!-- mlsysim: my-plans -->\n### mlsysim\n"
    runner.gh(listing="42\n43\n")
    assert runner.step("Comment on the pull request", **given).returncode == 0
    assert runner.asked[-1][3:5] == ["PATCH", "repos/someone/plans/issues/comments/42"]


@bash
def test_a_token_that_may_not_comment_is_a_warning(runner):
    report = runner.temp / "report.md"
    report.write_text("x\n", encoding="utf-8")
    runner.gh(code=1)
    given = {"GH_TOKEN": "", "MLSYSIM_NAME": "a", "MLSYSIM_PULL": "7", "MLSYSIM_REPORT": str(report)}
    done = runner.step("Comment on the pull request", **given)
    assert done.returncode == 0
    assert "::warning" in done.stderr
    done = runner.step("Comment on the pull request", **given | {"MLSYSIM_PULL": "7; id"})
    assert done.returncode == 1


@bash
def test_a_version_that_is_none_is_refused(runner):
    done = runner.step("Install mlsysim", MLSYSIM_VERSION="1 --index-url=http://x")
    assert done.returncode == 1
    assert "is no version" in done.stderr


def test_the_hook_runs_on_plans():
    takes = re.compile(HOOK["files"])
    assert all(takes.search(p) for p in ("plans/a.yaml", "x/plan/b/c.yml", "my.plan.yaml", "plan.yaml"))
    assert not any(takes.search(p) for p in ("airplanes/a.yaml", "a.yaml", "plans/a.txt", "plans.yaml"))
    words = HOOK["entry"].split()
    done = subprocess.run(
        [sys.executable, "-m", *words, str(EXAMPLES / "llama3_70b.yaml"), str(EXAMPLES / "too_small.yaml")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "too_small.yaml: infeasible\n  wall 2, Memory:" in done.stdout


def test_the_hook_installs_what_the_command_line_needs():
    extras: Any = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {d for d in extras["optional-dependencies"]["cli"] if not d.startswith("mlsysim")}
    assert set(HOOK["additional_dependencies"]) == needed


def test_pre_commit_reads_the_manifest():
    pre_commit = pytest.importorskip("pre_commit.clientlib", reason="pre-commit is not installed")
    assert pre_commit.load_manifest(str(ROOT / ".pre-commit-hooks.yaml"))[0]["id"] == "mlsysim"
    pre_commit.load_config(str(EXAMPLES / "ci" / "pre-commit-config.yaml"))

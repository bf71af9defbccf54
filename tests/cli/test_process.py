"""The command as a process: streams that close, locales, missing extras, start-up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from running import CLUSTER, SMALL

posix = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
PYTHON = sys.executable


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command in which $M is ``python -m mlsysim`` and $P the cluster plan."""
    return subprocess.run(
        ["sh", "-c", command.replace("$M", f"'{PYTHON}' -m mlsysim").replace("$P", f"'{CLUSTER}'")],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        env=os.environ | environment,
    )


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    return subprocess.run(
        [PYTHON, "-c", code, *arguments], capture_output=True, text=True, encoding="utf-8", timeout=60
    )


def test_the_module_is_the_command():
    done = subprocess.run(
        [PYTHON, "-m", "mlsysim", "eval", CLUSTER, "-o", "json"], capture_output=True, text=True
    )
    assert done.returncode == 3
    assert json.loads(done.stdout)["status"] == "sla_violation"
    assert done.stderr == ""


@posix
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("$M eval $P >&-", 3),
        ("$M eval nosuch.yaml 2>&-", 1),
        ("$M eval nosuch.yaml >&- 2>&-", 1),
        ("$M eval $P <&- >/dev/null", 3),
        ("cd / && $M zoo hardware > /dev/null", 0),
    ],
)
def test_streams_may_be_closed(command, code):
    done = shell(command)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@posix
@pytest.mark.parametrize(
    "what", ["zoo hardware", "schema", "eval $P", "-o json eval $P", "--help", "eval none.yaml"]
)
def test_a_reader_may_have_had_enough(what):
    done = shell(f"$M {what} | true")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("what", ["eval $P", "-o json eval $P", "--help", "schema"])
def test_a_full_disk_is_an_error_with_a_message(what):
    done = shell(f"$M {what} > /dev/full")
    assert done.returncode == 1
    assert "cannot be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@posix
def test_a_plan_may_come_through_a_pipe():
    done = shell("sed s/Quebec/Quebeck/ $P | $M eval /dev/stdin")
    assert done.returncode == 1
    assert done.stderr.startswith("/dev/stdin:9: ops.region: ")
    done = shell("sed 's/nodes: 64/accelerators: 509/' $P | $M eval /dev/stdin")
    assert done.returncode == 1
    assert done.stderr.startswith("/dev/stdin:4: workload.batch_size: ")


@posix
def test_a_locale_without_the_letters(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(SMALL + "name: São\n", encoding="utf-8")
    done = shell(f"$M eval '{path}'", PYTHONIOENCODING="ascii", NO_COLOR="1", COLUMNS="40")
    assert done.returncode == 0
    assert done.stdout.startswith("S\\xe3o: Llama3_8B")
    done = shell(f"$M -o json eval '{path}'", PYTHONIOENCODING="ascii")
    assert json.loads(done.stdout)["scenario"] == "São"


def blocked(modules: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``mlsysim`` as if some modules were not installed."""
    code = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {modules.split(",")!r}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Block())
sys.argv[0] = 'mlsysim'
from mlsysim.entry import main
main()
"""
    return python(code, *arguments)


def test_a_missing_extra_is_named():
    done = blocked("typer,rich,highspy,pyomo,ortools", "eval", CLUSTER)
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'mlsysim[cli]'" in done.stderr
    # few candidates are enumerated: no solver is asked, so none is missed
    assert blocked("highspy,pyomo,ortools", "optimize", "placement", CLUSTER).returncode == 3
    done = blocked("highspy,pyomo,ortools", "optimize", "placement", CLUSTER, "--solver", "highs")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'mlsysim[solvers]'" in done.stderr
    done = blocked("highspy", "-o", "json", "optimize", "parallelism", CLUSTER, "--solver", "highs")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (1, "missing_extra")
    assert blocked("highspy,pyomo,ortools,jsonschema", "eval", CLUSTER).returncode == 3


def test_the_base_works_without_the_extras():
    code = """
import sys
for name in ('typer', 'rich', 'highspy', 'pyomo', 'ortools', 'marimo', 'plotly'):
    sys.modules[name] = None
import mlsysim
print(mlsysim.evaluate_plan(sys.argv[1]).status)
"""
    done = python(code, CLUSTER)
    assert (done.stdout, done.stderr) == ("sla_violation\n", "")


def test_start_up_loads_nothing_heavy():
    code = """
import sys
from mlsysim.cli.main import run
heavy = ('pydantic', 'pint', 'numpy', 'highspy', 'yaml', 'rich', 'formulations', 'jsonschema')
assert not [m for m in heavy if m in sys.modules], [m for m in heavy if m in sys.modules]
assert run(['eval', 'Llama3_8B', 'H100']) == 0
heavy = ('pydantic', 'pint', 'highspy', 'rich', 'formulations')
assert not [m for m in heavy if m in sys.modules], [m for m in heavy if m in sys.modules]
"""
    done = python(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_defect_of_ours_shows_no_traceback():
    code = """
import mlsysim.cli.main as cli, mlsysim.entry as entry
def run(arguments):
    raise AssertionError("impossible")
cli.run = run
entry.main()
"""
    done = python(code)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mlsysim: internal error: AssertionError: impossible\n")
    assert "Traceback" not in done.stderr

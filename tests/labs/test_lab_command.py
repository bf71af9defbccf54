"""``mlsysim lab``: the list, names, what is started, and what is said where the extra is missing."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from mlsysim.cli import lab as lab_command
from mlsysim.cli.main import run
from mlsysim.core.schemas import result_schema
from mlsysim.labs import LABS, find
from mlsysim.walls import WALLS

ROOT = Path(__file__).parents[2]


def test_the_list_has_every_lab(capsys):
    assert run(["lab"]) == 0
    shown = capsys.readouterr().out
    assert all(lab.name in shown and lab.title in shown and f"{lab.minutes} min" in shown for lab in LABS)
    assert max(map(len, shown.splitlines())) <= 80
    assert run(["-o", "markdown", "lab"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(LABS)


def test_the_list_as_json_is_what_the_schema_says(capsys):
    assert run(["lab", "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    Draft202012Validator(result_schema()).validate(document)
    assert [each["name"] for each in document["labs"]] == [lab.name for lab in LABS]
    assert {n for lab in LABS for n in lab.walls} <= {wall.number for wall in WALLS}


def test_every_notebook_is_in_the_list():
    there = {p.stem for p in LABS[0].path.parent.glob("*.py")} - {"__init__", "teach", "words"}
    assert there == {lab.name for lab in LABS}


def test_the_list_loads_nothing_heavy():
    code = (
        "import sys; from mlsysim.cli.main import run; run(['lab']); "
        "print(*sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stderr.split()) & {"marimo", "plotly", "numpy", "pydantic", "pint", "highspy", "yaml"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rofline",), ("no lab called 'rofline'", "Nearest: roofline", "mlsysim lab")),
        (("nothing like it",), ("Known: roofline, memory",)),
        (("all", "--edit"), ("one lab at a time",)),
        (("all", "--text"), ("one lab at a time",)),
        (("memory", "--edit", "--text"), ("--edit and --text",)),
        (("memory", "-o", "markdown"), ("not a document", "mlsysim -o markdown lab")),
        (("memory", "--port", "0"), ("port",)),
    ],
)
def test_what_cannot_be_is_said(arguments, words, capsys):
    assert run(["lab", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert all(word in captured.err for word in words)


def test_labs_have_numbers_too():
    assert find("1") is LABS[0]
    assert find("Roof-Line") is LABS[0]


@pytest.mark.parametrize("missing", ["marimo", "plotly"])
def test_a_missing_extra_is_named(missing, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, missing, None)
    assert run(["lab", "roofline"]) == 1
    assert "pip install 'mlsysim[labs]'" in capsys.readouterr().err
    assert run(["lab"]) == 0  # the list needs nothing


def test_the_extra_has_what_the_labs_import():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [need.split(">")[0] for need in extras["optional-dependencies"]["labs"]]
    assert named == ["mlsysim[cli]", *lab_command.PACKAGES]


@pytest.fixture
def started(monkeypatch, tmp_path):
    """The commands that would be started, in an empty folder."""
    seen = []
    monkeypatch.setattr(lab_command, "_run", lambda arguments, to=None: seen.append(arguments) or 0)
    monkeypatch.chdir(tmp_path)
    return seen


def test_a_lab_is_served_as_an_app(started):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    assert run(["lab", "memory", "--headless", "--port", port]) == 0
    ((_, *command),) = started
    assert command == ["-m", "marimo", "-y", "run", "--port", port, "--headless", str(find("memory").path)]
    assert run(["lab", "all"]) == 0
    assert started[1][-len(LABS) :] == [str(lab.path) for lab in LABS]


def test_a_port_that_is_taken_is_named(started, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run(["lab", "memory", "--port", str(taken.getsockname()[1])]) == 1
    assert "cannot be used" in capsys.readouterr().err
    assert not started


def test_what_is_edited_is_a_copy(started, tmp_path, capsys):
    assert run(["lab", "memory", "--edit"]) == 0
    copy = tmp_path / "memory.py"
    assert copy.read_bytes() == find("memory").path.read_bytes()
    copy.write_text("# mine\n")
    assert run(["lab", "memory", "--edit"]) == 0  # never overwritten
    assert copy.read_text() == "# mine\n"
    assert "is there already" in capsys.readouterr().err
    for command in started:
        assert command[1:] == ["-m", "marimo", "-y", "edit", "--skip-update-check", "memory.py"]

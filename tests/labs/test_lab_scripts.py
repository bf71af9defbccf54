"""Every lab as a script: it asks, answers with what the engine says, and needs no network."""

from __future__ import annotations

import ast
import re
import socket
import subprocess
import sys
from importlib import import_module

import pytest

from mlsysim.labs import LABS, teach

# The answers that the explanations were written for. Where a change of the physics changes one of them, the
# words beside it must be read again.
ANSWERS = {
    "roofline": ["less than a hundredth of it", "about twice as long", "memory: it is full before that"],
    "memory": ["about eight times as much", "about 30%", "1"],
    "parallelism": ["by about 20%", "4"],
    "serving": ["it grows by less than half", "more than tenfold", "6"],
    "carbon": ["about 15 dollars a ton", "about 250 dollars a ton", "around noon"],
    "design": ["arithmetic: the peak rate", "about 30% or more"],
}
names = pytest.mark.parametrize("name", [lab.name for lab in LABS])


def script(name: str) -> None:
    """Run a lab as a script in this process."""
    import_module(f"mlsysim.labs.{name}").app.run()


@names
def test_a_lab_is_a_script(name, capsys, monkeypatch):
    def no_network(*_):
        raise AssertionError("a lab asked for the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    script(name)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    answers = re.findall(r"^The answer: ((?:.|\n)*?)\.\n\n", shown, flags=re.MULTILINE)
    assert [" ".join(a.split()) for a in answers] == ANSWERS[name]
    # a question comes before its answer, and is one of several
    questions = [m.start() for m in re.finditer(r"^Question: ", shown, flags=re.MULTILINE)]
    assert len(questions) == len(answers)
    assert all(q < shown.index("The answer: ", q) for q in questions)
    assert all(f". {answer}\n" in shown for answer in ANSWERS[name])
    assert "Sources: " in shown
    assert "\nExercise\n" in shown
    assert not re.search(r"\b(nan|inf|None)\b", shown)


@names
def test_a_lab_uses_the_public_interface(name):
    """So that a student can copy every line."""
    lab = next(lab for lab in LABS if lab.name == name)
    tree = ast.parse(lab.path.read_text(encoding="utf-8"))
    found = {
        f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert found <= {"marimo", "mlsysim", "mlsysim.viz", "mlsysim.labs.teach", "statistics"}
    assert not [n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr.startswith("_")]


def test_a_file_runs_by_itself(tmp_path):
    done = subprocess.run(
        [sys.executable, str(LABS[0].path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"1. {LABS[0].title}\n")
    assert not list(tmp_path.iterdir())


def test_a_terminal_is_asked_before_the_answer(capsys, monkeypatch):
    said = iter(["nonsense", "9", "1", "2", "2"])
    before = []

    def read(prompt):
        before.append(capsys.readouterr().out)
        return next(said)

    monkeypatch.setattr("builtins.input", read)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    script("roofline")
    after = capsys.readouterr().out
    assert "Your prediction" not in before[0]
    everything = "".join(before) + after
    assert "Your prediction: about half of it. The answer: less than a hundredth of it." in everything
    assert "Your prediction holds: about twice as long." in everything
    # nothing of an answer is printed before it is asked for
    assert "about twice as long.\n" not in "".join(before[:4])
    assert next(said, None) is None


# -- the helpers ----------------------------------------------------------------------------------


def test_the_nearest_label_is_by_factors():
    labels = {1: "same", 10: "ten", 100: "hundred"}
    assert [teach.how_often(x, labels) for x in (0, 0.5, 3, 4, 31, 32, 1e9)] == [
        "same",
        "same",
        "same",
        "ten",
        "ten",
        "hundred",
        "hundred",
    ]


def test_text_is_laid_out(capsys):
    teach.say(
        """
        ## A title
        A paragraph that ends at
        17. This is no list, and *these* are **marked** `so`.

        1. One
           goes on.
        2. Two
        """
    )
    assert capsys.readouterr().out == (
        "A title\n-------\n\nA paragraph that ends at 17. This is no list, and these are marked so.\n\n"
        "1. One goes on.\n2. Two\n\n"
    )


def test_a_wide_table_is_folded(capsys):
    teach.table(("words", "n"), [("x " * 60, "1"), ("y", "22")])
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, shown)) <= 80
    assert [line for line in shown if line.strip() in ("1", "22")] == [" 1", "22"]

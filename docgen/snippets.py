"""The snippets of a page: what they are, and how they are run.

A page is one session: its snippets run in order, in one process and one empty folder that has
``examples/``. What is said to a reader is what is run:

- every command of a ``sh`` block ends with 0, or with N where its comment says ``exit N``;
- a ``python`` block runs after those before it, with their names;
- a ``yaml`` block with ``title="name.yaml"`` is that file; any other is a plan, a plan with several jobs,
  a campaign, or a part of a plan that is put into ``plan.yaml``, and has to be valid.

Comments of the page steer it: ``<!-- plan.yaml is examples/llama3_70b.yaml -->`` puts a file there,
``<!-- not run: REASON -->`` before a block leaves it out, ``<!-- output -->`` after it has what it prints
shown on the site (``<!-- output: 12 -->``: the first lines).
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = ("sh", "python", "yaml")
# Shown, and nothing to run.
PLAIN = ("", "text", "json")

_SNIPPET = re.compile(
    r"(?:^<!-- not run: (?P<why>[^\n]+?) -->\n\n?)?"
    r"^(?P<indent> *)```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^(?P=indent)```$"
    r"(?:\n\n?<!-- output(?:: (?P<lines>\d+))? -->)?",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"^<!-- (\S+) is (\S+) -->$", re.MULTILINE)
# What is in quotes may have a # too.
_COMMAND = re.compile(r"""(?P<command>(?:'[^']*'|"[^"]*"|(?<=\S)#|[^#'"])*)(?P<comment>.*)""")
# A command of ours; what it prints may go to a file, or to other programs.
_OURS = re.compile(
    r"mlsysim (?P<arguments>(?:'[^']*'|\"[^\"]*\"|[^|>;&'\"])*)(?:> (?P<file>\S+)|\| (?P<tail>.+))?"
)
_EXIT = re.compile(r"\bexit (\d)\b")


class SnippetError(AssertionError):
    """A snippet does not do what the page says."""


@dataclass(frozen=True)
class Snippet:
    """A fenced block of a page.

    Attributes:
        page: its path in the repository.
        line: of its first line in the page.
        language, text: of the block.
        title: the file that it is, or empty.
        why: the reason not to run it, or empty.
        shown: how many lines of its output the site shows; None for none, 0 for all.
        span: where it is in the page.
    """

    page: str
    line: int
    language: str
    text: str
    title: str
    why: str
    shown: int | None
    span: tuple[int, int]

    @property
    def where(self) -> str:
        """Page and line."""
        return f"{self.page}:{self.line}"


def snippets(page: str, text: str) -> list[Snippet]:
    """Return the blocks of a page in order."""
    found = []
    for m in _SNIPPET.finditer(text):
        indent = len(m["indent"])
        lines = [line[indent:] for line in m["text"].splitlines(keepends=True)]
        shown = None if "<!-- output" not in m[0] else int(m["lines"] or 0)
        found.append(
            Snippet(
                page,
                text.count("\n", 0, m.start("language")) + 1,
                m["language"],
                "".join(line or "\n" for line in lines),
                m["title"] or "",
                m["why"] or "",
                shown,
                m.span(),
            )
        )
    return found


def commands(text: str) -> Iterator[tuple[str, int]]:
    """Yield the commands of a ``sh`` block without their comments, with the code that each is to end with."""
    for line in text.replace("\\\n", " ").splitlines():
        m = _COMMAND.match(line)
        assert m is not None
        if m["command"].strip():
            said = _EXIT.search(m["comment"])
            yield m["command"].strip(), int(said[1]) if said else 0


@contextmanager
def session(page: str, text: str) -> Iterator[Session]:
    """Run snippets of a page in a folder of their own."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "examples").symlink_to(ROOT / "examples")
        for name, source in _FILE.findall(text):
            shutil.copy(ROOT / source, here / name)
        os.chdir(here)
        try:
            yield Session(page)
        finally:
            os.chdir(before)


class Session:
    """Runs the snippets of a page, one after the other, in the working folder."""

    def __init__(self, page: str) -> None:
        self.names: dict[str, Any] = {"__name__": f"snippets of {page}"}

    def run(self, s: Snippet) -> str:
        """Run a snippet and return what it prints.

        Raises:
            SnippetError: it does not do what the page says.
        """
        if s.why or s.language in PLAIN:
            return ""
        return {"sh": self._shell, "python": self._python, "yaml": self._yaml}[s.language](s)

    def _shell(self, s: Snippet) -> str:
        printed = []
        for command, code in commands(s.text):
            done, out, err = _run(command)
            if done != code:
                raise SnippetError(f"{s.where}: exit {done}, not {code}: {command}\n{out}{err}")
            printed.append(out if code == 0 else out + err)
        return "".join(printed)

    def _python(self, s: Snippet) -> str:
        out = io.StringIO()
        with redirect_stdout(out):
            exec(compile("\n" * s.line + s.text, s.page, "exec"), self.names)
        return out.getvalue()

    def _yaml(self, s: Snippet) -> str:
        if s.title:
            Path(s.title).write_text(s.text, encoding="utf-8")
            return ""
        import yaml

        data = yaml.safe_load(s.text)
        if "workload" not in data and "jobs" not in data:
            whole = yaml.safe_load(Path("plan.yaml").read_text(encoding="utf-8"))
            data = _merged(whole, data)
        _evaluated(data)
        return ""


def _evaluated(plan: dict[str, Any]) -> None:
    """Evaluate a plan; a bad one raises."""
    from mlsysim import evaluate_fleet, evaluate_plan

    (evaluate_fleet if "jobs" in plan else evaluate_plan)(plan)


def _merged(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    return whole | {
        key: _merged(whole[key], value)
        if isinstance(value, dict) and isinstance(whole.get(key), dict)
        else value
        for key, value in part.items()
    }


def _run(command: str) -> tuple[int, str, str]:
    """Run a command: one of ours in this process, anything else by the shell."""
    m = _OURS.fullmatch(command)
    if m is None:
        return _by_shell(command)
    code, out, err = _in_process(shlex.split(m["arguments"]))
    if m["file"]:
        Path(m["file"]).write_text(out, encoding="utf-8")
        out = ""
    elif m["tail"] and code == 0 and (shutil.which("jq") or not m["tail"].startswith("jq ")):
        code, out, _ = _by_shell(m["tail"], out)
    return code, out, err


def _in_process(arguments: list[str]) -> tuple[int, str, str]:
    from mlsysim.cli.main import run

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(arguments)
    return code, out.getvalue(), err.getvalue()


def _by_shell(command: str, given: str = "") -> tuple[int, str, str]:
    done = subprocess.run(["bash", "-c", command], input=given, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr

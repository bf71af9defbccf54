"""``mlsysim lab``: the labs that ship with the package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlsysim.cli import exits
from mlsysim.cli.output import OUTPUT, Output, chosen, emit, write
from mlsysim.core.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from mlsysim.labs import Lab

EPILOG = """\b
Examples:
  mlsysim lab
  mlsysim lab roofline
  mlsysim lab all --headless --port 8080
  mlsysim lab memory --edit
  mlsysim lab memory --text

A lab is a page in the browser, served by Marimo on this machine alone; Ctrl-C
ends it. With --edit a copy of its notebook is put in this folder and opened.
""" + exits.told(0, 1, _0="done")
PACKAGES = {"marimo": "Marimo", "plotly": "Plotly"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    short = "Start a lab: an interactive lesson. Without a name, list them."
    app.command("lab", short_help=short, epilog=EPILOG)(lab)


def lab(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME|all]", help="Which lab; all on one page to choose from.")
    ] = None,
    edit: Annotated[
        bool, typer.Option("--edit", help="Open a copy of the notebook, with its code, in an editor.")
    ] = False,
    text: Annotated[bool, typer.Option("--text", help="In the terminal, without plots or browser.")] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the page; one that is free if absent.")
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Open no browser.")] = False,
    output: OUTPUT = None,
) -> int:
    """List the labs, or start one.

    Each asks for a prediction before it shows the answer.
    """
    from mlsysim.labs import LABS, find

    form = chosen(context, output)
    if name is None:
        emit(form, _document, _text, _markdown)
        return 0
    if form is not Output.text:
        raise InputError(
            "a lab is a page in the browser, not a document",
            where="output",
            hint=f"mlsysim -o {form.value} lab lists them",
        )
    wanted = list(LABS) if name.lower() == "all" else [find(name)]
    if len(wanted) > 1 and (edit or text):
        raise InputError("one lab at a time can be edited or printed", where="name", hint="mlsysim lab")
    if edit and text:
        raise InputError("choose one of --edit and --text", where="text")
    check_installed()
    if text:
        return _run([sys.executable, "-m", f"mlsysim.labs.{wanted[0].name}"])
    if port is not None:
        _check_free(port)
    paths = [_copy(wanted[0])] if edit else [each.path for each in wanted]
    return _run(command(paths, edit, port, headless), sys.stderr)


def check_installed() -> None:
    """Raise an error that names the extra if a package of the labs is missing."""
    for module, title in PACKAGES.items():
        try:
            there = find_spec(module) is not None
        except (ModuleNotFoundError, ValueError):  # an import that something blocks
            there = False
        if not there:
            raise MissingExtraError(
                f"{title} is not installed", where="lab", hint="pip install 'mlsysim[labs]'"
            )


def _check_free(port: int) -> None:
    """Raise an error if something listens on a port already: Marimo would say so after its greeting."""
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(
                f"port {port} cannot be used: {error.strerror}",
                where="port",
                hint="choose another, or leave --port out and a free one is taken",
            ) from error


def command(paths: list[Path], edit: bool, port: int | None, headless: bool) -> list[str]:
    """Return the command that serves notebooks, on this machine alone."""
    return [
        *(sys.executable, "-m", "marimo", "-y"),
        *(("edit", "--skip-update-check") if edit else ("run",)),
        *([] if port is None else ["--port", str(port)]),
        *(["--headless"] if headless else []),
        *map(str, paths),
    ]


def _run(arguments: list[str], to: object = None) -> int:
    """Run a process to its end; Ctrl-C ends it and is no error."""
    with subprocess.Popen(arguments, stdout=to) as process:  # type: ignore[call-overload]
        try:
            return 1 if process.wait() else 0
        except KeyboardInterrupt:  # the child has got it as well, and closes its sessions
            process.wait()
            return 0


def _copy(which: Lab) -> Path:
    """Return a copy of a lab in this folder; one that is there already is kept."""
    path = Path(f"{which.name}.py")
    if path.exists():
        write(f"{path} is there already and is opened as it is\n", "stderr")
        return path
    try:
        shutil.copyfile(which.path, path)
    except OSError as error:
        raise InputError(
            f"no copy of the lab can be written here: {error.strerror}",
            where=str(path),
            hint="change to a folder of your own",
        ) from error
    write(f"{path} is your copy: run it with the button below on the right, and change it\n", "stderr")
    return path


def _document() -> object:
    from mlsysim.labs import LABS

    return {"schema_version": "1.0", "labs": [each.to_dict() for each in LABS]}


def _text() -> str:
    from mlsysim.core.text import wrap
    from mlsysim.labs import LABS

    lines = []
    for number, each in enumerate(LABS, 1):
        lines.append(f"{number}  {each.name:<12} {each.title}, {each.minutes} min")
        lines += wrap(f"you learn to {each.learns}", " " * 16)
    return "\n".join([*lines, "", "Start one: mlsysim lab roofline      All: mlsysim lab all"])


def _markdown() -> str:
    from mlsysim.core.markdown import table
    from mlsysim.labs import LABS

    rows = [(f"`{each.name}`", each.title, each.learns, f"{each.minutes} min") for each in LABS]
    return table(("lab", "title", "you learn to", "time"), rows)

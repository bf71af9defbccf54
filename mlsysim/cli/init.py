"""``mlsysim init``: a plan to begin with."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlsysim.cli import complete, exits
from mlsysim.cli.output import OutputError, write
from mlsysim.core.errors import InputError

if TYPE_CHECKING:
    from mlsysim.core.new_plan import Wish

EPILOG = """\b
Examples:
  mlsysim init plan.yaml --model Llama3_70B --hardware H100
  mlsysim init service.yaml --kind serving --model Llama3_8B
  mlsysim init fleet.yaml --kind fleet --region Virginia --days 2
  mlsysim init - --kind inference | mlsysim eval /dev/stdin

In a terminal it asks for what the options leave open. The schema of plans is written beside the plan, in
.mlsysim/, and the plan's first line tells editors so: they complete and check as you type. Without
--accelerators, the plan has the fewest of some usual numbers with which it fits.
""" + exits.told(0, 1, _0="done")
DEFAULT = "plan.yaml"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "init",
        short_help="Write a commented plan to begin with.",
        epilog=EPILOG,
    )(init)


def init(
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="Where to write; - for stdout.", show_default="plan.yaml")
    ] = DEFAULT,
    kind: Annotated[
        str | None,
        typer.Option(
            help="training, inference, serving, mix (of requests) or fleet (of jobs).",
            autocompletion=complete.words("training", "inference", "serving", "mix", "fleet"),
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A model of the zoo.", autocompletion=complete.models)
    ] = None,
    hardware: Annotated[
        str | None, typer.Option(help="An accelerator of the zoo.", autocompletion=complete.hardware)
    ] = None,
    accelerators: Annotated[int | None, typer.Option(min=1, max=10_000_000, help="How many.")] = None,
    region: Annotated[
        str | None, typer.Option(help="A region of the zoo.", autocompletion=complete.regions)
    ] = None,
    days: Annotated[float | None, typer.Option(help="How long.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    no_schema: Annotated[
        bool, typer.Option("--no-schema", help="Write no schema, and no line for editors.")
    ] = False,
) -> int:
    """Write a plan with comments, which evaluates as it stands."""
    from mlsysim.core.new_plan import NEXT, Wish, plan, schema_name

    if file != "-" and Path(file).exists() and not force:
        raise InputError("the file is there already", where=file, hint="--force replaces it")
    given: dict[str, Any] = {
        "kind": kind,
        "model": model,
        "hardware": hardware,
        "accelerators": accelerators,
        "region": region,
        "days": days,
    }
    wish = Wish(**{k: v for k, v in given.items() if v is not None})
    if sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty():
        wish = _asked(wish, given)
    try:
        if file == "-":
            write(plan(wish)[0])
            return 0
        schema = None if no_schema else _schema(wish, Path(file))
        text, status = plan(wish, schema)
    except InputError as error:
        if error.where in given:
            error.where = f"--{error.where}"
        raise
    name = shlex.quote(file) if file.isprintable() else "FILE"
    _write(Path(file), text.replace("FILE", name))
    write(f"{file}: written; next: mlsysim {NEXT.get(wish.kind, 'eval')} {name}\n", "stderr")
    if status == "fail":
        write("it does not fit yet: eval says which wall is in the way\n", "stderr")
    if not no_schema:
        write(f"{Path(file).parent / '.mlsysim' / schema_name(wish.kind)}: for your editor\n", "stderr")
    return 0


def _schema(wish: Wish, file: Path) -> str:
    """Write the schema of plans beside a plan, and return where, from the plan's folder."""
    from mlsysim.core import schemas
    from mlsysim.core.new_plan import SCHEMA_FOLDER, checked, schema_name

    name = schema_name(checked(wish).kind)
    made = schemas.fleet_plan_schema() if wish.kind == "fleet" else schemas.plan_schema()
    _write(file.parent / SCHEMA_FOLDER / name, json.dumps(made, indent=1) + "\n")
    return f"{SCHEMA_FOLDER}/{name}"


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding="utf-8", newline="\n")
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise OutputError(f"cannot be written: {error.strerror}", where=str(path)) from error


def _asked(wish: Wish, given: dict[str, Any]) -> Wish:
    """Ask in the terminal for what the options leave open; what is wrong is asked again."""
    from mlsysim.core.new_plan import KINDS, checked

    questions = {
        "kind": "Kind of plan (" + ", ".join(KINDS) + ")",
        "model": "Model (mlsysim zoo models)",
        "hardware": "Accelerator (mlsysim zoo hardware)",
        "accelerators": "How many (empty: as few as fit)",
        "region": "Region (mlsysim zoo infra)",
        "days": "Days (empty: 30, or 1 for several jobs)",
    }
    for key, question in questions.items():
        while given[key] is None:
            default = getattr(wish, key)
            answer = _answer(question if default is None else f"{question} [{default}]")
            if not answer:
                break
            try:
                wish = checked(replace(wish, **{key: _read(key, answer)}))
                break
            except InputError as error:
                write(f"{error}\n", "stderr")
    return wish


def _answer(question: str) -> str:
    """Ask on stderr: stdout is for the plan."""
    write(f"{question}: ", "stderr")
    line = sys.stdin.readline()
    if not line:  # the end of input is no answer
        raise typer.Abort
    return line.strip()


def _read(key: str, answer: str) -> Any:
    """Return an answer as what it means."""
    if key not in ("accelerators", "days"):
        return answer
    try:
        if key == "days":
            return float(answer)
        number = int(answer)
    except ValueError as error:
        raise InputError(f"{answer!r} is no number", where=key, hint="type a number") from error
    if not 1 <= number <= 10_000_000:
        raise InputError(f"{number} is not allowed here", where=key, hint="from 1 to 10,000,000")
    return number

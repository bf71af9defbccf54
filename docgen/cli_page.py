"""The reference of the command line, from the Typer app."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docgen.tables import DO_NOT_EDIT, plain, table

HEAD = """# Command line

Every command as `mlsysim COMMAND --help` has it. stdout is the result and nothing else; progress and
messages go to stderr. Exit codes are on [a page of their own](exit_codes.md).
"""


def page() -> str:
    """Return the page."""
    return DO_NOT_EDIT + HEAD + "\n" + "\n".join(_section(*each) for each in commands())


def commands() -> Iterator[tuple[str, Any, Any]]:
    """Yield name, command and context of the app and of all its commands, outermost first."""
    import typer

    from mlsysim.cli.main import app

    root = typer.main.get_command(app)
    yield from _walk("mlsysim", root, None)


def _walk(name: str, command: Any, parent: Any) -> Iterator[tuple[str, Any, Any]]:
    context = command.make_context(name.split()[-1], [], parent=parent, resilient_parsing=True)
    yield name, command, context
    for sub in getattr(command, "commands", {}).values():
        yield from _walk(f"{name} {sub.name}", sub, context)


def _section(name: str, command: Any, context: Any) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [
        f"## {name}" if name.count(" ") < 2 else f"### {name}",
        *_paragraphs(command.help or ""),
        f"```text\n{name} {usage}\n```",
    ]
    records = [p.get_help_record(context) for p in command.params if not getattr(p, "hidden", False)]
    rows = [(f"`{record[0]}`", plain(record[1])) for record in records if record]
    if rows:
        parts.append(table(("argument or option", "meaning"), rows).rstrip())
    if command.epilog:
        parts.append(f"```text\n{_epilog(command.epilog)}\n```")
    return "\n\n".join(parts) + "\n"


def _paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a help text, as Click would wrap them."""
    clean = re.sub(r"\n\s*\n", "\n\n", text.replace("\b", "")).strip()
    return [plain(" ".join(p.split())) for p in clean.split("\n\n")]


def _epilog(text: str) -> str:
    return re.sub(r"\n{2,}", "\n\n", text.replace("\b\n", "").replace("\b", "")).strip("\n")

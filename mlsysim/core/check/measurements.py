"""Files of measured rows: their fields, and their sources."""

from __future__ import annotations

from typing import Any

from mlsysim.core.check.entries import Sources
from mlsysim.core.check.report import Notes
from mlsysim.core.validation.rows import expanded, is_rows, problems


def check_rows(raw: Any, file: str, sources: Sources, seen: dict[str, str], notes: Notes) -> None:
    """Log what is wrong with a file of measurements; a file of another form is left alone.

    Args:
        raw: the parsed file.
        file: for messages.
        sources: the citation records that rows may name.
        seen: the file of each row's id so far, to which those of this file are added.
        notes: where to log.
    """
    if not is_rows(raw):
        return
    wrong = False
    for problem in problems(raw):
        wrong = True
        hint = f" ({problem.hint})" if problem.hint else ""
        notes.error(file, ".".join(map(str, problem.keys)), problem.text + hint)
    if wrong:
        return
    for index, row in enumerate(raw["rows"]):
        full = expanded(raw, row)
        field = f"rows.{index}"
        if full["source"] not in sources.known:
            notes.error(file, f"{field}.source", f"source {full['source']!r} is not in sources.yaml")
        first = seen.setdefault(full["id"], file)
        if first != file:
            notes.error(file, f"{field}.id", f"{full['id']!r} is a row of {first} already")

"""A report as Markdown, as GitHub reads it."""

from __future__ import annotations

from mlsysim.core.markdown import plain, table
from mlsysim.report.blocks import Block, Items, Plot, Report, Section, Table, Text, Verbatim

BAD = {word: f"**{word}**" for word in ("fail", "no")}


def markdown(r: Report, level: int = 2) -> str:
    """Return the brief sections of a report; plots and sources are left to the page."""
    parts = [f"{'#' * level} {plain(r.title)}: {r.verdict}", *(f"`{_code(line)}`" for line in r.lines)]
    for section in r.sections:
        if section.brief:
            parts += _section(section, level + 1)
    return "\n\n".join(p for p in parts if p)


def _section(s: Section, level: int) -> list[str]:
    found = [part for block in s.blocks if (part := _block(block))]
    if not found:
        return []
    if s.folded:
        return [f"<details><summary>{plain(s.title)}</summary>", *found, "</details>"]
    return [f"{'#' * level} {plain(s.title)}", *found] if s.title else found


def _block(b: Block) -> str:
    match b:
        case Text(text):
            return plain(text)
        case Items(lines):
            return "\n".join(f"- {plain(line)}" for line in lines)
        case Table(header, rows):
            return table(header, [[BAD.get(c, c) for c in row] for row in rows]) if rows else ""
        case Verbatim(text, _, language):
            fence = "```"
            while fence in text:
                fence += "`"
            return f"{fence}{language}\n{text}\n{fence}"
        case Plot():
            return ""


def _code(line: str) -> str:
    return " ".join(line.replace("`", "'").split())

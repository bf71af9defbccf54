"""Text and tables of the labs: blocks of Markdown, and how they look in a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from mlsysim.core import text

ITEM = re.compile(r"- |\d\. ")  # of a list

__all__ = ["blocks", "narrow", "numbers", "plain"]


def blocks(words: str) -> list[str]:
    """Return Markdown as titles, paragraphs and items of lists, each in one line."""
    found = []
    for block in re.split(r"\n\s*\n", words):
        *titles, rest = re.split(r"(?<=\n)(?!#)", block, maxsplit=1) if block.startswith("#") else [block]
        if not titles and rest.startswith("#"):
            titles, rest = [rest], ""
        items = re.split(r"\n(?=- |\d\. )", rest) if ITEM.match(rest) else [rest]
        found += [" ".join(x.split()) for x in (*titles, *items) if x.strip()]
    return found


def plain(blocks: Sequence[str]) -> str:
    """Return blocks as a terminal shows them."""
    bare = [re.sub(r"\*\*|(?<!\w)\*|\*(?!\w)|`", "", block) for block in blocks]
    shown = ""
    for block, after in zip(bare, [*bare[1:], ""], strict=True):
        if title := re.match(r"#+ (.*)", block):
            shown += f"{title[1]}\n{'-' * len(title[1])}\n\n"
        elif ITEM.match(block):
            shown += _item(block) + ("\n" if ITEM.match(after) else "\n\n")
        else:
            shown += "\n".join(text.wrap(block)) + "\n\n"
    return shown.rstrip("\n")


def _item(line: str) -> str:
    """Return an item of a list, its further lines indented."""
    return "\n".join(textwrap.wrap(line, text.WIDTH, subsequent_indent="  ", break_on_hyphens=False))


def numbers(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return which columns hold numbers and amounts."""
    return [i for i in range(len(rows[0])) if all(re.match(r"[\d$]", row[i]) for row in rows)]


def narrow(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines of 80 columns: where it is wider, its longest column goes below each row."""
    lines = text.table(header, rows, right=numbers(rows))
    if max(map(len, lines)) <= text.WIDTH:
        return lines
    at = max(range(len(header)), key=lambda i: max(len(row[i]) for row in rows))
    kept = [[c for i, c in enumerate(row) if i != at] for row in rows]
    short = text.table([h for i, h in enumerate(header) if i != at], kept, right=numbers(kept))
    below = (text.wrap(row[at], "    ") for row in rows)
    return [short[0], *(x for line, more in zip(short[1:], below, strict=True) for x in (line, *more))]

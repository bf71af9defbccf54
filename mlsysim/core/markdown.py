"""Markdown as GitHub reads it, for pull requests and issues."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation
    from mlsysim.core.solver.optimization import Optimization

# What would be markup, or would call somebody: a name in a plan is neither.
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])|[`\[\]]|(?<![\w*])\*(?=\w)|(?<=\w)\*(?![\w*])|@(?=\w)")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in lines)


def _cell(words: str) -> str:
    return " ".join(words.splitlines()).replace("<", "&lt;").replace("|", "\\|")


def plain(words: str) -> str:
    """Return text that Markdown shows as it is, on one line."""

    def shown(found: re.Match[str]) -> str:
        return {"<": "&lt;", "@": "@\u200b"}.get(found[0], "\\" + found[0])

    return _MARKUP.sub(shown, " ".join(words.split()))


def evaluation(e: Evaluation, level: int = 2) -> str:
    """Return an evaluation as Markdown."""
    from mlsysim.report import markdown

    return markdown(e, level)


def optimization(o: Optimization) -> str:
    """Return an optimization as Markdown, with the plan to copy."""
    from mlsysim.report import markdown

    return markdown(o)

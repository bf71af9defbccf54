"""Results as pages and as Markdown: one content, written down once, in two forms.

``mlsysim.report.write(result, "out.html")`` writes a page that needs no network: scorecard, walls, proof,
explanations, plots, sources and the plan to copy. The page needs Plotly (extra ``labs``);
``mlsysim.report.markdown(result)`` needs nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlsysim.core.errors import InputError
from mlsysim.report.blocks import Report


def content(result: Any) -> Report:
    """Return what a report of a result says.

    Args:
        result: of ``eval``, ``optimize``, ``solve`` or ``validate``.
    """
    from mlsysim.report.contents import of

    return of(result)


def html(result: Any) -> str:
    """Return a result as a page of its own, plots and all.

    Raises:
        MissingExtraError: Plotly is not installed.
    """
    from mlsysim.report.page import page

    return page(content(result))


def markdown(result: Any, level: int = 2) -> str:
    """Return a result as Markdown, as GitHub reads it; the heading is of that level."""
    from mlsysim.report.inline import markdown as render

    return render(content(result), level)


def write(result: Any, path: str | Path) -> None:
    """Write a result as a page of its own.

    Raises:
        InputError: the file cannot be written.
        MissingExtraError: Plotly is not installed.
    """
    text = html(result)
    try:
        Path(path).write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:  # a null byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot be written: {reason}", where=str(path)) from error

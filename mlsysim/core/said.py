"""Results and errors as they leave mlsysim: plain JSON, and messages for people."""

from __future__ import annotations

import math
from typing import Any

from mlsysim.core.errors import MlsysimError

LONGEST = 400  # characters of a part of a message


def finite(value: Any) -> Any:
    """Return plain data in which what JSON cannot say (infinity, NaN) is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value


def error_document(error: MlsysimError) -> dict[str, Any]:
    """Return an error as plain data, of the schema of results."""
    return {
        "schema_version": "1.0",
        "status": "error",
        "error": {
            "code": error.code,
            "where": error.where or None,
            "problem": error.problem,
            "hint": error.hint or None,
        },
    }


def error_text(error: MlsysimError) -> str:
    """Return an error as lines for people: where and what, then what to do."""
    from mlsysim.core.text import wrap

    # one line, however long: programs look for the place in it
    lines = [f"{plain(error.where or 'mlsysim')}: {plain(error.problem)}"]
    lines += [f"  {plain(line)}" for line in error.excerpt]
    lines += wrap(plain(error.hint), "  ") if error.hint else []
    return "\n".join(lines)


def plain(text: str) -> str:
    """Return text without what could steer a terminal, and cut short in the middle if endless."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode() for ch in text)

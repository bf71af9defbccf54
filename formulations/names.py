"""Names of the rows and columns of a mixed-integer program, for people and for LP and MPS files.

A name is its words, as in ``agree(layer,shard,tp4)``. It has no character with a meaning in either
format: brackets become parentheses, and whatever else is not a letter, a digit or one of ``_.,()``
becomes ``_``. No two names of one list are alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from formulations.algebra import Amount, Choice
from formulations.problem import Row, shared

Label = tuple[Any, ...]

LONGEST = 200
_BRACKETS = str.maketrans("[]{}", "()()")
_FOREIGN = re.compile(r"[^A-Za-z0-9_.,()]")
# an LP file would read such a name as a number, or as the start of a section
_NO_NAME = re.compile(
    r"[0-9.,()]|[eE][0-9]|(st|s\.t\.|subject|such|max|maximi[sz]e|maximum|min|minimi[sz]e|minimum|bounds?|"
    r"bin|binary|binaries|gen|generals?|int|integers?|semi|semi-continuous|semis|sos|sos[12]|end|free|"
    r"inf|infinity)$",
    re.IGNORECASE,
)


def clean(name: str) -> str:
    """Return a name without the characters that LP or MPS files give a meaning to."""
    found = _FOREIGN.sub("_", name.translate(_BRACKETS))[:LONGEST]
    return f"_{found}" if not found or _NO_NAME.match(found) else found


def distinct(names: Iterable[str]) -> list[str]:
    """Return clean names, of which those that came before get a number."""
    taken: set[str] = set()
    given: list[str] = []
    for name in names:
        once = found = clean(name)
        count = 1
        while found in taken:
            count += 1
            found = f"{once}.{count}"
        taken.add(found)
        given.append(found)
    return given


def text(label: Label) -> str:
    """Return a label as text: its first word with the others in parentheses."""
    if not label:
        return "row"
    first, *rest = (_word(x) for x in label)
    return f"{first}({','.join(rest)})" if rest else first


def together(a: Choice, b: Choice, left: int | None, right: int) -> str:
    """Return the attributes on which two choices agree, at a cell of the first or else the second."""
    choice, cell = (b, right) if left is None else (a, left)
    return "_".join(f"{name}{choice.columns[name][cell]}" for name in shared(a, b))


def _word(x: object) -> str:
    return x.name if isinstance(x, (Choice, Amount, Row)) else str(x)

"""What a report consists of, whatever its form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list; ``links`` are addresses, as many as there are lines, or none."""

    lines: Sequence[str]
    links: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """Rows under a header; the columns in ``right`` hold numbers. A status may be shown as a mark."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    right: Sequence[int] = ()


@dataclass(frozen=True)
class Verbatim:
    """Text as it is, with a button to copy it where ``copied``."""

    text: str
    title: str
    language: str = ""
    copied: bool = False


@dataclass(frozen=True)
class Plot:
    """A figure that is made when it is needed, and what it shows."""

    draw: Callable[[], Any]
    told: str


Block: TypeAlias = Text | Items | Table | Verbatim | Plot


@dataclass(frozen=True)
class Section:
    """Blocks under a heading.

    Attributes:
        title: the heading; none if empty.
        blocks: what is said.
        brief: whether Markdown for a pull request has it too; a page has all.
        folded: whether it is there to be opened.
    """

    title: str
    blocks: Sequence[Block]
    brief: bool = True
    folded: bool = False


@dataclass(frozen=True)
class Report:
    """A result in full.

    Attributes:
        title: its heading.
        verdict: in a word or two.
        good: whether the verdict is what one hopes for.
        lines: what it is about, a line each.
        sections: in order.
    """

    title: str
    verdict: str
    good: bool
    lines: Sequence[str] = ()
    sections: Sequence[Section] = field(default=())

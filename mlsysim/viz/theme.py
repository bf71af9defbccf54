"""One look for all plots: it reads in colour, in grey, and on paper.

Series differ in lightness, and besides in dash and symbol (lines and points) or in pattern (bars).
Every axis says its unit.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from html import escape
from typing import Any

from mlsysim.core import text
from mlsysim.core.errors import MissingExtraError

INK, SOFT, GRID, PAPER = "#1a1a1a", "#595959", "#d9d9d9", "#ffffff"
FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
# From dark to light, so that neighbours differ in grey; below a contrast of 3 with paper, the edge of a
# mark is drawn in ink.
COLOURS = ("#14213d", "#9d2b25", "#2a7f9e", "#6b8f3a", "#d08c2e", "#a9b8c9", "#5b3f8c", "#e6cf8b")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = (
    *("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon", "triangle-down"),
    *("pentagon", "triangle-left", "hourglass", "star-diamond", "triangle-right", "bowtie", "hexagram"),
)
PATTERNS = ("", "/", ".", "x", "\\", "-", "+", "|")
# of walls and other verdicts
VERDICTS = {
    "pass": ("#a9c4d6", ""),
    "info": ("#e3e3e3", ""),
    "binding": ("#d08c2e", "/"),
    "fail": ("#9d2b25", "x"),
}
LOGARITHMIC = {"type": "log", "exponentformat": "power", "dtick": "D2"}
LONGEST = 34  # characters of a label on a line


@dataclass(frozen=True)
class Style:
    """How a series is drawn."""

    colour: str
    dash: str
    symbol: str
    pattern: str

    @property
    def line(self) -> dict[str, Any]:
        """Of a line."""
        return {"color": self.colour, "dash": self.dash, "width": 2.5}

    @property
    def marker(self) -> dict[str, Any]:
        """Of points."""
        return {"color": self.colour, "symbol": self.symbol, "size": 11, "line": {"color": INK, "width": 1}}

    @property
    def bar(self) -> dict[str, Any]:
        """Of bars."""
        return filled(self.colour, self.pattern)


def style(n: int) -> Style:
    """Return the look of the series with a number, from 0; after some they repeat in other combinations."""
    return Style(
        COLOURS[n % len(COLOURS)],
        DASHES[n % len(DASHES)],
        SYMBOLS[n % len(SYMBOLS)],
        PATTERNS[n % len(PATTERNS)],
    )


def filled(colour: str, pattern: str = "") -> dict[str, Any]:
    """Return the look of a bar."""
    return {
        "color": colour,
        "line": {"color": INK, "width": 1},
        "pattern": {"shape": pattern, "fillmode": "overlay", "fgcolor": PAPER, "size": 7, "solidity": 0.35},
    }


def plotly() -> Any:
    """Return ``plotly.graph_objects``.

    Raises:
        MissingExtraError: Plotly is not installed.
    """
    try:
        import plotly.graph_objects as go
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "Plotly is not installed", where="plot", hint="pip install 'mlsysim[labs]'"
        ) from error
    return go


def label(words: str, width: int = LONGEST, lines: int = 2) -> str:
    """Return a user's name for a plot: no markup, broken into lines, its middle left out if endless."""
    folded = textwrap.wrap(" ".join(words.split()), width, break_long_words=True) or [""]
    if len(folded) > lines:
        whole = " ".join(words.split())
        half = width * lines // 2 - 2
        folded = textwrap.wrap(f"{whole[:half].rstrip()} … {whole[-half:].lstrip()}", width)[:lines]
    return "<br>".join(escape(line, quote=False) for line in folded)


def figure(title: str, *, height: int = 420, under: str = "") -> Any:
    """Return an empty figure in the theme.

    Args:
        title: of the plot; may hold a user's names.
        height: [px].
        under: a sentence or two below the plot.
    """
    go = plotly()
    head = label(title, 84, 2)
    lines = textwrap.wrap(under, 84) if under else []
    extra = head.count("<br>")
    top, bottom = 44 + 24 * extra, 66 + 19 * len(lines)
    made = go.Figure()
    axis = {
        "showline": True,
        "linecolor": INK,
        "gridcolor": GRID,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": INK,
        "automargin": True,
        "title": {"standoff": 12},
    }
    made.update_layout(
        template="none",
        title={"text": head, "x": 0.0, "xref": "container", "xanchor": "left", "y": 1.0, "yanchor": "top"}
        | {"pad": {"l": 12, "t": 12 + 20 * extra}, "font": {"size": 16}},
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
        xaxis=axis,
        yaxis=axis,
        height=height + 19 * len(lines),
        margin={"l": 70, "r": 24, "t": top, "b": bottom},
        legend={"bgcolor": PAPER, "font": {"size": 12}, "itemsizing": "constant"},
        hoverlabel={"font": {"family": FONT, "size": 12}, "align": "left"},
        bargap=0.25,
    )
    if lines:
        made.add_annotation(
            text="<br>".join(escape(line, quote=False) for line in lines),
            x=0.0,
            xref="paper",
            xanchor="left",
            y=0.0,
            yref="paper",
            yanchor="bottom",
            yshift=-(bottom - 6),
            showarrow=False,
            align="left",
            font={"size": 12, "color": SOFT},
        )
    return made


def axes(made: Any, x: str, y: str, *, log: bool = False) -> None:
    """Name the axes of a figure, with their units."""
    made.update_xaxes(title_text=x)
    made.update_yaxes(title_text=y)
    if log:
        made.update_xaxes(LOGARITHMIC)
        made.update_yaxes(LOGARITHMIC)


def decades(low: float, high: float) -> dict[str, Any]:
    """Return a logarithmic axis between two numbers, with a label at each decade, or at 2 and 5 too."""
    span = math.log10(high / low)
    return LOGARITHMIC | {
        "range": [math.log10(low), math.log10(high)],
        "dtick": "D2" if span < 3 else max(1, round(span / 5)),
    }


def in_unit(most: float, unit: str) -> tuple[float, str]:
    """Return the unit of an axis up to a number of seconds or bytes, and by what to divide for it."""
    ladder = {
        "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
        "byte": ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB")),
    }[unit]
    return next((step for step in ladder if most >= step[0]), ladder[-1])


def amount(value: float, unit: str) -> str:
    """Return an amount in base units as people read it."""
    if unit == "byte":
        return text.amount(value / 2.0**30, "GiB")
    size, name = in_unit(value, unit)
    return f"{text.number(value / size)} {name}"

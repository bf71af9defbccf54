"""Numbers as people read them, in at most 80 columns and never cut short."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH = 80
# Units that are stepped by a prefix, as (prefixless unit, step, prefixes from the smallest).
_LADDERS = {
    "TFLOP": ("FLOP", 1000.0, ("", "k", "M", "G", "T", "P", "E", "Z", "Y"), 4),
    "GB": ("B", 1000.0, ("", "k", "M", "G", "T", "P", "E"), 3),
    "GiB": ("B", 1024.0, ("", "Ki", "Mi", "Gi", "Ti", "Pi"), 3),
    "token/s": ("token/s", 1000.0, ("", "k", "M", "G"), 0),
    "sample/s": ("sample/s", 1000.0, ("", "k", "M", "G"), 0),
    "L": ("L", 1000.0, ("", "k", "M", "G", "T"), 0),
    "kWh": ("Wh", 1000.0, ("", "k", "M", "G", "T"), 1),
    "tCO2e": ("gCO2e", 1000.0, ("", "k", "t", "kt", "Mt"), 2),
}


def number(x: float | None) -> str:
    """Return a number with three to five significant digits: ``15.4``, ``1,234``, ``1.2e-05``."""
    if x is None:
        return "-"
    if not math.isfinite(x):
        return "without end" if x > 0 else "-"
    if x == 0:
        return "0"  # also of -0.0
    size = abs(x)
    if size >= 1e7 or 0 < size < 1e-3:
        return f"{x:.3g}"
    if size >= 1000 or x == int(x):
        return f"{x:,.0f}"
    digits = 1 if size >= 100 else 2 if size >= 10 else 3 if size >= 1 else 4
    return f"{x:.{digits}f}"


def amount(x: float | None, unit: str) -> str:
    """Return a number with its unit, stepped up where that reads better: ``544 k token/s``."""
    if x is None:
        return "-"
    if not unit:
        return number(x)
    if unit == "1":
        return f"{x:.1%}"
    if unit == "USD":
        if abs(x) >= 1e12:
            return f"$ {number(x)}"
        return f"$ {x:,.0f}" if abs(x) >= 100 else f"$ {x:,.2f}"
    if unit == "ms" and abs(x) >= 1000:
        return f"{number(x / 1000)} s"
    if unit == "device":
        return number(x)
    if unit in _LADDERS and x:
        return _stepped(x, *_LADDERS[unit])
    return f"{number(x)} {unit}"


def _stepped(x: float, base: str, step: float, prefixes: tuple[str, ...], here: int) -> str:
    """Return ``x``, given at prefix ``here``, at the prefix that leaves one to four digits."""
    while abs(x) >= 10 * step and here + 1 < len(prefixes):
        x, here = x / step, here + 1
    while abs(x) < 1 and here > 0:
        x, here = x * step, here - 1
    prefix = prefixes[here]
    if base == "gCO2e" and prefix.endswith("t"):
        return f"{number(x)} {prefix}CO2e"
    gap = " " if base in ("token/s", "sample/s") and prefix else ""
    return f"{number(x)} {prefix}{gap}{base}"


def bar(share: float | None, cells: int = 10) -> str:
    """Return a share of a supply that is used, as ``[#######---]``."""
    if share is None:
        return ""
    full = round(min(max(share, 0.0), 1.0) * cells)
    return f"[{'#' * full}{'-' * (cells - full)}]"


def headroom(share: float | None) -> str:
    """Return what is left of a supply: ``24%``, or ``13 x over`` where the demand is far beyond."""
    if share is None:
        return ""
    if not math.isfinite(share):
        return "none there"
    over = 1.0 - share
    return f"{share:.0%}" if over < 10 else f"{over:.0f} x" if over < 1000 else f"{over:.0e} x"


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (), gap: int = 2
) -> list[str]:
    """Return rows as aligned lines; columns in ``right`` are aligned to the right."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return (
            (" " * gap)
            .join(
                cell.rjust(width) if i in right else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            .rstrip()
        )

    return [line(header), *(line(r) for r in rows)]


def wrap(text: str, indent: str = "") -> list[str]:
    """Return a paragraph as lines of at most :data:`WIDTH` columns."""
    import textwrap

    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]

"""Charts of characters: a scatter of points, and bars to both sides of a middle."""

from __future__ import annotations

from collections.abc import Sequence

from mlsysim.core import text

COLUMNS, LINES = 56, 12
Axis = tuple[str, str, str]


def scatter(xs: Sequence[float], ys: Sequence[float], x: Axis, y: Axis) -> list[str]:
    """Return points as lines of text; an axis is its title and the texts at its two ends."""

    def cell(value: float, values: Sequence[float], count: int) -> int:
        span = max(values) - min(values)
        return round((value - min(values)) / span * (count - 1)) if span else 0

    grid = [[" "] * COLUMNS for _ in range(LINES)]
    for a, b in zip(xs, ys, strict=True):
        grid[LINES - 1 - cell(b, ys, LINES)][cell(a, xs, COLUMNS)] = "o"
    margin = max(len(y[1]), len(y[2]))
    sides = [y[2], *[""] * (LINES - 2), y[1]]
    lines = [y[0]]
    lines += [f"{side:>{margin}} |{''.join(row).rstrip()}" for side, row in zip(sides, grid, strict=True)]
    lines.append(" " * margin + " +" + "-" * COLUMNS)
    lines.append(" " * (margin + 2) + x[1] + x[2].rjust(COLUMNS - len(x[1])))
    lines.append(" " * (margin + 2) + x[0].center(COLUMNS).rstrip())
    return [line[: text.WIDTH] for line in lines]


def tornado(rows: Sequence[tuple[str, float, float]], cells: int = 24) -> list[str]:
    """Return bars to the left (below 0) and the right of a middle, one line for each (title, less, more).

    Both numbers are changes; ``-`` draws that of less, ``+`` that of more.
    """
    most = max((abs(v) for _, *both in rows for v in both), default=0.0) or 1.0
    wide = max((len(title) for title, *_ in rows), default=0)
    lines = []
    for title, less, more in rows:
        left, right = [" "] * cells, [" "] * cells
        for value, mark in ((less, "-"), (more, "+")):
            size = min(cells, round(abs(value) / most * cells))
            side = left if value < 0 else right
            for i in range(size):
                at = cells - 1 - i if side is left else i
                side[at] = mark if side[at] == " " else "="
        lines.append(f"{title:<{wide}} {''.join(left)}|{''.join(right)}".rstrip())
    return lines

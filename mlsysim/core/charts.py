"""Charts of characters, for a terminal: roofline, walls, memory and time in 80 columns."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mlsysim.core import text
from mlsysim.core.errors import unknown
from mlsysim.core.inside import Part, memory_parts, operators_of, time_parts

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation

COLUMNS, LINES = 64, 16  # of the roofline's field
CELLS = 40  # of a bar
AMOUNTS = 20  # what stands beside one
TERA = 1e12


def chart(e: Evaluation, name: str) -> str:
    """Return a chart of an evaluation as lines of at most 80 columns.

    Args:
        e: the evaluation.
        name: of :data:`CHARTS`.

    Raises:
        UnknownNameError: naming the nearest charts.
    """
    if name not in CHARTS:
        raise unknown("chart", name, CHARTS).at("chart")
    return "\n".join(line.rstrip() for line in CHARTS[name](e))


def roofline(e: Evaluation) -> list[str]:
    """Return the roof that large kernels reach, and each operator as a letter by intensity and rate."""
    s, total = e.scenario, float(e.state.time)
    found = operators_of(e)
    placed = [x for x in found if x.flops > 0.0 and x.moved > 0.0 and x.time > 0.0]
    peak, bandwidth = s.chip.peak * s.chip.share, s.chip.bandwidth * s.chip.bandwidth_share
    known = math.isfinite(bandwidth)
    at = [x.intensity for x in placed] + ([peak / bandwidth] if known else [])
    low, high = min(at, default=1.0) / 4.0, max(at, default=1.0) * 4.0

    def roof(x: float) -> float:
        return min(peak, x * bandwidth) if known else peak

    rates = [roof(low), peak, *(x.rate for x in placed)]
    bottom, top = min(rates) / 1.5, max(rates) * 1.5
    column, line = _scale(low, high, COLUMNS), _scale(bottom, top, LINES)
    grid = [[" "] * COLUMNS for _ in range(LINES)]
    for c in range(COLUMNS):
        x = low * (high / low) ** (c / (COLUMNS - 1))
        grid[line(roof(x))][c] = "-" if roof(x) >= peak * 0.999 else "/"
    for letter, x in zip(string.ascii_letters, placed, strict=False):
        row = grid[line(x.rate)]
        row[column(x.intensity)] = letter if row[column(x.intensity)] in " -/" else "*"
    ends = [f"{text.number(v / TERA)}" for v in (bottom, top)]
    wide = max(map(len, ends))
    sides = [ends[1], *[""] * (LINES - 2), ends[0]]
    lines = text.wrap(f"Roofline of {s.hardware.name} in {s.precision}: {s.name}")
    lines += ["", "rate [TFLOP/s], both axes logarithmic"]
    lines += [f"{side:>{wide}} |{''.join(row)}" for side, row in zip(sides, reversed(grid), strict=True)]
    lines.append(f"{'':>{wide}} +{'-' * COLUMNS}")
    left, right = text.number(low), text.number(high)
    lines.append(
        f"{'':>{wide}}  {left}{'operations for each byte [FLOP/byte]':^{COLUMNS - len(left + right)}}{right}"
    )
    rows = [
        [
            letter,
            x.name,
            f"{text.number(x.intensity)}",
            f"{text.number(x.rate / TERA)}",
            f"{x.time / total:.1%}",
        ]
        for letter, x in zip(string.ascii_letters, placed, strict=False)
    ]
    rest = [["", x.name, "-", "-", f"{x.time / total:.1%}"] for x in found if x.flops <= 0.0 and x.time > 0.0]
    header = ["", "operator", "FLOP/byte", "TFLOP/s", "of the time"]
    lines += ["", *text.table(header, rows + rest, right=(2, 3, 4))]
    return [
        *lines,
        "",
        f"- and /  reached by large kernels ({text.number(peak / TERA)} TFLOP/s);  * several operators",
    ]


def walls(e: Evaluation) -> list[str]:
    """Return every wall with a supply as a bar: the share that is used."""
    rows = []
    for w in e.walls:
        if w.demand is None or w.headroom is None:
            continue
        used = 1.0 - w.headroom if math.isfinite(w.headroom) else math.inf
        over = "" if used <= 1.0 else ">"
        rows.append((f"{w.wall.number} {w.wall.name}", used, f"{over}{_times(used)}  {w.status}"))
    lines = text.wrap(f"Walls, share of the supply that is used: {e.scenario.name}")
    wide = max((len(name) for name, *_ in rows), default=0)
    lines += ["", *(f"{name:>{wide}} {text.bar(used, CELLS)} {told}" for name, used, told in rows)]
    free = [w.wall.name for w in e.walls if w.demand is not None and w.headroom is None]
    return [*lines, "", *text.wrap(f"No limit: {', '.join(free)}.")] if free else lines


def memory(e: Evaluation) -> list[str]:
    """Return what the fullest accelerator holds, part by part, against its capacity."""
    parts, capacity = memory_parts(e), float(e.state.capacity)
    held = sum(p.value for p in parts)
    lines = text.wrap(f"Memory of the fullest accelerator: {e.scenario.name}")
    lines += ["", *_waterfall(parts, "held", max(held, capacity), lambda x: text.amount(x / 2.0**30, "GiB"))]
    return [
        *lines,
        "",
        f"{text.amount(capacity / 2.0**30, 'GiB')} there: {text.headroom(1.0 - held / capacity)} left",
    ]


def time(e: Evaluation) -> list[str]:
    """Return where the time of a step or a pass goes, part by part."""
    parts, whole = time_parts(e), "step" if e.layout is not None else "pass"
    lines = text.wrap(f"Time of a {whole}: {e.scenario.name}")
    return [*lines, "", *_waterfall(parts, whole, sum(p.value for p in parts), _seconds)]


CHARTS: dict[str, Callable[[Evaluation], list[str]]] = {
    "walls": walls,
    "roofline": roofline,
    "memory": memory,
    "time": time,
}


def _waterfall(parts: Sequence[Part], whole: str, most: float, told: Callable[[float], str]) -> list[str]:
    """Return parts as bars that begin where the one before ends, and the whole below them."""
    total = sum(p.value for p in parts)
    wide = max(len(p.name) for p in (*parts, Part(whole, total)))
    cells = min(CELLS, text.WIDTH - wide - AMOUNTS)
    begin, lines = 0.0, []
    for part in parts:
        first, last = (round(x / most * cells) for x in (begin, begin + part.value))
        bar = " " * min(first, cells - 1) + "#" * max(last - first, 1)
        lines.append(
            f"{part.name:>{wide}} |{bar[:cells]:<{cells}}| {told(part.value)}  {part.value / total:.0%}"
        )
        begin += part.value
    bar = "=" * max(round(total / most * cells), 1)
    return [*lines, f"{whole:>{wide}} |{bar[:cells]:<{cells}}| {told(total)}"]


def _scale(low: float, high: float, count: int) -> Callable[[float], int]:
    """Return the cell of a number on a logarithmic axis of so many."""
    span = math.log(high / low) or 1.0
    return lambda x: min(max(round(math.log(x / low) / span * (count - 1)), 0), count - 1)


def _times(used: float) -> str:
    if not math.isfinite(used):
        return "none there"
    return f"{used:.0%}" if used < 10.0 else f"{text.number(used)} x"


def _seconds(x: float) -> str:
    """Return a time as people read it."""
    return text.amount(x * 1e3, "ms") if x >= 1e-3 else f"{text.number(x * 1e6)} us"

"""A schedule over time in text: one line a job, one letter a region."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mlsysim.core import text
from mlsysim.core.schedule.clock import Clock
from mlsysim.core.schedule.summary import Judged, parts_of

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SEVERAL, WAITS, OUTSIDE = "+", ".", " "
NAME = 16


def letters_of(j: Judged) -> dict[int, str]:
    """Return a letter for each region in which something runs; ``?`` beyond the alphabet."""
    used = np.flatnonzero(j.usage.accelerators.any(axis=(0, 2))).tolist()
    return {r: LETTERS[n] if n < len(LETTERS) else "?" for n, r in enumerate(used)}


def gantt(j: Judged, clock: Clock, most: int | None = None) -> list[str]:
    """Return one line a job, of the first so many: where it runs when.

    A letter where a region runs at least half of what the job ever holds, a small one where less,
    ``+`` where several regions run it, ``.`` where it may run and does not.
    """
    fleet, letters = j.fleet, letters_of(j)
    parts = parts_of(fleet)[:most]
    label = min(NAME, max(len(p.name) for p in parts))
    each = math.ceil(clock.slots / (text.WIDTH - label - 1))
    cells = math.ceil(clock.slots / each)
    lines = [" " * (label + 1) + line for line in _days(clock, each, cells)]
    for part in parts:
        held = np.zeros((len(fleet.places.names), cells * each))
        open_ = np.zeros(cells * each, dtype=bool)
        for i in part.jobs:
            job = fleet.jobs[i]
            for run in j.schedule.runs[i]:
                held[run.region, run.slots] += job.options[run.option].count * run.share
            open_[max(0, int(job.ready.min())) : job.deadline] = True
        in_cells = held.reshape(len(held), cells, each).sum(axis=2)
        peak = float(in_cells.sum(axis=0).max(initial=0.0))
        may = np.asarray(open_.reshape(cells, each).any(axis=1))
        bar = "".join(_cell(in_cells[:, c], peak, bool(may[c]), letters) for c in range(cells))
        name = part.name if len(part.name) <= label else part.name[: label - 1] + "~"
        lines.append(f"{name:{label}} {bar}".rstrip())
    return lines


def _cell(held: np.ndarray, most: float, may: bool, letters: dict[int, str]) -> str:
    """Return the character of a job in a stretch of time."""
    used = np.flatnonzero(held > 1e-9 * most)
    if not used.size:
        return WAITS if may else OUTSIDE
    if used.size > 1:
        return SEVERAL
    letter = letters[int(used[0])]
    return letter if held[used[0]] >= 0.5 * most else letter.lower()


def _days(clock: Clock, each: int, cells: int) -> list[str]:
    """Return the days over the cells, each where its first slot is."""
    line = [" "] * cells
    free = 0
    for c in range(cells):
        now = clock.time(c * each)
        if c and now.date() == clock.time((c - 1) * each).date():
            continue
        told = f"{now:%a %d}" if each < 24 else f"{now:%d %b}"
        if c >= free and c + len(told) <= cells:
            line[c : c + len(told)] = told
            free = c + len(told) + 1
    return ["".join(line).rstrip()]


def legend(j: Judged, names: Sequence[str]) -> list[str]:
    """Return what the letters mean."""
    told = [f"{letter}={names[r]}" for r, letter in letters_of(j).items()]
    signs = "small: less than half of it;  + several regions;  . may run and does not"
    return [*(text.wrap("  ".join(told)) if told else []), signs]

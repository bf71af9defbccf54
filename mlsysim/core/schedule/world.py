"""A map in text: where the regions are, and what runs in them."""

from __future__ import annotations

import numpy as np

from mlsysim.core import text, units
from mlsysim.core.schedule.gantt import letters_of
from mlsysim.core.schedule.scenario import FleetScenario
from mlsysim.core.schedule.summary import Judged

WIDTH, LOWEST, HIGHEST = 72, 5, 14
EMPTY, UNUSED = ".", "o"


def world(s: FleetScenario, j: Judged) -> list[str]:
    """Return the regions on a map, west to the left: the letter of a region, ``o`` where nothing runs.

    The map ends a little beyond the outermost regions. Regions that would stand on the same spot stand
    beside each other. Nothing where fewer than two regions say where they are.
    """
    letters = letters_of(j)
    known = [
        (units.from_base(e.latitude.base, "deg"), units.from_base(e.longitude.base, "deg"), i)
        for i, e in enumerate(r.entry for r in s.regions)
        if e.latitude is not None and e.longitude is not None
    ]
    if len(known) < 2:
        return []
    north, west, _ = (np.array(x) for x in zip(*known, strict=True))
    top, bottom = min(90.0, north.max() + 5), max(-90.0, north.min() - 5)
    left, right = max(-180.0, west.min() - 10), min(180.0, west.max() + 10)
    # a character is about twice as high as wide
    height = round(min(HIGHEST, max(LOWEST, (top - bottom) / (right - left) * WIDTH / 2)))
    grid = [[EMPTY if x % 4 == 0 and y % 2 == 0 else " " for x in range(WIDTH)] for y in range(height)]
    taken: set[tuple[int, int]] = set()
    # regions with jobs first: they keep their place
    for latitude, longitude, i in sorted(known, key=lambda k: k[2] not in letters):
        y = round((top - latitude) / (top - bottom) * (height - 1))
        x = round((longitude - left) / (right - left) * (WIDTH - 1))
        spots = [(y, x + d) for n in range(WIDTH) for d in (n, -n) if 0 <= x + d < WIDTH]
        y, x = next(spot for spot in spots if spot not in taken)
        taken.add((y, x))
        grid[y][x] = letters.get(i, UNUSED)
    lines = ["".join(row).rstrip() for row in grid]
    ends = f"{_longitude(left)}{_longitude(right):>{WIDTH - len(_longitude(left))}}"
    assert all(len(line) <= text.WIDTH for line in lines)
    return [*lines, ends]


def _longitude(degrees: float) -> str:
    return f"{abs(degrees):.0f} {'W' if degrees < 0 else 'E'}"

"""The solver against plain enumeration, in one run: where does it pay, and how does that grow?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from benchmarks.check import PROVEN
from benchmarks.library import Instance
from benchmarks.run import answer_seconds, run


def against(
    chosen: list[Instance],
    records: list[dict[str, Any]],
    budget: float,
    time_limit: float,
    tell: Callable[[dict[str, Any]], None] = lambda pair: None,
) -> list[dict[str, Any]]:
    """Return, for each instance that was proven, how much longer its enumeration takes.

    Enumeration that is cut off at the budget gives a ratio that is at least so large.

    Args:
        chosen: the instances.
        records: of the solver, of the same run.
        budget: of each enumeration [s].
        time_limit: that the solver had [s].
        tell: called with each pair as it comes.
    """
    pairs = []
    for instance in chosen:
        mine = [r for r in records if r["instance"] == instance.name]
        if not mine or any(r["status"] not in PROVEN or r["wrong"] for r in mine):
            continue
        (theirs,) = run([instance], "exhaustive", 1, budget)
        if theirs["error"]:
            continue
        complete = theirs["status"] in PROVEN
        seconds = theirs["phases"]["solve"]
        solver = sum(answer_seconds(r, time_limit) for r in mine) / len(mine)
        pair = {
            "instance": instance.name,
            "space_size": theirs["space_size"],
            "points": theirs["nodes"],
            "complete": complete,
            "points_per_second": theirs["nodes"] / max(seconds, 1e-9),
            "exhaustive_s": seconds,
            "solver_s": solver,
            "ratio": seconds / max(solver, 1e-9),
            "wrong": theirs["wrong"],
        }
        pairs.append(pair)
        tell(pair)
    return pairs


def by_size(pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the geometric mean of the ratios for each power of ten of the space."""
    found = []
    for power in sorted({int(math.log10(p["space_size"])) for p in pairs}):
        here = [p for p in pairs if int(math.log10(p["space_size"])) == power]
        mean = math.exp(sum(math.log(max(p["ratio"], 1e-9)) for p in here) / len(here))
        found.append(
            {
                "power": power,
                "count": len(here),
                "ratio": mean,
                "cut": sum(not p["complete"] for p in here),
                "faster": sum(p["ratio"] > 1 for p in here),
            }
        )
    return found

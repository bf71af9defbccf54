"""What changed from one run to another."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import Any

from benchmarks.check import close, grown
from benchmarks.run import SHIFT

SOLVERS = ("highs", "ortools", "numpy")


@dataclass
class Changes:
    """What differs; ``bad`` is what must not happen unnoticed, ``ratios`` are times, new over old."""

    bad: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ratios: dict[str, dict[str, float]] = field(default_factory=dict)

    def mean(self, phase: str) -> float:
        """Return the geometric mean of a phase's ratios."""
        found = [math.log(r[phase]) for r in self.ratios.values() if phase in r]
        return math.exp(statistics.fmean(found)) if found else math.nan


def changes(a: dict[str, Any], b: dict[str, Any]) -> Changes:
    """Return what changed from run ``a`` to run ``b``."""
    found = Changes()
    old, new = _by_name(a), _by_name(b)
    found.notes += [f"{name}: only in the first run" for name in old if name not in new]
    found.notes += [f"{name}: only in the second run" for name in new if name not in old]
    same = all(a["versions"].get(s) == b["versions"].get(s) for s in SOLVERS)
    for name in (n for n in old if n in new):
        before, after = old[name][0], new[name][0]
        found.bad += [f"{name}: {text}" for text in _different(before, after, same)]
        if before.get("engine") != after.get("engine"):
            found.notes.append(f"{name}: answered by {after.get('engine')} instead of {before.get('engine')}")
        found.notes += [f"{name}: {text}" for text in _smaller(before, after)]
        found.ratios[name] = _ratios(old[name], new[name])
    if a["machine"] != b["machine"]:
        found.notes.append("the machines differ: times do not compare")
    return found


def _by_name(run: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for record in run["records"]:
        found.setdefault(record["instance"], []).append(record)
    return found


def _different(before: dict[str, Any], after: dict[str, Any], same_solver: bool) -> list[str]:
    found = []
    if before["status"] != after["status"]:
        found.append(f"status {before['status']} -> {after['status']}")
    x, y = before.get("objective"), after.get("objective")
    if (x is None) != (y is None) or (x is not None and y is not None and not close(x, y)):
        found.append(f"objective {_ms(x)} -> {_ms(y)}")
    if "space_size" in before and "space_size" in after:
        found += [f"larger model: {text}" for text in grown(before, after, same_solver)]
    return found


def _smaller(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    if "space_size" not in before or "space_size" not in after:
        return []
    return [f"smaller model: {text}" for text in grown(after, before, False) for text in [_turned(text)]]


def _turned(text: str) -> str:
    name, old, _, new = text.split(" ")
    return f"{name} {new} -> {old}"


def _ms(x: float | None) -> str:
    return "none" if x is None else f"{x:.9g} ms"


def _ratios(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> dict[str, float]:
    """Return new over old time of each phase; medians over seeds, shifted as the means are."""
    phases = [p for p in before[0]["phases"] if all(p in r["phases"] for r in (*before, *after))]
    found = {}
    for phase in phases:
        old, new = (statistics.median(r["phases"][phase] for r in part) for part in (before, after))
        found[phase] = (new + SHIFT) / (old + SHIFT)
    return found


def text(found: Changes, phases: tuple[str, ...]) -> list[str]:
    """Return the changes as lines."""
    lines = [*found.bad, *found.notes] or ["no answer and no model changed"]
    if found.ratios:
        lines += ["", f"{'time, second over first':31}" + "".join(f"{p[:6]:>7}" for p in phases)]
        for name, ratios in found.ratios.items():
            cells = (f"{ratios[p]:.2f}" if p in ratios else "-" for p in phases)
            lines.append(f"{name:31}" + "".join(f"{cell:>7}" for cell in cells))
        means = (f"{found.mean(p):.2f}".replace("nan", "-") for p in phases)
        lines.append(f"{'geometric mean':31}" + "".join(f"{mean:>7}" for mean in means))
    return lines

"""Changes of a plan that are still to be tried: how each is written, and which there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from mlsysim.core import text, units
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Json
from mlsysim.core.resolve import resolve
from mlsysim.core.scenario import Bound, Scenario, Settings


@dataclass(frozen=True)
class Draft:
    """A change that is still to be tried."""

    kind: str
    title: str
    patch: Json
    settings: Settings
    needed: float | None = None
    there: float | None = None
    unit: str = ""


def parts(s: Scenario, distance: Callable[[Scenario], float | None], *, own: bool = False) -> list[Draft]:
    """Return the registry's accelerators in place of a plan's, the nearest first.

    Args:
        s: the plan.
        distance: how far another one's plan is; None where it is none to look at.
        own: whether the plan's own accelerator is among them.
    """
    from mlsysim.hardware import CATALOG

    found: list[tuple[float, str, Draft]] = []
    for entry in CATALOG:
        if (entry.name == s.hardware.name and not own) or not entry.in_server or entry.is_whole_system:
            continue
        changed = replace(s.settings, hardware=entry, node=None)
        try:
            away = distance(resolve(changed))
        except InputError:  # it has no such precision, server or price: no part for this plan
            continue
        if away is not None:
            patch: Json = {"hardware": {"name": entry.reference, "node": None}}
            found.append((away, entry.name, Draft("hardware", entry.name, patch, changed)))
    return [draft for *_, draft in sorted(found, key=lambda f: f[:2])]


def merged(a: Json, b: Json) -> Json:
    """Return two patches as one."""
    both = dict(a)
    for key, value in b.items():
        inner = both.get(key)
        both[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return both


def sized(t: Settings, count: int) -> Settings:
    """Return settings with a fleet of that size, all of it used."""
    fixed = {name: wish for name, wish in t.fixed.items() if name != "accelerators"}
    return replace(t, accelerators=count, nodes=None, fixed=fixed)


def server_size(t: Settings) -> int:
    """Return how many accelerators a plan's server holds; 1 where none is known."""
    from mlsysim.core.machine import server_of

    server = server_of(t)
    return 1 if server is None else round(server.accelerators.base)


def looser(t: Settings, index: int, low: bool, factor: float) -> Draft:
    """Return an assertion of the plan that is wider by a factor."""
    b = t.bounds[index]
    wider = Bound(b.metric, b.low / factor, b.high, b.where) if low and b.low is not None else b
    if not low and b.high is not None:
        wider = Bound(b.metric, b.low, b.high * factor, b.where)
    there, needed = (b.low, wider.low) if low else (b.high, wider.high)
    assert there is not None
    assert needed is not None
    unit = b.metric.unit
    shown = [units.from_base(x, unit) for x in (there, needed)]
    word = "at least" if low else "at most"
    bounds = tuple(wider if i == index else other for i, other in enumerate(t.bounds))
    return Draft(
        "limit",
        f"{b.metric.name} {word} {text.amount(shown[1], unit)} instead of {text.amount(shown[0], unit)}",
        {"constraints": {"assert": {str(index): {"min" if low else "max": shown[1]}}}},
        replace(t, bounds=bounds),
        shown[1],
        shown[0],
        unit,
    )


def patched(plan: Json, patch: Any) -> Any:
    """Return a plan with a way's patch applied: null takes an entry away, a number picks one of a list."""
    if not isinstance(patch, dict):
        return patch
    if isinstance(plan, list):
        return [patched(x, patch[str(i)]) if str(i) in patch else x for i, x in enumerate(plan)]
    found = dict(plan) if isinstance(plan, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = patched(found.get(key, {}), value)
    return found

"""Establish what is expected of an instance, by a route that does not rest on the solver under test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.check import PROVEN, SIZES, close
from benchmarks.isolated import measured
from benchmarks.library import ROUTES, Instance
from benchmarks.phases import OBJECTIVE, UNIT, has_engine, versions


@dataclass(frozen=True)
class Established:
    """An instance with its new ``expected``, or why it keeps the old one."""

    instance: Instance
    changed: tuple[str, ...] = ()
    refused: str = ""


def establish(
    instance: Instance, *, budget: float = 60.0, time_limit: float = 120.0, weaker: bool = False
) -> Established:
    """Return an instance with what is expected of it computed again.

    By enumeration of the complete space, which uses neither presolve nor a solver; where that takes
    too long, by two engines that agree; else by one.

    Args:
        instance: the instance.
        budget: of the enumeration [s]; 0 leaves it out.
        time_limit: of each engine [s].
        weaker: whether a weaker route may replace a stronger one.
    """

    def ask(engine: str, limit: float) -> dict[str, Any]:
        return measured(plan=instance.plan, engine=engine, seed=0, time_limit=limit, **instance.options)

    mine = ask("auto", time_limit)
    witnesses, route = _enumerated(ask, budget), "exhaustive"
    if not witnesses:
        witnesses = _by_engines(ask, time_limit)
        route = "two engines" if len(witnesses) > 1 else "highs"
        if mine["status"] not in PROVEN:
            mine = witnesses[0]
    for witness in witnesses:
        if reason := _disagreement(mine, witness):
            return Established(instance, refused=reason)
    if ROUTES.index(route) < instance.rank and not weaker:
        kept = instance.expected["established"] if instance.expected else ""
        return Established(
            instance,
            refused=f"established by {kept!r}, now only by {route!r}: give a larger --budget, or --weaker",
        )
    expected = _expected(mine, witnesses[0], route)
    return Established(replace(instance, expected=expected), _changes(instance.expected, expected))


Ask = Callable[[str, float], dict[str, Any]]


def _enumerated(ask: Ask, budget: float) -> list[dict[str, Any]]:
    """Return the record of an enumeration that came to its end, or that failed otherwise than by time."""
    if budget <= 0:
        return []
    record = ask("exhaustive", budget)
    return [record] if record["status"] in PROVEN or record["error"] else []


def _by_engines(ask: Ask, time_limit: float) -> list[dict[str, Any]]:
    """Return the record of HiGHS, and of CP-SAT where this version has it and it comes to a proof."""
    found = [ask("highs", time_limit)]
    if has_engine("cp-sat"):
        other = ask("cp-sat", time_limit)
        found += [other] if other["status"] in PROVEN or other["error"] else []
    return found


def _disagreement(mine: dict[str, Any], witness: dict[str, Any]) -> str:
    """Return how two records contradict each other, or why one of them proves nothing."""
    for record in (mine, witness):
        if record.get("error"):
            return f"{record['asked']}: {record['error']}"
        if record["status"] not in PROVEN:
            return f"{record['asked']} proves nothing within its limit ({record['status']})"
        if record["verified"] is False:
            return f"eval does not confirm the answer of {record['asked']}"
    if mine["status"] != witness["status"]:
        return f"DISAGREEMENT: {mine['asked']} says {mine['status']}, {witness['asked']} {witness['status']}"
    if mine["status"] == "optimal" and not close(mine["objective"], witness["objective"]):
        return (
            f"DISAGREEMENT: {mine['asked']} says {mine['objective']:.9g} {UNIT}, "
            f"{witness['asked']} {witness['objective']:.9g} {UNIT}"
        )
    return ""


def _expected(mine: dict[str, Any], witness: dict[str, Any], route: str) -> dict[str, Any]:
    optimal = witness["status"] == "optimal"
    return {
        "status": witness["status"],
        "objective": {"name": OBJECTIVE, "value": witness["objective"], "unit": UNIT} if optimal else None,
        "established": route,
        "points": witness["nodes"] if route == "exhaustive" else None,
        "model": {"engine": mine["engine"]} | {name: mine[name] for name in SIZES},
        "versions": versions(),
    }


def _changes(old: dict[str, Any] | None, new: dict[str, Any]) -> tuple[str, ...]:
    """Return what is new, for people."""
    if old is None:
        return (f"{new['status']}, by {new['established']}",)
    found = [f"{key} {old[key]} -> {new[key]}" for key in ("status", "established") if old[key] != new[key]]
    x, y = (e["objective"] and e["objective"]["value"] for e in (old, new))
    if x != y and not (x and y and close(x, y)):
        found.append(f"objective {x} -> {y} {UNIT}")
    sizes = [(key, old["model"][key], new["model"][key]) for key in SIZES]
    return (
        *found,
        *(f"{key} {before:.6g} -> {after:.6g}" for key, before, after in sizes if before != after),
    )

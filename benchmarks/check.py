"""A record against what is known about its instance. Never about time."""

from __future__ import annotations

from typing import Any

from benchmarks.library import Instance

RELATIVE = 1e-6
PROVEN = ("optimal", "infeasible")
# What must not grow; nodes only where the same engine and version counted them.
SIZES = ("space_size", "after_presolve", "variables", "rows", "nodes")


def close(a: float, b: float) -> bool:
    """Whether two objectives are the same."""
    return abs(a - b) <= RELATIVE * max(abs(a), abs(b))


def wrong(instance: Instance, record: dict[str, Any]) -> list[str]:
    """Return what in a record contradicts the instance: an unproven answer need not, a wrong one does."""
    expected = instance.expected
    if record.get("error"):
        return [record["error"]]
    found = ["eval does not confirm the answer"] if record.get("verified") is False else []
    if expected is None:
        return found
    value, bound, status = record["objective"], record["bound"], record["status"]
    if expected["status"] == "infeasible":
        return found if status in ("infeasible", "unknown") else [*found, f"{status} instead of infeasible"]
    if status == "infeasible":
        return [*found, "infeasible instead of optimal"]
    best = expected["objective"]["value"]
    if value is not None and value < best and not close(value, best):
        found.append(f"{value:.9g} is better than the optimum {best:.9g}")
    if status == "optimal" and value > best and not close(value, best):
        found.append(f"{value:.9g} called optimal, the optimum is {best:.9g}")
    if bound is not None and bound > best and not close(bound, best):
        found.append(f"the bound {bound:.9g} is above the optimum {best:.9g}")
    return found


def correct(instance: Instance, record: dict[str, Any]) -> bool | None:
    """Return whether a record is right; None where nothing is proven or nothing is known."""
    if wrong(instance, record):
        return False
    return True if instance.expected and record["status"] in PROVEN else None


def grown(old: dict[str, Any], new: dict[str, Any], same_solver: bool) -> list[str]:
    """Return which sizes of a model grew; each has ``engine`` and :data:`SIZES`."""
    same_engine = old["engine"] == new["engine"]
    found = []
    for size in SIZES:
        if size == "nodes" and not (same_engine and same_solver):
            continue  # versions of an engine search differently
        if new[size] > old[size] * (1 + 1e-9):
            found.append(f"{size} {old[size]:,.6g} -> {new[size]:,.6g}")
    return found


def failures(instance: Instance, record: dict[str, Any], versions: dict[str, str]) -> list[str]:
    """Return why a record fails the check of continuous integration.

    Stricter than :func:`wrong`: the answer must be proven, and the model no larger than recorded.
    """
    found = wrong(instance, record)
    expected = instance.expected
    if expected is None or record.get("error"):
        return found or ["nothing is established about this instance"]
    if not found and record["status"] != expected["status"]:
        found.append(f"{record['status']} instead of {expected['status']}")
    if record.get("engine") == "exhaustive" and record["asked"] == "exhaustive":
        return found  # enumeration has no model
    there = {"highs", "ortools", "numpy"} & set(expected["versions"])
    same = all(versions.get(name) == expected["versions"][name] for name in there)
    return found + [f"larger model: {text}" for text in grown(expected["model"], record, same)]

"""The answer of ``optimize batching`` as text: rows of the comparison, and the next best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlsysim.core import text

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation
    from mlsysim.core.solver.optimization import Optimization

_ROWS = (
    ("P99 of the answer", "performance.response_p99", "ms"),
    ("P99 of the first token", "performance.ttft_p99", "ms"),
    ("time between tokens", "performance.itl", "ms"),
    ("running, of those", "performance.running", ""),
    ("capacity used", "performance.utilization", "1"),
    ("throughput, batches full", "performance.token_capacity", "token/s"),
    ("cost of a million tokens", "macro.usd_per_million_served", "USD"),
    ("carbon of a million tokens", "macro.gco2e_per_million_served", "gCO2e"),
    ("cost", "macro.tco_usd", "USD"),
)


def rows(o: Optimization) -> list[list[str]]:
    """Return the plan as given and the optimum, decision by decision and metric by metric."""
    from mlsysim.core.solver.batching import decisions

    before, after = o.before, o.evaluation
    assert before is not None
    old, new = (decisions(e) for e in (before, after))
    found = [
        ["requests at once", str(old["requests"]), str(new["requests"]), largest(o)],
        ["replicas x tp", *(f"{d['replicas']} x {d['tp']}" for d in (old, new)), ""],
        ["precision", old["precision"], new["precision"], ""],
        ["scheduler", *(scheduler(d) for d in (old, new)), ""],
    ]
    if old["draft"] or new["draft"]:
        found.append(["guesses by", old["draft"] or "nobody", new["draft"] or "nobody", ""])
    if o.objective.name not in [name for _, name, _ in _ROWS]:
        from mlsysim.core.solver.report import changed

        found.append(changed(o.objective.title, o.objective.before, o.objective.value, o.objective.unit))
    return found + [_row(title, name, unit, before, after) for title, name, unit in _ROWS]


def largest(o: Optimization) -> str:
    """Return up to how many requests at once everything still holds."""
    safe = o.decided.get("largest_safe_requests")
    return "" if safe is None else f"up to {safe} safe"


def _row(title: str, name: str, unit: str, before: Evaluation, after: Evaluation) -> list[str]:
    old, new = before.metric(name), after.metric(name)
    change = f"{new / old - 1:+.1%}" if old and old < float("inf") else ""
    return [title, text.amount(old, unit), text.amount(new, unit), change]


def describe(a: dict[str, Any]) -> str:
    """Return the decisions of an alternative in a line."""
    draft = f" guesses by {a['draft']}" if a["draft"] else ""
    return f"{a['requests']} at once, {a['replicas']} x tp {a['tp']}, {a['precision']} {scheduler(a)}{draft}"


def scheduler(a: dict[str, Any]) -> str:
    """Return the scheduler of a service in words."""
    name = str(a["scheduler"]).replace("_", " ")
    return f"{name} by {a['token_budget']}" if a["scheduler"] == "chunked" and a["token_budget"] else name

"""A serving mix as JSON and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlsysim.core import text
from mlsysim.core.evaluation import SCHEMA_VERSION, Json

if TYPE_CHECKING:
    from mlsysim.core.serving_run import Run
    from mlsysim.core.solver.serving_mix import ServingMix

_STATUS = {0: "pass", 2: "fail", 3: "sla_violation"}
# Hours of which each pool is shown, and assumptions that only tell where a machine's numbers are from.
SHOWN_HOURS = 24
MOST_CLASSES = 12


# -- JSON ---------------------------------------------------------------------------------------


def document(o: ServingMix) -> Json:
    """Return the JSON document of ``optimize serving``."""
    b, hours = o.best, max(len(o.hours), 1)
    per_hour = None if b.objective is None else b.objective / hours
    return {
        "schema_version": SCHEMA_VERSION,
        "scenario": o.question.name,
        "status": _STATUS[o.exit_code],
        "solution": {
            "problem": "serving",
            "status": b.status,
            "objective": {
                "name": o.objective,
                "value": per_hour,
                "unit": f"{o.unit}/h",
                "bound": None if b.bound is None or o.clash else b.bound / hours,
                "gap": b.gap,
            },
            "hours": [_hour(o, runs, h) for h, runs in enumerate(o.hours)],
            "conflict": [c.to_dict() for c in o.clash],
            "notes": list(o.question.notes),
            "engine": {
                "name": b.engine,
                "version": b.version,
                "seconds": b.seconds,
                "variables": b.variables,
                "rows": b.rows,
                "nodes": b.nodes,
                "kinds": 0 if o.recipe is None else o.recipe.mix.kinds,
                "considered": 0 if o.recipe is None else o.recipe.considered,
                "verified_by": ", ".join(["physics", *([o.confirmed_by] if o.confirmed_by else [])])
                if o.hours
                else None,
            },
        },
        "assumptions": [
            {"name": a.name, "value": a.value, "unit": a.unit, "source": a.source}
            for a in o.question.assumptions
        ],
    }


def _hour(o: ServingMix, runs: tuple[Run, ...], h: int) -> Json:
    return {
        "hour": h,
        "rate": float(o.question.demand.rate[:, h].sum()),
        "cost_usd": sum(r.cost for r in runs),
        "carbon_kgco2e": sum(r.carbon for r in runs),
        "pools": [_pool(o, r) for r in runs],
    }


def _pool(o: ServingMix, r: Run) -> Json:
    g, s = r.given, r.given.offer.scenario
    return {
        "accelerator": s.hardware.name,
        "precision": s.precision,
        "tp": g.offer.tp,
        "role": g.role,
        "instances": g.instances,
        "accelerators": g.instances * g.offer.tp,
        "batch": int(g.batch.max()),
        "utilization": r.utilization,
        "kv_share": r.cache,
        "link_share": r.links,
        "wait_ms": 1e3 * r.wait,
        "itl_ms": 1e3 * r.mixed_itl,
        "cost_usd": r.cost,
        "carbon_kgco2e": r.carbon,
        "classes": [_class(o, r, k) for k in range(len(g.classes))],
    }


def _class(o: ServingMix, r: Run, k: int) -> Json:
    u = int(r.given.classes[k])
    decodes = r.given.role != "prefill"
    return {
        "name": o.question.demand.names[u],
        "rate": float(r.given.rate[k]),
        "batch": int(r.given.batch[k]),
        "ttft_ms": 1e3 * float(r.ttft[k]) if r.given.role != "decode" else None,
        "itl_ms": 1e3 * float(r.itl[k]) if decodes else None,
        "latency_ms": 1e3 * float(r.response[k]) if r.given.role == "mixed" else None,
    }


# -- text ---------------------------------------------------------------------------------------


def render(o: ServingMix) -> str:
    """Return the mix as text of at most 80 columns."""
    if o.clash:
        return "\n".join(_infeasible(o))
    verdict = "optimal, proven" if o.best.status == "optimal" else "feasible, not proven optimal"
    head = f"{o.question.model}: {requests(o)}"
    lines = [head + verdict.rjust(max(len(verdict) + 2, text.WIDTH - len(head))), ""]
    lines += _one_hour(o) if len(o.hours) == 1 else _many_hours(o)
    lines += ["", *text.wrap(targets(o)), *text.wrap(proof(o))]
    for note in o.question.notes[:5]:
        lines += text.wrap(f"left out: {note}")
    return "\n".join(lines)


def requests(o: ServingMix) -> str:
    """Return the load in words."""
    rate = o.question.demand.rate
    total = rate.sum(axis=0)
    classes = f"{len(rate)} class{'es' if len(rate) != 1 else ''}"
    if len(total) == 1:
        return f"{text.number(float(total[0]))} requests/s in {classes}"
    return f"{text.number(float(total.min()))} to {text.number(float(total.max()))} requests/s, {classes}"


def _money(o: ServingMix, cost: float, carbon: float) -> str:
    return f"{text.amount(cost, 'USD')}/h   {carbon:.3g} kgCO2e/h"


def pools(o: ServingMix, runs: tuple[Run, ...]) -> tuple[list[str], list[list[str]]]:
    """Return the header and rows of the pools of an hour."""
    rows = [
        [
            f"{r.given.instances} x {r.given.offer.scenario.hardware.name}",
            r.given.offer.scenario.precision,
            str(r.given.offer.tp),
            r.given.role,
            _batches(r),
            f"{r.utilization:.1%}",
            f"{1e3 * r.wait:.0f} ms",
            f"{float(r.given.rate.sum()):.3g}/s",
            text.amount(r.cost, "USD"),
        ]
        for r in runs
    ]
    return ["instances", "format", "tp", "role", "batch", "busy", "wait", "requests", "$/h"], rows


def together(o: ServingMix) -> str:
    """Return what all pools cost and emit in an hour, on average."""
    count = len(o.hours)
    cost = sum(r.cost for runs in o.hours for r in runs)
    carbon = sum(r.carbon for runs in o.hours for r in runs)
    if count == 1:
        return f"Together {_money(o, cost, carbon)}"
    started = 0 if o.best.plan is None else int(np.maximum(np.diff(o.best.plan.count, axis=1), 0).sum())
    return f"On average {_money(o, cost / count, carbon / count)}; {started} starts a day"


def _one_hour(o: ServingMix) -> list[str]:
    (runs,) = o.hours
    lines = text.table(*pools(o, runs), right=(2, 4, 5, 6, 7, 8))
    lines += ["", together(o), "", *text.table(*classes(o, runs, MOST_CLASSES), right=(1, 2, 3))]
    left = len(o.question.demand.rate) - MOST_CLASSES
    if left > 0:
        lines.append(f"... and {left} more classes: -o json")
    return [line if len(line) <= text.WIDTH else line[: text.WIDTH - 4] + " ..." for line in lines]


def _batches(r: Run) -> str:
    low, high = int(r.given.batch.min()), int(r.given.batch.max())
    return str(high) if low == high else f"{low}-{high}"


def classes(o: ServingMix, runs: tuple[Run, ...], most: int) -> tuple[list[str], list[list[str]]]:
    """Return the header and rows of so many classes, the busiest first, and where they go."""
    d = o.question.demand
    order = np.argsort(-d.rate[:, 0], kind="stable")
    rows = []
    for u in order[:most]:
        goes = []
        for r in runs:
            at = np.flatnonzero(r.given.classes == u)
            if len(at):
                share = float(r.given.rate[at[0]]) / float(d.rate[u, 0])
                part = "" if share > 1 - 1e-6 else f" {share:.0%}"
                role = "" if r.given.role == "mixed" else f" {r.given.role}"
                goes.append(f"{r.given.offer.scenario.hardware.name} tp {r.given.offer.tp}{role}{part}")
        rows.append(
            [
                d.names[u],
                f"{d.prompt[u]:.0f}",
                f"{d.output[u]:.0f}",
                f"{d.rate[u, 0]:.3g}/s",
                " + ".join(goes),
            ]
        )
    return ["class", "prompt", "output", "rate", "goes to"], rows


def _many_hours(o: ServingMix) -> list[str]:
    named, header, rows = hours(o, SHOWN_HOURS)
    return [*named, "", *text.table(header, rows, right=range(len(header))), "", together(o)]


def hours(o: ServingMix, most: int) -> tuple[list[str], list[str], list[list[str]]]:
    """Return what the letters of pools mean, and the header and rows of so many hours."""
    pools: dict[tuple[str, str, int, str], list[int]] = {}
    for h, runs in enumerate(o.hours):
        for r in runs:
            s = r.given.offer.scenario
            key = (s.hardware.name, s.precision, r.given.offer.tp, r.given.role)
            pools.setdefault(key, [0] * len(o.hours))[h] += r.given.instances
    names = list(pools)
    rows = [
        [
            str(h),
            text.number(float(o.question.demand.rate[:, h].sum())),
            *(str(pools[n][h]) for n in names),
            text.amount(sum(r.cost for r in runs), "USD"),
        ]
        for h, runs in enumerate(o.hours[:most])
    ]
    letters = [chr(ord("A") + k % 26) * (1 + k // 26) for k in range(len(names))]
    told = [
        f"{letter} = {name} {precision} tp {tp}{'' if role == 'mixed' else ' ' + role}"
        for letter, (name, precision, tp, role) in zip(letters, names, strict=True)
    ]
    return told, ["hour", "requests/s", *letters, "$/h"], rows


def targets(o: ServingMix) -> str:
    """Return how much of each target and of the KV pool is used at most."""
    worst: dict[str, float] = {}
    d = o.question.demand
    for runs in o.hours:
        for r in runs:
            u = r.given.classes
            if r.given.role != "decode":
                worst["time to first token"] = max(
                    worst.get("time to first token", 0.0), float((r.ttft / d.ttft[u]).max())
                )
            if r.given.role != "prefill":
                itl = np.maximum(r.itl, r.mixed_itl)
                worst["between tokens"] = max(worst.get("between tokens", 0.0), float((itl / d.itl[u]).max()))
            worst["KV pool"] = max(worst.get("KV pool", 0.0), r.cache)
    told = ", ".join(f"{name} {share:.0%}" for name, share in worst.items() if share > 0)
    spare = f", with {o.question.spare} of each pool down" if o.question.spare else ""
    share = f"{o.question.rules.percentile:.4g}"
    return f"Used of its limit at most, waits at the {share} quantile{spare}: {told}."


def proof(o: ServingMix) -> str:
    """Return objective, bound, gap and engine, as a sentence."""
    b, hours = o.best, max(len(o.hours), 1)
    unit = o.unit

    def shown(x: float | None) -> str:
        return "unknown" if x is None else f"{text.amount(x / hours, unit)}/h"

    gap = "unknown" if b.gap is None else f"{b.gap:.3%}"
    kinds = 0 if o.recipe is None else o.recipe.mix.kinds
    considered = 0 if o.recipe is None else o.recipe.considered
    by = " and ".join(["the physics", *([o.confirmed_by] if o.confirmed_by else [])])
    engine = {"highs": "HiGHS", "scip": "SCIP"}.get(b.engine, b.engine)
    return (
        f"Proof: {o.objective} {shown(b.objective)}, bound {shown(b.bound)}, gap {gap}; {considered} kinds "
        f"of instances, of which {kinds} are not dominated; {engine} {b.version}, {b.seconds:.2f} s; "
        f"confirmed by {by}."
    )


def impossible(o: ServingMix) -> str:
    """Return what cannot hold together, as a sentence."""
    names = " and ".join(c.name for c in o.clash) or "the limits"
    verb = "cannot hold together" if len(o.clash) > 1 else "cannot hold"
    return f"No mix exists: {names} {verb}.  (proven)"


def _infeasible(o: ServingMix) -> list[str]:
    lines = [f"{o.question.model}: {requests(o)}", ""]
    lines += text.wrap(impossible(o))
    for c in o.clash:
        lines += text.wrap(f"{c.name}: {c.limit}", "  ")
    return lines


def markdown(o: ServingMix) -> str:
    """Return the mix as Markdown."""
    from mlsysim.report import markdown as render_as

    return render_as(o)

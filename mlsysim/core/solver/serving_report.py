"""A serving mix as JSON and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlsysim.core import text
from mlsysim.core.evaluation import SCHEMA_VERSION, Json

if TYPE_CHECKING:
    from mlsysim.core.serving_run import Run
    from mlsysim.core.solver.serving_mix import ServingMix

_STATUS = {0: "pass", 2: "fail", 3: "sla_violation"}
# Hours of which each pool is shown, and assumptions that only tell where a machine's numbers are from.
SHOWN_HOURS = 24


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
    head = f"{o.question.model}: {_requests(o)}"
    lines = [head + verdict.rjust(max(len(verdict) + 2, text.WIDTH - len(head))), ""]
    lines += _one_hour(o) if len(o.hours) == 1 else _many_hours(o)
    lines += ["", *text.wrap(_targets(o)), *text.wrap(_proof(o))]
    for note in o.question.notes[:5]:
        lines += text.wrap(f"left out: {note}")
    return "\n".join(lines)


def _requests(o: ServingMix) -> str:
    rate = o.question.demand.rate
    total = rate.sum(axis=0)
    classes = f"{len(rate)} class{'es' if len(rate) != 1 else ''}"
    if len(total) == 1:
        return f"{text.number(float(total[0]))} requests/s in {classes}"
    return f"{text.number(float(total.min()))} to {text.number(float(total.max()))} requests/s, {classes}"


def _money(o: ServingMix, cost: float, carbon: float) -> str:
    return f"{text.amount(cost, 'USD')}/h   {carbon:.3g} kgCO2e/h"


def _one_hour(o: ServingMix) -> list[str]:
    (runs,) = o.hours
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
    lines = text.table(
        ["instances", "format", "tp", "role", "batch", "busy", "wait", "requests", "$/h"],
        rows,
        right=(2, 4, 5, 6, 7, 8),
    )
    lines += ["", f"Together {_money(o, sum(r.cost for r in runs), sum(r.carbon for r in runs))}"]
    return [*lines, "", *_classes(o, runs)]


def _batches(r: Run) -> str:
    low, high = int(r.given.batch.min()), int(r.given.batch.max())
    return str(high) if low == high else f"{low}-{high}"


def _classes(o: ServingMix, runs: tuple[Run, ...], most: int = 12) -> list[str]:
    """Return where the classes go, the busiest first."""
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
    lines = text.table(["class", "prompt", "output", "rate", "goes to"], rows, right=(1, 2, 3))
    if len(order) > most:
        lines.append(f"... and {len(order) - most} more classes: -o json")
    return [line if len(line) <= text.WIDTH else line[: text.WIDTH - 4] + " ..." for line in lines]


def _many_hours(o: ServingMix) -> list[str]:
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
        for h, runs in enumerate(o.hours[:SHOWN_HOURS])
    ]
    letters = [chr(ord("A") + k % 26) * (1 + k // 26) for k in range(len(names))]
    lines = [
        f"{letter} = {name} {precision} tp {tp}{'' if role == 'mixed' else ' ' + role}"
        for letter, (name, precision, tp, role) in zip(letters, names, strict=True)
    ]
    lines += ["", *text.table(["hour", "requests/s", *letters, "$/h"], rows, right=range(len(names) + 3))]
    cost = sum(r.cost for runs in o.hours for r in runs)
    carbon = sum(r.carbon for runs in o.hours for r in runs)
    started = 0 if o.best.plan is None else int(np.maximum(np.diff(o.best.plan.count, axis=1), 0).sum())
    lines += [
        "",
        f"On average {_money(o, cost / len(o.hours), carbon / len(o.hours))}; {started} starts a day",
    ]
    return lines


def _targets(o: ServingMix) -> str:
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


def _proof(o: ServingMix) -> str:
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


def _infeasible(o: ServingMix) -> list[str]:
    names = " and ".join(c.name for c in o.clash) or "the limits"
    verb = "cannot hold together" if len(o.clash) > 1 else "cannot hold"
    lines = [f"{o.question.model}: {_requests(o)}", ""]
    lines += text.wrap(f"No mix exists: {names} {verb}.  (proven)")
    for c in o.clash:
        lines += text.wrap(f"{c.name}: {c.limit}", "  ")
    return lines


def markdown(o: Any) -> str:
    """Return the mix as Markdown."""
    return f"## serving: {o.best.status}\n\n```\n{render(o)}\n```"

"""An optimization as text: the answer beside the plan as given, why, and the proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlsysim.core import text, units

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation
    from mlsysim.core.solver.optimization import Optimization
    from mlsysim.core.solver.search import Conflict

_ROWS = (
    ("step time", "performance.latency", "ms"),
    ("MFU", "performance.mfu", "1"),
    ("memory", "feasibility.memory", "GiB"),
    ("cost", "macro.tco_usd", "USD"),
    ("energy", "macro.energy_kwh", "kWh"),
    ("carbon", "macro.carbon_tco2e", "tCO2e"),
    ("water", "macro.water_l", "L"),
)


_ENGINES = {"highs": "HiGHS", "exhaustive": "enumeration"}


def render(o: Optimization) -> str:
    """Return the answer, its proof, and the scorecard, in lines of at most 80 columns."""
    e = o.evaluation
    if o.status == "infeasible":
        return "\n".join([*_infeasible(o), "", e.scorecard()])
    verdict = "optimal, proven" if o.status == "optimal" else "feasible, not proven optimal"
    s = e.scenario
    head = f"{s.model.name} {s.settings.phase} on {s.accelerators} x {s.hardware.name}"
    lines = [head + verdict.rjust(max(len(verdict) + 2, text.WIDTH - len(head))), ""]
    lines += _comparison(o)
    lines.append("")
    for paragraph in (_dropped(o), _because(o), _proof(o), *o.notes):
        if paragraph:
            lines += text.wrap(paragraph)
    if o.alternatives:
        lines += ["", "Next best:", *_alternatives(o)]
    return "\n".join([*lines, "", e.scorecard()])


def _comparison(o: Optimization) -> list[str]:
    before, after = o.before, o.evaluation
    rows: list[list[str]] = []
    if o.problem_name == "parallelism":
        rows += _layout_rows(before, after)
    else:
        rows.append(
            ["region", before.scenario.region.name if before else "-", after.scenario.region.name, ""]
        )
        old, new = o.objective.before, o.objective.value
        change = f"{new / old - 1:+.1%}" if old and new is not None else ""
        rows.append([o.objective.title, text.amount(old, "USD"), text.amount(new, "USD"), change])
    for title, name, unit in _ROWS:
        if o.problem_name == "placement" and not name.startswith("macro."):
            continue
        new, old = after.metric(name), before.metric(name) if before else None
        change = "" if not old or name == "feasibility.memory" else f"{new / old - 1:+.1%}"
        if name == "feasibility.memory":
            change = f"of {text.amount(after.metric('feasibility.memory_capacity'), 'GiB')}"
        rows.append([title, text.amount(old, unit), text.amount(new, unit), change])
    label = "plan as given" if before and before.scenario.settings.fixed else "by rule"
    return text.table(
        ["", label if o.problem_name == "parallelism" else "plan as given", "optimum", ""],
        rows,
        right=(1, 2, 3),
        gap=3,
    )


def _layout_rows(before: Evaluation | None, after: Evaluation) -> list[list[str]]:
    old, new = (before.layout if before else None), after.layout
    assert new is not None

    def both(title: str, *names: str) -> list[str]:
        def show(layout: object) -> str:
            return (
                "-"
                if layout is None
                else " ".join(
                    {True: "yes", False: "no"}.get(getattr(layout, n), str(getattr(layout, n)))
                    if isinstance(getattr(layout, n), bool)
                    else str(getattr(layout, n))
                    for n in names
                )
            )

        return [title, show(old), show(new), ""]

    rows = [both("tp cp pp dp", "tp", "cp", "pp", "dp")]
    if max(new.ep, old.ep if old else 1) > 1:
        rows.append(both("ep", "ep"))
    return [
        *rows,
        both("microbatch", "microbatch_size"),
        both("interleave", "interleave"),
        both("recompute", "recompute"),
        both("ZeRO stage", "zero_stage"),
        both("sequence parallel", "sequence_parallel"),
    ]


def needs(c: Conflict) -> str:
    """Return what a member of a conflict asks for, and the least that it takes."""
    if c.least is None:
        return c.limit
    return f"{c.limit}; at least {text.amount(c.least, c.unit)} needed, {text.amount(c.supply, c.unit)} there"


def _dropped(o: Optimization) -> str:
    if not o.dropped:
        return ""
    names = "; ".join(f"{c.name} ({needs(c)})" for c in o.conflict) or "the plan's limits"
    together = " together" if len(o.conflict) > len(o.dropped) else ""
    given_up = "it" if len(o.dropped) == 1 else "them"
    return (
        f"No plan keeps every limit: {names} cannot hold{together} (proven). "
        f"This is the best plan without {given_up}."
    )


def _because(o: Optimization) -> str:
    if o.problem_name != "parallelism":
        return ""
    binding = [w for w in o.evaluation.walls if w.status == "binding" and not w.by_construction]
    words = [f"{w.wall.name} ({1 - (w.headroom or 0):.0%})" for w in binding]
    time = f"the time goes to {o.evaluation.bottleneck}"
    if not words:
        return f"Because: {time}."
    return f"Because: {' and '.join(words)} bind{'s' if len(words) == 1 else ''}; {time}."


def _proof(o: Optimization) -> str:
    out = o.solved.outcome
    value = text.amount(
        o.objective.value and units.from_base(o.objective.value, o.objective.unit), o.objective.unit
    )
    bound = text.amount(
        o.objective.bound and units.from_base(o.objective.bound, o.objective.unit), o.objective.unit
    )
    gap = "unknown" if o.objective.gap is None else f"{o.objective.gap:.2%}"
    seconds = out.seconds + o.solved.presolve_seconds
    return (
        f"Proof: {value}, bound {bound}, gap {gap}; "
        f"{o.space_size:,.0f} {'combinations' if o.problem_name == 'parallelism' else 'regions'}, "
        f"of which presolve leaves {o.solved.left:,.0f} ({out.variables} variables, {out.rows} rows); "
        f"{_ENGINES.get(out.engine, out.engine)} {out.version}, {seconds:.2f} s; confirmed by eval."
    )


def _alternatives(o: Optimization) -> list[str]:
    rows = []
    for rank, a in enumerate(o.alternatives, start=2):
        what = a.get("region") or (
            f"tp {a['tp']} cp {a['cp']} pp {a['pp']} dp {a['dp']} "
            f"mb {a['microbatch_size']} v {a['interleave']} "
            f"{a['recompute']} zero {a['zero_stage']}"
        )
        rows.append([str(rank), what, text.amount(a["objective"], a["unit"])])
    return text.table(["", "", ""], rows, right=(2,))[1:]


def _infeasible(o: Optimization) -> list[str]:
    names = " and ".join(c.name for c in o.conflict)
    if len(o.conflict) > 1:
        first = f"No plan exists: {names} cannot hold together.  (proven)"
    elif names:
        first = f"No plan exists: {names} cannot hold.  (proven)"
    else:
        first = "No plan exists: no layout is possible at all.  (proven)"
    return [
        *text.wrap(first),
        *(line for c in o.conflict for line in text.wrap(f"{c.name}: {needs(c)}", "  ")),
    ]

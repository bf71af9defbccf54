"""An optimization as text: the answer beside the plan as given, why, and the proof."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlsysim.core import text, units
from mlsysim.core.solver import batching_report
from mlsysim.core.solver.decided import briefly

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation
    from mlsysim.core.solver.optimization import Optimization
    from mlsysim.core.solver.search import Conflict
    from mlsysim.core.solver.ways_out import Way

_ROWS = (
    ("step time", "performance.latency", "ms"),
    ("MFU", "performance.mfu", "1"),
    ("memory", "feasibility.memory", "GiB"),
    ("cost", "macro.tco_usd", "USD"),
    ("energy", "macro.energy_kwh", "kWh"),
    ("carbon", "macro.carbon_tco2e", "tCO2e"),
    ("water", "macro.water_l", "L"),
)


_KINDS = {"parallelism": "layouts", "batching": "deployments"}
_ENGINES = {"highs": "HiGHS", "cp-sat": "CP-SAT", "exhaustive": "enumeration"}


def render(o: Optimization) -> str:
    """Return the answer, its proof, and the scorecard, in lines of at most 80 columns."""
    e = o.evaluation
    if o.status == "infeasible":
        return "\n".join([*_infeasible(o), "", e.scorecard()])
    verdict = "optimal, proven" if o.status == "optimal" else "feasible, not proven optimal"
    s = e.scenario
    head = f"{s.model.name} {s.settings.phase} on {s.accelerators} x {s.hardware.name}"
    lines = [head + verdict.rjust(max(len(verdict) + 2, text.WIDTH - len(head))), ""]
    lines += text.table(*comparison(o), right=(1, 2, 3), gap=3)
    lines.append("")
    for paragraph in (dropped(o), reasons(o), o.robust.sentence if o.robust else "", proof(o), *o.notes):
        if paragraph:
            lines += text.wrap(paragraph)
    lines += ways_out(o.ways)
    lines += _walls(o)
    if o.tradeoff is not None:
        from mlsysim.core.solver.tradeoff_text import lines as weighed

        lines += weighed(o.tradeoff)
    if o.alternatives:
        lines += ["", "Next best:", *text.table(["", "", ""], alternatives(o), right=(2,))[1:]]
    from mlsysim.core import scorecard

    return "\n".join([*lines, "", scorecard.render(e, told=o.problem_name == "parallelism")])


def comparison(o: Optimization) -> tuple[list[str], list[list[str]]]:
    """Return the header and rows of the answer beside the plan as given."""
    before, after = o.compared or o.before, o.evaluation
    if o.problem_name == "batching":
        return ["", _label(o), "optimum", ""], batching_report.rows(o)
    rows: list[list[str]] = []
    if o.problem_name == "parallelism":
        rows += _layout_rows(before, after)
    else:
        rows.append(
            ["region", before.scenario.region.name if before else "-", after.scenario.region.name, ""]
        )
    if not any(o.objective.name == name or o.objective.title == title for title, name, _ in _ROWS):
        old = o.compared_value if o.compared else o.objective.before
        rows.append(changed(o.objective.title, old, o.objective.value, o.objective.unit))
    for title, name, unit in _ROWS:
        if o.problem_name == "placement" and not name.startswith("macro."):
            continue
        new, old = after.metric(name), before.metric(name) if before else None
        change = "" if not old or name == "feasibility.memory" else f"{new / old - 1:+.1%}"
        if name == "feasibility.memory":
            change = f"of {text.amount(after.metric('feasibility.memory_capacity'), 'GiB')}"
        rows.append([title, text.amount(old, unit), text.amount(new, unit), change])
    if o.tradeoff is not None and o.tradeoff.chosen.water_cost:
        old_cost = next((b.choice.water_cost for b in o.tradeoff.baselines if b.name == "now"), None)
        rows.append(changed("water, at its price", old_cost, o.tradeoff.chosen.water_cost, "USD"))
    return ["", _label(o), "optimum", ""], rows


def _label(o: Optimization) -> str:
    """Return what stands over the column beside the optimum."""
    if o.compared is not None:
        return "yours"
    if o.problem_name != "parallelism":
        return "plan as given"
    return "plan as given" if o.before and o.before.scenario.settings.fixed else "by rule"


def changed(title: str, old: float | None, new: float | None, unit: str) -> list[str]:
    """Return a row of two amounts in base units and how far they are apart."""
    change = f"{new / old - 1:+.1%}" if old and new is not None else ""
    shown = [text.amount(None if x is None else units.from_base(x, unit), unit) for x in (old, new)]
    return [title, *shown, change]


def _layout_rows(before: Evaluation | None, after: Evaluation) -> list[list[str]]:
    """Return the decisions of both, those that matter to one of them."""
    both = [{} if e is None else _decisions(e) for e in (before, after)]
    usual = {
        "accelerators": None,
        "precision": None,
        "ep": "1",
        "end stages": "even",
        "hidden traffic": None,
        "optimizer": "on the accelerator",
        "checkpoint every": None,
    }
    rows = []
    for title in both[1]:
        old, new = (d.get(title, "-") for d in both)
        if title not in usual or old != new or (usual[title] is not None and new != usual[title]):
            rows.append([title, old, new, ""])
    return rows


def _decisions(e: Evaluation) -> dict[str, str]:
    """Return the decisions of an evaluated layout, in words."""
    c, s = e.layout, e.scenario
    if c is None:
        return {}
    hidden = {
        "gradients": c.overlap_gradients,
        "tensor": c.overlap_tensor,
        "experts": c.overlap_experts,
        "pipeline": c.overlap_pipeline,
    }
    again = f" {c.recompute_layers}" if c.recompute_layers else ""
    even = c.pp == 1 or c.first_stage_layers == c.last_stage_layers
    interval = s.extras["checkpoint"].interval if "checkpoint" in s.extras else None
    return {
        "accelerators": f"{s.accelerators}",
        "precision": s.precision,
        "tp cp pp dp": f"{c.tp} {c.cp} {c.pp} {c.dp}",
        "ep": str(c.ep),
        "microbatch": str(c.microbatch_size),
        "interleave": str(c.interleave),
        "end stages": "even" if even else f"{c.first_stage_layers} and {c.last_stage_layers} layers",
        "recompute": c.recompute + again,
        "ZeRO stage": str(c.zero_stage),
        "sequence parallel": "yes" if c.sequence_parallel else "no",
        "hidden traffic": ", ".join(name for name, on in hidden.items() if on) or "none",
        "optimizer": "on the host" if c.offload_optimizer else "on the accelerator",
        "checkpoint every": "-" if interval is None else text.amount(float(interval), "s"),
    }


def _walls(o: Optimization) -> list[str]:
    """Return the walls of the plan to compare beside those of the optimum."""
    if o.compared is None:
        return []
    rows = [
        [
            str(ours.wall.number),
            ours.wall.name,
            f"{text.amount(theirs.demand, theirs.unit)} {theirs.status}",
            f"{text.amount(ours.demand, ours.unit)} {ours.status}",
        ]
        for theirs, ours in zip(o.compared.walls, o.evaluation.walls, strict=True)
        if ours.demand is not None and theirs.demand is not None
    ]
    return ["", *text.table(["#", "wall", "yours", "optimum"], rows, right=(0, 2, 3), gap=2)]


def needs(c: Conflict) -> str:
    """Return what a member of a conflict asks for, and the least that it takes."""
    if c.least is None:
        return c.limit
    if c.supply is not None and c.least < c.supply and c.wall is None:
        return f"{c.limit}; no more than {text.amount(c.least, c.unit)} is possible"
    return f"{c.limit}; at least {text.amount(c.least, c.unit)} needed, {text.amount(c.supply, c.unit)} there"


def dropped(o: Optimization) -> str:
    """Return which limits of the plan cannot hold; empty where all do."""
    if not o.dropped:
        return ""
    names = "; ".join(f"{c.name} ({needs(c)})" for c in o.conflict) or "the plan's limits"
    together = " together" if len(o.conflict) > len(o.dropped) else ""
    given_up = "it" if len(o.dropped) == 1 else "them"
    return (
        f"No plan keeps every limit: {names} cannot hold{together} (proven). "
        f"This is the best plan without {given_up}."
    )


def ways_out(ways: Sequence[Way]) -> list[str]:
    """Return ways out of a conflict, one a line: what changes, and what the plan is like then."""
    if not ways:
        return []
    rows = [
        [w.title, text.amount(w.evaluation.metric("performance.latency"), "ms") + " a step", _cost(w)]
        for w in ways
    ]
    lines = text.table(["", "", ""], rows, right=(1, 2))[1:]
    if max(map(len, lines)) > text.WIDTH - 2:
        lines = [line for row in rows for line in text.wrap(f"{row[0]}: {row[1]}, {row[2]}", "  ")]
    return ["Ways out, each tried:", *(line if line.startswith("  ") else f"  {line}" for line in lines)]


def _cost(w: Way) -> str:
    return text.amount(w.evaluation.metric("macro.tco_usd"), "USD")


def reasons(o: Optimization) -> str:
    """Return why the answer is what it is; empty where there is nothing to say."""
    if o.problem_name != "parallelism":
        return ""
    # what would change the answer takes more solving: it has a command of its own
    return "Because: " + "; ".join(b.text for b in o.because) + ". What would change it: mlsysim explain."


def proof(o: Optimization) -> str:
    """Return value, bound, gap and engine, as a sentence."""
    out = o.solved.outcome
    value = text.amount(
        o.objective.value and units.from_base(o.objective.value, o.objective.unit), o.objective.unit
    )
    bound = text.amount(
        o.objective.bound and units.from_base(o.objective.bound, o.objective.unit), o.objective.unit
    )
    gap = "unknown" if o.objective.gap is None else f"{o.objective.gap:.2%}"
    seconds = out.seconds + o.solved.presolve_seconds
    confirmed = " and ".join(_ENGINES.get(name, name) for name in o.verified_by)
    return (
        f"Proof: {value}, bound {bound}, gap {gap}; "
        f"{o.space_size:,.0f} {_KINDS.get(o.problem_name, 'regions')}, "
        f"of which presolve leaves {o.solved.left:,.0f} ({out.variables} variables, {out.rows} rows); "
        f"{_ENGINES.get(out.engine, out.engine)} {out.version}, {seconds:.2f} s; confirmed by {confirmed}."
    )


def alternatives(o: Optimization) -> list[list[str]]:
    """Return the next best answers as rows: rank, decisions, objective."""
    rows = []
    for rank, a in enumerate(o.alternatives, start=2):
        batching = o.problem_name == "batching"
        what = batching_report.describe(a) if batching else a.get("region") or briefly(a)
        rows.append([str(rank), what, text.amount(a["objective"], a["unit"])])
    return rows


def impossible(o: Optimization) -> str:
    """Return what cannot hold together, as a sentence."""
    names = " and ".join(c.name for c in o.conflict)
    if len(o.conflict) > 1:
        return f"No plan exists: {names} cannot hold together.  (proven)"
    if names:
        return f"No plan exists: {names} cannot hold.  (proven)"
    return "No plan exists: no layout is possible at all.  (proven)"


def _infeasible(o: Optimization) -> list[str]:
    return [
        *text.wrap(impossible(o)),
        *(line for c in o.conflict for line in text.wrap(f"{c.name}: {needs(c)}", "  ")),
        *(line for note in o.notes for line in text.wrap(note)),
        *ways_out(o.ways),
    ]

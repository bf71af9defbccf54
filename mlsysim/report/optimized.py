"""The report of an optimization: the answer beside the plan, its proof, why, and what else there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlsysim.core import text
from mlsysim.core.solver import report as told
from mlsysim.report import evaluated
from mlsysim.report.blocks import Block, Items, Plot, Report, Section, Table, Text, Verbatim
from mlsysim.viz.kinds import kinds

if TYPE_CHECKING:
    from mlsysim.core.solver.optimization import Optimization

VERDICTS = {
    "optimal": "optimal, proven",
    "feasible": "feasible, not proven optimal",
    "infeasible": "infeasible, proven",
}
WEIGHED = {
    "breakpoints": "Cost and carbon of the best answer over the carbon tax",
    "pareto": "Plans of which none beats another",
}


def report(o: Optimization) -> Report:
    """Return the report of an optimization."""
    e = o.evaluation
    verdict = VERDICTS[o.status] + ("" if not o.dropped else "; limits of the plan violated")
    title = f"{o.problem_name.capitalize()}: {e.scenario.name}"
    own = [_answer(o), _conflict(o), _proof(o), _weighed(o), _next(o), _handed_over(o)]
    found = [s for s in own if s.blocks]
    found += evaluated.sections(e)
    return Report(title, verdict, o.exit_code == 0, evaluated.about(e), found)


def _answer(o: Optimization) -> Section:
    if o.status == "infeasible":
        return Section("Answer", [Text(told.impossible(o)), *map(Text, o.notes)])
    header, rows = told.comparison(o)
    blocks: list[Block] = [Table(header, rows, "The answer beside the plan", right=(1, 2, 3))]
    paragraphs = (told.dropped(o), told.reasons(o), o.robust.sentence if o.robust else "", *o.notes)
    return Section("Answer", [*blocks, *(Text(p) for p in paragraphs if p)])


def _conflict(o: Optimization) -> Section:
    blocks: list[Block] = [Items([f"{c.name}: {told.needs(c)}" for c in o.conflict])] if o.conflict else []
    if o.ways:
        rows = [
            (
                w.title,
                text.amount(w.evaluation.metric("performance.latency"), "ms"),
                text.amount(w.evaluation.metric("macro.tco_usd"), "USD"),
            )
            for w in o.ways
        ]
        blocks.append(Table(("way out", "step", "cost"), rows, "Ways out, each tried", right=(1, 2)))
    return Section("Conflict", blocks)


def _proof(o: Optimization) -> Section:
    out, value = o.solved.outcome, o.objective.to_dict()
    rows = [
        ("objective", f"{o.objective.title}: {text.amount(value['value'], value['unit'])}"),
        ("bound", f"{text.amount(value['bound'], value['unit'])}: no plan is better than that"),
        ("gap", "unknown" if o.objective.gap is None else f"{o.objective.gap:.2%}"),
        ("engine", f"{out.engine} {out.version}, {out.seconds + o.solved.presolve_seconds:.2f} s"),
        ("searched", f"{o.space_size:,.0f} in all, {o.solved.left:,.0f} after presolve"),
        ("model", f"{out.variables:,} variables, {out.rows:,} rows"),
        ("confirmed by", ", ".join(o.verified_by) or "-"),
    ]
    blocks: list[Block] = [Table(("proof", ""), rows, "What the solver proved")]
    return Section("Proof", blocks if o.decided else [])


def _weighed(o: Optimization) -> Section:
    if o.tradeoff is None:
        return Section("Compared", [])
    from mlsysim.core.solver import tradeoff_text

    blocks: list[Block] = [
        Table(header, rows, "Compared", right) for header, rows, right in tradeoff_text.tables(o.tradeoff)
    ]
    blocks += [Text(line) for line in tradeoff_text.sentences(o.tradeoff)]
    drawn = kinds(o)
    blocks += [Plot(drawn[name], words) for name, words in WEIGHED.items() if name in drawn]
    if o.problem_name == "placement" and o.decided:
        from mlsysim.viz import placed

        blocks.append(Plot(lambda: placed.placement_map(o), "Map of the regions"))
    return Section("Compared", blocks)


def _next(o: Optimization) -> Section:
    rows = told.alternatives(o)
    blocks = [Table(("rank", "decisions", o.objective.title), rows, "The next best", right=(2,))]
    return Section("Next best", blocks if rows else [])


def _handed_over(o: Optimization) -> Section:
    if o.handover is None:
        return Section("Launch settings", [])
    h = o.handover
    blocks: list[Block] = [Verbatim(h.text.rstrip("\n"), "as launch settings", copied=True)]
    return Section("Launch settings", [*blocks, *map(Text, h.notes)], folded=True)

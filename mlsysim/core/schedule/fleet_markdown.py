"""A placed plan as Markdown, for pull requests and issues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlsysim.core.markdown import table
from mlsysim.core.schedule import scorecard
from mlsysim.core.schedule.gantt import gantt, legend
from mlsysim.core.schedule.weighed import pareto_table, proof_of_pareto, proof_of_taxes, taxes_table

if TYPE_CHECKING:
    from mlsysim.core.schedule.placement import Placement


def render(p: Placement) -> str:
    """Return the answer as Markdown."""
    verdict = p.status.replace("_", " ") if p.proof is None else scorecard.VERDICTS[p.proof.status]
    parts = [f"## {p.scenario.name}: {verdict}"]
    parts += ["\n".join(scorecard.infeasible(p)).strip()] if scorecard.infeasible(p) else []
    if p.answer is not None:
        parts += [
            table(*scorecard.compared(p)),
            table(*scorecard.jobs(p, p.answer)),
            "```\n"
            + "\n".join([*gantt(p.answer, p.scenario.clock), *legend(p.answer, p.answer.fleet.places.names)])
            + "\n```",
            table(*scorecard.regions(p.answer)),
        ]
        parts += [line for line in scorecard.limits(p) if line]
    if p.prices:
        parts.append(
            table(("a little more of", "saves", "it binds in"), [scorecard.priced(x) for x in p.prices])
        )
    if p.taxes is not None:
        parts += [table(*taxes_table(p.taxes)), proof_of_taxes(p.taxes)]
    if p.pareto is not None:
        parts += [table(*pareto_table(p.pareto)), proof_of_pareto(p.pareto)]
    if scorecard.proof(p):
        parts.append(scorecard.proof(p))
    return "\n\n".join([*parts, *p.notes])

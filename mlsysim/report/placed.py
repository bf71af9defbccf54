"""The report of a plan with several jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlsysim.core.schedule import scorecard
from mlsysim.core.schedule.gantt import gantt, legend
from mlsysim.core.schedule.weighed import pareto_table, proof_of_pareto, proof_of_taxes, taxes_table
from mlsysim.report.blocks import Block, Items, Plot, Report, Section, Table, Text, Verbatim
from mlsysim.report.evaluated import plan_section
from mlsysim.viz.kinds import kinds

if TYPE_CHECKING:
    from mlsysim.core.schedule.placement import Placement

TOLD = {
    "gantt": "Gantt: which job runs where and when",
    "map": "Map of the regions in which jobs run",
    "breakpoints": "Cost and carbon of the best schedule over the carbon tax",
    "pareto": "Schedules of which none beats another",
}


def report(p: Placement) -> Report:
    """Return the report of a placed plan."""
    verdict = p.status.replace("_", " ") if p.proof is None else scorecard.VERDICTS[p.proof.status]
    found = [
        _answer(p),
        _drawn(p),
        _jobs(p),
        _weighed(p),
        _proof(p),
        _plots(p),
        _schedule(p),
        _assumptions(p),
    ]
    found.append(plan_section(p.scenario.plan.to_dict(), "Plan as given"))
    lines = [scorecard.what(p)]
    return Report(p.scenario.name, verdict, p.status == "pass", lines, [s for s in found if s.blocks])


def _answer(p: Placement) -> Section:
    blocks: list[Block] = []
    if why := scorecard.infeasible(p):
        blocks.append(Text(" ".join(" ".join(why).split())))
    if p.answer is not None:
        if p.dropped:
            blocks.append(
                Text("No schedule keeps every limit of this plan. This is the best one without them.")
            )
        header, rows = scorecard.compared(p)
        blocks.append(Table(header, rows, "The answer beside others", right=range(1, len(header))))
        blocks += [Text(line) for line in scorecard.limits(p) if line]
    return Section("Answer", blocks)


def _drawn(p: Placement) -> Section:
    """Return the schedule in characters, for where there are no plots."""
    if p.answer is None:
        return Section("Over time", [])
    lines = [*gantt(p.answer, p.scenario.clock), *legend(p.answer, p.answer.fleet.places.names)]
    return Section("Over time", [Verbatim("\n".join(lines), "one line a job, one letter a region")])


def _jobs(p: Placement) -> Section:
    if p.answer is None:
        return Section("Jobs", [])
    return Section(
        "Jobs and regions",
        [
            Table(*scorecard.jobs(p, p.answer), "Jobs", right=(4, 5)),
            Table(*scorecard.regions(p.answer), "Regions", right=(2, 3, 4)),
        ],
    )


def _weighed(p: Placement) -> Section:
    blocks: list[Block] = []
    if p.prices:
        rows = [scorecard.priced(x) for x in p.prices]
        blocks.append(
            Table(("a little more of", "saves", "it binds in"), rows, "What limits are worth", right=(1,))
        )
    if p.taxes is not None:
        blocks += [Table(*taxes_table(p.taxes), "Best schedules by carbon tax", right=(0, 1, 2))]
        blocks += [Text(proof_of_taxes(p.taxes))]
    if p.pareto is not None:
        blocks += [
            Table(*pareto_table(p.pareto), "Frontier", right=(0, 1, 2)),
            Text(proof_of_pareto(p.pareto)),
        ]
    return Section("Weighed", blocks)


def _proof(p: Placement) -> Section:
    told = [scorecard.proof(p), *p.notes]
    return Section("Proof" if p.proof is not None else "Notes", [Text(line) for line in told if line])


def _plots(p: Placement) -> Section:
    if p.answer is None:
        return Section("Plots", [], brief=False)
    from mlsysim.viz.placed import located

    drawn = kinds(p)
    if not located(p):
        drawn.pop("map", None)
    return Section("Plots", [Plot(drawn[name], TOLD[name]) for name in drawn], brief=False)


def _schedule(p: Placement) -> Section:
    """Return where and when each job runs, to copy."""
    if p.answer is None:
        return Section("Schedule", [])
    import yaml

    from mlsysim.core.schedule.document import schedule

    dumped = yaml.safe_dump(schedule(p, p.answer), sort_keys=False, allow_unicode=True).rstrip()
    return Section(
        "Schedule", [Verbatim(dumped, "schedule.yaml", "yaml", copied=True)], brief=False, folded=True
    )


def _assumptions(p: Placement) -> Section:
    lines = [
        f"{a.name}: {a.value} {'' if a.unit == '1' else a.unit} ({a.source})" for a in p.scenario.assumptions
    ]
    return Section("Assumptions", [Items(lines)] if lines else [], brief=False, folded=True)

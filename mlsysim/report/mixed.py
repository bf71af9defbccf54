"""The report of a mix of accelerators that serves requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlsysim.core import text
from mlsysim.core.solver import serving_report as told
from mlsysim.report.blocks import Block, Items, Plot, Report, Section, Table, Text, Verbatim
from mlsysim.report.optimized import VERDICTS
from mlsysim.viz.kinds import kinds

if TYPE_CHECKING:
    from mlsysim.core.solver.serving_mix import ServingMix


def report(o: ServingMix) -> Report:
    """Return the report of a serving mix."""
    lines = [f"{o.question.model}: {told.requests(o)}"]
    found = [_answer(o), _proof(o), _plots(o), _pools(o), _assumptions(o)]
    return Report(
        f"Serving: {o.question.name}",
        VERDICTS[o.best.status],
        o.exit_code == 0,
        lines,
        [s for s in found if s.blocks],
    )


def _answer(o: ServingMix) -> Section:
    if o.clash:
        blocks: list[Block] = [Text(told.impossible(o)), Items([f"{c.name}: {c.limit}" for c in o.clash])]
        return Section("Answer", blocks)
    if len(o.hours) == 1:
        (runs,) = o.hours
        header, rows = told.pools(o, runs)
        blocks = [Table(header, rows, "Pools", right=(2, 4, 5, 6, 7, 8))]
        header, rows = told.classes(o, runs, most=len(o.question.demand.rate))
        blocks.append(Table(header, rows, "Classes of requests", right=(1, 2, 3)))
    else:
        letters, header, rows = told.hours(o, most=len(o.hours))
        blocks = [Table(header, rows, "Instances by the hour", right=range(len(header))), Items(letters)]
    blocks += [Text(told.together(o)), Text(told.targets(o))]
    blocks += [Text(f"left out: {note}") for note in o.question.notes]
    return Section("Answer", blocks)


def _proof(o: ServingMix) -> Section:
    return Section("Proof", [] if o.clash else [Text(told.proof(o))])


def _plots(o: ServingMix) -> Section:
    words = "Bars: accelerators of each pool"
    return Section("Plots", [Plot(draw, words) for draw in kinds(o).values()], brief=False)


def _pools(o: ServingMix) -> Section:
    """Return the pools of each hour, to copy."""
    import yaml

    hours = o.to_dict()["solution"]["hours"]
    if not hours:
        return Section("Mix", [])
    dumped = yaml.safe_dump(hours, sort_keys=False, allow_unicode=True).rstrip()
    return Section("Mix", [Verbatim(dumped, "mix.yaml", "yaml", copied=True)], brief=False, folded=True)


def _assumptions(o: ServingMix) -> Section:
    rows = []
    for a in o.question.assumptions:
        unit = "" if a.unit in ("", "1") else f" {a.unit}"
        value = text.number(a.value) if isinstance(a.value, int | float) else str(a.value)
        rows.append((a.name, f"{value}{unit}", a.source))
    table = Table(("assumed", "value", "source"), rows, "What was taken where the plan is silent", right=(1,))
    return Section("Assumptions", [table] if rows else [], brief=False, folded=True)

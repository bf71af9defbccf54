"""The report of an evaluation: lenses, walls, assertions, plots, the plan, and where numbers come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlsysim.core import text, units
from mlsysim.core.metrics import METRICS
from mlsysim.core.registry import sources
from mlsysim.core.scorecard import lenses
from mlsysim.core.zoo import citation
from mlsysim.report.blocks import Block, Items, Plot, Report, Section, Table, Text, Verbatim
from mlsysim.viz.kinds import kinds

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation, Json, Reading

TOLD = {
    "walls": "Bars: the share of each wall's supply that is used",
    "roofline": "Roofline of the accelerator with the operators of the workload",
    "memory": "Waterfall: what the fullest accelerator holds, and its capacity",
    "time": "Waterfall: what the time goes to",
    "timeline": "Pipeline: which stage works on which microbatch when",
}


def report(e: Evaluation) -> Report:
    """Return the report of an evaluation."""
    return Report(e.scenario.name, e.status.replace("_", " "), e.status == "pass", about(e), sections(e))


def about(e: Evaluation) -> list[str]:
    """Return what was evaluated, in lines."""
    s = e.scenario
    verb = "training" if e.layout else "inference"
    lines = [f"{s.model.name} {verb} on {s.accelerators} x {s.hardware.name}, {s.region.name}, {s.precision}"]
    return [*lines, str(e.layout)] if e.layout else lines


def sections(e: Evaluation) -> list[Section]:
    """Return the sections of an evaluation; those of an answer come after what was proven."""
    from mlsysim.core.solver.because import because

    reasons = [] if e.layout is None else [b.text for b in because(e)]
    found = [
        Section("Scorecard", [_lenses(e), *_failed(e)]),
        Section("Walls", [_walls(e, brief=True), *_absent(e)]),
        Section("Assertions", [_checks(e)] if e.checks else []),
        Section("Why", [Items(reasons)] if reasons else [], brief=False),
        _service(e),
        _plots(e),
        Section("All 22 walls", [_walls(e, brief=False)], brief=False, folded=True),
        Section("All metrics", [_metrics(e)], brief=False, folded=True),
        plan_section(e.plan()),
        Section("Assumptions", [_assumptions(e)], brief=False, folded=True),
        Section("Sources", [_sources(e)], brief=False, folded=True),
    ]
    return [s for s in found if s.blocks]


def plan_section(plan: Json, title: str = "Plan") -> Section:
    """Return a plan to copy."""
    import yaml

    dumped = yaml.safe_dump(plan, sort_keys=False, allow_unicode=True).rstrip()
    block = Verbatim(dumped, "plan.yaml", "yaml", copied=True)
    return Section(title, [block], folded=True)


def _lenses(e: Evaluation) -> Table:
    rows = [(name.capitalize(), lens.status, lens.summary) for name, lens in lenses(e).items()]
    return Table(("lens", "status", "summary"), rows, "The three lenses")


def _failed(e: Evaluation) -> Iterator[Text]:
    from mlsysim.core.scorecard import failures

    for line in failures(e):
        yield Text(line)


def _walls(e: Evaluation, *, brief: bool) -> Table:
    """Return the walls that apply, or all with what each compares."""
    shown = [w for w in e.walls if w.wall.modelled and (w.demand is not None or not brief)]
    header = ("#", "wall", "status", "demand", "supply", "headroom", *(() if brief else ("what",)))
    rows = [(*_wall(w), *(() if brief else (w.note,))) for w in shown]
    caption = "Walls that apply" if brief else "Every wall, and what it compares"
    return Table(header, rows, caption, right=(0, 3, 4, 5))


def _wall(w: Reading) -> tuple[str, ...]:
    amounts = (text.amount(w.demand, w.unit), text.amount(w.supply, w.unit), text.headroom(w.headroom))
    return str(w.wall.number), w.wall.name, w.status, *amounts


def _absent(e: Evaluation) -> list[Text]:
    names = [w.wall.name for w in e.walls if w.wall.modelled and w.demand is None]
    return [Text(f"Does not apply: {', '.join(names)}.")] if names else []


def _checks(e: Evaluation) -> Table:
    rows = [
        (
            c["metric"],
            *(text.amount(c[k], c["unit"]) for k in ("value", "min", "max")),
            "yes" if c["ok"] else "no",
        )
        for c in (check.to_dict() for check in e.checks)
    ]
    return Table(("assertion", "value", "min", "max", "ok"), rows, "What the plan asserts", right=(1, 2, 3))


def _service(e: Evaluation) -> Section:
    """Return latency, throughput and money of a service; nothing of another plan."""
    if e.state.serving is None:
        return Section("Service", [], brief=False)
    from mlsysim.core import serving_view

    header, rows = serving_view.latency(e)
    blocks: list[Block] = [
        Text(serving_view.describe(e)),
        Table(header, rows, "Latency", right=range(1, len(header))),
        Table(("", "value", "note"), serving_view.rest(e), "Throughput, cache and cost", right=(1,)),
    ]
    return Section("Service", blocks, brief=False)


def _plots(e: Evaluation) -> Section:
    blocks = [Plot(draw, TOLD[name]) for name, draw in kinds(e).items()]
    return Section("Plots", blocks, brief=False)


def _metrics(e: Evaluation) -> Table:
    rows = [
        (name, text.amount(e.metric(name), m.unit), m.title)
        for name, m in METRICS.items()
        if m.applies(e.state)
    ]
    return Table(("metric", "value", "what"), rows, "Every metric that applies", right=(1,))


def _assumptions(e: Evaluation) -> Table:
    rows = []
    for a in e.scenario.assumptions:
        unit = "" if a.unit in ("", "1") else f" {a.unit}"
        value = text.number(a.value) if isinstance(a.value, int | float) else str(a.value)
        rows.append((a.name, f"{value}{unit}", a.source))
    return Table(("assumed", "value", "source"), rows, "What was taken where the plan is silent", right=(1,))


def _sources(e: Evaluation) -> Items:
    """Return the sources of walls that apply, of assumptions, and of the entries that the plan names."""
    s = e.scenario
    used = [name for w in e.walls if w.demand is not None for name in w.wall.sources]
    used += [a.source for a in s.assumptions]
    for entry in (s.model, s.hardware, s.region, s.settings.node):
        if entry is not None:
            used += [v.source for v in entry.values().values()]
    known = sources()
    names = sorted({name for name in used if name in known})
    links = [str(known[n].get("url") or "") for n in names]
    return Items(
        [f"{n}: {citation(n) if not link else _short(n)}" for n, link in zip(names, links, strict=True)],
        links,
    )


def _short(name: str) -> str:
    """Return a citation without its address, which stands behind it."""
    record = sources()[name]
    return ", ".join(str(record[k]) for k in ("authors", "year", "title") if record.get(k))


def amount(value: float | None, unit: str) -> str:
    """Return a value in base units as people read it."""
    return text.amount(None if value is None else units.from_base(value, unit), unit)

"""A placed plan as text of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from mlsysim.core import text, units
from mlsysim.core.schedule.clock import HOUR, Clock
from mlsysim.core.schedule.document import totals
from mlsysim.core.schedule.gantt import gantt, legend, letters_of
from mlsysim.core.schedule.placement import Clash, Member, Placement, Price
from mlsysim.core.schedule.summary import Judged, parts_of, stretches
from mlsysim.core.schedule.usage import Broken
from mlsysim.core.schedule.weighed import pareto_table, proof_of_pareto, proof_of_taxes, taxes_table
from mlsysim.core.schedule.world import world

Rows = list[list[str]]
MOST = 10  # lines of a list that has no end
MOST_JOBS = 60
VERDICTS = {
    "optimal": "optimal, proven",
    "feasible": "feasible, not proven optimal",
    "infeasible": "infeasible, proven",
}
_TOTALS = (
    ("cost", "cost_usd", "USD"),
    ("carbon", "carbon_tco2e", "tCO2e"),
    ("energy", "energy_kwh", "kWh"),
    ("water", "water_l", "L"),
)
_ENGINES = {"highs": "HiGHS"}


def render(p: Placement) -> str:
    """Return the answer, what it is compared with, where and when jobs run, and the proof."""
    lines = [_head(p), *text.wrap(what(p)), ""]
    lines += infeasible(p)
    if p.answer is not None:
        if p.dropped:
            lines += text.wrap(
                "No schedule keeps every limit of this plan. This is the best one without "
                + ("that limit." if len(p.dropped) == 1 else "those limits.")
            )
            lines.append("")
        lines += text.table(*compared(p), right=(1, 2, 3), gap=3)
        header, rows = jobs(p, p.answer)
        lines += ["", *_table(header, rows[:MOST_JOBS], right=(4, 5))]
        if len(rows) > MOST_JOBS:
            lines.append(f"and {len(rows) - MOST_JOBS} more jobs: -o json lists all")
        drawn = gantt(p.answer, p.scenario.clock, MOST_JOBS)
        lines += ["", *drawn, *legend(p.answer, p.answer.fleet.places.names)]
        lines += ["", *_table(*regions(p.answer), right=(2, 3, 4))]
        lines += ["", *places] if (places := world(p.scenario, p.answer)) else []
        lines += _days(p, p.answer)
        lines += [line for x in limits(p) for line in text.wrap(x)]
    lines += prices(p)
    if p.taxes is not None:
        lines += ["", *_table(*taxes_table(p.taxes), right=(0, 1, 2)), proof_of_taxes(p.taxes), ""]
    if p.pareto is not None:
        lines += [
            "",
            *_table(*pareto_table(p.pareto), right=(0, 1, 2)),
            *text.wrap(proof_of_pareto(p.pareto)),
            "",
        ]
    for paragraph in (proof(p), *p.notes):
        if paragraph:
            lines += text.wrap(paragraph)
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines)


def _head(p: Placement) -> str:
    verdict = (
        f"holds: {'yes' if p.status == 'pass' else 'NO'}" if p.proof is None else VERDICTS[p.proof.status]
    )
    return p.scenario.name + verdict.rjust(max(len(verdict) + 2, text.WIDTH - len(p.scenario.name)))


def what(p: Placement) -> str:
    """Return what the plan is of."""
    s = p.scenario
    unit = "h" if s.clock.step == HOUR else "days"
    weights = s.fleet.weights
    told = [
        f"{s.clock.time(0):%a %Y-%m-%d %H:%M %z}, {s.clock.slots} {unit}",
        f"{len(s.plan.jobs)} job{'s' * (len(s.plan.jobs) > 1)} in {len(s.regions)} regions",
        {"own": "own machines", "rent": "rented machines", "paid": "machines paid for"}[s.plan.ops.ownership],
    ]
    if weights.carbon:
        told.append(f"carbon tax $ {text.number(units.from_base(weights.carbon, 'USD/tCO2e'))}/t")
    return "; ".join(told)


def compared(p: Placement) -> tuple[list[str], Rows]:
    """Return the header and rows of the answer beside the baselines."""
    shown = [j for j in (p.answer,) if p.proof is not None and j is not None] + list(p.baselines)
    title = {"optimum": "optimum", "cheapest": "cheapest, at once", "now": "where they are"}
    header = ["", *(title.get(j.name, j.title) for j in shown)]
    taken = [totals(j) for j in shown]
    rows = []
    if p.scenario.fleet.weights.carbon or p.scenario.fleet.weights.water:
        rows.append(["objective", *(text.amount(t["objective_usd"], "USD") for t in taken)])
    rows += [[name, *(text.amount(t[key], unit) for t in taken)] for name, key, unit in _TOTALS]
    if any(j.unplaced for j in shown):
        rows.append(["jobs left out", *(str(len(j.unplaced)) for j in shown)])
    if any(j.broken for j in shown):
        rows.append(["limits kept", *("no" if j.broken else "yes" for j in shown)])
    return header, rows


def jobs(p: Placement, j: Judged) -> tuple[list[str], Rows]:
    """Return the header and rows of the jobs."""
    clock, fleet = p.scenario.clock, j.fleet
    letters = letters_of(j)
    rows = []
    for part in parts_of(fleet):
        runs = stretches(fleet, j.schedule, part.jobs)
        if not runs or part.name in j.unplaced:
            rows.append([part.name, "-", "not placed", "-", "-", "-"])
            continue
        where = "".join(dict.fromkeys(letters[r.region] for r in runs))
        kinds = dict.fromkeys(fleet.places.hardware[r.hardware] for r in runs)
        most = max(r.accelerators for r in runs)
        counts = f"{text.number(round(most, 1))} x {' '.join(kinds)}"
        least = min(r.accelerators for r in runs)
        if least < most * (1 - 1e-6):
            counts = f"to {counts}"
        first, end = min(r.first for r in runs), max(r.end for r in runs)
        index = list(part.jobs)
        carbon = units.from_base(float(j.usage.carbon[index].sum()), "tCO2e")
        rows.append(
            [
                part.name,
                where,
                counts,
                _span(clock, first, end),
                text.number(float(j.usage.cost[index].sum())),
                text.number(carbon),
            ]
        )
    return ["job", "in", "on", "day hour", "cost $", "carbon t"], rows


def _span(clock: Clock, first: int, end: int) -> str:
    """Return from when to when something runs; the month only where the day does not say it."""
    form = "%d %b" if clock.step > HOUR else "%d %H:%M" if clock.slots <= 28 * 24 else "%d %b %H:%M"
    return f"{clock.time(first):{form}} - {clock.time(end):{form}}"


def regions(j: Judged) -> tuple[list[str], Rows]:
    """Return the header and rows of the regions in which something runs."""
    places, u = j.fleet.places, j.usage
    rows = []
    for r, letter in letters_of(j).items():
        held = [
            f"{text.number(round(float(u.accelerators[h, r].max()), 1))} of "
            f"{_there(places.accelerators[h, r])} {kind}"
            for h, kind in enumerate(places.hardware)
            if u.accelerators[h, r].any()
        ]
        taken = (
            float(u.cost[:, r].sum()),
            units.from_base(float(u.carbon[:, r].sum()), "tCO2e"),
            units.from_base(float(u.power[r].max()), "MW"),
        )
        rows.append([letter, places.names[r], *map(text.number, taken), held[0]])
        rows += [["", "", "", "", "", kind] for kind in held[1:]]
    return ["", "region", "cost $", "carbon t", "peak MW", "at most held"], rows


def _there(row: object) -> str:
    import numpy as np

    most = float(np.max(row))  # type: ignore[call-overload]
    return text.number(most) if np.isfinite(most) else "any"


def _table(header: Sequence[str], rows: Rows, right: Sequence[int] = ()) -> list[str]:
    """Return a table; where it is wider than a page, what is too wide stands on lines of its own."""
    whole = text.table(header, rows, right=right)
    if max(map(len, whole)) <= text.WIDTH:
        return whole
    widest = max(range(len(header)), key=lambda i: max(len(r[i]) for r in (header, *rows)))
    rest = [i for i in range(len(header)) if i != widest]
    short = text.table(
        [header[i] for i in rest],
        [[r[i] for i in rest] for r in rows],
        right=[n for n, i in enumerate(rest) if i in right],
    )
    if max(map(len, short)) > text.WIDTH:
        return [
            line
            for row in rows
            for line in text.wrap("  ".join(f"{h} {c}".strip() for h, c in zip(header, row, strict=True)))
        ]
    lines = [short[0] + f"  ({header[widest]} below each)"]
    for line, row in zip(short[1:], rows, strict=True):
        lines += [line, *text.wrap(row[widest], "    ")]
    return lines


def _days(p: Placement, j: Judged) -> list[str]:
    """Return electricity day by day, where the plan has more than one and they fit a page."""
    clock = p.scenario.clock
    each = 24 if clock.step == HOUR else 1
    days = clock.slots // each
    if not 2 <= days <= 14:
        return []
    rows = []
    for d in range(days):
        part = j.usage.by_slot[:, :, d * each : (d + 1) * each].sum(axis=(1, 2))
        power = units.from_base(float(j.usage.power[:, d * each : (d + 1) * each].sum(axis=0).max()), "MW")
        begin = clock.time(0) + timedelta(days=d)
        rows.append(
            [
                f"{begin:%a %d %b}",
                text.amount(float(part[0]), "USD"),
                text.amount(units.from_base(float(part[1]), "tCO2e"), "tCO2e"),
                f"{text.number(power)} MW",
            ]
        )
    return ["", *text.table(["day from", "electricity", "its carbon", "peak"], rows, right=(1, 2, 3))]


_LIMITS = {"cost": ("budget", "USD"), "carbon": ("carbon", "tCO2e"), "water": ("water", "L")}


def limits(p: Placement) -> list[str]:
    """Return the limits that the answer does not keep, in words."""
    if p.answer is None or not p.answer.broken:
        return []
    fleet = p.answer.fleet
    told = [_broken(b) for b in p.answer.broken if b.tag != "work"]
    left = {fleet.jobs[j].name for j in range(len(fleet.jobs)) if not p.answer.schedule.runs[j]}
    for part in parts_of(fleet):
        out = sum(fleet.jobs[j].name in left for j in part.jobs)
        if out:
            of = f" in {out} of {len(part.jobs)} hours" if part.kind == "serving" else ""
            told.append(f"FAIL  {part.name}: not placed{of}")
    more = len(told) - MOST
    return ["", *told[:MOST], *([f"and {more} more"] if more > 0 else [])]


def _broken(b: Broken) -> str:
    if b.tag in _LIMITS:
        name, unit = _LIMITS[b.tag]
        demand, supply = (text.amount(units.from_base(x, unit), unit) for x in (b.demand, b.supply))
        return f"FAIL  {name} of {b.where}: {demand}, at most {supply} asked"
    if b.tag == "power":
        demand, supply = (f"{text.number(units.from_base(x, 'MW'))} MW" for x in (b.demand, b.supply))
        return f"FAIL  power in {b.where}: {demand} of {supply}"
    return f"FAIL  {b.tag} of {b.where}: {text.number(b.demand)} of {text.number(b.supply)}"


def infeasible(p: Placement) -> list[str]:
    """Return why there is no plan, and what would mend it."""
    lines: list[str] = []
    for x in p.scenario.impossible[:MOST]:
        numbers = ""
        if x.demand is not None and x.supply is not None:
            numbers = f" ({text.number(x.demand)} {x.unit} needed, {text.number(x.supply)} there)"
        lines += text.wrap(f"{x.job} cannot run: {x.why}{numbers}")
    more = len(p.scenario.impossible) - MOST
    if more > 0:
        lines.append(f"and {more} more")
    if p.clash is not None:
        lines += _clash(p.clash)
    return [*lines, ""] if lines else []


def _clash(c: Clash) -> list[str]:
    """Return which limits cannot hold together, and the least change of each that mends it."""
    together = "" if len(c.members) == 1 else " together"
    of = "" if c.job is None else f" of {c.job}"
    sure = "(proven)" if c.proven else "(each is in the way; that all are needed is not proven)"
    lines = text.wrap(f"The {' and the '.join(m.name for m in c.members)}{of} cannot hold{together}. {sure}")
    ways = [w for m in c.members if (w := _way_out(m))]
    return [
        *lines,
        *(["Needed at least, if the others stay:"] if ways else []),
        *(line for w in ways for line in text.wrap(w, "  ")),
    ]


def _way_out(m: Member) -> str:
    """Return the least change of a limit without which a conflict stays, in words."""
    if m.least is None:
        return ""
    if m.tag == "windows":
        return f"every deadline {text.number(m.least)} {m.unit} later"
    if m.unit == "x":
        return f"{text.number(m.least)} times the {m.name}"
    return f"{m.name}: {text.amount(m.least, m.unit)}, {text.amount(m.supply, m.unit)} asked"


def prices(p: Placement) -> list[str]:
    """Return what a little more of each limit that binds is worth."""
    if not p.prices:
        return []
    rows = [priced(x) for x in p.prices]
    return ["", *_table(["a little more of", "saves", "it binds in"], rows, right=(1,)), ""]


def priced(x: Price) -> list[str]:
    """Return a price as a row: what, its worth, when."""
    what = x.where if x.tag == "accelerators" else f"{x.tag}, {x.where}"
    doubt = "" if x.confirmed else "  (not confirmed)"
    binds = f"{len(x.slots)} slot{'s' * (len(x.slots) != 1)}" if x.slots else "the whole plan"
    return [what, f"{text.amount(x.worth, 'USD')} / {x.unit}", binds + doubt]


def proof(p: Placement) -> str:
    """Return what was proven, in words."""
    x = p.proof
    if x is None or x.objective is None:
        return ""
    gap = "unknown" if x.gap is None else f"{x.gap:.2%}"
    seconds = ", ".join(f"{name} {s:.2f}" for name, s in x.seconds.items())
    return (
        f"Proof: {text.amount(x.objective, 'USD')}, bound {text.amount(x.bound, 'USD')}, gap {gap}; "
        f"{x.columns:,} columns, {x.rows:,} rows; {_ENGINES.get(x.engine, x.engine)} {x.version}"
        + (f", seconds: {seconds}" if seconds else "")
        + "; confirmed by eval."
    )

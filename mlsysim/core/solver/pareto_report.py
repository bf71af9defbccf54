"""A frontier as text and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlsysim.core import text
from mlsysim.core.solver.chart import scatter
from mlsysim.core.solver.decided import briefly, decided
from mlsysim.core.solver.report import needs

if TYPE_CHECKING:
    from mlsysim.core.solver.pareto import Pareto

# Points that a table shows; JSON has all of them.
MOST = 20


def render(p: Pareto) -> str:
    """Return the frontier as a table and a plot."""
    s = p.scenario
    verdict = {"optimal": "complete, proven", "feasible": "cut short", "infeasible": "no plan exists"}[
        p.status
    ]
    head = f"{s.model.name} {s.settings.phase} on {s.accelerators} x {s.hardware.name}"
    lines = [head + verdict.rjust(max(len(verdict) + 2, text.WIDTH - len(head))), ""]
    for c in p.conflict:
        lines += text.wrap(f"{c.name}: {needs(c)}", "  ")
    if p.conflict:
        limits = "without those limits of the plan" if p.dropped else "in no plan"
        lines += ["", *text.wrap(f"They cannot hold together (proven); {limits}:"), ""] if p.points else [""]
    if p.points:
        lines += [*_table(p), "", *_plot(p)]
    lines += text.wrap(_proof(p))
    return "\n".join(lines)


def _shown(p: Pareto) -> list[int]:
    """Return which points a table shows: all, or some that are spread evenly."""
    return sorted({round(i) for i in np.linspace(0, len(p.points) - 1, min(MOST, len(p.points)))})


def _rows(p: Pareto) -> list[list[str]]:
    fleets = len({e.scenario.accelerators for e in p.points}) > 1
    formats = len({e.scenario.precision for e in p.points}) > 1
    rows = []
    for i in _shown(p):
        e = p.points[i]
        d = decided(e)
        words = [f"{d['accelerators']} x"] * fleets + [str(d["precision"])] * formats + [briefly(d)]
        rows.append([str(i + 1), *(text.amount(p.value(e, g), g.unit) for g in p.goals), " ".join(words)])
    return rows


def _table(p: Pareto) -> list[str]:
    rows = _rows(p)
    header = ["#", *(g.title for g in p.goals), "plan"]
    amounts = tuple(range(len(header) - 1))
    lines = text.table(header, rows, right=amounts)
    if max(map(len, lines)) <= text.WIDTH:
        return lines
    # too wide: short titles, and the plan on a line of its own
    header = ["#", *(g.name.split(".")[-1][:18] for g in p.goals)]
    plain = text.table(header, [r[:-1] for r in rows], right=amounts)
    found = [plain[0]]
    for line, row in zip(plain[1:], rows, strict=True):
        wide = len(line) + 2 + len(row[-1]) > text.WIDTH
        found += [line, *text.wrap(row[-1], "     ")] if wide else [f"{line}  {row[-1]}"]
    return found


def _plot(p: Pareto) -> list[str]:
    if len(p.points) < 2:
        return []
    x, y = p.goals[:2]
    xs, ys = ([p.value(e, g) for e in p.points] for g in (x, y))
    axes = [
        (g.title, text.amount(min(v), g.unit), text.amount(max(v), g.unit)) for g, v in ((x, xs), (y, ys))
    ]
    return [*scatter(xs, ys, axes[0], axes[1]), ""]


def _proof(p: Pareto) -> str:
    f = p.found
    count = len(p.points)
    if not count:
        return f"Proof: {f.engine} {f.version}, {f.seconds:.2f} s."
    hidden = f" {min(MOST, count)} of them shown, -o json has all." if count > MOST else ""
    one = "1 plan that no other beats" if count == 1 else f"{count} plans of which none beats another"
    asked = f"{f.solves} question{'s' * (f.solves != 1)}, " if f.solves else ""
    how = (
        f"every other plan is no better in any respect: {asked}{f.left:,.0f} looked at one by one"
        if f.engine == "exhaustive"
        else f"each the best within its limits: {asked}{f.engine} {f.version}"
    )
    certain = how if p.status == "optimal" else "a limit cut the search short: there may be more"
    return f"{one}.{hidden} Proof: {certain}, {f.seconds:.2f} s; each confirmed by eval."


def markdown(p: Pareto) -> str:
    """Return the frontier as a Markdown table."""
    from mlsysim.core.markdown import plain, table

    parts = [f"## frontier of {plain(p.scenario.name)}: {p.status}"]
    if p.conflict:
        parts.append("Cannot hold together: " + "; ".join(f"{c.name} ({needs(c)})" for c in p.conflict) + ".")
    if p.points:
        parts.append(table(["#", *(g.title for g in p.goals), "plan"], _rows(p)))
    return "\n\n".join([*parts, _proof(p)])

"""A validation as JSON, as text of 80 columns and as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from mlsysim.core import text
from mlsysim.core.validation.fields import KINDS
from mlsysim.core.validation.judge import Group, Judged, Report, summary_of
from mlsysim.core.validation.statistics import Summary

WORST = 10
Json = dict[str, Any]
HEAD = ("rows", "mean", "median", "bias", "rank")
LEGEND = (
    "mean and median of the absolute error and bias (mean signed error) as shares of the measured "
    "value: bias below 0 is too small, for a time too fast; rank: Spearman correlation in the set, "
    "of steps by tokens a second and accelerator."
)


def document(report: Report) -> Json:
    """Return a validation as the JSON document of ``validate``; errors are shares, not percent."""
    return {
        "schema_version": "1.0",
        "sets": [{"name": g.name, "kind": g.kind, **_numbers(g.summary)} for g in report.groups],
        "total": {k: v for k, v in _numbers(report.total).items() if k != "spearman"},
        "rows": [
            {
                "id": j.id,
                "measured": j.measured,
                "predicted": j.predicted,
                "error": j.error,
                "unit": j.unit,
            }
            for j in report.judged
        ],
        "unpredicted": [{"id": u.row.id, "reason": u.reason} for u in report.unpredicted],
        "filled": [
            {"id": j.id, "setting": f.setting, "value": f.value, "rule": f.rule}
            for j in report.judged
            for f in j.filled
        ],
    }


def _numbers(s: Summary) -> Json:
    return {
        "rows": s.rows,
        "mape": s.mape,
        "median_ape": s.median_ape,
        "bias": s.bias,
        "spearman": s.spearman,
    }


def cells(s: Summary) -> list[str]:
    """Return a summary as cells: rows, mean, median, bias, rank correlation."""
    return [
        str(s.rows),
        share(s.mape),
        share(s.median_ape),
        share(s.bias, signed=True),
        "-" if s.spearman is None else f"{s.spearman:.2f}",
    ]


def share(x: float | None, *, signed: bool = False) -> str:
    """Return an error as a percentage."""
    if x is None:
        return "-"
    shown = f"{100 * x:+.1f}%" if signed else f"{100 * x:.1f}%"
    return shown.replace("-0.0%", "+0.0%") if signed else shown


def subtotals(report: Report) -> list[tuple[str, Summary]]:
    """Return the errors of groups of sets: of each kind, and of training that states its layout."""
    found = []
    for kind in KINDS:
        rows = [j for j in report.judged if j.row.kind == kind]
        if rows and len(rows) < len(report.judged):
            found.append((f"all of {kind}", summary_of(rows, ranked=False)))
        stated = [j for j in rows if kind == "training" and j.states_layout]
        if stated and len(stated) < len(rows):
            found.append(("  that states its layout", summary_of(stated, ranked=False)))
    return [*found, ("total", report.total)]


def as_text(report: Report) -> str:
    """Return the validation as text of 80 columns."""
    rows: list[list[str]] = []
    for kind in dict.fromkeys(g.kind for g in report.groups):
        rows.append([kind, *[""] * len(HEAD)])
        rows += [[f"  {g.name}", *cells(g.summary)] for g in report.groups if g.kind == kind]
    split = len(rows)
    rows += [[name, *cells(s)] for name, s in subtotals(report)]
    table = text.table(["set", *HEAD], _short(rows), right=tuple(range(1, len(HEAD) + 1)))
    lines = [*table[: split + 1], "", *table[split + 1 :], "", *text.wrap(LEGEND)]
    if report.judged:
        lines += ["", f"Worst of {len(report.judged)} rows", *_worst(report.worst[:WORST])]
    if rules := _rules(report):
        lines += ["", "Settings that sources leave open, and what fills them in (rows)"]
        lines += [line for n, rule in rules for line in _hanging(f"{n:>4}  ", rule)]
    if report.unpredicted:
        lines += ["", f"Not predicted: {len(report.unpredicted)} rows"]
        for reason, ids in reasons(report):
            lines += text.wrap(f"{reason} ({len(ids)}):", "  ")
            lines += _hanging("    ", ", ".join(ids))
    return "\n".join(lines)


def _short(rows: list[list[str]]) -> list[list[str]]:
    """Return rows whose first cells leave room for the numbers; a user's set may have any name."""
    return [[textwrap.shorten(r[0], 40, placeholder=" ~") if len(r[0]) > 40 else r[0], *r[1:]] for r in rows]


def _hanging(head: str, body: str) -> list[str]:
    """Return a paragraph under a head; ids longer than a line are broken at their hyphens."""
    longest = max(map(len, body.split()), default=0)
    return textwrap.wrap(
        body,
        text.WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_on_hyphens=longest > text.WIDTH - len(head),
    )


def _worst(rows: Sequence[Judged]) -> list[str]:
    cells_of = [
        [share(j.error, signed=True), text.number(j.measured), text.number(j.predicted), j.unit] for j in rows
    ]
    table = text.table(["error", "measured", "predicted", "unit"], cells_of, right=(0, 1, 2))
    lines = ["  " + table[0]]
    for line, j in zip(table[1:], rows, strict=True):
        lines += ["  " + line, *_hanging("      ", j.id)]
    return lines


def _rules(report: Report) -> list[tuple[int, str]]:
    """Return how many rows each rule filled a setting in for, the most used first."""
    found: dict[str, set[str]] = {}
    for j in report.judged:
        for f in j.filled:
            found.setdefault(f"{f.setting}: {f.rule}", set()).add(j.row.id)
    return sorted(((len(ids), rule) for rule, ids in found.items()), key=lambda pair: (-pair[0], pair[1]))


def reasons(report: Report) -> list[tuple[str, list[str]]]:
    """Return why rows are not predicted, and which."""
    found: dict[str, list[str]] = {}
    for u in report.unpredicted:
        found.setdefault(u.reason, []).append(u.row.id)
    return sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))


def set_table(groups: Iterable[Group], totals: Iterable[tuple[str, Summary]]) -> str:
    """Return the errors of sets as a Markdown table."""
    from mlsysim.core.markdown import table

    rows = [(g.name, g.kind, *cells(g.summary)) for g in groups]
    rows += [(name.strip(), "", *cells(s)) for name, s in totals]
    return table(("set", "kind", *HEAD), rows)


def rule_table(report: Report) -> str:
    """Return the rules that filled settings in, as a Markdown table."""
    from mlsysim.core.markdown import table

    return table(("rows", "setting", "rule"), [(str(n), *rule.split(": ", 1)) for n, rule in _rules(report)])


def worst_table(rows: Iterable[Judged]) -> str:
    """Return rows with their errors as a Markdown table."""
    from mlsysim.core.markdown import table

    return table(
        ("row", "measured", "predicted", "unit", "error"),
        [
            (j.id, text.number(j.measured), text.number(j.predicted), j.unit, share(j.error, signed=True))
            for j in rows
        ],
    )


def reason_table(report: Report) -> str:
    """Return the rows that are not predicted as a Markdown table."""
    from mlsysim.core.markdown import table

    return table(
        ("rows", "reason", "which"),
        [(str(len(ids)), reason, ", ".join(ids)) for reason, ids in reasons(report)],
    )


def markdown(report: Report) -> str:
    """Return the validation as Markdown."""
    parts = [set_table(report.groups, subtotals(report)), LEGEND]
    if report.judged:
        parts += ["## Worst rows", worst_table(report.worst[:WORST])]
    if _rules(report):
        parts += ["## Settings filled in", rule_table(report)]
    if report.unpredicted:
        parts += ["## Not predicted", reason_table(report)]
    return "\n\n".join(parts)

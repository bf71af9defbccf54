"""A finished campaign for people and for programs."""

from __future__ import annotations

from typing import Any

from mlsysim.core import text as words
from mlsysim.core.evaluation import SCHEMA_VERSION
from mlsysim.core.markdown import table as markdown_table
from mlsysim.space.design import DesignSpace
from mlsysim.space.points import STATUSES
from mlsysim.space.table import Table, Words

Json = dict[str, Any]
REASONS = 5  # that are shown


def counts(table: Table) -> dict[str, int]:
    """Return how many rows have each status."""
    data = table.columns["status"].data
    assert isinstance(data, Words)
    return {s: int(data.where(s).sum()) for s in STATUSES}


def reasons(table: Table) -> list[tuple[str, int]]:
    """Return why rows do not hold, the most frequent first."""
    data = table.columns["reason"].data
    assert isinstance(data, Words)
    found = [(w, int(data.where(w).sum())) for w in data.words if w]
    return sorted(found, key=lambda r: -r[1])


def _best(table: Table, top: int) -> Table | None:
    if not table.objectives:
        return None
    return table.best(top) if len(table.objectives) == 1 else table.pareto()


def document(space: DesignSpace, table: Table, top: int, file: str | None) -> Json:
    """Return the JSON document of ``sweep``."""
    best = _best(table, top)
    return {
        "schema_version": SCHEMA_VERSION,
        "sweep": {
            "rows": len(table),
            "status": counts(table),
            "reasons": [{"reason": r, "rows": n} for r, n in reasons(table)[:100]],
            "notes": list(table.notes),
            "file": file,
            "units": table.units,
            "objectives": [
                {"column": n, "expression": table.columns[n].title, "greatest": g}
                for n, g in zip(table.objectives, table.greatest, strict=True)
            ],
            "identity": space.key,
        },
        "best": [] if best is None else list(best.rows()),
    }


def _rows(space: DesignSpace, table: Table, best: Table) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the best: dimensions and objectives."""
    names = [d.name for d in space.every]
    head = [n.rpartition(".")[2] for n in names]
    head = [h if head.count(h) == 1 else n for h, n in zip(head, names, strict=True)]
    units = [table.columns[n].unit for n in names]
    head = [f"{h} [{u}]" if u not in ("", "1") else h for h, u in zip(head, units, strict=True)]
    rows = []
    for i in range(len(best)):
        cells = []
        for name in names:
            value = best.columns[name].shown(i)
            cells.append(
                value if isinstance(value, str) else str(value) if isinstance(value, bool) else _number(value)
            )
        for name in table.objectives:
            c = best.columns[name]
            cells.append(words.amount(float(c.shown(i)), c.unit if c.unit != "1" else ""))
        rows.append(cells)
    return [*head, *table.objectives], rows


def _number(x: float) -> str:
    return f"{x:,}" if isinstance(x, int) else words.number(x)


def text(space: DesignSpace, table: Table, top: int, file: str | None) -> str:
    """Return a summary of 80 columns."""
    n = counts(table)
    said = {"pass": "hold", "sla_violation": "break a limit", "fail": "cannot be", "error": "are no plans"}
    lines = [f"{len(table):,} rows: " + ", ".join(f"{n[s]:,} {said[s]}" for s in STATUSES if n[s])]
    for note in table.notes:
        lines += words.wrap(note)
    if any(reasons(table)):
        lines.append("")
        for reason, count in reasons(table)[:REASONS]:
            lines += words.wrap(f"{count:>9,}  {reason}")
        if (more := len(reasons(table)) - REASONS) > 0:
            lines.append(f"{'':>9}  and {more} more reasons, in the column reason")
    best = _best(table, top)
    if best is not None and len(best):
        title = "best" if len(table.objectives) == 1 else "the front: no point is better in everything"
        goals = ", ".join(table.columns[o].title for o in table.objectives)
        lines += ["", *words.wrap(f"{title}, by {goals}")]
        head, rows = _rows(space, table, best.keep(_first(len(best), top)))
        lines += _fitted(head, rows)
        proofs = best.columns.get("proof")
        if proofs is not None and (proofs.values == "optimal").all():
            lines.append("proven: no point of its case is better; confirmed by eval")
    if file is not None:
        lines += ["", f"all rows: {file}"]
    return "\n".join(lines)


def _first(count: int, most: int) -> Any:
    import numpy as np

    return np.arange(min(count, most))


def _fitted(head: list[str], rows: list[list[str]]) -> list[str]:
    """Return a table, or one block a row where it would be too wide."""
    lines = words.table(head, rows, right=range(len(head)))
    if max(map(len, lines)) <= words.WIDTH:
        return lines
    found: list[str] = []
    width = max(map(len, head))
    for i, row in enumerate(rows, 1):
        found += ["", f"{i}."] + [f"   {h:<{width}}  {cell}" for h, cell in zip(head, row, strict=True)]
    return found


def markdown(space: DesignSpace, table: Table, top: int) -> str:
    """Return the summary as Markdown."""
    n = counts(table)
    lines = [f"{len(table):,} rows: " + ", ".join(f"{n[s]:,} {s}" for s in STATUSES if n[s]), ""]
    lines += [f"- {note}" for note in table.notes]
    best = _best(table, top)
    if best is not None and len(best):
        head, rows = _rows(space, table, best.keep(_first(len(best), top)))
        lines += ["", markdown_table(tuple(head), [tuple(r) for r in rows])]
    return "\n".join(lines)

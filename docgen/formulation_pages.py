"""The pages of the formulations, from their statements."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from docgen.instances import instances
from docgen.tables import DO_NOT_EDIT, table
from formulations.statements import STATEMENTS, Formula, Named, Statement
from formulations.statements.base import Decision, RowOf


def page(s: Statement) -> str:
    """Return the page of a formulation."""
    parts = [
        DO_NOT_EDIT + f"# {s.title}",
        f"{s.asks} Asked by `{s.command}`; [how to use it](../{s.guide}). Written in "
        f"{', '.join(f'`{m}`' for m in s.modules)}. Names in `code` are those of the program; an exported "
        "model (`--export model.lp`) has the rows by these names.",
        "## Sets and constants\n\n" + _named(s.sets),
        "## Decisions\n\n" + "\n".join(_decision(d) for d in s.decisions),
        "## Tables\n\nFilled by the physics, the same functions that `eval` calls, for every cell at "
        "once.\n\n" + _named(s.tables),
    ]
    if s.derived:
        parts.append("## Equations\n\n" + "\n".join(map(_formula, s.derived)))
    parts.append("## Objective\n\n" + "\n".join(map(_formula, s.objectives)))
    parts.append("## Rows\n\n" + "\n".join(map(_row, s.rows)))
    parts.append("## Remarks\n\n" + "\n\n".join(s.remarks))
    parts.append("## An instance\n\n" + _instance(s))
    if s.sources:
        cited = ", ".join(f"[{name}](../reference/sources.md#{name})" for name in s.sources)
        parts.append(f"Sources: {cited}.")
    return "\n\n".join(parts) + "\n"


def _tex(tex: str) -> str:
    return f"${tex}$" if tex else ""


def _named(names: tuple[Named, ...]) -> str:
    rows = [(_tex(n.tex), n.text, n.unit, f"`{n.code}`") for n in names]
    return table(("symbol", "meaning", "unit", "in the code"), rows)


def _decision(d: Decision) -> str:
    where = f" Only with {d.where}." if d.where else ""
    text = f"**`{d.code}`** {_tex(d.tex)}: {d.text}.{where}\n"
    if d.attributes:
        rows = [(_tex(a.tex), f"`{a.code}`", a.text) for a in d.attributes]
        text += "\n" + table(("symbol", "attribute", "meaning"), rows)
    return text


def _formula(f: Formula) -> str:
    code = f" `{f.code}`" if f.code else ""
    return f"{f.text}{code}\n\n$$\n{f.tex}\n$$\n"


def _row(r: RowOf) -> str:
    from mlsysim.walls import WALLS

    wall = ""
    if r.wall is not None:
        wall = f", [wall {r.wall} {WALLS[r.wall - 1].name}](../walls.md#w{r.wall:02d})"
    where = f" Only with {r.where}." if r.where else ""
    return f"**`{r.name}`**{wall}: {r.text}.{where}\n\n$$\n{r.tex}\n$$\n"


def _instance(s: Statement) -> str:
    one = instances(s.name)[0]
    text = f"As written for `{one.plan}`, before any reduction.\n\n"
    cells = [(f"`{name}`", f"{size:,}") for name, (size, _) in one.decisions.items()]
    rows = [(f"`{name}`", f"{many:,}") for name, many in one.rows.items()]
    return text + table(("decision", "cells or variables"), cells) + "\n" + table(("rows", "how many"), rows)


def pages() -> dict[str, Callable[[], str]]:
    """Return the pages by path, and how each is made."""
    return {f"formulations/{s.name}.md": partial(page, s) for s in STATEMENTS}

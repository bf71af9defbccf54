"""Results as Markdown, for pull requests and issues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlsysim.core import text
from mlsysim.core.scorecard import lenses

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation
    from mlsysim.core.solver.optimization import Optimization


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines)


def evaluation(e: Evaluation, level: int = 2) -> str:
    """Return an evaluation as Markdown."""
    parts = [f"{'#' * level} {e.scenario.name}: {e.status.replace('_', ' ')}"]
    if e.layout:
        parts.append(f"`{e.layout}`")
    parts.append(
        table(
            ("lens", "status", "summary"),
            [(name.capitalize(), lens.status, lens.summary) for name, lens in lenses(e).items()],
        )
    )
    parts.append(
        table(
            ("#", "wall", "status", "demand", "supply", "headroom"),
            [
                (
                    str(w.wall.number),
                    w.wall.name,
                    w.status,
                    text.amount(w.demand, w.unit),
                    text.amount(w.supply, w.unit),
                    text.headroom(w.headroom),
                )
                for w in e.walls
                if w.wall.modelled
            ],
        )
    )
    if e.checks:
        parts.append(
            table(
                ("assertion", "value", "min", "max", "ok"),
                [
                    (
                        c["metric"],
                        *(text.amount(c[k], c["unit"]) for k in ("value", "min", "max")),
                        "yes" if c["ok"] else "**no**",
                    )
                    for c in (check.to_dict() for check in e.checks)
                ],
            )
        )
    return "\n\n".join(parts)


def optimization(o: Optimization) -> str:
    """Return an optimization as Markdown, with the plan to copy."""
    import yaml

    objective = o.objective.to_dict()
    parts = [f"## {o.problem_name}: {o.status}"]
    if o.conflict:
        from mlsysim.core.solver.report import needs

        parts.append("Cannot hold together: " + "; ".join(f"{c.name} ({needs(c)})" for c in o.conflict) + ".")
    if o.decided:
        parts.append(
            f"{o.objective.title}: **{text.amount(objective['value'], objective['unit'])}**, "
            f"bound {text.amount(objective['bound'], objective['unit'])}, gap "
            + ("unknown" if o.objective.gap is None else f"{o.objective.gap:.2%}")
            + f" ({o.solved.outcome.engine} {o.solved.outcome.version}, confirmed by eval)"
        )
        if o.tradeoff is not None:
            from mlsysim.core.solver import tradeoff_text

            parts += [table(header, rows) for header, rows, _ in tradeoff_text.tables(o.tradeoff)]
            parts += tradeoff_text.sentences(o.tradeoff)
        plan = yaml.safe_dump(o.plan, sort_keys=False).rstrip()
        parts.append(f"```yaml\n{plan}\n```")
    return "\n\n".join([*parts, evaluation(o.evaluation, level=3)])

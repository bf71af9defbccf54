"""What more and less of each supply is worth, the strongest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlsysim.core.errors import InputError
from mlsysim.viz import theme

if TYPE_CHECKING:
    from mlsysim.core.solver.priced import Prices
    from mlsysim.core.solver.sensitivity import Sensitivity

NOTHING = 1e-6  # change that is none
FELT = 0.002  # of the largest change: below that a bar would not be seen

Row = tuple[str, "float | None", "float | None"]


def tornado(sensitivity: Prices | Sensitivity, metric: str = "performance.latency") -> Any:
    """Return bars of how the objective answers to less and to more of each supply.

    Args:
        sensitivity: of ``solve.sensitivity``: the best plan found anew; or elasticities of a plan that
            stays as it is.
        metric: of elasticities: whose.

    Raises:
        InputError: nothing has an effect.
        MissingExtraError: Plotly is not installed.
    """
    title, axis, names, rows = _rows(sensitivity, metric)
    most = max((abs(x) for r in rows for x in r[1:] if x is not None), default=0.0)
    felt = [r for r in rows if any(x is None or abs(x) > max(FELT * most, NOTHING) for x in r[1:])]
    if not felt:
        raise InputError("no supply has an effect here", where="tornado")
    felt.sort(key=lambda r: -max((abs(x) for x in r[1:] if x is not None), default=9e9))
    without = [r[0] for r in felt if None in r[1:]]
    under = f"No plan at all with less of: {', '.join(without)}. " if without else ""
    if rest := [r[0] for r in rows if r not in felt]:
        under += f"Hardly any effect or none: {', '.join(rest)}."
    made = theme.figure(title, height=170 + 34 * len(felt), under=under)
    looks = (theme.filled("#d08c2e", "/"), theme.filled("#2a5f7f"))
    for side, (name, look) in enumerate(zip(names, looks, strict=True), start=1):
        made.add_bar(
            name=name,
            orientation="h",
            y=list(range(len(felt))),
            x=[r[side] or 0.0 for r in felt],
            marker=look,
            hovertext=[
                f"{theme.label(r[0])}, {name}: " + ("no plan" if (x := r[side]) is None else f"{x:+.2%}")
                for r in felt
            ],
            hoverinfo="text",
        )
    made.add_vline(x=0.0, line={"color": theme.INK, "width": 1.5})
    made.update_layout(
        barmode="overlay", legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0.0}
    )
    made.update_layout(margin_t=made.layout.margin.t + 26)
    theme.axes(made, axis, "")
    made.update_xaxes(tickformat="+.1~%")
    made.update_yaxes(
        tickvals=list(range(len(felt))),
        ticktext=[theme.label(r[0]) for r in felt],
        range=[len(felt) - 0.5, -0.5],
        showgrid=False,
    )
    return made


def _rows(found: Any, metric: str) -> tuple[str, str, tuple[str, str], list[Row]]:
    """Return title, name of the axis, names of both sides, and a row for each supply."""
    from mlsysim.core.solver.priced import Prices

    if isinstance(found, Prices):
        goal = found.question.goal
        share = f"{found.share:.0%}"
        return (
            f"What supplies are worth: {found.question.scenario.name}",
            f"change of {goal.title}, planned anew [%]",
            (f"{share} less", f"{share} more"),
            [(p.title, p.less.change, p.more.change) for p in found.prices],
        )
    from mlsysim.core.metrics import find

    whole = find(metric)
    rows = [
        (
            e.supply.title,
            None if e.falling is None else -e.falling * 0.01,
            None if e.rising is None else e.rising * 0.01,
        )
        for e in found.ranking(metric)
    ]
    return (
        f"What {whole.title} answers to: {found.evaluation.scenario.name}",
        f"change of {whole.title}, plan held [%]",
        ("1% less", "1% more"),
        rows,
    )

"""The walls of an evaluation as bars: how much of each supply is used."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mlsysim.core import text
from mlsysim.viz import theme

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation, Reading

FAR = 2.0  # shares beyond this are drawn as this, and said


def headroom(evaluation: Evaluation) -> Any:
    """Return every wall with a demand as a bar: the share of its supply that is used, up to 100%.

    Args:
        evaluation: of a plan, or of a model on an accelerator.

    Raises:
        MissingExtraError: Plotly is not installed.
    """
    shown = [w for w in evaluation.walls if w.demand is not None]
    absent = [w for w in evaluation.walls if w.demand is None and w.wall.modelled]
    under = "Does not apply: " + ", ".join(w.wall.name for w in absent) + "." if absent else ""
    made = theme.figure(f"Walls: {evaluation.scenario.name}", height=140 + 27 * len(shown), under=under)
    used = [_used(w) for w in shown]
    most = max((u for u in used if u is not None), default=1.0)
    end = min(max(most, 1.0), FAR)
    order = [_name(w) for w in shown]
    for status, (colour, pattern) in theme.VERDICTS.items():
        rows = [(w, u) for w, u in zip(shown, used, strict=True) if w.status == status]
        if not rows:
            continue
        made.add_bar(
            name={"info": "no limit"}.get(status, status),
            orientation="h",
            y=[_name(w) for w, _ in rows],
            x=[None if u is None else min(u, FAR) for _, u in rows],
            marker=theme.filled(colour, pattern),
            hovertext=[_told(w) for w, _ in rows],
            hoverinfo="y+text",
        )
        for w, u in rows:
            made.add_annotation(
                x=min(u or 0.0, FAR),
                y=_name(w),
                text=_told(w),
                showarrow=False,
                xanchor="left",
                xshift=6,
                font={"size": 12, "color": theme.INK},
                bgcolor="rgba(255,255,255,0.85)",
            )
    made.add_vline(x=1.0, line={"color": theme.INK, "dash": "dash", "width": 2}, layer="below")
    made.update_layout(
        barmode="overlay", legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0.0}
    )
    made.update_layout(margin_t=made.layout.margin.t + 26)
    made.update_yaxes(categoryorder="array", categoryarray=order, autorange="reversed", showgrid=False)
    theme.axes(made, "share of the supply that is used [%]", "")
    made.update_xaxes(tickformat=".0%", range=[0.0, 1.75 * end])
    return made


def _name(w: Reading) -> str:
    return f"{w.wall.number} {w.wall.name}"


def _used(w: Reading) -> float | None:
    if w.headroom is None:
        return None
    return FAR if not math.isfinite(w.headroom) else 1.0 - w.headroom


def _told(w: Reading) -> str:
    demand = text.amount(w.demand, w.unit)
    if w.supply is None:
        return f"{demand}, no limit"
    used = "" if w.headroom is None else f"{text.headroom(w.headroom)} left"
    if w.headroom is not None and w.headroom < 0:
        used = f"{text.number(1.0 - w.headroom)} x" if math.isfinite(w.headroom) else "none there"
    return f"{demand} of {text.amount(w.supply, w.unit)}, {used}"

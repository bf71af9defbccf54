"""Predictions against measurements."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from mlsysim.core.errors import InputError
from mlsysim.viz import theme

if TYPE_CHECKING:
    from mlsysim.core.validation.judge import Judged, Report

PANELS = 6  # units with a panel of their own, the most used first
BAND = 0.2  # around what was measured


def validation(result: Report) -> Any:
    """Return what was predicted over what was measured, a panel for each unit.

    On the line both are equal; dashed is 20% more and less.

    Args:
        result: of ``mlsysim validate``.

    Raises:
        InputError: nothing was predicted.
        MissingExtraError: Plotly is not installed.
    """
    rows = [j for j in result.judged if j.measured > 0.0 and j.predicted > 0.0]
    if not rows:
        raise InputError("no row was predicted", where="validation")
    theme.plotly()
    from plotly.subplots import make_subplots

    count = Counter(j.unit for j in rows)
    panels = [unit for unit, _ in count.most_common(PANELS)]
    left_out = sum(n for unit, n in count.items() if unit not in panels)
    columns = min(len(panels), 2)
    lines = -(-len(panels) // columns)
    total = result.total
    mean = "" if total.mape is None else f"Mean absolute error {total.mape:.1%} of {total.rows} rows. "
    under = f"{mean}Line: equal; dashed: {BAND:.0%} more and less."
    if left_out:
        under += f" {left_out} rows in other units are left out."
    look = theme.figure("Predicted against measured", height=60 + 360 * lines, under=under)
    made = make_subplots(rows=lines, cols=columns, horizontal_spacing=0.13, vertical_spacing=0.2 / lines)
    kinds = list(dict.fromkeys(j.row.kind for j in rows))
    named: set[str] = set()
    for at, unit in enumerate(panels):
        place = {"row": at // columns + 1, "col": at % columns + 1}
        _panel(made, [j for j in rows if j.unit == unit], kinds, named, place)
    for key in (
        "template",
        "title",
        "font",
        "paper_bgcolor",
        "plot_bgcolor",
        "margin",
        "legend",
        "hoverlabel",
    ):
        made.update_layout({key: look.layout[key]})
    made.update_layout(height=look.layout.height, annotations=look.layout.annotations)
    axis = look.layout.xaxis.to_plotly_json()
    made.update_xaxes(axis)
    made.update_yaxes(axis)
    for at, unit in enumerate(panels):
        place = {"row": at // columns + 1, "col": at % columns + 1}
        ends = _ends([j for j in rows if j.unit == unit])
        made.update_xaxes(theme.decades(*ends), title_text=f"measured [{unit}]", **place)
        made.update_yaxes(theme.decades(*ends), title_text=f"predicted [{unit}]", **place)
    return made


def _panel(made: Any, mine: list[Judged], kinds: list[str], named: set[str], place: dict[str, int]) -> None:
    """Draw the rows of a unit; ``named`` are the kinds that the legend has already."""
    ends = _ends(mine)
    for factor, dash in ((1.0, "solid"), (1.0 - BAND, "dash"), (1.0 + BAND, "dash")):
        made.add_scatter(
            x=ends,
            y=[x * factor for x in ends],
            mode="lines",
            line={"color": theme.INK, "dash": dash, "width": 1.2},
            hoverinfo="skip",
            showlegend=False,
            **place,
        )
    for n, kind in enumerate(kinds):
        points = [j for j in mine if j.row.kind == kind]
        if not points:
            continue
        made.add_scatter(
            x=[j.measured for j in points],
            y=[j.predicted for j in points],
            mode="markers",
            marker=theme.style(n).marker | {"size": 8, "opacity": 0.85},
            name=theme.label(kind),
            legendgroup=kind,
            showlegend=kind not in named,
            hovertext=[f"{theme.label(j.id, 60, 3)}<br>{j.error:+.1%}" for j in points],
            hoverinfo="text",
            **place,
        )
        named.add(kind)


def _ends(rows: list[Judged]) -> tuple[float, float]:
    """Return between what all numbers of a panel lie, with some room."""
    both = [x for j in rows for x in (j.measured, j.predicted)]
    return min(both) / 1.5, max(both) * 1.5

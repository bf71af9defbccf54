"""A mix of accelerators that serves requests: what runs in which hour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlsysim.core import text
from mlsysim.core.errors import InputError
from mlsysim.viz import theme

if TYPE_CHECKING:
    from mlsysim.core.solver.serving_mix import ServingMix


def serving_mix(solution: ServingMix) -> Any:
    """Return the accelerators of each pool by the hour; of one hour, pool by pool.

    Args:
        solution: of ``optimize.serving``.

    Raises:
        InputError: no mix was found.
        MissingExtraError: Plotly is not installed.
    """
    if not solution.hours:
        raise InputError("there is no mix to show", where="mix", hint="the text says what clashes")
    pools: dict[str, list[float]] = {}
    spent: dict[str, float] = {}
    for hour, runs in enumerate(solution.hours):
        for r in runs:
            s, g = r.given.offer.scenario, r.given
            role = "" if g.role == "mixed" else f", {g.role}"
            name = f"{s.hardware.name}, {s.precision}, tp {g.offer.tp}{role}"
            pools.setdefault(name, [0.0] * len(solution.hours))[hour] += g.instances * g.offer.tp
            spent[name] = spent.get(name, 0.0) + r.cost
    hours = list(range(len(solution.hours)))
    one = len(hours) == 1
    title = f"Accelerators that serve the mix: {solution.question.name}"
    made = theme.figure(title, height=150 + 40 * len(pools) if one else 440)
    for n, (name, counts) in enumerate(pools.items()):
        told = f"{theme.label(name)}<br>{text.amount(spent[name] / len(hours), 'USD')}/h"
        made.add_bar(
            name=theme.label(name),
            orientation="h" if one else "v",
            x=counts if one else hours,
            y=[theme.label(name)] if one else counts,
            text=[f"{text.number(counts[0])}, {text.amount(spent[name], 'USD')}/h"] if one else None,
            textposition="outside" if one else "none",
            cliponaxis=False,
            marker=theme.style(n).bar,
            showlegend=not one,
            hovertext=[told] * len(counts),
            hoverinfo="text" if one else "x+y+text",
        )
    if one:
        most = max(max(c) for c in pools.values())
        theme.axes(made, "accelerators [device]", "")
        made.update_xaxes(range=[0.0, 1.25 * most])
        made.update_yaxes(autorange="reversed", showgrid=False)
        return made
    _requests(made, solution)
    return made


def _requests(made: Any, solution: ServingMix) -> None:
    """Draw the requests that come, on an axis of their own."""
    rate = np.asarray(solution.question.demand.rate).sum(axis=0)
    made.add_scatter(
        name="requests",
        x=list(range(len(solution.hours))),
        y=[float(x) for x in rate],
        yaxis="y2",
        mode="lines+markers",
        line={"color": theme.INK, "width": 2},
        marker={
            "color": theme.PAPER,
            "symbol": "circle",
            "size": 7,
            "line": {"color": theme.INK, "width": 1.5},
        },
    )
    theme.axes(made, "hour [h]", "accelerators [device]")
    made.update_layout(
        barmode="stack",
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "title": {"text": "requests a second [request/s]", "standoff": 12},
            "rangemode": "tozero",
            "tickmode": "auto",
            "showgrid": False,
            "automargin": True,
        },
        legend={"orientation": "h", "y": -0.22, "yanchor": "top", "x": 0.0},
    )

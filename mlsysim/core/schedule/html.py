"""A placed plan as a page of its own: a Gantt by region and a map (Plotly, from the extra ``labs``)."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from mlsysim.core import text, units
from mlsysim.core.errors import InputError, MissingExtraError
from mlsysim.core.schedule.gantt import letters_of
from mlsysim.core.schedule.placement import Placement
from mlsysim.core.schedule.summary import Judged, parts_of, stretches


def write_page(p: Placement, path: str | Path) -> None:
    """Write a placed plan as one HTML file; only the coastlines of its map come over the network.

    Raises:
        InputError: there is no schedule to show, or the file cannot be written.
        MissingExtraError: Plotly is not installed.
    """
    try:
        import plotly.graph_objects as go
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "Plotly is not installed", where="html", hint="pip install 'mlsysim[labs]'"
        ) from error
    if p.answer is None:
        raise InputError("there is no schedule to show", where="html", hint="the text says what clashes")
    figures = [gantt_figure(go, p, p.answer), map_figure(go, p, p.answer)]
    # the library is in the page once
    parts = [f.to_html(full_html=False, include_plotlyjs=n == 0) for n, f in enumerate(figures)]
    title = escape(p.scenario.name)
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
        f"<body><h1>{title}</h1><pre>{escape(p.scorecard())}</pre>{''.join(parts)}</body></html>\n"
    )
    try:
        Path(path).write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(path)) from error


def gantt_figure(go: Any, p: Placement, j: Judged) -> Any:
    """Return bars of jobs over time, one colour a region."""
    fleet, clock = j.fleet, p.scenario.clock
    parts = parts_of(fleet)
    figure = go.Figure()
    for r in letters_of(j):
        names, begins, widths, told = [], [], [], []
        for part in parts:
            for s in stretches(fleet, j.schedule, part.jobs):
                if s.region == r:
                    names.append(part.name)
                    begins.append(clock.time(s.first).isoformat())
                    widths.append((s.end - s.first) * clock.step * 1e3)
                    told.append(
                        f"{text.number(round(s.accelerators, 2))} x {fleet.places.hardware[s.hardware]}"
                    )
        figure.add_bar(
            name=fleet.places.names[r], orientation="h", y=names, base=begins, x=widths, hovertext=told
        )
    figure.update_layout(
        barmode="overlay", xaxis_type="date", height=120 + 28 * len(parts), legend_title_text="region"
    )
    figure.update_yaxes(categoryorder="array", categoryarray=[part.name for part in parts][::-1])
    return figure


def map_figure(go: Any, p: Placement, j: Judged) -> Any:
    """Return the regions on a map, as large as what runs there costs."""
    u = j.usage
    rows = [
        (
            units.from_base(r.entry.latitude.base, "deg"),
            units.from_base(r.entry.longitude.base, "deg"),
            float(u.cost[:, i].sum()),
            f"{r.name}: {text.amount(float(u.cost[:, i].sum()), 'USD')}, "
            + text.amount(units.from_base(float(u.carbon[:, i].sum()), "tCO2e"), "tCO2e"),
        )
        for i, r in enumerate(p.scenario.regions)
        if r.entry.latitude is not None and r.entry.longitude is not None
    ]
    most = max((cost for _, _, cost, _ in rows), default=0.0) or 1.0
    sizes = [8.0 + 32.0 * (cost / most) ** 0.5 for _, _, cost, _ in rows]
    figure = go.Figure(
        go.Scattergeo(
            lat=[row[0] for row in rows],
            lon=[row[1] for row in rows],
            text=[row[3] for row in rows],
            marker={"size": sizes},
        )
    )
    figure.update_geos(projection_type="natural earth", fitbounds="locations", visible=True)
    return figure

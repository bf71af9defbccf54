"""Placed plans: when which region runs what, and where the regions are."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsysim.core import text, units
from mlsysim.core.errors import InputError
from mlsysim.core.schedule.summary import parts_of, stretches
from mlsysim.viz import theme

if TYPE_CHECKING:
    from mlsysim.core.schedule.placement import Placement
    from mlsysim.core.schedule.summary import Judged
    from mlsysim.core.solver.optimization import Optimization


MANY = 40  # bars of a region beyond which they have no edges
NAMED = 9  # regions that a map names, those that cost most


def gantt(solution: Placement) -> Any:
    """Return the jobs of a plan over time, a colour and a pattern for each region.

    Args:
        solution: a placed plan with several jobs.

    Raises:
        InputError: there is no schedule to show.
        MissingExtraError: Plotly is not installed.
    """
    j = _answer(solution, "gantt")
    fleet, clock = j.fleet, solution.scenario.clock
    parts = parts_of(fleet)
    made = theme.figure(f"Jobs over time: {solution.scenario.name}", height=150 + 30 * len(parts))
    runs = [(n, part, s) for n, part in enumerate(parts) for s in stretches(fleet, j.schedule, part.jobs)]
    for at, r in enumerate(dict.fromkeys(sorted(s.region for _, _, s in runs))):
        mine = [(n, part, s) for n, part, s in runs if s.region == r]
        made.add_bar(
            name=theme.label(fleet.places.names[r], 26, 2),
            orientation="h",
            y=[n for n, _, _ in mine],
            base=[clock.time(s.first).isoformat() for _, _, s in mine],
            x=[(s.end - s.first) * clock.step * 1e3 for _, _, s in mine],
            width=0.72,
            marker=theme.style(at).bar | ({"line": {"width": 0}} if len(mine) > MANY else {}),
            hovertext=[
                f"{theme.label(part.name)}<br>{text.number(round(s.accelerators, 2))} x "
                f"{theme.label(fleet.places.hardware[s.hardware])} in {theme.label(fleet.places.names[r])}"
                for _, part, s in mine
            ],
            hoverinfo="text",
        )
    made.update_layout(barmode="overlay", legend_title_text="region")
    theme.axes(made, f"time [{clock.time(0).tzname() or 'UTC'}]", "")
    made.update_xaxes(type="date", range=[clock.time(0).isoformat(), clock.time(clock.slots).isoformat()])
    made.update_yaxes(
        tickvals=list(range(len(parts))),
        ticktext=[theme.label(part.name, 28, 1) for part in parts],
        range=[len(parts) - 0.5, -0.5],
        showgrid=False,
    )
    return made


def placement_map(solution: Placement | Optimization) -> Any:
    """Return the regions of a placed plan on a map, the larger the more what runs there costs.

    Of a plan with one job it is the region that was chosen, and those of the frontier or of the range of
    taxes beside it.

    Args:
        solution: of ``optimize.placement``.

    Raises:
        InputError: there is nothing to show.
        MissingExtraError: Plotly is not installed.
    """
    title, places = _places(solution)
    shown = [p for p in places if p[1] is not None]
    if not shown:
        raise InputError("no region of this plan has a place", where="map", hint="its entry says no latitude")
    made = theme.figure(title, height=420)
    for ring in _land():
        made.add_scatter(
            x=[p[0] for p in ring],
            y=[p[1] for p in ring],
            mode="lines",
            fill="toself",
            fillcolor="#ececec",
            line={"color": "#b0b0b0", "width": 0.8},
            hoverinfo="skip",
            showlegend=False,
        )
    most = max(p[3] for p in shown) or 1.0
    shown.sort(key=lambda p: -p[3])
    for n, (name, latitude, longitude, cost, told) in enumerate(shown):
        size = 9.0 + 22.0 * (cost / most) ** 0.5
        made.add_scatter(
            x=[longitude],
            y=[latitude],
            mode="markers",
            marker=theme.style(min(n, NAMED)).marker | {"size": size, "opacity": 0.9},
            name=f"{theme.label(name, 26, 2)}<br>{told}" if n < NAMED else f"and {len(shown) - NAMED} more",
            showlegend=n <= NAMED,
            hovertext=f"{theme.label(name)}<br>{told}",
            hoverinfo="text",
        )
    theme.axes(made, "longitude [°]", "latitude [°]")
    made.update_xaxes(range=[-180, 180], dtick=60, constrain="domain", layer="below traces")
    made.update_yaxes(
        range=[-60, 82], dtick=30, scaleanchor="x", scaleratio=1, constrain="domain", constraintoward="top"
    )
    return made


def located(solution: Placement | Optimization) -> bool:
    """Return whether a map would show anything."""
    return any(latitude is not None for _, latitude, *_ in _places(solution)[1])


@cache
def _land() -> list[list[list[float]]]:
    """Return the outlines of land: rings of longitude and latitude [deg]."""
    path = Path(__file__).with_name("land.json")
    rings: list[list[list[float]]] = json.loads(path.read_text(encoding="utf-8"))["rings"]
    return rings


Place = tuple[str, "float | None", "float | None", float, str]


def _places(found: Any) -> tuple[str, list[Place]]:
    """Return the title of a map, and name, latitude, longitude, cost and a word of each region."""
    from mlsysim.core.schedule.placement import Placement

    if isinstance(found, Placement):
        j = _answer(found, "map")
        u = j.usage
        rows = [
            _place(r.name, r.entry, float(u.cost[:, i].sum()), float(u.carbon[:, i].sum()))
            for i, r in enumerate(found.scenario.regions)
            if u.cost[:, i].any() or u.accelerators[:, i].any()
        ]
        return f"Where the jobs run: {found.scenario.name}", rows
    from mlsysim.infra import CATALOG

    t = found.tradeoff
    if t is None:
        raise InputError("this answer is about no regions", where="map", hint="optimize placement is")
    choices = [t.chosen, *(b.choice for b in t.baselines)]
    if t.envelope is not None:
        choices += [t.choice(s.line.answer) for s in t.envelope.stretches]
    if t.frontier is not None:
        choices += [t.choice(p.answer) for p in t.frontier.points]
    known = set(CATALOG.names())
    by_name = {c.label: c for c in choices if c.label in known}
    rows = [_place(name, CATALOG.get(name), c.cost, c.carbon) for name, c in by_name.items()]
    return f"Regions: {found.evaluation.scenario.name}", rows


def _place(name: str, entry: Any, cost: float, carbon: float) -> Place:
    at = [
        None if x is None else float(units.from_base(x.base, "deg"))
        for x in (entry.latitude, entry.longitude)
    ]
    emitted = text.amount(units.from_base(carbon, "tCO2e"), "tCO2e")
    return name, at[0], at[1], cost, f"{text.amount(cost, 'USD')}, {emitted}"


def _answer(p: Placement, where: str) -> Judged:
    if p.answer is None:
        raise InputError("there is no schedule to show", where=where, hint="the text says what clashes")
    return p.answer

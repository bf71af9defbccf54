"""What answers are weighed against: frontiers, and taxes at which the best answer changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mlsysim.core import text, units
from mlsysim.core.errors import InputError
from mlsysim.viz import theme

if TYPE_CHECKING:
    from mlsysim.core.schedule.placement import Placement
    from mlsysim.core.solver.optimization import Optimization
    from mlsysim.core.solver.pareto import Pareto

NAMED = 8  # points up to which each has a name of its own
WIDE = 20.0  # range of values from which on an axis is logarithmic
BIGGEST, SMALLEST = 24.0, 8.0  # of a mark [px]


@dataclass(frozen=True)
class Axis:
    """A metric of a frontier: its title and unit, and whether more of it is better."""

    title: str
    unit: str
    greatest: bool = False

    @property
    def named(self) -> str:
        """The title with the unit, and which way is better."""
        unit = {"1": "share", "": "1"}.get(self.unit, self.unit)
        return f"{self.title} [{unit}]" + (", more is better" if self.greatest else "")


@dataclass(frozen=True)
class Front:
    """A frontier as it is drawn: metrics, and a row of values and a name for each point."""

    title: str
    axes: tuple[Axis, ...]
    values: tuple[tuple[float, ...], ...]
    names: tuple[str, ...]


def pareto(frontier: Pareto | Optimization | Placement) -> Any:
    """Return the plans of which none beats another in two or three metrics.

    The third metric, if there is one, is the size of the marks.

    Args:
        frontier: of ``optimize.pareto``, or a placement that was asked for one.

    Raises:
        InputError: there is no frontier in it, or no point on it.
        MissingExtraError: Plotly is not installed.
    """
    front = _front(frontier)
    if not front.values:
        raise InputError("there is no plan on the frontier", where="pareto", hint="the text says why")
    x, y, *more = front.axes
    sizes, told = [12.0] * len(front.values), ""
    if more:
        third = [v[2] for v in front.values]
        low, high = min(third), max(third)
        span = (high - low) or 1.0
        sizes = [SMALLEST + (BIGGEST - SMALLEST) * ((t - low) / span) ** 0.5 for t in third]
        ends = " to ".join(text.amount(t, more[0].unit) for t in (low, high))
        told = f"The larger a mark, the more {more[0].title}: {ends}."
    made = theme.figure(front.title, height=460, under=told)
    order = sorted(range(len(front.values)), key=lambda i: front.values[i][:2])
    if not more:
        made.add_scatter(
            x=[front.values[i][0] for i in order],
            y=[front.values[i][1] for i in order],
            mode="lines",
            line={"color": theme.SOFT, "dash": "dot", "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
        )
    hover = [_hover(front, i) for i in range(len(front.values))]
    named = len(front.values) <= NAMED
    groups = [[i] for i in order] if named else [order]
    for n, group in enumerate(groups):
        marker = theme.style(n if named else 2).marker | {"size": [sizes[i] for i in group], "opacity": 0.95}
        made.add_scatter(
            x=[front.values[i][0] for i in group],
            y=[front.values[i][1] for i in group],
            mode="markers",
            marker=marker,
            name=theme.label(front.names[group[0]], 30, 3) if named else f"{len(order)} plans",
            hovertext=[hover[i] for i in group],
            hoverinfo="text",
            showlegend=named,
        )
    theme.axes(made, x.named, y.named)
    for axis, metric, n in ((made.update_xaxes, x, 0), (made.update_yaxes, y, 1)):
        values = [v[n] for v in front.values]
        if metric.unit == "1":
            axis(tickformat=".0%")
        elif min(values) > 0.0 and max(values) > WIDE * min(values):
            axis(theme.decades(min(values) / 1.3, max(values) * 1.3))
    return made


def _hover(front: Front, i: int) -> str:
    lines = [theme.label(front.names[i], 60, 3)]
    lines += [f"{a.title} {text.amount(v, a.unit)}" for a, v in zip(front.axes, front.values[i], strict=True)]
    return "<br>".join(lines)


def _front(found: Any) -> Front:
    """Return a frontier of any kind as it is drawn."""
    from mlsysim.core.schedule.placement import Placement
    from mlsysim.core.solver.optimization import Optimization
    from mlsysim.core.solver.pareto import Pareto

    if isinstance(found, Pareto):
        from mlsysim.core.solver.decided import briefly, decided

        return Front(
            f"Frontier: {found.scenario.name}",
            tuple(Axis(g.title, g.unit, g.greatest) for g in found.goals),
            tuple(tuple(found.value(e, g) for g in found.goals) for e in found.points),
            tuple(briefly(decided(e)) for e in found.points),
        )
    if isinstance(found, Optimization) and found.tradeoff is not None and found.tradeoff.frontier is not None:
        from mlsysim.core.metrics import METRICS
        from mlsysim.core.solver.tradeoff import SHOWN

        t = found.tradeoff
        assert t.frontier is not None
        choices = [t.choice(p.answer) for p in t.frontier.points]
        return Front(
            f"Frontier of regions: {found.evaluation.scenario.name}",
            tuple(Axis(name, METRICS[SHOWN[name]].unit) for name in t.metrics),
            tuple(tuple(c.shown(name) for name in t.metrics) for c in choices),
            tuple(c.label for c in choices),
        )
    if isinstance(found, Placement) and found.pareto is not None:
        from mlsysim.core.schedule.document import totals
        from mlsysim.core.schedule.weighed import METRICS as FLEET

        p = found.pareto
        taken = [totals(answer) for answer, _ in p.points]
        return Front(
            f"Frontier of schedules: {found.scenario.name}",
            tuple(Axis(name, FLEET[name][1]) for name in p.metrics),
            tuple(tuple(row[FLEET[name][0]] for name in p.metrics) for row in taken),
            tuple(f"schedule {n}" for n in range(1, len(taken) + 1)),
        )
    raise InputError(
        "there is no frontier in this result", where="pareto", hint="ask for one: --pareto cost,carbon"
    )


@dataclass(frozen=True)
class Stretch:
    """A best answer between two taxes [USD/tCO2e], what it costs [USD] and emits [tCO2e]."""

    low: float
    high: float
    name: str
    cost: float
    carbon: float


def breakpoints(solution: Optimization | Placement) -> Any:
    """Return cost and carbon of the best answer over a range of the carbon tax.

    Args:
        solution: of ``optimize.placement`` over a range of taxes.

    Raises:
        InputError: no range was asked for.
        MissingExtraError: Plotly is not installed.
    """
    title, stretches = _stretches(solution)
    changes = ", ".join(f"{s.low:,.1f}" for s in stretches[1:])
    under = (
        f"The best answer changes at {changes} USD/tCO2e." if changes else "The best answer never changes."
    )
    made = theme.figure(title, height=520, under=under)
    made.update_layout(
        xaxis={"anchor": "y", "title_text": "carbon tax [USD/tCO2e]"},
        xaxis_range=[stretches[0].low, stretches[-1].high],
        yaxis2=made.layout.yaxis.to_plotly_json()
        | {"domain": [0.54, 1.0], "anchor": "x", "title": {"text": "cost, no tax [USD]", "standoff": 12}},
        yaxis={"domain": [0.0, 0.46], "title_text": "carbon [tCO2e]"},
    )
    for n, s in enumerate(stretches):
        look = theme.style(n)
        for axis, value in (("y", s.carbon), ("y2", s.cost)):
            made.add_scatter(
                x=[s.low, 0.5 * (s.low + s.high), s.high],
                y=[value] * 3,
                yaxis=axis,
                mode="lines+markers",
                line=look.line | {"width": 4},
                marker=look.marker | {"size": [0, 11, 0]},
                name=theme.label(s.name, 26, 3),
                legendgroup=str(n),
                showlegend=axis == "y",
                hovertemplate=f"{theme.label(s.name)}<br>%{{y:,.4g}}<extra></extra>",
            )
    for before, after in pairwise(stretches):
        for axis, values in (("y", (before.carbon, after.carbon)), ("y2", (before.cost, after.cost))):
            made.add_scatter(
                x=[after.low] * 2,
                y=list(values),
                yaxis=axis,
                mode="lines",
                line={"color": theme.SOFT, "dash": "dot", "width": 1.5},
                hoverinfo="skip",
                showlegend=False,
            )
    emitted = [s.carbon for s in stretches]
    made.update_layout(yaxis_range=[-0.06 * max(emitted), 1.08 * max(emitted)])
    return made


def _stretches(found: Any) -> tuple[str, Sequence[Stretch]]:
    from mlsysim.core.schedule.placement import Placement
    from mlsysim.core.solver.optimization import Optimization
    from mlsysim.core.solver.tradeoff import per_tonne

    if isinstance(found, Optimization) and found.tradeoff is not None and found.tradeoff.envelope is not None:
        t = found.tradeoff
        assert t.envelope is not None
        rows = []
        for s in t.envelope.stretches:
            c = t.choice(s.line.answer)
            rows.append(
                Stretch(per_tonne(s.low), per_tonne(s.high), c.label, c.shown("cost"), c.shown("carbon"))
            )
        return f"Best region by carbon tax: {found.evaluation.scenario.name}", rows
    if isinstance(found, Placement) and found.taxes is not None:
        from mlsysim.core.schedule.document import totals
        from mlsysim.core.schedule.weighed import TAX

        rows = []
        for n, p in enumerate(found.taxes.plans, start=1):
            low, high = (units.from_base(x, TAX) for x in (p.low, p.high))
            taken = totals(p.answer)
            rows.append(Stretch(low, high, f"schedule {n}", taken["cost_usd"], taken["carbon_tco2e"]))
        return f"Best schedule by carbon tax: {found.scenario.name}", rows
    raise InputError(
        "no range of the carbon tax was asked for", where="breakpoints", hint="give one: --carbon-tax 0:300"
    )

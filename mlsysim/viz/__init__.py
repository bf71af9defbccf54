"""Plots of results (Plotly, from the extra ``labs``) and, without it, charts of characters.

Every function takes a result and returns a Plotly figure: ``viz.roofline(evaluation)``,
``viz.pareto(frontier)``. ``evaluation.plot("memory")`` and ``solution.plot()`` are the same; a figure is
shown by a notebook as it is, and ``figure.write_html("file.html")`` keeps it.

Numbers come from the result. Nothing here computes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlsysim.viz.breakdown import memory, step_time
    from mlsysim.viz.kinds import plot
    from mlsysim.viz.measured import validation
    from mlsysim.viz.pipelines import timeline
    from mlsysim.viz.placed import gantt, placement_map
    from mlsysim.viz.roofs import roofline
    from mlsysim.viz.served import serving_mix
    from mlsysim.viz.supplies import tornado
    from mlsysim.viz.tradeoff import breakpoints, pareto
    from mlsysim.viz.walls import headroom

_HOMES = {
    "breakpoints": "tradeoff",
    "gantt": "placed",
    "headroom": "walls",
    "memory": "breakdown",
    "pareto": "tradeoff",
    "placement_map": "placed",
    "plot": "kinds",
    "roofline": "roofs",
    "serving_mix": "served",
    "step_time": "breakdown",
    "timeline": "pipelines",
    "tornado": "supplies",
    "validation": "measured",
}

__all__ = [
    "breakpoints",
    "gantt",
    "headroom",
    "memory",
    "pareto",
    "placement_map",
    "plot",
    "roofline",
    "serving_mix",
    "step_time",
    "timeline",
    "tornado",
    "validation",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'mlsysim.viz' has no attribute {name!r}")
    # no module has the name of a function: once imported it would take its place
    value = getattr(import_module(f"mlsysim.viz.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""Which plots a result has, and the one that is shown if none is named."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mlsysim.core.errors import InputError, unknown

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation
    from mlsysim.core.schedule.placement import Placement
    from mlsysim.core.solver.optimization import Optimization

Draw = Callable[[], Any]


def plot(result: Any, kind: str | None = None) -> Any:
    """Return a plot of a result.

    Args:
        result: of ``eval``, ``optimize``, ``solve sensitivity`` or ``validate``.
        kind: a name of :func:`kinds`; the first one if absent.

    Raises:
        InputError: the result has no such plot.
        MissingExtraError: Plotly is not installed.
    """
    found = kinds(result)
    if not found:
        raise InputError(f"there is no plot of this {type(result).__name__}", where="plot")
    if kind is None:
        return next(iter(found.values()))()
    if kind not in found:
        raise unknown("plot of this result", kind, found).at("plot")
    return found[kind]()


def kinds(result: Any) -> dict[str, Draw]:
    """Return the plots of a result by name, the most telling first."""
    by_type: dict[str, Callable[[Any], dict[str, Draw]]] = {
        "Evaluation": _evaluation,
        "Optimization": _optimization,
        "Placement": _placement,
        "Pareto": lambda r: {"pareto": _drawn("tradeoff", "pareto", r)},
        "Prices": lambda r: {"tornado": _drawn("supplies", "tornado", r)},
        "Sensitivity": lambda r: {"tornado": _drawn("supplies", "tornado", r)},
        "Report": lambda r: {"validation": _drawn("measured", "validation", r)},
        "ServingMix": lambda r: {"mix": _drawn("served", "serving_mix", r)} if r.hours else {},
    }
    return by_type.get(type(result).__name__, lambda _: {})(result)


def _drawn(module: str, name: str, result: Any) -> Draw:
    """Return a plot to be drawn; its module is imported then."""
    return lambda: getattr(import_module(f"mlsysim.viz.{module}"), name)(result)


def _evaluation(e: Evaluation) -> dict[str, Draw]:
    found = {
        "walls": _drawn("walls", "headroom", e),
        "roofline": _drawn("roofs", "roofline", e),
        "memory": _drawn("breakdown", "memory", e),
        "time": _drawn("breakdown", "step_time", e),
    }
    if e.layout is not None:
        found["timeline"] = _drawn("pipelines", "timeline", e)
    return found


def _optimization(o: Optimization) -> dict[str, Draw]:
    found: dict[str, Draw] = {}
    if o.tradeoff is not None and o.tradeoff.envelope is not None:
        found["breakpoints"] = _drawn("tradeoff", "breakpoints", o)
    if o.tradeoff is not None and o.tradeoff.frontier is not None:
        found["pareto"] = _drawn("tradeoff", "pareto", o)
    return found | _evaluation(o.evaluation)


def _placement(p: Placement) -> dict[str, Draw]:
    if p.answer is None:
        return {}
    found = {"gantt": _drawn("placed", "gantt", p), "map": _drawn("placed", "placement_map", p)}
    if p.taxes is not None:
        found["breakpoints"] = _drawn("tradeoff", "breakpoints", p)
    if p.pareto is not None:
        found["pareto"] = _drawn("tradeoff", "pareto", p)
    return found

"""The best mix hour by hour.

Without a cost of starting instances, hours have nothing to do with each other and each is proven on its
own. With one, :mod:`formulations.serving_starts` prices it and joins the hours; one program over all of
them closes the rest where it is small enough to be asked.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from formulations.engines import arrays
from formulations.engines.base import Options
from formulations.serving import Mix, Plan, program
from formulations.serving_bounds import all_cells
from formulations.serving_hour import Best, best_hour, told
from formulations.serving_starts import linked

# Flows and counts of a program over all hours that an engine is still asked to close.
TOGETHER = 60_000


def best(m: Mix, options: Options, solver: str = "auto") -> Best:
    """Return the best mix over all hours of a problem; its cost is that of all of them together."""
    if m.hours == 1:
        return best_hour(m, options, solver)
    alone = _apart(m, options, solver)
    if alone.plan is None or not m.start.any() or alone.bound is None:
        return alone
    if alone.gap is not None and alone.gap <= options.gap:
        return alone
    if solver == "auto" and not m.role.any():
        alone = linked(m, alone, options)
        if alone.gap is not None and alone.gap <= options.gap:
            return replace(alone, status="optimal")
    if _size(m) > TOGETHER or options.expired or alone.bound is None:
        return replace(alone, status="feasible")
    assert alone.objective is not None
    p = program(m, all_cells(m), (alone.bound * (1.0 - 1e-9), alone.objective * (1.0 + 1e-9)))
    last = told(arrays.solve(p.linear, options, solver), p, m, m, np.arange(m.kinds))
    if last.objective is None or last.objective >= alone.objective:
        least = max(alone.bound, last.bound or 0.0)
        if last.status in ("optimal", "infeasible"):
            least = alone.objective if last.status == "infeasible" else least
        closed = alone.objective - least <= options.gap * alone.objective
        return replace(alone, status="optimal" if closed else "feasible", bound=min(least, alone.objective))
    return last


def whole(m: Mix, options: Options, solver: str) -> Best:
    """Return an engine's answer to the problem as it is: nothing is ruled out beforehand."""
    p = program(m)
    return told(arrays.solve(p.linear, options, solver), p, m, m, np.arange(m.kinds))


def _size(m: Mix) -> int:
    flows = int(np.isfinite(m.time).sum())
    return (flows + int((m.most + 1).sum())) * m.hours


def _apart(m: Mix, options: Options, solver: str) -> Best:
    """Return the best plan of each hour on its own; starts are paid, and bounded by nothing."""
    rates, which = np.unique(m.rate, axis=1, return_inverse=True)
    which = which.reshape(-1)
    found: list[Best] = []
    for k in range(rates.shape[1]):
        left = rates.shape[1] - k
        share = replace(options, time_limit=options.time_limit - options.remaining * (1.0 - 1.0 / left))
        found.append(best_hour(replace(m, rate=rates[:, k : k + 1]), share, solver))
        if found[-1].plan is None:
            return found[-1]
    plans = [found[k].plan for k in which]
    plan = Plan(
        np.concatenate([p.count for p in plans if p], axis=1),
        np.concatenate([p.flow for p in plans if p], axis=2),
    )
    bounds = [found[k].bound for k in which]
    least = float(sum(b for b in bounds if b is not None)) if all(b is not None for b in bounds) else None
    objective = plan.cost(m)
    closed = least is not None and objective - least <= options.gap * abs(objective) + 1e-12
    return Best(
        "optimal" if closed else "feasible",
        plan,
        objective,
        least,
        found[0].engine,
        found[0].version,
        sum(b.seconds for b in found),
        sum(b.nodes for b in found),
        max(b.variables for b in found),
        max(b.rows for b in found),
    )

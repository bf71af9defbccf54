"""The best mix of one hour, proven."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from formulations.algebra import Floats, Indices
from formulations.engines import arrays
from formulations.engines.arrays import Answer
from formulations.engines.base import Options
from formulations.serving import Mix, Plan, Program, program
from formulations.serving_bounds import ROUNDING, Bound, Cells, all_cells, bound, prune
from formulations.serving_first import first_plan
from formulations.serving_tree import NODES, close

# Kinds of instances that a first plan is made of where pairs do not do, and how good it has to be.
FIRST_KINDS = 8
FIRST_GAP = 2e-3
# How often bounds are drawn tighter by what they ruled out before.
ROUNDS = 3
# Nodes of the search by prices where stocks run out: linear programs then know more.
FEW_NODES = 300


@dataclass(frozen=True)
class Best:
    """The best plan found and what was proven of it; ``status`` as of an outcome."""

    status: str
    plan: Plan | None = None
    objective: float | None = None
    bound: float | None = None
    engine: str = ""
    version: str = ""
    seconds: float = 0.0
    nodes: int = 0
    variables: int = 0
    rows: int = 0

    @property
    def gap(self) -> float | None:
        """Relative distance of the objective from the bound; None where nothing is proven."""
        if self.objective is None or self.bound is None:
            return None
        return max(0.0, self.objective - self.bound) / max(abs(self.objective), 1e-30)


def best_hour(m: Mix, options: Options, solver: str = "auto") -> Best:
    """Return the best mix of a problem of one hour.

    Prices rule out kinds and numbers of instances; a first plan of few kinds says how far that goes;
    one whole program decides the rest.
    """
    cells = all_cells(m)
    prices = stock_prices(m, cells, options)
    if prices is None:
        return Best("infeasible", engine="highs")
    b = bound(m, cells, prices)
    known = _first(m, cells, b, options, solver)
    limit = np.inf if known.objective is None else known.objective
    for _ in range(ROUNDS):
        cells = prune(cells, b, limit)
        b = bound(m, cells, prices)
    if known.plan is not None and (any(not c.any() for c in cells) or b.least >= limit * (1.0 - options.gap)):
        return replace(known, status="optimal", bound=min(limit, b.least))
    if known.plan is not None and solver == "auto" and not m.role.any():
        known, limit, closed = _searched(m, cells, prices, known, options)
        if closed:
            return known
        b = replace(b, least=max(b.least, known.bound or 0.0))
    last = _ask(m, cells, options, solver, (b.least, limit))
    if known.plan is None or (last.objective is not None and last.objective < limit):
        return last
    least = limit if last.status == "infeasible" else b.least if last.bound is None else last.bound
    closed = last.status in ("optimal", "infeasible") or limit - least <= options.gap * limit
    seconds = known.seconds + last.seconds
    status = "optimal" if closed else "feasible"
    return replace(
        known,
        status=status,
        bound=min(least, limit),
        seconds=seconds,
        variables=last.variables,
        rows=last.rows,
        nodes=last.nodes,
    )


def _searched(
    m: Mix, cells: Cells, prices: Floats, known: Best, options: Options
) -> tuple[Best, float, bool]:
    """Return the better plan that a search by prices finds, its cost, and whether it is proven."""
    assert known.objective is not None
    begin = time.perf_counter()
    kept = np.array([v for v, c in enumerate(cells) if c[1:].any()], dtype=np.int64)
    spans = [_span(cells[v]) for v in kept]
    small = m.some(kept)

    def all_counts(counts: Indices) -> dict[int, int]:
        return {int(v): int(n) for v, n in zip(kept, counts, strict=True)}

    found = close(
        small,
        spans,
        prices,
        known.objective,
        lambda counts: exactly(m, all_counts(counts), options).plan is not None,
        options,
        FEW_NODES if prices.any() else NODES,
    )
    best = known
    if found.counts is not None:
        best = exactly(m, all_counts(found.counts), options)
        if best.plan is None:  # the engine's tolerance and ours differ on a full pool
            return replace(known, bound=found.bound), known.objective, False
    assert best.objective is not None
    closed = best.objective - found.bound <= options.gap * best.objective * (1.0 + ROUNDING)
    best = replace(
        best,
        status="optimal" if closed else "feasible",
        bound=min(found.bound, best.objective),
        nodes=found.nodes,
        seconds=known.seconds + time.perf_counter() - begin,
    )
    return best, best.objective or 0.0, closed


def bounded(m: Mix, options: Options) -> tuple[float, Indices | None]:
    """Return a bound on the cost of an hour without split roles, and the best numbers found.

    As :func:`best_hour`, but what flows where is left open.
    """
    cells = all_cells(m)
    prices = np.zeros(len(m.stocks))
    b = bound(m, cells, prices)
    cost, counts = first_plan(m, cells, b.by)
    for _ in range(ROUNDS):
        cells = prune(cells, b, cost)
        b = bound(m, cells, prices)
    if np.isinf(b.least):
        return cost, None
    kept = np.array([v for v, c in enumerate(cells) if c[1:].any()], dtype=np.int64)
    found = close(
        m.some(kept),
        [_span(cells[v]) for v in kept],
        prices,
        cost,
        lambda n: exactly(m, dict(zip(kept.tolist(), n.tolist(), strict=True)), options).plan is not None,
        options,
        FEW_NODES if np.isfinite(m.stocks[m.stock]).any() else NODES,
    )
    if found.counts is not None:
        counts = dict(zip(kept.tolist(), found.counts.tolist(), strict=True))
    numbers = np.array([counts.get(v, 0) for v in range(m.kinds)], dtype=np.int64)
    return found.bound, numbers if counts else None


def exactly(m: Mix, counts: dict[int, int], options: Options) -> Best:
    """Return the plan with given numbers; without one if they do not serve."""
    only = [np.arange(len(w)) == counts.get(v, 0) for v, w in enumerate(m.work)]
    return _ask(m, only, options, "highs")


def _span(cells: Any) -> Any:
    """Return numbers without gaps that hold all that are allowed."""
    at = np.flatnonzero(cells)
    n = np.arange(len(cells))
    return (n >= at.min()) & (n <= at.max())


def _first(m: Mix, cells: Cells, b: Bound, options: Options, solver: str) -> Best:
    """Return a first plan: of one or two kinds, or else an engine's of the most promising ones."""
    cost, counts = first_plan(m, cells, b.by)
    if counts:
        found = exactly(m, counts, options)
        if (
            found.plan is not None
            and found.objective is not None
            and found.objective <= cost * (1 + ROUNDING)
        ):
            return replace(found, bound=None)
    ranked = sorted((float(x[1:].min()), v) for v, x in enumerate(b.by) if len(x) > 1)
    good = [v for least, v in ranked if np.isfinite(least)]
    few = [c if v in good[:FIRST_KINDS] else np.arange(len(c)) == 0 for v, c in enumerate(cells)]
    return _ask(m, few, replace(options, gap=max(FIRST_GAP, options.gap)), solver)


def _ask(
    m: Mix, cells: Cells, options: Options, solver: str, between: tuple[float, float] = (0.0, np.inf)
) -> Best:
    """Return an engine's answer on the kinds and numbers that are left."""
    kept = np.array([v for v, c in enumerate(cells) if c[1:].any()], dtype=np.int64)
    if not len(kept) or any(not c.any() for c in cells):
        return Best("infeasible", engine=solver)
    small = m.some(kept)
    low, high = between
    p = program(
        small,
        [cells[v] for v in kept],
        (low * (1.0 - ROUNDING) if low > 0.0 else -np.inf, high * (1.0 + ROUNDING)),
    )
    return told(arrays.solve(p.linear, options, solver), p, small, m, kept)


def told(a: Answer, p: Program, small: Mix, m: Mix, kept: Indices) -> Best:
    """Return an engine's answer on some kinds in terms of all of them."""
    common: dict[str, Any] = {
        "engine": a.engine,
        "version": a.version,
        "seconds": a.seconds,
        "nodes": a.nodes,
        "variables": len(p.linear.cost),
        "rows": len(p.linear.row_low),
    }
    if a.x is None:
        return Best(a.status, bound=a.bound, **common)
    found = p.decode(small, a.x)
    count = np.zeros((m.kinds, m.hours), dtype=np.int64)
    flow = np.zeros((*m.time.shape, m.hours))
    count[kept], flow[:, kept] = found.count, found.flow
    plan = Plan(count, flow)
    return Best(a.status, plan, plan.cost(m), a.bound, **common)


def stock_prices(m: Mix, cells: Cells, options: Options) -> Floats | None:
    """Return what an accelerator of each stock is worth in the relaxation; None if nothing serves all."""
    prices = np.zeros(len(m.stocks))
    if np.isinf(bound(m, cells, prices).least):
        return None
    if not np.isfinite(m.stocks[m.stock]).any():
        return prices
    used = np.array([v for v, c in enumerate(cells) if c[1:].any()], dtype=np.int64)
    if not len(used):
        return None
    small = m.some(used)
    # a number in between costs more than its share of both ends, and does less
    ends = [_ends(cells[v]) for v in used]
    p = program(small, ends)
    relaxed = replace(p.linear, whole=np.zeros(len(p.linear.cost), dtype=bool))
    a = arrays.highs(relaxed, options)
    if a.status == "infeasible":
        return None
    if a.duals is None:
        return prices
    for row, label in enumerate(p.linear.row_labels):
        if label[0] == "stock":
            s = int(label[1])
            prices[s] = max(0.0, -float(a.duals[row]) / max(float(m.stocks[s]), 1e-12))
    return prices


def _ends(cells: Any) -> Any:
    at = np.flatnonzero(cells)
    return np.isin(np.arange(len(cells)), (at.min(), at.max()))

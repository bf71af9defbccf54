"""Problems so small that looking at every solution once is quicker than any reduction."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formulations.algebra import Indices
from formulations.dominance import undominated
from formulations.engines.base import Options, Outcome
from formulations.joint import ROW_TOLERANCE, TIE, Cells, Enumerated, Known, exclusions_between, join
from formulations.pairs import At
from formulations.presolve import outside, restrict
from formulations.problem import Problem, Row, shared
from formulations.solve import Solved, checked

# Solutions that are quicker looked at than reduced.
SMALL = 1 << 18


def solve_small(problem: Problem, options: Options | None = None) -> Solved | None:
    """Return the proven best of a small problem, or that there is none; None where it is not small.

    Raises:
        MismatchError: the answer does not survive re-evaluation.
    """
    options = options or Options()
    begin = time.perf_counter()
    if problem.amounts:
        return None
    reduced, kept = _without_the_free(problem)
    found = first_kept(reduced, SMALL)
    if not found.complete or options.expired:
        return None
    if found.found:
        found = replace(found, found=[outside(found.found[0], reduced, kept, problem)])
    outcome = Outcome(
        "infeasible" if found.objective is None else "optimal",
        "exhaustive",
        f"numpy {np.__version__}",
        time.perf_counter() - begin,
        objective=found.objective,
        bound=found.objective,
        cells=found.cells,
        nodes=found.seen,
    )
    return Solved(checked(outcome, problem), problem.space_size, float(found.seen), 0.0)


def _without_the_free(problem: Problem) -> tuple[Problem, list[Indices]]:
    """Return the problem without cells that others replace, of choices that go with every cell of others.

    Such a choice, as the interval between checkpoints, multiplies the solutions by all its cells, and
    mostly one of them is the best whatever else is chosen.
    """
    kept = [np.arange(c.size) for c in problem.choices]
    binding = replace(problem, rows=[row for row in problem.rows if row.may_bind])
    for i, choice in enumerate(problem.choices):
        linked = any(
            shared(choice, other) or exclusions_between(problem, choice, other)
            for other in problem.choices
            if other is not choice
        )
        if not linked and choice.size > 1:
            kept[i] = np.flatnonzero(undominated(binding, choice))
    return restrict(problem, kept), kept


def first_kept(problem: Problem, most: float) -> Enumerated:
    """Return the best solution in one pass over all of them, ties settled as by :func:`lexicographic`.

    Rows are looked at only for solutions that are good enough, the best ones first.

    Args:
        problem: choices only.
        most: solutions to look at; with more, nothing is found and the pass is not complete.
    """
    rows = [row for row in problem.rows if row.may_bind]
    chosen: tuple[tuple[float, ...], Known] | None = None
    limit, seen = float("inf"), 0
    for batch in join(problem, chunk=1 << 16):
        seen += len(next(iter(batch.values())))
        if seen > most:
            return Enumerated([], seen, False)
        values = At(batch).value(problem.objective)
        low = _least_kept(rows, batch, values, limit)
        if low is None:
            continue
        limit = min(limit, low + TIE * abs(low))
        near = np.flatnonzero(values <= limit)
        tied = {c: v[near] for c, v in batch.items()}
        near = near[_keeps(rows, tied, len(near))]
        tied = {c: batch[c][near] for c in problem.choices}
        keys = [*(e.at(tied) for e in problem.ties), *(tied[c] for c in problem.choices)]
        i = int(np.lexsort(keys[::-1])[0])
        key = tuple(float(k[i]) for k in keys)
        here = (float(values[near[i]]), {c: tied[c][i : i + 1] for c in problem.choices})
        if chosen is None or chosen[1][0] > limit or key < chosen[0]:
            chosen = key, here
    return Enumerated([] if chosen is None else [chosen[1]], seen, True)


def _least_kept(rows: list[Row], batch: Cells, values: NDArray[Any], limit: float) -> float | None:
    """Return the least value at most ``limit`` of a batch's solutions that keep the rows."""
    near = np.flatnonzero(values <= limit)
    looked = 256
    while len(near):
        best = near[np.argpartition(values[near], looked)[:looked]] if len(near) > looked else near
        kept = best[_keeps(rows, {c: v[best] for c, v in batch.items()}, len(best))]
        if len(kept):
            return float(values[kept].min())
        if len(best) == len(near):
            return None
        near = near[values[near] > values[best].max()]
        looked *= 8
    return None


def _keeps(rows: list[Row], cells: Cells, size: int) -> NDArray[np.bool_]:
    keep = np.ones(size, dtype=bool)
    for row in rows:
        keep &= row.holds(cells, None, ROW_TOLERANCE)
    return keep

"""Good solutions to prune with, before any proof: descent from seeds.

With the cell of one choice fixed, the others are enumerated, all of them or those that bounds like
best; then that of another choice, until nothing gets better. Changes that need two choices at once,
such as another degree that both have, are within reach so.
"""

from __future__ import annotations

import numpy as np

from formulations.algebra import Choice, Expr
from formulations.bounds import FEW_PAIRS, Bounds, limits_of
from formulations.engines.base import Options
from formulations.joint import Cells, Known, best, better
from formulations.joint import count as size_of
from formulations.problem import Problem

# Complete solutions that one step of the descent looks at, about.
BUDGET = 1 << 14
# As many in all are looked at outright, where nothing is known: the best of them is the best there is.
OUTRIGHT = 8 * BUDGET
# Cells of each choice that seeds are looked for among.
SEED_CELLS = (16, 64)
# Values of a shared attribute that get a seed of their own, from the least to the greatest.
MOST_VALUES = 8


def first_solutions(
    problem: Problem, seeds: list[Known], options: Options, count: int, *, afresh: bool = True
) -> list[Known]:
    """Return good solutions, best first.

    Args:
        problem: choices only.
        seeds: solutions that are known.
        options: its clock is looked at.
        count: how many to return.
        afresh: look for other seeds too; done anyway where there are none.
    """
    limits, bounds = limits_of(problem, None), Bounds(problem, FEW_PAIRS)
    known = list(seeds)
    looking = afresh or not known
    if looking and size_of(problem) <= OUTRIGHT:
        cut = known[count - 1][0] if len(known) >= count else np.inf
        return merged(
            known, best(problem, None, np.inf, lambda: options.expired, count, cut=cut).found, count
        )
    if looking:
        for take in SEED_CELLS:
            known = _seeds(bounds, limits, take, options, count, known)
            if known:
                break
    tried: set[tuple[int, int]] = set()
    improved = bool(known)
    while improved and not options.expired:
        improved = False
        for position, choice in enumerate(problem.choices):
            value, at = known[0]
            fixed = position, int(at[choice][0])
            if fixed in tried or options.expired:
                continue
            tried.add(fixed)
            cut = known[count - 1][0] if len(known) >= count else np.inf
            subset = _promising(bounds, {choice: at[choice]}, limits, cut)
            if subset is not None:
                found = best(problem, subset, 8 * BUDGET, lambda: options.expired, count, cut=cut)
                known = merged(known, found.found, count)
                improved |= known[0][0] < value
    return known


def _seeds(
    bounds: Bounds,
    limits: list[tuple[Expr, float]],
    take: int,
    options: Options,
    count: int,
    known: list[Known],
) -> list[Known]:
    """Return the best solutions among the cells that bounds like best.

    Looked for from each choice on, and with each value of what choices must agree on, so that no
    part of the space is left out because another one looks better at first sight.
    """
    problem = bounds.problem
    starts: list[tuple[Choice | None, Cells]] = [(choice, {}) for choice in problem.choices]
    for name in dict.fromkeys(n for c in problem.choices for n in c.columns):
        having = [c for c in problem.choices if name in c.columns]
        values = np.unique(np.concatenate([c.columns[name] for c in having]))
        if len(having) > 1 and len(values) > 1:
            values = values[np.unique(np.linspace(0, len(values) - 1, MOST_VALUES).astype(int))]
            starts += [(None, {c: np.flatnonzero(c.columns[name] == v) for c in having}) for v in values]
    for begin, inside in starts:
        if options.expired:
            break
        cut = known[count - 1][0] if len(known) >= count else np.inf
        if all(len(cells) for cells in inside.values()):
            subset = _promising(bounds, {}, limits, cut, take, begin, inside)
            if subset is not None:
                found = best(problem, subset, 8 * BUDGET, lambda: options.expired, count, cut=cut)
                known = merged(known, found.found, count)
    return known


def _promising(
    whole: Bounds,
    kept: Cells,
    limits: list[tuple[Expr, float]],
    cut: float,
    take: int = 0,
    begin: Choice | None = None,
    inside: Cells | None = None,
) -> Cells | None:
    """Return cells of each choice that bounds like best, given those kept of choices before it.

    Args:
        whole: bounds of the problem.
        kept: cells that are kept already.
        limits: rows that must hold.
        cut: what the objective must be below.
        take: how many cells of each choice; as many as the budget allows if 0.
        begin: the choice to begin with.
        inside: the only cells of some choices to look at.
    """
    problem, inside = whole.problem, inside or {}
    rest = sorted((c for c in problem.choices if c not in kept), key=lambda c: (c is not begin, c.size))
    room = float(BUDGET)
    for left, choice in zip(range(len(rest), 0, -1), rest, strict=True):
        bounds = whole.among(inside | kept)
        usable = np.flatnonzero(bounds.possible(choice))
        if choice in inside:
            usable = np.intersect1d(usable, inside[choice], assume_unique=True)
        if len(usable):
            worth = bounds.of(problem.objective, choice)
            for e, limit in limits:
                worth = np.where(bounds.of(e, choice) <= limit, worth, np.inf)
            usable = usable[worth[usable] < cut]
        if not len(usable):
            return None
        most = take or max(8, int(room ** (1.0 / left)))
        if len(usable) > most:
            usable = usable[np.argsort(worth[usable], kind="stable")[:most]]
        kept = kept | {choice: np.sort(usable)}
        room = max(1.0, room / len(usable))
    return kept


def merged(known: list[Known], found: list[Known], count: int) -> list[Known]:
    """Return the best of both, each solution once."""

    def key(k: Known) -> tuple[int, ...]:
        return tuple(int(i[0]) for i in k[1].values())

    there = {key(k) for k in known}
    return better(known, [k for k in found if key(k) not in there], count)

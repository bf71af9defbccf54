"""Exact reductions before an engine runs.

A cell goes when its best completion breaks a row, or is worse than solutions already known, or when
another cell replaces it without loss. No optimal solution that the tie-breakers prefer is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from formulations.algebra import Amount, Choice, Expr, Indices, Maximum, Product, Table, as_expr, multiply
from formulations.bounds import FEW_PAIRS, MAX_PAIRS, Bounds, limits_of
from formulations.dominance import undominated
from formulations.engines.base import Options
from formulations.first import first_solutions, merged
from formulations.joint import Cells, Known, holds
from formulations.problem import Exclusion, Problem, Row

# Combinations of cells that are many to have left, and so few that reducing them further is in vain.
LARGE = 1e5
FEW = 1e3
# By how much the space has to shrink before solutions are looked for again.
AGAIN = 30.0
# Cells of a choice that are too many to hold against every limit before the objective has ruled some out.
MANY = 1 << 14
# Share of cells that is left when much has gone.
MUCH = 0.8


@dataclass(frozen=True)
class Reduced:
    """A smaller problem with the same best solutions.

    Attributes:
        problem: the rest; choices in the order of the original.
        cells: for each of its choices, the original index of each cell.
        known: the best solutions known, best first: their objective and original cells.
        infeasible: no cell of some choice is left, which proves that no solution holds.
    """

    problem: Problem
    cells: list[Indices]
    known: list[Known]
    infeasible: bool

    @property
    def incumbent(self) -> Known | None:
        """The best solution known."""
        return self.known[0] if self.known else None


def reduce(
    problem: Problem,
    options: Options | None = None,
    *,
    prune: bool = True,
    count: int = 1,
    starts: Sequence[Cells] = (),
) -> Reduced:
    """Return a smaller problem with the same best solutions.

    Args:
        problem: the problem.
        options: its clock is looked at between reductions; those not made by then are left out.
        prune: also look for first solutions and drop what is worse than them.
        count: how many of the best solutions must survive.
        starts: solutions to prune with, where they hold.
    """
    options = options or Options()
    cells = [np.arange(c.size) for c in problem.choices]
    current = problem
    given = [s for s in starts if holds(problem, s)[0]]
    known = merged([], [(float(problem.objective.at(s)[0]), s) for s in given], count)
    level, looked, afresh = 0, 0.0, True
    while problem.choices and level < len(LEVELS) and not options.expired:
        enough = known[count - 1][0] if len(known) >= count else None
        keep = LEVELS[level](current, limits_of(current, enough), options)
        if any(not k.any() for k in keep):
            return Reduced(current, cells, known, infeasible=not known)
        left = float(np.prod([k.mean() for k in keep]))
        cells = [at[k] for at, k in zip(cells, keep, strict=True)]
        current = restrict(current, [np.flatnonzero(k) for k in keep])
        better_known = False
        # looking for better solutions again pays when much has gone, or nothing else helps
        stuck = left > MUCH
        # where little goes and much is left, the solutions known may be poor: look elsewhere, once
        elsewhere = stuck and afresh and current.space_size > LARGE
        afresh &= not elsewhere
        worth = elsewhere or current.space_size * AGAIN <= looked or not looked
        if prune and not current.amounts and worth:
            looked = current.space_size
            seeds = inside(known, current, cells, problem)
            found = first_solutions(current, seeds, options, count, afresh=elsewhere)
            more = merged(known, [outside(k, current, cells, problem) for k in found], count)
            better_known = [k[0] for k in more] != [k[0] for k in known]
            known = more
            if better_known and options.progress is not None:
                options.progress(known[0][0], None)
        if known and current.space_size <= FEW:
            break
        level = 0 if better_known or (left < MUCH and level == len(LEVELS) - 1) else level + (left >= MUCH)
    if count == 1 and problem.choices and not options.expired:
        keep = [undominated(current, c) for c in current.choices]
        cells = [at[k] for at, k in zip(cells, keep, strict=True)]
        current = restrict(current, [np.flatnonzero(k) for k in keep])
    rows = [row for row in current.rows if _may_bind(row, current)]
    return Reduced(replace(current, rows=rows), cells, known, infeasible=False)


def _may_bind(row: Row, problem: Problem) -> bool:
    """Return whether anything that is left breaks a row, as far as bounds can tell."""
    if not row.may_bind or not problem.choices:
        return row.may_bind
    bounds, less = Bounds(problem, MAX_PAIRS), as_expr(multiply(-1.0, row.expr))
    return all(-bounds.of(less, c).min() > row.supply for c in problem.choices)


def within(reduced: Reduced, worst: float) -> Reduced:
    """Return what is left of a reduced problem where solutions must be no worse than given."""
    current, cells = reduced.problem, reduced.cells
    for pairs in (FEW_PAIRS, MAX_PAIRS):
        keep = possible(Bounds(current, pairs), limits_of(current, worst), Options())
        if not all(k.any() for k in keep):  # nothing but rounding between the bound and the answer
            break
        cells = [at[k] for at, k in zip(cells, keep, strict=True)]
        current = restrict(current, [np.flatnonzero(k) for k in keep])
    return Reduced(current, cells, reduced.known, reduced.infeasible)


def outside(known: Known, small: Problem, cells: list[Indices], problem: Problem) -> Known:
    """Return a solution of a reduced problem in the cells of the original."""
    triples = zip(small.choices, problem.choices, cells, strict=True)
    return known[0], {big: at[known[1][c]] for c, big, at in triples}


def inside(known: list[Known], small: Problem, cells: list[Indices], problem: Problem) -> list[Known]:
    """Return those of some solutions that a reduced problem still has, in its cells."""
    found = []
    for value, solution in known:
        at = {
            c: np.flatnonzero(here == solution[big][0])
            for c, big, here in zip(small.choices, problem.choices, cells, strict=True)
        }
        if all(len(i) for i in at.values()):
            found.append((value, at))
    return found


Limits = list[tuple[Expr, float]]


def possible(bounds: Bounds, limits: Limits, options: Options) -> list[np.ndarray]:
    """Return the cells of each choice with which every limit may hold."""
    keep = []
    for choice in bounds.problem.choices:
        mask = bounds.possible(choice)
        for e, limit in limits:
            if options.expired:
                break
            mask &= bounds.of(e, choice) <= limit
        keep.append(mask)
    return keep


def _quick(problem: Problem, limits: Limits) -> Limits:
    """Return the objective's limit alone, the last one, where there are many cells."""
    many = any(c.size > MANY for c in problem.choices)
    return limits[-1:] if many and limits and limits[-1][0] is problem.objective else limits


def _kept_in_pairs(bounds: Bounds, limits: Limits, options: Options) -> list[np.ndarray]:
    """Return the cells that have, in each other choice, a cell with which every limit may hold.

    Stops at the first two choices of which much goes: the rest is cheaper without it.
    """
    choices = bounds.problem.choices
    keep = [np.ones(c.size, dtype=bool) for c in choices]
    both = [(i, j) for i in range(len(choices)) for j in range(i)]
    for i, j in sorted(both, key=lambda p: choices[p[0]].size * choices[p[1]].size):
        at = bounds.together(choices[i], choices[j])
        if at is None or options.expired:
            continue
        fine = np.ones(len(at.left), dtype=bool)
        for e, limit in reversed(limits):  # the objective first: it rules out most
            fine &= bounds.pair(e, choices[i], choices[j], at) <= limit
        for k, index in ((i, at.left), (j, at.right)):
            some = np.zeros(choices[k].size, dtype=bool)
            some[index[fine]] = True
            keep[k] &= some
        if any(k.sum() < MUCH * len(k) for k in keep):
            break
    return keep


# Reductions from the cheapest on; the next is tried when one no longer drops much.
LEVELS: tuple[Callable[[Problem, Limits, Options], list[np.ndarray]], ...] = (
    lambda problem, limits, options: possible(Bounds(problem, FEW_PAIRS), _quick(problem, limits), options),
    lambda problem, limits, options: possible(Bounds(problem, MAX_PAIRS), limits, options),
    lambda problem, limits, options: _kept_in_pairs(Bounds(problem, MAX_PAIRS), limits, options),
)


def restrict(problem: Problem, cells: list[Indices]) -> Problem:
    """Return the problem with only the given cells of each choice."""
    at = dict(zip(problem.choices, cells, strict=True))
    whole = {c for c, i in at.items() if len(i) == c.size}
    new = {
        c: c if c in whole else Choice(c.name, {k: v[i] for k, v in c.columns.items()}) for c, i in at.items()
    }
    # what occurs twice stays one, so that it is bounded once
    parts: dict[tuple[int, int], np.ndarray] = {}
    exprs: dict[int, Expr] = {}

    def values(choice: Choice, v: np.ndarray) -> np.ndarray:
        key = id(choice), id(v)
        if key not in parts:
            parts[key] = v if choice in whole else v[at[choice]]
        return parts[key]

    def expr(e: Expr) -> Expr:
        if id(e) not in exprs:
            exprs[id(e)] = Expr(
                e.constant,
                {new[c]: values(c, v) for c, v in e.tables.items()},
                e.amounts,
                tuple(Product(factor(p.left), table(p.right)) for p in e.products),
                tuple(Maximum(m.factor, tuple(expr(a) for a in m.args)) for m in e.maxima),
            )
        return exprs[id(e)]

    def factor(x: Table | Amount | Expr) -> Table | Amount | Expr:
        return table(x) if isinstance(x, Table) else expr(x) if isinstance(x, Expr) else x

    def table(t: Table) -> Table:
        return t if t.choice in whole else Table(new[t.choice], values(t.choice, t.values))

    if len(whole) == len(new):
        return problem
    return Problem(
        problem.name,
        list(new.values()),
        problem.amounts,
        [replace(r, demand=expr(r.demand), allowed=expr(r.allowed)) for r in problem.rows],
        [
            Exclusion(
                new[e.left],
                new[e.right],
                values(e.left, e.left_class),
                values(e.right, e.right_class),
                e.bad,
            )
            for e in problem.exclusions
        ],
        expr(problem.objective),
        tuple(expr(e) for e in problem.ties),
    )

"""Solutions of which none is better than another in every respect: the exact frontier.

By the method of constraints (Haimes 1971): the best in one respect within a limit on another, then a
tighter limit, until nothing is left. Limits lie on values that solutions have, so no point is missed.
With more than two respects the frontier of all but the last is found within each limit on the last.

What is known prunes: a cell goes when a known solution is better, in every respect, than the best that
the cell can do in each. Where few enough solutions are left they are enumerated, all of them: the same
points and the same proof in one go.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from formulations.algebra import Choice, Expr, Indices
from formulations.bounds import FEW_PAIRS, MAX_PAIRS, Bounds, limits_of
from formulations.engines.base import Options
from formulations.joint import ROW_TOLERANCE, Cells, count, join
from formulations.nondominated import APART, Front, beaten, layers
from formulations.presolve import inside, outside, possible, restrict
from formulations.problem import Problem, Row
from formulations.solve import solve

# What the next point must be better by at least, of the largest value that there may be.
NEXT = 1e-12
# Solutions that are enumerated rather than asked for one by one.
ENUMERABLE = 1 << 24
# As many as are enumerated rather than pruned any further.
QUICK = 1 << 14
# Cells of each choice among which points to prune with are looked for, again and again.
LOOKS = (16, 32, 64, 128)
# Share of cells that has to go for another look at them to pay.
MUCH = 0.9


@dataclass(frozen=True)
class Point:
    """A solution of the frontier: its value in each respect, and its cells."""

    values: tuple[float, ...]
    cells: Cells


@dataclass(frozen=True)
class Frontier:
    """What was found, in order of the first respect.

    Attributes:
        points: none is better than another in every respect.
        status: ``optimal``: these are all; ``infeasible``: there is none; ``feasible`` or ``unknown``: a
            limit cut the search short, with or without any point.
        engine, version: that answered last.
        seconds: of all of it.
        left: solutions, or combinations of cells, that were left after presolve.
        solves: questions that were asked.
    """

    points: tuple[Point, ...]
    status: str
    engine: str
    version: str
    seconds: float
    left: float
    solves: int


def frontier(
    problem: Problem,
    costs: Sequence[Expr],
    solver: str = "auto",
    options: Options | None = None,
    starts: Sequence[Cells] = (),
    split: Sequence[str] = (),
) -> Frontier:
    """Return the exact frontier of a problem, each of ``costs`` to be made least.

    Args:
        problem: choices only; its objective is left aside, its tie-breakers choose among equal points.
        costs: what to make least; two or more.
        solver: an engine by name, or ``auto``.
        options: limits and tolerances, for all of it.
        starts: solutions that are known.
        split: attributes whose values are looked at one by one, each with what the others have shown.
    """
    return _Search(problem, list(costs), solver, options or Options(), list(starts)).run(split)


class _Search:
    """One search: what is known is a start for every question that follows."""

    def __init__(
        self, problem: Problem, costs: list[Expr], solver: str, options: Options, starts: list[Cells]
    ) -> None:
        # the costs travel among the tie-breakers, so that a smaller problem has them too
        self.whole = self.small = replace(problem, objective=costs[0], ties=(*costs, *problem.ties))
        self.cells = [np.arange(c.size) for c in problem.choices]
        self.respects = len(costs)
        self.scales = [max(abs(x) for x in e.bounds()) for e in costs]
        self.solver, self.options = solver, options
        self.starts = starts
        self.points: list[Cells] = []
        self.solves = 0
        self.cut = False
        self.engine = ("presolve", "")

    def run(self, split: Sequence[str]) -> Frontier:
        """Return the frontier, part by part where ``split`` says so."""
        begin = time.perf_counter()
        self.split = bool(split)
        front = Front(self.respects)
        for cells in self.starts:
            self._look(front, cells)
        left = 0.0
        if self.solver != "auto":  # an engine that is asked for is asked for each point
            left = self.small.space_size
            self._all(self.respects, {}, front)
        else:
            self._prune(front)
            if split:
                self._sample(front, LOOKS[0])
            for part in _parts(self.small, split):
                left += self._finish(front, *part) if not self.cut else 0.0
        points = tuple(Point(tuple(map(float, v)), cells) for v, cells in front.sorted())
        status = ("feasible" if points else "unknown") if self.cut else "optimal" if points else "infeasible"
        spent = time.perf_counter() - begin
        return Frontier(points, status, *self.engine, spent, left, self.solves)

    def _finish(self, front: Front, part: Problem, at: list[Indices]) -> float:
        """Find all points of a part; return how much of it was left after pruning."""
        whole = self.small, self.cells
        self.small, self.cells = part, [cells[i] for cells, i in zip(self.cells, at, strict=True)]
        left = self._closed(front)
        if left is None and not self.cut:
            left = self.small.space_size
            self._all(self.respects, {}, front)
        self.small, self.cells = whole
        return left or 0.0

    def _keys(self, cells: Cells) -> np.ndarray:
        """Return what chooses among equal points: the tie-breakers, then the order of cells."""
        ties = self.whole.ties[self.respects :]
        return np.stack([*(e.at(cells) for e in ties), *(cells[c] for c in self.whole.choices)], axis=1)

    def _best(self, respect: int, limits: dict[int, float]) -> Point | None:
        """Return the best in one respect within limits on others, and of equal ones the best in those."""
        ties = self.small.ties
        rows = [
            Row("frontier", f"frontier{i}", ties[i], Expr(constant=limit), hard=False)
            for i, limit in limits.items()
        ]
        others = tuple(e for i, e in enumerate(ties) if i != respect)
        question = replace(self.small, rows=[*self.small.rows, *rows], objective=ties[respect], ties=others)
        known = [(0.0, cells) for cells in (*self.starts, *self.points)]
        starts = [cells for _, cells in inside(known, self.small, self.cells, self.whole)]
        solved = solve(question, self.solver, self.options, starts=starts)
        o = solved.outcome
        self.solves += 1
        self.engine = (o.engine, o.version)
        if o.status not in ("optimal", "infeasible"):
            self.cut = True
        if o.objective is None:
            return None
        cells = outside((0.0, o.cells), self.small, self.cells, self.whole)[1]
        self.points.append(cells)
        return Point(tuple(float(e.at(cells)[0]) for e in self.whole.ties[: self.respects]), cells)

    def _all(self, respects: int, limits: dict[int, float], front: Front) -> list[Point]:
        """Find all points within limits on the respects from ``respects`` on, one question at a time."""
        if respects == 1:
            point = self._best(0, limits)
            if point is None:
                return []
            self._look(front, point.cells)
            return [point]
        found: list[Point] = []
        last = respects - 1
        limit = np.inf
        while not self.cut:
            more = self._all(last, limits | ({last: limit} if np.isfinite(limit) else {}), front)
            if not more:
                break
            found += more
            worst = max(p.values[last] for p in more)
            limit = worst - max(APART * abs(worst), NEXT * (self.scales[last] or 1.0))
        return found

    def _closed(self, front: Front) -> float | None:
        """Look where bounds are best, prune, and enumerate what is left; None if that is too much.

        Returns how many solutions were left.
        """
        for take in LOOKS:
            if not self._prune(front):
                return 0.0
            left = count(self.small)
            if self.options.expired or left <= (QUICK if self.split else ENUMERABLE // 2):
                break
            if take == LOOKS[0] and self.split:
                if (point := self._best(0, {})) is None:
                    return None if self.cut else 0.0
                self._look(front, point.cells)
                continue
            self._sample(front, take)
            if take > LOOKS[0] and not self._prune_pairs(front):
                return 0.0
        if not len(front.values) and not self.options.expired:
            point = self._best(0, {})  # rows leave little: ask for any
            if point is None:
                return None if self.cut else 0.0
            self._look(front, point.cells)
            if not self._prune(front):
                return 0.0
        self.cut |= self.options.expired
        if self.cut or (left := count(self.small)) > ENUMERABLE:
            return None
        for batch in join(self.small, chunk=1 << 16):
            if self.options.expired:
                self.cut = True
                break
            self._look(front, outside_all(batch, self.small, self.cells, self.whole), batch)
        self.engine = ("exhaustive", f"numpy {np.__version__}")
        return float(left)

    def _sample(self, front: Front, take: int) -> None:
        """Look at the solutions among the cells of each choice whose bounds are best."""
        bounds = Bounds(self.small, FEW_PAIRS)
        subset = {}
        for choice in self.small.choices:
            subset[choice] = layers(self._low(bounds, choice), take)
        for batch in join(self.small, subset, chunk=1 << 16):
            if self.options.expired:
                return
            self._look(front, outside_all(batch, self.small, self.cells, self.whole), batch)

    def _look(self, front: Front, cells: Cells, batch: Cells | None = None) -> None:
        """Add the solutions of a batch that hold to a front; ``batch`` has them in the smaller problem."""
        problem, at = (self.whole, cells) if batch is None else (self.small, batch)
        values = np.stack([e.at(at) for e in problem.ties[: self.respects]], axis=1)
        kept = np.flatnonzero(front.open(values))
        for row in problem.rows:
            if not len(kept):
                return
            kept = kept[row.holds({c: v[kept] for c, v in at.items()}, None, ROW_TOLERANCE)]
        part = {c: v[kept] for c, v in cells.items()}
        front.add(values[kept], self._keys(part), part)

    def _prune(self, front: Front) -> bool:
        """Drop cells with which rows break, or whose best in each respect a known point beats.

        False if nothing is left.
        """
        pairs, rows = FEW_PAIRS, False
        while not self.options.expired:
            bounds = Bounds(self.small, pairs)
            if rows:
                limits = limits_of(replace(self.small, objective=Expr()), None)
                keep = possible(bounds, limits, self.options)
            else:  # the points first: they often leave nothing
                keep = [bounds.possible(c) for c in self.small.choices]
                for mask, choice in zip(keep, self.small.choices, strict=True):
                    mask[mask] = ~beaten(self._low(bounds, choice)[mask], front.values)
            if not self._keep(keep):
                return False
            rows = not rows
            if rows or float(np.prod([mask.mean() for mask in keep])) < MUCH:
                continue
            if pairs == MAX_PAIRS:
                break
            pairs = MAX_PAIRS
        return True

    def _keep(self, keep: list[np.ndarray]) -> bool:
        """Keep only some cells of each choice; False if that leaves nothing."""
        if any(not mask.any() for mask in keep):
            return False
        self.cells = [at[mask] for at, mask in zip(self.cells, keep, strict=True)]
        self.small = restrict(self.small, [np.flatnonzero(mask) for mask in keep])
        return True

    def _prune_pairs(self, front: Front) -> bool:
        """Drop cells that a known point beats with each cell of another choice; False if nothing is left."""
        bounds = Bounds(self.small, FEW_PAIRS)
        choices = self.small.choices
        keep = [np.ones(c.size, dtype=bool) for c in choices]
        for i in range(len(choices)):
            for j in range(i):
                at = bounds.together(choices[i], choices[j])
                if at is None or self.options.expired:
                    continue
                costs = self.small.ties[: self.respects]
                low = np.stack([bounds.pair(e, choices[i], choices[j], at) for e in costs], axis=1)
                fine = ~beaten(low, front.values)
                for k, index in ((i, at.left), (j, at.right)):
                    some = np.zeros(choices[k].size, dtype=bool)
                    some[index[fine]] = True
                    keep[k] &= some
        return self._keep(keep)

    def _low(self, bounds: Bounds, choice: Choice) -> np.ndarray:
        """Return what each cell of a choice can do at best in each respect."""
        return np.stack([bounds.of(e, choice) for e in self.small.ties[: self.respects]], axis=1)


def _parts(problem: Problem, split: Sequence[str]) -> Iterator[tuple[Problem, list[Indices]]]:
    """Yield a problem for each combination of values of some attributes, with the cells that it has."""
    values = [
        np.unique(np.concatenate([c.columns[n] for c in problem.choices if n in c.columns]))
        for n in split
        if any(n in c.columns for c in problem.choices)
    ]
    names = [n for n in split if any(n in c.columns for c in problem.choices)]
    for combination in product(*(v[::-1] for v in values)):
        at = []
        for c in problem.choices:
            mask = np.ones(c.size, dtype=bool)
            for name, value in zip(names, combination, strict=True):
                mask &= c.columns[name] == value if name in c.columns else True
            at.append(np.flatnonzero(mask))
        if all(len(i) for i in at):
            yield restrict(problem, at), at


def outside_all(batch: Cells, small: Problem, cells: list[Indices], problem: Problem) -> Cells:
    """Return solutions of a smaller problem in the cells of the original."""
    triples = zip(small.choices, problem.choices, cells, strict=True)
    return {big: at[batch[c]] for c, big, at in triples}

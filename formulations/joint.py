"""Complete solutions as arrays: which cells go together, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formulations.algebra import Choice, Indices
from formulations.problem import Exclusion, Problem, Row, shared

Cells = dict[Choice, Indices]
# Up to which answers are as good as one another.
TIE = 1e-9
# To which rows hold, relative to their sides, for every engine; less than the slack that eval grants.
ROW_TOLERANCE = 1e-9


@lru_cache(maxsize=256)
def codes(a: Choice, b: Choice) -> tuple[Indices, Indices]:
    """Return a code for each cell of two choices, equal where their shared attributes agree."""
    code_a = np.zeros(a.size, dtype=np.int64)
    code_b = np.zeros(b.size, dtype=np.int64)
    for name in shared(a, b):
        both = np.concatenate([a.columns[name], b.columns[name]])
        _, inverse = np.unique(both, return_inverse=True)
        width = int(inverse.max()) + 1
        code_a, code_b = code_a * width + inverse[: a.size], code_b * width + inverse[a.size :]
    _, dense = np.unique(np.concatenate([code_a, code_b]), return_inverse=True)
    return dense[: a.size].astype(np.int64), dense[a.size :].astype(np.int64)


def compatible(problem: Problem, a: Choice, b: Choice) -> NDArray[np.bool_]:
    """Return which pairs of cells of two choices agree and are not excluded."""
    code_a, code_b = codes(a, b)
    agree: NDArray[np.bool_] = code_a[:, None] == code_b[None, :]
    for e in exclusions_between(problem, a, b):
        agree &= ~e.bad[e.left_class][:, e.right_class]
    return agree


def exclusions_between(problem: Problem, a: Choice, b: Choice) -> list[Exclusion]:
    """Return the exclusions of two choices, oriented from ``a`` to ``b``."""
    found = []
    for e in problem.exclusions:
        if e.left is a and e.right is b:
            found.append(e)
        elif e.left is b and e.right is a:
            found.append(Exclusion(a, b, e.right_class, e.left_class, e.bad.T))
    return found


def join(problem: Problem, subset: Cells | None = None, chunk: int = 1 << 18) -> Iterator[Cells]:
    """Yield all complete solutions in batches, in a fixed order.

    Args:
        problem: its choices are joined one after another, those that share attributes first.
        subset: cells to use of each choice; all where absent.
        chunk: about how many solutions to build at a time.
    """
    order = _order(problem)
    levels: list[_Level] = []
    for i, choice in enumerate(order):
        usable = np.arange(choice.size) if subset is None else subset[choice]
        levels.append(_Level(problem, choice, order[:i], usable))
    if levels:
        yield from _gathered(_extend({}, levels, chunk), chunk)


def count(problem: Problem) -> int:
    """Return how many complete solutions there are, rows aside.

    Cells that go with the same cells are counted together, so that nothing is enumerated.
    """
    classes: dict[Choice, Indices] = {}
    many: dict[Choice, Indices] = {}
    for choice in problem.choices:
        key = np.zeros(choice.size, dtype=np.int64)
        for other in problem.choices:
            for column in links(problem, choice, other) if other is not choice else []:
                _, key = np.unique(key * (int(column.max(initial=0)) + 1) + column, return_inverse=True)
                key = key.reshape(-1)
        _, first, sizes = np.unique(key, return_index=True, return_counts=True)
        classes[choice] = np.sort(first)
        many[choice] = np.zeros(choice.size, dtype=np.int64)
        many[choice][first] = sizes
    total = 0
    for batch in join(problem, classes):
        total += int(np.prod([many[c][at] for c, at in batch.items()], axis=0).sum())
    return total


def links(problem: Problem, choice: Choice, other: Choice) -> list[Indices]:
    """Return what decides which cells of another choice a cell goes with, as codes of its cells."""
    return [codes(choice, other)[0], *(e.left_class for e in exclusions_between(problem, choice, other))]


def _order(problem: Problem) -> list[Choice]:
    """Return the choices so that each shares attributes with those before it, if it can."""
    rest = list(problem.choices)
    done: list[Choice] = []
    while rest:
        linked = max(rest, key=lambda c: sum(len(shared(c, d)) for d in done))
        rest.remove(linked)
        done.append(linked)
    return done


class _Level:
    """One choice to join to those before it: its cells by what they must agree on."""

    def __init__(self, problem: Problem, choice: Choice, before: list[Choice], usable: Indices) -> None:
        self.choice = choice
        self.links: list[tuple[Choice, Indices, int]] = []
        key = np.zeros(len(usable), dtype=np.int64)
        for other in before:
            code_other, code_new = codes(other, choice)
            width = int(max(code_other.max(initial=0), code_new.max(initial=0))) + 1
            if width > 1:
                key = key * width + code_new[usable]
                self.links.append((other, code_other, width))
        by_key = np.argsort(key, kind="stable")
        self.keys, self.cells = key[by_key], usable[by_key]
        self.exclusions = [e for other in before for e in exclusions_between(problem, other, choice)]

    def matches(self, done: Cells, size: int) -> tuple[Indices, Indices]:
        """Return for each partial solution where its cells begin, and how many there are."""
        key = np.zeros(size, dtype=np.int64)
        for other, code, width in self.links:
            key = key * width + code[done[other]]
        first = np.searchsorted(self.keys, key, side="left")
        return first, np.searchsorted(self.keys, key, side="right") - first

    def extended(self, done: Cells, first: Indices, counts: Indices) -> Cells:
        """Return partial solutions with each of their cells of this choice."""
        repeat = np.repeat(np.arange(len(counts)), counts)
        offset = np.arange(len(repeat)) - np.repeat(np.cumsum(counts) - counts, counts)
        new = self.cells[np.repeat(first, counts) + offset]
        keep = np.ones(len(repeat), dtype=bool)
        for e in self.exclusions:
            keep &= ~e.bad[e.left_class[done[e.left][repeat]], e.right_class[new]]
        if not keep.all():
            repeat, new = repeat[keep], new[keep]
        return {c: v[repeat] for c, v in done.items()} | {self.choice: new}


def _extend(done: Cells, levels: list[_Level], chunk: int) -> Iterator[Cells]:
    if not levels:
        if len(next(iter(done.values()))):
            yield done
        return
    level, *later = levels
    size = len(next(iter(done.values()))) if done else 1
    first, counts = level.matches(done, size)
    # as many partial solutions at a time as make about a chunk
    ends = np.cumsum(counts)
    begin = 0
    while begin < size:
        limit = (ends[begin - 1] if begin else 0) + chunk
        end = max(begin + 1, int(np.searchsorted(ends, limit, side="right")))
        part = {c: v[begin:end] for c, v in done.items()}
        yield from _extend(level.extended(part, first[begin:end], counts[begin:end]), later, chunk)
        begin = end


def _gathered(batches: Iterator[Cells], chunk: int) -> Iterator[Cells]:
    """Join small batches: looking at one costs more than what is in it."""
    held: list[Cells] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += len(next(iter(batch.values())))
        if size >= chunk // 2:
            yield _together(held)
            held, size = [], 0
    if held:
        yield _together(held)


def _together(batches: list[Cells]) -> Cells:
    if len(batches) == 1:
        return batches[0]
    return {c: np.concatenate([b[c] for b in batches]) for c in batches[0]}


def holds(
    problem: Problem, cells: Cells, tolerance: float = ROW_TOLERANCE, amounts: dict[Any, float] | None = None
) -> NDArray[np.bool_]:
    """Return which solutions keep every row, to a tolerance relative to the row's sides there."""
    size = len(next(iter(cells.values()))) if cells else 1
    keep = np.ones(size, dtype=bool)
    for row in problem.rows:
        keep &= row.holds(cells, amounts, tolerance)
    return keep


Known = tuple[float, Cells]


@dataclass(frozen=True)
class Enumerated:
    """What enumeration found: the best solutions, how many were looked at, and whether all were."""

    found: list[Known]
    seen: int
    complete: bool

    @property
    def objective(self) -> float | None:
        """The best value; None without a solution."""
        return self.found[0][0] if self.found else None

    @property
    def cells(self) -> Cells:
        """The best solution."""
        return self.found[0][1] if self.found else {}


def best(
    problem: Problem,
    subset: Cells | None = None,
    budget: float = float("inf"),
    stop: Callable[[], bool] = lambda: False,
    count: int = 1,
    watch: Callable[[Enumerated], None] = lambda found: None,
    cut: float = float("inf"),
) -> Enumerated:
    """Return the best complete solutions by enumeration; ties go to the first in order of cells.

    Args:
        problem: choices only; amounts cannot be enumerated.
        subset: cells to use of each choice; all where absent.
        budget: how many solutions to look at, about.
        stop: asked between batches; enumeration ends early when it says so.
        count: how many solutions to keep.
        watch: shown what there is after each batch that found a better solution.
        cut: only solutions below this count.
    """
    found: list[Known] = []
    rows = [row for row in problem.rows if row.may_bind]
    seen = 0
    for batch in join(problem, subset, chunk=1 << 16):
        if seen >= budget or stop():
            return Enumerated(found, seen, False)
        seen += len(next(iter(batch.values())))
        more = _solutions(problem, rows, batch, _cut(found, count, cut), count)
        if more:
            found = better(found, more, count)
            watch(Enumerated(found, seen, False))
    return Enumerated(found, seen, True)


def first(problem: Problem, stop: Callable[[], bool] = lambda: False) -> Cells | None:
    """Return the first complete solution that keeps every row; None without one, or if stopped."""
    rows = [row for row in problem.rows if row.may_bind]
    for batch in join(problem, chunk=1 << 14):
        if stop():
            return None
        left = batch
        for row in rows:
            kept = row.holds(left, None, ROW_TOLERANCE)
            left = {c: v[kept] for c, v in left.items()}
        if len(next(iter(left.values()))):
            return {c: v[:1] for c, v in left.items()}
    return None


def better(known: list[Known], more: list[Known], count: int) -> list[Known]:
    """Return the best of two lists of different solutions; of equal ones those known before."""
    return sorted([*known, *more], key=lambda k: k[0])[:count]


def _cut(found: list[Known], count: int, cut: float) -> float:
    return min(cut, found[count - 1][0]) if len(found) >= count else cut


def _solutions(problem: Problem, rows: list[Row], batch: Cells, cut: float, count: int) -> list[Known]:
    """Return the best solutions of a batch below a value that keep every row."""
    values = problem.objective.at(batch)
    if cut < np.inf:  # most are not worth a look at the rows
        promising = np.flatnonzero(values < cut)
        values, batch = values[promising], {c: v[promising] for c, v in batch.items()}
    for row in rows:
        if not len(values):
            break
        kept = np.flatnonzero(row.holds(batch, None, ROW_TOLERANCE))
        if len(kept) < len(values):
            values, batch = values[kept], {c: v[kept] for c, v in batch.items()}
    if not len(values):
        return []
    order = np.argsort(values, kind="stable")[:count] if count > 1 else [int(values.argmin())]
    return [(float(values[i]), {c: batch[c][i : i + 1] for c in problem.choices}) for i in order]


def lexicographic(problem: Problem, worst: float, budget: float) -> Known | None:
    """Return, of the solutions no worse than given, the one that the tie-breakers prefer.

    Then the first in order of cells. None if there are too many to look at.
    """
    chosen: tuple[tuple[float, ...], Known] | None = None
    seen = 0
    for batch in join(problem, chunk=1 << 16):
        seen += len(next(iter(batch.values())))
        if seen > budget:
            return None
        values = problem.objective.at(batch)
        near = np.flatnonzero(values <= worst)
        tied = {c: v[near] for c, v in batch.items()}
        keep = near[holds(problem, tied)] if len(near) else near
        if not len(keep):
            continue
        tied = {c: v[keep] for c, v in batch.items()}
        keys = [*(e.at(tied) for e in problem.ties), *(tied[c] for c in problem.choices)]
        i = int(np.lexsort(keys[::-1])[0])
        key = tuple(float(k[i]) for k in keys)
        if chosen is None or key < chosen[0]:
            chosen = key, (float(values[keep[i]]), {c: tied[c][i : i + 1] for c in problem.choices})
    return chosen and chosen[1]

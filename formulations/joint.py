"""Complete solutions as arrays: which cells go together, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formulations.algebra import Choice, Exclusion, Indices, Problem, shared

Cells = dict[Choice, Indices]


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
        problem: its choices are joined in order.
        subset: cells to use of each choice; all where absent.
        chunk: about how many solutions to build at a time.
    """
    cells = {c: np.arange(c.size) if subset is None else subset[c] for c in problem.choices}
    yield from _extend(problem, {}, list(problem.choices), cells, chunk)


def _extend(problem: Problem, done: Cells, rest: list[Choice], cells: Cells, chunk: int) -> Iterator[Cells]:
    if not rest:
        if done and len(next(iter(done.values()))):
            yield done
        return
    choice, *later = rest
    size = len(next(iter(done.values()))) if done else 1
    # each partial solution meets about this many cells of the next choice
    step = max(1, chunk // max(1, len(cells[choice])))
    for begin in range(0, size, step):
        part = {c: v[begin : begin + step] for c, v in done.items()}
        yield from _extend(problem, _match(problem, part, choice, cells[choice]), later, cells, chunk)


def _match(problem: Problem, done: Cells, choice: Choice, usable: Indices) -> Cells:
    """Extend partial solutions by the cells of one more choice that go with them."""
    if not done:
        return {choice: usable}
    size = len(next(iter(done.values())))
    key_done = np.zeros(size, dtype=np.int64)
    key_new = np.zeros(len(usable), dtype=np.int64)
    for other, at in done.items():
        code_other, code_new = codes(other, choice)
        width = int(max(code_other.max(initial=0), code_new.max(initial=0))) + 1
        key_done = key_done * width + code_other[at]
        key_new = key_new * width + code_new[usable]
    order = np.argsort(key_new, kind="stable")
    ordered = key_new[order]
    left = np.searchsorted(ordered, key_done, side="left")
    counts = np.searchsorted(ordered, key_done, side="right") - left
    repeat = np.repeat(np.arange(size), counts)
    offset = np.arange(len(repeat)) - np.repeat(np.cumsum(counts) - counts, counts)
    new = usable[order[np.repeat(left, counts) + offset]]
    joined = {c: v[repeat] for c, v in done.items()} | {choice: new}
    keep = np.ones(len(repeat), dtype=bool)
    for other in done:
        for e in exclusions_between(problem, other, choice):
            keep &= ~e.bad[e.left_class[joined[other]], e.right_class[new]]
    return {c: v[keep] for c, v in joined.items()}


def holds(
    problem: Problem, cells: Cells, tolerance: float = 1e-9, amounts: dict[Any, float] | None = None
) -> NDArray[np.bool_]:
    """Return which solutions keep every row, to a tolerance relative to the row's sides there."""
    size = len(next(iter(cells.values()))) if cells else 1
    keep = np.ones(size, dtype=bool)
    for row in problem.rows:
        keep &= row.holds(cells, amounts, tolerance)
    return keep


@dataclass(frozen=True)
class Enumerated:
    """What enumeration found: the best solution, how many were looked at, and whether all were."""

    objective: float | None
    cells: Cells
    seen: int
    complete: bool


def best(
    problem: Problem,
    subset: Cells | None = None,
    budget: float = float("inf"),
    stop: Callable[[], bool] = lambda: False,
    watch: Callable[[Enumerated], None] = lambda found: None,
) -> Enumerated:
    """Return the best complete solution by enumeration; ties go to the first in order of cells.

    Args:
        problem: choices only; amounts cannot be enumerated.
        subset: cells to use of each choice; all where absent.
        budget: how many solutions to look at, about.
        stop: asked between batches; enumeration ends early when it says so.
        watch: shown what there is after each batch that found a better solution.
    """
    objective: float | None = None
    cells: Cells = {}
    seen = 0
    for batch in join(problem, subset, chunk=1 << 16):
        if seen >= budget or stop():
            return Enumerated(objective, cells, seen, False)
        seen += len(next(iter(batch.values())))
        keep = holds(problem, batch)
        if keep.any():
            values = np.where(keep, problem.objective.at(batch), np.inf)
            i = int(values.argmin())
            if objective is None or values[i] < objective:
                objective, cells = float(values[i]), {c: v[i : i + 1] for c, v in batch.items()}
                watch(Enumerated(objective, cells, seen, False))
    return Enumerated(objective, cells, seen, True)

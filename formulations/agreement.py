"""Which cells of two choices go together: as pairs, and by classes of cells that share an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from formulations.algebra import Choice, Floats, Indices
from formulations.joint import codes, exclusions_between
from formulations.problem import Problem


@dataclass(frozen=True)
class Pairs:
    """Pairs of compatible cells of two choices, in order of the first.

    ``there`` are the first cells that have any, ``begins`` where the pairs of each begin.
    """

    left: Indices
    right: Indices
    there: Indices
    begins: Indices

    @staticmethod
    def of(left: Indices, right: Indices) -> Pairs:
        """Return pairs that are in order of the first."""
        first = np.ones(len(left), dtype=bool)
        first[1:] = left[1:] != left[:-1]
        begins = np.flatnonzero(first)
        return Pairs(left, right, left[begins], begins)


def pairs_of(problem: Problem, a: Choice, b: Choice, most: int) -> Pairs | None:
    """Return the pairs of compatible cells; None where there may be more than ``most``."""
    code_a, code_b = codes(a, b)
    if _agreements(code_a, code_b) > most:
        return None
    left, right = _agreeing(code_a, code_b)
    keep = np.ones(len(left), dtype=bool)
    for e in exclusions_between(problem, a, b):
        keep &= ~e.bad[e.left_class[left], e.right_class[right]]
    if not keep.all():
        left, right = left[keep], right[keep]
    return Pairs.of(left, right)


def _agreements(a: Indices, b: Indices) -> float:
    """Return how many pairs of equal codes there are."""
    size = int(max(a.max(initial=0), b.max(initial=0))) + 1
    return float(np.dot(np.bincount(a, minlength=size).astype(float), np.bincount(b, minlength=size)))


def class_minimum(problem: Problem, a: Choice, b: Choice) -> Callable[[Floats], Floats]:
    """Return a function from a table of ``b`` to its least value by cell of ``a``."""
    between = exclusions_between(problem, a, b)
    columns_a, columns_b = [codes(a, b)[0]], [codes(a, b)[1]]
    for e in between:
        columns_a.append(e.left_class)
        columns_b.append(e.right_class)
    ua, ia = _numbered(columns_a)
    ub, ib = _numbered(columns_b)
    left, right = _agreeing(ua[:, 0], ub[:, 0])
    for k, e in enumerate(between, start=1):
        fine = ~e.bad[ua[left, k], ub[right, k]]
        left, right = left[fine], right[fine]
    there, begins = np.unique(left, return_index=True)
    order = np.argsort(ib, kind="stable")
    starts = np.searchsorted(ib[order], np.arange(len(ub)))

    def least(values: Floats) -> Floats:
        by_class = np.minimum.reduceat(values[order], starts)
        found = np.full(len(ua), np.inf)
        if len(there):
            found[there] = np.minimum.reduceat(by_class[right], begins)
        return np.asarray(found[ia])

    return least


def _agreeing(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of positions with equal codes, in order of the first."""
    order = np.argsort(b, kind="stable")
    first = np.searchsorted(b[order], a, side="left")
    counts = np.searchsorted(b[order], a, side="right") - first
    left = np.repeat(np.arange(len(a)), counts)
    offset = np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
    return left, order[np.repeat(first, counts) + offset]


def _numbered(columns: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows of some columns, and for each row which of them it is."""
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        key = key * (int(column.max(initial=0)) + 1) + column
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    return np.stack([c[first] for c in columns], axis=1), which.reshape(-1)

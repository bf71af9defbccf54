"""A set of points of which none is better than another in every respect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from formulations.algebra import Floats
from formulations.bounds import SLACK
from formulations.joint import Cells

# Values that are closer than this are one, relatively: a multiple of what rows hold to.
APART = 4e-9


class Front:
    """Points as they come, less those that another one beats; all values to be made least.

    Of points that are equal in every respect, the one with the least key is kept.
    """

    def __init__(self, respects: int) -> None:
        self.values: Floats = np.empty((0, respects))
        self.keys: Floats | None = None
        self.cells: list[Cells] = []

    def open(self, values: Floats) -> np.ndarray:
        """Return which points nothing in the set beats."""
        if not len(self.values):
            return np.ones(len(values), dtype=bool)
        if values.shape[1] == 2:
            order = np.lexsort((self.values[:, 1], self.values[:, 0]))
            first, least = self.values[order, 0], np.minimum.accumulate(self.values[order, 1])
            at = np.searchsorted(first, values[:, 0], side="right") - 1
            beaten = (at >= 0) & (least[np.maximum(at, 0)] < values[:, 1] - APART * np.abs(values[:, 1]))
            return ~beaten
        found = np.ones(len(values), dtype=bool)
        for point in self.values:
            slack = APART * np.abs(point)
            found &= (values < point).any(axis=1) | (values <= point + slack).all(axis=1)
        return found

    def add(self, values: Floats, keys: Floats, cells: Cells | Sequence[Cells]) -> None:
        """Add points with their keys; cells as columns, or one by one."""
        kept = _distinct(values, keys)
        if len(kept) < len(values):
            values, keys = values[kept], keys[kept]
            cells = (
                {c: v[kept] for c, v in cells.items()}
                if isinstance(cells, dict)
                else [cells[i] for i in kept]
            )
        size = len(values)
        if size > 64:  # the best come first, so that most of the rest never meets the set
            order = np.argsort(values @ (1.0 / np.maximum(np.abs(values).max(axis=0), 1e-300)))
            for few in np.array_split(order, max(1, size // 64)):
                part = few[self.open(values[few])]
                if len(part):
                    self._merge(values[part], keys[part], [_one(cells, i) for i in part])
            return
        self._merge(values, keys, [_one(cells, i) for i in range(size)])

    def _merge(self, values: Floats, keys: Floats, cells: list[Cells]) -> None:
        old = len(self.values)
        every = np.concatenate([self.values, values])
        ranks = keys if self.keys is None else np.concatenate([self.keys, keys])
        both = [*self.cells, *cells]
        gone = np.zeros(len(every), dtype=bool)
        slack = APART * np.abs(every)
        for i in range(old, len(every)):
            no_worse = (every <= every[i] + slack[i]).all(axis=1)
            better = (every < every[i] - slack[i]).any(axis=1)
            no_better = (every[i] <= every + slack).all(axis=1)
            worse = (every[i] < every - slack).any(axis=1)
            equal = no_worse & ~better
            first = np.array([tuple(ranks[j]) < tuple(ranks[i]) for j in np.flatnonzero(equal)])
            gone[i] |= (no_worse & better).any() or bool(first.any())
            gone |= no_better & worse & ~no_worse
            gone[np.flatnonzero(equal)[~first]] |= np.flatnonzero(equal)[~first] != i
        keep = np.flatnonzero(~gone)
        self.values, self.keys, self.cells = every[keep], ranks[keep], [both[i] for i in keep]

    def sorted(self) -> list[tuple[Floats, Cells]]:
        """Return the points in order of their values."""
        order = np.lexsort(self.values.T[::-1])
        return [(self.values[i], self.cells[i]) for i in order]


def _distinct(values: Floats, keys: Floats) -> np.ndarray:
    """Return the positions of the points that differ, each with the least key."""
    order = np.lexsort((*keys.T[::-1], *values.T[::-1]))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (values[order[1:]] != values[order[:-1]]).any(axis=1)
    return np.asarray(order[new])


def _one(cells: Cells | Sequence[Cells], i: int) -> Cells:
    if isinstance(cells, dict):
        return {c: v[i : i + 1] for c, v in cells.items()}
    return cells[i]


def beaten(low: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return which bounds some known point is below in every respect, and clearly in one."""
    found = np.zeros(len(low), dtype=bool)
    for point in known:
        slack = SLACK * np.abs(point)
        found |= (point <= low).all(axis=1) & (point < low - slack).any(axis=1)
    return found


def layers(low: np.ndarray, take: int) -> np.ndarray:
    """Return so many rows that few others beat in each two respects: the outermost layers."""
    if len(low) <= take:
        return np.arange(len(low))
    found: list[int] = []
    for i in range(low.shape[1]):
        for j in range(i):
            rest, mine = np.lexsort((low[:, j], low[:, i])), 0
            while len(rest) and mine < take:
                least = np.minimum.accumulate(low[rest, j])
                outer = np.concatenate([[True], low[rest[1:], j] < least[:-1]])
                found += rest[outer].tolist()
                mine += int(outer.sum())
                rest = rest[~outer]
    return np.unique(found)

"""The values of an expression at many solutions, products of the same two choices summed as matrices.

``sum_k f_k(a) g_k(b)`` is one matrix product over the cells of ``a`` and ``b``; where solutions are as
many as its entries, that and one look-up take a fraction of the time of multiplying term by term.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from formulations.algebra import Choice, Expr, Floats, Table
from formulations.joint import Cells

Pair = tuple[Choice, Choice]


class At:
    """Solutions at which expressions are evaluated; where each is in a pair's matrix is worked out once."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self.size = len(next(iter(cells.values())))
        self._index: dict[Pair, NDArray[np.int64]] = {}

    def value(self, e: Expr) -> Floats:
        """Return the value of an expression at each solution, to rounding that of :meth:`Expr.at`."""
        total = np.full(self.size, e.constant)
        tables = dict(e.tables)
        rest = []
        pairs: dict[Pair, list[tuple[Floats, Floats]]] = {}
        for p in e.products:
            if isinstance(p.left, Table):
                pairs.setdefault((p.left.choice, p.right.choice), []).append((p.left.values, p.right.values))
            else:
                rest.append(p)
        for (a, b), factors in pairs.items():
            if len(factors) > 1 and a.size * b.size <= 2 * self.size:
                total += self._matrix(a, b, factors, tables).take(self._at(a, b))
            else:
                for left, right in factors:
                    total += left.take(self.cells[a]) * right.take(self.cells[b])
        for choice, values in tables.items():
            total += values.take(self.cells[choice])
        for p in rest:
            total += self.value(p.left.expr()) * p.right.values.take(self.cells[p.right.choice])
        for m in e.maxima:
            total += m.factor * np.maximum.reduce([self.value(a) for a in m.args])
        return total

    def _matrix(
        self, a: Choice, b: Choice, factors: list[tuple[Floats, Floats]], tables: dict[Choice, Floats]
    ) -> Floats:
        """Return the sum of products over all pairs of cells, with the tables of both, taken over."""
        left = [f for f, _ in factors]
        right = [g for _, g in factors]
        for choice in (a, b):
            if choice in tables:
                values = tables.pop(choice)
                left.append(values if choice is a else np.ones(a.size))
                right.append(values if choice is b else np.ones(b.size))
        found: Any = np.stack(left, axis=1) @ np.stack(right)
        return np.asarray(found).ravel()

    def _at(self, a: Choice, b: Choice) -> NDArray[np.int64]:
        if (a, b) not in self._index:
            self._index[a, b] = self.cells[a] * b.size + self.cells[b]
        return self._index[a, b]

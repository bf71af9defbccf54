"""A mixed-integer linear program as arrays, with names for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from formulations.algebra import Amount, Choice, Floats, Indices
from formulations.names import Label, distinct, text, together


@dataclass
class Linear:
    """``min cost x + offset`` over ``row_low <= A x <= row_high`` and ``low <= x <= high``.

    Attributes:
        starts, columns, values: the matrix by rows.
        tags: the reason of each row; empty for rows that only define something.
        scale: the objective is divided by this.
        cells: index of the first variable of each choice.
        amounts: variable of each amount.
        row_labels: what each row is, to be named if anybody asks.
        column_labels: what each block of columns is, and how many it has.
    """

    cost: Floats
    offset: float
    low: Floats
    high: Floats
    whole: NDArray[np.bool_]
    row_low: Floats
    row_high: Floats
    starts: Indices
    columns: Indices
    values: Floats
    tags: list[str]
    scale: float
    cells: dict[Choice, int]
    amounts: dict[Amount, int]
    row_labels: list[Label] = field(default_factory=list)
    column_labels: list[tuple[Label, int]] = field(default_factory=list)

    @cached_property
    def row_names(self) -> list[str]:
        """A name for each row, fit for LP and MPS files; ``w14(0)`` is row ``w14[0]`` of the problem."""
        return distinct(
            text(("agree", *x[1:3], together(*x[1:]))) if x[0] == "agree" else text(x)
            for x in self.row_labels
        )

    @cached_property
    def column_names(self) -> list[str]:
        """A name for each column, fit for LP and MPS files; ``layer(12)`` is cell 12 of ``layer``."""
        return distinct(
            text(label if count == 1 and isinstance(label[0], Amount) else (*label, k))
            for label, count in self.column_labels
            for k in range(count)
        )

    def decode(self, x: Floats) -> tuple[dict[Choice, Indices], dict[Amount, float]]:
        """Return the cell of each choice and the amounts that a solution takes."""
        chosen = {c: np.array([int(np.argmax(x[i : i + c.size]))]) for c, i in self.cells.items()}
        amounts = {a: float(round(x[i]) if a.whole else x[i]) for a, i in self.amounts.items()}
        return chosen, amounts


def compressed(rows: list[tuple[Indices, Floats, float, float, str]]) -> tuple[Indices, Floats, Indices]:
    """Return the rows as a compressed matrix, with entries of one column added up."""
    all_columns, all_values, starts = [], [], [0]
    for columns, factors, _, _, _ in rows:
        distinct, inverse = np.unique(columns, return_inverse=True)
        summed = np.zeros(len(distinct))
        np.add.at(summed, inverse.reshape(-1), factors)
        all_columns.append(distinct)
        all_values.append(summed)
        starts.append(starts[-1] + len(distinct))
    return (
        np.concatenate([np.empty(0), *all_columns]).astype(np.int64),
        np.concatenate([np.empty(0), *all_values]),
        np.array(starts, dtype=np.int64),
    )

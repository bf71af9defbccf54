"""A linear program that grows: columns and rows are added, and it is solved again from where it was."""

from __future__ import annotations

from typing import Any

import numpy as np

from formulations.algebra import Floats, Indices
from formulations.engines.base import Options
from formulations.engines.highs import _highspy
from formulations.engines.watch import Watch

INF = float("inf")


class Growing:
    """HiGHS's simplex on ``min cost x``, ``row_low <= A x <= row_high``, ``0 <= x``."""

    def __init__(self, options: Options) -> None:
        self._highspy = _highspy()
        self._options = options
        self._h: Any = self._highspy.Highs()
        for option, value in {
            "output_flag": False,
            "threads": int(options.threads),
            "random_seed": int(options.seed),
            "presolve": "off",  # it would throw away the basis to start from
        }.items():
            self._h.setOptionValue(option, value)
        self._watch = Watch(options)
        self._h.cbSimplexInterrupt += self._watch.asked
        self.rows = self.columns = 0

    @property
    def version(self) -> str:
        """The version of HiGHS."""
        return str(self._h.version())

    def add_rows(self, low: Floats, high: Floats, starts: Indices, columns: Indices, values: Floats) -> None:
        """Add rows, given as a compressed matrix over the columns that are there."""
        self._h.addRows(
            len(low),
            np.asarray(low, dtype=np.float64),
            np.asarray(high, dtype=np.float64),
            len(columns),
            starts.astype(np.int32),
            columns.astype(np.int32),
            np.asarray(values, dtype=np.float64),
        )
        self.rows += len(low)

    def add_columns(self, cost: Floats, high: Floats, starts: Indices, rows: Indices, values: Floats) -> None:
        """Add columns from 0 up, given as a compressed matrix over the rows that are there."""
        self._h.addCols(
            len(cost),
            np.asarray(cost, dtype=np.float64),
            np.zeros(len(cost)),
            np.asarray(high, dtype=np.float64),
            len(rows),
            starts.astype(np.int32),
            rows.astype(np.int32),
            np.asarray(values, dtype=np.float64),
        )
        self.columns += len(cost)

    def solve(self, seconds: float = INF) -> tuple[float, Floats, Floats] | None:
        """Return objective, columns and prices of the rows; None where the time is up or nothing holds.

        After ``seconds`` it stops, and goes on from there when asked again.
        """
        limit = min(seconds, self._options.remaining)
        self._h.setOptionValue("time_limit", float(self._h.getRunTime() + limit))
        self._watch.run(self._h.run)
        if self._h.getModelStatus() != self._highspy.HighsModelStatus.kOptimal:
            return None
        solution = self._h.getSolution()
        return (
            float(self._h.getInfo().objective_function_value),
            np.asarray(solution.col_value),
            np.asarray(solution.row_dual),
        )

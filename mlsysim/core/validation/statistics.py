"""How far predictions are from measurements: mean, median, bias, and whether the order is right."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Errors of a group of rows, as shares of the measured values.

    Attributes:
        rows: how many were judged.
        mape: mean of the absolute errors.
        median_ape: their median.
        bias: mean of the signed errors: above 0 where predictions are too large.
        spearman: rank correlation of predicted with measured values; None where it means nothing.
    """

    rows: int
    mape: float | None
    median_ape: float | None
    bias: float | None
    spearman: float | None


def error(measured: float, predicted: float) -> float:
    """Return a prediction's signed error as a share of what was measured."""
    return predicted / measured - 1.0


def summary(measured: Sequence[float], predicted: Sequence[float]) -> Summary:
    """Return the errors of a group of rows.

    Args:
        measured: what was measured, above 0.
        predicted: of each row, in its unit.
    """
    errors = [error(m, p) for m, p in zip(measured, predicted, strict=True)]
    if not errors:
        return Summary(0, None, None, None, None)
    sizes = [abs(e) for e in errors]
    return Summary(
        len(errors),
        statistics.fmean(sizes),
        statistics.median(sizes),
        statistics.fmean(errors),
        spearman(measured, predicted),
    )


def ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value from 1; equal values share the mean of theirs."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for i in order[start : end + 1]:
            found[i] = 0.5 * (start + end) + 1.0
        start = end + 1
    return found


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Return the rank correlation of two series (Spearman 1904), ties by mean ranks.

    None for fewer than three values, or where one series is constant: then there is no order.
    """
    if len(a) < 3:
        return None
    x, y = ranks(a), ranks(b)
    middle = 0.5 * (len(x) + 1)
    above = sum((p - middle) * (q - middle) for p, q in zip(x, y, strict=True))
    spread = math.sqrt(sum((p - middle) ** 2 for p in x) * sum((q - middle) ** 2 for q in y))
    return above / spread if spread else None

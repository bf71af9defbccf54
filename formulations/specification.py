"""Rates as amounts: the cheapest with which a layout is quick enough, as a linear program.

The time of a step falls with each rate, and is convex in all of them as long as it is a sum of parts in
inverse proportion to a rate, of latencies, and of maxima of such sums. A tangent is then below it
everywhere, so tangents make a linear program whose answer no rates can undercut; each answer that misses
the target adds the tangent there (Kelley 1960, the cutting-plane method).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from formulations.algebra import Expr, Floats
from formulations.engines import engine
from formulations.engines.base import Options
from formulations.problem import Problem

# Tangents that may be added, one an answer, and how near to the target an answer has to come.
MOST_CUTS = 120
NEAR = 1e-5
HALVINGS = 48


@dataclass(frozen=True)
class Tangent:
    """``value + slopes (x - at) <= 1``: what rates ``x`` have to keep to meet the target."""

    at: Floats
    value: float
    slopes: Floats


@dataclass(frozen=True)
class Cheapest:
    """The cheapest rates, in order of the weights, what they cost, and after how many linear programs."""

    rates: Floats
    cost: float
    solves: int


def cheapest(
    weights: Floats,
    ends: tuple[Floats, Floats],
    tangent: Callable[[Floats], Tangent],
    begin: Floats,
    options: Options | None = None,
) -> Cheapest | None:
    """Return the cheapest rates that meet the target, to a relative :data:`NEAR` of it.

    Args:
        weights: cost of a unit of each rate.
        ends: least and largest of each rate.
        tangent: of the time over the target, at some rates.
        begin: rates of the first tangent.
        options: limits of the engine.

    Returns:
        None where no rates within the ends meet the target, or the rounds or a limit ended it.
    """
    cuts = [tangent(begin)]
    for solves in range(1, MOST_CUTS + 1):
        problem = _program(weights, ends, cuts)
        o = engine("highs").solve(problem, options or Options())
        if o.status != "optimal" or o.objective is None:
            return None
        rates = np.array([o.amounts[a] for a in problem.amounts], dtype=float)
        there = tangent(rates)
        if there.value <= 1.0 + NEAR:
            return Cheapest(rates, float(o.objective), solves)
        cuts.append(there)
    return None


def _program(weights: Floats, ends: tuple[Floats, Floats], cuts: Sequence[Tangent]) -> Problem:
    """Return the linear program of all tangents, each divided by its steepest slope."""
    problem = Problem("specification")
    rates = [
        problem.amount(f"rate{i}", float(low), float(high))
        for i, (low, high) in enumerate(zip(*ends, strict=True))
    ]
    for k, cut in enumerate(cuts):
        steepest = max(float(np.abs(cut.slopes).max()), 1e-9)
        asked = (cut.value - float(cut.slopes @ cut.at) - 1.0) / steepest
        given = sum((-float(s) / steepest * rate for s, rate in zip(cut.slopes, rates, strict=True)), Expr())
        problem.limit("target", f"tangent{k}", asked, given)
    problem.minimize(sum((float(w) * rate for w, rate in zip(weights, rates, strict=True)), Expr()))
    return problem


def least_cost(
    weights: Floats, parts: Floats, room: Floats, ends: tuple[Floats, Floats]
) -> tuple[Floats, Floats]:
    """Return the cheapest rates ``x`` with ``sum parts / x <= room``, for many layouts at once.

    Between the ends ``x = sqrt(parts / (weights y))`` (Lagrange), with the least multiplier ``y`` that leaves
    room. It is found by halving and taken from the side that is too little, so that the cost is a bound.

    Args:
        weights: cost of a unit of each rate.
        parts: one row for each layout: time in inverse proportion to each rate. A rate of none costs none.
        room: what each layout leaves for them.
        ends: least and largest of each rate.

    Returns:
        The cost, infinite where there is no room, and the rates.
    """
    used = parts > 0.0

    def rates(y: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            free = np.sqrt(parts / (weights * np.exp(y)[:, None]))
        return np.where(used, np.clip(free, *ends), 0.0)

    def time(x: Floats) -> Floats:
        return np.asarray(np.divide(parts, x, out=np.zeros_like(parts), where=used).sum(axis=1))

    # y falls as rates grow: from so large that all are least to so small that all are largest
    low, high = (np.full(len(parts), s * 80.0) for s in (-1.0, 1.0))
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        enough = time(rates(middle)) <= room
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    short, never = rates(high), time(rates(np.full(len(parts), -80.0))) > room
    least = time(rates(np.full(len(parts), 80.0))) <= room
    found = np.where(least[:, None], rates(np.full(len(parts), 80.0)), short)
    return np.asarray(np.where(never, np.inf, found @ weights)), found

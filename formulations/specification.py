"""Rates as amounts: the cheapest with which a layout is quick enough, as a linear program.

The time of a step is convex in the inverses of the rates as long as it is a sum of parts in inverse
proportion to a rate, of latencies, and of maxima of such sums. A tangent in the inverses is then below it
everywhere, and is such a sum itself: one piece of the time. Pieces are convex in the rates, so tangents of
pieces make a linear program whose answer no rates can undercut. An answer that misses a known piece adds
the piece's tangent there, one that misses the target adds a piece (Kelley 1960, the cutting-plane method).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from formulations.algebra import Floats
from formulations.engines.base import Options
from formulations.engines.lp import Growing

# Answers and pieces that are tried, and how near to the target they have to come.
MOST_CUTS = 400
MOST_PIECES = 60
NEAR = 1e-5
HALVINGS = 48


@dataclass(frozen=True)
class Tangent:
    """``value + slopes (x - at) <= 1``: what rates ``x`` have to keep to meet the target."""

    at: Floats
    value: float
    slopes: Floats

    @property
    def piece(self) -> Piece:
        """The same in the inverses of the rates."""
        parts = -self.slopes * self.at**2
        return Piece(parts, self.value - float((parts / self.at).sum()))


@dataclass(frozen=True)
class Piece:
    """``fixed + sum parts / x``, of the time over the target; parts are not negative."""

    parts: Floats
    fixed: float

    def at(self, x: Floats) -> Tangent:
        """Return its tangent at some rates."""
        return Tangent(x, self.fixed + float((self.parts / x).sum()), -self.parts / x**2)


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
        begin: rates of the first piece.
        options: limits of the engine.

    Returns:
        None where no rates within the ends meet the target, or the rounds or a limit ended it.
    """
    program = _Program(weights, ends, options or Options())
    piece = tangent(begin).piece
    for _ in range(MOST_PIECES):
        found = program.least(piece)
        if found is None:
            return None
        there = tangent(found.rates)
        if there.value <= 1.0 + NEAR:
            return found
        piece = there.piece
    return None


class _Program:
    """The cheapest rates of the pieces known so far: a linear program of their tangents."""

    def __init__(self, weights: Floats, ends: tuple[Floats, Floats], options: Options) -> None:
        self._weights, self._ends, self._options = weights, ends, options
        self._pieces: list[Piece] = []
        self._solves = 0
        none, starts = np.zeros(0), np.zeros(len(weights), dtype=np.int64)
        self._lp = Growing(options)
        # columns are what each rate is above its least
        self._lp.add_columns(weights, ends[1] - ends[0], starts, none.astype(np.int64), none)

    def least(self, piece: Piece) -> Cheapest | None:
        """Return the cheapest rates with one piece more; None where none meet them all."""
        self._pieces.append(piece)
        low = self._ends[0]
        alone = least_cost(self._weights, piece.parts[None, :], np.array([1.0 - piece.fixed]), self._ends)[1]
        x = np.clip(alone[0], *self._ends)  # nearer to the answer than where the piece was found
        missed = [piece]
        while self._solves < MOST_CUTS and not self._options.expired:
            self._cut([p.at(x) for p in missed])
            self._solves += 1
            answer = self._lp.solve()
            if answer is None:
                return None
            x = np.clip(low + answer[1], *self._ends)
            # to half of what is asked: the rest is for the time between its pieces
            missed = [p for p in self._pieces if p.at(x).value > 1.0 + 0.5 * NEAR]
            if not missed:
                return Cheapest(x, float(self._weights @ x), self._solves)
        return None

    def _cut(self, tangents: Sequence[Tangent]) -> None:
        """Add tangents, each divided by its steepest slope."""
        size = len(self._weights)
        slopes = np.stack([t.slopes for t in tangents])
        steepest = np.maximum(np.abs(slopes).max(axis=1), 1e-9)
        there = np.array([t.value - 1.0 - float(t.slopes @ (t.at - self._ends[0])) for t in tangents])
        self._lp.add_rows(
            there / steepest,
            np.full(len(tangents), np.inf),
            np.arange(len(tangents)) * size,
            np.tile(np.arange(size), len(tangents)),
            (-slopes / steepest[:, None]).reshape(-1),
        )


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

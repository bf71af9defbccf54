"""Optimal plans as a parameter moves, such as a carbon tax: the exact points where the best one changes.

Nothing here knows what a plan is. The caller solves for one value of the parameter, and gets back where
the answer changes, with a word on whether that is proven.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

TIE = 1e-9  # relative: lines and metrics closer than this are one
PROVEN = 1e-6  # relative gap up to which a solve counts as proven: what engine and eval agree to

# of cost + parameter x carbon: cost, carbon, the answer, and its relative gap (None: nothing is proven)
Solve: TypeAlias = Callable[[float], "tuple[float, float, Any, float | None]"]


@dataclass(frozen=True, eq=False)
class Line:
    """An answer, whose objective is ``cost + parameter x carbon``."""

    cost: float
    carbon: float
    answer: Any
    gap: float | None

    def at(self, parameter: float) -> float:
        """Return the objective of this answer at a value of the parameter."""
        return self.cost + parameter * self.carbon

    def meets(self, other: Line) -> float | None:
        """Return where both are equally good; None where they are parallel."""
        slope = self.carbon - other.carbon
        if abs(slope) <= TIE * max(abs(self.carbon), abs(other.carbon)):
            return None
        return (other.cost - self.cost) / slope


@dataclass(frozen=True)
class Stretch:
    """An answer and the values of the parameter between which it is best."""

    low: float
    high: float
    line: Line


@dataclass(frozen=True)
class Envelope:
    """The best answers over an interval of the parameter.

    Attributes:
        stretches: from low to high; each has less carbon than the one before.
        gap: how far the objective can be from the best anywhere on the interval, relative to it.
        solves: how many problems were solved.
    """

    stretches: tuple[Stretch, ...]
    gap: float | None
    solves: int

    @property
    def proven(self) -> bool:
        """Whether the breakpoints are exact."""
        return self.gap is not None and self.gap <= PROVEN

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Where the best answer changes."""
        return tuple(s.low for s in self.stretches[1:])


class _Asked:
    """What is known of the objective as a function of the parameter: concave, and below every line."""

    def __init__(self, solve: Solve) -> None:
        self.solve = solve
        self.lines: list[Line] = []
        self.floor: dict[float, float | None] = {}

    def __call__(self, at: float) -> Line:
        """Return the best answer at a value; of equally good ones, that which was known."""
        cost, carbon, answer, gap = self.solve(at)
        new = Line(float(cost), float(carbon), answer, gap)
        self.floor[at] = None if gap is None else new.at(at) - abs(new.at(at)) * gap
        known = min(self.lines, key=lambda line: line.at(at), default=None)
        if known is not None and known.at(at) <= new.at(at) + TIE * abs(new.at(at)):
            return known
        self.lines.append(new)
        return new

    def best(self, low: float, high: float) -> list[Stretch]:
        """Return the lower envelope of the known lines."""
        at, line = low, min(self.lines, key=lambda x: (x.at(low), x.carbon))
        found: list[Stretch] = []
        while True:
            crossings = [
                (point, other.carbon, other)
                for other in self.lines
                if other.carbon < line.carbon and (point := line.meets(other)) is not None and point < high
            ]
            if not crossings:
                return [*found, Stretch(at, high, line)]
            point, _, after = min(crossings, key=lambda c: c[:2])
            if point - at > TIE * max(abs(at), abs(point)):
                found.append(Stretch(at, point, line))
                at = point
            line = after

    def gap(self, stretches: Sequence[Stretch]) -> float | None:
        """Return how far the envelope can be above the concave objective, relative to it."""
        ends = sorted(self.floor)
        if any(floor is None for floor in self.floor.values()):
            return None
        worst = 0.0
        low, high = stretches[0].low, stretches[-1].high
        for at in {*(s.low for s in stretches), *(t for t in ends if low <= t <= high), high}:
            left = max(t for t in ends if t <= at)
            right = min(t for t in ends if t >= at)
            share = 0.0 if right == left else (at - left) / (right - left)
            floor = (1 - share) * (self.floor[left] or 0.0) + share * (self.floor[right] or 0.0)
            value = min(line.at(at) for line in self.lines)
            worst = max(worst, (value - floor) / max(abs(value), 1e-30))
        return worst


def breakpoints(solve: Solve, low: float, high: float, *, most: int = 1000) -> Envelope:
    """Return the best answers over an interval of the parameter, with the exact points of change.

    The objective is the least of lines, so it is concave and piecewise linear. Both ends are solved;
    wherever two lines of what is known meet, that point is solved: either it brings a better line, or it
    confirms that the two are the best on both sides of it (Eisner & Severance 1976). ``n`` answers
    take at most ``2 n + 1`` solves.

    Args:
        solve: see :data:`Solve`; what is feasible must not depend on the parameter.
        low: where the interval begins.
        high: where it ends.
        most: solves after which to stop with what is known; the gap says what that is worth.
    """
    known = _Asked(solve)
    for end in dict.fromkeys((low, high)):
        known(end)
    solves = len(known.floor)
    while True:
        stretches = known.best(low, high)
        open_ = [s.low for s in stretches[1:] if s.low not in known.floor]
        if not open_ or solves >= most:
            break
        known(open_[len(open_) // 2])
        solves += 1
    return Envelope(tuple(stretches), known.gap(stretches), solves)


@dataclass(frozen=True)
class Around:
    """The answer at a value of the parameter, and how far the value can move before it changes.

    Attributes:
        line: the answer.
        low, high: between which it stays the best, within the interval that was asked about.
        below, above: the best answers on the other side of each; None where the interval ends first.
        proven: whether all of this is.
    """

    line: Line
    low: float
    high: float
    below: Line | None
    above: Line | None
    proven: bool


def around(solve: Solve, at: float, low: float, high: float) -> Around:
    """Return the answer at a value of the parameter and the next change on both sides of it.

    From each end of the interval the meeting point with the answer's line moves closer with every
    better line that is found there (Newton's method on a concave function), until a solve confirms it.

    Args:
        solve: see :data:`Solve`.
        at: the value.
        low: below which no change is of interest.
        high: above which none is.
    """
    known = _Asked(solve)
    line = known(at)

    def change(end: float) -> tuple[float, Line | None]:
        point, beyond = end, known(end)
        while beyond is not line and (meeting := line.meets(beyond)) is not None:
            point = min(max(meeting, min(at, end)), max(at, end))
            better = line if point == at else known(point)
            if better is line or better is beyond:
                return point, beyond
            beyond = better
        return end, None

    (under, below), (over, above) = (change(end) if end != at else (at, None) for end in (low, high))
    gap = known.gap([Stretch(under, over, line)])
    return Around(line, under, over, below, above, gap is not None and gap <= PROVEN)

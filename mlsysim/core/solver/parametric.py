"""Optimal plans as a parameter or a limit moves: exact breakpoints, and the frontier of metrics.

Nothing here knows what a plan is. The caller solves for one value of the parameter, or within one set of
bounds, and gets back where the answer changes, with a word on whether each solve was proven.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

TIE = 1e-9  # relative: lines and metrics closer than this are one
PROVEN = 1e-6  # relative gap up to which a solve counts as proven: what engine and eval agree to

# of cost + parameter x carbon: cost, carbon, the answer, and its relative gap (None: nothing is proven)
Solve: TypeAlias = Callable[[float], "tuple[float, float, Any, float | None]"]
# the least of a metric by index within bounds on all metrics (None: free): the metrics, the answer and
# its gap; None where nothing keeps the bounds
Within: TypeAlias = Callable[
    [int, "tuple[float | None, ...]"], "tuple[tuple[float, ...], Any, float | None] | None"
]


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


@dataclass(frozen=True)
class Point:
    """A plan that no other beats in every metric.

    Attributes:
        values: its metrics.
        answer: what the caller gave.
        gap: of the metric that was made least; None where nothing is proven.
    """

    values: tuple[float, ...]
    answer: Any
    gap: float | None

    @property
    def proven(self) -> bool:
        """Whether no plan beats it in every metric."""
        return self.gap is not None and self.gap <= PROVEN


@dataclass(frozen=True)
class Frontier:
    """Points that do not beat each other, by the first metric.

    Attributes:
        points: each is better than all others in at least one metric.
        complete: whether these are all that there are.
        solves: how many problems were solved.
    """

    points: tuple[Point, ...]
    complete: bool
    solves: int


def frontier(solve: Within, metrics: int, most: int, *, step: float = PROVEN) -> Frontier:
    """Return the nondominated points of two or three metrics, at most so many (epsilon-constraint).

    Two metrics: both ends and evenly spaced bounds on the second first, then the widest gaps between
    the points found, each closed by a solve just below its upper end, until none is left or there are
    enough points (Haimes 1971, Laumanns 2006). Three: the frontier of the first two within a bound on
    the third, which moves just below the largest third metric found, and so on.

    Args:
        solve: see :data:`Within`.
        metrics: how many there are, 2 or 3.
        most: points to return; the least of each metric is among them.
        step: relative difference below which two values of a metric are the same.
    """
    search = _Frontier(solve, metrics, most, step)
    complete = search.two(()) if metrics == 2 else search.three()
    points = search.nondominated()
    complete &= all(point.proven for point in search.found)
    kept = _spread(points, most)
    return Frontier(tuple(kept), complete and len(kept) == len(points), search.solves)


class _Frontier:
    def __init__(self, solve: Within, metrics: int, most: int, step: float) -> None:
        self.solve, self.metrics, self.most, self.step = solve, metrics, most, step
        self.found: list[Point] = []
        self.solves = 0

    def ask(self, index: int, bounds: tuple[float | None, ...]) -> Point | None:
        self.solves += 1
        answer = self.solve(index, bounds)
        if answer is None:
            return None
        point = Point(tuple(map(float, answer[0])), answer[1], answer[2])
        self.found.append(point)
        return point

    def below(self, value: float) -> float:
        """Return the greatest bound that a value does not keep."""
        return value - self.step * max(abs(value), 1e-30)

    def two(self, rest: tuple[float | None, ...]) -> bool:
        """Find the frontier of the first two metrics within bounds on the rest; whether it is complete."""
        first = self.ask(0, (None, None, *rest))
        if first is None:
            return True
        least = self.ask(1, (None, None, *rest))
        assert least is not None  # what is feasible for one metric is so for the other
        top, bottom = first.values[1], least.values[1]
        # what is not known of the second metric: above a bound that is settled, below a known point
        boxes: list[tuple[float, float]] = []
        upper, steps = top, max(self.most - 1, 1)
        for k in range(1, steps + 1):
            bound = bottom if k == steps else top + (bottom - top) * k / steps
            if bound >= upper:
                continue
            point = self.ask(0, (None, bound + (self.step * abs(bound) if k == steps else 0.0), *rest))
            if point is None:
                continue
            boxes.append((bound, upper))
            upper = min(upper, point.values[1])
        return self._close(boxes, rest)

    def _close(self, boxes: list[tuple[float, float]], rest: tuple[float | None, ...]) -> bool:
        """Look into the gaps that are left, the widest first; whether none is left."""
        while boxes:
            if self.metrics == 2 and len(self.nondominated()) >= self.most:
                return False
            boxes.sort(key=lambda box: box[1] - box[0])
            settled, upper = boxes.pop()
            bound = self.below(upper)
            if bound <= settled:
                continue
            point = self.ask(0, (None, bound, *rest))
            if point is not None and point.values[1] > settled:
                boxes.append((settled, point.values[1]))
        return True

    def three(self) -> bool:
        """Find the frontier of three metrics; whether it is complete."""
        bound: float | None = None
        while True:
            before = len(self.found)
            self.two((bound,))
            news = self.found[before:]
            if not news:
                return True
            if len(self.nondominated()) > 4 * self.most:
                return False
            bound = self.below(max(point.values[2] for point in _undominated(news, 2, self.step)))

    def nondominated(self) -> list[Point]:
        return _undominated(self.found, self.metrics, self.step)


def _undominated(points: Sequence[Point], metrics: int, step: float) -> list[Point]:
    """Return the points that none beats or equals in the first metrics, by the first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: p.values):
        ours = point.values[:metrics]
        if not any(_covers(other.values, ours, step) for other in kept):
            kept = [other for other in kept if not _covers(ours, other.values[:metrics], step)]
            kept.append(point)
    return kept


def _covers(one: Sequence[float], other: Sequence[float], step: float) -> bool:
    """Return whether a point is nowhere worse than another."""
    return all(a <= b + step * abs(b) for a, b in zip(one, other, strict=False))


def _spread(points: list[Point], most: int) -> list[Point]:
    """Return at most so many points, the ends and those between at even distances."""
    if len(points) <= most:
        return points
    last = len(points) - 1
    at = sorted({round(k * last / max(most - 1, 1)) for k in range(most)})
    return [points[i] for i in at]

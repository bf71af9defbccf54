"""The frontier of two or three metrics: plans that no other beats in all of them (epsilon-constraint).

Nothing here knows what a plan is. The caller solves for the least of one metric within bounds on all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from mlsysim.core.errors import SolverLimitError
from mlsysim.core.solver.parametric import PROVEN

# the least of a metric by index within bounds on all metrics (None: free): the metrics, the answer and
# its gap; None where nothing keeps the bounds
Within: TypeAlias = Callable[
    [int, "tuple[float | None, ...]"], "tuple[tuple[float, ...], Any, float | None] | None"
]


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

    Raises:
        SolverLimitError: the time is up before the first point; later, those found are returned.
    """
    search = _Frontier(solve, metrics, most, step)
    try:
        complete = search.two(()) if metrics == 2 else search.three()
    except SolverLimitError:
        if not search.found:
            raise
        complete = False  # what was found before the time was up stands
    points = search.nondominated()
    complete &= all(point.proven for point in search.found)
    kept = _spread(points, most)
    return Frontier(tuple(kept), complete and len(kept) == len(points), search.solves)


# what is not known of the second metric: above a bound that is settled, below a known point; and whether
# points lie close to each other there
_Box: TypeAlias = tuple[float, float, bool]
# nearer to each other than this share of an even distance, points are close
NEAR = 0.1


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
        boxes: list[_Box] = []
        upper, steps = top, max(self.most - 1, 1)
        for k in range(1, steps + 1):
            bound = bottom if k == steps else top + (bottom - top) * k / steps
            if bound >= upper:
                continue
            point = self.ask(0, (None, bound + (self.step * abs(bound) if k == steps else 0.0), *rest))
            if point is None:
                continue
            boxes.append((bound, upper, False))
            upper = min(upper, point.values[1])
        return self._close(boxes, rest, NEAR * abs(top - bottom) / self.most)

    def _close(self, boxes: list[_Box], rest: tuple[float | None, ...], near: float) -> bool:
        """Look into the gaps that are left, the widest first; whether none is left.

        Where the next point is ``near`` (shares move as little as one likes), the middle is asked next.
        """
        while boxes:
            if self.metrics == 2 and len(self.nondominated()) >= self.most:
                return False
            boxes.sort(key=lambda box: box[1] - box[0])
            settled, upper, dense = boxes.pop()
            last = self.below(upper)
            if last <= settled:
                continue
            bound = min(last, 0.5 * (settled + upper)) if dense else last
            point = self.ask(0, (None, bound, *rest))
            if bound < last:
                boxes.append((bound, upper, True))
            if point is not None and point.values[1] > settled:
                dense = dense or upper - point.values[1] < near
                boxes.append((settled, point.values[1], dense))
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

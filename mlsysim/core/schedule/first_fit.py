"""Jobs placed one after another where they fit: what people do without a solver.

The baselines of a plan are made so, and whether a job fits on its own. Nothing here is optimal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mlsysim.core.schedule.types import Fleet, Job, Mask, Option, Places, Run, Schedule

# rounding of a sum of accelerators or watts
_SLACK = 1.0 + 1e-9


class Room:
    """What is left of power and accelerators, slot by slot."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.power = places.power.copy()
        self.accelerators = places.accelerators.copy()

    def share(self, o: Option, r: int) -> np.ndarray:
        """Return what share of an option a region has room for in each slot, at most 1."""
        with np.errstate(divide="ignore", invalid="ignore"):
            watts = self.power[r] / (o.power * self.places.pue[r])
            count = self.accelerators[o.hardware, r] / o.count
        # nothing asked of nothing is room enough
        both = np.fmin(np.fmin(watts, count), 1.0)
        return np.asarray(np.clip(both * _SLACK, 0.0, 1.0))

    def whole(self, o: Option, r: int) -> Mask:
        """Return in which slots a region has room for all of an option."""
        return np.asarray(self.share(o, r) >= 1.0)

    def take(self, job: Job, run: Run) -> None:
        """Take what a run holds."""
        o, r = job.options[run.option], run.region
        self.power[r, run.slots] -= o.power * self.places.pue[r] * run.share
        self.accelerators[o.hardware, r, run.slots] -= o.count * run.share
        np.maximum(self.power, 0.0, out=self.power)
        np.maximum(self.accelerators, 0.0, out=self.accelerators)


def slots_for(job: Job, k: int, r: int, room: Room) -> np.ndarray | None:
    """Return the first slots in which a job that is not split fits in a region; None if it does not."""
    o = job.options[k]
    free = np.flatnonzero(room.whole(o, r))
    free = free[(free >= job.ready[r]) & (free < job.deadline)]
    if free.size < o.slots:
        return None
    if job.kind != "rigid":
        return np.asarray(free[: o.slots])
    for first in range(free.size - o.slots + 1):
        if free[first + o.slots - 1] - free[first] == o.slots - 1:
            return np.asarray(free[first : first + o.slots])
    return None


def _placed_whole(job: Job, order: Sequence[int], room: Room) -> tuple[Run, ...]:
    """Return a job in the first region of an order where it fits at once, or fits soonest."""
    found: list[tuple[int, int, Run]] = []
    for rank, r in enumerate(order):
        for k in range(len(job.options)):
            slots = slots_for(job, k, r, room)
            if slots is None:
                continue
            run = Run(r, k, slots, np.ones(slots.size))
            if slots[0] == job.ready[r]:
                return (run,)
            found.append((int(slots[0]), rank, run))
    return (min(found, key=lambda f: f[:2])[2],) if found else ()


def _placed_split(job: Job, order: Sequence[int], room: Room) -> tuple[Run, ...]:
    """Return a job split over time and the regions of an order, as soon as there is room."""
    for k, o in enumerate(job.options):
        rest = o.work
        held: dict[int, list[tuple[int, float]]] = {}
        shares = {r: room.share(o, r) for r in order}
        for t in range(int(min(job.ready)), job.deadline):
            now = 1.0
            for r in order:
                share = min(now, rest, float(shares[r][t])) if t >= job.ready[r] else 0.0
                if share > 0.0:
                    held.setdefault(r, []).append((t, share))
                    now, rest = now - share, rest - share
            if rest <= 1e-9 * o.work:
                return tuple(
                    Run(r, k, np.array([t for t, _ in parts]), np.array([s for _, s in parts]))
                    for r, parts in held.items()
                )
    return ()


def first_fit(fleet: Fleet, order: Callable[[Job], Sequence[int]]) -> Schedule:
    """Return the jobs placed one after another, each as soon as it fits.

    Args:
        fleet: jobs and places; caps are not looked at.
        order: regions that a job may use, the first choice first.

    Returns:
        A schedule; a job that fits nowhere has no runs.
    """
    room = Room(fleet.places)
    placed = []
    for job in fleet.jobs:
        place = _placed_split if job.kind == "split" else _placed_whole
        runs = place(job, order(job), room)
        for run in runs:
            room.take(job, run)
        placed.append(runs)
    return Schedule(tuple(placed))


def cheapest_first(places: Places) -> Callable[[Job], Sequence[int]]:
    """Return an order of regions: by the cost of a job at their mean prices."""
    mean = places.cost.mean(axis=1)

    def order(job: Job) -> Sequence[int]:
        if not job.options:
            return ()
        o = job.options[0]
        cost = o.power * o.work * mean + o.cost
        return [r for r in np.argsort(cost, kind="stable").tolist() if job.ready[r] < places.slots]

    return order


def where_now(places: Places) -> Callable[[Job], Sequence[int]]:
    """Return the region in which each job is today; by :func:`cheapest_first` where nobody says."""
    cheapest = cheapest_first(places)

    def order(job: Job) -> Sequence[int]:
        return (job.now,) if job.now is not None else cheapest(job)

    return order

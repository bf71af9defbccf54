"""Which limits of a fleet cannot hold together, and the least change of each that mends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from formulations.engines.base import Options
from formulations.schedule.planning import plan
from mlsysim.core.schedule.types import Fleet, Weights

INF = float("inf")
# How finely the least change of a capacity is looked for, as a share of it, and how much more is tried.
FINE, MOST = 0.01, 64.0


@dataclass(frozen=True)
class Member:
    """A limit of a conflict.

    Attributes:
        tag: ``accelerators``, ``power``, ``windows``, ``cost``, ``carbon``, ``water``, ``region carbon``
            or ``job carbon``.
        least: what mends the conflict if the other limits stay: of a cap, the least amount; of a capacity,
            the factor on all of it; of the windows, slots by which every deadline is later. None where
            nothing does, or it was not found in time.
        supply: what is there: of the cap, 1 of a capacity, 0 of the windows.
    """

    tag: str
    least: float | None
    supply: float


@dataclass(frozen=True)
class Clash:
    """Limits that cannot hold together.

    Attributes:
        members: dropping any one of them mends it.
        job: the one job that it is about; None where it takes several.
        proven: whether each was shown to be needed.
    """

    members: tuple[Member, ...]
    job: int | None
    proven: bool


def clash(fleet: Fleet, options: Options | None = None) -> Clash | None:
    """Return a smallest set of limits that cannot hold together; None where a schedule is found.

    By a deletion filter over groups: limits are dropped one group at a time, and stay dropped if what is
    left is still infeasible.
    """
    options = options or Options()
    for j in range(len(fleet.jobs)):
        alone = replace(fleet, jobs=(fleet.jobs[j],))
        if plan(alone, options).status == "infeasible":
            return _filtered(alone, j, options)
    status = plan(fleet, _any(options)).status
    return _filtered(fleet, None, options) if status == "infeasible" else None


def _any(options: Options) -> Options:
    """Return options with which any schedule will do."""
    return replace(options, gap=1e6, progress=None)


def _filtered(fleet: Fleet, job: int | None, options: Options) -> Clash:
    kept, proven, now = [], True, fleet
    for tag, (is_there, drop) in _GROUPS.items():
        if not is_there(now):
            continue
        less = drop(now)
        status = plan(less, _any(options)).status
        if status == "infeasible":
            now = less
        else:
            proven &= status in ("optimal", "feasible")
            kept.append(tag)
    members = tuple(Member(tag, *_least(now, tag, options)) for tag in kept)
    return Clash(members, job, proven)


def _least(fleet: Fleet, tag: str, options: Options) -> tuple[float | None, float]:
    """Return the least of a limit that mends a conflict, and what is there."""
    c, p = fleet.caps, fleet.places
    totals = {"cost": (Weights(1.0), c.cost), "carbon": (Weights(0.0, 1.0), c.carbon)}
    totals["water"] = (Weights(0.0, 0.0, 1.0), c.water)
    if tag in totals:
        weights, supply = totals[tag]
        free = replace(fleet, weights=weights, caps=replace(c, **{tag: INF}))
        found = plan(free, options)
        return (found.objective if found.status == "optimal" else None), supply
    if tag == "windows":
        return _later(fleet, options), 0.0

    def wider(factor: float) -> Fleet:
        if tag == "job carbon":
            return replace(
                fleet, jobs=tuple(replace(j, carbon_cap=j.carbon_cap * factor) for j in fleet.jobs)
            )
        name = {"accelerators": "accelerators", "power": "power", "region carbon": "carbon_cap"}[tag]
        return replace(fleet, places=replace(p, **{name: getattr(p, name) * factor}))

    return _smallest(lambda f: _holds(wider(f), options), options), 1.0


def _holds(fleet: Fleet, options: Options) -> bool:
    return plan(fleet, _any(options)).schedule is not None


def _smallest(holds: Callable[[float], bool], options: Options) -> float | None:
    """Return the smallest factor above 1 that holds, to a hundredth; None where none is found."""
    low, high = 1.0, 1.0 + FINE
    while not holds(high):
        if high > MOST or options.expired:
            return None
        low, high = high, 1.0 + 2.0 * (high - 1.0)
    while high - low > FINE * low and not options.expired:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _later(fleet: Fleet, options: Options) -> float | None:
    """Return by how many slots every deadline must be later; None where that does not mend it."""

    def moved(by: int) -> Fleet:
        jobs = tuple(replace(j, deadline=min(fleet.places.slots, j.deadline + by)) for j in fleet.jobs)
        return replace(fleet, jobs=jobs)

    low, high = 0, fleet.places.slots
    if not _holds(moved(high), options):
        return None
    while high - low > 1 and not options.expired:
        middle = (low + high) // 2
        low, high = (low, middle) if _holds(moved(middle), options) else (middle, high)
    return float(high)


def _without_windows(f: Fleet) -> Fleet:
    slots = f.places.slots
    jobs = tuple(replace(j, deadline=slots, ready=np.where(j.ready < slots, 0, j.ready)) for j in f.jobs)
    return replace(f, jobs=jobs)


def _capped(name: str) -> tuple[Callable[[Fleet], bool], Callable[[Fleet], Fleet]]:
    return (
        lambda f: bool(np.isfinite(getattr(f.caps, name))),
        lambda f: replace(f, caps=replace(f.caps, **{name: INF})),
    )


def _capacity(name: str) -> tuple[Callable[[Fleet], bool], Callable[[Fleet], Fleet]]:
    return (
        lambda f: bool(np.isfinite(getattr(f.places, name)).any()),
        lambda f: replace(f, places=replace(f.places, **{name: np.full_like(getattr(f.places, name), INF)})),
    )


# What each group of limits is, and the fleet without it; those that people change most easily go last,
# and so are kept.
_GROUPS: dict[str, tuple[Callable[[Fleet], bool], Callable[[Fleet], Fleet]]] = {
    "region carbon": _capacity("carbon_cap"),
    "job carbon": (
        lambda f: any(np.isfinite(j.carbon_cap) for j in f.jobs),
        lambda f: replace(f, jobs=tuple(replace(j, carbon_cap=INF) for j in f.jobs)),
    ),
    "water": _capped("water"),
    "power": _capacity("power"),
    "accelerators": _capacity("accelerators"),
    "windows": (
        lambda f: any(j.deadline < f.places.slots or (j.ready > 0).any() for j in f.jobs),
        _without_windows,
    ),
    "carbon": _capped("carbon"),
    "cost": _capped("cost"),
}

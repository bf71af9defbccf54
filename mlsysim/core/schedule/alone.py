"""Whether a job could run if it were the only one: what no other job is to blame for."""

from __future__ import annotations

import numpy as np

from mlsysim.core.schedule.clock import HOUR, Clock
from mlsysim.core.schedule.first_fit import Room, slots_for
from mlsysim.core.schedule.scenario import Impossible
from mlsysim.core.schedule.types import Job, Places


def blocked(job: Job, places: Places, clock: Clock) -> Impossible | None:
    """Return why a job cannot run even alone; None where that is not proven.

    Args:
        job: the job.
        places: empty.
        clock: the plan's slots.
    """
    if not job.options:
        return Impossible(job.name, "no accelerator answers it")
    may = np.flatnonzero(job.ready < places.slots)
    if not may.size:
        return Impossible(job.name, "no region may run it in time (residency, latency, data, or wait)")
    split = job.kind == "split"
    needed = min(o.work if split else o.slots for o in job.options)
    room = float(job.deadline - job.ready[may].min())
    hours = clock.step / HOUR
    if needed > room * (1 + 1e-9):
        return Impossible(
            job.name, "its window is shorter than it takes", needed * hours, max(0.0, room) * hours, "h"
        )
    if _fits(job, places, may):
        return None
    counts = [o.count for o in job.options]
    there = [float(places.accelerators[o.hardware, may].max()) for o in job.options]
    over = [c - t for c, t in zip(counts, there, strict=True)]
    if not split and min(over) > 0:
        best = int(np.argmin(over))
        kind = places.hardware[job.options[best].hardware]
        return Impossible(job.name, f"more {kind} than any region has", counts[best], there[best], kind)
    return Impossible(job.name, "no region has room for it in its window, even if it were the only job")


def _fits(job: Job, places: Places, may: np.ndarray) -> bool:
    """Return whether a job may fit; True wherever this is not ruled out."""
    room = Room(places)
    if job.kind in ("rigid", "pause"):
        return any(slots_for(job, k, int(r), room) is not None for k in range(len(job.options)) for r in may)
    if job.kind == "move":
        return any(_open(job, k, may, room).sum() >= o.slots for k, o in enumerate(job.options))
    # the most that can be done of it in each slot, as a share of the work
    done = sum(_most(job, k, may, room) / o.work for k, o in enumerate(job.options))
    return float(np.sum(done)) >= 1.0 - 1e-9


def _window(job: Job, r: int, slots: int) -> np.ndarray:
    at = np.arange(slots)
    return np.asarray((at >= job.ready[r]) & (at < job.deadline))


def _open(job: Job, k: int, may: np.ndarray, room: Room) -> np.ndarray:
    """Return in which slots some region has room for an option."""
    slots = room.places.slots
    fits = [_window(job, int(r), slots) & room.whole(job.options[k], int(r)) for r in may]
    return np.asarray(np.any(fits, axis=0))


def _most(job: Job, k: int, may: np.ndarray, room: Room) -> np.ndarray:
    """Return the largest share of an option that all regions have room for in each slot."""
    slots = room.places.slots
    shares = [_window(job, int(r), slots) * room.share(job.options[k], int(r)) for r in may]
    return np.asarray(np.minimum(1.0, np.sum(shares, axis=0)))

"""A schedule as people look at it: jobs with their parts joined, and stretches of time instead of slots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mlsysim.core.schedule.types import Fleet, Schedule
from mlsysim.core.schedule.usage import Broken, Usage, broken, usage

# Limits that the plan sets itself; the others are what is there.
OWN_LIMITS = ("cost", "carbon", "water")


@dataclass(frozen=True)
class Stretch:
    """A region's accelerators that do a part of a job, from a slot to the one before another."""

    region: int
    hardware: int
    accelerators: float
    first: int
    end: int


@dataclass(frozen=True)
class Part:
    """A job of the plan: one of the fleet's, or those of a group.

    Attributes:
        name: of the job, or of the group.
        jobs: indices of the fleet's jobs.
        kind: how it may run; ``serving`` of a group.
    """

    name: str
    jobs: tuple[int, ...]
    kind: str


def parts_of(fleet: Fleet) -> tuple[Part, ...]:
    """Return the jobs of a fleet, those of a group together."""
    found: dict[tuple[bool, str], list[int]] = {}
    for j, job in enumerate(fleet.jobs):
        found.setdefault((bool(job.group), job.group or job.name), []).append(j)
    return tuple(
        Part(name, tuple(jobs), "serving" if grouped else fleet.jobs[jobs[0]].kind)
        for (grouped, name), jobs in found.items()
    )


def stretches(fleet: Fleet, schedule: Schedule, jobs: Sequence[int]) -> list[Stretch]:
    """Return where and when jobs run, in order of time."""
    held: dict[tuple[int, int], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for j in jobs:
        for run in schedule.runs[j]:
            o = fleet.jobs[j].options[run.option]
            for slot, share in zip(run.slots.tolist(), run.share.tolist(), strict=True):
                held[run.region, o.hardware][slot] += o.count * share
    found: list[Stretch] = []
    for (region, hardware), slots in held.items():
        begun: list[Stretch] = []
        for slot, count in sorted(slots.items()):
            if begun and begun[-1].end == slot and abs(begun[-1].accelerators - count) <= 1e-9 * count:
                last = begun.pop()
                begun.append(Stretch(region, hardware, last.accelerators, last.first, slot + 1))
            else:
                begun.append(Stretch(region, hardware, count, slot, slot + 1))
        found += begun
    return sorted(found, key=lambda s: (s.first, s.region, s.hardware))


@dataclass(frozen=True, eq=False)
class Judged:
    """A schedule, what it takes, and the limits that it does not keep.

    Attributes:
        name: ``optimum``, ``cheapest`` or ``now``.
        title: in words.
        fleet: that it is of.
        schedule: jobs without runs are not placed.
    """

    name: str
    title: str
    fleet: Fleet
    schedule: Schedule

    @cached_property
    def usage(self) -> Usage:
        """What it takes."""
        return usage(self.fleet, self.schedule)

    @cached_property
    def broken(self) -> tuple[Broken, ...]:
        """Limits that it does not keep."""
        return tuple(broken(self.fleet, self.schedule))

    @cached_property
    def unplaced(self) -> tuple[str, ...]:
        """Jobs of the plan that are not placed, or not all of them."""
        runs = self.schedule.runs
        return tuple(p.name for p in parts_of(self.fleet) if any(not runs[j] for j in p.jobs))

    @property
    def objective(self) -> float:
        """The weighted sum that was to be made least."""
        return self.usage.objective(self.fleet)

    @property
    def feasible(self) -> bool:
        """Whether it keeps everything but the plan's own limits."""
        return all(b.tag in OWN_LIMITS for b in self.broken)

    @property
    def status(self) -> str:
        """``fail`` if it cannot be run, ``sla_violation`` if a limit of the plan is not kept, or ``pass``."""
        return "fail" if not self.feasible else "sla_violation" if self.broken else "pass"


def regions_of(j: Judged) -> dict[str, str]:
    """Return the region of each job, several joined by ``+``; those that are not placed are absent."""
    fleet, found = j.fleet, {}
    for part in parts_of(fleet):
        where = sorted({run.region for i in part.jobs for run in j.schedule.runs[i]})
        if where:
            found[part.name] = "+".join(fleet.places.names[r] for r in where)
    return found

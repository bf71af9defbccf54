"""A plan with several jobs in numbers, and what people call its parts."""

from __future__ import annotations

from dataclasses import dataclass

from mlsysim.core.fleet_plan import FleetPlan
from mlsysim.core.scenario import Assumption
from mlsysim.core.schedule.clock import Clock
from mlsysim.core.schedule.places import Located
from mlsysim.core.schedule.types import Fleet


@dataclass(frozen=True)
class Impossible:
    """A job that cannot run at all, whatever the others do.

    Attributes:
        job: its name.
        why: in words.
        demand, supply: the least that it takes of what stands in the way, and the most that is there.
        unit: of both.
    """

    job: str
    why: str
    demand: float | None = None
    supply: float | None = None
    unit: str = ""


@dataclass(frozen=True, eq=False)
class FleetScenario:
    """A plan with several jobs, resolved.

    Attributes:
        plan: as written.
        fleet: in numbers.
        regions: of the plan, in the order of the fleet's.
        clock: its slots.
        impossible: jobs that cannot run.
        assumptions: what was filled in, with its source.
        notes: remarks for people.
    """

    plan: FleetPlan
    fleet: Fleet
    regions: tuple[Located, ...]
    clock: Clock
    impossible: tuple[Impossible, ...]
    assumptions: tuple[Assumption, ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The title."""
        return self.plan.name or f"{len(self.plan.jobs)} jobs in {len(self.regions)} regions"

"""Plans with several jobs to test with, and a solver that only places jobs one after another."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np

from mlsysim.core.fleet_plan import load
from mlsysim.core.schedule.first_fit import cheapest_first, first_fit
from mlsysim.core.schedule.resolve import resolve_fleet
from mlsysim.core.schedule.scenario import FleetScenario
from mlsysim.core.schedule.types import Caps, Fleet, Run, Schedule
from mlsysim.core.schedule.usage import broken, usage

JOB: dict[str, Any] = {
    "name": "a",
    "accelerator_hours": 100.0,
    "hardware": [{"name": "H100", "accelerators": 16}],
}
FLAT = {"price": "0.10 USD/kWh", "carbon_intensity": "200 gCO2e/kWh"}


def mapping(*jobs: dict[str, Any], regions: Any = None, ops: Any = None, **more: Any) -> dict[str, Any]:
    """Return a small plan as a mapping; each job has the fields of :data:`JOB` unless it says otherwise."""
    return {
        "version": "1.0",
        "ops": {"start": "2025-03-03T00:00Z", "hours": 24} | (ops or {}),
        "regions": deepcopy(regions or [{"name": "Quebec"}, {"name": "Germany"}]),
        "jobs": [deepcopy(JOB | job) for job in (jobs or ({},))],
        **more,
    }


def resolved(*jobs: dict[str, Any], **more: Any) -> FleetScenario:
    """Return :func:`mapping` in numbers."""
    return resolve_fleet(*load(mapping(*jobs, **more)))


class Enumerated:
    """The interface of :mod:`formulations.schedule` over all schedules of rigid jobs, one by one."""

    def __init__(self) -> None:
        self.known: tuple[Any, list[tuple[Schedule, tuple[float, float, float]]]] | None = None

    def held(self, fleet: Fleet) -> list[tuple[Schedule, tuple[float, float, float]]]:
        """Return the schedules that keep all but the caps, and what they take; worked out once."""
        if self.known is None or self.known[0] is not fleet.jobs:
            free = replace(fleet, caps=Caps())
            every = [(s, usage(free, s).total()) for s in schedules(free) if not broken(free, s)]
            self.known = (fleet.jobs, every)
        return self.known[1]

    def plan(self, fleet: Fleet, options: object) -> SimpleNamespace:
        w, c = fleet.weights, fleet.caps
        best, value = None, np.inf
        for schedule, taken in self.held(fleet):
            here = float(np.dot(taken, (w.cost, w.carbon, w.water)))
            if here < value and all(
                x <= cap * (1 + 1e-9) for x, cap in zip(taken, (c.cost, c.carbon, c.water), strict=True)
            ):
                best, value = schedule, here
        return SimpleNamespace(
            status="infeasible" if best is None else "optimal",
            schedule=best,
            objective=value,
            bound=value,
            gap=None if best is None else 0.0,
            seconds={},
            columns=0,
            rows=0,
            engine="enumeration",
            version="1",
        )

    def clash(self, fleet: Fleet, options: object) -> None:
        return None

    def prices(self, fleet: Fleet, schedule: object, options: object) -> list[SimpleNamespace]:
        return []


def schedules(fleet: Fleet) -> list[Schedule]:
    """Return every schedule of rigid jobs that keeps their windows."""
    ways = [
        [
            (Run(r, k, np.arange(first, first + o.slots), np.ones(o.slots)),)
            for r in range(len(fleet.places.names))
            for k, o in enumerate(job.options)
            for first in range(int(job.ready[r]), job.deadline - o.slots + 1)
        ]
        for job in fleet.jobs
    ]
    return [Schedule(runs) for runs in product(*ways)]


class FirstFit:
    """The interface of :mod:`formulations.schedule` over first fit: feasible, and never proven."""

    def __init__(self) -> None:
        self.asked: list[Fleet] = []

    def plan(self, fleet: Fleet, options: object) -> SimpleNamespace:
        self.asked.append(fleet)
        schedule = first_fit(fleet, cheapest_first(fleet.places))
        bad = broken(fleet, schedule)
        value = None if bad else usage(fleet, schedule).objective(fleet)
        return SimpleNamespace(
            status="infeasible" if bad else "feasible",
            schedule=None if bad else schedule,
            objective=value,
            bound=0.0,
            gap=None if bad else 1.0,
            seconds={"placing": 0.0},
            columns=0,
            rows=0,
            engine="first fit",
            version="1",
        )

    def clash(self, fleet: Fleet, options: object) -> SimpleNamespace:
        members = [
            SimpleNamespace(tag="accelerators", least=1.5, supply=1.0),
            SimpleNamespace(tag="windows", least=2.0, supply=0.0),
            SimpleNamespace(tag="carbon", least=500.0, supply=400.0),
            SimpleNamespace(tag="power", least=None, supply=1.0),
        ]
        return SimpleNamespace(members=members, job=0, proven=True)

    def prices(self, fleet: Fleet, schedule: object, options: object) -> list[SimpleNamespace]:
        of_cap = SimpleNamespace(tag="carbon", where="all jobs", worth=0.2, confirmed=False, slots=())
        of_h100 = SimpleNamespace(
            tag="accelerators", where="H100 in Quebec", worth=1.5, confirmed=True, slots=(3, 4)
        )
        return [of_h100, of_cap]

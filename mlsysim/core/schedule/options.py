"""Ways to run a job: how long it takes on how many accelerators of a type, and what these cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.core.fleet_plan import FleetPlan
from mlsysim.core.fleet_plan_blocks import JobBlock, OptionBlock
from mlsysim.core.machine import machines
from mlsysim.core.metrics import run_time
from mlsysim.core.schedule.clock import HOUR, Clock
from mlsysim.core.schedule.places import Located
from mlsysim.core.schedule.reading import Reader
from mlsysim.core.schedule.types import Option
from mlsysim.core.yamlfile import Document, Key
from mlsysim.hardware import Hardware
from mlsysim.hardware.own import resolve_hardware
from mlsysim.physics.operations import Fleet, Site, bill
from mlsysim.systems import node

# no electricity: that is counted slot by slot
NOWHERE = Site(price=0.0, carbon_intensity=0.0, pue=1.0, wue=0.0, grid_water=0.0)


@dataclass(frozen=True)
class Machines:
    """What makes options of a plan: its types of accelerators and what they cost where."""

    plan: FleetPlan
    regions: tuple[Located, ...]
    hardware: tuple[str, ...]
    clock: Clock
    read: Reader

    def option(self, kind: Hardware, count: float, seconds: float, power: float | None, key: Key) -> Option:
        """Return a way to run a job.

        Args:
            kind: type of accelerator.
            count: how many.
            seconds: how long.
            power: of one with its share of the server [W]; the registry's if absent.
            key: its place in the plan.
        """
        fleet = self._fleet(kind, count, key)
        slots = max(1, self.clock.cover(seconds))
        kept = self.plan.ops.ownership != "paid"
        # electricity is counted by the slot
        whole = bill(replace(fleet, power=0.0), NOWHERE, seconds, self.plan.ops.ownership == "rent")
        zeros = np.zeros(len(self.regions))
        return Option(
            hardware=self.hardware.index(kind.name),
            count=count,
            slots=slots,
            busy=min(1.0, seconds / (slots * self.clock.step)),
            power=count * (fleet.power if power is None else power),
            cost=zeros + whole.tco if kept else zeros,
            carbon=float(np.max(whole.embodied_carbon)) if kept else 0.0,
            label=f"{count:g} x {kind.name}",
        )

    def _fleet(self, kind: Hardware, count: float, key: Key) -> Fleet:
        """Return accelerators of a type with what they cost; the rent by region."""
        rented = self.plan.ops.ownership == "rent"
        own = [self._own_rent(i, r, kind.name) for i, r in enumerate(self.regions)]
        server = node(kind.node) if kind.node else None
        listed = rented and None in own
        fleet = self.read.at(key, machines, kind, server, count, listed, self.read.take)
        rents: Any = np.array([fleet.rent if x is None else x for x in own])
        return replace(fleet, rent=rents)

    def _own_rent(self, i: int, region: Located, kind: str) -> float | None:
        from mlsysim.core import units

        for name, given in region.block.rent.items():
            key = ("regions", i, "rent", name)
            if self.read.at(key, resolve_hardware, name, self.read.folder).name == kind:
                return self.read.at(key, units.parse, given, "USD/h")
        return None


def options_of(j: int, job: JobBlock, m: Machines) -> tuple[tuple[Option, ...], tuple[str, ...]]:
    """Return the ways to run a job that is not serving, and why others are left out.

    Raises:
        InputError: naming the key of the plan.
    """
    found: list[Option] = []
    left: list[str] = []
    for k, block in enumerate(job.hardware):
        key = ("jobs", j, "hardware", k)
        kind = m.read.at((*key, "name"), resolve_hardware, block.name, m.read.folder)
        counts = block.counts
        if len(set(counts)) < len(counts):
            raise m.read.wrong((*key, "accelerators"), "a count stands twice", "keep one of them")
        if block.hours is not None and len(counts) > 1:
            raise m.read.wrong(
                (*key, "hours"), "hours of several counts", "list each count as a hardware of its own"
            )
        if job.workload is not None and (block.hours is not None or block.speed != 1.0):
            raise m.read.wrong(key, "the physics says how long a workload takes", "leave hours and speed out")
        power = power_of(j, k, job, block, m.read)
        for count in counts:
            seconds, why = _seconds(j, k, job, block, count, m)
            if why:
                left.append(f"{count} x {kind.name}: {why}")
            else:
                found.append(m.option(kind, float(count), seconds, power, key))
    return tuple(found), tuple(left)


def power_of(j: int, k: int, job: JobBlock, block: OptionBlock, read: Reader) -> float | None:
    """Return the power of an accelerator that a job gives [W]; None where it gives none."""
    own = read.number(("jobs", j, "hardware", k, "power"), block)
    return own if own is not None else read.number(("jobs", j, "power"), job)


def _seconds(j: int, k: int, job: JobBlock, block: OptionBlock, count: int, m: Machines) -> tuple[float, str]:
    """Return how long a job takes, or why it cannot run so."""
    if block.hours is not None:
        return block.hours * HOUR, ""
    if job.accelerator_hours is not None:
        return job.accelerator_hours / (count * block.speed) * HOUR, ""
    e = _trained(j, k, job, block, count, m)
    if not e.feasible:
        return 0.0, " and ".join(w.wall.name for w in e.walls if w.hard and w.status == "fail")
    if e.state.training_tokens is None:
        raise m.read.wrong(
            ("jobs", j, "workload"), f"{job.name!r} does not train on tokens", "give accelerator_hours"
        )
    return float(run_time(e.state)), ""


def _trained(j: int, k: int, job: JobBlock, block: OptionBlock, count: int, m: Machines) -> Evaluation:
    """Return the evaluation of a training job on some accelerators, failures and checkpoints included."""
    from mlsysim.core.plan import Plan
    from mlsysim.core.resolve import resolve
    from mlsysim.core.settings import settings_of

    assert job.workload is not None
    blocks = {n: b for n in ("parallelism", "checkpoint", "reliability") if (b := getattr(job, n))}
    given = {n: b.model_dump(by_alias=True, exclude_unset=True) for n, b in blocks.items()}
    plan = Plan.model_validate(
        {
            "version": "1.0",
            "workload": job.workload.model_dump(exclude_unset=True),
            "hardware": {"name": block.name, "accelerators": count},
            **given,
        }
    )
    try:
        settings = settings_of(plan, Document({}, m.read.document.name))  # relative paths start there
        e = evaluate(resolve(replace(settings, region=m.regions[0].entry, name=job.name)))
    except InputError as error:  # its place is one in the plan of this job alone
        first, *rest = error.where.removeprefix(f"{m.read.document.name}: ").split(".")
        if first in Plan.model_fields or not first:
            inside = (int(part) if part.isdecimal() else part for part in rest)
            head = (first, k) if first == "hardware" else (first,) if first else ()
            error.where = m.read.document.where(("jobs", j, *head, *inside))
        raise
    about = {a.name: a for a in e.scenario.assumptions}
    m.read.take.taken += [a for name, a in about.items() if name not in _OF_SITE]
    return e


# what a training job in itself has no use for
_OF_SITE = {"carbon_intensity", "electricity_price", "pue", "wue", "grid_water", "duration", "region"}

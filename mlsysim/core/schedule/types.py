"""Jobs, places and schedules in numbers: what the formulations solve and the evaluation adds up.

Time is a row of slots of equal length, an hour or a day. Everything that a job takes is counted in
accelerators and watts over slots; what a watt costs and emits in a slot is a table over regions and
slots, filled once by :func:`mlsysim.physics.operations.bill`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

KINDS = ("rigid", "pause", "move", "split")


@dataclass(frozen=True, eq=False)
class Places:
    """Regions over time.

    Attributes:
        names: of the R regions.
        hardware: names of the H types of accelerators.
        start: the instant at which the first of the T slots begins, in UTC.
        step: length of a slot [s].
        cost: of electricity for a watt of IT load through a slot [USD], R x T.
        carbon: likewise, operational [kgCO2e], R x T.
        water: likewise [L], R x T.
        pue: facility over IT power, R.
        power: facility power that is there [W], R x T; infinite where nothing limits it.
        accelerators: that are there, H x R x T; infinite where nothing limits them.
        carbon_cap: of each region over the whole time [kgCO2e], R; infinite where there is none.
    """

    names: tuple[str, ...]
    hardware: tuple[str, ...]
    start: datetime
    step: float
    cost: Floats
    carbon: Floats
    water: Floats
    pue: Floats
    power: Floats
    accelerators: Floats
    carbon_cap: Floats

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return int(self.cost.shape[1])


@dataclass(frozen=True, eq=False)
class Option:
    """One way to run a job: so many accelerators of a type, for so long.

    A job that is not split occupies whole slots; its energy spreads evenly over them. Its
    accelerators and its power are held through each of them.

    Attributes:
        hardware: index of the type.
        count: accelerators; may be a fraction for a job that is split.
        slots: occupied, at least 1.
        busy: time that it runs over the time of its slots, at most 1.
        power: IT power of all its accelerators while it runs [W].
        cost: of the whole run apart from electricity, by region [USD], R: rent, or share of the
            purchase and upkeep.
        carbon: embodied, of the whole run [kgCO2e].
        label: in words.
    """

    hardware: int
    count: float
    slots: int
    busy: float
    power: float
    cost: Floats
    carbon: float
    label: str = ""

    @property
    def work(self) -> float:
        """Slots of running time, with a fraction."""
        return self.slots * self.busy


@dataclass(frozen=True, eq=False)
class Job:
    """What has to run.

    ``rigid`` runs in one region without a break; ``pause`` in one region, in any slots; ``move`` in one
    region at a time, with a fetch of its data at every move; ``split`` in shares, over regions and slots,
    at most its whole at any time.

    Attributes:
        kind: one of :data:`KINDS`.
        options: ways to run it, at least one.
        ready: first slot in which it may run in each region, its data there, R; the number of slots
            or more where it may not run.
        deadline: the slot by which it has ended (it may use those before it).
        fetch: cost of bringing its data to each region [USD], R; a split job pays for its share.
        moving: cost of moving from a region to another [USD], R x R; of ``move`` only.
        moving_slots: slots that a move takes; of ``move`` only.
        carbon_cap: of this job [kgCO2e].
        now: region in which it is today.
        group: jobs that are parts of one (serving demand by slot) have the same group.
    """

    name: str
    kind: str
    options: tuple[Option, ...]
    ready: Indices
    deadline: int
    fetch: Floats
    moving: Floats | None = None
    moving_slots: int = 0
    carbon_cap: float = np.inf
    now: int | None = None
    group: str = ""


@dataclass(frozen=True)
class Weights:
    """What a unit counts in the objective: of money, of carbon (a tax [USD/kgCO2e]) and of water."""

    cost: float = 1.0
    carbon: float = 0.0
    water: float = 0.0


@dataclass(frozen=True)
class Caps:
    """What all jobs together may take."""

    cost: float = np.inf
    carbon: float = np.inf
    water: float = np.inf

    @property
    def totals(self) -> Floats:
        """All three, in this order."""
        return np.array([self.cost, self.carbon, self.water])


@dataclass(frozen=True, eq=False)
class Fleet:
    """Jobs and places, and limits on them together."""

    places: Places
    jobs: tuple[Job, ...]
    weights: Weights = Weights()
    caps: Caps = Caps()


@dataclass(frozen=True, eq=False)
class Run:
    """A part of a job's schedule.

    Attributes:
        region, option: indices.
        slots: in which it runs.
        share: of the job's accelerators in each of these slots; 1 unless it is split.
    """

    region: int
    option: int
    slots: Indices
    share: Floats


@dataclass(frozen=True, eq=False)
class Schedule:
    """The runs of each job, in the order of the jobs; none where a job is not placed."""

    runs: tuple[tuple[Run, ...], ...] = field(default_factory=tuple)

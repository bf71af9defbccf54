"""Bringing a job's data to where it runs: what it costs and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mlsysim.core import units
from mlsysim.core.fleet_plan import FleetPlan
from mlsysim.core.fleet_plan_blocks import JobBlock
from mlsysim.core.schedule.places import Located
from mlsysim.core.schedule.reading import Reader
from mlsysim.core.schedule.types import Floats
from mlsysim.infra import Region
from mlsysim.infra.egress import egress_price
from mlsysim.infra.own import resolve_region
from mlsysim.physics.distance import transfer_time


@dataclass(frozen=True, eq=False)
class Transfer:
    """What it takes to bring a job's data from region to region.

    Attributes:
        fetch: cost of bringing it to each region from where it is [USD], R.
        fetching: likewise how long it takes [s], R.
        moving: cost from each region to each [USD], R x R.
        seconds: of a move [s].
    """

    fetch: Floats
    fetching: Floats
    moving: Floats
    seconds: float


@dataclass
class Egress:
    """What it costs to move data between the regions of a plan, each row worked out once."""

    plan: FleetPlan
    regions: tuple[Located, ...]
    read: Reader
    rows: dict[str, Floats] = field(default_factory=dict)

    def out_of(self, here: Region) -> Floats:
        """Return the price from a region to each of the plan's: the plan's own, or the list's [USD/byte]."""
        if here.reference not in self.rows:
            self.rows[here.reference] = self._row(here)
        return self.rows[here.reference]

    def between(self) -> Floats:
        """Return the price from each region to each [USD/byte]."""
        return np.array([self.out_of(r.entry) for r in self.regions])

    def _row(self, here: Region) -> Floats:
        inside = [i for i, r in enumerate(self.regions) if r.name == here.name]
        own = [self.read.number(("regions", i, "egress"), self.regions[i].block) for i in inside]
        given = own[0] if own and own[0] is not None else self.read.number(("ops", "egress"), self.plan.ops)
        prices = []
        for there in self.regions:
            listed = None if there.name == here.name else egress_price(here, there.entry)
            if listed is not None and given is None:
                self.read.take.note(f"egress from {here.name}", listed)
            prices.append(0.0 if listed is None else listed.base if given is None else given)
        return np.array(prices)


def transfer_of(j: int, job: JobBlock, egress: Egress) -> Transfer:
    """Return what moving a job's data takes.

    Raises:
        InputError: nobody says where the data is, or in no region that is known.
    """
    regions, read = egress.regions, egress.read
    n = len(regions)
    if job.data is None:
        return Transfer(np.zeros(n), np.zeros(n), np.zeros((n, n)), 0.0)
    size = read.at(("jobs", j, "data", "size"), units.parse, job.data.size, "GB")
    at, key = (job.data.at, ("data", "at")) if job.data.at is not None else (job.now, ("now",))
    if at is None:
        raise read.wrong(("jobs", j, "data"), f"nobody says where the data of {job.name!r} is", "set data.at")
    home = read.at(("jobs", j, *key), resolve_region, at, read.folder)
    rate = read.number(("ops", "bandwidth"), egress.plan.ops)
    if rate is None:
        rate = read.take.take("transfer_bandwidth", "byte/s")
    seconds = float(np.asarray(transfer_time(size, rate)))
    away = np.array([r.name != home.name for r in regions], dtype=np.float64)
    moves = job.may == "move"
    moving = size * egress.between() if moves else np.zeros((n, n))
    return Transfer(size * egress.out_of(home), seconds * away, moving, seconds if moves else 0.0)

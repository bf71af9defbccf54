"""Bringing a job's data to where it runs: what it costs and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass

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


def transfer_of(
    j: int, job: JobBlock, plan: FleetPlan, regions: tuple[Located, ...], read: Reader
) -> Transfer:
    """Return what moving a job's data takes.

    Raises:
        InputError: nobody says where the data is, or in no region that is known.
    """
    n = len(regions)
    if job.data is None:
        return Transfer(np.zeros(n), np.zeros(n), np.zeros((n, n)), 0.0)
    size = read.at(("jobs", j, "data", "size"), units.parse, job.data.size, "GB")
    at, key = (job.data.at, ("data", "at")) if job.data.at is not None else (job.now, ("now",))
    if at is None:
        raise read.wrong(("jobs", j, "data"), f"nobody says where the data of {job.name!r} is", "set data.at")
    home = read.at(("jobs", j, *key), resolve_region, at, read.folder)
    rate = read.number(("ops", "bandwidth"), plan.ops)
    if rate is None:
        rate = read.take.take("transfer_bandwidth", "byte/s")
    seconds = float(np.asarray(transfer_time(size, rate)))
    prices = np.array([_prices(plan, i, r.entry, regions, read) for i, r in enumerate(regions)])
    inside = [i for i, r in enumerate(regions) if r.name == home.name]
    out = prices[inside[0]] if inside else np.array(_prices(plan, None, home, regions, read))
    away = np.array([r.name != home.name for r in regions], dtype=np.float64)
    return Transfer(size * out, seconds * away, size * prices, seconds if job.may == "move" else 0.0)


def _prices(
    plan: FleetPlan, at: int | None, here: Region, regions: tuple[Located, ...], read: Reader
) -> list[float]:
    """Return what it costs to move data from a region to each [USD/byte]: the plan's, or the list's.

    Args:
        plan: the plan.
        at: which of its regions ``here`` is; None if it is another.
        here: where data leaves.
        regions: of the plan.
        read: for assumptions.
    """
    own = None if at is None else read.number(("regions", at, "egress"), regions[at].block)
    given = own if own is not None else read.number(("ops", "egress"), plan.ops)
    prices = []
    for there in regions:
        listed = None if there.name == here.name else egress_price(here, there.entry)
        if listed is not None and given is None:
            read.take.note(f"egress from {here.name}", listed)
        prices.append(0.0 if listed is None else listed.base if given is None else given)
    return prices

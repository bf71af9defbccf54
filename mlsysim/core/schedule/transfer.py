"""Bringing a job's data to where it runs: what it costs and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.core import units
from mlsysim.core.errors import InputError
from mlsysim.core.fleet_plan import FleetPlan
from mlsysim.core.fleet_plan_blocks import JobBlock
from mlsysim.core.schedule.places import Located, index_of
from mlsysim.core.schedule.reading import Reader
from mlsysim.core.schedule.types import Floats


@dataclass(frozen=True, eq=False)
class Transfer:
    """What it takes to bring a job's data from region to region.

    Attributes:
        cost: from each region to each [USD], R x R; nothing within one.
        seconds: likewise [s].
        home: region in which the data is; None where the job has none.
    """

    cost: Floats
    seconds: Floats
    home: int | None


def transfer_of(
    j: int, job: JobBlock, plan: FleetPlan, regions: tuple[Located, ...], read: Reader
) -> Transfer:
    """Return what moving a job's data takes.

    Raises:
        InputError: data in no region of the plan, or at a bandwidth or price that nobody says.
    """
    n = len(regions)
    nothing = np.zeros((n, n))
    if job.data is None:
        return Transfer(nothing, nothing, None)
    size = read.at(("jobs", j, "data", "size"), units.parse, job.data.size, "GB")
    at, key = (job.data.at, ("data", "at")) if job.data.at is not None else (job.now, ("now",))
    if at is None:
        raise read.wrong(("jobs", j, "data"), f"nobody says where the data of {job.name!r} is", "set data.at")
    home = read.at(("jobs", j, *key), index_of, at, regions)
    apart = 1.0 - np.eye(n)
    rate = read.number(("ops", "bandwidth"), plan.ops)
    if rate is None:
        raise InputError(
            "the rate at which data is fetched is not known",
            where=read.document.where(("ops",)),
            hint="set ops.bandwidth, e.g. 10 Gb/s",
        )
    general = read.number(("ops", "egress"), plan.ops)
    prices = []
    for i, r in enumerate(regions):
        own = read.number(("regions", i, "egress"), r.block)
        price = own if own is not None else general
        if price is None:
            raise read.wrong(
                ("regions", i), f"what data costs that leaves {r.name} is not known", "set ops.egress"
            )
        prices.append(price)
    return Transfer(size * np.array(prices)[:, None] * apart, size / rate * apart, home)

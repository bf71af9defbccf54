"""What a slot costs a job: the objective's own prices, and those of limits that are relaxed.

Everything that a job pays in a slot is linear in three fields over regions and slots: a price of IT
energy, a price of power held, and one of accelerators held for each type. Relaxed limits enter by
their multipliers, so pricing, placing and improving look at the same fields.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.core.schedule.types import Fleet, Floats, Job, Option


@dataclass(frozen=True, eq=False)
class Multipliers:
    """Prices of the limits, none negative.

    Attributes:
        power: of a watt of facility power held through a slot, R x T.
        accelerators: of one held through a slot, H x R x T.
        cost, carbon, water: of the caps on all jobs together.
        region_carbon: of the caps of regions, R.
        job_carbon: of the caps of jobs, J.
    """

    power: Floats
    accelerators: Floats
    cost: float
    carbon: float
    water: float
    region_carbon: Floats
    job_carbon: Floats

    @staticmethod
    def none(fleet: Fleet) -> Multipliers:
        """Return multipliers of 0."""
        p = fleet.places
        return Multipliers(
            np.zeros_like(p.power),
            np.zeros_like(p.accelerators),
            0.0,
            0.0,
            0.0,
            np.zeros(len(p.names)),
            np.zeros(len(fleet.jobs)),
        )

    def worth(self, fleet: Fleet) -> float:
        """Return what the supplies of all limits are worth at these prices."""
        p, caps = fleet.places, fleet.caps
        pairs = (
            (self.power, p.power),
            (self.accelerators, p.accelerators),
            (self.cost, caps.cost),
            (self.carbon, caps.carbon),
            (self.water, caps.water),
            (self.region_carbon, p.carbon_cap),
            (self.job_carbon, np.array([j.carbon_cap for j in fleet.jobs])),
        )
        total = 0.0
        for prices, supplies in pairs:
            price, supply = np.asarray(prices), np.asarray(supplies)
            used = price > 0.0
            total += float((price[used] * supply[used]).sum())
        return total


@dataclass(frozen=True, eq=False)
class Fields:
    """Prices by region and slot.

    Attributes:
        energy: of a watt of IT load through a slot, R x T.
        power: of a watt of IT power held through a slot, R x T.
        held: of an accelerator held through a slot, H x R x T.
        money: of a dollar.
        carbon: of a kilogram emitted in each region, R.
        emitted: kilograms that a watt through a slot emits, R x T.
        job_carbon: of a kilogram of each job beyond that, J.
    """

    energy: Floats
    power: Floats
    held: Floats
    money: float
    carbon: Floats
    emitted: Floats
    job_carbon: Floats

    @staticmethod
    def of(fleet: Fleet, m: Multipliers) -> Fields:
        """Return the prices of a fleet's objective and of its relaxed limits."""
        p, w = fleet.places, fleet.weights
        money, carbon = w.cost + m.cost, w.carbon + m.carbon + m.region_carbon
        energy = money * p.cost + carbon[:, None] * p.carbon + (w.water + m.water) * p.water
        return Fields(energy, m.power * p.pue[:, None], m.accelerators, money, carbon, p.carbon, m.job_carbon)

    def slot(self, j: int, job: Job, option: Option) -> Floats:
        """Return what a slot of an option costs, R x T; of a split job, one in which all of it runs."""
        energy = self.energy
        if self.job_carbon[j]:
            energy = energy + self.job_carbon[j] * self.emitted
        busy = 1.0 if job.kind == "split" else option.busy
        grid: Floats = energy * (option.power * busy)
        grid += self.power * option.power
        grid += self.held[option.hardware] * option.count
        return grid

    def once(self, j: int, job: Job, option: Option, *, fetched: bool = True) -> Floats:
        """Return what a whole run of an option costs apart from its slots, R."""
        carbon: Floats = (self.carbon + self.job_carbon[j]) * option.carbon
        return self.money * (option.cost + (job.fetch if fetched else 0.0)) + carbon

"""Prices of limits by ascent on the Lagrangian bound, before any linear program is asked.

Steps are scaled cell by cell by what the cell's overload was so far (Duchi, Hazan and Singer 2011, with
the fading memory of RMSprop, and momentum), since some cells are wanted by every job and most by few.
They begin long and are cut whenever they bring nothing for a while, each time from the best prices. The
mean of the prices on the way is mostly better than any of them, and is asked every few steps. Any prices
give a valid bound, so nothing here has to converge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from formulations.schedule.cheapest import Best
from formulations.schedule.fields import Fields, Multipliers
from formulations.schedule.pricing import Candidate, Pricer
from mlsysim.core.schedule.types import Floats

MOMENTUM = 0.8
MEMORY = 0.97
# What a step may bring, as a share of the bound, and count as little.
LITTLE = 1e-6
MOST = 10.0
AVERAGE = 0.95
ASKED = 10


@dataclass(frozen=True)
class Pace:
    """How long steps are.

    Attributes:
        first: length at first, in natural steps.
        patience: steps that may bring little, after which they are cut.
        shorter: by what.
    """

    first: float
    patience: int
    shorter: float


# To good prices soon, and to better ones in a while.
SOON, FAR = Pace(0.6, 6, 0.6), Pace(0.3, 15, 0.7)


@dataclass(frozen=True, eq=False)
class Step:
    """The bound at some prices, and the cheapest schedules there."""

    bound: float
    multipliers: Multipliers
    cheapest: list[Best]
    candidates: list[Candidate]


def ascend(pricer: Pricer, begin: Multipliers, stop: Callable[[], bool], pace: Pace = SOON) -> Iterator[Step]:
    """Yield ever new prices and their bounds, the first at ``begin``; ends when it is stopped."""
    prices = _Prices(pricer)
    at = prices.flat(begin)
    memory, pull, mean = np.full(at.size, 1e-2), np.zeros(at.size), at
    best, best_at, rate, idle, step = -np.inf, at, pace.first, 0, 0
    while True:
        for asked in [at, mean] if mean is not at and step % ASKED == 0 else [at]:
            found = _step(pricer, prices.multipliers(asked), stop)
            if found is None:
                return
            yield found
            if found.bound > best:
                idle = 0 if found.bound > best + LITTLE * abs(best) else idle
                best, best_at = found.bound, asked
            if asked is at:
                here = found
        idle += 1
        if idle > pace.patience:
            rate, idle, pull, at = pace.shorter * rate, 0, np.zeros(at.size), best_at
            mean = at
            continue
        over = np.clip(prices.overload(here.candidates), -1.0, MOST)
        over[(at <= 0.0) & (over < 0.0)] = 0.0
        memory = MEMORY * memory + over * over
        pull = MOMENTUM * pull + (1.0 - MOMENTUM) * over
        at = np.maximum(0.0, at + rate * prices.scale * pull / np.sqrt(memory + 1e-12))
        mean = AVERAGE * mean + (1.0 - AVERAGE) * at
        step += 1


def _step(pricer: Pricer, multipliers: Multipliers, stop: Callable[[], bool]) -> Step | None:
    found = pricer.bound(multipliers, stop)
    if found is None:
        return None
    bound, cheapest = found
    chosen = [pricer.candidate(j, runs) for j, (_, runs) in enumerate(cheapest) if runs]
    return Step(bound, multipliers, cheapest, chosen)


class _Prices:
    """All multipliers in one row: cells, totals, regions' and jobs' caps; each has a natural step."""

    def __init__(self, pricer: Pricer) -> None:
        f, p = pricer.fleet, pricer.fleet.places
        self.pricer = pricer
        jobs = np.array([j.carbon_cap for j in f.jobs])
        self.supply: Floats = np.concatenate([pricer.cells.supply, f.caps.totals, p.carbon_cap, jobs])
        self.limited = np.isfinite(self.supply) & (self.supply > 0.0)
        fields = Fields.of(f, Multipliers.none(f))
        spread = float(np.std(fields.energy)) or float(np.abs(fields.energy).max()) or 1.0
        watts = [o.power / o.count for job in f.jobs for o in job.options if o.count > 0]
        typical = float(np.median(watts)) if watts else 1.0
        per_cell = np.full(pricer.cells.supply.size, spread * (typical or 1.0))
        per_cell[p.accelerators.size :] = np.repeat(spread / p.pue, p.slots)
        # a cap's price: such that it moves a job's energy price by as much
        units = [float(np.std(x)) or float(np.abs(x).max()) or 1.0 for x in (p.cost, p.carbon, p.water)]
        carbon = spread / units[1]
        self.scale: Floats = np.concatenate(
            [
                per_cell,
                spread / np.array(units),
                np.full(p.carbon_cap.size, carbon),
                np.full(len(f.jobs), carbon),
            ]
        )

    def flat(self, m: Multipliers) -> Floats:
        """Return multipliers as one row."""
        return np.concatenate(
            [
                self.pricer.cells.prices(m),
                [m.cost, m.carbon, m.water],
                m.region_carbon,
                m.job_carbon,
            ]
        )

    def multipliers(self, at: Floats) -> Multipliers:
        """Return a row as multipliers; what has no limit has no price."""
        at = np.where(self.limited, at, 0.0)
        cells, rest = np.split(at, [self.pricer.cells.supply.size])
        regions = self.pricer.cells.regions
        return self.pricer.cells.multipliers(
            self.pricer.fleet,
            cells,
            cost=float(rest[0]),
            carbon=float(rest[1]),
            water=float(rest[2]),
            region_carbon=rest[3 : 3 + regions],
            job_carbon=rest[3 + regions :],
        )

    def overload(self, chosen: list[Candidate]) -> Floats:
        """Return how far each limit is overrun, relative to it."""
        held = np.zeros(self.supply.size)
        first = self.pricer.cells.supply.size
        cells = np.concatenate([c.takes.cells for c in chosen])
        amounts = np.concatenate([c.takes.held for c in chosen])
        held[:first] = np.bincount(cells, weights=amounts, minlength=first)
        regions = self.pricer.cells.regions
        for c in chosen:
            held[first : first + 3] += c.takes.totals
            np.add.at(held, first + 3 + c.takes.regions, c.takes.emitted)
            held[first + 3 + regions + c.job] += c.takes.totals[1]
        with np.errstate(invalid="ignore"):
            return np.where(self.limited, held / np.where(self.limited, self.supply, 1.0) - 1.0, 0.0)

"""The cheapest schedule of every job at given multipliers, and the bound that follows (Lagrange)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from formulations.schedule import cheapest
from formulations.schedule.cheapest import NOTHING, Best, Hops, Span
from formulations.schedule.fields import Fields, Multipliers
from mlsysim.core.schedule.types import Fleet, Floats, Indices, Job, Run

_SINGLE = {"rigid": cheapest.rigid, "pause": cheapest.pause, "split": cheapest.split}


@dataclass(frozen=True, eq=False)
class Takes:
    """What a schedule of one job takes in all, and holds.

    Attributes:
        objective: by the fleet's weights.
        totals: cost, carbon and water.
        regions: in which it emits, and ``emitted`` how much.
        cells: held, as numbers of :class:`Cells`, and ``held`` how much of each.
        blocks: the same as (first, end, how much of each), where cells in a row are held alike; else None.
        distinct: whether no cell comes twice.
        begin, end: first and last slot.
    """

    objective: float
    totals: tuple[float, float, float]
    regions: Indices
    emitted: Floats
    cells: Indices
    held: Floats
    blocks: tuple[tuple[int, int, float], ...] | None = None
    distinct: bool = True
    begin: int = 0
    end: int = 0


@dataclass(frozen=True, eq=False)
class Candidate:
    """A schedule of one job, and what it takes."""

    job: int
    runs: tuple[Run, ...]
    takes: Takes


class Cells:
    """Capacity cells by number: accelerators of each type, then power, over regions and slots."""

    def __init__(self, fleet: Fleet) -> None:
        p = fleet.places
        self.types, self.regions, self.slots = p.accelerators.shape
        self.supply: Floats = np.concatenate([p.accelerators.reshape(-1), p.power.reshape(-1)])

    def of(self, layer: Indices | int, region: Indices | int, slots: Indices) -> Indices:
        """Return the numbers of cells; layer ``types`` is power."""
        cells: Indices = (layer * self.regions + region) * self.slots + slots
        return cells

    def prices(self, m: Multipliers) -> Floats:
        """Return the prices of cells, in the order of their numbers; :meth:`multipliers` is the way back."""
        flat: Floats = np.concatenate([m.accelerators.reshape(-1), m.power.reshape(-1)])
        return flat

    def multipliers(self, fleet: Fleet, price: Floats, **others: Floats | float) -> Multipliers:
        """Return multipliers whose cells have the given prices."""
        cut = self.types * self.regions * self.slots
        none = Multipliers.none(fleet)
        given = {
            "cost": 0.0,
            "carbon": 0.0,
            "water": 0.0,
            "region_carbon": none.region_carbon,
            "job_carbon": none.job_carbon,
        } | others
        return Multipliers(
            price[cut:].reshape(self.regions, self.slots),
            price[:cut].reshape(self.types, self.regions, self.slots),
            **given,  # type: ignore[arg-type]
        )


class Tariff:
    """What schedules cost by the objective and the prices of the limits.

    Attributes:
        cells: the price of each cell.
    """

    def __init__(self, cells: Cells, prices: Multipliers) -> None:
        self.prices, self.cells = prices, cells.prices(prices)
        self._until = np.concatenate([[0.0], self.cells.cumsum()])
        self._regional, self._single = bool(prices.region_carbon.any()), bool(prices.job_carbon.any())

    def of(self, c: Candidate) -> float:
        """Return what a schedule costs."""
        t, m = c.takes, self.prices
        cost, carbon, water = t.totals
        price = t.objective + m.cost * cost + m.carbon * carbon + m.water * water
        if self._single:
            price += float(m.job_carbon[c.job]) * carbon
        if self._regional:
            price += float(m.region_carbon[t.regions] @ t.emitted)
        if t.blocks is None:
            return price + float(self.cells[t.cells] @ t.held)
        return price + float(sum((self._until[end] - self._until[first]) * x for first, end, x in t.blocks))


class Pricer:
    """Prices the jobs of a fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.cells = Cells(fleet)
        self.spans = [Span.of(job, fleet.places) for job in fleet.jobs]
        self._hops_of: dict[int, Hops] = {}

    def whole(self, d: int) -> Floats:
        """Return shares of 1 for so many slots; not to be written to."""
        return self._ones[:d]

    @cached_property
    def _ones(self) -> Floats:
        ones: Floats = np.ones(self.cells.slots)
        ones.flags.writeable = False
        return ones

    @cached_property
    def magnitude(self) -> float:
        """What a job may cost or save at most, on average: the size by which rounding is judged."""
        fields = Fields.of(self.fleet, Multipliers.none(self.fleet))
        energy = float(np.abs(fields.energy).max(initial=0.0))
        sizes = [
            energy * o.power * o.slots + float(np.abs(fields.once(j, job, o)).max(initial=0.0))
            for j, job in enumerate(self.fleet.jobs)
            for o in job.options
        ]
        return float(np.mean(sizes)) if sizes else 0.0

    def best(self, j: int, fields: Fields) -> Best:
        """Return the cheapest schedule of a job at given prices; infinite where it has none."""
        job, span = self.fleet.jobs[j], self.spans[j]
        if not span.regions.size:
            return NOTHING
        grids = self.grids(j, fields)
        if job.kind == "move":
            return self.walk(j, fields, grids)
        once = [fields.once(j, job, o) for o in job.options]
        return _SINGLE[job.kind](span, job, grids, once)

    def grids(self, j: int, fields: Fields) -> list[Floats]:
        """Return what a slot of each option costs on the block of a job."""
        job, span = self.fleet.jobs[j], self.spans[j]
        rigid = job.kind == "rigid"
        return [span.cut(fields.slot(j, job, o), k, rigid=rigid) for k, o in enumerate(job.options)]

    def walk(self, j: int, fields: Fields, grids: list[Floats], some: Indices | None = None) -> Best:
        """Return the cheapest walk of a job that moves, over given grids of its block, or of some of it."""
        job, span = self.fleet.jobs[j], self.spans[j]
        hops = self._hops(j)
        if some is not None:
            span, hops = span.only(some), hops.among(some)
            grids = [grid[some] for grid in grids]
        once = [fields.once(j, job, o, fetched=False) for o in job.options]
        return cheapest.move(span, job, grids, once, hops.times(fields.money), fields.money * job.fetch)

    def _hops(self, j: int) -> Hops:
        """Return the prices of moving a job between the regions of its block, in dollars."""
        if j not in self._hops_of:
            moving, regions = self.fleet.jobs[j].moving, self.spans[j].regions
            assert moving is not None
            self._hops_of[j] = Hops.of(moving[np.ix_(regions, regions)])
        return self._hops_of[j]

    def bound(
        self, multipliers: Multipliers, stop: Callable[[], bool] = lambda: False
    ) -> tuple[float, list[Best]] | None:
        """Return a lower bound on any schedule's objective, and the cheapest schedule of each job.

        None where it was stopped; infinite where a job has no schedule at all.
        """
        fields = Fields.of(self.fleet, multipliers)
        found: list[Best] = []
        for j in range(len(self.fleet.jobs)):
            if stop():
                return None
            found.append(self.best(j, fields))
        return sum(cost for cost, _ in found) - multipliers.worth(self.fleet), found

    def candidate(self, j: int, runs: tuple[Run, ...]) -> Candidate:
        """Return a schedule of a job with what it takes."""
        return Candidate(j, runs, self.takes(j, runs))

    def takes(self, j: int, runs: tuple[Run, ...]) -> Takes:
        """Return what a schedule of a job takes."""
        f, p = self.fleet, self.fleet.places
        job = f.jobs[j]
        if len(runs) == 1 and job.kind != "split":
            return self._stay(job, runs[0])
        size = [run.slots.size for run in runs]
        first = np.cumsum([0, *size[:-1]])
        slots = np.concatenate([run.slots for run in runs])
        share = np.concatenate([run.share for run in runs])
        regions = np.array([run.region for run in runs], dtype=np.int64)
        options = [job.options[run.option] for run in runs]
        split = job.kind == "split"
        power = np.array([o.power if split else o.power * o.busy for o in options])
        part = np.add.reduceat(share, first) / np.array([o.work if split else o.slots for o in options])
        where = np.repeat(regions, size)
        watts = np.repeat(power, size) * share
        emitted = np.add.reduceat(watts * p.carbon[where, slots], first)
        emitted += part * np.array([o.carbon for o in options])
        rent = np.array([o.cost[r] for o, r in zip(options, regions.tolist(), strict=True)])
        cost = float(watts @ p.cost[where, slots]) + float(part @ rent) + self._fetched(job, regions, part)
        water = float(watts @ p.water[where, slots])
        carbon, w = float(emitted.sum()), f.weights
        held = np.concatenate(
            [
                np.repeat([o.count for o in options], size) * share,
                np.repeat(np.array([o.power for o in options]) * p.pue[regions], size) * share,
            ]
        )
        layer = np.repeat([o.hardware for o in options], size)
        return Takes(
            w.cost * cost + w.carbon * carbon + w.water * water,
            (cost, carbon, water),
            regions,
            emitted,
            np.concatenate(
                [self.cells.of(layer, where, slots), self.cells.of(self.cells.types, where, slots)]
            ),
            held,
            distinct=not split or np.unique(regions).size == regions.size,
            begin=int(slots.min()),
            end=int(slots.max()),
        )

    @cached_property
    def _until(self) -> tuple[Floats, Floats, Floats]:
        """What a watt costs, emits and evaporates in each region until each slot begins."""
        p = self.fleet.places
        none = np.zeros((p.cost.shape[0], 1))
        cost, carbon, water = (
            np.concatenate([none, x.cumsum(axis=1)], axis=1) for x in (p.cost, p.carbon, p.water)
        )
        return cost, carbon, water

    def _stay(self, job: Job, run: Run) -> Takes:
        """Return what a schedule takes that is a single run with all of the job's accelerators."""
        p, w, cells = self.fleet.places, self.fleet.weights, self.cells
        o, r, slots = job.options[run.option], run.region, run.slots
        first, count = int(slots[0]), slots.size
        end = int(slots[-1]) + 1
        watts, blocks = o.power * o.busy, None
        layers = ((o.hardware, o.count), (cells.types, o.power * float(p.pue[r])))
        starts = [(layer * cells.regions + r) * cells.slots for layer, _ in layers]
        if end - first == count:
            cost, carbon, water = (float(x[r, end] - x[r, first]) * watts for x in self._until)
            blocks = tuple((s + first, s + end, a) for s, (_, a) in zip(starts, layers, strict=True))
        else:
            cost, carbon, water = (float(x[r, slots].sum()) * watts for x in (p.cost, p.carbon, p.water))
        cost += float(o.cost[r]) + float(job.fetch[r])
        carbon += o.carbon
        held = np.empty(2 * count)
        held[:count], held[count:] = layers[0][1], layers[1][1]
        return Takes(
            w.cost * cost + w.carbon * carbon + w.water * water,
            (cost, carbon, water),
            np.array([r]),
            np.array([carbon]),
            np.concatenate([slots + starts[0], slots + starts[1]]),
            held,
            blocks,
            begin=first,
            end=end - 1,
        )

    @staticmethod
    def _fetched(job: Job, regions: Indices, part: Floats) -> float:
        """Return what runs pay to bring the data where they are; those of a walk are in order of time."""
        if job.kind == "split":
            return float(part @ job.fetch[regions])
        paid = float(job.fetch[regions[0]])
        if job.moving is not None:
            before, after = regions[:-1], regions[1:]
            paid += float(job.moving[before, after][before != after].sum())
        return paid

"""Small random fleets, and their best schedules by listing all of them.

The schedules of each job are listed as :mod:`mlsysim.core.schedule.types` describes its kind, with
itertools, and combined one job after another. Jobs that are split have infinitely many: their shares are
those of a linear program in what the others leave. Nothing here is shared with the formulations.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import linprog

from formulations.schedule.board import Board
from formulations.schedule.pricing import Pricer
from mlsysim.core.schedule.types import Caps, Fleet, Floats, Job, Option, Places, Run, Schedule, Weights
from mlsysim.core.schedule.usage import Usage, usage

START = datetime(2025, 3, 30, tzinfo=UTC)
SLACK = 1e-9  # of sums of coarse numbers

# few values, so that ties are common; exact in binary
PRICES = st.sampled_from([1.0, 2.0, 4.0, 0.5, 1.0, 0.0, -1.0])
UNEVEN = st.sampled_from([1.0, 9.0, 5.0, 8.0, 0.5])  # worth a move
CARBON = st.sampled_from([1.0, 2.0, 0.0, 0.5, 3.0])
WATER = st.sampled_from([0.0, 1.0, 2.0])
MONEY = st.sampled_from([0.0, 1.0, 2.0, 5.0])
MOVING = st.sampled_from([0.0, 0.5, 2.0, 1.0])
CHIPS = st.sampled_from([3.0, 2.0, 4.0, 1.0, 6.0, 0.0])
WATTS = st.sampled_from([4.0, 6.0, 5.0, 8.0, 2.0, 1.0])
KIND = st.sampled_from(["rigid", "pause", "move", "split"])
MOVE = st.just("move")


def table(values: st.SearchStrategy[float], *shape: int) -> st.SearchStrategy[Floats]:
    """Return arrays of a shape."""
    size = int(np.prod(shape))
    return st.lists(values, min_size=size, max_size=size).map(
        lambda v: np.array(v, dtype=float).reshape(shape)
    )


def maybe(chance: int, values: st.SearchStrategy[float]) -> st.SearchStrategy[float]:
    """Return a value in about one of so many cases, else infinity."""
    return st.integers(1, chance).flatmap(lambda n: values if n == chance else st.just(np.inf))


@st.composite
def places(draw: Any, most_slots: int = 7, prices: st.SearchStrategy[float] = PRICES) -> Places:
    """Return one to three regions over two to seven slots."""
    regions, slots = draw(st.integers(1, 3)), draw(st.integers(2, most_slots))
    kinds = draw(st.integers(1, 2))
    there = draw(
        table(maybe(2, st.sampled_from([3.0, 2.0, 4.0, 1.0, 6.0, 0.0])), kinds, regions, 1)
    ) * np.ones(slots)
    watts = draw(table(maybe(3, st.sampled_from([4.0, 6.0, 5.0, 8.0, 2.0, 1.0])), regions, 1)) * np.ones(
        slots
    )
    if draw(st.booleans()):  # some are away for a slot
        r, t = draw(st.integers(0, regions - 1)), draw(st.integers(0, slots - 1))
        there[draw(st.integers(0, kinds - 1)), r, t] = draw(st.integers(0, 2))
        watts[r, t] = min(watts[r, t], draw(st.integers(0, 6)))
    return Places(
        names=tuple(f"region{r}" for r in range(regions)),
        hardware=tuple(f"chip{h}" for h in range(kinds)),
        start=START,
        step=3600.0,
        cost=draw(table(prices, regions, slots)),
        carbon=draw(table(CARBON, regions, slots)),
        water=draw(table(WATER, regions, slots)),
        pue=draw(table(st.sampled_from([1.0, 1.25, 1.5]), regions)),
        power=watts,
        accelerators=there,
        carbon_cap=draw(table(maybe(7, st.integers(0, 20).map(float)), regions)),
    )


@st.composite
def options(draw: Any, there: Places, split: bool) -> Option:
    regions, kinds = len(there.names), len(there.hardware)
    return Option(
        hardware=draw(st.integers(0, kinds - 1)),
        count=draw(st.sampled_from([1.0, 2.0, 3.0, 0.5, 1.5] if split else [1.0, 2.0, 3.0])),
        slots=draw(st.integers(1, min(4, there.slots))),
        busy=draw(st.sampled_from([1.0, 1.0, 0.5, 0.75])),
        power=draw(st.sampled_from([1.0, 2.0, 4.0])),
        cost=draw(table(MONEY, regions)),
        carbon=draw(st.sampled_from([0.0, 0.0, 1.0])),
    )


@st.composite
def jobs(draw: Any, there: Places, number: int, kinds: st.SearchStrategy[str] = KIND) -> Job:
    kind, regions, slots = draw(kinds), len(there.names), there.slots
    late = st.sampled_from([0, 0, 0, 0, 0, 1, 2, slots])
    moves = kind == "move"
    return Job(
        name=f"job{number}",
        kind=kind,
        options=tuple(draw(st.lists(options(there, kind == "split"), min_size=1, max_size=2))),
        ready=np.minimum(draw(table(late, regions)).astype(np.int64), slots),
        deadline=draw(st.sampled_from([slots, slots, slots, slots - 1, max(1, slots - 2)])),
        fetch=draw(table(MONEY, regions)),
        moving=draw(table(st.sampled_from([0.0, 0.5, 2.0, 1.0]), regions, regions)) * (1 - np.eye(regions))
        if moves
        else None,
        moving_slots=draw(st.integers(0, 2)) if moves else 0,
        carbon_cap=draw(maybe(8, st.integers(1, 16).map(float))),
    )


@st.composite
def fleets(
    draw: Any,
    most_jobs: int = 4,
    most_slots: int = 7,
    kinds: st.SearchStrategy[str] = KIND,
    prices: st.SearchStrategy[float] = PRICES,
) -> Fleet:
    """Return fleets; some four in ten have no schedule that keeps their limits."""
    there = draw(places(most_slots, prices))
    count = draw(st.integers(1, most_jobs))
    cap = st.integers(1, 16).map(lambda n: 1.5 * n * count)
    return Fleet(
        places=there,
        jobs=tuple(draw(jobs(there, number, kinds)) for number in range(count)),
        weights=Weights(
            draw(st.sampled_from([1.0, 1.0, 1.0, 0.0])),
            draw(st.sampled_from([0.0, 0.5, 1.0])),
            draw(st.sampled_from([0.0, 0.5])),
        ),
        caps=Caps(draw(maybe(6, cap)), draw(maybe(4, cap)), draw(maybe(6, cap))),
    )


@dataclass(frozen=True, eq=False)
class Whole:
    """A schedule of one job, and what it takes.

    Attributes:
        held: of everything that the jobs share: accelerators, power, carbon by region, and cost, carbon
            and water, one after another.
    """

    runs: tuple[Run, ...]
    objective: float
    held: Floats

    @property
    def carbon(self) -> float:
        return float(self.held[-2])


@dataclass
class Best:
    """The best schedule so far."""

    objective: float = np.inf
    runs: list[tuple[Run, ...]] = field(default_factory=list)


def best(fleet: Fleet) -> tuple[float, Schedule] | None:
    """Return the least objective and a schedule that has it, or None if nothing keeps the limits."""
    rigid = [j for j, job in enumerate(fleet.jobs) if job.kind != "split"]
    listed = []
    for j in rigid:
        found = [_whole(fleet, j, runs) for runs in schedules(fleet.jobs[j], fleet.places.slots)]
        found = [w for w in found if w.carbon <= fleet.jobs[j].carbon_cap + SLACK]
        if not found:
            return None
        listed.append(sorted(found, key=lambda w: w.objective))
    order = sorted(range(len(rigid)), key=lambda i: len(listed[i]))
    search = _Search(fleet, [listed[i] for i in order], [rigid[i] for i in order])
    search.look(0, [], 0.0, np.zeros_like(search.supply))
    if not np.isfinite(search.best.objective):
        return None
    return search.best.objective, Schedule(tuple(search.best.runs))


def all_but_the_last(fleet: Fleet) -> tuple[Board, int]:
    """Return a board with all jobs but the last where they are cheapest, no job with a cap; and the last."""
    jobs = tuple(replace(job, carbon_cap=np.inf) for job in fleet.jobs)
    board, last = Board(Pricer(replace(fleet, jobs=jobs))), len(jobs) - 1
    for j in range(last):
        board.place(j)
    return board, last


def schedules(job: Job, slots: int) -> Iterator[tuple[Run, ...]]:
    """Return every schedule of a job that is not split."""
    end = min(job.deadline, slots)
    regions = range(len(job.ready))
    for k, option in enumerate(job.options):
        for at in itertools.combinations(range(end), option.slots):
            if job.kind == "rigid" and at[-1] - at[0] + 1 != len(at):
                continue
            if job.kind == "move":
                for where in itertools.product(regions, repeat=len(at)):
                    if _moves(job, at, where):
                        yield _split_up(k, at, where)
            else:
                for r in regions:
                    if at[0] >= job.ready[r]:
                        yield (Run(r, k, np.array(at), np.ones(len(at))),)


def _moves(job: Job, at: tuple[int, ...], where: tuple[int, ...]) -> bool:
    """Whether the data is there in time at every slot."""
    ready = all(t >= job.ready[r] for t, r in zip(at, where, strict=True))
    steps = zip(at, where, at[1:], where[1:], strict=False)
    return ready and all(r == q or u - t - 1 >= job.moving_slots for t, r, u, q in steps)


def _split_up(option: int, at: tuple[int, ...], where: tuple[int, ...]) -> tuple[Run, ...]:
    runs = []
    for r, group in itertools.groupby(zip(at, where, strict=True), key=lambda pair: pair[1]):
        slots = np.array([t for t, _ in group])
        runs.append(Run(r, option, slots, np.ones(len(slots))))
    return tuple(runs)


def alone(fleet: Fleet, j: int, runs: tuple[Run, ...]) -> Usage:
    """Return what a job takes, from the engine that adds up schedules."""
    return usage(Fleet(fleet.places, (fleet.jobs[j],), fleet.weights), Schedule((runs,)))


def _held(u: Usage) -> Floats:
    return np.concatenate([u.accelerators.ravel(), u.power.ravel(), u.carbon.sum(axis=0), u.total()])


def _whole(fleet: Fleet, j: int, runs: tuple[Run, ...]) -> Whole:
    u = alone(fleet, j, runs)
    return Whole(runs, u.objective(fleet), _held(u))


class _Search:
    """Every combination, but for those that cannot be better than what is found."""

    def __init__(self, fleet: Fleet, listed: list[list[Whole]], order: list[int]) -> None:
        p, caps = fleet.places, fleet.caps
        self.fleet, self.listed, self.order, self.best = fleet, listed, order, Best()
        totals = [caps.cost, caps.carbon, caps.water]
        self.supply = np.concatenate([p.accelerators.ravel(), p.power.ravel(), p.carbon_cap, totals])
        self.shares = Shares(fleet)
        # what the jobs that are left take at least: of money there may be less than nothing
        self.objectives = np.array([some[0].objective for some in listed])
        least = [np.min([w.held for w in some], axis=0) for some in listed]
        self.least = np.array([*least, np.zeros_like(self.supply)])
        # split jobs may take less than nothing of what has a price below zero
        self.least[-1] = self.shares.least
        self.rest = np.cumsum(self.least[::-1], axis=0)[::-1]
        self.after = np.cumsum([*self.objectives, self.shares.objective][::-1])[::-1]

    def look(self, depth: int, chosen: list[Whole], objective: float, held: Floats) -> None:
        if objective + self.after[depth] >= self.best.objective - SLACK:
            return
        if (held + self.rest[depth] > self.supply + SLACK).any():
            return
        if depth < len(self.listed):
            for whole in self.listed[depth]:
                self.look(depth + 1, [*chosen, whole], objective + whole.objective, held + whole.held)
            return
        found = self.shares.fill(self.supply - held)
        if found is not None and objective + found[0] < self.best.objective - SLACK:
            runs = [found[1].get(j, ()) for j in range(len(self.fleet.jobs))]
            for j, whole in zip(self.order, chosen, strict=True):
                runs[j] = whole.runs
            self.best = Best(objective + found[0], runs)


class Shares:
    """The jobs that are split, as a linear program in what the others leave.

    A column is a job in a region, slot and option with a share of 1; what it takes and holds is asked of
    the engine that adds up schedules.
    """

    def __init__(self, fleet: Fleet) -> None:
        p = fleet.places
        self.jobs = [j for j, job in enumerate(fleet.jobs) if job.kind == "split"]
        self.columns, held, paid = [], [], []
        for j in self.jobs:
            job = fleet.jobs[j]
            for k, r in itertools.product(range(len(job.options)), range(len(p.names))):
                for t in range(int(job.ready[r]), min(job.deadline, p.slots)):
                    u = alone(fleet, j, (Run(r, k, np.array([t]), np.ones(1)),))
                    self.columns.append((j, k, r, t))
                    held.append(_held(u))
                    paid.append(u.objective(fleet))
        self.objective, self.least = 0.0, np.zeros(p.accelerators.size + p.power.size + len(p.names) + 3)
        if not self.columns:
            self.least = self.least + (np.inf if self.jobs else 0.0)
            return
        self.paid, self.held = np.array(paid), np.array(held).T
        whole = [fleet.jobs[j].options[k].work for j, k, _, _ in self.columns]
        of = np.array([j for j, *_ in self.columns])
        at = np.array([t for *_, t in self.columns])
        self.done = np.array([(of == j) / whole for j in self.jobs])
        self.once = np.array([(of == j) & (at == t) for j in self.jobs for t in range(p.slots)], dtype=float)
        caps = np.array([fleet.jobs[j].carbon_cap for j in self.jobs])
        carbon = np.array([self.held[-2] * (of == j) for j in self.jobs])
        self.own = np.concatenate([self.once, carbon[np.isfinite(caps)]])
        self.most = np.concatenate([np.ones(len(self.once)), caps[np.isfinite(caps)]])
        # in an empty fleet: no limit but those of a job alone
        empty = self.fill(np.full(len(self.least), np.inf))
        if empty is None:
            self.least = self.least + np.inf
            return
        self.objective = empty[0]
        # a sum over columns is at least that of the negative ones, each in whole
        self.least = np.minimum(self.held, 0.0).sum(axis=1)

    def fill(self, left: Floats) -> tuple[float, dict[int, tuple[Run, ...]]] | None:
        """Return the least objective and the runs in what is left; None if they do not fit."""
        if not self.jobs:
            return (0.0, {}) if (left >= -SLACK).all() else None
        if not self.columns:
            return None
        limited = np.isfinite(left)
        found = linprog(
            self.paid,
            A_ub=np.concatenate([self.held[limited], self.own]),
            b_ub=np.concatenate([left[limited], self.most]),
            A_eq=self.done,
            b_eq=np.ones(len(self.jobs)),
            bounds=(0, 1),
            method="highs",
        )
        assert found.status in (0, 2), found.message
        if found.status == 2:
            return None
        runs: dict[int, tuple[Run, ...]] = {}
        for (j, k, r, t), share in zip(self.columns, found.x.tolist(), strict=True):
            if share > 1e-9:
                runs[j] = (*runs.get(j, ()), Run(r, k, np.array([t]), np.array([share])))
        return float(found.fun), runs

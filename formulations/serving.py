"""Recipe: which instances, how many of each in each hour, and which requests go where.

Whole numbers count instances of a kind, so that none of them can be told apart; what flows to a kind is
a share of a class, not a slice of it. A queue's headroom depends on how many instances share it, and
is a table over that number. One whole program over arrays: ``formulations.serving_days`` takes many
hours apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from formulations.algebra import Floats, Indices
from formulations.matrix import Linear
from formulations.names import Label

INF = float("inf")


@dataclass(frozen=True)
class Mix:
    """The arrays of a problem. Classes u, kinds of instances v, hours h.

    Attributes:
        rate: requests a second, u by h.
        time: that a request takes of an instance [s], u by v; infinite where it may not go.
        moved: time that the instance's links take for it [s], u by v.
        role: of each kind: 0 answers whole requests, 1 reads prompts, 2 decodes what 1 has read.
        group: of each kind; a cache moves only within a group.
        work: busy instances allowed for 0, 1, ... instances of each kind; none decreases.
        cost: of an instance for an hour, by kind.
        start: of starting an instance.
        units, stock: accelerators of an instance, and which stock they are from.
        stocks: accelerators in each stock; infinite where there is no end.
        spare: instances of a kind that may be down: ``work`` has it, links need it.
    """

    rate: Floats
    time: Floats
    moved: Floats
    role: Indices
    group: Indices
    work: tuple[Floats, ...]
    cost: Floats
    start: Floats
    units: Floats
    stock: Indices
    stocks: Floats
    spare: int = 0

    @property
    def hours(self) -> int:
        """How many hours there are."""
        return int(self.rate.shape[1])

    @property
    def kinds(self) -> int:
        """How many kinds of instances there are."""
        return int(self.time.shape[1])

    @cached_property
    def most(self) -> Indices:
        """The most instances of each kind."""
        return np.array([len(w) - 1 for w in self.work], dtype=np.int64)

    def some(self, kinds: Indices) -> Mix:
        """Return the problem with some of its kinds."""
        return replace(
            self,
            time=self.time[:, kinds],
            moved=self.moved[:, kinds],
            role=self.role[kinds],
            group=self.group[kinds],
            work=tuple(self.work[k] for k in kinds),
            cost=self.cost[kinds],
            start=self.start[kinds],
            units=self.units[kinds],
            stock=self.stock[kinds],
        )

    def hour(self, h: int) -> Mix:
        """Return the problem of one hour."""
        return replace(self, rate=self.rate[:, h : h + 1])


@dataclass(frozen=True)
class Plan:
    """A solution: instances by kind and hour, and requests a second by class, kind and hour."""

    count: Indices
    flow: Floats

    def cost(self, m: Mix) -> float:
        """Return the cost of a day, or of the hours that there are."""
        return float(m.cost @ self.count.sum(axis=1)) + float(m.start @ starts(self.count).sum(axis=1))


def starts(count: NDArray[np.int64]) -> Indices:
    """Return how many instances start in each hour; the hour before the first is the last."""
    return np.asarray(np.maximum(count - np.roll(count, 1, axis=1), 0))


# -- prices -------------------------------------------------------------------------------------


def price_of(m: Mix, each: Floats) -> Floats:
    """Return what serving a class costs if it pays ``each`` (u by v), by class.

    The cheapest way, whole or split; infinite where there is none.
    """
    best = _least(each, m.role == 0)
    for g in np.unique(m.group[m.role > 0]):
        first = _least(each, (m.role == 1) & (m.group == g))
        then = _least(each, (m.role == 2) & (m.group == g))
        best = np.minimum(best, first + then)
    return best


def priced(m: Mix, busy: Floats, links: Floats) -> Floats:
    """Return what a request of a class pays at a kind, u by v; infinite where it may not go."""
    paid = np.isfinite(busy)
    can = np.isfinite(m.time) & paid
    return np.where(can, np.where(paid, busy, 0.0) * np.where(can, m.time, 0.0) + links * m.moved, np.inf)


def _least(each: Floats, kinds: NDArray[np.bool_]) -> Floats:
    return each[:, kinds].min(axis=1) if kinds.any() else np.full(len(each), np.inf)


def worth(m: Mix, price: Floats, each: Floats) -> Floats:
    """Return what a kind may be paid at most for a class, u by v, if serving it is worth ``price``."""
    found = np.repeat(price[:, None], m.kinds, axis=1)
    for g in np.unique(m.group[m.role > 0]):
        ends = [(m.role == role) & (m.group == g) for role in (1, 2)]
        for mine, other in (ends, ends[::-1]):
            found[:, mine] = (price - _least(each, other))[:, None]
    return np.maximum(found, 0.0)


# -- the program --------------------------------------------------------------------------------


@dataclass
class _Rows:
    """A matrix row by row, from blocks of entries."""

    count: int = 0
    rows: list[Indices] = field(default_factory=list)
    columns: list[Indices] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)

    def block(self, labels: list[Label], low: float, high: float) -> int:
        """Add rows without entries, and return the first."""
        first = self.count
        self.count += len(labels)
        self.labels += labels
        self.low += [low] * len(labels)
        self.high += [high] * len(labels)
        return first

    def put(self, rows: Indices, columns: Indices, values: Floats) -> None:
        """Add entries."""
        self.rows.append(np.asarray(rows, dtype=np.int64))
        self.columns.append(np.asarray(columns, dtype=np.int64))
        self.values.append(np.asarray(values, dtype=float))


@dataclass(frozen=True)
class Program:
    """The whole program, and where its columns are."""

    linear: Linear
    flows: Indices  # h, u, v of each flow; flows are the first columns
    counts: Indices  # v, h, number and column of each one-hot cell

    def decode(self, m: Mix, x: Floats) -> Plan:
        """Return the plan that a solution stands for."""
        count = np.zeros((m.kinds, m.hours), dtype=np.int64)
        for v, h, n, column in self.counts:
            if x[column] > 0.5:
                count[v, h] = n
        flow = np.zeros((*m.time.shape, m.hours))
        h, u, v = self.flows.T
        flow[u, v, h] = np.maximum(x[: len(self.flows)], 0.0) * m.rate[u, h]
        return Plan(count, flow)


def program(
    m: Mix,
    cells: list[NDArray[np.bool_]] | None = None,
    cost_between: tuple[float, float] = (-INF, INF),
    names: tuple[str, ...] = (),
) -> Program:
    """Return the problem as one mixed-integer program.

    Args:
        m: the problem.
        cells: the numbers of each kind that are allowed; all if absent.
        cost_between: what the answer costs at least and at most, known from elsewhere.
        names: of the kinds, for the names of rows and columns.
    """
    names = names or tuple(str(v) for v in range(m.kinds))
    r = _Rows()
    can = np.argwhere(np.isfinite(m.time))
    flows = np.concatenate(
        [
            np.column_stack([np.full(len(at), h), at])
            for h in range(m.hours)
            for at in [can[m.rate[can[:, 0], h] > 0]]
        ]
    ).astype(np.int64)
    labels: list[tuple[Label, int]] = [(("flow",), len(flows))]
    allowed = [np.arange(k + 1) if cells is None else np.flatnonzero(cells[v]) for v, k in enumerate(m.most)]
    spots = [(v, h, n) for h in range(m.hours) for v in range(m.kinds) for n in allowed[v]]
    counts = np.column_stack([np.array(spots), len(flows) + np.arange(len(spots))]).astype(np.int64)
    labels += [(("count", names[v], h), len(allowed[v])) for h in range(m.hours) for v in range(m.kinds)]
    _serve(m, r, flows)
    _capacity(m, r, flows, counts, names)
    _stocks(m, r, counts)
    total = len(flows) + len(counts)
    cost = np.concatenate([np.zeros(len(flows)), m.cost[counts[:, 0]] * counts[:, 2]])
    high = np.ones(total)
    if m.hours > 1 and m.start.any():
        first = total
        total += m.kinds * m.hours
        _starts(m, r, counts, first)
        cost = np.concatenate([cost, np.repeat(m.start, m.hours)])
        high = np.concatenate([high, np.repeat(m.most.astype(float), m.hours)])
        labels.append((("start",), m.kinds * m.hours))
    if np.isfinite(cost_between).any():
        used = np.flatnonzero(cost)
        size = float(cost.max())
        at = r.block([("known",)], cost_between[0] / size, cost_between[1] / size)
        r.put(np.full(len(used), at), used, cost[used] / size)
    whole = np.zeros(total, dtype=bool)
    whole[counts[:, 3]] = True
    return Program(_linear(r, cost, high, whole, labels), flows, counts)


def _serve(m: Mix, r: _Rows, flows: Indices) -> None:
    """Every class is served in every hour; what is read is decoded within its group."""
    h, u, v = flows.T
    wanted = np.argwhere(m.rate.T > 0)
    where = np.full((m.hours, len(m.rate)), -1)
    first = r.block([("serve", int(b), int(a)) for a, b in wanted], 1.0, 1.0)
    where[wanted[:, 0], wanted[:, 1]] = first + np.arange(len(wanted))
    taken = m.role[v] < 2
    r.put(where[h, u][taken], np.flatnonzero(taken), np.ones(int(taken.sum())))
    for g in np.unique(m.group[m.role > 0]):
        first = r.block([("move", int(g), int(b), int(a)) for a, b in wanted], 0.0, 0.0)
        where[wanted[:, 0], wanted[:, 1]] = first + np.arange(len(wanted))
        for role, sign in ((1, 1.0), (2, -1.0)):
            mine = (m.role[v] == role) & (m.group[v] == g)
            r.put(where[h, u][mine], np.flatnonzero(mine), np.full(int(mine.sum()), sign))


def _capacity(m: Mix, r: _Rows, flows: Indices, counts: Indices, names: tuple[str, ...]) -> None:
    """Instances are as busy as their number allows, their links too, and each number is one number."""
    h, u, v = flows.T
    cv, ch, cn, column = counts.T
    spots = [(names[a], b) for b in range(m.hours) for a in range(m.kinds)]
    one = r.block([("one", *s) for s in spots], 1.0, 1.0)
    r.put(one + ch * m.kinds + cv, column, np.ones(len(column)))
    # divided by their largest entry: shares of what all requests of an hour would take
    busy = r.block([("w07", *s) for s in spots], -INF, 0.0)
    room = np.array([m.work[a][b] for a, b in zip(cv, cn, strict=True)])
    asked = m.rate[u, h] * m.time[u, v]
    size = np.maximum(np.array([w.max() for w in m.work]), 1e-12)
    r.put(busy + h * m.kinds + v, np.arange(len(flows)), asked / size[v])
    r.put(busy + ch * m.kinds + cv, column, -room / size[cv])
    if m.moved.any():
        links = r.block([("w14", *s) for s in spots], -INF, 0.0)
        many = np.maximum(m.most.astype(float), 1.0)
        ends = np.maximum(cn.astype(float) - m.spare, 0.0)
        r.put(links + h * m.kinds + v, np.arange(len(flows)), m.rate[u, h] * m.moved[u, v] / many[v])
        r.put(links + ch * m.kinds + cv, column, -ends / many[cv])


def _stocks(m: Mix, r: _Rows, counts: Indices) -> None:
    cv, ch, cn, column = counts.T
    for s in np.flatnonzero(np.isfinite(m.stocks)):
        first = r.block([("stock", int(s), h) for h in range(m.hours)], -INF, 1.0)
        mine = (m.stock[cv] == s) & (cn > 0)
        size = max(float(m.stocks[s]), 1e-12)
        r.put(first + ch[mine], column[mine], m.units[cv[mine]] * cn[mine] / size)


def _starts(m: Mix, r: _Rows, counts: Indices, first: int) -> None:
    """Instances that were not there the hour before have been started."""
    cv, ch, cn, column = counts.T
    at = r.block([("start", v, h) for v in range(m.kinds) for h in range(m.hours)], 0.0, INF)
    every = np.arange(m.kinds * m.hours)
    r.put(at + every, first + every, np.ones(len(every)))
    r.put(at + cv * m.hours + ch, column, -cn.astype(float))
    r.put(at + cv * m.hours + (ch + 1) % m.hours, column, cn.astype(float))


def _linear(
    r: _Rows, cost: Floats, high: Floats, whole: NDArray[np.bool_], labels: list[tuple[Label, int]]
) -> Linear:
    rows, columns, values = (np.concatenate(x) for x in (r.rows, r.columns, r.values))
    used = values != 0.0
    order = np.lexsort((columns[used], rows[used]))
    rows, columns, values = (x[used][order] for x in (rows, columns, values))
    scale = float(np.abs(cost).max()) or 1.0
    return Linear(
        cost / scale,
        0.0,
        np.zeros(len(cost)),
        high,
        whole,
        np.array(r.low),
        np.array(r.high),
        np.searchsorted(rows, np.arange(r.count + 1)).astype(np.int64),
        columns,
        values,
        [str(label[0]) for label in r.labels],
        scale,
        {},
        {},
        r.labels,
        labels,
    )

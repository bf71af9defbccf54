"""Recipe: how many requests run at once, on how many accelerators, and how.

One choice, the deployment: way to run (precision, scheduler, speculation), accelerators of a replica,
batch, replicas. The response time of a percentile joins all of these in one number, so it is tabulated over
the whole grid by the physics, at once; so are the KV pool, the targets and the bill. The walls say which
cells hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from formulations.algebra import Choice, Table, as_expr
from formulations.joint import Cells
from formulations.problem import Problem
from formulations.rows import Comparison, comparisons
from formulations.solve import solve
from mlsysim.core.errors import InputError
from mlsysim.core.scenario import Bound, Scenario
from mlsysim.core.service_variants import (
    Way,
    batches,
    enough_replicas,
    fewest_replicas,
    in_way,
    instances,
    sizes_of_replicas,
    tabulated,
)
from mlsysim.core.serving_metrics import capacity
from mlsysim.physics.types import Array
from mlsysim.walls import State
from mlsysim.walls.w07_tail_latency import TailLatency

Cost = Callable[[State], Any]
# Cells that are worth their tables, and those of one way to run up to which all are made.
MOST_CELLS = 2_000_000
FEW_CELLS = 10_000
# What stands for a side of a row without end, relative to its other side: no solver takes infinity.
ENDLESS = 1e6


@dataclass(frozen=True)
class Recipe:
    """A problem and how to read its answer; ``table`` gives anything of a state over the deployments."""

    problem: Problem
    scenario: Scenario
    ways: tuple[Way, ...]
    table: Callable[[Cost], Table]

    @property
    def choice(self) -> Choice:
        """The deployment."""
        return self.problem.choices[0]

    def decode(self, cells: Cells) -> tuple[Scenario, Way]:
        """Return the service that a solution stands for."""
        at = int(cells[self.choice][0])
        row = {name: int(column[at]) for name, column in self.choice.columns.items()}
        way = self.ways[row["way"]]
        sizes = {key: row[key] for key in ("accelerators", "tp", "requests")}
        return in_way(self.scenario, way, **sizes), way

    def most(self) -> float | None:
        """Return the requests a second that the fleet carries at most within the physics; None for none."""
        rows = [r for r in self.problem.rows if r.hard and r.tag != TailLatency().tag]
        found = solve(
            replace(self.problem, rows=rows, objective=as_expr(-1.0 * self.table(capacity)), ties=())
        )
        return None if found.outcome.objective is None else -found.outcome.objective


def formulate(
    s: Scenario,
    ways: tuple[Way, ...],
    cost: Cost,
    ties: tuple[Cost, ...] = (),
    *,
    bounds: tuple[Bound, ...] = (),
    tp: tuple[int, ...] = (),
    replicas: tuple[int, ...] = (),
    every: bool = False,
) -> Recipe:
    """Return the problem of the best deployment, subject to the walls and to ``bounds``.

    Args:
        s: a service with a queue; its accelerators are the most that there are.
        ways: to run it.
        cost: what is made least.
        ties: what decides among equally good ones, in order.
        bounds: assertions that the answer must keep.
        tp: accelerators of a replica to choose from; all that may be if empty.
        replicas: numbers of replicas to choose from; all if empty.
        every: every batch is a candidate, rather than steps of two percent beyond 256.

    Raises:
        InputError: no deployment is possible at all, or there are too many.
    """
    any_count = bool(bounds) or bool(replicas)
    parts = [_columns(in_way(s, way), i, tp, replicas, any_count, every) for i, way in enumerate(ways)]
    sizes = [len(columns["tp"]) for columns, _ in parts]
    if not 0 < sum(sizes) <= MOST_CELLS:
        raise InputError(
            f"{sum(sizes):,} deployments to choose from",
            where="tp",
            hint="allow other tp or replicas" if not sum(sizes) else "say which tp and replicas to try",
        )
    problem = Problem("batching")
    whole = {name: np.concatenate([columns[name] for columns, _ in parts]) for name in parts[0][0]}
    choice = problem.choose("deployment", **{name: column.astype(np.int64) for name, column in whole.items()})
    states = [state for _, state in parts]
    for c in _joined([list(comparisons(state, bounds)) for state in states], sizes):
        demand, supply = _finite(c.demand, c.supply)
        alike = bool(np.all(supply == supply[0]))
        allowed = float(supply[0]) if alike else choice.table(supply)
        problem.limit(c.tag, c.name, choice.table(demand), allowed, hard=c.hard)

    @cache
    def table(of: Cost) -> Table:
        values = np.concatenate(
            [np.broadcast_to(of(state), n) for state, n in zip(states, sizes, strict=True)]
        )
        return choice.table(_finite(values, np.zeros_like(values))[0])

    problem.minimize(table(cost))
    problem.ties = tuple(as_expr(table(tie)) for tie in ties)
    return Recipe(problem, s, ways, table)


def _columns(
    s: Scenario, way: int, tp: tuple[int, ...], replicas: tuple[int, ...], every_count: bool, every: bool
) -> tuple[dict[str, Array], State]:
    """Return the deployments of one way to run as columns, and what the walls see of them.

    Where there would be too many, only these numbers of replicas: the fewest that keep up, the fewest
    that answer in time, and the most. With those in between it would be later for no less money, or
    cost more for nothing; unless ``every_count``, as an assertion may want any of them.
    """
    grid = [(n, batches(s, n, every=every)) for n in sizes_of_replicas(s, tp)]
    ranks = np.concatenate([np.full(len(b), float(n)) for n, b in grid]) if grid else np.zeros(0)
    requests = np.concatenate([b for _, b in grid]) if grid else np.zeros(0)
    copies = float(instances(s))
    most = np.floor(s.accelerators / (ranks * copies))
    low = fewest_replicas(tabulated(s, ranks, requests, ranks * copies), most)
    if every_count or float(np.sum(most - low + 1.0)) <= FEW_CELLS:
        counts = (most - low + 1.0).astype(np.int64)
        cell = np.repeat(np.arange(len(ranks)), counts)
        first = np.cumsum(counts) - counts
        number = low[cell] + (np.arange(len(cell)) - first[cell])
    else:
        enough = enough_replicas(s, ranks, requests, low, most)
        number = np.concatenate([low, enough, most])
        cell = np.tile(np.arange(len(ranks)), 3)
        number, cell = np.unique(np.array([cell, number]), axis=1)[::-1]
        cell = cell.astype(np.int64)
    if replicas:
        keep = np.isin(number, replicas)
        cell, number = cell[keep], number[keep]
    ranks, requests = ranks[cell], requests[cell]
    used = ranks * copies * number
    columns = {
        "way": np.full(len(cell), way),
        "tp": ranks,
        "replicas": number,
        "accelerators": used,
        "requests": requests,
    }
    return columns, tabulated(s, ranks, requests, used)


def _joined(parts: list[list[Comparison]], sizes: list[int]) -> list[Comparison]:
    """Return rows over all ways to run; one that a way does not have holds there."""
    by_name = [{c.name: c for c in part} for part in parts]
    found: dict[str, Comparison] = {}
    for part in by_name:
        for name, c in part.items():
            if name in found:
                continue
            sides = [(x[name].demand, x[name].supply) if name in x else (0.0, 1.0) for x in by_name]
            demand, supply = (
                np.concatenate([np.broadcast_to(np.asarray(side[k], dtype=float), n)
                                for side, n in zip(sides, sizes, strict=True)])
                for k in (0, 1)
            )  # fmt: skip
            found[name] = Comparison(c.tag, c.name, demand, supply, c.hard)
    return list(found.values())


def _finite(demand: Array, supply: Array) -> tuple[Array, Array]:
    """Return the sides of a row, a queue without end as one far longer than any other."""
    both = np.concatenate([demand[np.isfinite(demand)], supply[np.isfinite(supply)], [1e-9]])
    far = ENDLESS * np.max(np.abs(both))
    return np.clip(demand, -far, far), np.clip(supply, -far, far)

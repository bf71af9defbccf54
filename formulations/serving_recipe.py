"""From requests and offers to a serving mix, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from formulations.algebra import Floats
from formulations.serving import Mix
from formulations.serving_tables import ROLES, Demand, Offer, Pool, Rules, pools, undominated

# The most instances of a kind that are looked at.
MOST = 5000


@dataclass(frozen=True)
class Recipe:
    """A problem and what its kinds of instances are."""

    mix: Mix
    pools: tuple[Pool, ...]
    considered: int


def formulate(
    d: Demand,
    offers: Sequence[Offer],
    rules: Rules,
    stocks: Floats,
    cost: Floats,
    *,
    spare: int = 0,
    start: float = 0.0,
) -> Recipe:
    """Return the problem of least cost.

    Args:
        d: requests.
        offers: instances to choose from.
        rules: how they are run.
        stocks: accelerators of each stock; infinite where there is no end.
        cost: of an instance of each offer for an hour, in the objective's unit.
        spare: instances of each kind that may be down.
        start: hours for which an instance is paid before it answers.
    """
    index = {id(o): k for k, o in enumerate(offers)}
    every = pools(d, offers, rules)
    price = np.array([cost[index[id(p.offer)]] for p in every])
    left = undominated(every, price, np.isfinite(stocks).tolist())
    kept = [every[k] for k in left]
    price = price[left]
    formats = sorted({p.offer.scenario.precision for p in kept})
    classes = len(d.prompt)
    mix = Mix(
        rate=d.rate,
        time=np.array([p.time for p in kept]).reshape(-1, classes).T,
        moved=np.array([p.moved for p in kept]).reshape(-1, classes).T,
        role=np.array([ROLES.index(p.role) for p in kept], dtype=np.int64),
        group=np.array([formats.index(p.offer.scenario.precision) for p in kept], dtype=np.int64),
        work=tuple(_work(p, d, rules, stocks, spare) for p in kept),
        cost=price,
        start=price * start,
        units=np.array([float(p.offer.tp) for p in kept]),
        stock=np.array([p.offer.stock for p in kept], dtype=np.int64),
        stocks=stocks,
        spare=spare,
    )
    return Recipe(mix, tuple(kept), len(every))


def _work(p: Pool, d: Demand, rules: Rules, stocks: Floats, spare: int) -> Floats:
    """Return the busy instances allowed for 0, 1, ... as far as all requests could ask for."""
    can = np.isfinite(p.time)
    asked = float((d.rate[can] * p.time[can, None]).sum(axis=0).max())
    links = float((d.rate[can] * p.moved[can, None]).sum(axis=0).max())
    most = int(min(MOST, stocks[p.offer.stock] // p.offer.tp if np.isfinite(stocks[p.offer.stock]) else MOST))
    # the fewest that do it all: each guess is too few, by what the one before could not take
    n = min(int(max(asked, links)) + spare + 1, most)
    while n < most and n - spare < links:
        n += 1
    while n < most and (can_do := float(p.most_work(n - spare, rules))) < asked:
        n = min(most, max(n + 1, int((n - spare) * asked / max(can_do, 1e-9 * asked)) + spare, n))
    work = p.most_work(np.maximum(np.arange(n + 1.0) - spare, 0.0), rules)
    enough = work >= asked
    return work[: int(enough.argmax()) + 1] if enough.any() else work

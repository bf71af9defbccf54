"""Hours that are joined by the cost of starting instances.

Below: the price of a start is shared between an hour and the one before it (Lagrange), after which
hours are apart again; prices follow the starts that the hours then ask for (Polyak 1969). Above: each
hour's numbers, kept on or taken over from other hours, and the shortest way round the day among them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from formulations.algebra import Floats, Indices
from formulations.engines.base import Options
from formulations.serving import Mix, Plan, starts
from formulations.serving_hour import Best, bounded, exactly

# Rounds of prices. More than these bring little.
ROUNDS = 20
# Numbers of an hour that the shortest way is looked for among.
CANDIDATES = 60


def linked(m: Mix, alone: Best, options: Options) -> Best:
    """Return a day that is as good or better, with a bound that knows of starts.

    Args:
        m: a problem of several hours without split roles.
        alone: the best plan of each hour on its own.
        options: the gap at which to stop, and the time.
    """
    assert alone.plan is not None
    assert alone.objective is not None
    known: list[list[Indices]] = [[alone.plan.count[:, h]] for h in range(m.hours)]
    most = np.minimum(m.start, m.cost)[:, None]
    price = _first_prices(alone.plan.count, most)
    least = alone.bound or 0.0
    count, cost = _way_round(m, known)
    step = 1.0
    for _ in range(ROUNDS):
        bound, numbers = _apart(m, price, options)
        if numbers is None:
            break
        if bound <= least:
            step *= 0.7
        least = max(least, bound)
        for h in range(m.hours):
            known[h].append(numbers[:, h])
        found, worth = _way_round(m, known)
        if worth < cost:
            count, cost = found, worth
        if options.expired or cost - least <= options.gap * cost:
            break
        slope = numbers - np.roll(numbers, 1, axis=1)
        size = float((slope * slope).sum())
        if not size:
            break
        price = np.clip(price + step * (cost - bound) / size * slope, 0.0, most)
    best = alone
    if cost < alone.objective:
        best = _with_flows(m, count, alone, options)
    assert best.objective is not None
    return replace(best, bound=min(least, best.objective), status="feasible")


def _first_prices(count: Indices, most: Floats) -> Floats:
    """Return prices that agree with a plan: all where instances start, none where they stop."""
    hours = count.shape[1]
    change = count - np.roll(count, 1, axis=1)
    price = np.zeros(count.shape)
    for v in range(len(count)):
        at = np.flatnonzero(change[v])
        if not len(at):
            continue
        known = np.concatenate([at - hours, at, at + hours])
        value = np.tile((change[v, at] > 0).astype(float), 3)
        price[v] = np.interp(np.arange(hours), known, value)
    return price * most


def _apart(m: Mix, price: Floats, options: Options) -> tuple[float, Indices | None]:
    """Return the bound of a day at prices of starts, and the numbers that have it."""
    total, numbers = 0.0, []
    for h in range(m.hours):
        cost = m.cost + price[:, h] - price[:, (h + 1) % m.hours]
        bound, found = bounded(replace(m.hour(h), cost=np.maximum(cost, 0.0)), options)
        if found is None:
            return 0.0, None
        total += bound
        numbers.append(found)
    return total, np.array(numbers).T


def _way_round(m: Mix, known: list[list[Indices]]) -> tuple[Indices, float]:
    """Return the cheapest day among candidates for each hour, and its cost."""
    options = _candidates(m, known)
    running = [m.cost @ c.T for c in options]
    best, cost = np.zeros((m.kinds, m.hours), dtype=np.int64), np.inf
    joins = [
        np.maximum(c[:, None, :] - options[h - 1][None, :, :], 0) @ m.start for h, c in enumerate(options)
    ]
    for first in range(len(options[0])):
        total = np.full(len(options[0]), np.inf)
        total[first] = running[0][first]
        back = []
        for h in range(1, m.hours):
            every = joins[h] + total[None, :]
            back.append(every.argmin(axis=1))
            total = every.min(axis=1) + running[h]
        total = total + joins[0][first]
        k = int(total.argmin())
        if total[k] < cost:
            cost = float(total[k])
            picks = [k]
            for step in reversed(back):
                picks.append(int(step[picks[-1]]))
            best = np.array([options[h][p] for h, p in enumerate(reversed(picks))]).T
    return best, cost


def _candidates(m: Mix, known: list[list[Indices]]) -> list[Indices]:
    """Return numbers that serve each hour: its own, with others' kept on, and those of busier hours."""
    found = []
    for h in range(m.hours):
        mine = {tuple(c.tolist()) for c in known[h]}
        base = known[h][0]
        others = dict.fromkeys(tuple(c.tolist()) for k in range(m.hours) for c in known[k][:3])
        for other in others:
            mine.add(tuple(np.maximum(base, other).tolist()))
        for g in range(m.hours):
            if (m.rate[:, g] >= m.rate[:, h]).all():
                mine |= {tuple(c.tolist()) for c in known[g]}
        counts = np.array([c for c in mine if _stocked(m, np.array(c))])
        order = np.argsort(m.cost @ counts.T, kind="stable")[:CANDIDATES]
        found.append(counts[order])
    return found


def _stocked(m: Mix, count: Indices) -> bool:
    used = np.bincount(m.stock, weights=m.units * count, minlength=len(m.stocks))
    return bool((used <= m.stocks).all() and (count <= m.most).all())


def _with_flows(m: Mix, count: Indices, alone: Best, options: Options) -> Best:
    """Return the plan with given numbers, requests sent hour by hour; the one known if that fails."""
    flows = []
    for h in range(m.hours):
        numbers = {v: int(n) for v, n in enumerate(count[:, h])}
        found = exactly(m.hour(h), numbers, options)
        if found.plan is None:
            return alone
        flows.append(found.plan.flow)
    plan = Plan(count, np.concatenate(flows, axis=2))
    assert starts(count).shape == count.shape
    return replace(alone, plan=plan, objective=plan.cost(m))

"""What each kind of instance does to each class of requests: the tables of a serving mix.

An offer is an accelerator with a precision and a tensor-parallel size. A pool is an offer with a role
and a promise: requests whose targets are at least as loose as the promise may go there, each class at
the batch that completes most of it within the promise. All walls are read on whole tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formulations.algebra import Floats, Indices
from mlsysim.core.scenario import Scenario
from mlsysim.physics import collectives as net
from mlsysim.physics import inference, kvcache, mixture, serving
from mlsysim.physics.kvcache import Lengths
from mlsysim.physics.serving import Instance, Service
from mlsysim.walls.base import Limits
from mlsysim.walls.w04_serving import Serving
from mlsysim.walls.w05_batching import Batching

ROLES = ("mixed", "prefill", "decode")
# Requests that an instance may run at once: an eighth of a doubling matters little to the rate.
BATCHES = np.unique(np.round(2.0 ** np.arange(0.0, 9.01, 0.5)))


@dataclass(frozen=True)
class Demand:
    """Classes of requests: tokens, requests a second by hour, targets [s]; infinite without one.

    ``rate`` has a row a class and a column an hour.
    """

    names: tuple[str, ...]
    prompt: Floats
    output: Floats
    output_cv: Floats
    rate: Floats
    ttft: Floats
    itl: Floats
    latency: Floats


@dataclass(frozen=True)
class Offer:
    """An accelerator at a precision, ``tp`` of which make an instance.

    Attributes:
        scenario: one instance, resolved.
        stock: which stock its accelerators come from.
        cost, carbon: of an instance for an hour [USD, kgCO2e].
        link: between one of its accelerators and one of another instance; None where there is none.
    """

    name: str
    scenario: Scenario
    tp: int
    stock: int
    cost: float
    carbon: float
    link: net.Tier | None

    @property
    def instance(self) -> Instance:
        """The instance for the physics."""
        s = self.scenario
        return Instance(s.model.transformer, s.chip, s.network, float(self.tp), s.width)


@dataclass(frozen=True)
class Rules:
    """How instances are run, and what is promised.

    Attributes:
        scheduler: ``prefill_first`` or ``chunked``, of mixed instances.
        budget: tokens of a pass of the chunked scheduler.
        roles: those of :data:`ROLES` that pools may have.
        percentile: of requests that keep their time to first token.
        arrival_cv: of the time between arrivals.
        wait_share: of the tightest time to first token of a pool that may be spent waiting.
        memory_share: of the memory that the engine takes.
        block: tokens of a KV block.
        quantiles: shares of the classes, by what they take of an instance, that pools are open to.
    """

    scheduler: str
    budget: float
    roles: tuple[str, ...]
    percentile: float
    arrival_cv: float
    wait_share: float
    memory_share: float
    block: float
    quantiles: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Pool:
    """Instances of one kind that share a queue, and what a class of requests takes of them.

    Attributes:
        offer, role: of the instances.
        promise: time to first token, between tokens, to the last token [s].
        batch: requests of a class that an instance runs at once; 0 where a class may not come.
        time: that a request takes of an instance [s]; infinite where it may not come.
        moved: time that its links take for a request's KV cache [s].
        places: of the class that runs fewest at once.
        longest: largest residual time of a class [s].
        allowance: longest wait at the percentile [s].
    """

    offer: Offer
    role: str
    promise: tuple[float, float, float]
    batch: Floats
    time: Floats
    moved: Floats
    places: float
    longest: float
    allowance: float

    def most_work(self, instances: Any, rules: Rules) -> Floats:
        """Return how many of some instances may be busy."""
        return np.asarray(
            mixture.most_work(
                instances, self.places, self.longest, self.allowance, rules.arrival_cv, rules.percentile
            )
        )


def lengths(d: Demand, classes: Any = slice(None)) -> Lengths:
    """Return the lengths of classes, as a column."""
    return Lengths(d.prompt[classes][:, None], d.output[classes][:, None], 0.0, d.output_cv[classes][:, None])


def service(o: Offer, role: str, batch: Any, n: Lengths, rules: Rules, link: net.Tier | None) -> Service:
    """Return the service of an instance in a role; of split roles, with an instance of its own kind.

    A cache moves over ``link``, from as many accelerators as the instance has.
    """
    i = o.instance
    if role != "mixed":
        assert link is not None
        return serving.disaggregated(i, i, batch, n, link, decodes=1.0)
    if rules.scheduler == "chunked":
        return serving.chunked(i, batch, n, rules.budget)
    return serving.prefill_first(i, batch, n)


def batching(o: Offer, batch: Any, n: Lengths, rules: Rules) -> kvcache.Batching:
    """Return the KV blocks of an instance that runs ``batch`` requests."""
    s, i = o.scenario, o.instance
    step = inference.decode_step(
        i.model, i.chip, batch=batch, context=n.prompt, width=s.width, tp=i.tp, network=i.network
    )
    pool = kvcache.pool_bytes(s.capacity, rules.memory_share, step.weights, step.activations, s.reserve)
    return kvcache.Batching(batch, n, rules.block, kvcache.token_bytes(i.model, s.width, i.tp), pool)


def spread_of(n: Lengths, s: Service) -> Any:
    """Return the variation of the time of requests of one class: that of the part which decodes."""
    whole = serving.response_time(s, n.output)
    return n.output_cv * (whole - s.ttft) / whole


def held(b: kvcache.Batching, s: Service, ttft: Any, itl: Any) -> NDArray[np.bool_]:
    """Return where walls 4 and 5 hold, with targets for the time to first token and between tokens."""
    state: Any = SimpleNamespace(serving=s, batching=b, limits=Limits(ttft=ttft, itl=itl))
    rows = [*Serving().rows(state), *Batching().rows(state)]
    kept = [row.demand <= row.supply for row in rows if row.supply is not None]
    return np.asarray(np.logical_and.reduce(np.broadcast_arrays(*kept)))


def fits_alone(o: Offer, d: Demand, rules: Rules) -> NDArray[np.bool_]:
    """Return which classes' requests an instance holds at all, to their last token."""
    whole = Lengths(d.prompt + d.output, np.zeros(len(d.prompt)))
    b = batching(o, 1.0, whole, rules)
    return np.asarray(kvcache.demand_blocks(b) <= kvcache.pool_blocks(b))


# -- pools --------------------------------------------------------------------------------------


def pools(d: Demand, offers: Sequence[Offer], rules: Rules) -> list[Pool]:
    """Return every pool that some class may go to."""
    slowest = _slowest_links(offers)
    promises = sorted(set(zip(d.ttft.tolist(), d.itl.tolist(), d.latency.tolist(), strict=True)))
    found: list[Pool] = []
    for o in offers:
        fits = fits_alone(o, d, rules)
        for role in rules.roles:
            link = None if role == "mixed" else slowest.get(o.scenario.precision)
            if role != "mixed" and (o.link is None or link is None):
                continue
            table = _Table(d, o, role, rules, link, fits)
            for promise in promises:
                found += table.pools(promise)
    return found


def _slowest_links(offers: Sequence[Offer]) -> dict[str, tuple[net.Tier, int]]:
    """Return, for each format of the cache, the slowest link and the fewest accelerators of an end.

    Which instances a cache moves between is decided later: none is slower than this.
    """
    found: dict[str, tuple[net.Tier, int]] = {}
    for o in offers:
        if o.link is not None:
            tier, ends = found.get(o.scenario.precision, (o.link, o.tp))
            tier = net.Tier(min(tier.bandwidth, o.link.bandwidth), max(tier.latency, o.link.latency))
            found[o.scenario.precision] = tier, min(ends, o.tp)
    return found


class _Table:
    """One offer in one role, over all classes and batches."""

    def __init__(
        self,
        d: Demand,
        o: Offer,
        role: str,
        rules: Rules,
        link: tuple[net.Tier, int] | None,
        fits: NDArray[np.bool_],
    ) -> None:
        self.d, self.o, self.role, self.rules, self.fits = d, o, role, rules, fits
        n, batches = lengths(d), BATCHES[None, :]
        if role == "prefill":
            batches = batches[:, :1]
        self.batches = batches
        self.blocks = batching(o, batches, n, rules)
        self.moved = np.zeros(len(d.prompt))
        if link is None:
            self.service = service(o, role, batches, n, rules, None)
        else:
            assert o.link is not None
            tier, ends = link
            self.moved = np.asarray(serving.transfer_time(o.instance, o.instance, d.prompt, o.link))
            # as if the other end were the slowest: fewer accelerators take as much longer
            slow = net.Tier(tier.bandwidth * ends / o.tp, tier.latency)
            self.service = service(o, role, batches, n, rules, slow)
        self.time = self._time()
        spread = {"mixed": spread_of(n, self.service), "prefill": 0.0, "decode": n.output_cv}[role]
        self.spread = np.broadcast_to(spread, self.time.shape)

    def _time(self) -> Floats:
        """Return the time that a request takes of an instance in its role."""
        s = self.service
        if self.role == "mixed":
            time = 1.0 / s.rate
        elif self.role == "prefill":
            time = s.ttft
        else:
            more = np.maximum(self.d.output[:, None] - 1.0, 0.0)
            time = more * s.itl / self.batches
        return np.array(np.broadcast_to(time, (len(self.d.prompt), self.batches.shape[1])))

    def pools(self, promise: tuple[float, float, float]) -> list[Pool]:
        """Return the pools with a promise: for all classes that may come, and for the lighter of them."""
        d, rules = self.d, self.rules
        ttft, itl, latency = promise
        allowance = rules.wait_share * min(ttft, latency)
        wait = allowance if np.isfinite(allowance) else 0.0
        # a decode instance gives the second token: the first has been waited for elsewhere
        first = d.ttft[:, None] - wait if self.role != "decode" else np.full((len(d.prompt), 1), np.inf)
        between = itl if self.role != "prefill" else np.inf
        kept = held(self.blocks, self.service, first, between) & self.fits[:, None]
        kept &= ((d.ttft >= ttft) & (d.itl >= itl) & (d.latency >= latency))[:, None]
        if self.role != "prefill" and np.isfinite(d.latency).any():
            more = np.maximum(d.output[:, None] - 1.0, 0.0)
            # in a mix, others may stretch the time between tokens as far as the promise goes
            rest = wait + more * (itl if np.isfinite(itl) else self.service.itl)
            begun = self.service.ttft if self.role == "mixed" else d.ttft[:, None]
            kept &= begun + rest <= d.latency[:, None]
        time = np.where(kept, self.time, np.inf)
        at = time.argmin(axis=1)
        rows = np.arange(len(at))
        time = time[rows, at]
        open_to = np.isfinite(time) & (time > 0.0)
        if not open_to.any():
            return []
        batch = np.where(open_to, self.batches[0, at], 0.0)
        residual = np.asarray(mixture.residual(self.time, self.spread))[rows, at]
        found, seen = [], set()
        for share in rules.quantiles:
            most = np.quantile(residual[open_to], share, method="lower")
            in_it = open_to & (residual <= most)
            key = in_it.tobytes()
            if key in seen:
                continue
            seen.add(key)
            found.append(
                Pool(
                    self.o,
                    self.role,
                    promise,
                    np.where(in_it, batch, 0.0),
                    np.where(in_it, time, np.inf),
                    self.moved,
                    float(batch[in_it].min()),
                    float(residual[in_it].max()),
                    allowance,
                )
            )
        return found


def undominated(found: Sequence[Pool], cost: Floats, limited: Sequence[bool]) -> Indices:
    """Return the pools that no other one replaces at no more cost, for every class and any number.

    A pool of another stock only replaces one where its own stock has no end.

    Args:
        found: the pools.
        cost: of an instance.
        limited: whether a stock has an end.
    """
    left: list[int] = []
    order = sorted(
        range(len(found)), key=lambda k: (cost[k], found[k].offer.tp, -np.isfinite(found[k].time).sum())
    )
    for k in order:
        p = found[k]
        if not any(_replaces(found[j], p, limited) for j in left if cost[j] <= cost[k]):
            left.append(k)
    return np.array(sorted(left), dtype=np.int64)


def _replaces(a: Pool, b: Pool, limited: Sequence[bool]) -> bool:
    if a.role != b.role or (a.role != "mixed" and a.offer.scenario.precision != b.offer.scenario.precision):
        return False
    if limited[a.offer.stock] and (a.offer.stock != b.offer.stock or a.offer.tp > b.offer.tp):
        return False
    same_queue = a.places >= b.places and a.longest <= b.longest and a.allowance >= b.allowance
    return bool(same_queue and (a.time <= b.time).all() and (a.moved <= b.moved).all())


def without_targets(d: Demand) -> Demand:
    """Return the demand as it is without targets."""
    none = np.full(len(d.prompt), np.inf)
    return replace(d, ttft=none, itl=none, latency=none)

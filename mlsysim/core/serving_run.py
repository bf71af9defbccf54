"""A serving mix forward: what its pools do with the requests that they get.

Nothing here comes from an optimizer but the decisions: instances, batches, and which requests go where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlsysim.physics import collectives as net
from mlsysim.physics import kvcache, mixture, queueing, serving
from mlsysim.physics.kvcache import Lengths
from mlsysim.physics.operations import bill

if TYPE_CHECKING:
    from formulations.serving_tables import Demand, Offer, Rules

Floats = NDArray[np.float64]
HOUR = 3600.0


@dataclass(frozen=True)
class Given:
    """The decisions of one pool in one hour: requests a second and batch of each class that comes."""

    offer: Offer
    role: str
    instances: int
    classes: NDArray[np.int64]
    rate: Floats
    batch: Floats


@dataclass(frozen=True)
class Run:
    """What a pool does, with some of its instances down.

    Attributes:
        given: the decisions.
        utilization: share of its instances' time that is taken.
        links: share of their links' time that moves KV cache.
        wait: at the percentile [s].
        ttft, itl: by class, the wait included [s]; ``response`` is the time to the last token. Infinite
            or 0 where the role does not say.
        mixed_itl: mean over the tokens that an instance makes.
        cache: fullest share of the KV pool, over the classes.
        cost, carbon: of an hour, all instances up [USD, kgCO2e].
    """

    given: Given
    utilization: float
    links: float
    wait: float
    ttft: Floats
    itl: Floats
    response: Floats
    mixed_itl: float
    cache: float
    cost: float
    carbon: float


def run(d: Demand, given: Sequence[Given], rules: Rules, spare: int) -> list[Run]:
    """Return what the pools of one hour do."""
    return [_run(d, g, given, rules, spare) for g in given]


def _run(d: Demand, g: Given, others: Sequence[Given], rules: Rules, spare: int) -> Run:
    n = Lengths(d.prompt[g.classes], d.output[g.classes], 0.0, d.output_cv[g.classes])
    s, time, moved = _service(g, others, n, rules)
    up = g.instances - spare
    spread = {"mixed": _spread(n, s), "prefill": 0.0, "decode": n.output_cv}[g.role]
    q = mixture.station(g.rate, time, spread, float(up), float(g.batch.min()), rules.arrival_cv)
    busy = float(mixture.instances_busy(g.rate, time).sum())
    wait = float(queueing.wait_quantile(q, rules.percentile)) if busy < up else np.inf
    blocks = _blocks(g, n, rules)
    tokens = g.rate * np.maximum(n.output - 1.0, 0.0)
    itl = np.broadcast_to(s.itl, g.rate.shape)
    mean = float(tokens @ itl / tokens.sum()) if tokens.any() else 0.0
    # others stretch the time between tokens, as far as there is a target for it
    between = np.where(np.isfinite(d.itl[g.classes]), np.maximum(itl, mean), itl)
    fleet = g.offer.scenario.fleet
    taken = bill(
        fleet, g.offer.scenario.site, HOUR, g.offer.scenario.settings.rented
    )  # of one instance: it is what the scenario has
    first = np.broadcast_to(s.ttft, g.rate.shape) + wait
    return Run(
        g,
        busy / up if up > 0 else np.inf,
        float(mixture.move_share(g.rate, moved, float(up))) if up > 0 else np.inf,
        wait,
        first,
        itl,
        first + np.maximum(n.output - 1.0, 0.0) * between,
        mean,
        float(np.max(kvcache.demand_blocks(blocks) / kvcache.pool_blocks(blocks))),
        float(taken.tco) * g.instances,
        float(taken.carbon) * g.instances,
    )


def _spread(n: Lengths, s: serving.Service) -> Any:
    whole = serving.response_time(s, n.output)
    return n.output_cv * (whole - s.ttft) / whole


def _service(g: Given, others: Sequence[Given], n: Lengths, rules: Rules) -> tuple[serving.Service, Any, Any]:
    """Return the service of each class alone, the time that it takes of an instance, and of its links."""
    i = g.offer.instance
    none = np.zeros(len(g.rate))
    if g.role == "mixed":
        s = (
            serving.chunked(i, g.batch, n, rules.budget)
            if rules.scheduler == "chunked"
            else serving.prefill_first(i, g.batch, n)
        )
        return s, 1.0 / s.rate, none
    assert g.offer.link is not None
    moved = serving.transfer_time(i, i, n.prompt, g.offer.link)
    if g.role == "prefill":
        s = serving.disaggregated(i, i, g.batch, n, g.offer.link)
        return s, np.broadcast_to(s.ttft, g.rate.shape), moved
    # the slowest of the pools that its caches come from
    ends = [
        o.offer
        for o in others
        if o.role == "prefill" and o.offer.scenario.precision == g.offer.scenario.precision
    ]
    served = [serving.disaggregated(o.instance, i, g.batch, n, _link(o, g.offer)) for o in ends]
    s = max(served, key=lambda x: float(np.max(x.transfer)))
    more = np.maximum(n.output - 1.0, 0.0)
    return s, more * s.itl / g.batch, moved


def _link(a: Offer, b: Offer) -> net.Tier:
    assert a.link is not None
    assert b.link is not None
    return net.Tier(min(a.link.bandwidth, b.link.bandwidth), max(a.link.latency, b.link.latency))


def _blocks(g: Given, n: Lengths, rules: Rules) -> kvcache.Batching:
    from mlsysim.physics import inference

    s, i = g.offer.scenario, g.offer.instance
    step = inference.decode_step(
        i.model, i.chip, batch=g.batch, context=n.prompt, width=s.width, tp=i.tp, network=i.network
    )
    pool = kvcache.pool_bytes(s.capacity, rules.memory_share, step.weights, step.activations, s.reserve)
    return kvcache.Batching(g.batch, n, rules.block, kvcache.token_bytes(i.model, s.width, i.tp), pool)

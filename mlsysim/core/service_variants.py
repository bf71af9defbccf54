"""Services that differ in their decisions, and many of them at once.

A service is decided by the accelerators of a replica (tp), the replicas, the requests that each works on
at once (the batch), and by how it runs: precision, scheduler, speculation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlsysim.core import inference_run, promises
from mlsysim.core.machine import server_of
from mlsysim.core.resolve import resolve
from mlsysim.core.scenario import Assumptions, Scenario
from mlsysim.core.states import inference_state
from mlsysim.core.tolerance import ROUNDING, TOLERANCE
from mlsysim.physics import inference, kvcache, occupancy, queueing
from mlsysim.physics.types import Array
from mlsysim.walls import State
from mlsysim.walls.w07_tail_latency import TailLatency

# Batches up to here are all candidates; beyond, each is a fiftieth larger than the one before.
EVERY = 256
FINER = 1.02
MOST_REQUESTS = 4096


@dataclass(frozen=True)
class Way:
    """How a service runs: what a plan may leave a choice of besides sizes."""

    precision: str
    scheduler: str
    token_budget: int | None
    draft: Any

    def to_dict(self) -> dict[str, Any]:
        """Return the decisions."""
        return {
            "precision": self.precision,
            "scheduler": self.scheduler,
            "token_budget": self.token_budget,
            "draft": None if self.draft is None else self.draft.model,
            "draft_tokens": None if self.draft is None else self.draft.tokens,
        }


def in_way(s: Scenario, way: Way, **sizes: int) -> Scenario:
    """Return the service run in a way, with ``accelerators``, ``tp`` and ``requests`` where given."""
    t = s.settings
    block: dict[str, Any] = {"scheduler": way.scheduler, "token_budget": way.token_budget, "draft": way.draft}
    block |= {key: sizes[key] for key in ("tp", "requests") if key in sizes}
    given = {key: value for key, value in block.items() if value is not None}
    if way.draft is not None:
        given["draft"] = way.draft.model_dump(exclude_none=True)
    old = {k: v for k, v in t.given.get("serving", {}).items() if k not in block}
    settings = replace(
        t,
        precision=way.precision,
        accelerators=sizes.get("accelerators", s.accelerators),
        nodes=None,
        seq_len=s.seq_len,
        blocks=t.blocks | {"serving": t.blocks.get("serving", {}) | block},
        given=t.given | {"serving": old | given},
    )
    return resolve(settings)


def tabulated(s: Scenario, tp: Array, requests: Array, accelerators: Array) -> State:
    """Return what the walls see of many services at once, all arrays over them."""
    t = s.settings
    block = t.blocks["serving"] | {"tp": tp, "requests": requests}
    many = replace(
        s,
        settings=replace(t, blocks=t.blocks | {"serving": block}),
        accelerators=accelerators,
        fleet=replace(s.fleet, units=accelerators),
    )
    take = Assumptions()
    fields = inference_run.extras(many, server_of(t), take) | promises.extras(s, take)
    state = inference_state(replace(many, extras=fields))
    return replace(state, domain=np.minimum(s.network.domain, accelerators))


def instances(s: Scenario) -> int:
    """Return the copies of the model in a replica: several where prefill and decode are apart."""
    block = s.settings.blocks.get("serving", {})
    if block.get("scheduler") != "disaggregated":
        return 1
    return int(block["disaggregated"].prefills + block["disaggregated"].decodes)


def sizes_of_replicas(s: Scenario, allowed: tuple[int, ...] = ()) -> list[int]:
    """Return the numbers of accelerators that may share the layers: divisors of the heads in a domain."""
    most = min(s.network.domain, s.accelerators / instances(s))
    heads = s.model.transformer.heads
    found = [n for n in range(1, int(max(most, 1)) + 1) if heads % n == 0 and n <= s.accelerators]
    return [n for n in found if n in allowed] if allowed else found


def batches(s: Scenario, tp: int, *, every: bool = False) -> np.ndarray:
    """Return the batches worth a look: up to one more than what the memory could hold at the very best.

    Args:
        s: the service.
        tp: accelerators of a replica.
        every: every whole number, rather than steps of two percent beyond :data:`EVERY`.
    """
    one = tabulated(s, *(np.array([float(n)]) for n in (tp, 1, tp * instances(s))))
    m = s.model.transformer
    most = MOST_REQUESTS
    if one.batching is not None:
        weights = inference.held_weights(m, float(tp)) * s.width
        pool = np.maximum(s.capacity - weights, 0.0)
        held = kvcache.most_requests(replace(one.batching, pool=pool))
        most = int(min(np.max(held) + 1, MOST_REQUESTS))
    whole = np.arange(1, (most if every else min(most, EVERY)) + 1)
    if every or most <= EVERY:
        return whole.astype(float)
    count = int(np.ceil(np.log(most / EVERY) / np.log(FINER)))
    steps = np.round(EVERY * FINER ** np.arange(1, count)).astype(int)
    return np.unique(np.concatenate([whole, steps[steps < most], [most]])).astype(float)


def fewest_replicas(state: State, most: Array) -> Array:
    """Return the fewest replicas that keep up with the load, for services of one replica each.

    ``most`` where not even those do.
    """
    q, service = state.queue, state.serving
    assert q is not None
    assert service is not None
    load = queueing.offered_load(q.rate, occupancy.place_time(service))
    fewest = np.ceil(load / (queueing.STABLE * service.places) - 1e-12)
    return np.minimum(np.maximum(fewest, 1.0), most)


def enough_replicas(s: Scenario, tp: Array, requests: Array, low: Array, most: Array) -> Array:
    """Return the fewest replicas with which the slow percentile is in time; ``most`` where none are enough.

    More replicas never answer later, so a bracket is halved.
    """

    def kept(replicas: Array) -> Array:
        state = tabulated(s, tp, requests, tp * instances(s) * replicas)
        slack = 1.0 + TOLERANCE - ROUNDING
        limited = [(r.demand, r.supply) for r in TailLatency().rows(state) if r.supply is not None]
        return np.logical_and.reduce([demand <= supply * slack for demand, supply in limited])

    low, high = low.copy(), most.copy()
    while (low < high).any():
        middle = np.floor(0.5 * (low + high))
        enough = kept(middle)
        low, high = np.where(enough | (low >= high), low, middle + 1.0), np.where(enough, middle, high)
    return high

"""What users of a service see and what it costs, as quotients of a state: the parts of its metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mlsysim.physics import kvcache, occupancy, queueing
from mlsysim.physics.types import Array
from mlsysim.walls.base import State

Parts = Callable[[State], tuple[Array, Array]]


def of_service(field: str) -> Parts:
    """Return a field of the service."""
    return lambda s: (getattr(s.serving, field), 1.0)


def capacity(s: State) -> Array:
    """Return the requests that all replicas together complete in a second with their batches full."""
    assert s.serving is not None
    return occupancy.replicas(s.serving, s.accelerators, s.tensor_ranks) * s.serving.rate


def served(s: State) -> Array:
    """Return the tokens that are generated in a second: at the plan's load, or else at capacity."""
    assert s.serving is not None
    rate = capacity(s)
    return (rate if s.queue is None else np.minimum(s.queue.rate, rate)) * s.serving.output


def each_million(field: str) -> Parts:
    """Return a part of the bill for a million tokens served."""
    return lambda s: (getattr(s.bill, field), served(s) * s.duration / 1e6)


def response_at(percentile: float) -> Parts:
    """Return a percentile of the time from a request's arrival to the end of its answer."""

    def parts(s: State) -> tuple[Array, Array]:
        assert s.queue is not None
        return queueing.response_quantile(replace(s.queue, percentile=percentile)), 1.0

    return parts


def soonest(s: State) -> Array:
    """Return the 99th percentile of the time from a request's arrival to the end of its answer."""
    return response_at(0.99)(s)[0]


def first_token_at(percentile: float) -> Parts:
    """Return a percentile of the time from a request's arrival to its first token."""

    def parts(s: State) -> tuple[Array, Array]:
        assert s.queue is not None
        assert s.serving is not None
        return occupancy.first_token_quantile(s.serving, replace(s.queue, percentile=percentile)), 1.0

    return parts


def kv_tokens(s: State) -> tuple[Array, Array]:
    """Return the tokens that a replica's KV pool holds."""
    assert s.batching is not None
    return kvcache.pool_blocks(s.batching) * s.batching.block, 1.0


def kv_requests(s: State) -> tuple[Array, Array]:
    """Return the running requests that a replica's KV pool holds, on average."""
    assert s.batching is not None
    return kvcache.most_requests(s.batching), 1.0


def running(s: State) -> tuple[Array, Array]:
    """Return the requests that run at once on a replica, on average over time."""
    assert s.queue is not None
    assert s.serving is not None
    there = queueing.in_system(s.queue.rate, queueing.service_under_load(s.queue))
    return there, occupancy.replicas(s.serving, s.accelerators, s.tensor_ranks)


def utilization(s: State) -> tuple[Array, Array]:
    """Return the load over what full batches complete."""
    assert s.queue is not None
    return queueing.offered_load(s.queue.rate, s.queue.service), s.queue.servers

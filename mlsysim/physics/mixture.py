"""Requests of several kinds on instances of one kind.

An instance divides its time among the kinds of requests that it gets: a request takes ``1 / rate``
of an instance's time, with the rate at which an instance completes requests of its kind alone
(Griggs 2024). While an instance works at one kind it is the replica of
:mod:`mlsysim.physics.serving`; its queue is that of :mod:`mlsysim.physics.queueing`.
"""

from __future__ import annotations

import numpy as np

from mlsysim.physics import queueing
from mlsysim.physics.queueing import Station
from mlsysim.physics.tails import crossing
from mlsysim.physics.types import Array


def instances_busy(rate: Array, time: Array) -> Array:
    """Return how many instances kinds of requests keep busy, one number a kind (Little 1961).

    Args:
        rate: requests of each kind [1/s].
        time: that a request takes of an instance [s].
    """
    return queueing.offered_load(rate, time)


def station(
    rate: Array, time: Array, spread: Array, instances: Array, places: Array, arrival_cv: Array
) -> Station:
    """Return the queue before instances that get several kinds of requests.

    A request holds one of ``places`` on its instance, for ``places`` times its share of the time;
    second moments of the kinds add up.

    Args:
        rate: requests of each kind [1/s], kinds along the last axis.
        time: that a request takes of an instance [s].
        spread: coefficient of variation of that time within a kind.
        instances: that there are.
        places: requests that an instance runs at once, of the kind of which it runs fewest.
        arrival_cv: of the time between arrivals.
    """
    total = np.sum(rate, axis=-1)
    mean = np.sum(rate * time, axis=-1) / total
    square = np.sum(rate * time * time * (1.0 + spread * spread), axis=-1) / total
    cv = np.sqrt(np.maximum(square / (mean * mean) - 1.0, 0.0))
    return Station(total, instances * places, places * mean, arrival_cv, cv)


def residual(time: Array, spread: Array) -> Array:
    """Return ``E[S^2] / E[S]`` of a kind, to which waiting is in proportion [s].

    Of several kinds it is a weighted mean of theirs, so never above the largest
    (Kleinrock 1975).
    """
    return time * (1.0 + spread * spread)


def most_work(
    instances: Array,
    places: Array,
    longest: Array,
    allowance: Array,
    arrival_cv: Array,
    percentile: Array,
) -> Array:
    """Return how many instances may be busy so that a percentile waits no longer than allowed.

    For any requests whose :func:`residual` is at most ``longest``, however they vary: see
    :func:`mlsysim.physics.queueing.longest_tail`.

    Args:
        instances: that there are; 0 allows nothing.
        places: requests that an instance runs at once.
        longest: largest residual of a kind [s].
        allowance: longest wait at the percentile [s].
        arrival_cv: of the time between arrivals.
        percentile: of the requests.
    """
    count, held, far, within = np.broadcast_arrays(
        *(np.asarray(x, dtype=float) for x in (instances, places, longest, allowance))
    )
    some = np.maximum(count, 1.0)
    # with arrivals steadier than chance a shorter service can wait longer
    bursts = np.maximum(arrival_cv, 1.0)
    servers, service = some * held, held * far
    slow = 1.0 - np.asarray(percentile, dtype=float)

    def late(spare: Array) -> Array:
        """The share of requests that wait too long, by the share of time in which an instance is idle."""
        rate = queueing.rate_at(queueing.STABLE - spare, servers, service)
        return queueing.longest_tail(Station(rate, servers, service, bursts, 0.0), within)

    # nobody waits for an idle instance, so the share falls from a full one on to none
    busy = queueing.STABLE - crossing(late, slow, np.full(count.shape, queueing.STABLE))
    return np.where((count > 0.0) & (within >= 0.0), busy * count, 0.0)


def move_share(rate: Array, moved: Array, instances: Array) -> Array:
    """Return the share of time that the links of instances carry KV cache, one number for all kinds.

    Args:
        rate: requests of each kind [1/s], kinds along the last axis.
        moved: time that an instance's links take for a request's cache [s].
        instances: that there are.
    """
    return np.sum(rate * moved, axis=-1) / instances

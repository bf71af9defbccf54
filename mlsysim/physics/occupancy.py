"""Places of a batch as servers of a queue: how many there are, and for how long a request takes one.

A replica that works on a batch of answers at once is as many servers as the batch has places. They slow each
other down, so that one of few is faster than one of many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlsysim.physics import queueing, serving
from mlsysim.physics.serving import Service
from mlsysim.physics.types import Array


def replicas(s: Service, accelerators: Array, tp: Array) -> Array:
    """Return how many replicas there are of ``tp`` accelerators an instance."""
    return accelerators / (tp * s.instances)


def place_time(s: Service) -> Array:
    """Return the mean time for which a request takes a place of a full batch [s].

    That is its answer, or longer where prefill cannot keep up and a place waits for its turn: by
    Little's law no less than places over rate.
    """
    return np.maximum(serving.response_time(s, s.output), s.places / s.rate)


# Shares of a full batch at which it is looked how much faster a smaller one is.
SHARES = (0.0, 0.25, 0.5)


def alone(full: Service, smaller: Sequence[Service]) -> Array:
    """Return the time for which a request would take a place with no other running [s].

    Of the straight lines from a full batch back to smaller ones the one that falls least, so that no
    batch is taken to be faster than it is.
    """
    whole, falls = place_time(full), []
    for s in smaller:
        left = 1.0 - s.places / full.places
        some = left > 0.0
        falls.append(np.where(some, (whole - place_time(s)) / np.where(some, left, 1.0), 0.0))
    least = np.minimum.reduce(np.broadcast_arrays(*falls))
    return whole - np.clip(least, 0.0, whole * (1.0 - 1e-3))


def readers(s: Service, q: queueing.Station) -> queueing.Station:
    """Return the queue of prompts before what reads them, one after another: of the average replica.

    Places and rate are those of the whole service; prompts vary far less than answers, and are equal
    here. A replica never completes more than it reads.
    """
    return queueing.Station(
        q.rate * s.places / q.servers,
        s.readers,
        np.minimum(s.ttft, s.readers / s.rate),
        q.arrival_cv,
        0.0,
        queueing.part_percentile(q.percentile, q.fanout),
    )


def first_token_quantile(s: Service, q: queueing.Station) -> Array:
    """Return the time from arrival to first token that the station's percentile does not exceed [s].

    The wait for a place, in it the wait for prompts that are being read, and the prefill; as if both
    waits were long at once, which they seldom are.
    """
    prompts = readers(s, q)
    waits = queueing.wait_quantile(q, prompts.percentile) + queueing.wait_quantile(
        prompts, prompts.percentile
    )
    return waits + s.ttft

"""Training data on its way to the accelerators: reading it, and preparing it on processors.

Reading, preparing and computing overlap, batch by batch, so the slowest of them sets the pace
(Mohan 2021; Murray 2021). Sizes in byte, times in s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Ingest:
    """Reading, as the walls see it; numbers, or tables of a formulation.

    Attributes:
        size: read from storage per step, over the whole fleet [byte].
        bandwidth: at which storage gives it to the whole fleet [byte/s].
    """

    size: Array
    bandwidth: Array


@dataclass(frozen=True)
class Transform:
    """Preparing, as the walls see it; numbers, or tables of a formulation.

    Attributes:
        work: processor time per step, over the whole fleet: decode, tokenize, augment [s].
        cores: of the whole fleet, for this work [1].
    """

    work: Array
    cores: Array


def read_bytes(samples: Array, sample_bytes: Array, cached: Array = 0.0) -> Array:
    """Return what a step reads from storage [byte].

    Args:
        samples: of a step.
        sample_bytes: of one, as it is stored.
        cached: share of the data set that memory holds from one epoch to the next. Each epoch reads
            every sample once, so a cache that keeps what it has serves that share (Mohan 2021,
            section 4.1); one that evicts what was used longest ago serves less.
    """
    return samples * sample_bytes * (1.0 - cached)


def local_bandwidth(drive: Array, drives: Array, nodes: Array) -> Array:
    """Return at what rate a fleet reads shards from the drives inside its own servers [byte/s].

    Args:
        drive: bandwidth of one drive.
        drives: in one server.
        nodes: servers.
    """
    return drive * drives * nodes


def file_system_bandwidth(rate: Array, capacity: Array, link: Array, nodes: Array) -> Array:
    """Return at what rate a fleet reads from a parallel file system [byte/s].

    Its servers work side by side, so its rate grows with its size until the clients' links are
    full.

    Args:
        rate: bandwidth of each byte of its capacity [1/s].
        capacity: of the file system [byte].
        link: bandwidth of one server's link to storage.
        nodes: servers.
    """
    return np.minimum(rate * capacity, link * nodes)


def object_store_bandwidth(stream: Array, streams: Array, link: Array, nodes: Array) -> Array:
    """Return at what rate a fleet reads shards from an object store [byte/s].

    The store grows with its load; a request has a rate of its own, so a server keeps many under
    way until its link is full.

    Args:
        stream: bandwidth of one request.
        streams: requests that one server keeps under way.
        link: bandwidth of one server's link to storage.
        nodes: servers.
    """
    return np.minimum(stream * streams, link) * nodes


def processor_time(samples: Array, sample_time: Array) -> Array:
    """Return the processor time that preparing a step takes [s].

    Args:
        samples: of a step (or tokens).
        sample_time: of one core, for one [s].
    """
    return samples * sample_time


def cores_needed(work: Array, time: Array) -> Array:
    """Return how many cores prepare a step in the time of a step [1]."""
    return work / time


def paced_time(time: Array, ingest: Ingest, transform: Transform) -> Array:
    """Return the time of a step that waits for its data [s].

    The slowest of computing, reading and preparing (Mohan 2021, section 3).

    Args:
        time: of the step when data is always there [s].
        ingest: reading.
        transform: preparing.
    """
    return np.maximum(np.maximum(time, ingest.size / ingest.bandwidth), transform.work / transform.cores)


def stall_share(time: Array, ingest: Ingest, transform: Transform) -> Array:
    """Return the share of its time that a step waits for data [1]."""
    return 1.0 - time / paced_time(time, ingest, transform)

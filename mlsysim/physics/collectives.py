"""Time of collectives by the alpha-beta model.

``alpha`` is the latency of a hop, ``beta`` the reciprocal of the achieved bandwidth per
accelerator and direction. Ring costs after Patarasuk and Yuan 2009: an all-gather or
reduce-scatter over ``n`` ranks moves ``(n-1)/n`` of the result through each rank in ``n-1`` hops,
an all-reduce is one of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Tier:
    """One level of the network.

    Attributes:
        bandwidth: achieved, per accelerator and direction [byte/s].
        latency: of one hop [s].
    """

    bandwidth: float
    latency: float


@dataclass(frozen=True)
class Network:
    """A scale-up domain of ``domain`` accelerators, joined by a scale-out network."""

    up: Tier
    out: Tier
    domain: float


def gather_time(size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the time of a ring all-gather or reduce-scatter whose whole is ``size`` bytes [s]."""
    return (ranks - 1.0) * (size / (ranks * tier.bandwidth) + tier.latency)


def all_reduce_time(size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the time of a ring all-reduce of ``size`` bytes [s]."""
    return 2.0 * gather_time(size, ranks, tier)


def all_to_all_time(size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the time in which each rank sends ``size`` bytes, spread evenly over all ranks [s]."""
    return (ranks - 1.0) * (size / (ranks * tier.bandwidth) + tier.latency)


def send_time(size: Array, tier: Tier) -> Array:
    """Return the time to send ``size`` bytes to one neighbour [s]."""
    return size / tier.bandwidth + tier.latency


def by_extent(extent: Array, network: Network, up: Array, out: Array) -> Array:
    """Return ``up`` where a group of ranks that spans ``extent`` fits the domain, else ``out``."""
    return np.where(np.asarray(extent) <= network.domain, up, out)


def local_ranks(ranks: Array, stride: Array, network: Network) -> Array:
    """Return how many ranks of a strided group share a scale-up domain.

    Ranks ``stride`` apart; only whole, equal shares count.
    """
    slots = np.maximum(np.floor_divide(network.domain, stride), 1.0)
    whole = np.where(np.mod(network.domain, stride) == 0, slots, 1.0)
    return np.gcd(np.asarray(ranks, dtype=np.int64), np.asarray(whole, dtype=np.int64)).astype(float)


def hierarchical_gather_time(size: Array, ranks: Array, stride: Array, network: Network) -> Array:
    """Return the best time of an all-gather or reduce-scatter over a strided group [s].

    Either one ring over the slowest tier that it crosses, or two levels: within the domain on the
    whole, across domains on each rank's share (Cho 2019, BlueConnect).
    """
    local = local_ranks(ranks, stride, network)
    across = ranks / local
    two_level = gather_time(size, local, network.up) + gather_time(size / local, across, network.out)
    flat = by_extent(
        ranks * stride, network, gather_time(size, ranks, network.up), gather_time(size, ranks, network.out)
    )
    return np.minimum(flat, two_level)

"""Time of collectives by the alpha-beta model.

``alpha`` is the latency of a hop, ``beta`` the reciprocal of the achieved bandwidth per
accelerator and direction, ``n`` the ranks and ``L = ceil(log2 n)``. Each collective has the
algorithms that libraries choose from, and a function that takes the best of them:

- rings, optimal for large messages: an all-gather or reduce-scatter moves ``(n-1)/n`` of the whole
  through each rank in ``n-1`` hops, an all-reduce is one of each (Patarasuk and Yuan 2009);
- recursive doubling, the fewest hops for small messages (Thakur 2005, section 4);
- two binary trees, each rank inner in one and a leaf of the other: few hops at full bandwidth
  (Sanders 2009);
- each rank reads the whole of all others and adds up by itself: one start and no hop, for the small
  messages of inference where memories are open to each other (TensorRT-LLM, vLLM: one-shot);
- two levels, inside the scale-up domain and across domains (Cho 2019, BlueConnect).

Libraries send in one of two ways, whichever is faster: eagerly, where each word carries a flag and so
takes a part of the bandwidth, or in bulk, where each hop waits for memory to be ordered (NCCL,
``tuning.cc``: the protocols LL and Simple).

Links are full duplex, ranks do not contend, reducing costs no time. Sizes in byte, times in s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from mlsysim.physics.types import Array

# Largest all-gather that MPICH sends by recursive doubling, on all powers of two (Thakur 2005,
# section 4): its pattern has no neighbours, so that longer messages contend [byte].
SHORT = 512.0 * 1024.0


@dataclass(frozen=True)
class Tier:
    """One level of the network.

    Attributes:
        bandwidth: achieved, per accelerator and direction [byte/s].
        latency: of one hop [s].
        bulk_latency: of one hop at full bandwidth [s]; 0 where that is ``latency``.
        eager_share: of the bandwidth, what messages reach whose hops take ``latency``; read where bulk
            has a latency of its own.
        start: of a collective, before its first hop [s].
        peer_start: of an all-reduce in which ranks read each other's memory [s]; 0 where none is offered.
    """

    bandwidth: float
    latency: float
    bulk_latency: float = 0.0
    eager_share: float = 1.0
    start: float = 0.0
    peer_start: float = 0.0


@dataclass(frozen=True)
class Network:
    """A scale-up domain of ``domain`` accelerators, joined by a scale-out network."""

    up: Tier
    out: Tier
    domain: float


@dataclass(frozen=True)
class Load:
    """What one accelerator sends over one tier in a step, as the walls see it.

    Attributes:
        tier: its name.
        size: sent per step; a number or a table [byte].
        bandwidth: achieved, per direction [byte/s].
    """

    tier: str
    size: Array
    bandwidth: float


def protocols(tier: Tier) -> tuple[Tier, ...]:
    """Return the ways to send over a tier, each as a tier of one latency and one bandwidth."""
    if not tier.bulk_latency:
        return (Tier(tier.bandwidth, tier.latency),)
    return (
        Tier(tier.bandwidth * tier.eager_share, tier.latency),
        Tier(tier.bandwidth, tier.bulk_latency),
    )


def _best(of: Callable[..., Array], size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the time of a collective by the better protocol, its start included [s]."""
    time = reduce(np.minimum, (of(size, ranks, way) for way in protocols(tier)))
    return time + np.where(np.asarray(ranks) > 1, tier.start, 0.0) if tier.start else time


def rounds(ranks: Array) -> Array:
    """Return in how many rounds of doubling a message reaches all ranks: ``ceil(log2 n)``."""
    return np.ceil(np.log2(ranks))


def gather_bytes(size: Array, ranks: Array) -> Array:
    """Return what a rank sends in an all-gather or reduce-scatter of ``size`` bytes [byte].

    No algorithm sends less on every rank (Patarasuk 2009, section 3). The same in an all-to-all
    where each rank has ``size`` bytes for all ranks together.
    """
    return size * ((ranks - 1.0) / ranks)


def all_reduce_bytes(size: Array, ranks: Array) -> Array:
    """Return what a rank sends in a bandwidth-optimal all-reduce of ``size`` bytes [byte]."""
    return 2.0 * gather_bytes(size, ranks)


def ring_gather_time(size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the time of a ring all-gather or reduce-scatter whose whole is ``size`` bytes [s]."""
    return (ranks - 1.0) * (size / (ranks * tier.bandwidth) + tier.latency)


def recursive_gather_time(size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the time of an all-gather by doubling or a reduce-scatter by halving [s].

    ``L alpha + (n-1)/n size beta`` (Thakur 2005, section 4).
    """
    return rounds(ranks) * tier.latency + (ranks - 1.0) * (size / (ranks * tier.bandwidth))


def gather_time(size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the best time of an all-gather or reduce-scatter whose whole is ``size`` bytes [s].

    By recursive doubling up to :data:`SHORT` bytes, round the ring beyond.
    """
    return _best(_gather_time, size, ranks, tier)


def _gather_time(size: Array, ranks: Array, tier: Tier) -> Array:
    ring = ring_gather_time(size, ranks, tier)
    doubling = np.minimum(ring, recursive_gather_time(size, ranks, tier))
    return np.where(np.asarray(size) <= SHORT, doubling, ring)


def ring_all_reduce_time(size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the time of a ring all-reduce of ``size`` bytes [s]."""
    return 2.0 * ring_gather_time(size, ranks, tier)


def recursive_all_reduce_time(size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the time of an all-reduce that exchanges the whole in each round [s].

    ``L (alpha + size beta)`` (Thakur 2005, section 4).
    """
    return rounds(ranks) * (tier.latency + size / tier.bandwidth)


def tree_all_reduce_time(size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the time of an all-reduce up and down two binary trees [s].

    Half of the data goes through each tree; a rank sends ``2 size`` in all, as an inner rank of
    one tree and a leaf of the other (Sanders 2009). Cut into ``k`` pieces, it takes
    ``(k + 2L - 1)(alpha + 2 size beta / k)``; here ``k`` is the best, and at least 1.
    """
    hops = np.maximum(2.0 * rounds(ranks) - 1.0, 0.0)
    bulk = 2.0 * (size / tier.bandwidth)
    wait = hops * tier.latency
    whole = (hops + 1.0) * (tier.latency + bulk)
    pieces = bulk + wait + 2.0 * np.sqrt(bulk * wait)
    time = np.where(hops * bulk >= tier.latency, pieces, whole)
    return np.where(np.asarray(ranks) > 1, time, 0.0 * time)


def all_reduce_time(size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the best time of an all-reduce of ``size`` bytes within one tier [s]."""
    time = _best(_all_reduce_time, size, ranks, tier)
    return np.minimum(time, one_shot_time(size, ranks, tier)) if tier.peer_start else time


def one_shot_time(size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the time of an all-reduce in which each rank reads ``size`` bytes of every other [s].

    ``alpha + (n-1) size beta``: more than a ring moves from three ranks on, but all at once (NVIDIA,
    TensorRT-LLM, customAllReduceKernels; vLLM, custom_all_reduce).
    """
    others = ranks - 1.0
    return np.where(np.asarray(ranks) > 1, tier.peer_start, 0.0) + others * size / tier.bandwidth


def _all_reduce_time(size: Array, ranks: Array, tier: Tier) -> Array:
    return np.minimum(
        np.minimum(ring_all_reduce_time(size, ranks, tier), tree_all_reduce_time(size, ranks, tier)),
        recursive_all_reduce_time(size, ranks, tier),
    )


def pairwise_all_to_all_time(size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the time of an all-to-all that sends straight to each peer in turn [s].

    ``(n-1)(alpha + size beta / n)`` (Thakur 2005, section 4).
    """
    return (ranks - 1.0) * (size / (ranks * tier.bandwidth) + tier.latency)


def recursive_all_to_all_time(size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the time of an all-to-all in which half of the data is passed on in each round [s].

    ``L (alpha + size beta / 2)`` (Bruck 1997; Thakur 2005, section 4).
    """
    return rounds(ranks) * (tier.latency + size / (2.0 * tier.bandwidth))


def all_to_all_time(size: Array, ranks: Array, tier: Tier) -> Array:
    """Return the best time in which each rank sends ``size`` bytes, spread evenly over all [s]."""
    return _best(_all_to_all_time, size, ranks, tier)


def _all_to_all_time(size: Array, ranks: Array, tier: Tier) -> Array:
    return np.minimum(
        pairwise_all_to_all_time(size, ranks, tier), recursive_all_to_all_time(size, ranks, tier)
    )


def send_time(size: Array, tier: Tier) -> Array:
    """Return the time to send ``size`` bytes to one neighbour [s]."""
    ways = (size / way.bandwidth + way.latency for way in protocols(tier))
    return reduce(np.minimum, ways)


def segment(domain: float) -> float:
    """Return the block of a scale-up domain that schedulers hand out: the largest power of two in it.

    Groups of ranks come in powers of two, so a job on racks of 72 takes 64 of each, and leaves 8 to
    others: segments of 16 servers of 4 in Slurm (CoreWeave, Topology/Block Scheduling).
    """
    return float(2.0 ** np.floor(np.log2(np.maximum(domain, 1.0))))


def by_extent(extent: Array, network: Network, up: Array, out: Array) -> Array:
    """Return ``up`` where every group of ranks that spans ``extent`` lies in a domain, else ``out``.

    Groups lie end to end, in whole domains or in segments of them, so an extent that divides neither
    straddles two.
    """
    extent = np.asarray(extent)
    fits = (np.mod(network.domain, extent) == 0) | (np.mod(segment(network.domain), extent) == 0)
    return np.where((extent <= network.domain) & fits, up, out)


def local_ranks(ranks: Array, stride: Array, network: Network) -> Array:
    """Return how many ranks of a strided group share a scale-up domain.

    Ranks ``stride`` apart; only whole, equal shares count, of whole domains or of segments of them.
    """

    def of(slots: float) -> Array:
        fit = np.maximum(np.floor_divide(slots, stride), 1.0)
        whole = np.where(np.mod(slots, stride) == 0, fit, 1.0)
        return np.gcd(np.asarray(ranks, dtype=np.int64), np.asarray(whole, dtype=np.int64)).astype(float)

    return np.maximum(of(network.domain), of(segment(network.domain)))


def hierarchical_gather_time(size: Array, ranks: Array, stride: Array, network: Network) -> Array:
    """Return the best time of an all-gather or reduce-scatter over a strided group [s].

    Either flat over the slowest tier that it crosses, or two levels: within the domain on the
    whole, across domains on each rank's share (Cho 2019, BlueConnect).
    """
    local = local_ranks(ranks, stride, network)
    across = ranks / local
    two_level = gather_time(size, local, network.up) + gather_time(size / local, across, network.out)
    flat = by_extent(
        ranks * stride, network, gather_time(size, ranks, network.up), gather_time(size, ranks, network.out)
    )
    return np.minimum(flat, two_level)


def hierarchical_all_reduce_time(size: Array, ranks: Array, stride: Array, network: Network) -> Array:
    """Return the best time of an all-reduce over a strided group [s].

    Either flat over the slowest tier that it crosses, or scattered within the domain, reduced
    across domains on each rank's share, and gathered within the domain (Cho 2019).
    """
    local = local_ranks(ranks, stride, network)
    across = ranks / local
    two_level = 2.0 * gather_time(size, local, network.up) + all_reduce_time(
        size / local, across, network.out
    )
    flat = by_extent(
        ranks * stride,
        network,
        all_reduce_time(size, ranks, network.up),
        all_reduce_time(size, ranks, network.out),
    )
    return np.minimum(flat, two_level)


def hierarchical_all_to_all_time(size: Array, ranks: Array, stride: Array, network: Network) -> Array:
    """Return the best time of an all-to-all over a strided group [s].

    Either straight to each peer, on both tiers at once; or in two levels: collected within the
    domain for the ranks that take it on, then sent across domains (Rajbhandari 2022).
    """
    local = local_ranks(ranks, stride, network)
    across = ranks / local
    part = size / ranks
    inside = (local - 1.0) * send_time(part, network.up)
    outside = (ranks - local) * send_time(part, network.out)
    straight = np.maximum(inside, outside) + np.where(np.asarray(ranks) > 1, network.out.start, 0.0)
    two_level = all_to_all_time(size, local, network.up) + all_to_all_time(size, across, network.out)
    whole = by_extent(ranks * stride, network, all_to_all_time(size, ranks, network.up), straight)
    return np.minimum(whole, two_level)

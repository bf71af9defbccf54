"""What a network's shape lets through, and how far apart its nodes are.

The bisection bandwidth is the least that joins two halves of the nodes, here in one direction
[byte/s]; Dally and Towles 2003, chapter 3, count both. ``link`` is the bandwidth of one link in
one direction. Indirect networks (fat tree, dragonfly, domain of a switch) attach each node by one
link, and their hops count it; the nodes of a direct network (torus) are its routers. Hops are the
mean over all pairs, a node with itself included, as there. Links are full duplex and
routes shortest; no traffic is lost to a bad spread over equal paths.

A single node has no halves: its bisection is infinite, its distances are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from mlsysim.physics.types import Array

KINDS = ("fat_tree", "rail_optimized", "dragonfly", "ring", "torus_2d", "torus_3d", "switch")


@dataclass(frozen=True)
class Shape:
    """A network of some nodes.

    Attributes:
        bisection: bandwidth between its halves, in one direction [byte/s].
        diameter: links on the shortest path between the two nodes farthest apart.
        hops: links on the shortest path between two nodes, on average.
    """

    bisection: Array
    diameter: Array
    hops: Array


@dataclass(frozen=True)
class Cut:
    """Traffic of a step through the middle of the network, as the walls see it.

    Attributes:
        crossing: sent from one half to the other, the busier direction; a number or a table [byte].
        bandwidth: of the bisection, in the same direction [byte/s].
    """

    crossing: Array
    bandwidth: Array


def _split(nodes: Array, links: Array, link: Array) -> Array:
    """Return the bandwidth of ``links`` across the middle where there is something to split."""
    return np.where(np.asarray(nodes) > 1, links, np.inf) * link


def torus_of(sides: Sequence[Array], link: Array) -> Shape:
    """Return a torus with ``sides`` nodes along its dimensions; one side is a ring.

    The cut is across the longest side: two links a row, in one direction each
    ``2 N / k`` (Dally and Towles 2003, section 5.2), one where ``k`` is 2. Hops along a side are
    ``k/4``, or ``k/4 - 1/(4k)`` for odd ``k``. A longest side of odd length leaves halves that
    differ by one layer.
    """
    nodes = reduce(np.multiply, sides)
    longest = reduce(np.maximum, sides)
    row = np.where(np.asarray(longest) > 2, 2.0, 1.0)
    odd = [np.where(np.mod(side, 2) == 1, 1.0, 0.0) for side in sides]
    return Shape(
        bisection=_split(nodes, row * (nodes / longest), link),
        diameter=reduce(np.add, [np.floor(np.asarray(side) / 2.0) for side in sides]),
        hops=reduce(np.add, [side / 4.0 - o / (4.0 * side) for side, o in zip(sides, odd, strict=True)]),
    )


def torus(nodes: Array, link: Array, dimensions: int) -> Shape:
    """Return a torus of ``nodes`` as near to equal sides as whole sides allow.

    The first side is the divisor of ``nodes`` next above its root, and so on; a prime is a ring.
    """
    count = np.asarray(nodes)
    flat = [_sides(int(n), dimensions) for n in count.reshape(-1)]
    sides = [np.reshape([s[d] for s in flat], count.shape) for d in range(dimensions)]
    return torus_of(sides, link)


def _sides(nodes: int, dimensions: int) -> list[float]:
    """Return whole sides, largest first, whose product is ``nodes``."""
    if dimensions == 1:
        return [float(nodes)]
    layer = int(nodes ** (1.0 - 1.0 / dimensions) + 1e-6)  # nodes across the longest side, at most
    rest = next(n for n in range(layer, 0, -1) if nodes % n == 0)
    return [float(nodes // rest), *_sides(rest, dimensions - 1)]


def ring(nodes: Array, link: Array) -> Shape:
    """Return a ring: a torus of one dimension, two links across its middle."""
    return torus_of([np.asarray(nodes, dtype=float)], link)


def switch(nodes: Array, link: Array) -> Shape:
    """Return nodes on one layer of switches that never block, e.g. an NVLink domain of 72."""
    n = np.asarray(nodes, dtype=float)
    return Shape(
        bisection=_split(n, np.floor(n / 2.0), link),
        diameter=np.where(n > 1, 2.0, 0.0),
        hops=2.0 * (1.0 - 1.0 / n),
    )


def fat_tree(
    nodes: Array, link: Array, *, oversubscription: Array = 1.0, pod: Array = 1.0, radix: Array = 64.0
) -> Shape:
    """Return a folded Clos network of switches with ``radix`` ports, 4 or more.

    Every level carries all of the traffic below it (Leiserson 1985), so half of the nodes can send
    to the other half at full rate; divided by the ``oversubscription`` of the links above a
    ``pod`` where the nodes fill more than one. ``l`` levels hold ``2 (radix/2)^l`` nodes (Al-Fares 2008);
    distances are those of the tree without oversubscription.
    """
    n, half = np.asarray(nodes, dtype=float), np.asarray(radix, dtype=float) / 2.0
    share = np.where(n > pod, 1.0 / oversubscription, 1.0)
    # a level that is needed adds a link up and one down for the pairs that do not meet below it
    diameter = np.where(n > 1, 2.0, 0.0)
    hops = 2.0 * (1.0 - 1.0 / n)
    below = half + 0.0 * n  # nodes below one switch of the level
    while np.any(needed := n > 2.0 * below):
        diameter = diameter + np.where(needed, 2.0, 0.0)
        hops = hops + np.where(needed, 2.0 * (1.0 - below / n), 0.0)
        below = below * half
    return Shape(_split(n, np.floor(n / 2.0) * share, link), diameter, hops)


def rail_optimized(
    nodes: Array, link: Array, *, domain: Array, oversubscription: Array = 1.0, radix: Array = 64.0
) -> Shape:
    """Return ``nodes`` accelerators whose k-th links in each scale-up domain meet on rail k.

    Each rail is a fat tree over the domains; between rails, traffic first crosses the switch of a
    domain, two links more (Wang 2023). The bisection is that of whole domains on either side,
    infinite where there is one domain.
    """
    n = np.asarray(nodes, dtype=float)
    inside = np.minimum(domain, n)
    rail = fat_tree(n / inside, link, oversubscription=oversubscription, radix=radix)
    within = switch(inside, link)
    return Shape(
        bisection=inside * rail.bisection,
        diameter=rail.diameter + within.diameter,
        hops=rail.hops + within.hops,
    )


def dragonfly(
    nodes: Array, link: Array, *, routers: Array = 32.0, hosts: Array = 16.0, channels: Array = 16.0
) -> Shape:
    """Return a dragonfly with ``a`` routers a group, ``p`` hosts and ``h`` global channels a router.

    Routers of a group are all joined, groups are joined by ``a h`` channels each, spread evenly over
    the others; the most nodes are ``a p (a h + 1)``, and ``a = 2p = 2h`` balances them (Kim 2008,
    section 3.1). The default is balanced for switches of 64 ports. The bisection is that of whole
    groups on either side, or of a group's routers where there is one group.
    """
    n = np.asarray(nodes, dtype=float)
    used = np.minimum(np.ceil(n / hosts), routers)  # routers of a group that are there
    groups = np.maximum(np.ceil(n / (np.asarray(routers) * hosts)), 1.0)
    others = np.maximum(groups - 1.0, 1.0)
    across = np.floor(groups * groups / 4.0) * (routers * channels / others)
    local = np.where(used > 1, np.floor(used * used / 4.0), np.inf)
    least = np.minimum(np.where(groups > 1, across, local), np.floor(n / 2.0))
    # to another group: a local hop on either side unless the router has the channel itself
    far = np.where(groups > 1, 1.0 + 2.0 * (used - 1.0) / used, 0.0)
    near = (used - 1.0) / used
    return Shape(
        bisection=_split(n, least, link),
        diameter=np.where(n > 1, 2.0, 0.0) + np.where(groups > 1, 3.0, np.where(used > 1, 1.0, 0.0)),
        hops=2.0 * (1.0 - 1.0 / n) + (1.0 - 1.0 / groups) * far + near / groups,
    )


def shape(
    kind: str,
    nodes: Array,
    link: Array,
    *,
    domain: Array = 1.0,
    oversubscription: Array = 1.0,
    pod: Array = 1.0,
) -> Shape:
    """Return a network by the name of its kind, one of :data:`KINDS`.

    ``domain`` matters to ``rail_optimized``, ``oversubscription`` to it and to ``fat_tree``, ``pod``
    to ``fat_tree``.

    Raises:
        ValueError: no such kind.
    """
    if kind == "fat_tree":
        return fat_tree(nodes, link, oversubscription=oversubscription, pod=pod)
    if kind == "rail_optimized":
        return rail_optimized(nodes, link, domain=domain, oversubscription=oversubscription)
    if kind == "dragonfly":
        return dragonfly(nodes, link)
    if kind == "switch":
        return switch(nodes, link)
    if kind in ("ring", "torus_2d", "torus_3d"):
        return torus(nodes, link, {"ring": 1, "torus_2d": 2, "torus_3d": 3}[kind])
    raise ValueError(f"no network {kind!r}; there are {', '.join(KINDS)}")


def uniform_rate(shape: Shape, nodes: Array) -> Array:
    """Return the most that each node can send to uniformly random others [byte/s].

    Half of what the nodes of a half send crosses the bisection (Dally and Towles 2003,
    section 3.2).
    """
    return shape.bisection * (4.0 / np.asarray(nodes, dtype=float))


def group_crossing(size: Array, ranks: Array, groups: Array) -> Array:
    """Return what rings of all-gather or reduce-scatter send across the middle [byte].

    Each of ``groups`` rings lies half on either side, so one of its links leads across in each
    direction and carries ``(n-1)/n`` of the whole. An all-reduce sends it twice.
    """
    return groups * size * ((ranks - 1.0) / ranks)


def exchange_crossing(size: Array, ranks: Array, groups: Array) -> Array:
    """Return what all-to-alls send across the middle, half of each group on either side [byte].

    Half of the ranks send half of their ``size`` bytes across.
    """
    return groups * ranks * size / 4.0


def stage_crossings(pp: Array, interleave: Array) -> Array:
    """Return how often a microbatch passes the middle of a pipeline, in one direction.

    With ``v`` chunks a stage activations pass it ``v`` times onwards and come round ``v - 1``
    times; gradients go the other way, so each direction sees ``2v - 1``. Without stages none.
    """
    return np.where(np.asarray(pp) > 1, 2.0 * interleave - 1.0, 0.0)

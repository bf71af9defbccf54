"""Networks against textbook figures."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.core.units import ureg
from mlsysim.physics import topology as net

KINDS = tuple(net.KINDS)


@pytest.mark.parametrize(("k", "n"), [(4, 1), (8, 2), (4, 3), (16, 3), (8, 3)])
def test_torus_of_dally_and_towles(k: int, n: int) -> None:
    # section 5.2: both directions count 4 N / k channels; H = n k / 4; at most 8 b / k a node
    shape = net.torus_of([float(k)] * n, 1.0)
    nodes = k**n
    assert 2 * shape.bisection == 4 * nodes / k
    assert shape.hops == n * k / 4
    assert shape.diameter == n * k / 2
    assert net.uniform_rate(shape, nodes) == 8 / k


@pytest.mark.parametrize(("k", "n"), [(3, 2), (5, 1), (7, 3)])
def test_torus_with_odd_sides(k: int, n: int) -> None:
    shape = net.torus_of([float(k)] * n, 1.0)
    assert shape.hops == pytest.approx(n * (k / 4 - 1 / (4 * k)))
    assert shape.diameter == n * (k // 2)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_torus_of_two_a_side_is_the_hypercube(n: int) -> None:
    shape = net.torus_of([2.0] * n, 1.0)
    assert shape.bisection == 2**n / 2
    assert (shape.diameter, shape.hops) == (n, n / 2)


@pytest.mark.parametrize("sides", [(4, 3), (5, 2, 3), (7,), (4, 4), (2, 2)])
def test_distances_are_those_of_the_graph(sides: tuple[int, ...]) -> None:
    spots = list(itertools.product(*(range(k) for k in sides)))
    distances = [
        sum(min((a - b) % k, (b - a) % k) for a, b, k in zip(p, q, sides, strict=True))
        for p in spots
        for q in spots
    ]
    shape = net.torus_of([float(k) for k in sides], 1.0)
    assert shape.hops == pytest.approx(sum(distances) / len(distances))
    assert shape.diameter == max(distances)


def test_whole_sides_of_a_torus() -> None:
    # a full TPU v5p pod is 16 x 20 x 28 chips (Google Cloud), its v4 predecessor 16 x 16 x 16
    assert net.torus(8960, 1.0, 3) == net.torus_of([28.0, 20.0, 16.0], 1.0)
    assert net.torus(4096, 1.0, 3) == net.torus_of([16.0, 16.0, 16.0], 1.0)
    assert net.torus(256, 1.0, 2) == net.torus_of([16.0, 16.0], 1.0)
    assert net.torus(7, 1.0, 2).bisection == net.ring(7, 1.0).bisection == 2.0
    assert net.torus(np.array([[16, 64]]), 1.0, 2).bisection.tolist() == [[8.0, 16.0]]


def test_fat_tree_of_al_fares() -> None:
    # k-port switches in three levels hold k^3 / 4 hosts: 27,648 with 48 ports
    full = net.fat_tree(48**3 / 4, 1.0, radix=48.0)
    assert full.bisection == 27_648 / 2
    assert full.diameter == 6.0
    assert net.fat_tree(48**3 / 4 + 1, 1.0, radix=48.0).diameter == 8.0
    # four ports: 16 hosts in pods of 4 on leaves of 2; by hand 2 (15/16) + 2 (14/16) + 2 (12/16)
    assert net.fat_tree(16.0, 1.0, radix=4.0).hops == pytest.approx(2 * (15 + 14 + 12) / 16)


def test_fat_tree_of_one_switch() -> None:
    star, tree = net.switch(64.0, 3.0), net.fat_tree(64.0, 3.0)
    assert (star.bisection, star.diameter) == (tree.bisection, tree.diameter) == (96.0, 2.0)
    assert star.hops == tree.hops == 2 * 63 / 64


def test_oversubscribed_pods_of_llama_3() -> None:
    # Dubey 2024, section 3.3.1: 24,576 GPUs at 400 Gbit/s in pods of 3,072, 1:7 above them
    link = 50e9
    whole = net.fat_tree(24_576.0, link, oversubscription=7.0, pod=3072.0)
    assert whole.bisection == pytest.approx(12_288 * link / 7)
    pod = net.fat_tree(3072.0, link, oversubscription=7.0, pod=3072.0)
    assert pod.bisection == 1536 * link


def test_nvlink_domain_of_72() -> None:
    # NVIDIA: 130 TB/s in all, 1.8 TB/s each, both directions counted
    shape = net.switch(72.0, 900e9)
    assert 4 * shape.bisection == pytest.approx(130e12, rel=0.01)
    assert shape.diameter == 2.0


def test_rails_of_a_superpod() -> None:
    # four units of 32 nodes with 8 rails: half of the 1,024 links lead across
    shape = net.rail_optimized(1024.0, 50e9, domain=8.0)
    assert shape.bisection == 512 * 50e9
    assert shape.diameter == 6.0  # two switches up and down a rail, and one inside a node
    # one unit: each rail is one switch, so nodes are two links apart on a rail
    unit = net.rail_optimized(256.0, 50e9, domain=8.0)
    assert unit.diameter == 4.0
    assert unit.hops == pytest.approx(2 * 31 / 32 + 2 * 7 / 8)
    # one domain does not use it
    assert math.isinf(net.rail_optimized(8.0, 50e9, domain=8.0).bisection)


@pytest.mark.parametrize(("a", "p", "h", "most"), [(4, 2, 2, 72), (8, 4, 4, 1056), (32, 16, 16, 262_656)])
def test_dragonfly_of_kim(a: int, p: int, h: int, most: int) -> None:
    # Kim 2008, section 3.1: N = a p (a h + 1), one global channel between each two groups
    assert a * p * (a * h + 1) == most
    groups = a * h + 1
    shape = net.dragonfly(float(most), 1.0, routers=float(a), hosts=float(p), channels=float(h))
    assert shape.bisection == (groups // 2) * (groups - groups // 2)
    assert shape.diameter == 5.0  # local, global, local, and a link at either end
    # balanced: uniform traffic runs at full rate
    assert net.uniform_rate(shape, most) == pytest.approx(1.0, rel=2.0 / groups)
    assert net.uniform_rate(shape, most) >= 1.0


def test_one_group_of_a_dragonfly_is_a_complete_graph() -> None:
    shape = net.dragonfly(8.0, 1.0, routers=4.0, hosts=2.0, channels=2.0)
    assert shape.bisection == 4.0
    assert shape.diameter == 3.0
    # eight hosts on four joined routers: by hand over the 64 pairs
    distance = [0 if i == j else 2 + (i // 2 != j // 2) for i in range(8) for j in range(8)]
    assert shape.hops == pytest.approx(sum(distance) / 64)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_node(kind: str) -> None:
    shape = net.shape(kind, 1.0, 50e9)
    assert math.isinf(shape.bisection)
    assert (float(shape.diameter), float(shape.hops)) == (0.0, 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_two_nodes_share_one_link(kind: str) -> None:
    assert float(net.shape(kind, 2.0, 50e9).bisection) == 50e9


@pytest.mark.parametrize("kind", KINDS)
@given(nodes=st.integers(2, 3000), link=st.floats(1e6, 1e13), factor=st.floats(1.0, 100.0))
def test_bisection_grows_with_links_and_stays_below_injection(
    kind: str, nodes: int, link: float, factor: float
) -> None:
    shape = net.shape(kind, float(nodes), link)
    assert net.shape(kind, float(nodes), link * factor).bisection >= shape.bisection
    degree = {"ring": 1, "torus_2d": 2, "torus_3d": 3}.get(kind, 1)
    assert 0.0 < shape.bisection <= degree * max(nodes / 2, 2) * link * (1 + 1e-12)
    assert 0.0 <= shape.hops <= shape.diameter


@given(nodes=st.integers(2, 100_000), over=st.floats(1.0, 16.0))
def test_oversubscription_divides(nodes: int, over: float) -> None:
    full, thin = net.fat_tree(nodes, 1.0), net.fat_tree(nodes, 1.0, oversubscription=over)
    assert thin.bisection == pytest.approx(full.bisection / over)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_are_scalars_side_by_side(kind: str) -> None:
    nodes = np.array([[1.0, 2.0, 8.0, 63.0], [64.0, 65.0, 4096.0, 20_000.0]])
    table = net.shape(kind, nodes, 50e9, domain=8.0, oversubscription=2.0)
    for i in np.ndindex(nodes.shape):
        one = net.shape(kind, float(nodes[i]), 50e9, domain=8.0, oversubscription=2.0)
        assert table.bisection[i] == one.bisection
        assert (table.diameter[i], table.hops[i]) == (one.diameter, one.hops)


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="dragonfly"):
        net.shape("mesh", 4.0, 1.0)


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_a_ring_across_the_middle(ranks: int) -> None:
    # step by step: n - 1 rounds in which each rank passes 1/n of the whole to the next
    size, crossed = 24.0, 0.0
    for _ in range(ranks - 1):
        for rank in range(ranks):
            to = (rank + 1) % ranks
            crossed += size / ranks if (rank < ranks / 2) and (to >= ranks / 2) else 0.0
    assert net.group_crossing(size, float(ranks), 3.0) == pytest.approx(3.0 * crossed)


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_an_all_to_all_across_the_middle(ranks: int) -> None:
    crossed = sum(24.0 / ranks for a in range(ranks // 2) for b in range(ranks // 2, ranks))
    assert net.exchange_crossing(24.0, float(ranks), 5.0) == pytest.approx(5.0 * crossed)


@pytest.mark.parametrize(("stages", "chunks"), [(2, 1), (4, 1), (4, 2), (6, 3)])
def test_a_microbatch_across_the_middle(stages: int, chunks: int) -> None:
    route = [stage for _ in range(chunks) for stage in range(stages)]
    onwards = sum(a < stages / 2 <= b for a, b in itertools.pairwise(route))
    back = sum(b < stages / 2 <= a for a, b in itertools.pairwise(route))
    assert net.stage_crossings(stages, chunks) == onwards + back  # gradients turn them round
    assert net.stage_crossings(1, chunks) == 0.0


@pytest.mark.parametrize("kind", ["fat_tree", "dragonfly", "torus_3d", "switch"])
def test_dimensions(kind: str) -> None:
    u = ureg()
    shape = net.shape(kind, 64.0, 50.0 * u.GB / u.second)
    assert shape.bisection.check("[information]/[time]")
    assert net.uniform_rate(shape, 64.0).check("[information]/[time]")
    assert net.group_crossing(1.0 * u.GB, 8.0, 4.0).check("[information]")

"""Alpha-beta costs of collectives (Patarasuk and Yuan 2009, Thakur 2005, Sanders 2009)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_cases import NODES

from mlsysim.physics import collectives as net
from mlsysim.physics.collectives import Network, Tier

WIRE = Tier(bandwidth=100e9, latency=0.0)
REAL = Tier(bandwidth=100e9, latency=2e-6)
FLAT = (net.gather_time, net.all_reduce_time, net.all_to_all_time)
ALGORITHMS = (
    net.ring_gather_time,
    net.recursive_gather_time,
    net.ring_all_reduce_time,
    net.recursive_all_reduce_time,
    net.tree_all_reduce_time,
    net.pairwise_all_to_all_time,
    net.recursive_all_to_all_time,
)
LEVELS = (
    (net.hierarchical_gather_time, net.gather_time),
    (net.hierarchical_all_reduce_time, net.all_reduce_time),
    (net.hierarchical_all_to_all_time, net.all_to_all_time),
)
sizes = st.floats(0.0, 1e12)
ranks = st.integers(1, 4096)
GB = 1e9


# -- known answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "factor"), [(1, 0.0), (2, 1.0), (4, 1.5), (8, 1.75), (1024, 2.0 - 2.0 / 1024)])
def test_all_reduce_moves_2_n_minus_1_over_n(n, factor):
    """Patarasuk 2009: the least that any all-reduce can move through a node, and a ring does."""
    assert net.all_reduce_bytes(GB, float(n)) == pytest.approx(factor * GB, rel=1e-12)
    assert net.ring_all_reduce_time(GB, float(n), WIRE) == pytest.approx(factor * 0.01, rel=1e-12)
    assert net.all_reduce_time(GB, float(n), WIRE) == pytest.approx(factor * 0.01, rel=1e-12)


def test_ring_by_hand():
    # 1 GB over 8 ranks: hops of 125 MB at 100 GB/s (1.25 ms) and 2 us, 7 to gather, 14 to reduce
    hop = 1.25e-3 + 2e-6
    assert net.ring_gather_time(GB, 8.0, REAL) == pytest.approx(7 * hop, rel=1e-12)
    assert net.ring_all_reduce_time(GB, 8.0, REAL) == pytest.approx(14 * hop, rel=1e-12)
    # long messages go round the ring
    assert net.gather_time(GB, 8.0, REAL) == pytest.approx(7 * hop, rel=1e-12)
    assert net.all_reduce_time(GB, 8.0, REAL) == pytest.approx(14 * hop, rel=1e-12)


def test_doubling_by_hand():
    # Thakur 2005: 3 rounds among 8; a gather passes on 1, 2 and 4 parts of 125 kB (8.75 us)
    assert net.recursive_gather_time(1e6, 8.0, REAL) == pytest.approx(3 * 2e-6 + 8.75e-6, rel=1e-12)
    # an all-reduce exchanges the whole 1 MB (10 us) in each
    assert net.recursive_all_reduce_time(1e6, 8.0, REAL) == pytest.approx(3 * (2e-6 + 10e-6), rel=1e-12)
    # an all-to-all (Bruck) half of it
    assert net.recursive_all_to_all_time(1e6, 8.0, REAL) == pytest.approx(3 * (2e-6 + 5e-6), rel=1e-12)


def test_all_to_all_keeps_its_own_share():
    # each of 8 ranks sends 7/8 of its 1 GB, straight to 7 peers
    assert net.all_to_all_time(GB, 8.0, WIRE) == pytest.approx(8.75e-3, rel=1e-12)
    assert net.pairwise_all_to_all_time(GB, 8.0, REAL) == pytest.approx(8.75e-3 + 7 * 2e-6, rel=1e-12)


@pytest.mark.parametrize("n", [2, 8, 100, 4096])
@pytest.mark.parametrize("size", [1e3, 1e6, 1e9])
def test_two_trees_with_the_best_number_of_pieces(n, size):
    """(k + 2L - 1)(alpha + 2 size beta / k), by trying every whole k: none beats the formula, and the
    best one comes near."""
    hops = 2 * math.ceil(math.log2(n)) - 1
    k = np.arange(1, 20_000)
    tried = ((k + hops) * (2e-6 + 2 * size / 100e9 / k)).min()
    best = net.tree_all_reduce_time(size, float(n), REAL)
    assert best <= tried * (1 + 1e-12)
    # k is not whole in the formula: half a piece off costs at most this
    assert tried - best <= 2e-6 * hops


def test_trees_beat_rings_where_latency_counts():
    """1 MB over 4096 ranks: 8190 hops round the ring, 23 up and down the trees."""
    assert net.tree_all_reduce_time(1e6, 4096.0, REAL) < net.ring_all_reduce_time(1e6, 4096.0, REAL) / 50


def test_send_by_hand():
    assert net.send_time(GB, REAL) == pytest.approx(0.01 + 2e-6, rel=1e-12)


# -- limits and laws ------------------------------------------------------------------------------


@given(size=sizes)
def test_one_rank_talks_to_nobody(size):
    for collective in (*FLAT, *ALGORITHMS):
        assert collective(size, 1.0, REAL) == 0.0
    for levels, _ in LEVELS:
        assert levels(size, 1.0, 1.0, NODES) == 0.0


@given(n=ranks)
def test_no_bytes_cost_the_fewest_hops(n):
    hops = math.ceil(math.log2(n))
    assert net.ring_gather_time(0.0, float(n), REAL) == pytest.approx((n - 1) * 2e-6, rel=1e-12)
    for collective in FLAT:
        assert collective(0.0, float(n), REAL) == pytest.approx(hops * 2e-6, rel=1e-12)


@given(size=sizes, n=ranks)
def test_nothing_beats_the_lower_bounds(size, n):
    """No algorithm needs fewer than log2 n rounds, nor sends less than (n - 1) / n on each rank."""
    least = (n - 1) / n * size / 100e9
    for collective, factor in zip(FLAT, (1, 2, 1), strict=True):
        time = collective(size, float(n), REAL)
        assert time >= factor * least * (1 - 1e-12)
        assert time >= math.log2(n) * 2e-6 * (1 - 1e-12)


@given(size=sizes, n=ranks)
def test_the_best_is_never_slower_than_the_ring(size, n):
    assert net.gather_time(size, float(n), REAL) <= net.ring_gather_time(size, float(n), REAL)
    assert net.all_reduce_time(size, float(n), REAL) <= net.ring_all_reduce_time(size, float(n), REAL)
    assert net.all_reduce_time(size, float(n), REAL) <= net.tree_all_reduce_time(size, float(n), REAL)


@given(size=sizes, n=ranks, factor=st.floats(1.0, 1e3))
def test_faster_wires_are_never_slower(size, n, factor):
    for collective in (*FLAT, *ALGORITHMS):
        base = collective(size, float(n), REAL)
        slack = 1 + 1e-12
        assert collective(size, float(n), Tier(factor * 100e9, 2e-6)) <= base * slack
        assert collective(size, float(n), Tier(100e9, 2e-6 / factor)) <= base * slack
        assert collective(2 * size, float(n), REAL) * slack >= base
        assert collective(size, n + 1.0, REAL) * slack >= base


# -- two tiers ------------------------------------------------------------------------------------


def test_a_group_uses_the_tier_that_it_spans():
    assert net.by_extent(np.array([1, 8, 9, 64]), NODES, 1.0, 2.0).tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("n", "stride", "local"),
    [(64, 1, 8), (64, 2, 4), (64, 8, 1), (64, 16, 1), (4, 1, 4), (12, 1, 4), (6, 4, 2), (7, 1, 1), (8, 3, 1)],
)  # three does not divide eight: no equal shares
def test_ranks_in_a_domain_of_eight(n, stride, local):
    assert net.local_ranks(n, stride, NODES) == local


def test_two_levels_by_hand():
    """64 ranks in nodes of 8, 1 GB, no latency: 7/8 at 400 GB/s, then 7/8 of an eighth at 50 GB/s."""
    network = Network(Tier(400e9, 0.0), Tier(50e9, 0.0), 8.0)
    two = 0.875 * GB / 400e9 + 0.875 * 0.125 * GB / 50e9
    assert net.hierarchical_gather_time(GB, 64.0, 1.0, network) == pytest.approx(two, rel=1e-12)
    # scattered and gathered inside, reduced across: twice both
    assert net.hierarchical_all_reduce_time(GB, 64.0, 1.0, network) == pytest.approx(2 * two, rel=1e-12)
    # one rank a node: nothing is local, a flat ring of 63/64 at 50 GB/s
    flat = 63 / 64 * GB / 50e9
    assert net.hierarchical_gather_time(GB, 64.0, 8.0, network) == pytest.approx(flat, rel=1e-12)
    # all-to-all: 56 of 64 parts cross, at 50 GB/s, while the 7 others stay inside
    across = 56 / 64 * GB / 50e9
    assert net.hierarchical_all_to_all_time(GB, 64.0, 1.0, network) == pytest.approx(across, rel=1e-12)


@given(size=sizes, n=ranks, stride=st.integers(1, 64))
def test_two_levels_are_never_slower_than_one(size, n, stride):
    # groups lie end to end: one whose extent does not divide the domain straddles two
    tier = NODES.up if NODES.domain % (n * stride) == 0 else NODES.out
    for levels, flat in LEVELS[:2]:
        best = levels(size, float(n), float(stride), NODES)
        assert best <= flat(size, float(n), tier)
        # nor faster than the fast tier alone could move the bytes
        assert best >= (n - 1) / n * size / NODES.up.bandwidth * (1 - 1e-12)


@given(size=sizes, n=st.integers(0, 6), stride=st.integers(0, 3))
def test_inside_a_domain_the_fast_tier_is_used(size, n, stride):
    network = Network(NODES.up, NODES.out, 512.0)
    for levels, flat in LEVELS:
        assert levels(size, 2.0**n, 2.0**stride, network) == flat(size, 2.0**n, NODES.up)


def test_a_lone_accelerator_has_an_infinite_wire():
    assert net.gather_time(GB, 1.0, Tier(math.inf, 0.0)) == 0.0


def test_arrays_agree_with_scalars():
    size, n = np.array([1e6, 1e9, 1e9, 0.0, 1e5]), np.array([1.0, 64.0, 12.0, 8.0, 3.0])
    stride = np.array([1.0, 2.0, 1.0, 8.0, 1.0])
    for levels, _ in LEVELS:
        one = [float(levels(*x, NODES)) for x in zip(size, n, stride, strict=True)]
        assert levels(size, n, stride, NODES).tolist() == one
    for collective in (*FLAT, *ALGORITHMS):
        one = [float(collective(*x, REAL)) for x in zip(size, n, strict=True)]
        assert collective(size, n, REAL).tolist() == one


# -- protocols --------------------------------------------------------------------------------------

# NVLink 4 as NCCL's constants have it: 370 GB/s in bulk at 3.4 us a hop, 38% of that eagerly at 0.6 us
NVLINK = Tier(370e9, 0.6e-6, bulk_latency=3.4e-6, eager_share=0.38, start=6.6e-6)


@pytest.mark.parametrize(
    ("ranks", "size", "measured"),
    # all-gather of H100 in seconds (aiconfigurator 0.12, NCCL 2.29.2), the whole of a message
    [(8, 256, 10.1e-6), (8, 2**21, 22e-6), (8, 2**24, 69e-6), (8, 2**27, 393e-6), (4, 2**24, 66e-6)],
)
def test_gathers_take_as_long_as_measured(ranks, size, measured):
    assert net.gather_time(float(size), float(ranks), NVLINK) == pytest.approx(measured, rel=0.25)


def test_small_messages_go_eagerly_and_large_ones_in_bulk():
    small, large = 1e4, 1e9
    eager, bulk = net.protocols(NVLINK)
    assert (eager.latency, bulk.latency) == (0.6e-6, 3.4e-6)
    assert eager.bandwidth == 0.38 * 370e9
    for of in FLAT:
        assert of(small, 8.0, NVLINK) == pytest.approx(of(small, 8.0, eager) + NVLINK.start, rel=1e-12)
        assert of(large, 8.0, NVLINK) == pytest.approx(of(large, 8.0, bulk) + NVLINK.start, rel=1e-12)


@given(size=st.floats(1.0, 1e12), n=st.integers(2, 512))
def test_a_protocol_more_is_never_slower(size, n):
    eager, bulk = net.protocols(NVLINK)
    for of in FLAT:
        found = of(size, float(n), NVLINK) - NVLINK.start
        assert found <= min(of(size, float(n), eager), of(size, float(n), bulk)) * (1 + 1e-9)


@given(size=st.floats(1.0, 1e11), more=st.floats(1.0, 10.0), n=st.sampled_from([2.0, 4.0, 8.0, 64.0]))
def test_more_bytes_never_take_less_time(size, more, n):
    for of in (net.all_reduce_time, net.all_to_all_time):
        assert of(size * more, n, NVLINK) >= of(size, n, NVLINK) * (1 - 1e-9)


def test_one_rank_starts_nothing():
    for of in FLAT:
        assert of(1e6, 1.0, NVLINK) == 0.0
    both = net.all_reduce_time(1e6, np.array([1.0, 8.0]), NVLINK)
    assert both[0] == 0.0 < NVLINK.start < both[1]

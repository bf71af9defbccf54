"""Algorithms of collectives against their published costs, and the choice of the best."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.core.units import ureg
from mlsysim.physics import collectives as net
from mlsysim.physics.collectives import Network, Tier

TIER = Tier(bandwidth=50e9, latency=5e-6)
NODES = Network(up=Tier(400e9, 1e-6), out=TIER, domain=8.0)
SIZES = st.floats(1.0, 1e12)
RANKS = st.integers(2, 8192).map(float)
BEST = (net.gather_time, net.all_reduce_time, net.all_to_all_time)
FLAT = (
    *BEST,
    net.ring_gather_time,
    net.recursive_gather_time,
    net.ring_all_reduce_time,
    net.recursive_all_reduce_time,
    net.tree_all_reduce_time,
    net.pairwise_all_to_all_time,
    net.recursive_all_to_all_time,
)
TWO_LEVEL = (
    net.hierarchical_gather_time,
    net.hierarchical_all_reduce_time,
    net.hierarchical_all_to_all_time,
)


@pytest.mark.parametrize("ranks", [4, 8, 64, 1024])
def test_costs_of_thakur_2005(ranks: int) -> None:
    alpha, beta, n, lg = TIER.latency, 1.0 / TIER.bandwidth, 3e6, math.log2(ranks)
    share = (ranks - 1) / ranks
    assert net.ring_gather_time(n, ranks, TIER) == pytest.approx((ranks - 1) * alpha + share * n * beta)
    assert net.recursive_gather_time(n, ranks, TIER) == pytest.approx(lg * alpha + share * n * beta)
    assert net.recursive_all_reduce_time(n, ranks, TIER) == pytest.approx(lg * alpha + n * lg * beta)
    assert net.ring_all_reduce_time(n, ranks, TIER) == pytest.approx(
        2 * (ranks - 1) * alpha + 2 * share * n * beta
    )
    assert net.recursive_all_to_all_time(n, ranks, TIER) == pytest.approx(lg * alpha + n / 2 * lg * beta)
    assert net.pairwise_all_to_all_time(n, ranks, TIER) == pytest.approx(
        (ranks - 1) * alpha + share * n * beta
    )


def test_ranks_between_powers_of_two_take_one_more_round() -> None:
    assert [float(net.rounds(n)) for n in (1, 2, 3, 4, 5, 8, 9, 1024, 1025)] == [0, 1, 2, 2, 3, 3, 4, 10, 11]


def test_tree_is_the_best_of_all_whole_cuts() -> None:
    size, ranks = 64e6, 256.0
    hops, bulk = 2 * 8 - 1, 2 * size / TIER.bandwidth
    cuts = [(k + hops) * (TIER.latency + bulk / k) for k in range(1, 20000)]
    assert net.tree_all_reduce_time(size, ranks, TIER) == pytest.approx(min(cuts), rel=1e-4)
    assert net.tree_all_reduce_time(size, ranks, TIER) <= min(cuts)


def test_tree_has_full_bandwidth_and_few_hops() -> None:
    # Sanders 2009: 2 n beta for long messages, a multiple of log p alpha for short ones
    long, short = 1e15, 1.0
    assert net.tree_all_reduce_time(long, 1024.0, TIER) == pytest.approx(2 * long / 50e9, rel=1e-3)
    assert net.tree_all_reduce_time(short, 1024.0, TIER) == pytest.approx(20 * 5e-6, rel=1e-3)


def test_each_all_reduce_has_its_range() -> None:
    ranks = 512.0
    small, middle, large = 100.0, 4e6, 100e9
    assert net.all_reduce_time(small, ranks, TIER) == net.recursive_all_reduce_time(small, ranks, TIER)
    assert net.all_reduce_time(middle, ranks, TIER) == net.tree_all_reduce_time(middle, ranks, TIER)
    assert net.all_reduce_time(large, ranks, TIER) == net.ring_all_reduce_time(large, ranks, TIER)


def test_long_gathers_go_round_the_ring() -> None:
    # Thakur 2005, section 4: recursive doubling below 512 KB
    below, above = 512 * 1024, 512 * 1024 + 1
    assert net.gather_time(below, 64.0, TIER) == net.recursive_gather_time(below, 64.0, TIER)
    assert net.gather_time(above, 64.0, TIER) == net.ring_gather_time(above, 64.0, TIER)


def test_bus_bandwidth_of_long_messages_is_that_of_the_link() -> None:
    # the bus bandwidth of nccl-tests: what each rank sends over the time
    size, ranks = 1e12, 64.0
    assert net.gather_bytes(size, ranks) / net.gather_time(size, ranks, TIER) == pytest.approx(50e9, rel=1e-3)
    assert net.all_reduce_bytes(size, ranks) == pytest.approx(2 * size * 63 / 64)
    assert net.all_reduce_bytes(size, ranks) / net.all_reduce_time(size, ranks, TIER) == pytest.approx(
        50e9, rel=1e-3
    )


@pytest.mark.parametrize("time", FLAT)
def test_one_rank_needs_no_time(time) -> None:
    assert float(time(1e9, 1.0, TIER)) == 0.0
    assert float(time(10.0, 1.0, TIER)) == 0.0


@pytest.mark.parametrize("time", FLAT)
def test_a_perfect_link_needs_no_time(time) -> None:
    assert float(time(1e9, 64.0, Tier(math.inf, 0.0))) == 0.0


@pytest.mark.parametrize("time", TWO_LEVEL)
def test_a_group_of_one_needs_no_time(time) -> None:
    assert float(time(1e9, 1.0, 1.0, NODES)) == 0.0


@pytest.mark.parametrize("time", BEST)
@given(size=SIZES, more=st.floats(1.0, 100.0), ranks=RANKS)
def test_more_bytes_take_no_less_time(time, size: float, more: float, ranks: float) -> None:
    assert time(size * more, ranks, TIER) >= time(size, ranks, TIER) * (1 - 1e-12)


@given(size=SIZES, ranks=RANKS)
def test_the_best_is_no_worse_than_any(size: float, ranks: float) -> None:
    best = net.all_reduce_time(size, ranks, TIER)
    for time in (net.ring_all_reduce_time, net.tree_all_reduce_time, net.recursive_all_reduce_time):
        assert best <= time(size, ranks, TIER)


@given(size=SIZES, ranks=RANKS)
def test_nothing_beats_the_link(size: float, ranks: float) -> None:
    lower = net.gather_bytes(size, ranks) / TIER.bandwidth * (1 - 1e-12)
    assert net.gather_time(size, ranks, TIER) >= lower
    # Patarasuk 2009: no all-reduce moves less than twice that through a rank, except that two ranks
    # which exchange the whole need one round
    assert net.all_reduce_time(size, ranks, TIER) >= 2 * lower


@pytest.mark.parametrize("time", TWO_LEVEL)
@given(size=SIZES, ranks=st.integers(0, 12).map(lambda e: 2.0**e), stride=st.sampled_from([1.0, 2.0, 8.0]))
def test_two_levels_help_where_the_inner_one_is_fast(time, size: float, ranks: float, stride: float) -> None:
    slow = Network(up=NODES.out, out=NODES.out, domain=8.0)
    assert time(size, ranks, stride, NODES) <= time(size, ranks, stride, slow) * (1 + 1e-12)


def test_two_level_all_reduce_sends_an_eighth_outside() -> None:
    size, ranks = 80e9, 64.0
    inside = 2 * (7 / 8 * size / 400e9 + 7 * 1e-6)
    outside = 2 * (7 / 8 * (size / 8) / 50e9 + 7 * 5e-6)
    assert net.hierarchical_all_reduce_time(size, ranks, 1.0, NODES) == pytest.approx(inside + outside)


def test_all_to_all_across_domains_is_bound_by_the_outer_link() -> None:
    size, ranks = 64e9, 64.0
    straight = 56 * (size / 64 / 50e9 + 5e-6)
    assert net.hierarchical_all_to_all_time(size, ranks, 1.0, NODES) == pytest.approx(straight)
    # within one domain it is the flat one
    assert net.hierarchical_all_to_all_time(size, 8.0, 1.0, NODES) == net.all_to_all_time(size, 8.0, NODES.up)


@pytest.mark.parametrize("time", FLAT)
def test_arrays_are_scalars_side_by_side(time) -> None:
    sizes, ranks = np.meshgrid([1.0, 3e3, 5e5, 7e6, 1e11], [1.0, 2.0, 7.0, 64.0, 1000.0])
    table = time(sizes, ranks, TIER)
    for i in np.ndindex(sizes.shape):
        assert table[i] == time(float(sizes[i]), float(ranks[i]), TIER)


@pytest.mark.parametrize("time", TWO_LEVEL)
def test_arrays_of_groups_are_scalars_side_by_side(time) -> None:
    sizes, ranks = np.meshgrid([1.0, 3e3, 5e5, 7e6, 1e11], [1.0, 2.0, 7.0, 64.0, 1000.0])
    table = time(sizes, ranks, 2.0, NODES)
    for i in np.ndindex(sizes.shape):
        assert table[i] == time(float(sizes[i]), float(ranks[i]), 2.0, NODES)


@pytest.mark.parametrize(
    "time",
    [
        net.ring_gather_time,
        net.recursive_gather_time,
        net.all_reduce_time,
        net.all_to_all_time,
    ],
)
def test_dimensions(time) -> None:
    u = ureg()
    tier = Tier(50e9 * u.byte / u.second, 5e-6 * u.second)
    result = time(3e6 * u.byte, 64.0, tier)
    assert result.check("[time]")
    assert result.to("s").magnitude == pytest.approx(float(time(3e6, 64.0, TIER)))

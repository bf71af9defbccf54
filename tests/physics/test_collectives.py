"""Alpha-beta costs of collectives (Patarasuk and Yuan 2009)."""

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
sizes = st.floats(0.0, 1e12)
ranks = st.integers(1, 4096)


@pytest.mark.parametrize(("n", "factor"), [(1, 0.0), (2, 1.0), (4, 1.5), (8, 1.75), (1024, 2.0 - 2.0 / 1024)])
def test_all_reduce_moves_2_n_minus_1_over_n(n, factor):
    """Section 3: the least that any all-reduce can move through a node."""
    assert net.all_reduce_time(1e9, float(n), WIRE) == pytest.approx(factor * 0.01, rel=1e-12)


def test_all_reduce_by_hand():
    # 1 GB over 8 ranks: 14 hops of 125 MB at 100 GB/s (1.25 ms) and 2 us
    assert net.all_reduce_time(1e9, 8.0, REAL) == pytest.approx(14 * (1.25e-3 + 2e-6), rel=1e-12)


def test_gather_is_half_an_all_reduce():
    assert net.gather_time(1e9, 8.0, REAL) == pytest.approx(7 * (1.25e-3 + 2e-6), rel=1e-12)


def test_all_to_all_keeps_its_own_share():
    # each rank sends 7/8 of its 1 GB
    assert net.all_to_all_time(1e9, 8.0, WIRE) == pytest.approx(8.75e-3, rel=1e-12)


def test_send_by_hand():
    assert net.send_time(1e9, REAL) == pytest.approx(0.01 + 2e-6, rel=1e-12)


@given(size=sizes)
def test_one_rank_talks_to_nobody(size):
    for collective in (net.gather_time, net.all_reduce_time, net.all_to_all_time):
        assert collective(size, 1.0, REAL) == 0.0
    assert net.hierarchical_gather_time(size, 1.0, 1.0, NODES) == 0.0


@given(n=ranks)
def test_no_bytes_cost_hops_only(n):
    assert net.gather_time(0.0, float(n), REAL) == pytest.approx((n - 1) * 2e-6, rel=1e-12)


@given(size=sizes, n=ranks, factor=st.floats(1.0, 1e3))
def test_faster_wires_are_never_slower(size, n, factor):
    for collective in (net.gather_time, net.all_reduce_time, net.all_to_all_time):
        base = collective(size, float(n), REAL)
        assert collective(size, float(n), Tier(factor * 100e9, 2e-6)) <= base
        assert collective(size, float(n), Tier(100e9, 2e-6 / factor)) <= base
        assert collective(2 * size, float(n), REAL) >= base
        assert collective(size, n + 1.0, REAL) >= base


def test_a_group_uses_the_tier_that_it_spans():
    assert net.by_extent(np.array([1, 8, 9, 64]), NODES, 1.0, 2.0).tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize(("n", "stride", "local"), [
    (64, 1, 8), (64, 2, 4), (64, 8, 1), (64, 16, 1), (4, 1, 4), (12, 1, 4), (6, 4, 2), (7, 1, 1),
    (8, 3, 1)])  # three does not divide eight: no equal shares
def test_ranks_in_a_domain_of_eight(n, stride, local):
    assert net.local_ranks(n, stride, NODES) == local


def test_two_levels_by_hand():
    """64 ranks in nodes of 8, 1 GB, no latency: 7/8 at 400 GB/s, then 7/8 of an eighth at 50 GB/s."""
    network = Network(Tier(400e9, 0.0), Tier(50e9, 0.0), 8.0)
    two = 0.875 * 1e9 / 400e9 + 0.875 * 0.125e9 / 50e9
    assert net.hierarchical_gather_time(1e9, 64.0, 1.0, network) == pytest.approx(two, rel=1e-12)
    # one rank a node: nothing is local, a flat ring of 63/64 at 50 GB/s
    flat = 63 / 64 * 1e9 / 50e9
    assert net.hierarchical_gather_time(1e9, 64.0, 8.0, network) == pytest.approx(flat, rel=1e-12)


@given(size=sizes, n=ranks, stride=st.integers(1, 64))
def test_two_levels_are_never_slower_than_one(size, n, stride):
    tier = NODES.up if n * stride <= NODES.domain else NODES.out
    best = net.hierarchical_gather_time(size, float(n), float(stride), NODES)
    assert best <= net.gather_time(size, float(n), tier)
    # nor faster than the fastest tier alone could move the bytes
    assert best >= (n - 1) / n * size / NODES.up.bandwidth * (1 - 1e-12)


@given(size=sizes, n=st.integers(0, 6), stride=st.integers(0, 3))
def test_inside_a_domain_the_fast_tier_is_used(size, n, stride):
    network = Network(NODES.up, NODES.out, 512.0)
    best = net.hierarchical_gather_time(size, 2.0**n, 2.0**stride, network)
    assert best == net.gather_time(size, 2.0**n, NODES.up)


def test_a_lone_accelerator_has_an_infinite_wire():
    assert net.gather_time(1e9, 1.0, Tier(math.inf, 0.0)) == 0.0


def test_arrays_agree_with_scalars():
    size, n = np.array([1e6, 1e9, 1e9, 0.0]), np.array([1.0, 64.0, 12.0, 8.0])
    stride = np.array([1.0, 2.0, 1.0, 8.0])
    many = net.hierarchical_gather_time(size, n, stride, NODES)
    one = [float(net.hierarchical_gather_time(*x, NODES)) for x in zip(size, n, stride, strict=True)]
    assert many.tolist() == one
    for collective in (net.gather_time, net.all_reduce_time, net.all_to_all_time):
        assert collective(size, n, REAL).tolist() == [collective(*x, REAL) for x in zip(size, n, strict=True)]

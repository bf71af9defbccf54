"""Wall 10 compares traffic between the halves of the network with its bisection."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from formulations.algebra import Choice
from mlsysim.core import units
from mlsysim.physics import topology
from mlsysim.physics.topology import Cut
from mlsysim.walls.w10_locality import Locality

WALL = Locality()


def state(accelerators=512.0, time=1.0, tensor_ranks=8.0, domain=8.0, **fields):
    return SimpleNamespace(
        accelerators=accelerators,
        time=time,
        tensor_ranks=tensor_ranks,
        domain=domain,
        alone=accelerators == 1,
        **fields,
    )


def test_without_a_network_only_the_domain_counts() -> None:
    for s in (state(), state(cut=None)):
        (row,) = WALL.rows(s)
        assert (row.demand, row.supply, row.unit, row.hard) == (8.0, 8.0, "device", True)


def test_gradients_between_halves() -> None:
    # by hand: 8 tensor-parallel shards of 2 GB, each all-reduced by a ring of 64: 2 x 63/64 x 2 GB
    # across in each direction; 256 links of 50 GB/s lead across, a seventh of them when thinned
    crossing = 2.0 * topology.group_crossing(2e9, 64.0, 8.0)
    assert crossing == pytest.approx(8 * 2 * 2e9 * 63 / 64)
    for oversubscription, share in ((1.0, 0.0246), (7.0, 0.1723)):
        network = topology.fat_tree(512.0, 50e9, oversubscription=oversubscription)
        _, row = WALL.rows(state(time=0.1, cut=Cut(crossing, network.bisection)))
        assert row.demand / row.supply == pytest.approx(share, rel=2e-3)
        assert units.from_base(row.demand, row.unit) == pytest.approx(31.5)
        assert row.hard


def test_pipelines_between_halves() -> None:
    # 64 x 8 accelerators in 4 stages, 32 microbatches of 16 MB a rank, one chunk
    microbatches, boundary, ranks = 32.0, 16e6, 512.0 / 4.0
    crossing = ranks * microbatches * boundary * topology.stage_crossings(4.0, 1.0)
    _, row = WALL.rows(state(cut=Cut(crossing, topology.fat_tree(512.0, 50e9).bisection)))
    assert units.from_base(row.demand, row.unit) == pytest.approx(65.536)


@pytest.mark.parametrize("time", [0.5, 2.0])
def test_more_time_lets_more_through(time: float) -> None:
    _, row = WALL.rows(state(time=time, cut=Cut(1e12, 1e12)))
    assert (row.demand <= row.supply) is (time >= 1.0)


def test_tables_and_numbers_agree() -> None:
    times, sent = np.array([0.1, 0.2, 0.4]), np.array([1e9, 3e9, 2e9])
    choice = Choice("layout", {"cell": np.arange(3)})
    _, row = WALL.rows(state(time=choice.table(times), cut=Cut(choice.table(sent), 1e10)))
    assert row.demand.values.tolist() == sent.tolist()
    assert row.supply.values.tolist() == [1e10 * t for t in times]


def test_one_accelerator_sends_nothing() -> None:
    alone = state(accelerators=1.0, cut=Cut(0.0, np.inf))
    assert WALL.rows(alone) == ()
    assert WALL.why_not(alone) == "one accelerator"

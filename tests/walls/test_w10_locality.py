"""Wall 10: tensor-parallel ranks share a scale-up domain (Shoeybi 2019, Dally and Towles 2003)."""

from __future__ import annotations

import pytest
from walls_cases import infer, reading, rows, train

TWO_NODES = {"nodes": 2}


@pytest.mark.parametrize(("tp", "status"), [(1, "pass"), (4, "pass"), (8, "binding"), (16, "fail")])
def test_ranks_against_a_node_of_eight(tp, status):
    e = train(hardware=TWO_NODES, parallelism={"tp": tp, "zero_stage": 0, "recompute": "full"})
    ranks = rows(e, 10)[0]
    assert (float(ranks.demand), ranks.supply, ranks.unit) == (tp, 8.0, "device")
    assert ranks.hard
    assert reading(e, 10).status == status


def test_ranks_beyond_the_domain_are_infeasible():
    e = train(hardware=TWO_NODES, parallelism={"tp": 16, "zero_stage": 0, "recompute": "full"})
    assert not e.feasible
    assert (e.status, e.exit_code) == ("fail", 2)


def test_a_rack_is_a_larger_domain():
    """72 accelerators of a GB200 NVL72 share one domain, so 16 ranks are within it."""
    e = train(
        hardware={"name": "GB200", "nodes": None, "accelerators": 16, "node": "GB200_NVL72"},
        parallelism={"tp": 16, "zero_stage": 0},
    )
    ranks = rows(e, 10)[0]
    assert ranks.demand == 16.0
    assert 16.0 <= ranks.supply <= 72.0
    assert reading(e, 10).status != "fail"


def test_one_accelerator_has_no_neighbours():
    shown = reading(infer(), 10)
    assert (shown.status, shown.note, shown.demand) == ("n/a", "one accelerator", None)

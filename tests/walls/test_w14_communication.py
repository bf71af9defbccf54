"""Wall 14: exposed traffic against its share of the step (Patarasuk 2009, Shoeybi 2019)."""

from __future__ import annotations

import pytest
from walls_cases import infer, reading, rows, train

TENSOR = {"tp": 8, "zero_stage": 0, "recompute": "none"}


def test_tensor_parallel_traffic_by_hand():
    """64 microbatches, 32 layers, 4 all-reduces of 2048 x 4096 in 16 bits, 14 hops round a ring of 8."""
    e = train(parallelism=TENSOR)
    wire = e.scenario.network.up
    each = wire.start + 14 * (2048 * 4096 * 2 / 8 / wire.bandwidth + wire.bulk_latency)
    exposed = rows(e, 14)[0]
    assert exposed.demand == pytest.approx(64 * 32 * 4 * each, rel=1e-9)
    assert exposed.unit == "ms"
    assert e.metric("performance.communication_time") == pytest.approx(64 * 32 * 4 * each * 1e3, rel=1e-9)


def test_without_a_limit_it_informs():
    e = train(parallelism=TENSOR)
    assert rows(e, 14)[0].supply is None
    assert e.status == "pass"


@pytest.mark.parametrize(
    ("factor", "status", "exit_code"), [(2.0, None, 0), (1.02, "binding", 0), (0.5, "fail", 3)]
)
def test_statuses_of_the_share(factor, status, exit_code):
    """The limit is a share of the step; here so many times what the traffic takes."""
    share = train(parallelism=TENSOR).metric("performance.communication_share")
    assert 0.01 < share < 0.45
    e = train(parallelism=TENSOR, constraints={"communication": factor * share})
    exposed = rows(e, 14)[0]
    assert exposed.supply == pytest.approx(factor * float(exposed.demand), rel=1e-9)
    assert e.exit_code == exit_code
    assert e.feasible  # against the plan's wish, not against physics
    if status:
        assert reading(e, 14).status == status
    else:
        assert reading(e, 14).status in ("pass", "binding")


def test_data_parallel_traffic_hides_behind_the_backward_pass():
    """Gradients of a large step hide; what is left is at least the last layer's share."""
    e = train(parallelism={"tp": 1, "zero_stage": 1})
    assert 0 < e.metric("performance.communication_share") < 0.01


def test_a_slower_network_exposes_more():
    fast, slow = (
        train(hardware={"name": name, "nodes": 1}, parallelism=TENSOR).state.exposed
        for name in ("H100", "H800")
    )
    assert slow > fast


def test_one_accelerator_has_nobody_to_talk_to():
    shown = reading(infer(), 14)
    assert (shown.status, shown.note, shown.demand) == ("n/a", "one accelerator", None)

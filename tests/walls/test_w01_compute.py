"""Wall 1: operations against the achieved rate over the step (Williams 2009)."""

from __future__ import annotations

import pytest
from walls_cases import MATRICES, TOKENS, infer, reading, rows, train, with_state

# forward once, backward twice; unfused, a token scores all of 2048 keys in 32 layers, 4 operations each
WORK = 3 * TOKENS * (2 * MATRICES + 32 * 4 * 2048 * 4096)


def test_demand_is_the_work_of_an_accelerator():
    (row,) = rows(train(), 1)
    assert row.demand == pytest.approx(WORK / 8, rel=1e-9)
    assert row.unit == "TFLOP"


def test_supply_is_the_achieved_rate_over_the_step():
    e = train()
    (row,) = rows(e, 1)
    # half of 989.4 TFLOP/s, as the plan says
    assert row.supply == pytest.approx(0.5 * 989.4e12 * float(e.state.time), rel=1e-9)


def test_recomputation_counts_as_work():
    """A third more, for the layers: all but the output of 32000 x 4096."""
    more = rows(train(parallelism={"recompute": "full"}), 1)[0].demand - rows(train(), 1)[0].demand
    layers = TOKENS / 8 * (2 * (MATRICES - 32_000 * 4096) + 32 * 4 * 2048 * 4096)
    assert more == pytest.approx(layers, rel=1e-9)


def test_it_binds_where_matrix_work_takes_the_time():
    e = train()
    assert e.bottleneck == "compute"
    assert reading(e, 1).status == "binding"


def test_it_passes_where_reading_weights_takes_the_time():
    e = infer()
    shown = reading(e, 1)
    assert e.bottleneck == "memory"
    assert shown.status == "pass"
    assert shown.headroom > 0.9


def test_it_always_holds():
    for e in (
        train(),
        train(parallelism={"tp": 8}),
        infer(),
        infer("BERT_Base", batch_size=64),
        infer("ResNet50"),
    ):
        (row,) = rows(e, 1)
        assert 0 < row.demand <= row.supply


def test_a_step_shorter_than_its_work_fails():
    e = train()
    assert reading(with_state(e, time=0.5 * e.state.matmul), 1).status == "fail"

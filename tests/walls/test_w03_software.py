"""Wall 3: the model's operations against what its kernels could do (Chowdhery 2022, appendix B)."""

from __future__ import annotations

import pytest
from walls_cases import MATRICES, TOKENS, infer, reading, rows, train, with_state

import mlsysim

MODEL = 3 * TOKENS * (2 * MATRICES + 32 * 4 * 1024 * 4096)


def test_demand_is_what_the_model_asks_for():
    (row,) = rows(train(), 3)
    assert row.demand == pytest.approx(MODEL, rel=1e-9)


def test_supply_is_the_kernels_share_of_the_fleet():
    e = train()
    (row,) = rows(e, 3)
    assert row.supply == pytest.approx(8 * 0.5 * 989.4e12 * float(e.state.time), rel=1e-9)


def test_utilization_counts_as_published_figures_do():
    """The convention of MFU figures scores every key of the sequence, masked or not."""
    e = train()
    published = 3 * TOKENS * (2 * MATRICES + 32 * 4 * 2048 * 4096)
    mfu = e.metric("performance.mfu")
    assert mfu == pytest.approx(published / (8 * 989.4e12 * float(e.state.time)), rel=1e-9)
    assert mfu < 0.5


def test_palm_is_counted_as_in_appendix_b():
    """6N + 12 L H Q T operations a token (Chowdhery 2022, appendix B), N less norms."""
    e = mlsysim.evaluate_plan(
        {
            "version": "1.0",
            "workload": {"name": "PaLM_540B", "batch_size": 2048, "seq_len": 2048},
            "hardware": {"name": "TPUv4", "accelerators": 6144},
        }
    )
    per_token = 6 * 540_354_281_472 + 12 * 118 * 48 * 256 * 2048
    assert e.state.mfu_flops == pytest.approx(2048 * 2048 * per_token, rel=1e-9)


def test_recomputation_is_not_asked_for():
    e = train(parallelism={"recompute": "full"})
    assert rows(e, 3)[0].demand == pytest.approx(MODEL, rel=1e-9)
    assert e.metric("performance.mfu") < train().metric("performance.mfu")


def test_inference_counts_every_accelerator():
    """A token of Llama 2 7B: 2 operations a matrix parameter and 4 x 2048 x 4096 in each layer."""
    (row,) = rows(infer(seq_len=2048), 3)
    assert row.demand == pytest.approx(2 * MATRICES + 32 * 4 * 2048 * 4096, rel=1e-9)


def test_it_holds_with_headroom():
    for e in (train(), train(parallelism={"tp": 8, "recompute": "full"}), infer(), infer("ResNet50")):
        (row,) = rows(e, 3)
        assert 0 < row.demand <= row.supply
        assert reading(e, 3).status == "pass"


def test_automatic_efficiency_is_below_the_measured_share():
    e = train(workload={"efficiency": "auto"})
    assert 0 < e.metric("performance.mfu") < e.state.share < 1


def test_a_step_faster_than_the_kernels_fails():
    e = train()
    assert reading(with_state(e, time=0.1 * e.state.time), 3).status == "fail"

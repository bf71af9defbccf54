"""Wall 2: what is held against capacity (Rajbhandari 2020, Korthikanti 2022), and what is moved."""

from __future__ import annotations

import pytest
from walls_cases import infer, reading, rows, train, with_state

from mlsysim.core import registry

GIB = 2**30
LLAMA3 = {"name": "Llama3_8B", "attention": "fused"}


def reserve() -> float:
    return registry.default("runtime_reserve", "byte").base


def test_training_without_sharding_fails():
    """Llama 3 8B, 16 bytes a parameter, a sequence of 2048 with full recomputation: 123 of 80 GiB."""
    e = train(workload=LLAMA3, parallelism={"zero_stage": 0, "recompute": "full"})
    # inputs of 32 layers; one layer at work (in 16 bits: 4h, q k v and output, gate up product);
    # inputs of final norm and output, logits in 32 bits
    inputs = 32 * 2 * 4096
    layer = 2 * (4 * 4096 + (4096 + 2 * 1024 + 4096) + 3 * 14336)
    output = 2 * 2 * 4096 + 4 * 128_256
    held = 16 * 8_030_261_248 + 2048 * (inputs + layer + output) + reserve()
    fit = rows(e, 2)[0]
    assert fit.demand == pytest.approx(held, rel=1e-9)
    assert fit.supply == 80 * GIB
    assert fit.hard
    shown = reading(e, 2)
    assert (shown.status, shown.unit) == ("fail", "GiB")
    assert shown.demand == pytest.approx(held / GIB, rel=1e-9)
    assert shown.headroom == pytest.approx(1 - held / (80 * GIB), rel=1e-9)
    assert (e.status, e.exit_code, e.feasible) == ("fail", 2, False)


def test_sharded_over_eight_it_passes():
    """Stage 3: an eighth of 16 bytes, and the 7/8 that it lacks of two layers of 218,112,000."""
    e = train(workload=LLAMA3, parallelism={"zero_stage": 3, "recompute": "full"})
    assert e.state.state == pytest.approx(2 * 8_030_261_248 + 2 * 2 * 218_112_000 * 7 / 8, rel=1e-9)
    assert reading(e, 2).status == "pass"
    assert e.feasible


def test_inference_holds_weights_cache_and_a_little():
    e = infer(seq_len=2048)
    fit = rows(e, 2)[0]
    least = 2 * 6_738_415_616 + 2048 * 2**19 + reserve()
    assert least < fit.demand < 1.001 * least


def test_a_model_larger_than_the_memory_fails():
    """Llama 3 70B in 16 bits: 141 GB on 80 GiB."""
    e = infer("Llama3_70B")
    assert reading(e, 2).status == "fail"
    assert reading(e, 2).demand > 2 * 70.55e9 / GIB
    assert e.exit_code == 2


@pytest.mark.parametrize(
    ("share", "status"), [(0.5, "pass"), (0.94, "pass"), (0.96, "binding"), (1.0, "binding"), (1.01, "fail")]
)
def test_statuses_of_the_capacity(share, status):
    e = train()
    held = with_state(e, memory=share * e.state.capacity)
    assert reading(held, 2).status == status
    assert held.feasible == (status != "fail")


def test_traffic_by_hand():
    """Decoding moves weights, cache and what lies between products: 14 widths of 4096 and 3 of 11008."""
    e = infer(seq_len=2048)
    moved = rows(e, 2)[1]
    assert moved.demand == pytest.approx(
        2 * (6_738_415_616 - 32_000 * 4096 - 65 * 4096) + 2048 * 2**19 + 32 * 2 * (14 * 4096 + 3 * 11008),
        rel=1e-9,
    )
    assert moved.supply == pytest.approx(e.state.time * e.state.bandwidth, rel=1e-9)
    assert moved.by_construction
    assert reading(e, 2).status == "binding"


def test_the_optimizer_moves_its_state():
    """28 bytes for each of an eighth of the parameters, besides the layers' elementwise work."""
    e = train()
    row = rows(e, 2)[1]
    update = row.demand - e.state.stream * e.state.bandwidth
    assert update == pytest.approx(28 * 6_738_415_616 / 8, rel=1e-6)
    assert row.demand <= row.supply

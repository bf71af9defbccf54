"""Fidelity tables: published figures through the look-up, and the rule for what is not there."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.core import registry, yamlfile
from mlsysim.core.provenance import Value
from mlsysim.physics import compression
from mlsysim.physics.compression import Curve

TABLES = registry.root() / "measurements" / "fidelity.yaml"
RAW = yamlfile.load_plain(yamlfile.read_text(TABLES), "fidelity.yaml")


def number(record: Any, like: str) -> float:
    return Value.parse(record, like, "fidelity.yaml").base


CURVES = compression.curves(RAW, number)


def look(family: str, method: str, weights: str, params: float, **more: Any) -> Any:
    asked = {"group": "language", "sparsity": "none", "reach": 2.0} | more
    return compression.look_up(CURVES, family=family, method=method, weights=weights, params=params, **asked)


@pytest.mark.parametrize(
    ("family", "method", "weights", "params", "expected"),
    [
        ("OPT", "gptq", "int4", 175e9, 8.37 / 8.34 - 1),  # GPTQ, WikiText-2
        ("OPT", "gptq", "int3", 175e9, 8.68 / 8.34 - 1),
        ("OPT", "gptq", "int4", 125e6, 31.12 / 27.65 - 1),
        ("BLOOM", "gptq", "int4", 176e9, 8.21 / 8.11 - 1),
        ("Llama 2", "awq", "int4", 7e9, 5.60 / 5.47 - 1),  # AWQ, table 4
        ("Llama 1", "awq", "int3", 65e9, 3.95 / 3.53 - 1),
        ("fairseq", "llm_int8", "int8", 13e9, 0.0),  # LLM.int8, table 1
        ("OPT", "smoothquant", "int8", 175e9, 11.17 / 10.99 - 1),  # SmoothQuant, table 3, O3
        ("BLOOM", "smoothquant", "int8", 176e9, 1 - 67.4 / 68.2),
        ("Llama 1", "smoothquant", "int8", 7e9, 11.56 / 11.51 - 1),
        ("GPT", "fp8_training", "fp8", 175e9, 6.68 / 6.65 - 1),  # FP8 formats
        ("BERT", "ptq_max", "int8", 110e6, 1 - 76.89 / 88.19),
    ],
)
def test_published_figures(family, method, weights, params, expected):
    found = look(family, method, weights, params)
    assert found.loss == pytest.approx(expected, abs=1e-12)
    assert found.measured


@pytest.mark.parametrize(
    ("family", "method", "weights", "sparsity", "params", "expected"),
    [
        ("ResNet", "qat", "int8", "none", 25557032, 1 - 74.9 / 76.4),  # Jacob 2018, table 4.1
        ("ResNet", "prune_retrain", "fp16", "2:4", 25557032, 1 - 76.2 / 76.1),  # Mishra 2021
        ("VGG", "prune_retrain", "fp32", "92.5%", 138e6, 31.34 / 31.50 - 1),  # Han 2015
    ],
)
def test_published_figures_of_vision(family, method, weights, sparsity, params, expected):
    found = look(family, method, weights, params, sparsity=sparsity, group="vision")
    assert found.loss == pytest.approx(expected, abs=1e-12)


def test_pruning_large_models_costs_less():
    small = look("OPT", "sparsegpt", "fp16", 1.3e9, sparsity="50%")
    large = look("OPT", "sparsegpt", "fp16", 175e9, sparsity="50%")
    assert small.loss == pytest.approx(17.46 / 14.62 - 1)
    assert large.loss == pytest.approx(8.21 / 8.35 - 1)
    assert large.loss < 0 < small.loss
    assert look("OPT", "sparsegpt", "fp16", 175e9, sparsity="2:4").loss > large.loss


def test_16_bits_are_the_reference():
    assert look("Llama 3", "anything", "bf16", 8e9).loss == 0.0
    assert look("Llama 3", "sparsegpt", "bf16", 8e9, sparsity="30%") is None


def test_another_family_stands_in_and_says_so():
    found = look("Llama 3", "gptq", "int4", 8e9)
    assert not found.measured
    assert "Llama 3" in found.basis
    assert found.loss == max(
        look(f, "gptq", "int4", 8e9).loss for f in ("OPT", "BLOOM", "Llama 1", "Llama 2")
    )


def test_nothing_else_stands_in():
    assert look("OPT", "gptq", "fp4", 7e9) is None  # no such format
    assert look("OPT", "awq", "int4", 1e6) is None  # no model nearly as small
    assert look("ResNet", "gptq", "int4", 7e9, group="vision") is None  # another kind of model


def test_methods_come_most_measured_first():
    assert compression.methods(CURVES, "language", "int4", "none")[0] == "gptq"
    assert compression.methods(CURVES, "language", "fp4", "none") == ()


def test_every_table_is_sound():
    assert len(CURVES) == len(RAW)
    for curve in CURVES:
        assert list(curve.sizes) == sorted(set(curve.sizes)), curve
        assert not compression.is_reference(curve.weights, curve.sparsity)
        assert all(x > -0.1 for x in curve.losses)
    sources = registry.sources()
    parts = registry.root() / "parts_algorithm_sources.yaml"
    if parts.exists():
        sources = sources | yamlfile.load_plain(yamlfile.read_text(parts), parts.name)
    named = {v["source"] for t in RAW.values() for p in t["points"].values() for v in p.values()}
    assert named <= set(sources)


def curve(losses: list[float]) -> Curve:
    sizes = tuple(1e9 * 2.0**i for i in range(len(losses)))
    return Curve("language", "x", "m", "int4", "fp16", "none", "ppl", sizes, tuple(losses))


some_losses = st.lists(st.floats(-0.1, 10), min_size=1, max_size=6)


@given(some_losses)
def test_measured_sizes_give_measured_losses(losses):
    c = curve(losses)
    assert list(compression.loss_at(c, np.array(c.sizes), 2.0)) == pytest.approx(losses, abs=1e-12)


@given(some_losses, st.floats(1e8, 1e12))
def test_between_the_neighbours(losses, size):
    c = curve(losses)
    found = float(compression.loss_at(c, size, 2.0))
    if size < c.sizes[0] / 2 or size > c.sizes[-1] * 2:
        assert np.isnan(found)
        return
    right = int(np.searchsorted(c.sizes, size))
    near = losses[max(right - 1, 0) : right + 1]
    assert min(near) - 1e-9 <= found <= max(near) + 1e-9


@given(some_losses, st.lists(st.floats(1e8, 1e12), min_size=1, max_size=20))
def test_scalar_equals_array(losses, sizes):
    c = curve(losses)
    whole = compression.loss_at(c, np.array(sizes), 2.0)
    single = [float(compression.loss_at(c, s, 2.0)) for s in sizes]
    np.testing.assert_array_equal(whole, single)


@given(st.floats(1, 100), st.floats(1, 100))
def test_both_directions(dense, compressed):
    lower = compression.relative_loss(dense, compressed, True)
    higher = compression.relative_loss(dense, compressed, False)
    assert lower == -higher
    assert (lower > 0) == (compressed > dense)


def test_curves_take_any_reader():
    seen: list[str] = []

    def reader(record: Any, like: str) -> float:
        seen.append(like)
        return float(record)

    read: Callable[[Any, str], float] = reader
    points = {
        "b": {"params": 2e9, "dense": 10, "compressed": 11},
        "a": {"params": 1e9, "dense": 10, "compressed": 12},
    }
    texts = dict.fromkeys(("group", "family", "method", "weights", "activations", "sparsity", "metric"), "x")
    (found,) = compression.curves({"t": texts | {"better": "lower", "points": points}}, read)
    assert found.sizes == (1e9, 2e9)
    assert found.losses == pytest.approx((0.2, 0.1))
    assert set(seen) == {"param", "1"}

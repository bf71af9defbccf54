"""Low-rank adapters: what frozen weights save, and what adapters add."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_cases import ADAM, DEEPSEEK_V3, LLAMA3_8B, MIXTRAL_8X7B, job
from test_training import ideal, run

from mlsysim.physics import lora
from mlsysim.physics import transformer as tf
from mlsysim.physics.lora import TARGETS, Lora

ALL = Lora(16.0)
targets = st.lists(st.sampled_from(TARGETS), min_size=1, unique=True).map(tuple)


def test_parameters_by_hand():
    """Llama 3 8B: hidden 4096, 14336 wide, keys and values 1024 each; r (in + out) for each product."""
    by_hand = 16 * ((4096 + 6144) + (4096 + 4096) + (4096 + 2 * 14336) + (14336 + 4096))
    assert lora.params(LLAMA3_8B, ALL) == by_hand
    assert lora.params(LLAMA3_8B, Lora(16.0, ("qkv",))) == 16 * (4096 + 6144)
    products = lora.matmuls(LLAMA3_8B, ALL, 1.0, 1.0)
    assert sum(p.inner * p.columns for p in products) == by_hand


def test_routed_experts_have_no_adapters():
    assert lora.params(MIXTRAL_8X7B, Lora(16.0, ("up", "down"))) == 0
    shared = replace(MIXTRAL_8X7B, shared_experts=1.0)
    assert lora.params(shared, Lora(16.0, ("up", "down"))) > 0


def test_frozen_weights_have_no_gradients():
    """Forward and the gradients of inputs: two passes of the products, three of (unfused) attention."""
    j = ideal(lora=Lora(1e-9), accelerators=1.0, batch=4.0)
    tokens = 4 * 4096.0
    scores = LLAMA3_8B.layers * tf.attention_flops(LLAMA3_8B, tokens, 4096.0)
    forward = tf.forward_flops(LLAMA3_8B, tokens, 4096.0)
    step = run(j, microbatch=2)
    assert step.matmul == pytest.approx((2.0 * (forward - scores) + 3.0 * scores) / 1e15, rel=1e-9)
    assert step.matmul == pytest.approx(lora.model_flops(forward, scores) / 1e15, rel=1e-9)


@pytest.mark.parametrize("model", [LLAMA3_8B, DEEPSEEK_V3])
@pytest.mark.parametrize("zero", [0, 1, 2, 3])
def test_state_by_hand(model, zero):
    """Two bytes for each frozen weight, sixteen for each of the adapters, divided as ZeRO says."""
    step = run(job(model=model, lora=ALL, accelerators=8.0), dp=8, zero=zero)
    trained = model.layers * lora.params(model, ALL)
    frozen = ADAM.weights * tf.total_params(model)
    if zero == 3:
        gathered = 2.0 * (tf.layer_params(model) + lora.params(model, ALL)) * 7.0 / 8.0 * ADAM.weights
        assert step.state == pytest.approx(frozen / 8 + trained * 16.0 / 8 + gathered, rel=1e-9)
        return
    own = 2.0 + (2.0 if zero < 2 else 2.0 / 8) + (12.0 if zero < 1 else 12.0 / 8)
    assert step.state == pytest.approx(frozen + trained * own, rel=1e-9)


@given(
    targets,
    st.sampled_from([8.0, 64.0, 256.0]),
    st.sampled_from([LLAMA3_8B, MIXTRAL_8X7B, DEEPSEEK_V3]),
    st.sampled_from([0, 1, 2, 3]),
    st.sampled_from([1, 4]),
)
def test_adapters_never_take_more_memory_than_full_training(chosen, rank, model, zero, tp):
    full = run(job(model=model), tp=tp, dp=64 // tp, zero=zero, sequence_parallel=tp > 1)
    tuned = run(
        job(model=model, lora=Lora(rank, chosen)), tp=tp, dp=64 // tp, zero=zero, sequence_parallel=tp > 1
    )
    assert tuned.state < full.state
    assert tuned.activations <= full.activations * 1.1  # what adapters keep is narrow
    assert tuned.update < full.update
    assert tuned.matmul < full.matmul


@given(targets, st.sampled_from([8.0, 32.0]))
def test_more_adapters_take_more(chosen, rank):
    one, more = Lora(rank, chosen), Lora(2.0 * rank, chosen)
    a, b = (run(job(lora=x), dp=64) for x in (one, more))
    assert b.state > a.state
    assert b.time > a.time
    fewer = run(job(lora=Lora(rank, chosen[:1])), dp=64)
    assert fewer.state <= a.state
    assert fewer.time <= a.time * (1 + 1e-12)


def test_traffic_is_that_of_the_adapters():
    """A reduction of gradients moves as many times less as there are fewer parameters."""
    slow = job(lora=ALL, overlap=0.0)
    full = run(replace(slow, lora=None), dp=64)
    tuned = run(slow, dp=64)
    assert tuned.crossing == pytest.approx(
        full.crossing * LLAMA3_8B.layers * lora.params(LLAMA3_8B, ALL) / tf.total_params(LLAMA3_8B), rel=1e-9
    )
    # ZeRO 3 gathers frozen weights too
    assert np.all(
        run(slow, dp=64, zero=3).crossing > 0.5 * run(replace(slow, lora=None), dp=64, zero=3).crossing
    )


def test_trained_parameters():
    assert lora.trained_params(LLAMA3_8B, None) == tf.total_params(LLAMA3_8B)
    assert lora.trained_params(LLAMA3_8B, ALL) == 32 * lora.params(LLAMA3_8B, ALL)

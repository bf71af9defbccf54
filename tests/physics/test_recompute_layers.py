"""Recomputing some layers of each stage: between none and all, in time and memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_cases import KORTHIKANTI, LLAMA3_8B, MIXTRAL_8X7B, job
from test_training import ideal, parts, run

from mlsysim.physics import training as tr
from mlsysim.physics import transformer as tf

JOBS = {
    "llama": job(),
    "mixtral": job(model=MIXTRAL_8X7B, weights=tr.weights_of(MIXTRAL_8X7B)),
    "unfused": job(fused_attention=False, dropout=True),
}
layouts = st.fixed_dictionaries(
    {
        "tp": st.sampled_from([1, 2, 8]),
        "cp": st.sampled_from([1, 2]),
        "pp": st.sampled_from([1, 2, 4]),
        "microbatch": st.sampled_from([1, 2]),
        "sequence_parallel": st.booleans(),
        "zero": st.sampled_from([0, 1, 2, 3]),
        "overlap_tensor": st.booleans(),
        "overlap_pipeline": st.booleans(),
    }
).map(lambda c: c | {"dp": 64 // (c["tp"] * c["cp"] * c["pp"])})
names = st.sampled_from(sorted(JOBS))
SLACK = 1 + 1e-9


def test_a_layer_more_costs_a_forward_pass_by_hand():
    """One accelerator, four sequences: each of r layers of 2 P_layer s + attention goes forward again."""
    j = ideal(model=replace(LLAMA3_8B, vocab=0.0), accelerators=1.0, batch=4.0)
    one = tf.forward_flops(replace(LLAMA3_8B, vocab=0.0, layers=1.0), 4 * 4096.0, 4096.0) / 1e15
    for r in (0, 1, 5, 31, 32):
        assert run(j, recomputed=r).time == pytest.approx((3 * 32 + r) * one, rel=1e-12)
        assert run(j, recomputed=r).matmul == pytest.approx((3 * 32 + r) * one, rel=1e-12)


def test_the_layers_of_each_stage_by_hand():
    """Four stages of eight layers, 16 microbatches, three layers of each again: 19 passes and the bubble."""
    j = ideal(model=replace(LLAMA3_8B, vocab=0.0), accelerators=4.0, batch=16.0)
    one = tf.forward_flops(replace(LLAMA3_8B, vocab=0.0, layers=1.0), 4096.0, 4096.0) / 1e15
    step = run(j, pp=4, recomputed=3)
    assert step.matmul == pytest.approx(16 * (3 * 8 + 3) * one, rel=1e-12)
    assert step.bubble == pytest.approx(3 * (3 * 8 + 3) * one, rel=1e-12)


def test_memory_of_some_layers_by_hand():
    """Llama 3 8B alone, one sequence: 22 of 32 layers keep all, ten their input of 2 h bytes a token, and one
    is at work; with the output and its 32-bit logits."""
    step = run(job(accelerators=1.0, batch=1.0), recomputed=10)
    layer = 2 * (4 * 4096 + (4096 + 2 * 1024 + 4096) + 3 * 14336)
    output = 2 * 2 * 4096 + 4 * 128_256
    by_hand = 16 * 8_030_261_248 + 4096 * (22 * layer + 10 * 2 * 4096 + layer + output) + 1e9
    assert step.memory == pytest.approx(by_hand, rel=1e-12)


def test_gpt3_with_full_recomputation_keeps_inputs():
    """Korthikanti 2022, table 2: 2 s b h a layer, here whole on each rank; and 34 + 80 over t for the one
    at work."""
    model, _ = KORTHIKANTI["175B"]
    j = ideal(model=model, accelerators=64.0, batch=64.0, seq_len=2048.0, dropout=True)
    step = run(j, tp=8, pp=8, sequence_parallel=False, recompute=2)
    inputs = 96 * 2 * 2048 * 12288
    at_work = 2048 * 12288 * (10 + 24 / 8 + 5 * 96 * 2048 / 12288 / 8)
    assert step.activations == pytest.approx(inputs + at_work, rel=1e-12)


def test_more_layers_than_a_stage_has_are_all():
    for pp in (1, 2, 4):
        c: dict[str, Any] = {"pp": pp, "dp": 64 // pp}
        all_of_them, more = run(job(), **c, recomputed=32 // pp), run(job(), **c, recomputed=1000)
        assert vars(more) == vars(all_of_them)
        assert vars(run(job(), **c, recompute=2)) == vars(all_of_them)


@given(name=names, c=layouts)
def test_time_is_affine_between_none_and_all(name, c):
    """Each layer more costs the same, as long as no traffic hides behind what is recomputed: gradients
    reduced once a step do (stages 0 and 1), and then more work leaves less of them."""
    layers = 32 // c["pp"]
    r = np.arange(layers + 1)
    time = run(JOBS[name], **c, recomputed=r).time
    assert time[0] == pytest.approx(run(JOBS[name], **c).time, rel=1e-12)
    assert time[-1] == pytest.approx(run(JOBS[name], **c, recompute=2).time, rel=1e-12)
    assert (np.diff(time) >= -1e-12 * time[:-1]).all()  # rounding
    whole = run(replace(JOBS[name], overlap=0.0), **c, recomputed=r).time
    assert whole == pytest.approx(whole[0] + r / layers * (whole[-1] - whole[0]), rel=1e-9)


@given(name=names, c=layouts, pp=st.sampled_from([2, 4]), first=st.integers(1, 12), last=st.integers(1, 12))
def test_time_never_falls_with_layers_of_unequal_stages(name, c, pp, first, last):
    c = c | {"pp": pp, "dp": 64 // (c["tp"] * c["cp"] * pp)}
    if pp == 2:
        last = 32 - first
    step = run(JOBS[name], **c, first=first, last=last, recomputed=np.arange(32))
    assert (np.diff(step.time) >= -1e-9 * step.time[:-1]).all()
    assert (np.diff(step.matmul) >= -1e-12 * step.matmul[:-1]).all()


@given(name=names, c=layouts)
def test_memory_falls_with_each_layer_after_the_first(name, c):
    """The first has to hold a layer at work besides, as much as it saves or more with one microbatch in
    flight; all others only save."""
    layers = 32 // c["pp"]
    memory = run(JOBS[name], **c, recomputed=np.arange(layers + 1)).memory
    assert (np.diff(memory[1:]) <= 1e-12 * memory[1:-1]).all()
    assert memory[-1] <= memory[0] * SLACK
    layer, _, _ = parts(JOBS[name], **c)
    assert memory[1] - memory[0] <= layer.kept * SLACK


@given(name=names, c=layouts)
def test_a_layer_saves_all_but_its_input(name, c):
    layer, _, _ = parts(JOBS[name], **c)
    memory = run(JOBS[name], **c, recomputed=np.array([1, 2])).memory
    saved = float(layer.kept - layer.kept_again)
    most = min(c["pp"], float(layer.rounds) * c["pp"]) * saved
    assert saved >= 0.0
    rounding = 1e-12 * memory[0]
    assert saved - rounding <= memory[0] - memory[1] <= most + rounding


@given(name=names, c=layouts, r=st.integers(0, 32))
def test_the_parts_add_up(name, c, r):
    step = run(JOBS[name], **c, recomputed=r)
    assert step.time == pytest.approx(
        step.matmul + step.elementwise + step.exposed + step.bubble + step.update, rel=1e-12
    )
    assert step.memory == pytest.approx(step.state + step.activations + 1e9, rel=1e-12)

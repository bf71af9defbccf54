"""The optimizer on the host (Ren 2021): what it frees, and what it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_cases import ADAM, IDEAL, MIXTRAL_8X7B, job
from test_training import ideal, run

from mlsysim.physics import training as tr
from mlsysim.physics import transformer as tf

JOBS = {"llama": job(), "mixtral": job(model=MIXTRAL_8X7B, weights=tr.weights_of(MIXTRAL_8X7B))}
PARAMS = 8_030_261_248
layouts = st.fixed_dictionaries(
    {
        "tp": st.sampled_from([1, 2, 8]),
        "cp": st.sampled_from([1, 2]),
        "pp": st.sampled_from([1, 2, 4]),
        "ep": st.sampled_from([1, 2]),
        "recomputed": st.sampled_from([0, 4]),
        "zero": st.sampled_from([0, 1, 2, 3]),
    }
).map(lambda c: c | {"dp": 64 // (c["tp"] * c["cp"] * c["pp"])})
names = st.sampled_from(sorted(JOBS))


def test_zero_offload_of_one_accelerator():
    """Ren 2021, section 4: of 16 bytes a parameter 4 stay (weights, gradients), 12 are on the host."""
    j = ideal(accelerators=1.0, batch=1.0)
    here, away = run(j), run(j, offload=True)
    assert here.state == pytest.approx(16 * PARAMS, rel=1e-12)
    assert away.state == pytest.approx(4 * PARAMS, rel=1e-12)
    assert away.host == pytest.approx(12 * PARAMS, rel=1e-12)
    assert here.host == 0.0


@pytest.mark.parametrize(("zero", "copies"), [(0, 1), (1, 8), (2, 8), (3, 8)])
def test_each_rank_updates_its_share_on_the_host(zero, copies):
    """From stage 1 on a rank has an eighth: 28 bytes a parameter in the host's memory at 50 GB/s, and
    gradients down and weights up, 2 bytes each, at 64 GB/s."""
    j = ideal(accelerators=8.0)
    step = run(j, dp=8, zero=zero, offload=True)
    assert step.host == pytest.approx(12 * PARAMS / copies, rel=1e-12)
    assert step.update == pytest.approx(PARAMS / copies * (28 / 50e9 + 4 / 64e9), rel=1e-12)


def test_experts_go_to_the_host_too():
    """Mixtral on 8 ranks, experts over 8: an eighth of them, and all of the rest."""
    expert = 32 * 8 * 3 * 4096 * 14336
    held = tf.total_params(MIXTRAL_8X7B) - expert + expert / 8
    j = ideal(model=MIXTRAL_8X7B, weights=tr.weights_of(MIXTRAL_8X7B), accelerators=8.0)
    here, away = (run(j, dp=8, ep=8, offload=o) for o in (False, True))
    assert here.state - away.state == pytest.approx(12 * held, rel=1e-12)
    assert away.host == pytest.approx(12 * held, rel=1e-12)


@given(name=names, c=layouts)
def test_offloading_saves_the_optimizer_and_nothing_else(name, c):
    """On the stage that holds the most state: what leaves it is 12 bytes of the 16, or the share of ZeRO."""
    here, away = (run(JOBS[name], **c, offload=o) for o in (False, True))
    assert away.memory <= here.memory
    assert away.state <= here.state
    without = run(replace(JOBS[name], state=replace(ADAM, optimizer=0.0)), **c)
    assert away.state == pytest.approx(without.state, rel=1e-12)
    assert away.memory == pytest.approx(without.memory, rel=1e-12)
    # and it is all on the host: an even split's fullest stage
    assert here.state - away.state <= away.host * (1 + 1e-9)
    if c["pp"] == 1:
        assert here.state - away.state == pytest.approx(away.host, rel=1e-9)


@given(name=names, c=layouts)
def test_offloading_only_changes_the_update(name, c):
    here, away = (run(JOBS[name], **c, offload=o) for o in (False, True))
    assert away.time - away.update == pytest.approx(here.time - here.update, rel=1e-9)
    for field in ("matmul", "elementwise", "exposed", "bubble", "crossing"):
        assert getattr(here, field) == getattr(away, field), field


@given(name=names, c=layouts, factor=st.floats(1.0, 100.0))
def test_a_faster_host_is_never_slower(name, c, factor):
    j = JOBS[name]
    base = run(j, **c, offload=True).time
    for better in (
        replace(j, host_link=factor * j.host_link),
        replace(j, host_bandwidth=factor * j.host_bandwidth),
    ):
        assert run(better, **c, offload=True).time <= base * (1 + 1e-12)


def test_a_host_as_fast_as_the_accelerator_costs_the_link():
    chip = replace(IDEAL, bandwidth=1e12, bandwidth_share=0.5)
    j = ideal(chip=chip, accelerators=1.0, batch=1.0, host_bandwidth=0.5e12, host_link=64e9)
    here, away = run(j), run(j, offload=True)
    assert away.update - here.update == pytest.approx(4 * PARAMS / 64e9, rel=1e-9)

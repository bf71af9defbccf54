"""Traffic that hides behind compute, and what moving it takes from the accelerator."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_cases import IDEAL, LLAMA3_8B, MIXTRAL_8X7B, job
from test_training import WIRE, ideal, parts, run

from mlsysim.physics import training as tr
from mlsysim.physics import transformer as tf
from mlsysim.physics.collectives import Network, Tier
from mlsysim.physics.traffic import traffic_left

JOBS = {
    "llama": job(),
    "mixtral": job(model=MIXTRAL_8X7B, weights=tr.weights_of(MIXTRAL_8X7B)),
    "slow": job(network=Network(Tier(20e9, 1e-6), Tier(2e9, 5e-6), 8.0)),
}
layouts = st.fixed_dictionaries(
    {
        "tp": st.sampled_from([1, 2, 4, 8]),
        "cp": st.sampled_from([1, 2]),
        "pp": st.sampled_from([1, 2, 4]),
        "interleave": st.sampled_from([1, 2, 4]),
        "microbatch": st.sampled_from([1, 2]),
        "recomputed": st.sampled_from([0, 2, 8]),
        "sequence_parallel": st.booleans(),
        "zero": st.sampled_from([0, 1, 2, 3]),
        "overlap_gradients": st.booleans(),
        "overlap_tensor": st.booleans(),
        "overlap_pipeline": st.booleans(),
    }
).map(
    lambda c: (
        c | {"dp": 64 // (c["tp"] * c["cp"] * c["pp"]), "interleave": c["interleave"] if c["pp"] > 1 else 1}
    )
)
names = st.sampled_from(sorted(JOBS))
flags = st.sampled_from(["overlap_gradients", "overlap_tensor", "overlap_pipeline"])
seconds = st.floats(0.0, 1e6)
shares = st.floats(0.0, 1.0)
SLACK = 1 + 1e-9


# -- the law of what is left ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bare", "rest", "work", "share", "left"),
    [
        (1.0, 4.0, 10.0, 0.0, 1.0),  # all of it hides for nothing
        (1.0, 4.0, 3.0, 0.0, 2.0),
        (1.0, 4.0, 10.0, 0.25, 2.0),  # a quarter of the accelerator moves data for 4 s
        (1.0, 4.0, 0.0, 0.25, 5.0),  # nothing to hide behind
        (1.0, 4.0, 10.0, 1.0, 5.0),  # an accelerator that does nothing else
        (1.0, 4.0, 2.0, 0.25, 3.5),
        (0.0, 0.0, 0.0, 0.5, 0.0),
    ],
)
def test_what_is_left_by_hand(bare, rest, work, share, left):
    assert traffic_left(bare, rest, work, share) == pytest.approx(left, rel=1e-12)


@given(bare=seconds, rest=seconds, work=seconds, share=shares)
def test_what_is_left_lies_between_all_and_what_nothing_hides(bare, rest, work, share):
    left = traffic_left(bare, rest, work, share)
    assert bare / SLACK <= left <= (bare + rest) * SLACK
    assert traffic_left(bare, rest, work, 0.0) == pytest.approx(bare + max(0.0, rest - work), rel=1e-12)
    # no time is gained on the wire, nor on the accelerator, whose senders do no other work meanwhile
    assert work + left >= max(bare + rest, work + bare + share * rest) / SLACK
    # and no more is lost than what the senders would have done of the work
    assert work + left <= (max(bare + rest, work + bare + share * rest) + share * min(rest, work)) * SLACK


@given(bare=seconds, rest=seconds, work=seconds, share=shares, more=st.floats(0.0, 1e5))
def test_what_is_left_is_monotone(bare, rest, work, share, more):
    left = traffic_left(bare, rest, work, share)
    assert traffic_left(bare + more, rest, work, share) >= left / SLACK
    assert traffic_left(bare, rest + more, work, share) >= left / SLACK
    assert traffic_left(bare, rest, work + more, share) <= left * SLACK
    assert work + more + traffic_left(bare, rest, work + more, share) >= (work + left) / SLACK
    assert traffic_left(bare, rest, work, min(1.0, share + more / 1e5)) >= left / SLACK


# -- tensor-parallel traffic ----------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_products_hide_the_traffic_of_their_own(share):
    """Shoeybi's four all-reduces a layer, of which an eighth of ranks' parts has nothing to hide behind
    (Wang 2022): on a fast machine all else hides."""
    j = ideal(network=WIRE, accelerators=8.0, batch=16.0, chip=replace(IDEAL, peak=1e12), sender_share=share)
    all_reduce = 2 * 7 / 8 * 4096 * 4096 * 2 / 100e9
    shown, hidden = (run(j, tp=8, overlap_tensor=o) for o in (False, True))
    assert shown.exposed == pytest.approx(16 * 32 * 4 * all_reduce, rel=1e-12)
    left = 1 / 8 + share * 7 / 8
    assert hidden.exposed == pytest.approx(16 * 32 * 4 * left * all_reduce, rel=1e-12)
    assert shown.time - hidden.time == pytest.approx(shown.exposed - hidden.exposed, rel=1e-9)


def test_slow_links_show_what_products_leave():
    """Products of the layer forward, and twice as much backward; attention hides nothing of it."""
    slow = Network(Tier(1e9, 0.0), Tier(1e9, 0.0), 1e9)
    j = ideal(network=slow, accelerators=8.0, batch=8.0)
    layer, _, _ = parts(j, tp=8, overlap_tensor=True)
    products = 2 * 4096 * 218_103_808 / 8 / 1e15
    two = 2 * 2 * 7 / 8 * 4096 * 4096 * 2 / 1e9
    assert layer.exposed == pytest.approx(2 * two - 3 * products, rel=1e-12)
    assert layer.again_exposed == pytest.approx(two - products, rel=1e-12)


def test_products_bound_by_memory_hide_traffic_too():
    """Twice the peak is of no use to products that wait for memory, and does no harm: their time, not their
    operations, is what traffic hides behind."""
    slow = Network(Tier(20e9, 0.0), Tier(20e9, 0.0), 1e9)
    chip = replace(IDEAL, peak=1e18, bandwidth=1e12)
    times = [
        run(
            ideal(network=slow, accelerators=8.0, batch=8.0, chip=replace(chip, peak=peak)),
            tp=8,
            overlap_tensor=True,
        ).time
        for peak in (1e18, 2e18)
    ]
    assert times[1] <= times[0]


def test_one_rank_has_no_traffic_to_hide():
    for overlap in (False, True):
        layer, _, _ = parts(job(), tp=1, overlap_tensor=overlap)
        assert layer.exposed == 0.0


# -- sends between stages ---------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_only_the_fill_of_a_pipeline_shows(share):
    """Two stages of two chunks, 16 microbatches: 64 sends hide at the senders' cost, two do not."""
    j = ideal(network=WIRE, accelerators=2.0, batch=16.0, sender_share=share, chip=replace(IDEAL, peak=1e13))
    hop = 4096 * 4096 * 2 / 100e9
    shown, hidden = (run(j, pp=2, interleave=2, overlap_pipeline=o).exposed for o in (False, True))
    assert shown == pytest.approx((16 * 4 + 2) * hop, rel=1e-12)
    assert hidden == pytest.approx((share * 16 * 4 + 2) * hop, rel=1e-12)


def test_work_hides_sends_and_gradients_once():
    """A step is never shorter than what its accelerators send over the one network: stage 3 gathers weights
    for each microbatch, and activations go between the stages meanwhile."""
    model = replace(LLAMA3_8B, vocab=0.0)
    for bandwidth in (1e9, 1e10, 1e11, 3e11):
        wire = Tier(bandwidth, 0.0)
        j = ideal(
            model=model,
            weights=tr.weights_of(model),
            network=Network(wire, wire, 1e9),
            accelerators=32.0,
            batch=512.0,
        )
        for pp, v in ((2, 16), (4, 8), (8, 4)):
            c: dict[str, Any] = {"pp": pp, "interleave": v, "dp": 32 // pp, "zero": 3}
            layer, pipe, shard = parts(j, **c, overlap_pipeline=True)
            sent = layer.rounds * (
                pipe.stages * pipe.sends * pipe.hop_per_byte * layer.boundary
                + shard.gather_bare
                + shard.gather_rest
            )
            assert tr.step(j, layer, pipe, shard).time >= sent


# -- gradients --------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize(("zero", "passes"), [(0, 2), (1, 2)])
def test_the_last_layers_bucket_shows(share, zero, passes):
    """Li 2020: all buckets but that of the layer reached last go out while the backward pass goes on."""
    j = ideal(
        network=WIRE,
        accelerators=64.0,
        batch=64.0,
        sender_share=share,
        chip=replace(IDEAL, peak=1e14),
        overlap=1.0,
    )
    one = passes * 63 / 64 * 2 * 8_030_261_248 / 100e9
    assert run(j, dp=64, zero=zero, overlap_gradients=False).exposed == pytest.approx(one, rel=1e-12)
    found = run(j, dp=64, zero=zero).exposed
    assert found == pytest.approx(one * (1 / 32 + share * 31 / 32), rel=1e-12)


def test_the_last_gather_of_stage_2_has_nothing_to_hide_behind():
    """Four microbatches: their four scatters hide but for a 32nd, the gather of new weights does not."""
    j = ideal(network=WIRE, accelerators=64.0, batch=256.0, chip=replace(IDEAL, peak=1e14))
    one = 63 / 64 * 2 * 8_030_261_248 / 100e9
    assert run(j, dp=64, zero=2).exposed == pytest.approx((4 / 32 + 1) * one, rel=1e-12)


def test_what_is_recomputed_hides_gradients_too():
    """The forward pass that comes again before a layer's backward pass is time that buckets travel in."""
    model = replace(LLAMA3_8B, vocab=0.0)
    forward = tf.forward_flops(model, 4096.0, 4096.0) / 1e15  # unfused: the whole square
    wire = Tier(1e9, 0.0)
    j = ideal(
        model=model,
        weights=tr.weights_of(model),
        network=Network(wire, wire, 1e9),
        accelerators=8.0,
        batch=8.0,
    )
    none, some = (run(j, dp=8, recomputed=r) for r in (0, 8))
    assert none.exposed - some.exposed == pytest.approx(8 / 32 * forward, rel=1e-9)
    assert none.time == pytest.approx(some.time, rel=1e-12)


# -- laws of the step -------------------------------------------------------------------------------


@given(name=names, c=layouts, flag=flags, share=shares)
def test_hiding_is_never_slower(name, c, flag, share):
    """Whatever it takes from the accelerator: at worst what it took in the open."""
    j = replace(JOBS[name], sender_share=share)
    shown, hidden = (run(j, **(c | {flag: o})) for o in (False, True))
    assert hidden.time <= shown.time * SLACK
    assert hidden.memory == shown.memory


@given(name=names, c=layouts, shares=st.tuples(shares, shares))
def test_senders_never_make_a_step_shorter(name, c, shares):
    less, more = sorted(shares)
    times = [run(replace(JOBS[name], sender_share=s), **c).time for s in (0.0, less, more, 1.0)]
    assert all(a <= b * SLACK for a, b in pairwise(times))
    shown = run(JOBS[name], **(c | {k: False for k in c if k.startswith("overlap")})).time
    assert times[-1] == pytest.approx(shown, rel=1e-9)


@given(name=names, c=layouts, share=shares)
def test_parts_add_up_and_none_is_negative(name, c, share):
    step = run(replace(JOBS[name], sender_share=share), **c)
    assert step.time == pytest.approx(
        step.matmul + step.elementwise + step.exposed + step.bubble + step.update, rel=1e-12
    )
    assert min(step.matmul, step.elementwise, step.exposed, step.bubble, step.update) >= 0


@given(name=names, c=layouts, share=shares, factor=st.floats(1.0, 100.0))
def test_better_machines_are_never_slower(name, c, share, factor):
    j = replace(JOBS[name], sender_share=share)
    up, out, chip = j.network.up, j.network.out, j.chip
    base = run(j, **c).time
    for change in (
        {"chip": replace(chip, peak=factor * chip.peak)},
        {"chip": replace(chip, bandwidth=factor * chip.bandwidth)},
        {"network": replace(j.network, up=replace(up, bandwidth=factor * up.bandwidth))},
        {"network": replace(j.network, out=replace(out, bandwidth=factor * out.bandwidth))},
        {"network": replace(j.network, up=replace(up, latency=0.0), out=replace(out, latency=0.0))},
    ):
        assert run(replace(j, **change), **c).time <= base * SLACK


def test_arrays_agree_with_scalars():
    rng = np.random.default_rng(0)
    n = 60
    c: dict[str, Any] = {
        "tp": rng.choice([1, 2, 4, 8], n),
        "cp": rng.choice([1, 2], n),
        "pp": rng.choice([1, 2, 4], n),
        "recomputed": rng.choice([0, 1, 8], n),
        "first": rng.choice([0, 8], n),
        "zero": rng.choice([0, 1, 2, 3], n),
        "overlap_gradients": rng.choice([True, False], n),
        "overlap_tensor": rng.choice([True, False], n),
        "overlap_pipeline": rng.choice([True, False], n),
        "offload": rng.choice([True, False], n),
    }
    c["interleave"] = np.where(c["pp"] > 1, 2, 1)
    c["dp"] = 64 // (c["tp"] * c["cp"] * c["pp"])
    j = replace(JOBS["slow"], sender_share=0.15)
    many = run(j, **c)
    for i in range(n):
        one = run(j, **{k: v[i].item() for k, v in c.items()})
        for field, value in vars(one).items():
            here = np.broadcast_to(getattr(many, field), n)[i]
            assert math.isclose(here, float(value), rel_tol=1e-12, abs_tol=1e-15), field

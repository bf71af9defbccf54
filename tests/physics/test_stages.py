"""Stages of a pipeline, equal and not, against schedules that are played event by event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_cases import KORTHIKANTI, LLAMA3_8B, job
from test_training import ideal, parts, run

from mlsysim.core.layout import ends
from mlsysim.physics import pipeline
from mlsysim.physics import training as tr
from mlsysim.physics.job import Job
from mlsysim.physics.schedule import play

SLACK = 1 + 1e-9


def small(layers: int, vocab: float = 0.0, **changes: Any) -> Job:
    """A model of few layers on ideal machines; without a vocabulary all of its time is in layers."""
    model = replace(LLAMA3_8B, layers=float(layers), vocab=vocab)
    return ideal(model=model, weights=tr.weights_of(model), **changes)


def split_of(layers: int, p: int, first: int, last: int) -> list[int]:
    """The layers of each stage, those between the ends as even as can be, the fullest first."""
    if p == 1:
        return [layers]
    between = layers - first - last
    middle = [between // (p - 2) + (i < between % (p - 2)) for i in range(p - 2)] if p > 2 else []
    return [first, *middle, last]


@st.composite
def splits(draw: st.DrawFn) -> tuple[int, int, int, int, int, int]:
    """Layers, stages, ends, microbatches, layers recomputed; stages between the ends are equal."""
    p, n, m = draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 14))
    first, last = (draw(st.integers(1, 6)) for _ in range(2))
    layers = first + last + (p - 2) * n if p > 1 else n
    return layers, p, first, last, m, draw(st.integers(0, 6))


def times(j: Job, split: list[int], recomputed: int) -> tuple[list[float], list[float]]:
    """Forward and backward time of each stage for one microbatch; a third of the head's is forward."""
    layer, _, _ = parts(j)
    once, again = float(layer.matmul + layer.elementwise), float(layer.again_matmul + layer.again_elementwise)
    forward = [again * n for n in split]
    backward = [(once - again) * n + again * min(recomputed, n) for n in split]
    head = float(layer.head + layer.head_stream)
    return [*forward[:-1], forward[-1] + head / 3], [*backward[:-1], backward[-1] + 2 * head / 3]


# -- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("v", [1, 2, 3])
@pytest.mark.parametrize("p", [2, 3, 4, 5])
@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_equal_stages_take_what_the_schedule_takes(p, v, rounds):
    """Exact for 1F1B and for its interleaved form: (p - 1) / v of a stage's time on top."""
    m = p * rounds
    j = small(6 * p, accelerators=float(p), batch=float(m))
    forward, backward = times(j, [6] * p, 0)
    played = play(forward, backward, m, v).time
    assert run(j, pp=p, interleave=v).time == pytest.approx(played, rel=1e-12)
    assert played == pytest.approx((forward[0] + backward[0]) * (m + (p - 1) / v), rel=1e-12)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_a_pipeline_that_does_not_fill_takes_as_long(m):
    """Fewer microbatches than the four stages."""
    j = small(24, accelerators=4.0, batch=float(m))
    assert run(j, pp=4).time == pytest.approx(play(*times(j, [6] * 4, 0), m).time, rel=1e-12)


@given(c=splits(), vocab=st.sampled_from([0.0, 32000.0, 512000.0]))
def test_1f1b_with_unequal_stages(c, vocab):
    """(m - 1) of the slowest and one of each: never less than 1F1B takes, exact where no stage is slower
    than the last, and otherwise more by no more than one microbatch of each stage after the slowest."""
    layers, p, first, last, m, recomputed = c
    j = small(layers, vocab, accelerators=float(p), batch=float(m))
    split = split_of(layers, p, first, last)
    forward, backward = times(j, split, recomputed)
    played = play(forward, backward, m).time
    found = float(run(j, pp=p, first=first, last=last, recomputed=recomputed).time)
    whole = [f + b for f, b in zip(forward, backward, strict=True)]
    assert found == pytest.approx((m - 1) * max(whole) + sum(whole), rel=1e-9)
    assert found >= played / SLACK
    slowest = max(s for s in range(p) if whole[s] >= max(whole) / SLACK)
    assert found <= (played + sum(whole[slowest + 1 :])) * SLACK
    if slowest == p - 1:
        assert found == pytest.approx(played, rel=1e-9)


@pytest.mark.parametrize("ends_less", [(1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize(("p", "v"), [(3, 2), (4, 2), (4, 3), (6, 3)])
@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_interleaved_pipelines_with_shorter_ends(ends_less, p, v, rounds):
    """Never less than the schedule takes, exact where the last stage is whole, and otherwise more by no
    more than one chunk of the last stage."""
    m, n = p * rounds, 2 * v
    first, last = n - ends_less[0], n - ends_less[1]
    j = small(first + last + (p - 2) * n, accelerators=float(p), batch=float(m))
    forward, backward = times(j, split_of(first + last + (p - 2) * n, p, first, last), 0)
    played = play(forward, backward, m, v).time
    found = float(run(j, pp=p, interleave=v, first=first, last=last).time)
    assert found >= played / SLACK
    if last == n:
        assert found == pytest.approx(played, rel=1e-9)
    else:
        assert found <= (played + (forward[-1] + backward[-1]) / v) * SLACK


def test_a_lighter_last_stage_makes_room_for_the_head():
    """A head worth four layers: the last of three stages holds four fewer, and nothing is unequal."""
    layer, _, _ = parts(small(20))
    one = float(layer.matmul)
    # three products of the head for tokens x hidden x vocab
    vocab = 4 * one * 1e15 / (3 * 2 * 4096 * 4096)
    j = small(20, vocab, accelerators=3.0, batch=6.0)
    assert float(parts(j)[0].head) == pytest.approx(4 * one, rel=1e-12)
    step = run(j, pp=3, first=8, last=4)
    assert step.time == pytest.approx(8 * one * (6 + 2), rel=1e-12)
    # 1F1B's own bubble and no more
    assert step.bubble / step.matmul == pytest.approx(2 / 6, rel=1e-12)
    assert run(j, pp=3).time > step.time


def test_the_average_accelerator_waits_for_the_fullest():
    """Ten layers over four stages, 3 + 3 + 3 + 1, eight microbatches: 7 x 3 + 10 layers pass, of which
    the average stage works 8 x 2.5."""
    j = small(10, accelerators=4.0, batch=8.0)
    step = run(j, pp=4)
    one = float(parts(j)[0].matmul)
    assert step.time == pytest.approx((7 * 3 + 10) * one, rel=1e-12)
    assert step.matmul == pytest.approx(8 * 2.5 * one, rel=1e-12)
    assert step.bubble == pytest.approx((31 - 20) * one, rel=1e-12)


@given(c=splits(), v=st.sampled_from([1, 2, 4]))
def test_the_parts_of_unequal_stages_add_up(c, v):
    layers, p, first, last, m, recomputed = c
    j = job(accelerators=float(p), batch=float(m), reserve=1e9)
    j = replace(j, model=replace(LLAMA3_8B, layers=float(layers)))
    j = replace(j, weights=tr.weights_of(j.model))
    step = run(j, pp=p, first=first, last=last, recomputed=recomputed, interleave=v if p > 1 else 1)
    assert step.time == pytest.approx(
        step.matmul + step.elementwise + step.exposed + step.bubble + step.update, rel=1e-12
    )
    assert step.memory == pytest.approx(step.state + step.activations + 1e9, rel=1e-12)
    assert min(step.bubble, step.activations) >= 0


# -- the split ------------------------------------------------------------------------------------


@given(layers=st.integers(1, 200), p=st.integers(1, 64), v=st.sampled_from([0, 1, 2]))
def test_stages_hold_all_layers(layers, p, v):
    """As even as can be, or with one end or both given: no layer is lost and none is twice there."""
    if p > layers:
        return
    given_first, given_last = ((0, 0), (1, 0), (0, 1))[v]
    if layers - given_first - given_last < p - (v > 0):
        return
    a, b = (int(x) for x in ends(layers, np.array(p), np.array(given_first), np.array(given_last)))
    if p == 1:
        assert (a, b) == (layers, layers)
        return
    assert not given_first or a == given_first
    assert not given_last or b == given_last
    assert min(a, b) >= 1
    if p == 2:
        assert a + b == layers
    middle = float(pipeline.middle_layers(layers, p, a, b))
    assert middle * (p - 2) >= layers - a - b
    assert p == 2 or layers - a - b > (middle - 1) * (p - 2)
    if v == 0:
        assert max(a, b, middle) == -(-layers // p)


def test_the_even_split_of_llama_405b():
    """126 layers over 16 stages: 14 full ones of 8, and two layers are missing at the end."""
    assert [int(x) for x in ends(126.0, np.array(16), np.array(0), np.array(0))] == [8, 6]
    assert [int(x) for x in ends(126.0, np.array(16), np.array(7), np.array(0))] == [7, 7]
    assert [int(x) for x in ends(32.0, np.array(2), np.array(5), np.array(0))] == [5, 27]


@given(c=splits())
def test_layers_that_are_recomputed_are_counted_by_stage(c):
    layers, p, first, last, _, recomputed = c
    _, pipe, _ = parts(small(layers), pp=p, first=first, last=last, recomputed=recomputed)
    split = split_of(layers, p, first, last)
    assert pipe.again_total == sum(min(recomputed, n) for n in split)
    assert pipe.fullest == max(split)
    assert pipe.again_fullest == min(recomputed, max(split))
    assert pipe.plain_last + pipe.again_last == split[-1]


@given(layers=st.integers(2, 60), p=st.integers(2, 16), recomputed=st.integers(0, 8))
def test_an_even_split_counts_its_uneven_middle(layers, p, recomputed):
    if p > layers:
        return
    a, b = (int(x) for x in ends(layers, np.array(p), np.array(0), np.array(0)))
    _, pipe, _ = parts(small(layers), pp=p, recomputed=recomputed)
    assert pipe.again_total == sum(min(recomputed, n) for n in split_of(layers, p, a, b))


# -- memory ---------------------------------------------------------------------------------------


def by_stage(j: Job, split: list[int], m: int, v: int, recomputed: int, **c: Any) -> float:
    """Memory of the fullest stage, each stage counted by what a played schedule holds."""
    p = len(split)
    layer, _, shard = parts(j, pp=p, **c)
    held = play([1.0] * p, [2.0] * p, m, v).held
    found = []
    for s, n in enumerate(split):
        again = min(recomputed, n)
        state = n * float(shard.layer) + min(n, 2) * float(shard.gathered)
        state += float(shard.first) if s == 0 else 0.0
        state += float(shard.last) if s == p - 1 > 0 else 0.0
        kept = (n - again) * float(layer.kept) + again * float(layer.kept_again)
        output = float(layer.head_kept) if s == p - 1 else 0.0
        found.append(state + kept * held[s] / v + output)
    return max(found) + (float(layer.kept) if recomputed else 0.0) + j.reserve


@given(c=splits(), zero=st.sampled_from([0, 1, 3]), selective=st.booleans())
def test_memory_stage_by_stage(c, zero, selective):
    """Every stage counted on its own: first, middle and last, full pipelines and those with fewer
    microbatches than stages."""
    layers, p, first, last, m, recomputed = c
    j = small(layers, 32000.0, accelerators=float(p), batch=float(m), reserve=1e9)
    decided: dict[str, Any] = {"zero": zero, "recompute": int(selective)}
    step = run(j, pp=p, first=first, last=last, recomputed=recomputed, **decided)
    counted = by_stage(j, split_of(layers, p, first, last), m, 1, recomputed, **decided)
    assert step.memory == pytest.approx(counted, rel=1e-12)


@pytest.mark.parametrize("v", [2, 3])
@pytest.mark.parametrize("p", [2, 3, 4, 6])
@pytest.mark.parametrize("rounds", [1, 2, 3])
@pytest.mark.parametrize("less", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_memory_of_interleaved_stages(v, p, rounds, less):
    n, m = 2 * v, p * rounds
    split = [n - less[0], *[n] * (p - 2), n - less[1]]
    j = small(sum(split), 256000.0, accelerators=float(p), batch=float(m))
    step = run(j, pp=p, interleave=v, first=split[0], last=split[-1], recomputed=v)
    assert step.memory == pytest.approx(by_stage(j, split, m, v, v), rel=1e-12)


@pytest.mark.parametrize(("interleave", "layers"), [(1, 96), (3, 96 * (1 + 7 / 24))])
def test_the_first_stage_of_gpt3_holds_korthikantis_layers(interleave, layers):
    """Equation 4 and section 4.2.3, with and without a first stage that is given as what it is."""
    model, _ = KORTHIKANTI["175B"]
    j = ideal(model=model, accelerators=64.0, batch=64.0, seq_len=2048.0, dropout=True)
    for first in (0, 12):
        step = run(j, tp=8, pp=8, interleave=interleave, sequence_parallel=True, first=first, last=first)
        assert step.activations == pytest.approx(layers * 2048 * 12288 * 114 / 8, rel=1e-12)


def test_a_first_stage_with_fewer_layers_makes_the_second_the_fullest():
    """Four stages, 2 + 10 + 10 + 10 layers, eight microbatches: 4 x 2 layers' worth on the first, 3 x 10 on
    the second."""
    j = small(32, accelerators=4.0, batch=8.0, fused_attention=True)
    layer, _, shard = parts(j, pp=4)
    step = run(j, pp=4, first=2, last=10)
    assert step.memory == pytest.approx(10 * shard.layer + 30 * layer.kept, rel=1e-12)

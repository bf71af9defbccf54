"""What an evaluation is made of adds up to it."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlsysim
from mlsysim import Layout, SystemEvaluator
from mlsysim.core.evaluation import evaluate
from mlsysim.core.fleet_plan import is_fleet, opened
from mlsysim.core.inside import memory_parts, operators_of, time_parts, timeline_of
from mlsysim.core.layout import columns_of, layer_of, pipeline_of
from mlsysim.physics import schedule

EXAMPLES = Path(__file__).parents[2] / "examples"
ONE_JOB = [
    p
    for p in sorted(EXAMPLES.glob("*.yaml"))
    if not is_fleet(opened(p)) and p.stem not in ("wafer_streaming", "serving_mix")
]
CLUSTER = mlsysim.scenario(EXAMPLES / "example_cluster.yaml")
LAYOUTS = [
    Layout(tp=8, pp=8, dp=8, interleave=2),
    Layout(tp=8, pp=8, dp=8, recompute="full", recompute_layers=3),
    Layout(tp=4, pp=4, dp=32, zero_stage=1, recompute="selective", sequence_parallel=True),
    Layout(tp=2, dp=256, zero_stage=3, recompute="full"),
    Layout(tp=8, pp=5, dp=8, first_stage_layers=14, last_stage_layers=15),
]


def adds_up(e):
    found = operators_of(e)
    together = sum(x.time for x in found)
    if e.layout is not None:
        assert together == pytest.approx(e.state.matmul + e.state.stream, rel=1e-9)
    else:
        assert together + e.state.exposed == pytest.approx(e.state.time, rel=1e-9)
    assert all(x.moved > 0 and x.time > 0 for x in found)
    assert sum(p.value for p in time_parts(e)) == pytest.approx(e.state.time, rel=1e-9)
    assert sum(p.value for p in memory_parts(e)) == pytest.approx(e.state.memory, rel=1e-9)


@pytest.mark.parametrize("path", ONE_JOB, ids=lambda p: p.stem)
def test_parts_of_the_examples_add_up(path):
    adds_up(mlsysim.evaluate_plan(path))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_parts_of_layouts_add_up(layout):
    adds_up(evaluate(replace(CLUSTER, accelerators=_count(layout)), layout))


def _count(c):
    return c.tp * c.cp * c.pp * c.dp


@pytest.mark.parametrize("model", ["Llama3_8B", "DeepSeek_V3", "Mixtral_8x7B", "ResNet50", "BERT_Large"])
@pytest.mark.parametrize("precision", ["bf16", "fp8"])
def test_parts_of_a_pass_add_up(model, precision):
    adds_up(SystemEvaluator.evaluate("", model, "H100", 8, precision))


def test_no_operator_is_above_the_roof():
    """Attention aside, whose masked half counts for nothing and whose backward pass is done again."""
    for e in (
        SystemEvaluator.evaluate("", "Llama3_8B", "H100", 64),
        SystemEvaluator.evaluate("", "Llama3_8B", "H100", 64, phase="training"),
        evaluate(CLUSTER),
    ):
        chip = e.scenario.chip
        for x in operators_of(e):
            assert x.rate <= min(chip.peak, x.intensity * chip.bandwidth) * (1 + 1e-9), x


def test_a_wait_for_the_host_is_no_operator():
    e = SystemEvaluator.evaluate("", "Qwen3_30B_A3B", "H100", 8, "fp8", phase="training")
    assert sum(x.time for x in operators_of(e)) < e.state.matmul + e.state.stream


# -- the pipeline -----------------------------------------------------------------------------------


def parts(s, layout):
    c = columns_of(layout, s.job.weights.layers)
    return layer_of(s.job, c), pipeline_of(s.job, c)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_stages_do_all_of_the_work(layout):
    """What all stages take for a microbatch is the work of the average one, times the stages."""
    s = replace(CLUSTER, accelerators=_count(layout))
    layer, pipe = parts(s, layout)
    forward, backward = schedule.stage_times(s.job.weights.layers, layer, pipe)
    assert len(forward) == len(backward) == layout.pp
    whole = (layer.matmul + layer.elementwise + layer.exposed) * s.job.weights.layers
    again = (layer.again_matmul + layer.again_elementwise + layer.again_exposed) * pipe.again_total
    head = layer.head + layer.head_stream
    assert sum(forward) + sum(backward) == pytest.approx(float(np.squeeze(whole + again + head)), rel=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_timeline_does_each_pass_once_and_no_two_at_a_time(layout):
    found = timeline_of(evaluate(replace(CLUSTER, accelerators=_count(layout)), layout))
    bars = found.played.bars
    assert len(bars) == len({b[:4] for b in bars}) == 2 * found.stages * found.chunks * found.shown
    for stage in range(found.stages):
        mine = [b for b in bars if b.stage == stage]
        assert all(a.end <= b.start + 1e-12 for a, b in itertools.pairwise(mine))
    assert max(b.end for b in bars) == found.played.time
    assert found.shown <= found.microbatches


@given(p=st.integers(2, 5), m=st.integers(1, 12), hop=st.floats(0.0, 0.5))
def test_sends_make_a_pipeline_longer_by_no_less_than_filling_and_draining(p, m, hop):
    even = schedule.play([1.0] * p, [2.0] * p, m, hop=hop)
    assert even.time >= 3.0 * (m + p - 1) + 2.0 * hop * (p - 1) - 1e-9
    assert even.idle(0) == pytest.approx(even.time - 3.0 * m)


def test_inference_has_no_timeline():
    assert timeline_of(SystemEvaluator.evaluate("", "Llama3_8B", "H100")) is None

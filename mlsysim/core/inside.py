"""What an evaluation is made of: its operators, and where its time and its memory go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlsysim.core.layout import SELECTIVE, Columns, columns_of, layer_of, pipeline_of, shard_of
from mlsysim.core.states import replica
from mlsysim.physics import inference, operators, schedule, streaming
from mlsysim.physics.memory import StateBytes
from mlsysim.physics.operators import Operator
from mlsysim.physics.training import step
from mlsysim.physics.types import number

if TYPE_CHECKING:
    from mlsysim.core.evaluation import Evaluation

# Relative difference below which parts are said to add up.
ROUNDING = 1e-9
# Microbatches of which a timeline shows at least so many, or two for each stage.
FEW = 8


@dataclass(frozen=True)
class Part:
    """A part of a whole, in its base unit: s, byte."""

    name: str
    value: float


def operators_of(e: Evaluation) -> list[Operator]:
    """Return the operators of a step or a pass on one accelerator, in the order in which they run."""
    s = e.scenario
    if s.job is None:
        tp, batch = replica(s)
        if not s.model.is_transformer:
            whole = s.model.operations(number(s.seq_len))
            return operators.of_samples(whole, s.chip, batch=batch, width=s.width)
        m = s.model.transformer
        load = inference.decode_load(m, batch, number(s.seq_len))
        return operators.of_pass(m, s.chip, load, width=s.width, tp=tp)
    c = _columns(e)
    return operators.of_step(
        s.job,
        layer_of(s.job, c),
        pipeline_of(s.job, c),
        tp=c["tp"],
        cp=c["cp"],
        ep=c["ep"],
        microbatch=c["microbatch_size"],
        selective=c["recompute"] == SELECTIVE,
        sequence_parallel=c["sequence_parallel"],
    )


def time_parts(e: Evaluation) -> list[Part]:
    """Return the parts of a step's or a pass's time, which add up to it [s].

    Of a pass they are its operators, since its matrix and its memory-bound work overlap in each.
    """
    state = e.state
    if e.layout is not None:
        parts = [
            Part("matrix work", state.matmul),
            Part("memory-bound work", state.stream),
            Part("exposed communication", state.exposed),
            Part("pipeline bubble", state.bubble),
            Part("optimizer", state.update),
        ]
    elif state.streaming is not None:
        waits = number(streaming.exposed_time(state.streaming))
        parts = [Part("layers at work", state.time - waits), Part("weights streamed in", waits)]
    else:
        parts = [Part(x.name, float(x.time)) for x in operators_of(e)]
        parts.append(Part("exposed communication", state.exposed))
        rest = state.time - sum(p.value for p in parts)
        parts.append(Part("host and start of kernels", rest if rest > ROUNDING * state.time else 0.0))
    return [Part(p.name, float(p.value)) for p in parts if float(p.value) > 0.0]


def memory_parts(e: Evaluation) -> list[Part]:
    """Return what the fullest accelerator holds, in parts that add up to it [byte]."""
    state = e.state
    parts: list[Part] = []
    if e.layout is None:
        if state.flash is None:
            parts.append(Part("weights", state.state))
    else:
        parts += _training_state(e)
    parts += [
        Part("activations", state.activations),
        Part("KV cache", state.cache),
        Part("runtime", state.reserve),
    ]
    return [Part(p.name, float(p.value)) for p in parts if float(p.value) > 0.0]


def _training_state(e: Evaluation) -> list[Part]:
    """Return weights, gradients and optimizer state: the state is linear in the bytes of each."""
    job = e.scenario.job
    assert job is not None
    each = job.state
    alone = {
        "weights": StateBytes(each.weights, 0.0, 0.0),
        "gradients": StateBytes(0.0, each.gradients, 0.0),
        "optimizer state": StateBytes(0.0, 0.0, each.optimizer),
    }
    c = _columns(e)
    parts = []
    for name, state in alone.items():
        asked = replace(job, state=state)
        done = step(asked, layer_of(asked, c), pipeline_of(asked, c), shard_of(asked, c))
        parts.append(Part(name, float(np.squeeze(done.state))))
    whole = float(e.state.state)
    if abs(sum(p.value for p in parts) - whole) <= ROUNDING * whole:
        return parts
    # the fullest stage is another one for each, so they do not add up
    return [Part("weights, gradients, optimizer state", whole)]


@dataclass(frozen=True)
class Timeline:
    """The pipeline of a step as it runs.

    Attributes:
        played: with a bar for every pass of a microbatch through a chunk of a stage.
        stages, chunks: of the pipeline, and of each stage.
        microbatches: of the step.
        shown: of them, those that are played: enough to see the pipeline fill, work and drain.
    """

    played: schedule.Played
    stages: int
    chunks: int
    microbatches: int
    shown: int


def timeline_of(e: Evaluation) -> Timeline | None:
    """Return the pipeline of a training step, one with few microbatches if it has many.

    None where there is no pipeline: of inference.
    """
    job, layout = e.scenario.job, e.layout
    if job is None or layout is None:
        return None
    c = _columns(e)
    layer, pipe = layer_of(job, c), pipeline_of(job, c)
    p, v = layout.pp, layout.interleave
    m = round(float(np.squeeze(layer.rounds)) * p)
    shown = min(m, p * max(2, -(-FEW // p)))
    forward, backward = schedule.stage_times(job.weights.layers, layer, pipe)
    played = schedule.play(forward, backward, shown, v, schedule.hop_time(layer, pipe))
    return Timeline(played, p, v, m, shown)


def _columns(e: Evaluation) -> Columns:
    assert e.layout is not None
    assert e.scenario.job is not None
    return columns_of(e.layout, e.scenario.job.weights.layers)

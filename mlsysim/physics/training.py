"""One training step of a transformer over a fleet, in factors.

Time and memory of a step factor into three parts that share few decisions:

- :func:`layer_part`: one layer and one microbatch on one rank, of (tp, cp, ep, microbatch,
  recompute, sequence parallel);
- :func:`pipeline_part`: of (pp, interleave);
- :func:`shard_part`: training state and gradient traffic, of (tp, cp, pp, dp, ep, zero).

Each part takes scalars or arrays. :func:`step` joins them and only adds, multiplies and takes
maxima, so it serves the engine with floats, sweeps with arrays and the solver with tables.

Ranks are placed tensor-parallel innermost, then context, then data, then pipeline (Narayanan
2021, section 3). Expert-parallel ranks are taken from the data-parallel ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics import pipeline, topology
from mlsysim.physics.job import Job, Weights, weights_of
from mlsysim.physics.layer import LayerPart, layer_part
from mlsysim.physics.shard import ShardPart, shard_part
from mlsysim.physics.types import Array

__all__ = [
    "Job",
    "LayerPart",
    "PipelinePart",
    "ShardPart",
    "Step",
    "Weights",
    "layer_part",
    "pipeline_part",
    "shard_part",
    "step",
    "weights_of",
]


@dataclass(frozen=True)
class PipelinePart:
    """A pipeline schedule, in layers and stages."""

    stages: Array
    stage_layers: Array
    bubble: Array
    in_flight: Array
    last_in_flight: Array
    sends: Array
    hop_per_byte: Array
    hop_latency: Array
    fill_sends: Array
    crossings: Array  # of the middle of the pipeline by a microbatch, in one direction


@dataclass(frozen=True)
class Step:
    """A training step.

    Times in s, memory in byte per accelerator (the fullest one), ``crossing`` in byte: what goes from
    one half of the fleet to the other, in one direction (experts' exchanges aside).
    """

    time: Array
    matmul: Array
    elementwise: Array
    exposed: Array
    bubble: Array
    update: Array
    memory: Array
    state: Array
    activations: Array
    crossing: Array


def pipeline_part(job: Job, *, pp: Array, interleave: Array) -> PipelinePart:
    """Return a pipeline schedule; arguments broadcast."""
    layers = job.weights.layers
    up, out = job.network.up, job.network.out
    crosses = job.accelerators > job.network.domain  # the slowest hop sets the pace
    sends = pipeline.sends(pp, interleave)
    none = 0.0 * pp * interleave
    return PipelinePart(
        stages=pp + 0.0 * interleave,
        stage_layers=pipeline.layers_per_stage(layers, pp) + 0.0 * interleave,
        bubble=pipeline.bubble_layers(layers, pp, interleave),
        in_flight=pipeline.in_flight_layers(layers, pp, interleave),
        last_in_flight=pipeline.last_in_flight_layers(layers, pp, interleave),
        sends=sends,
        hop_per_byte=none + (1.0 / out.bandwidth if crosses else 1.0 / up.bandwidth),
        hop_latency=none + (out.latency if crosses else up.latency),
        fill_sends=2.0 * (pp - 1.0) + 0.0 * interleave,
        crossings=topology.stage_crossings(pp, interleave),
    )


def step(job: Job, layer: LayerPart, pipe: PipelinePart, shard: ShardPart) -> Step:
    """Join the parts into a step.

    ``m = rounds x stages`` microbatches pass through each stage; the bubble is that of
    :func:`mlsysim.physics.pipeline.bubble_layers`.
    """
    rounds = layer.rounds
    full = pipe.stages * pipe.stage_layers  # layers a round: L where stages are equal
    whole = layer.matmul + layer.elementwise + layer.exposed
    bubble = whole * pipe.bubble
    hops = (
        (layer.boundary * rounds) * (pipe.stages * pipe.sends * pipe.hop_per_byte)
        + rounds * (pipe.stages * pipe.sends * pipe.hop_latency)
        + layer.boundary * (pipe.fill_sends * pipe.hop_per_byte)
        + pipe.fill_sends * pipe.hop_latency
    )
    # gradients reduced once a step hide behind one microbatch's backward pass, those of ZeRO 2
    # and 3 behind the whole step's compute
    reduce = np.maximum(shard.reduce_floor, shard.reduce - job.overlap * (layer.backward * pipe.stage_layers))
    gather = np.maximum(
        rounds * shard.gather_floor, rounds * shard.gather - job.overlap * ((whole * rounds) * full)
    )
    matmul = (layer.matmul * rounds) * full + (layer.head * rounds) * pipe.stages
    elementwise = (layer.elementwise * rounds) * full + (layer.head_stream * rounds) * pipe.stages
    exposed = (layer.exposed * rounds) * full + hops + reduce + gather
    # one round holds at most its own microbatches; interleaving holds more once there is a second
    again = np.minimum(np.maximum(rounds - 1.0, 0.0), 1.0)
    held_first = (layer.kept * np.minimum(rounds, 1.0)) * full + (layer.kept * again) * (
        pipe.in_flight - full
    )
    first = shard.state_first + held_first
    last = shard.state_last + layer.kept * pipe.last_in_flight + layer.head_kept
    held = np.maximum(first, last) + layer.transient + job.reserve
    state = np.maximum(shard.state_first, shard.state_last)
    return Step(
        time=matmul + elementwise + exposed + bubble + shard.update,
        matmul=matmul,
        elementwise=elementwise,
        exposed=exposed,
        bubble=bubble,
        update=shard.update,
        memory=held,
        state=state,
        activations=held - state - job.reserve,
        crossing=job.accelerators * (layer.boundary * rounds) * pipe.crossings + shard.crossing,
    )

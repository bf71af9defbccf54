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
from mlsysim.physics.traffic import traffic_left
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
    """A pipeline schedule, in layers and stages.

    ``middle`` is the fullest stage between the first and the last, ``fullest`` the fullest of all.
    ``again_*`` are the layers of a stage that are recomputed in full, ``plain_*`` the others.
    A stage holds activations of its layers for so many microbatches: ``in_*``, less or more where the
    pipeline is not filled; see :func:`_held`.
    """

    stages: Array
    chunk: Array  # one over the model chunks of a stage
    first: Array
    middle: Array
    last: Array
    fullest: Array
    again_fullest: Array
    again_last: Array
    again_total: Array
    plain_first: Array
    plain_middle: Array
    plain_last: Array
    again_first: Array
    again_middle: Array
    in_first: Array  # more microbatches held than stages, once there is a second round
    in_middle: Array
    less_middle: Array  # fewer, once the pipeline is filled
    in_last: Array
    gathers_first: Array  # layers that ZeRO 3 holds gathered
    gathers_middle: Array
    gathers_last: Array
    recomputes: Array  # whether any layer is recomputed in full
    sends: Array
    hop_per_byte: Array
    hop_latency: Array
    hop_hidden: Array  # share of a steady hop that work may hide
    fill_sends: Array
    crossings: Array  # of the middle of the pipeline by a microbatch, in one direction


@dataclass(frozen=True)
class Step:
    """A training step.

    Times in s, of the average accelerator: ``bubble`` is what it waits for others. Memory in byte per
    accelerator (the fullest one), ``host`` of it in the host's memory; ``crossing`` in byte: what goes
    from one half of the fleet to the other, in one direction (experts' exchanges aside).
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
    host: Array


def pipeline_part(
    job: Job,
    *,
    pp: Array,
    interleave: Array,
    first: Array,
    last: Array,
    recomputed: Array = 0.0,
    overlap: Array = False,
) -> PipelinePart:
    """Return a pipeline schedule; arguments broadcast.

    Args:
        job: the job.
        pp: stages.
        interleave: model chunks of a stage.
        first: layers of the first stage; all of them where there is one stage.
        last: layers of the last stage.
        recomputed: layers of each stage that are recomputed in full.
        overlap: whether sends between stages hide behind compute in the steady state.
    """
    layers = job.weights.layers
    up, out = job.network.up, job.network.out
    crosses = np.asarray(job.accelerators > job.network.domain)  # the slowest hop sets the pace
    pp, interleave = np.asarray(pp, dtype=float), np.asarray(interleave, dtype=float)
    none = 0.0 * pp * interleave * first * last * recomputed * np.asarray(overlap)
    pp, interleave, first, last, recomputed = (x + none for x in (pp, interleave, first, last, recomputed))
    middle = pipeline.middle_layers(layers, pp, first, last)
    again_first, again_middle, again_last = (np.minimum(recomputed, n) for n in (first, middle, last))
    fullest = np.maximum(np.maximum(first, middle), last)
    # stages between the ends share their layers as evenly as can be, so that a stage lacks one at most
    between = np.maximum(pp - 2.0, 0.0)
    spare = between * middle - np.maximum(layers - first - last, 0.0)
    again_between = np.minimum(between * again_middle, between * middle - spare)
    more = np.where(interleave > 1, 1.0, 0.0)
    return PipelinePart(
        stages=pp,
        chunk=1.0 / interleave,
        first=first,
        middle=middle,
        last=last,
        fullest=fullest,
        again_fullest=np.minimum(recomputed, fullest),
        again_last=again_last,
        again_total=again_last + again_between + np.where(pp > 1, again_first, 0.0),
        plain_first=first - again_first,
        plain_middle=middle - again_middle,
        plain_last=last - again_last,
        again_first=again_first,
        again_middle=again_middle,
        in_first=more * (pipeline.in_flight(pp, interleave, 0.0) - pp),
        in_middle=more * (pipeline.in_flight(pp, interleave, 1.0) - pp),
        less_middle=(1.0 - more) * np.where(pp > 1, 1.0, 0.0),
        in_last=pipeline.in_flight(pp, interleave, pp - 1.0),
        gathers_first=np.minimum(2.0, first),
        gathers_middle=np.minimum(2.0, middle),
        gathers_last=np.minimum(2.0, last),
        recomputes=np.where(recomputed > 0, 1.0, 0.0),
        sends=pipeline.sends(pp, interleave),
        hop_per_byte=np.where(crosses, 1.0 / out.bandwidth, 1.0 / up.bandwidth) + none,
        hop_latency=np.where(crosses, out.latency, up.latency) + none,
        hop_hidden=np.where(overlap, 1.0, 0.0) + none,
        fill_sends=2.0 * (pp - 1.0),
        crossings=topology.stage_crossings(pp, interleave),
    )


def step(job: Job, layer: LayerPart, pipe: PipelinePart, shard: ShardPart) -> Step:
    """Join the parts into a step.

    ``m = rounds x stages`` microbatches pass through each stage. The slowest stage takes ``P`` for
    one, all stages together ``S``; the pipeline takes ``(m - 1/v) P + S/v``: the slowest stage works
    through, and the others' share of the fill and drain shrinks with ``v`` chunks a stage. What
    exceeds the average accelerator's work ``m S / p`` is the bubble: ``(p - 1)/v`` of ``P`` for equal
    stages (Narayanan 2021, section 2.2). Without interleaving that is what 1F1B takes if no stage is
    slower than the last; otherwise it is longer, by no more than one microbatch of each stage after
    the slowest.
    """
    rounds, layers = layer.rounds, job.weights.layers

    def busy(of_layer: Array, recomputed: Array, of_head: Array) -> Array:
        """Work of the average accelerator: all of it over the stages."""
        return (of_layer * rounds) * layers + (recomputed * rounds) * pipe.again_total + of_head * rounds

    matmul = busy(layer.matmul, layer.again_matmul, layer.head)
    elementwise = busy(layer.elementwise, layer.again_elementwise, layer.head_stream)
    exposed = busy(layer.exposed, layer.again_exposed, 0.0 * layer.head)
    exposed = exposed + _traffic(job, layer, pipe, shard)
    bubble = _bubble(job, layer, pipe)
    held, state = _held(job, layer, pipe, shard)
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
        crossing=layer.passed * pipe.crossings + shard.crossing,
        host=shard.host,
    )


def _bubble(job: Job, layer: LayerPart, pipe: PipelinePart) -> Array:
    """Return what the average accelerator waits, by the slower of the last stage and the fullest one."""
    rounds, layers = layer.rounds, job.weights.layers
    whole = layer.matmul + layer.elementwise + layer.exposed
    again = layer.again_matmul + layer.again_elementwise + layer.again_exposed
    head = layer.head + layer.head_stream

    def by(of_stage: Array, recomputed: Array) -> Array:
        """Waiting for a stage of so many layers in every round, and in the fill and drain."""
        return (
            (whole * rounds) * (pipe.stages * of_stage - layers)
            + whole * (pipe.chunk * (layers - of_stage))
            + (again * rounds) * (pipe.stages * recomputed - pipe.again_total)
            + again * (pipe.chunk * (pipe.again_total - recomputed))
        )

    last = by(pipe.last, pipe.again_last) + (head * rounds) * (pipe.stages - 1.0)
    if job.stack.deferred:
        # the last stage is through first: what it leaves for then is hidden for as long as the others drain
        drain = layer.backward * (pipe.chunk * (layers - pipe.last))
        left = np.minimum(job.stack.deferred, rounds * pipe.stages) * layer.head_weights
        last = last - np.minimum(left, drain)
    return np.maximum(by(pipe.fullest, pipe.again_fullest) + head * pipe.chunk - head * rounds, last)


def _traffic(job: Job, layer: LayerPart, pipe: PipelinePart, shard: ShardPart) -> Array:
    """Return the traffic between stages and of gradients and weights that nothing hides."""
    rounds, share = layer.rounds, job.sender_share
    again = layer.again_matmul + layer.again_elementwise + layer.again_exposed
    work = ((layer.matmul + layer.elementwise + layer.exposed) * rounds) * job.weights.layers
    passing = pipe.stages * pipe.sends

    def steady(part: Array) -> Array:
        """Sends of a full pipeline, or the part of them that nothing hides or that work may."""
        return (layer.boundary * rounds) * (passing * pipe.hop_per_byte * part) + rounds * (
            passing * pipe.hop_latency * part
        )

    fill = layer.boundary * (pipe.fill_sends * pipe.hop_per_byte) + pipe.fill_sends * pipe.hop_latency
    # gradients reduced once a step hide behind one microbatch's backward pass; those of ZeRO 2 and 3
    # and the sends behind the whole step's compute, which hides the sum of both
    backward = layer.backward * pipe.fullest + again * pipe.again_fullest
    reduce = traffic_left(shard.reduce_bare, shard.reduce_rest, backward, share)
    passed = traffic_left(
        steady(1.0 - pipe.hop_hidden) + rounds * shard.gather_bare,
        steady(pipe.hop_hidden) + rounds * shard.gather_rest,
        work,
        share,
    )
    return fill + reduce + passed


def _held(job: Job, layer: LayerPart, pipe: PipelinePart, shard: ShardPart) -> tuple[Array, Array]:
    """Return memory held on the fullest accelerator, and the training state on the fullest.

    A stage holds ``p - s`` microbatches, but no more than there are: ``filled`` of the stages' many
    in a pipeline that does not fill, fewer on the second stage once it does, more where chunks are
    interleaved and there is a second round.
    """
    state_first = shard.layer * pipe.first + shard.gathered * pipe.gathers_first + shard.first
    state_middle = shard.layer * pipe.middle + shard.gathered * pipe.gathers_middle
    state_last = shard.layer * pipe.last + shard.gathered * pipe.gathers_last + shard.last

    def activations(kept: Array, layers: Array, more: Array, less: Array) -> Array:
        return (
            (kept * layer.filled) * (pipe.stages * layers)
            + (kept * layer.again) * (more * layers)
            - (kept * layer.steady) * (less * layers)
        )

    kept, again, none = layer.kept, layer.kept_again, 0.0 * pipe.stages
    first = activations(kept, pipe.plain_first, pipe.in_first, none) + activations(
        again, pipe.again_first, pipe.in_first, none
    )
    middle = activations(kept, pipe.plain_middle, pipe.in_middle, pipe.less_middle) + activations(
        again, pipe.again_middle, pipe.in_middle, pipe.less_middle
    )
    last = kept * (pipe.in_last * pipe.plain_last) + again * (pipe.in_last * pipe.again_last)
    held = np.maximum(
        np.maximum(state_first + first, state_middle + middle), state_last + last + layer.head_kept
    )
    state = np.maximum(np.maximum(state_first, state_middle), state_last)
    # a layer that is recomputed holds all of its activations while it is at work
    return held + kept * pipe.recomputes + job.reserve, state

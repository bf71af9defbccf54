"""Scenarios as the walls see them."""

from __future__ import annotations

import numpy as np

from mlsysim.core.scenario import Scenario
from mlsysim.physics import inference, lora, opaque, serving, streaming, topology
from mlsysim.physics import transformer as tf
from mlsysim.physics.operations import bill
from mlsysim.physics.training import Step
from mlsysim.physics.types import Array, number
from mlsysim.walls import State


def training_state(s: Scenario, result: Step, tensor_ranks: Array) -> State:
    """Return what the walls see of a training step; numbers, or tables of a formulation."""
    job = s.job
    assert job is not None
    extras = dict(s.extras)
    bisection = extras.pop("bisection")
    if isinstance(job.model, tf.Transformer):
        tokens = float(s.batch) * s.seq_len
        forward = tf.forward_flops(job.model, tokens, tf.attended(job.model, float(s.seq_len)))
        convention = tf.forward_flops(job.model, tokens, float(s.seq_len))
        once, counted = 3.0 * forward, 3.0 * convention
        if job.lora is not None:
            scores = float(tf.attention_flops(job.model, tokens, 1.0)) * job.model.layers
            once = lora.model_flops(forward, scores * tf.attended(job.model, float(s.seq_len)))
            counted = lora.model_flops(convention, scores * s.seq_len)
    else:
        tokens = s.batch * job.model.tokens
        once = counted = 3.0 * s.batch * job.model.flops
    return State(
        phase="training",
        accelerators=float(s.accelerators),
        time=result.time,
        matmul=result.matmul,
        stream=result.elementwise,
        exposed=result.exposed,
        bubble=result.bubble,
        update=result.update,
        model_flops=float(once),
        mfu_flops=float(counted),
        peak=s.chip.peak,
        share=s.chip.share,
        bandwidth=s.chip.bandwidth * s.chip.bandwidth_share,
        memory=result.memory,
        state=result.state,
        activations=result.activations,
        cache=0.0,
        reserve=s.reserve,
        capacity=s.capacity,
        tokens=tokens,
        samples=float(s.batch),
        tensor_ranks=tensor_ranks,
        domain=s.network.domain,
        bill=bill(s.fleet, s.site, s.duration, s.settings.rented),
        duration=s.duration,
        limits=s.settings.limits,
        cut=topology.Cut(result.crossing, bisection) if s.accelerators > 1 else None,
        alone=s.accelerators <= 1,
        host=result.host,
        **extras,
    )


def replica(s: Scenario) -> tuple[Array, Array]:
    """Return the accelerators of an inference replica, and the sequences that it works on at once."""
    block = s.settings.blocks.get("serving", {})
    requests = block.get("requests")
    return number(block.get("tp", 1)), number(s.batch if requests is None else requests)


def decode_of(s: Scenario, i: serving.Instance) -> inference.Pass:
    """Return a decode pass of another instance beside the replica's own: a draft model."""
    _, batch = replica(s)
    return serving.decode(i, batch, number(s.seq_len))


def whole_pass(s: Scenario) -> inference.Pass:
    """Return one inference pass of a replica, as one of its accelerators sees it."""
    tp, batch = replica(s)
    network = s.network if np.any(np.asarray(tp) > 1) else None
    if not s.model.is_transformer:
        return opaque.single_pass(s.model.operations(number(s.seq_len)), s.chip, batch=batch, width=s.width)
    return inference.decode_step(
        s.model.transformer,
        s.chip,
        batch=batch,
        context=number(s.seq_len),
        width=s.width,
        tp=tp,
        network=network,
    )


def _tokens_per_sample(s: Scenario) -> float:
    """Return the tokens that a pass adds or reads for each sequence; 0 where there are none."""
    if s.model.is_transformer:
        return 1.0 if s.model.transformer.causal else number(s.seq_len)
    return s.model.operations(number(s.seq_len)).tokens


def inference_state(s: Scenario) -> State:
    """Return what the walls see of one inference pass on each replica."""
    result = whole_pass(s)
    tp, batch = replica(s)
    extras = dict(s.extras)
    draft: inference.Pass | None = extras.pop("draft", None)
    n = number(s.accelerators)
    samples = n / tp * batch
    weights, time, read = number(result.weights), number(result.time), number(result.stream)
    stream = extras.get("streaming")
    if stream is not None:  # weights pass through: two layers' worth are there at a time
        weights, time = number(streaming.buffer_bytes(stream)), number(streaming.step_time(stream))
        read = np.minimum(read, time)
    cache, activations = number(result.cache), number(result.activations)
    if draft is not None:  # one model works at a time
        weights, cache = weights + number(draft.weights), cache + number(draft.cache)
        activations = np.maximum(activations, number(draft.activations))
    in_flash = s.hardware.flash.capacity if s.hardware.is_tiny and s.hardware.flash else None
    working = cache + activations + s.reserve
    return State(
        phase="inference",
        accelerators=n,
        alone=bool(np.all(n <= 1)),
        time=time,
        matmul=number(result.matmul),
        stream=read,
        exposed=number(result.exposed),
        bubble=0.0,
        update=0.0,
        model_flops=n * number(result.flops),
        mfu_flops=n * number(result.flops),
        peak=s.chip.peak,
        share=s.chip.share,
        bandwidth=s.chip.bandwidth * s.chip.bandwidth_share,
        memory=working if in_flash else working + weights,
        weights=weights if in_flash else None,
        flash=in_flash.base if in_flash else None,
        state=weights,
        activations=activations,
        cache=cache,
        reserve=s.reserve,
        capacity=s.capacity,
        tokens=samples * _tokens_per_sample(s),
        samples=samples,
        tensor_ranks=tp,
        domain=s.network.domain,
        bill=bill(s.fleet, s.site, s.duration, s.settings.rented),
        duration=s.duration,
        limits=s.settings.limits,
        **extras,
    )

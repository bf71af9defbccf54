"""Scenarios as the walls see them."""

from __future__ import annotations

from mlsysim.core.scenario import Scenario
from mlsysim.physics import inference, opaque
from mlsysim.physics import transformer as tf
from mlsysim.physics.operations import bill
from mlsysim.physics.training import Step
from mlsysim.physics.types import Array
from mlsysim.walls import State


def training_state(s: Scenario, result: Step, tensor_ranks: Array) -> State:
    """Return what the walls see of a training step; numbers, or tables of a formulation."""
    job = s.job
    assert job is not None
    if isinstance(job.model, tf.Transformer):
        tokens = float(s.batch) * s.seq_len
        forward = tf.forward_flops(job.model, tokens, tf.attended(job.model, float(s.seq_len)))
        convention = tf.forward_flops(job.model, tokens, float(s.seq_len))
    else:
        tokens = s.batch * job.model.tokens
        forward = convention = s.batch * job.model.flops
    return State(
        phase="training",
        accelerators=float(s.accelerators),
        time=result.time,
        matmul=result.matmul,
        stream=result.elementwise,
        exposed=result.exposed,
        bubble=result.bubble,
        update=result.update,
        model_flops=3.0 * float(forward),
        mfu_flops=3.0 * float(convention),
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
    )


def inference_state(s: Scenario) -> State:
    """Return what the walls see of one inference pass on each accelerator."""
    batch = float(s.batch)
    model = s.model
    if model.is_transformer:
        m = model.transformer
        result = inference.decode_step(m, s.chip, batch=batch, context=float(s.seq_len), width=s.width)
        tokens = batch * (1.0 if m.causal else s.seq_len)
    else:
        totals = model.operations(float(s.seq_len))
        result = opaque.single_pass(totals, s.chip, batch=batch, width=s.width)
        tokens = batch * totals.tokens
    n = float(s.accelerators)
    in_flash = s.hardware.flash.capacity if s.hardware.is_tiny and s.hardware.flash else None
    working = float(result.cache + result.activations) + s.reserve
    return State(
        phase="inference",
        accelerators=n,
        time=float(result.time),
        matmul=float(result.matmul),
        stream=float(result.stream),
        exposed=0.0,
        bubble=0.0,
        update=0.0,
        model_flops=n * float(result.flops),
        mfu_flops=n * float(result.flops),
        peak=s.chip.peak,
        share=s.chip.share,
        bandwidth=s.chip.bandwidth * s.chip.bandwidth_share,
        memory=working if in_flash else working + float(result.weights),
        weights=float(result.weights) if in_flash else None,
        flash=in_flash.base if in_flash else None,
        state=float(result.weights),
        activations=float(result.activations),
        cache=float(result.cache),
        reserve=s.reserve,
        capacity=s.capacity,
        tokens=n * tokens,
        samples=n * batch,
        tensor_ranks=1.0,
        domain=s.network.domain,
        bill=bill(s.fleet, s.site, s.duration, s.settings.rented),
        duration=s.duration,
        limits=s.settings.limits,
    )

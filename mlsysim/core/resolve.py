"""From settings to a scenario: defaults filled in, and each one written down as an assumption."""

from __future__ import annotations

from dataclasses import replace

from mlsysim.core import inference_run, promises, training_run
from mlsysim.core.errors import InputError
from mlsysim.core.machine import chip_of, fleet_of, network_of, region_of, server_of, site_of
from mlsysim.core.scenario import Assumption, Assumptions, Bound, Scenario, Settings
from mlsysim.core.settings import settings_of
from mlsysim.core.supplies import apply, written
from mlsysim.hardware import BYTES
from mlsysim.physics.memory import StateBytes
from mlsysim.physics.training import Job, weights_of
from mlsysim.systems import Node

__all__ = ["Assumption", "Assumptions", "Bound", "Scenario", "Settings", "resolve", "settings_of", "site_of"]


def resolve(s: Settings) -> Scenario:
    """Fill in defaults and strip units.

    Raises:
        InputError: the settings do not go together.
    """
    take = Assumptions()
    _check_blocks(s)
    hardware = s.hardware
    precision = _precision(s, take)
    server = server_of(s)
    count = _accelerators(s, server, take)
    if hardware.is_whole_system:
        take.choose(
            "parts of the system",
            "one device",
            f"{hardware.name} is a {hardware.scope}: traffic inside is not modelled",
        )
    width = BYTES[precision] if s.phase == "inference" else max(BYTES[precision], 2.0)
    if width != BYTES[precision]:
        take.choose("storage_precision", "bf16", "8-bit training keeps weights and activations in 16 bits")
    optimizer = s.optimizer or ""
    if not optimizer and s.phase == "training":
        optimizer = "adam"
        take.choose("optimizer", optimizer, "the usual optimizer of language models")
    answers = "serving" in s.blocks and s.model.is_transformer and s.model.transformer.causal
    region, site = region_of(s, take)
    scenario = Scenario(
        settings=s,
        region=region,
        precision=precision,
        batch=round(take.take("batch_size", "sample")) if s.batch is None else s.batch,
        seq_len=(0 if answers else round(take.take("seq_len", "token"))) if s.seq_len is None else s.seq_len,
        accelerators=count,
        chip=chip_of(s, precision, take),
        network=network_of(server, count, take, inference=s.phase == "inference"),
        site=site,
        fleet=fleet_of(s, server, count, take),
        duration=take.take("duration", "day") if s.duration is None else s.duration,
        width=width,
        capacity=hardware.memory.capacity.base if hardware.memory.capacity else 0.0,
        reserve=take.take("runtime_reserve", "byte") if hardware.in_server else 0.0,
        state=_state_bytes(width, optimizer, take),
        optimizer=optimizer,
        job=None,
        extras={},
        assumptions=(),
    )
    for name, change in written(s).items():
        take.choose(name, change, "asked by what_if")
    scenario = apply(scenario)
    if answers and s.seq_len is None:
        scenario = replace(scenario, seq_len=inference_run.usual_context(scenario, take))
        take.choose("seq_len", scenario.seq_len, "what a running request holds on average", "token")
    if s.phase == "training":
        scenario = replace(scenario, job=_job(scenario, take))
        fields = training_run.extras(scenario, server, take)
    else:
        fields = inference_run.extras(scenario, server, take)
    fields |= promises.extras(scenario, take)
    for bound in s.bounds:
        if bound.metric.of_run and fields.get("training_tokens") is None:
            raise InputError(
                f"{bound.metric.name} is of training on tokens, and this plan has none",
                where=bound.where,
                hint="assert another metric: mlsysim schema --result",
            )
        absent = [field for field in bound.metric.needs if fields.get(field) is None]
        if absent:
            raise InputError(
                f"{bound.metric.name} is of a service with a {absent[0]}, and this plan has none",
                where=bound.where,
                hint=f"it needs the {' and the '.join(_SAID[f] for f in bound.metric.needs)}",
            )
    return replace(scenario, extras=fields, assumptions=tuple(dict.fromkeys(take.taken)))


# What a plan says for a state to have a field that a metric needs.
_SAID = {
    "serving": "plan to be of inference with a language model",
    "batching": "model to keep a KV cache",
    "queue": "plan to have a queue with a rate",
}
_ONLY = {
    "training": ("data", "network", "reliability", "checkpoint", "privacy", "fairness"),
    "inference": ("serving", "queue", "reasoning", "streaming"),
}


def _check_blocks(s: Settings) -> None:
    """Refuse blocks that the plan's phase has no use for, rather than ignore them."""
    for phase, names in _ONLY.items():
        for name in names:
            if name in s.blocks and s.phase != phase:
                raise InputError(
                    f"{name} is of {phase}, and this is a plan of {s.phase}",
                    where=name,
                    hint=f"leave the block out, or set workload.phase: {phase}",
                )


def _precision(s: Settings, take: Assumptions) -> str:
    precision, wish = s.precision, s.fixed.get("precision")
    if wish is not None:
        if precision is not None:
            raise InputError(
                "the precision is given twice",
                where="parallelism.precision",
                hint="leave out workload.precision, or this",
            )
        precision = str((wish.values or ("",))[0])
    if precision is None:
        precision = s.hardware.usual_precision
        take.choose("precision", precision, "first of bf16, fp16, int8, fp32 that the chip has")
    whole = [n for n in (wish.values or () if wish else (precision,)) if str(n).startswith("int")]
    if s.phase == "training" and whole:
        raise InputError(
            f"training in {whole[0]} is not modelled",
            where="parallelism.precision" if wish else "workload.precision",
            hint="use bf16, fp16, fp8 or fp32, or phase: inference",
        )
    return precision


def _state_bytes(width: float, optimizer: str, take: Assumptions) -> StateBytes:
    """Return the training state a parameter; nothing but weights without an optimizer.

    The defaults are those of 16-bit training with a 32-bit copy of the weights (Rajbhandari 2020). In
    32 bits or more there is no copy, and gradients and moments are as wide as the weights.
    """
    if not optimizer:
        return StateBytes(width, 0.0, 0.0)
    gradients = take.take("gradient_bytes", "byte/param")
    state = take.take(f"{optimizer}_state_bytes", "byte/param")
    if width >= BYTES["fp32"]:
        gradients = width
        state = (state - BYTES["fp32"]) * width / BYTES["fp32"]
    return StateBytes(width, gradients, state)


def _accelerators(s: Settings, server: Node | None, take: Assumptions) -> int:
    """Return how many accelerators run: the fleet's, or as many of them as the plan says."""
    fleet = _fleet_size(s, server, take)
    wish = s.fixed.get("accelerators")
    if wish is None:
        return fleet
    used = [
        n for n in wish.values or (fleet if wish.high is None else min(fleet, int(wish.high)),) if n <= fleet
    ]
    if not used or (wish.low is not None and used[0] < wish.low):
        raise InputError(
            f"{wish} accelerators of a fleet of {fleet}",
            where="parallelism.accelerators",
            hint="say how many there are with hardware.nodes or hardware.accelerators",
        )
    return int(max(used))


def _fleet_size(s: Settings, server: Node | None, take: Assumptions) -> int:
    if s.accelerators is not None:
        return s.accelerators
    per_node = 1 if server is None else round(server.accelerators.base)
    if s.nodes is None:
        if s.phase == "inference":
            return int(s.blocks.get("serving", {}).get("tp") or 1)
        take.choose("nodes", 1, "the plan names no number of servers")
    if server is not None:
        take.note("accelerators per node", server.accelerators)
    return (s.nodes or 1) * per_node


def _job(s: Scenario, take: Assumptions) -> Job:
    model = s.model.transformer if s.model.is_transformer else s.model.operations(s.seq_len)
    if s.settings.lora is not None and not s.model.is_transformer:
        raise InputError(
            f"{s.model.name} is known by its totals: where adapters would go is not",
            where="workload.lora",
            hint="leave it out, or take a transformer: mlsysim zoo models",
        )
    if not s.model.is_transformer and not s.model.operations(s.seq_len).activations:
        take.choose("activations", "unknown", "not known for this model: memory counts none")
    return Job(
        model=model,
        weights=weights_of(model),
        chip=s.chip,
        network=s.network,
        accelerators=float(s.accelerators),
        batch=float(s.batch),
        seq_len=float(s.seq_len),
        width=s.width,
        state=s.state,
        reserve=s.reserve,
        overlap=take.take("gradient_overlap"),
        sender_share=take.take("sender_share"),
        host_link=take.take("snapshot_bandwidth", "byte/s"),
        host_bandwidth=take.take("host_bandwidth", "byte/s"),
        fused_attention=s.settings.fused_attention,
        dropout=s.settings.dropout,
        stack=s.settings.stack,
        lora=s.settings.lora,
    )

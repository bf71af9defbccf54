"""What single walls look at in a training run, and what does not depend on the layout.

Data, checkpoints, failures, scaling law, privacy: each as the field of
:class:`mlsysim.walls.State` that its wall reads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlsysim.core.errors import InputError
from mlsysim.core.inference_run import tenancy
from mlsysim.core.machine import server_of
from mlsysim.core.scenario import Assumptions, Scenario
from mlsysim.core.supplies import changed
from mlsysim.physics import checkpoint, dataflow, reliability, scaling, topology
from mlsysim.physics.transformer import Transformer
from mlsysim.physics.types import Array, number
from mlsysim.systems import Node, Reliability, Storage, reliability_record, storage

_TIB = 2.0**40
DEFAULT_STORAGE = "S3_Object_Store"


@dataclass(frozen=True)
class _Context:
    """A scenario, its servers, and where assumptions go."""

    s: Scenario
    server: Node | None
    take: Assumptions

    def block(self, name: str) -> dict[str, Any]:
        return self.s.settings.blocks.get(name, {})

    def number(self, block: dict[str, Any], key: str, default: str, unit: str) -> float:
        """Return a quantity of a block, or the registry's default."""
        given = block.get(key)
        return float(given) if given is not None else self.take.take(default, unit)

    @property
    def nodes(self) -> float:
        """Servers, the last one perhaps in part."""
        per_node = self.server.accelerators.base if self.server else 1.0
        return math.ceil(self.s.accelerators / per_node)


def extras(s: Scenario, server: Node | None, take: Assumptions) -> dict[str, Any]:
    """Return the fields of a training run's state that do not depend on the layout."""
    c = _Context(s, server, take)
    assert s.job is not None
    found: dict[str, Any] = {"bisection": _bisection(c)}
    tokens, samples = _work(s)
    found["ingest"] = _ingest(c, tokens, samples)
    found["transform"] = _transform(c, tokens, samples)
    failures = _failures(c)
    interval = failures.given
    if isinstance(interval, tuple):
        interval = interval[0]
    if interval is None:
        interval = failures.best
        take.choose("checkpoint interval", interval, "the interval that loses least (Daly 2006)", "s")
    found |= failures.at(number(interval))
    found["host_capacity"] = _host_memory(c)
    if tokens:
        found["training_tokens"] = _training_tokens(c)
        found["scaling"] = _scaling(c)
    if block := c.block("tenancy"):
        found["tenancy"] = tenancy(block, take, s.duration)
    return {k: v for k, v in found.items() if v is not None}


def _work(s: Scenario) -> tuple[float, float]:
    """Return tokens and samples of a step."""
    assert s.job is not None
    model = s.job.model
    per_sample = float(s.seq_len) if isinstance(model, Transformer) else model.tokens
    return s.batch * per_sample, float(s.batch)


def _ingest(c: _Context, tokens: float, samples: float) -> dataflow.Ingest | None:
    block = c.block("data")
    read = _per_step(c, block, tokens, samples, "bytes", "byte")
    if read is None:
        return None
    if not block:  # the plan says nothing of its data: shown, not enforced
        return dataflow.Ingest(dataflow.read_bytes(*read), math.inf)
    name = block["storage"] or DEFAULT_STORAGE
    size = dataflow.read_bytes(*read, block["cached"])
    rate = changed(c.s.settings, "storage_bandwidth", _bandwidth(c, name, block, "read"))
    return dataflow.Ingest(size, rate)


def _transform(c: _Context, tokens: float, samples: float) -> dataflow.Transform | None:
    block = c.block("data")
    prepared = _per_step(c, block, tokens, samples, "cpu", "s")
    if prepared is None:
        return None
    work = dataflow.processor_time(*prepared)
    if not block:
        return dataflow.Transform(work, math.inf)
    per_accelerator = block["cores_per_accelerator"]
    if per_accelerator is not None:
        return dataflow.Transform(work, per_accelerator * c.s.accelerators)
    if c.server is not None and c.server.cpu_cores is not None:
        c.take.note("CPU cores of a server", c.server.cpu_cores)
        return dataflow.Transform(work, c.server.cpu_cores.base * c.nodes)
    return dataflow.Transform(work, c.take.take("cpu_cores_per_accelerator") * c.s.accelerators)


def _per_step(
    c: _Context, block: dict[str, Any], tokens: float, samples: float, what: str, unit: str
) -> tuple[float, float] | None:
    """Return a step's samples or tokens, and bytes or CPU seconds of each; None where not known."""
    own_token = block.get(f"{what}_per_token")
    own_sample = block.get(f"{what}_per_sample")
    if own_sample is not None:
        return samples, float(own_sample)
    if own_token is not None or tokens:
        each = own_token if own_token is not None else c.take.take(_TOKEN[what], f"{unit}/token")
        return tokens, float(each)
    if c.s.model.group == "vision":
        return samples, float(c.take.take(_IMAGE[what], f"{unit}/sample"))
    return None


_TOKEN = {"bytes": "token_bytes", "cpu": "token_cpu"}
_IMAGE = {"bytes": "image_bytes", "cpu": "image_cpu"}


def _bandwidth(c: _Context, name: str, block: dict[str, Any], way: str) -> float:
    """Return at what rate the fleet reads from or writes to a storage of the registry [byte/s]."""
    entry: Storage = storage(name)
    c.take.choose("storage", entry.name, entry.title)
    value = entry.bandwidth_read if way == "read" else entry.bandwidth_write
    if value is None:
        raise InputError(f"{entry.name} has no {way} bandwidth", where="data.storage")
    if entry.per == "system":
        return value.base
    if entry.per == "TiB":
        size = block.get("storage_capacity")
        if size is None:
            raise InputError(
                f"{entry.name} gives bandwidth by its size",
                where="data.storage_capacity",
                hint="say how large it is",
            )
        return float(dataflow.file_system_bandwidth(value.base / _TIB, float(size), math.inf, c.nodes))
    return float(dataflow.local_bandwidth(value.base, 1.0, c.nodes))


def _host_memory(c: _Context) -> float:
    """Return the host's memory for each accelerator [byte]."""
    if c.server is not None and c.server.host_memory is not None:
        return c.server.host_memory.base / c.server.accelerators.base
    return c.take.take("host_memory", "byte")


def _bisection(c: _Context) -> Array:
    """Return the bandwidth between the halves of the fleet [byte/s]."""
    s, block = c.s, c.block("network")
    n, network = float(s.accelerators), s.network
    if n <= network.domain:
        return number(topology.shape("switch", n, network.up.bandwidth).bisection)
    over = block.get("oversubscription")
    return number(
        topology.shape(
            block.get("topology") or "fat_tree",
            n,
            network.out.bandwidth,
            domain=network.domain,
            oversubscription=over if over is not None else c.take.take("oversubscription"),
            pod=float(block.get("pod") or 1.0),
        ).bisection
    )


@dataclass(frozen=True)
class Failures:
    """What failures and checkpoints of a run do at any interval between checkpoints.

    Attributes:
        size: of a checkpoint [byte].
        rate: at which it is written [byte/s].
        stall: how long the run stands still for one [s].
        recovery: from a failure until the run computes again [s].
        mtbf: of the whole run [s].
        straggling: share of a step in which ranks wait for the slowest one.
        best: the interval that loses least (Daly 2006) [s].
        shortest: the least interval in which one is written before the next [s].
        given: the plan's interval, or those to choose from; None where it leaves it open [s].
    """

    size: float
    rate: float
    stall: float
    recovery: float
    mtbf: float
    straggling: float
    best: float
    shortest: float
    given: Array | tuple[float, ...] | None

    def at(self, interval: Array) -> dict[str, Any]:
        """Return the fields of a state with this interval; a number or an array."""
        losses = reliability.losses(
            interval=interval,
            delta=self.stall,
            recovery=self.recovery,
            mtbf=self.mtbf,
            straggling=self.straggling,
        )
        return {
            "checkpoint": checkpoint.Checkpoint(self.size, self.rate, self.stall, interval),
            "losses": losses,
        }

    def intervals(self) -> list[float]:
        """Return the intervals to choose from: the plan's, or steps of an eighth of a doubling.

        From a sixteenth to sixteen times the best one, which is among them.
        """
        if self.given is not None:
            return list(self.given) if isinstance(self.given, tuple) else [self.given]
        steps = self.best * 2.0 ** (np.arange(-32, 33) / 8.0)
        return [float(x) for x in steps if x > self.shortest or x == self.best]


def failures_of(s: Scenario, take: Assumptions | None = None) -> Failures:
    """Return what failures and checkpoints of a training run do."""
    return _failures(_Context(s, server_of(s.settings), take or Assumptions()))


def _failures(c: _Context) -> Failures:
    s, r, b = c.s, c.block("reliability"), c.block("checkpoint")
    job = s.job
    assert job is not None
    record: Reliability | None = reliability_record(r["record"]) if r.get("record") else None
    mtbf = reliability.fleet_mtbf(_recorded(c, r, record, "mtbf", "mtbf_accelerator"), s.accelerators)
    mtbf = changed(s.settings, "mtbf", mtbf)
    place = b.get("storage") or c.block("data").get("storage") or DEFAULT_STORAGE
    sized = b if b.get("storage_capacity") is not None else c.block("data")
    size = checkpoint.checkpoint_bytes(_params(s), job.state, b.get("reduction", 1.0))
    rate = changed(s.settings, "checkpoint_bandwidth", _bandwidth(c, place, sized, "write"))
    write = checkpoint.write_time(size, rate)
    snapshot = checkpoint.snapshot_time(size / s.accelerators, c.take.take("snapshot_bandwidth", "byte/s"))
    stall = float(checkpoint.stall_time(write, snapshot, b.get("asynchronous", False)))
    shortest = float(checkpoint.shortest_interval(write, stall))
    recovery = reliability.recovery_time(
        _recorded(c, r, record, "detection_time", "detection_time"),
        _recorded(c, r, record, "restart_time", "restart_time"),
        size / _bandwidth(c, place, sized, "read"),
        write - stall,
    )
    straggling = reliability.straggling_share(
        c.number(r, "rank_variation", "rank_variation", "1"), float(s.accelerators)
    )
    best = number(np.maximum(reliability.daly_interval(stall, mtbf), shortest))
    return Failures(
        float(size),
        float(rate),
        stall,
        number(recovery),
        number(mtbf),
        float(straggling),
        best,
        shortest,
        b.get("interval"),
    )


def _recorded(c: _Context, r: dict[str, Any], record: Reliability | None, key: str, name: str) -> Array:
    """Return a reliability figure: the plan's, that of the record it names, or the default."""
    if r.get(key) is not None:
        return number(r[key])
    value = getattr(record, name, None)
    if value is not None:
        c.take.note(name, value)
        return float(value.base)
    return c.take.take(name, "s")


def _params(s: Scenario) -> float:
    """Return what a run trains, and so what a checkpoint holds; frozen weights are on disk already."""
    from mlsysim.physics.lora import trained_params

    assert s.job is not None
    model = s.job.model
    return trained_params(model, s.job.lora) if isinstance(model, Transformer) else model.params


def _training_tokens(c: _Context) -> float:
    """Return the tokens of the whole run: the plan's, the published ones, or the compute-optimal ones."""
    if c.s.settings.tokens is not None:
        return c.s.settings.tokens
    published = c.s.model.training_tokens
    if published is not None:
        c.take.note("training tokens", published)
        return published.base
    tokens = c.take.take("compute_optimal_ratio", "token/param") * _params(c.s)
    c.take.choose("training tokens", tokens, "as many as are compute-optimal (Hoffmann 2022)", "token")
    return tokens


def _scaling(c: _Context) -> scaling.Budget | None:
    """Return the run as the scaling laws see it; None without a number of training tokens."""
    from mlsysim.physics.transformer import active_params

    s = c.s
    assert s.job is not None
    model = s.job.model
    tokens = s.settings.tokens
    if tokens is None and s.model.training_tokens is None:
        return None
    tokens = _training_tokens(c)
    name = s.settings.scaling_fit
    fit = scaling.Fit(
        **{
            part: c.take.take(f"{name}_{part}")
            for part in ("irreducible", "params_scale", "tokens_scale", "params_exponent", "tokens_exponent")
        }
    )
    params = active_params(model) if isinstance(model, Transformer) else model.params
    # the plan must say both for its duration to be that of the whole run
    whole = s.settings.tokens is not None and s.settings.duration is not None
    ratio = c.take.take("compute_optimal_ratio", "token/param")
    return scaling.Budget(params, tokens, ratio, fit, s.duration if whole else None)

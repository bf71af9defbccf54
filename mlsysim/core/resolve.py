"""From a plan to numbers: names looked up, defaults filled in, units stripped.

Every default that is used is written down as an assumption.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsysim.core import own, registry, units
from mlsysim.core.errors import InputError, MlsysimError
from mlsysim.core.metrics import Metric, find
from mlsysim.core.provenance import Value
from mlsysim.hardware import BYTES, Hardware
from mlsysim.hardware import CATALOG as HARDWARE
from mlsysim.hardware.own import resolve_hardware
from mlsysim.infra import CATALOG as INFRA
from mlsysim.infra import Region
from mlsysim.infra.own import resolve_region
from mlsysim.models import Model
from mlsysim.models.own import resolve_model
from mlsysim.physics.collectives import Network, Tier
from mlsysim.physics.memory import StateBytes
from mlsysim.physics.operations import Fleet, Site
from mlsysim.physics.roofline import Chip
from mlsysim.physics.training import Job, weights_of
from mlsysim.systems import Fabric, Node, fabric, node
from mlsysim.walls import Limits

if TYPE_CHECKING:
    from mlsysim.core.plan import Assertion, Plan
    from mlsysim.core.yamlfile import Document


@dataclass(frozen=True)
class Assumption:
    """Something that the engine took where the plan was silent."""

    name: str
    value: float | str | None
    unit: str
    source: str


@dataclass(frozen=True)
class Bound:
    """An assertion of the plan, in base units of its metric."""

    metric: Metric
    low: float | None
    high: float | None
    where: str = ""


@dataclass(frozen=True)
class Settings:
    """What the user set, entries looked up and units stripped; None where the plan is silent."""

    model: Model
    hardware: Hardware
    name: str = ""
    phase: str = "training"
    batch: int | None = None
    seq_len: int | None = None
    precision: str | None = None
    efficiency: float | None = None
    optimizer: str | None = None
    fused_attention: bool = True
    dropout: bool = False
    node: Node | None = None
    nodes: int | None = None
    accelerators: int | None = None
    region: Region | None = None
    duration: float | None = None
    rented: bool = False
    pue: float | None = None
    fixed: dict[str, Any] = field(default_factory=dict)
    bounds: tuple[Bound, ...] = ()
    limits: Limits = Limits()


@dataclass(frozen=True)
class Scenario:
    """A plan in numbers, ready for the physics.

    Attributes:
        settings: what the user set.
        job: the training job; None for inference.
        chip, network, site, fleet: see :mod:`mlsysim.physics`.
        width: bytes of a weight or activation.
        assumptions: what was filled in, with its source.
    """

    settings: Settings
    region: Region
    precision: str
    batch: int
    seq_len: int
    accelerators: int
    chip: Chip
    network: Network
    site: Site
    fleet: Fleet
    duration: float
    width: float
    capacity: float
    reserve: float
    state: StateBytes
    optimizer: str
    job: Job | None
    assumptions: tuple[Assumption, ...]

    @property
    def model(self) -> Model:
        """The model."""
        return self.settings.model

    @property
    def hardware(self) -> Hardware:
        """The accelerator."""
        return self.settings.hardware

    @property
    def name(self) -> str:
        """The scenario's title."""
        return self.settings.name or f"{self.model.name} on {self.hardware.name}"


class _Assumptions:
    """Collects the defaults as they are used."""

    def __init__(self) -> None:
        self.taken: list[Assumption] = []

    def take(self, name: str, unit: str = "1") -> float:
        """Use a default of the registry."""
        value = registry.default(name, unit)
        self.note(name, value)
        return value.base

    def note(self, name: str, value: Value) -> None:
        """Record a registry value that fills in for the plan."""
        self.taken.append(Assumption(name, value.value, value.unit, value.source))

    def choose(self, name: str, value: str | float, why: str, unit: str = "") -> None:
        """Record a choice that is no measured number."""
        self.taken.append(Assumption(name, value, unit, why))


def settings_of(plan: Plan, document: Document) -> Settings:
    """Return a plan's settings with every name looked up.

    Raises:
        InputError: an unknown name, a bad unit, with its place in the file.
    """

    def lookup(key: tuple[str, ...], call: Any, *args: Any) -> Any:
        try:
            return call(*args)
        except MlsysimError as error:
            raise error.at(document.where(key)) from error

    folder = Path(document.name).parent if document.name else Path()
    w, h, o, c = plan.workload, plan.hardware, plan.ops, plan.constraints
    hardware = lookup(("hardware", "name"), resolve_hardware, h.name, folder)
    bounds = tuple(_bound(a, i, lookup, document) for i, a in enumerate(c.asserts))
    limits = Limits(
        budget=None if c.budget is None else lookup(("constraints", "budget"), units.parse, c.budget, "USD"),
        carbon=None
        if c.carbon is None
        else lookup(("constraints", "carbon"), units.parse, c.carbon, "tCO2e"),
        water=None if c.water is None else lookup(("constraints", "water"), units.parse, c.water, "L"),
        communication=c.communication,
    )
    settings = Settings(
        name=plan.name or "",
        model=lookup(("workload", "name"), resolve_model, w.name, folder),
        hardware=hardware,
        phase=w.phase,
        batch=w.batch_size,
        seq_len=w.seq_len,
        precision=w.precision,
        efficiency=None if w.efficiency == "auto" else w.efficiency,
        optimizer=w.optimizer,
        fused_attention=w.attention == "fused",
        dropout=w.dropout,
        node=lookup(("hardware", "node"), node, h.node) if h.node else None,
        nodes=h.nodes,
        accelerators=h.accelerators,
        region=lookup(("ops", "region"), resolve_region, o.region, folder) if o.region else None,
        duration=None if o.duration_days is None else o.duration_days * units.factor("day")[0],
        rented=o.ownership == "rent",
        pue=o.pue,
        fixed=plan.parallelism.model_dump(exclude_none=True),
        bounds=bounds,
        limits=limits,
    )
    if w.precision is not None:
        lookup(("workload", "precision"), hardware.rate, w.precision)
    return settings


def _bound(a: Assertion, index: int, lookup: Any, document: Document) -> Bound:
    key = ("constraints", "assert", index)
    metric: Metric = lookup((*key, "metric"), find, a.metric)

    def limit(side: str) -> float | None:
        given = getattr(a, side)
        return None if given is None else lookup((*key, side), units.parse, given, metric.unit)

    low, high = limit("min"), limit("max")
    if low is not None and high is not None and low > high:
        raise InputError("min is above max", where=document.where(key))
    return Bound(metric, low, high, document.where(key))


def resolve(s: Settings) -> Scenario:
    """Fill in defaults and strip units.

    Raises:
        InputError: the settings do not go together.
    """
    take = _Assumptions()
    hardware = s.hardware
    precision = s.precision
    if precision is None:
        precision = hardware.usual_precision
        take.choose("precision", precision, "first of bf16, fp16, int8, fp32 that the chip has")
    server = s.node or (node(hardware.node) if hardware.node else None)
    if s.node and hardware.group != own.GROUP and HARDWARE.find(s.node.accelerator) != hardware.name:
        raise InputError(
            f"{s.node.name} holds {s.node.accelerator}, not {hardware.name}", where="hardware.node"
        )
    count = _accelerators(s, server, take)
    seq_len = s.seq_len
    if seq_len is None:
        seq_len = round(take.take("seq_len", "token"))
    batch = s.batch
    if batch is None:
        batch = round(take.take("batch_size", "sample"))
    optimizer = s.optimizer
    if optimizer is None and s.phase == "training":
        optimizer = "adam"
        take.choose("optimizer", optimizer, "the usual optimizer of language models")
    chip = _chip(s, precision, take)
    network = _network(server, count, take)
    width = BYTES[precision] if s.phase == "inference" else max(BYTES[precision], 2.0)
    if width != BYTES[precision]:
        take.choose("storage_precision", "bf16", "8-bit training keeps weights and activations in 16 bits")
    state = StateBytes(width, 0.0, 0.0)
    if optimizer:
        state = StateBytes(
            width,
            take.take("gradient_bytes", "byte/param"),
            take.take(f"{optimizer}_state_bytes", "byte/param"),
        )
    reserve = take.take("runtime_reserve", "byte") if hardware.in_server else 0.0
    region, site = _site(s, take)
    duration = s.duration
    if duration is None:
        duration = take.take("duration", "day")
    scenario = Scenario(
        settings=s,
        region=region,
        precision=precision,
        batch=batch,
        seq_len=seq_len,
        accelerators=count,
        chip=chip,
        network=network,
        site=site,
        fleet=_fleet(s, server, count, take),
        duration=duration,
        width=width,
        capacity=hardware.memory.capacity.base if hardware.memory.capacity else 0.0,
        reserve=reserve,
        state=state,
        optimizer=optimizer or "",
        job=None,
        assumptions=(),
    )
    if s.phase == "training":
        scenario = replace(scenario, job=_job(scenario, take))
    return replace(scenario, assumptions=tuple(take.taken))


def _accelerators(s: Settings, server: Node | None, take: _Assumptions) -> int:
    if s.accelerators is not None:
        return s.accelerators
    per_node = 1 if server is None else round(server.accelerators.base)
    if s.nodes is None:
        if s.phase == "inference":
            return 1
        take.choose("nodes", 1, "the plan names no number of servers")
    if server is not None:
        take.note("accelerators per node", server.accelerators)
    return (s.nodes or 1) * per_node


def _chip(s: Settings, precision: str, take: _Assumptions) -> Chip:
    hardware = s.hardware
    peak = hardware.rate(precision).base
    if hardware.memory.bandwidth is None:
        take.choose("memory bandwidth", "unlimited", "not published: memory time is not counted")
    bandwidth = hardware.memory.bandwidth.base if hardware.memory.bandwidth else math.inf
    bandwidth_share = take.take("bandwidth_share")
    if s.efficiency is not None:
        return Chip(peak, s.efficiency, bandwidth, bandwidth_share)
    return Chip(
        peak,
        take.take("matmul_share"),
        bandwidth,
        bandwidth_share,
        units=hardware.compute_units.base if hardware.compute_units else 0.0,
        tile=take.take("matmul_tile") if hardware.in_server else 0.0,
        launch=take.take("launch_overhead", "s") if hardware.group != "tiny" else 0.0,
    )


def _network(server: Node | None, count: int, take: _Assumptions) -> Network:
    alone = Tier(math.inf, 0.0)
    if count == 1 or server is None:
        if count > 1:
            raise InputError(
                "this accelerator has no known server, so no network to join several",
                where="hardware",
                hint="set hardware.node, or run on one accelerator",
            )
        return Network(alone, alone, 1.0)
    per_node = server.accelerators.base
    domain = server.scale_up_domain.base if server.scale_up_domain else per_node
    up = _tier(fabric(server.scale_up), 1.0, take) if server.scale_up else None
    out = None
    if server.scale_out:
        links = server.scale_out_links.base if server.scale_out_links else 1.0
        out = _tier(fabric(server.scale_out), links / per_node, take)
    if count > domain and out is None:
        raise InputError(
            f"{server.name} has no network between servers, and {count} accelerators "
            f"are more than the {domain:g} that it joins",
            where="hardware",
        )
    up = up or out
    if up is None:
        raise InputError(f"{server.name} has no network", where="hardware")
    return Network(up, out or up, domain if server.scale_up else 1.0)


def _tier(f: Fabric, links: float, take: _Assumptions) -> Tier:
    """Return a fabric as one accelerator sees it."""
    share = f.achieved_share
    latency = f.latency
    achieved = share.base if share else take.take("achieved_share_scale_out")
    hop = latency.base if latency else take.take("network_latency_scale_out", "s")
    if share:
        take.note(f"{f.name} achieved share", share)
    if latency:
        take.note(f"{f.name} latency", latency)
    return Tier(f.bandwidth.base * achieved * (links if f.per == "link" else 1.0), hop)


def _site(s: Settings, take: _Assumptions) -> tuple[Region, Site]:
    region = s.region
    if region is None:
        region = INFRA.get("US_Avg")
        take.choose("region", region.name, "the plan names no region")
    return region, site_of(region, s.pue, take)


def site_of(region: Region, pue: float | None = None, take: _Assumptions | None = None) -> Site:
    """Return a region in numbers, with the registry's defaults where it has none of its own."""
    take = take or _Assumptions()

    def own(value: Value | None, name: str, default: str, unit: str) -> float:
        if value is None:
            return take.take(default, unit)
        take.note(name, value)
        return value.base

    if region.carbon_intensity is None:
        raise InputError(f"{region.name} has no carbon intensity", where="ops.region")
    take.note("carbon_intensity", region.carbon_intensity)
    return Site(
        price=own(region.electricity_price(), "electricity_price", "electricity_price", "USD/J"),
        carbon_intensity=region.carbon_intensity.base,
        pue=pue if pue is not None else own(region.pue, "pue", "pue", "1"),
        wue=own(region.wue, "wue", "wue", "L/J"),
        grid_water=take.take("grid_water", "L/J"),
    )


def _fleet(s: Settings, server: Node | None, count: int, take: _Assumptions) -> Fleet:
    """Return what one accelerator takes, with its share of the server around it."""
    hardware = s.hardware
    in_server = hardware.in_server and hardware.scope not in ("wafer", "rack")
    per_node = server.accelerators.base if server else 1.0

    def unknown(name: str) -> float:
        take.choose(name, "unknown", "not published: counted as 0")
        return 0.0

    tdp = hardware.power.tdp if hardware.power else None
    if server and server.power:
        take.note("server power", server.power)
        power = server.power.base / per_node * take.take("server_power_share")
    elif tdp is None:
        power = unknown("power")
    else:
        take.note("power", tdp)
        power = tdp.base
        if in_server:
            power *= take.take("host_power_share") * take.take("server_power_share")

    purchase = hardware.price.purchase if hardware.price else None
    if server and server.price:
        take.note("server price", server.price)
        price = server.price.base / per_node
    elif purchase is None:
        price = unknown("purchase price")
    else:
        take.note("purchase price", purchase)
        price = purchase.base * (take.take("server_price_ratio") if in_server else 1.0)

    made = hardware.embodied_carbon
    if server and server.embodied_carbon:
        take.note("server embodied carbon", server.embodied_carbon)
        embodied = server.embodied_carbon.base / per_node
    elif made is None:
        embodied = unknown("embodied carbon")
    else:
        take.note("embodied carbon", made)
        embodied = made.base + (take.take("server_embodied", "kgCO2e") if in_server else 0.0)

    rent = hardware.price.rent if hardware.price else None
    if rent is None and s.rented:
        raise InputError(
            f"no rent is known for {hardware.name}", where="ops.ownership", hint="use ownership: own"
        )
    if rent is not None and s.rented:
        take.note("rent", rent)
    return Fleet(
        units=float(count),
        power=power,
        price=price,
        rent=rent.base if rent else 0.0,
        embodied=embodied,
        lifetime=take.take("server_life", "s"),
        upkeep=take.take("upkeep", "1/s"),
    )


def _job(s: Scenario, take: _Assumptions) -> Job:
    model = s.model.transformer if s.model.is_transformer else s.model.operations(s.seq_len)
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
        fused_attention=s.settings.fused_attention,
        dropout=s.settings.dropout,
    )

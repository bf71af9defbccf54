"""The machine in numbers: accelerator, network, site and fleet, with defaults where nothing is known."""

from __future__ import annotations

import math
from dataclasses import replace

from mlsysim.core import own
from mlsysim.core.errors import InputError
from mlsysim.core.provenance import Value
from mlsysim.core.scenario import Assumptions, Settings
from mlsysim.hardware import BYTES, Achieved, Hardware
from mlsysim.hardware import CATALOG as HARDWARE
from mlsysim.infra import CATALOG as INFRA
from mlsysim.infra import Region
from mlsysim.physics.collectives import Network, Tier
from mlsysim.physics.operations import Fleet, Site
from mlsysim.physics.roofline import Chip
from mlsysim.systems import Fabric, Node, fabric, node


def server_of(s: Settings) -> Node | None:
    """Return the server that holds the accelerators; None where none is known.

    Raises:
        InputError: the plan's server holds others.
    """
    hardware = s.hardware
    if s.node is None:
        return node(hardware.node) if hardware.node else None
    if hardware.group != own.GROUP and HARDWARE.find(s.node.accelerator) != hardware.name:
        raise InputError(
            f"{s.node.name} holds {s.node.accelerator}, not {hardware.name}", where="hardware.node"
        )
    return s.node


def chip_of(s: Settings, precision: str, take: Assumptions) -> Chip:
    """Return the accelerator at a precision; a user's efficiency stands for all kernel effects."""
    hardware = s.hardware
    peak = hardware.rate(precision).base
    if hardware.memory.bandwidth is None:
        take.choose("memory bandwidth", "unlimited", "not published: memory time is not counted")
    bandwidth = hardware.memory.bandwidth.base if hardware.memory.bandwidth else math.inf
    bandwidth_share = take.take("bandwidth_share")
    if s.efficiency is not None:
        return Chip(peak, s.efficiency, bandwidth, bandwidth_share)
    training = s.phase == "training"
    mixture = s.model.is_transformer and s.model.transformer.experts > 0
    biased = mixture and s.model.transformer.bias
    fused = hardware.in_server and not hardware.is_whole_system
    reached = hardware.achieved or Achieved()

    def achieved(field: str, default: str, unit: str = "1") -> float:
        """Take a share of this accelerator, or the default where it was not measured."""
        value: Value | None = getattr(reached, field)
        if value is None:
            return take.take(default, unit)
        take.note(default, value)
        return value.base

    def matmul(of: str) -> float:
        return achieved(f"matmul_{of if of in ('fp8', 'fp4') else 'bf16'}", "matmul_share")

    # training runs are at the clock that power allows for long, kernels are timed alone
    sustained = achieved("training_matmul", "training_matmul_share") if training else 1.0
    wide = hardware.wide_precision or precision
    narrow = BYTES[precision] < BYTES[wide]
    share = matmul(precision) * sustained
    if narrow and training:
        share = matmul(precision) * achieved("training_narrow", "training_narrow_share")
    depth = take.take("matmul_depth", "byte") if fused else 0.0
    attention, of_width = s.attention_share, 0.0  # a share that is given is that of the run's own heads
    if attention is None and fused:
        attention = achieved("attention", "attention_share")
        of_width = achieved("attention_width", "attention_width")
    kept = reached.training_attention if training else None
    if kept is not None:
        take.note("training_attention_share", kept)
    return Chip(
        peak,
        share,
        bandwidth,
        bandwidth_share,
        units=hardware.compute_units.base if hardware.compute_units else 0.0,
        tile=take.take("matmul_tile") if hardware.in_server and not hardware.is_whole_system else 0.0,
        launch=take.take("launch_overhead", "s") if not hardware.is_tiny else 0.0,
        grouped=take.take("matmul_grouped") if fused and mixture else 1.0,
        flat=take.take("matmul_flat") if fused else 0.0,
        depth=depth / BYTES[precision],
        plain_peak=hardware.peak.fp32.base if hardware.peak.fp32 else 0.0,
        wide_depth=depth / BYTES[wide] if narrow else 0.0,
        wide_peak=hardware.rate(wide).base if narrow else 0.0,
        wide_share=matmul(wide) * sustained if narrow else 0.0,
        attention=(attention or 0.0) * (sustained if kept is None else kept.base),
        attention_length=achieved("attention_length", "attention_length", "token") if fused else 0.0,
        attention_width=of_width,
        narrow=BYTES[precision] if narrow and training else 0.0,
        # training's constants were fitted with starts and streams that are the same for all products
        operand_share=achieved("matmul_stream", "matmul_stream_share") if fused and not training else 0.0,
        matmul_launch=take.take("launch_overhead_narrow", "s") if narrow and fused and not training else 0.0,
        cache_share=achieved("decode_attention", "bandwidth_share") if reached.decode_attention else 0.0,
        kernel_share=achieved("training_stream", "training_stream_share") if training else 1.0,
        eager=take.take("host_operator", "s") if training and biased and not s.captured else 0.0,
        host=_host(training, mixture and narrow and not s.captured, take) if fused else 0.0,
    )


def _host(training: bool, experts: bool, take: Assumptions) -> float:
    """Return the time in which the host issues an operator of experts, or a kernel of a prefill [s]."""
    if training:
        return take.take("host_expert", "s") if experts else 0.0
    return take.take("host_kernel", "s")


def network_of(server: Node | None, count: int, take: Assumptions, *, inference: bool = False) -> Network:
    """Return the network that joins ``count`` accelerators; for inference with kernels of its own.

    Raises:
        InputError: there is none.
    """
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
    if up and inference and (start := fabric(server.scale_up).peer_start):
        take.note(f"{server.scale_up} peer start", start)
        up = replace(up, peer_start=start.base)
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
    return Network(up, out or up, min(domain, float(count)) if server.scale_up else 1.0)


def _tier(f: Fabric, links: float, take: Assumptions) -> Tier:
    """Return a fabric as one accelerator sees it."""
    share = f.achieved_share
    latency = f.latency
    achieved = share.base if share else take.take("achieved_share_scale_out")
    hop = latency.base if latency else take.take("network_latency_scale_out", "s")
    if share:
        take.note(f"{f.name} achieved share", share)
    if latency:
        take.note(f"{f.name} latency", latency)
    bandwidth = f.bandwidth.base * achieved * (links if f.per == "link" else 1.0)
    bulk = f.bulk_latency.base if f.bulk_latency else 0.0
    if latency is None:
        bulk = take.take("network_bulk_latency_scale_out", "s")
    elif f.bulk_latency:
        take.note(f"{f.name} bulk latency", f.bulk_latency)
    if not bulk:
        return Tier(bandwidth, hop)
    return Tier(
        bandwidth,
        hop,
        bulk_latency=bulk,
        eager_share=take.take(f"eager_share_{f.tier}"),
        start=take.take("collective_start", "s"),
    )


def region_of(s: Settings, take: Assumptions) -> tuple[Region, Site]:
    """Return the plan's region, or the default one, and its site."""
    region = s.region
    if region is None:
        region = INFRA.get("US_Avg")
        take.choose("region", region.name, "the plan names no region")
    return region, site_of(region, s.pue, take)


def site_of(region: Region, pue: float | None = None, take: Assumptions | None = None) -> Site:
    """Return a region in numbers, with the registry's defaults where it has none of its own."""
    take = take or Assumptions()

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


def fleet_of(s: Settings, server: Node | None, count: int, take: Assumptions) -> Fleet:
    """Return what one accelerator takes, with its share of the server around it."""
    return machines(s.hardware, server, float(count), s.rented, take)


def machines(hardware: Hardware, server: Node | None, count: float, rented: bool, take: Assumptions) -> Fleet:
    """Return what accelerators of a type take, with their share of the servers around them.

    Raises:
        InputError: they are to be rented, and no rent is known.
    """
    in_server = hardware.in_server and not hardware.is_whole_system
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
    if rent is None and rented:
        raise InputError(
            f"no rent is known for {hardware.name}", where="ops.ownership", hint="use ownership: own"
        )
    if rent is not None and rented:
        take.note("rent", rent)
    return Fleet(
        units=count,
        power=power,
        price=price,
        rent=rent.base if rent else 0.0,
        embodied=embodied,
        lifetime=take.take("server_life", "s"),
        upkeep=take.take("upkeep", "1/s"),
    )

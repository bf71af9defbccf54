"""Physical invariants of accelerators and servers: what no real machine breaks.

Each bound is stated with its reason where it is used. A bound is on a ratio of two values of an
entry, so that a slipped unit or a number of another machine shows even if it is possible by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from mlsysim.core.check.references import Library
from mlsysim.core.check.report import Problem
from mlsysim.core.provenance import Value

Bounds = tuple[float, float]

# Formats from wide to narrow. A unit for a wide format can do the narrower ones at no lower rate,
# except that integers are a pipeline of their own, which some chips cut.
_FLOAT_CHAINS = (
    ("fp64", "fp32", "tf32", "fp16", "fp8", "fp4"),
    ("fp64", "fp32", "tf32", "bf16", "fp8", "fp4"),
)
_INTEGER_CHAIN = ("int8", "int4")
_TERA = 1e12

# Design power by what the entry describes [W]: one package is cooled up to some 2 kW, a card in a
# slot up to 1 kW, a wafer takes some tens of kW, and a rack what a row of a hall can supply.
POWER: dict[str, Bounds] = {
    "chip": (1e-3, 2.5e3),
    "module": (1.0, 3e3),
    "board": (1.0, 1e3),
    "wafer": (5e3, 6e4),
    "rack": (5e3, 1e6),
}
# What a battery or a bare package allows, by group [W].
GROUP_POWER: dict[str, Bounds] = {"tiny": (1e-3, 2.0), "mobile": (0.5, 20.0), "edge": (0.5, 150.0)}
# Peak of the fastest format over design power [FLOP/s/W]: processors without matrix units reach some
# 1e9 to 1e11, matrix units of 2017 to 2025 some 1e11 to 1e13.
EFFICIENCY = (1e9, 5e13)
EFFICIENCY_ACCELERATOR = (5e10, 5e13)
# Time to read the whole memory once [s]: stacked and graphics memory 15 to 100 ms, memory modules up
# to a second, memory on the chip microseconds to milliseconds.
SWEEP_OFF_CHIP = (5e-3, 1.0)
SWEEP_ON_CHIP = (5e-7, 5e-2)
# Peak of the usual 16-bit format over memory bandwidth [FLOP/byte].
BALANCE = (0.1, 1e4)
# Purchase price of one TFLOP/s in the usual format [USD]: accelerators cost some 5 to 500, while a
# microcontroller of a dollar computes a thousandth of one.
PRICE = (1.0, 2e3)
PRICE_TINY = (10.0, 1e6)
# Hours of rent that pay the purchase price: below 500 nobody would sell, above 50000 nobody would let.
PAYBACK = (5e2, 5e4)
# A server as rated over its accelerators: host, fans and network add a fifth to a hundred and fifty
# percent of the power, and more than a twentieth of the price. Where the accelerator is the whole
# machine (a wafer or a rack) the two are the same.
SERVER_POWER = (1.0, 3.0)
SERVER_PRICE = (1.05, 3.0)
SERVER_CARBON = (1.0, 10.0)
WHOLE_MACHINES = ("wafer", "rack")


def hardware_problems(h: Any) -> Iterator[Problem]:
    """Yield the invariants that an accelerator breaks."""
    rates = {name: getattr(h.peak, name).base for name in h.peak.precisions()}
    if not rates:
        yield Problem("peak", "no rate is given")
        return
    yield from _peaks(rates)
    yield from _memory(h, rates[h.usual_precision])
    yield from _power(h, max(rates.values()))
    yield from _price(h, rates[h.usual_precision])


def _within(value: float, bounds: Bounds) -> bool:
    return bounds[0] * (1 - 1e-9) <= value <= bounds[1] * (1 + 1e-9)


def _span(bounds: Bounds) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g}"


def _peaks(rates: dict[str, float]) -> Iterator[Problem]:
    for chain in (*_FLOAT_CHAINS, _INTEGER_CHAIN):
        formats = [name for name in chain if name in rates]
        for wide, narrow in itertools.pairwise(formats):
            if rates[narrow] < 0.999 * rates[wide]:
                yield Problem(
                    f"peak.{narrow}",
                    f"slower than {wide} ({rates[narrow] / _TERA:g} against "
                    f"{rates[wide] / _TERA:g} TFLOP/s); rates rise as formats narrow",
                )
    halves = [rates[name] for name in ("fp16", "bf16") if name in rates]
    if "int8" in rates and halves and rates["int8"] < 0.999 * min(halves):
        yield Problem(
            "peak.int8",
            "slower than the 16-bit formats; true only of chips whose integer units were cut",
            "warning",
        )


def _memory(h: Any, peak: float) -> Iterator[Problem]:
    memory, capacity = h.memory, h.memory.capacity.base
    chip = h.on_chip.capacity.base if h.on_chip and h.on_chip.capacity else 0.0
    if chip > 1.001 * capacity:
        yield Problem("on_chip.capacity", "larger than the main memory")
    if memory.bandwidth is None:
        return
    bandwidth = memory.bandwidth.base
    on_chip = chip >= 0.8 * capacity  # then the main memory is the memory on the chip
    bounds = SWEEP_ON_CHIP if on_chip else SWEEP_OFF_CHIP
    if not _within(capacity / bandwidth, bounds):
        what = "on the chip" if on_chip else "beside the chip"
        yield Problem(
            "memory.bandwidth",
            f"reading all of the memory once would take "
            f"{capacity / bandwidth:.3g} s; memory {what} takes {_span(bounds)} s",
        )
    if not _within(peak / bandwidth, BALANCE):
        yield Problem(
            "memory.bandwidth",
            f"{peak / bandwidth:.3g} FLOP per byte of bandwidth; machines lie within {_span(BALANCE)}",
        )
    if h.link and h.link.bandwidth and h.link.bandwidth.base > bandwidth:
        yield Problem("link.bandwidth", "faster than the memory that it is fed from")


def _power(h: Any, fastest: float) -> Iterator[Problem]:
    if h.power is None or h.power.tdp is None:
        return
    tdp = h.power.tdp.base
    for what, bounds in ((h.scope, POWER.get(h.scope)), (f"{h.group} device", GROUP_POWER.get(h.group))):
        if bounds and not _within(tdp, bounds):
            yield Problem("power.tdp", f"{tdp:g} W is not the power of a {what}: {_span(bounds)} W")
    if h.power.idle is not None and h.power.idle.base >= tdp:
        yield Problem("power.idle", "not below the design power")
    density = EFFICIENCY_ACCELERATOR if h.group in ("cloud", "workstation", "mobile") else EFFICIENCY
    if not _within(fastest / tdp, density):
        yield Problem(
            "power.tdp",
            f"{fastest / tdp:.3g} FLOP/s per watt in the fastest format; machines of "
            f"this group lie within {_span(density)}",
        )


def _price(h: Any, peak: float) -> Iterator[Problem]:
    if h.price is None or h.price.purchase is None:
        return
    price = h.price.purchase.base
    bounds = PRICE_TINY if h.group == "tiny" else PRICE
    if not _within(price / (peak / _TERA), bounds):
        yield Problem(
            "price.purchase",
            f"{price / (peak / _TERA):.3g} USD for each TFLOP/s; accelerators cost {_span(bounds)}",
        )
    if h.price.rent is not None:
        hours = price / (h.price.rent.base * 3600.0)
        if not _within(hours, PAYBACK):
            yield Problem(
                "price.rent",
                f"{hours:.3g} hours of rent pay the purchase price; {_span(PAYBACK)} are plausible",
            )


def node_problems(node: Any, library: Library) -> Iterator[Problem]:
    """Yield the invariants that a server breaks, against its accelerators and fabrics."""
    count = node.accelerators.base
    if node.scale_up_domain is not None:
        domain = node.scale_up_domain.base
        if max(domain, count) % min(domain, count):
            yield Problem(
                "scale_up_domain",
                f"{domain:g} accelerators reach each other, but a server holds "
                f"{count:g}: one must be a multiple of the other",
            )
    h: Any = library.find("hardware", node.accelerator)
    if h is None:
        return
    whole = count == 1 and h.scope in WHOLE_MACHINES
    shares: tuple[tuple[str, str, Value | None, Bounds], ...] = (
        ("power", "design power", h.power.tdp if h.power else None, SERVER_POWER),
        (
            "price",
            "purchase price",
            h.price.purchase if h.price else None,
            (1.0, SERVER_PRICE[1]) if whole else SERVER_PRICE,
        ),
        ("embodied_carbon", "footprint", h.embodied_carbon, SERVER_CARBON),
    )
    for field, what, part, bounds in shares:
        value: Value | None = getattr(node, field)
        if value is None or part is None or not part.base:
            continue
        ratio = value.base / (count * part.base)
        if not _within(ratio, bounds):
            yield Problem(
                field,
                f"{ratio:.3g} times the {what} of its {count:g} accelerators; a server has "
                f"{_span(bounds)} times (is the accelerator's a share of the server?)",
            )
    yield from _fabrics(node, h, count, library)


def _fabrics(node: Any, h: Any, count: float, library: Library) -> Iterator[Problem]:
    up: Any = library.find("systems", node.scale_up) if node.scale_up else None
    out: Any = library.find("systems", node.scale_out) if node.scale_out else None
    for tier, fabric in (("scale_up", up), ("scale_out", out)):
        if getattr(fabric, "tier", tier) != tier:
            yield Problem(tier, f"{fabric.name} is a {fabric.tier} fabric")
    inside = up.bandwidth.base if getattr(up, "per", "") == "accelerator" else None
    link = h.link.bandwidth.base if h.link and h.link.bandwidth else None
    if inside and link and not 0.9 < inside / link < 1.1:
        yield Problem(
            "scale_up",
            f"{up.name} gives an accelerator {inside / 1e9:g} GB/s, but {h.name} has "
            f"links of {link / 1e9:g} GB/s",
        )
    if getattr(out, "bandwidth", None) is None:
        return
    links = node.scale_out_links.base if node.scale_out_links else 1.0
    outside = out.bandwidth.base * (links / count if out.per == "link" else 1.0)
    if inside is not None and outside > inside:
        yield Problem(
            "scale_out_links",
            f"{outside / 1e9:g} GB/s an accelerator out of the server, but only "
            f"{inside / 1e9:g} GB/s within it",
        )


def reliability_problems(record: Any) -> Iterator[Problem]:
    """Yield a server that fails less often than one of its accelerators, or far too often."""
    single, server = record.mtbf_accelerator, record.mtbf_node
    if single is not None and server is not None and not 1.0 <= single.base / server.base <= 128.0:
        yield Problem(
            "mtbf_node",
            f"{single.base / server.base:.3g} times as often as one accelerator; a "
            "server holds 1 to 128 of them",
        )

"""Physical invariants of accelerators and servers: what no real machine breaks.

Each bound is stated with its reason where it is used. A bound is on a ratio of two values of an
entry, so that a slipped unit or a number of another machine shows even if it is possible by itself.
"""

from __future__ import annotations

import itertools
from typing import Any

from mlsysim.core.check.references import Library
from mlsysim.core.check.report import Notes
from mlsysim.core.provenance import Value

# Formats from wide to narrow. A unit for a wide format can do the narrower ones at no lower rate,
# except that integers are a pipeline of their own, which some chips cut.
_FLOAT_CHAINS = (("fp64", "fp32", "tf32", "fp16", "fp8", "fp4"), ("fp64", "fp32", "tf32", "bf16", "fp8", "fp4"))
_INTEGER_CHAIN = ("int8", "int4")
_TERA = 1e12

# Design power by what the entry describes [W]: one package is cooled up to some 2 kW, a card in a
# slot up to 1 kW, a wafer takes some tens of kW, and a rack what a row of a hall can supply.
POWER: dict[str, tuple[float, float]] = {
    "chip": (1e-3, 2.5e3), "module": (1.0, 3e3), "board": (1.0, 1e3), "wafer": (5e3, 6e4), "rack": (5e3, 1e6)}
# What a battery or a bare package allows, by group [W].
GROUP_POWER: dict[str, tuple[float, float]] = {
    "tiny": (1e-3, 2.0), "mobile": (0.5, 20.0), "edge": (0.5, 150.0)}
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


def check_hardware(h: Any, file: str, notes: Notes) -> None:
    """Note the invariants that an accelerator breaks."""
    _peaks(h, file, notes)
    _memory(h, file, notes)
    _power(h, file, notes)
    _price(h, file, notes)


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] * (1 - 1e-9) <= value <= bounds[1] * (1 + 1e-9)


def usual_peak(h: Any) -> float:
    """Return the rate of the format that a plan takes by default [FLOP/s]."""
    precision: str = h.usual_precision
    rate: Value = getattr(h.peak, precision)
    return rate.base


def _peaks(h: Any, file: str, notes: Notes) -> None:
    have = {name: getattr(h.peak, name).base for name in h.peak.precisions()}
    if not have:
        notes.error(file, "peak", "no rate is given")
        return
    for chain in (*_FLOAT_CHAINS, _INTEGER_CHAIN):
        formats = [name for name in chain if name in have]
        for wide, narrow in itertools.pairwise(formats):
            if have[narrow] < 0.999 * have[wide]:
                notes.error(file, f"peak.{narrow}", f"slower than {wide} ({have[narrow] / _TERA:g} against "
                          f"{have[wide] / _TERA:g} TFLOP/s); rates rise as formats narrow")
    halves = [have[name] for name in ("fp16", "bf16") if name in have]
    if "int8" in have and halves and have["int8"] < 0.999 * min(halves):
        notes.warn(file, "peak.int8", "slower than the 16-bit formats; true only of chips whose integer "
                                    "units were cut")


def _memory(h: Any, file: str, notes: Notes) -> None:
    memory, capacity = h.memory, h.memory.capacity.base
    chip = h.on_chip.capacity.base if h.on_chip and h.on_chip.capacity else 0.0
    if chip > 1.001 * capacity:
        notes.error(file, "on_chip.capacity", "larger than the main memory")
    if memory.bandwidth is not None:
        sweep = capacity / memory.bandwidth.base
        on_chip = chip >= 0.8 * capacity  # then the main memory is the memory on the chip
        bounds = SWEEP_ON_CHIP if on_chip else SWEEP_OFF_CHIP
        if not _within(sweep, bounds):
            what = "memory on the chip" if on_chip else "memory beside the chip"
            notes.error(file, "memory.bandwidth", f"reading all of the memory once would take {sweep:.3g} s; "
                      f"{what} takes {bounds[0]:g} to {bounds[1]:g} s")
        if h.peak.precisions() and not _within(usual_peak(h) / memory.bandwidth.base, BALANCE):
            notes.error(file, "memory.bandwidth", f"{usual_peak(h) / memory.bandwidth.base:.3g} FLOP per byte of "
                      f"bandwidth; machines lie within {BALANCE[0]:g} to {BALANCE[1]:g}")
        if h.link and h.link.bandwidth and h.link.bandwidth.base > memory.bandwidth.base:
            notes.error(file, "link.bandwidth", "faster than the memory that it is fed from")


def _power(h: Any, file: str, notes: Notes) -> None:
    if h.power is None or h.power.tdp is None:
        return
    tdp = h.power.tdp.base
    for what, bounds in ((h.scope, POWER.get(h.scope)), (f"{h.group} device", GROUP_POWER.get(h.group))):
        if bounds and not _within(tdp, bounds):
            notes.error(file, "power.tdp", f"{tdp:g} W is not the power of a {what}: "
                      f"{bounds[0]:g} to {bounds[1]:g} W")
    if h.power.idle is not None and h.power.idle.base >= tdp:
        notes.error(file, "power.idle", "not below the design power")
    rates = [getattr(h.peak, name).base for name in h.peak.precisions()]
    bounds = EFFICIENCY_ACCELERATOR if h.group in ("cloud", "workstation", "mobile") else EFFICIENCY
    if rates and not _within(max(rates) / tdp, bounds):
        notes.error(file, "power.tdp", f"{max(rates) / tdp:.3g} FLOP/s per watt in the fastest format; machines of "
                  f"this group lie within {bounds[0]:g} to {bounds[1]:g}")


def _price(h: Any, file: str, notes: Notes) -> None:
    if h.price is None or h.price.purchase is None or not h.peak.precisions():
        return
    price = h.price.purchase.base
    bounds = PRICE_TINY if h.group == "tiny" else PRICE
    per_tera = price / (usual_peak(h) / _TERA)
    if not _within(per_tera, bounds):
        notes.error(file, "price.purchase", f"{per_tera:.3g} USD for each TFLOP/s; accelerators cost "
                  f"{bounds[0]:g} to {bounds[1]:g}")
    if h.price.rent is not None:
        hours = price / (h.price.rent.base * 3600.0)
        if not _within(hours, PAYBACK):
            notes.error(file, "price.rent", f"{hours:.3g} hours of rent pay the purchase price; "
                      f"{PAYBACK[0]:g} to {PAYBACK[1]:g} are plausible")


def check_node(node: Any, file: str, library: Library, notes: Notes) -> None:
    """Note the invariants that a server breaks, against its accelerators and fabrics."""
    count = node.accelerators.base
    if node.scale_up_domain is not None:
        larger, smaller = sorted((node.scale_up_domain.base, count), reverse=True)
        if larger % smaller:
            notes.error(file, "scale_up_domain", f"{node.scale_up_domain.base:g} accelerators reach each other, but a "
                      f"server holds {count:g}: one must be a multiple of the other")
    h: Any = library.find("hardware", node.accelerator)
    if h is None:
        return
    whole = count == 1 and h.scope in WHOLE_MACHINES
    _share(node.power, h.power.tdp if h.power else None, count, SERVER_POWER, "power", "design power", file, notes)
    _share(node.price, h.price.purchase if h.price else None, count,
           (1.0, SERVER_PRICE[1]) if whole else SERVER_PRICE, "price", "purchase price", file, notes)
    _share(node.embodied_carbon, h.embodied_carbon, count, SERVER_CARBON, "embodied_carbon", "footprint", file, notes)
    _fabrics(node, h, count, file, library, notes)


def _share(whole: Value | None, part: Value | None, count: float, bounds: tuple[float, float], field: str,
           what: str, file: str, notes: Notes) -> None:
    """Check a value of a server against the sum of that of its accelerators."""
    if whole is None or part is None or not part.base:
        return
    ratio = whole.base / (count * part.base)
    if not _within(ratio, bounds):
        notes.error(file, field, f"{ratio:.3g} times the {what} of its {count:g} accelerators; a server has "
                  f"{bounds[0]:g} to {bounds[1]:g} times (is the accelerator's a share of the server?)")


def _fabrics(node: Any, h: Any, count: float, file: str, library: Library, notes: Notes) -> None:
    up: Any = library.find("systems", node.scale_up) if node.scale_up else None
    out: Any = library.find("systems", node.scale_out) if node.scale_out else None
    for field, fabric, tier in (("scale_up", up, "scale_up"), ("scale_out", out, "scale_out")):
        if fabric is not None and getattr(fabric, "tier", tier) != tier:
            notes.error(file, field, f"{fabric.name} is a {fabric.tier} fabric")
    inside = up.bandwidth.base if getattr(up, "per", "") == "accelerator" else None
    if inside is not None and h.link and h.link.bandwidth and not 0.9 < inside / h.link.bandwidth.base < 1.1:
        notes.error(file, "scale_up", f"{up.name} gives an accelerator {inside / 1e9:g} GB/s, but {h.name} has links of "
                  f"{h.link.bandwidth.base / 1e9:g} GB/s")
    if getattr(out, "bandwidth", None) is None:
        return
    links = node.scale_out_links.base if node.scale_out_links else 1.0
    outside = out.bandwidth.base * (links / count if out.per == "link" else 1.0)
    if inside is not None and outside > inside:
        notes.error(file, "scale_out_links", f"{outside / 1e9:g} GB/s an accelerator out of the server, but only "
                  f"{inside / 1e9:g} GB/s within it")


def check_reliability(record: Any, file: str, notes: Notes) -> None:
    """Note a server that fails less often than one of its accelerators."""
    single, server = record.mtbf_accelerator, record.mtbf_node
    if single is not None and server is not None and not 1.0 <= single.base / server.base <= 128.0:
        notes.error(file, "mtbf_node", f"{single.base / server.base:.3g} times as often as one accelerator; a server "
                                     "holds 1 to 128 of them")

"""Between which numbers each field of the registry can lie, and why.

These are bounds on what exists or can exist soon, wide enough for every machine and model that is
sold, narrow enough to catch a slipped unit (GB for MB, W for kW, percent for share).
"""

from __future__ import annotations

from dataclasses import dataclass

from mlsysim.core import units
from mlsysim.core.check.report import Notes
from mlsysim.core.provenance import Value
from mlsysim.core.records import Record


@dataclass(frozen=True)
class Range:
    """The bounds of a field, both included, in ``unit``.

    Attributes:
        low, high: the bounds.
        unit: their unit.
        why: what the bounds are.
        whole: the number counts something, so it has no fraction.
    """

    low: float
    high: float
    unit: str
    why: str
    whole: bool = False

    def problem(self, value: Value) -> str:
        """Return what is wrong with a value, or nothing."""
        if self.whole and value.base != round(value.base):
            return f"{value.value:g} counts something and must be whole"
        low, high = (units.to_base(bound, self.unit, self.unit) for bound in (self.low, self.high))
        if low * (1 - 1e-9) <= value.base <= high * (1 + 1e-9):
            return ""
        unit = "" if self.unit == "1" else f" {self.unit}"
        return (
            f"{value.value:g}{'' if value.unit == '1' else ' ' + value.unit} is not within "
            f"{self.low:g} to {self.high:g}{unit}: {self.why}"
        )


def _count(high: float, why: str, low: float = 1) -> Range:
    return Range(low, high, "1", why, whole=True)


_YEAR = Range(2000, 2035, "year", "the year of release", whole=False)
_PEAK = Range(1e6, 1e19, "FLOP/s", "from a 1 MHz core to ten racks of the fastest accelerators")
_KG = "from a bare chip to a rack of some tonnes of steel and silicon"

RANGES: dict[str, dict[str, Range]] = {
    "hardware": {
        "released": _YEAR,
        **{
            f"peak.{p}": _PEAK for p in ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8", "fp4", "int4")
        },
        "sparsity": Range(1, 16, "1", "how many times structured sparsity raises the rate; 2 for 2:4"),
        "compute_units": _count(2e6, "from one core to a wafer of a million"),
        **{
            f"achieved.{name}": Range(0.05, 1, "1", "a share")
            for name in (
                *("matmul_bf16", "matmul_fp8", "matmul_fp4", "matmul_stream"),
                *("attention", "decode_attention"),
                *("training_matmul", "training_narrow", "training_attention", "training_stream"),
            )
        },
        "achieved.attention_length": Range(1, 1e5, "token", "some hundreds to some thousands"),
        "achieved.attention_width": Range(0, 1024, "1", "about the width of a head"),
        "memory.capacity": Range(1, 1e12, "KiB", "from a microcontroller's SRAM to a rack's memory"),
        "memory.bandwidth": Range(1e-3, 1e9, "GB/s", "from a serial bus to a wafer of SRAM, 21e6 GB/s"),
        "on_chip.capacity": Range(1, 1e9, "KiB", "from a cache of one core to a wafer of SRAM, 44 GB"),
        "on_chip.bandwidth": Range(1e-3, 1e9, "GB/s", "as for memory"),
        "flash.bandwidth": Range(1e-3, 1e3, "GB/s", "a serial or parallel flash bus"),
        "flash.capacity": Range(16, 1e6, "KiB", "program memory of a microcontroller"),
        "link.bandwidth": Range(0.01, 1e6, "GB/s", "from a slow bus to all links of a rack"),
        "power.tdp": Range(1e-3, 1e6, "W", "from a sleeping microcontroller to a row of racks"),
        "power.idle": Range(1e-6, 1e6, "W", "as for tdp"),
        "price.purchase": Range(0.1, 2e7, "USD", "from a bare chip to a rack"),
        "price.rent": Range(0.01, 5e3, "USD/h", "from a marketplace card to a rack"),
        "embodied_carbon": Range(0.01, 2e5, "kgCO2e", _KG),
    },
    "models": {
        "released": _YEAR,
        "architecture.layers": _count(2000, "the deepest published have about a thousand"),
        "architecture.encoder_layers": _count(2000, "as for layers"),
        "architecture.decoder_layers": _count(2000, "as for layers"),
        "architecture.hidden": _count(2e5, "the widest announced has 25600"),
        "architecture.ffn": _count(2e6, "some 2 to 64 times the hidden size"),
        "architecture.heads": _count(4096, "hidden size over some 64 to 256"),
        "architecture.kv_heads": _count(4096, "at most the number of heads"),
        "architecture.head_dim": _count(1024, "64 to 256 in practice"),
        "architecture.vocab": _count(1e7, "tokenizers have some ten to some hundred thousand entries"),
        "architecture.context": Range(16, 1e9, "token", "from a sentence to 10 million", whole=True),
        "architecture.window": Range(16, 1e9, "token", "at most the context", whole=True),
        "architecture.full_layers": _count(2000, "layers without the window, fewer than all"),
        "architecture.experts": _count(1e4, "8 to some hundred"),
        "architecture.experts_active": _count(1e3, "1 to 8 in practice"),
        "architecture.expert_ffn": _count(2e6, "as for ffn"),
        "architecture.shared_experts": _count(64, "none, one or two", low=0),
        "architecture.dense_layers": _count(2000, "at most the number of layers", low=0),
        "architecture.q_rank": _count(1e5, "below the hidden size"),
        "architecture.kv_rank": _count(1e5, "below the hidden size"),
        "architecture.rope_dim": _count(1024, "as for head_dim"),
        "architecture.nope_dim": _count(1024, "as for head_dim"),
        "architecture.value_dim": _count(1024, "as for head_dim"),
        "architecture.state": _count(4096, "16 in Mamba, 64 to 256 in later models"),
        "architecture.expand": Range(1, 16, "1", "inner over outer width; 2 in Mamba"),
        "architecture.conv": _count(64, "taps of the short convolution; 4 in Mamba"),
        "architecture.dt_rank": _count(1e5, "hidden over 16 in Mamba"),
        "parameters": Range(10, 1e14, "param", "from a hundred to ten times the largest known"),
        "parameters_active": Range(10, 1e14, "param", "at most all parameters"),
        "training_tokens": Range(1e6, 1e15, "token", "all text that there is comes to some 1e14"),
        "flops_per_sample": Range(1e3, 1e18, "FLOP", "from a keyword to a film"),
        "activations_per_sample": Range(1, 1e13, "1", "outputs of all layers"),
        "bytes_per_sample": Range(1, 1e13, "byte", "rows read from embedding tables"),
    },
    "infra": {
        "carbon_intensity": Range(0, 1500, "gCO2e/kWh", "lignite alone is about 1200; a share slips by 1000"),
        "price": Range(0.005, 1, "USD/kWh", "industrial power costs 0.03 to 0.4"),
        "pue": Range(1, 3, "1", "facility over computing power is never below 1"),
        "wue": Range(0, 10, "L/kWh", "evaporating all heat of a kilowatt hour takes about 1.5 L"),
        "carbon_free": Range(0, 1, "1", "a share, not a percentage"),
        "latitude": Range(-90, 90, "deg", "degrees north of the equator"),
        "longitude": Range(-180, 180, "deg", "degrees east of Greenwich"),
    },
    "systems/nodes": {
        "accelerators": _count(1024, "accelerators of one server or rack"),
        "scale_up_domain": _count(1e5, "the largest TPU pod has 9216"),
        "scale_out_links": _count(1024, "at most some per accelerator"),
        "power": Range(5, 1e6, "W", "from a small workstation to a rack of a megawatt"),
        "price": Range(100, 2e7, "USD", "from a small workstation to a rack"),
        "embodied_carbon": Range(10, 2e5, "kgCO2e", _KG),
        "cpu_cores": _count(1e4, "cores, not threads; 36 Grace processors have 2592"),
        "host_memory": Range(1, 1e6, "GB", "from a small workstation to a rack"),
    },
    "systems/fabrics": {
        "bandwidth": Range(0.01, 2e4, "GB/s", "from 100 Mbit/s to the links of a future accelerator"),
        "latency": Range(1e-8, 1e-2, "s", "light goes 3 m in 10 ns; a wide-area hop takes milliseconds"),
        "bulk_latency": Range(1e-8, 1e-2, "s", "as for latency; a few times as long"),
        "peer_start": Range(1e-7, 1e-3, "s", "the start of a kernel and a barrier"),
        "achieved_share": Range(0.1, 1, "1", "protocols take 4 to 40 percent, and nothing exceeds nominal"),
    },
    "systems/storage": {
        "bandwidth_read": Range(1e-3, 1e6, "GB/s", "from a disk to a file system of a whole site"),
        "bandwidth_write": Range(1e-3, 1e6, "GB/s", "as for reading"),
        "capacity": Range(1, 1e10, "GB", "from a small drive to some exabytes"),
        "latency": Range(1e-6, 60, "s", "from flash to tape in a robot"),
    },
    "systems/reliability": {
        "mtbf_accelerator": Range(100, 1e8, "h", "fleets report 1e4 to 1e5"),
        "mtbf_node": Range(10, 1e8, "h", "fleets report 1e3 to 1e4"),
        "restart_time": Range(0.1, 1e5, "s", "seconds to hours"),
        "detection_time": Range(1e-3, 1e5, "s", "milliseconds to hours"),
    },
    "systems/scenarios": {
        "story.latency": Range(1e-6, 1e5, "s", "microseconds to a day"),
        "story.task_latency": Range(1e-6, 1e5, "s", "microseconds to a day"),
        "story.passes": _count(1e6, "passes of a model in a task"),
        "story.rate": Range(1e-6, 1e9, "sample/s", "samples that arrive"),
        "story.throughput": Range(1e-3, 1e12, "token/s", "tokens processed"),
        "story.tokens": Range(1e3, 1e15, "token", "a training run"),
        "story.duration": Range(1, 1e9, "s", "seconds to decades"),
        "story.efficiency": Range(1e-4, 1, "1", "a share of peak"),
        "story.battery": Range(1e-3, 1e6, "Wh", "a coin cell to a truck"),
        "story.active": Range(0, 1, "1", "a share of the time"),
    },
    "defaults": {
        "seq_len": Range(1, 1e8, "token", "as a context", whole=True),
        "batch_size": Range(1, 1e8, "sample", "at least one", whole=True),
        "duration": Range(1, 1e5, "h", "an hour to a decade"),
        "gradient_overlap": Range(0, 1, "1", "a share"),
        "fsdp_share": Range(0, 1, "1", "a share"),
        "matmul_share": Range(0.05, 1, "1", "a share of peak"),
        "bandwidth_share": Range(0.05, 1, "1", "a share of peak"),
        "matmul_flat": Range(0, 1, "1", "a share"),
        "matmul_stream_share": Range(0.05, 1, "1", "a share"),
        "reread_share": Range(0.05, 1, "1", "a share"),
        "early_group_share": Range(0.05, 1, "1", "a share"),
        "matmul_grouped": Range(0.1, 1, "1", "grouped over single products"),
        "matmul_depth": Range(0, 1e5, "byte", "some hundreds"),
        "attention_share": Range(0.05, 1, "1", "a share of peak"),
        "attention_length": Range(1, 1e5, "token", "some hundreds to some thousands"),
        "attention_width": Range(0, 1024, "1", "about the width of a head"),
        "training_matmul_share": Range(0.2, 1, "1", "whole runs over kernels timed alone"),
        "training_narrow_share": Range(0.2, 1, "1", "whole runs over kernels timed alone"),
        "training_stream_share": Range(0.05, 1, "1", "whole runs over kernels timed alone"),
        "matmul_tile": _count(4096, "edge of a tile"),
        "launch_overhead": Range(0, 1e-3, "s", "microseconds"),
        "host_kernel": Range(0, 1e-3, "s", "some microseconds"),
        "host_expert": Range(0, 1e-3, "s", "some tens of microseconds"),
        "host_operator": Range(0, 1e-3, "s", "some tens of microseconds"),
        "runtime_reserve": Range(0, 64, "GB", "one or two, rarely more"),
        "gradient_bytes": Range(0.5, 8, "byte/param", "the width of a number format"),
        "adam_state_bytes": Range(0, 32, "byte/param", "fp32 copy and two moments are 12"),
        "sgd_state_bytes": Range(0, 32, "byte/param", "fp32 copy and momentum are 8"),
        "network_latency_scale_out": Range(1e-8, 1e-2, "s", "as for fabrics"),
        "network_bulk_latency_scale_out": Range(1e-8, 1e-2, "s", "as for fabrics"),
        "collective_start": Range(0, 1e-2, "s", "some microseconds"),
        "eager_share_scale_up": Range(0.01, 1, "1", "a share of the bandwidth"),
        "eager_share_scale_out": Range(0.01, 1, "1", "a share of the bandwidth"),
        "achieved_share_scale_out": Range(0.1, 1, "1", "as for fabrics"),
        "server_power_share": Range(0.1, 1, "1", "drawn over rated power"),
        "host_power_share": Range(1, 4, "1", "server over its accelerators, both as rated"),
        "server_price_ratio": Range(1, 4, "1", "server over its accelerators"),
        "server_embodied": Range(0, 5000, "kgCO2e", "the server around one accelerator"),
        "server_life": Range(1, 20, "year", "written off in 3 to 8 years"),
        "upkeep": Range(0, 0.5, "1/year", "share of the purchase price"),
        "electricity_price": Range(0.005, 1, "USD/kWh", "as for regions"),
        "pue": Range(1, 3, "1", "as for regions"),
        "wue": Range(0, 10, "L/kWh", "as for regions"),
        "grid_water": Range(0, 50, "L/kWh", "hydropower evaporates some 20"),
        "earth_radius": Range(6350, 6385, "km", "6357 at the poles, 6378 at the equator"),
        "light_speed": Range(2e8, 3e8, "m/s", "299792458 in vacuum"),
        "fibre_index": Range(1, 1.6, "1", "1 in hollow fibre, about 1.47 in glass"),
        "route_factor": Range(1, 10, "1", "no way is shorter than the great circle"),
        "transfer_bandwidth": Range(1e-3, 1e4, "GB/s", "from a home line to a bundle of cables"),
    },
    "egress": {"price": Range(0, 1, "USD/GB", "list prices are 0 to 0.2")},
    "economics": {
        "carbon_price": Range(0, 2000, "USD/tCO2e", "markets 5 to 130, damage estimates to 1000"),
        "electricity_price": Range(0.005, 1, "USD/kWh", "as for regions"),
        "pue": Range(1, 3, "1", "as for regions"),
        "wue": Range(0, 10, "L/kWh", "as for regions"),
        "water_of_generation": Range(0, 50, "L/kWh", "hydropower evaporates some 20"),
        "server_life": Range(1, 20, "year", "written off in 3 to 8 years"),
        "facility_life": Range(3, 60, "year", "a building"),
        "capex": Range(0.5, 500, "USD/W", "building 5 to 15, with accelerators 30 to 50"),
        "upkeep": Range(0, 0.5, "1/year", "share of the purchase price"),
    },
}


def table(kind: str, group: str) -> dict[str, Range]:
    """Return the bounds of the fields of an entry of this kind and group."""
    return RANGES.get(f"{kind}/{group}") or RANGES.get(kind, {})


def check_ranges(record: Record, bounds: dict[str, Range], file: str, notes: Notes) -> None:
    """Note the values of a record that are out of bounds; a field without bounds is not judged."""
    for field, value in record.values().items():
        if field in bounds and (problem := bounds[field].problem(value)):
            notes.error(file, field, problem)

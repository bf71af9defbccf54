"""What a row of measurements may hold: each field with its type, its unit and its range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

KINDS = ("training", "finetuning", "training-layer", "memory", "serving", "op-level", "energy")
LONGEST = 500  # characters of a text in a section of a row


@dataclass(frozen=True)
class Field:
    """A field of a row.

    Attributes:
        form: ``count`` (a whole number), ``number``, ``text``, ``flag``, ``sizes`` (a mapping of numbers),
            or ``loose`` (a number or a text, as sources have it).
        unit: of a number; empty for a bare count.
        low, high: range of a number, ends included.
    """

    form: str
    unit: str = ""
    low: float = 0.0
    high: float = 1e12

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value, nothing if it is right."""
        if self.form == "flag":
            return "" if isinstance(value, bool) else "should be true or false"
        if self.form == "sizes":
            return _sizes(value)
        if isinstance(value, str) and self.form in ("text", "loose"):
            fine = value.strip() and value.isprintable() and len(value) <= LONGEST
            return "" if fine else "should be a text of one line, not endless"
        if self.form == "text":
            return "should be a text"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "should be a number"
        if self.form == "count" and not isinstance(value, int):
            return "should be a whole number"
        if not self.low <= value <= self.high:  # also refuses NaN
            unit = f" {self.unit}" if self.unit not in ("", "1") else ""
            return f"should lie between {self.low:g} and {self.high:g}{unit}"
        return ""


def _sizes(value: Any) -> str:
    if not isinstance(value, dict) or not value:
        return "should be a mapping of sizes"
    for key, item in value.items():
        whole = isinstance(item, int) and not isinstance(item, bool)
        if not isinstance(key, str) or not whole or not 0 <= item <= 10**7:
            return f"{str(key)[:40]} should be a whole number"
    return ""


def _counts(names: str, high: float = 1e7) -> dict[str, Field]:
    return {name: Field("count", low=1, high=high) for name in names.split()}


def _texts(names: str) -> dict[str, Field]:
    return {name: Field("text") for name in names.split()}


def _numbers(unit: str, names: str, low: float, high: float) -> dict[str, Field]:
    return {name: Field("number", unit, low, high) for name in names.split()}


MODEL: dict[str, Field] = {
    **_texts("name type mlp attention pos"),
    **_counts("layers hidden ffn heads kv_heads head_dim vocab"),
    "seq_len": Field("count", "token", 1, 1e8),
    "params_b": Field("loose", "1e9 param", 1e-6, 1e6),
    "active_params_b": Field("number", "1e9 param", 1e-6, 1e6),
    **dict.fromkeys(("moe", "mla", "hybrid"), Field("sizes")),
    "proxy": Field("flag"),
    "bias": Field("flag"),
}
HARDWARE: dict[str, Field] = {
    **_texts("chip node system intra_node inter_node"),
    **_counts("count per_node nvlink_domain"),
    **_numbers("TFLOP/s", "peak_tflops_bf16 peak_tflops_fp8 peak_tflops_used", 1.0, 1e6),
    **_numbers("W", "tdp_w power_w_per_chip", 1.0, 1e5),
}
CONFIG: dict[str, Field] = {
    **_counts("tp pp cp dp ep etp vpp microbatch global_batch grad_accum batch dp_replicas"),
    **_counts("model_parallel_size layers_per_virtual_stage"),
    **{
        name: Field("count", "token", 0, 1e8)
        for name in ("input_tokens", "output_tokens", "context_tokens", "cached_tokens")
    },
    **dict.fromkeys(("zero_stage", "fsdp"), Field("loose", low=0, high=1e7)),
    "sequence_parallel": Field("flag"),
    **_texts("precision kv_precision recompute recompute_modules offload ddp_impl overlap graph narrow"),
    **_texts("loss kernel dispatch"),
    **_counts("deferred mtp first_layers last_layers"),
    **_texts("mp_mode schedule task partitioning"),
    "tokens_trained": Field("text"),
}
MEASURED: dict[str, Field] = {
    **_numbers("s", "iteration_time_s iteration_time_s_derived", 1e-6, 1e6),
    **_numbers("s", "latency_s total_latency_s total_latency_s_derived", 1e-6, 1e6),
    **_numbers("token/s", "tokens_per_s tokens_per_s_per_gpu tokens_per_s_per_gpu_derived", 1e-3, 1e12),
    **_numbers("token/s", "output_tokens_per_s_per_gpu output_tokens_per_s_derived", 1e-3, 1e12),
    **_numbers("TFLOP/s", "tflops_per_gpu tflops_per_gpu_model_derived max_matmul_tflops", 1e-2, 1e5),
    **_numbers("TFLOP/s", "measured_tflops_per_chip", 1e-2, 1e5),
    **_numbers("PFLOP/s", "aggregate_pflops", 1e-3, 1e8),
    **_numbers("1", "mfu hfu efficiency", 1e-4, 1.0),
    **_numbers("1", "mfu_as_published", 1e-4, 2.0),
    **_numbers("%", "pct_of_peak act_mem_pct_none act_mem_pct_seqpar act_mem_pct_selective", 0.0, 100.0),
    **_numbers("%", "act_mem_pct_seq_sel act_mem_pct_full", 0.0, 100.0),
    **_numbers("%", "overhead_pct", -100.0, 1000.0),
    **_numbers("ms", "layer_forward_ms layer_backward_ms layer_total_ms", 1e-4, 1e6),
    **_numbers("ms", "ttft_ms decode_latency_ms_per_token", 1e-4, 1e6),
    **_numbers("GB", "peak_memory_gb", 1e-3, 1e5),
    **_numbers("GiB", "params_optimizer_gib activation_gib_none activation_gib_seq_sel", 1e-3, 1e5),
    **_numbers("s", "Q_K_V_s Q_mul_K_s A_mul_V_s Wo_proj_s W1_proj_s W2_proj_s Softmax_s", 1e-9, 1e4),
    **_numbers("s", "LayerNorm_MHA_s LayerNorm_FFN_s GeLU_s AllReduce_MHA_s AllReduce_FFN_s", 1e-9, 1e4),
    **_numbers("s", "layer_total_s", 1e-9, 1e4),
    **_numbers("h", "gpu_hours", 1e-3, 1e12),
    **_numbers("day", "days", 1e-3, 1e5),
    **_numbers("W", "gpu_power_w", 1.0, 1e5),
    **_numbers("1", "pue", 1.0, 10.0),
    **_numbers("kgCO2e/kWh", "carbon_intensity_kg_per_kwh net_carbon_intensity_kg_per_kwh", 0.0, 3.0),
    **_numbers("MWh", "energy_mwh energy_idle_mwh", 1e-6, 1e9),
    **_numbers("tCO2e", "tco2e tco2e_gross tco2e_net tco2e_dynamic tco2e_idle tco2e_embodied", 0.0, 1e9),
    **_numbers("tCO2e", "tco2e_total", 0.0, 1e9),
    **_numbers("ZFLOP", "total_zettaflops", 1e-9, 1e12),
    "flops_convention": Field("text"),
}
SECTIONS: dict[str, dict[str, Field]] = {
    "model": MODEL,
    "hardware": HARDWARE,
    "config": CONFIG,
    "measured": MEASURED,
}

# Number formats as sources write them; MX and NV formats scale blocks of values and are taken as their
# width. What else stands in a text (amp, accumulation, recipe) does not change the format.
_FORMATS = ("nvfp4", "fp4", "mxfp8", "fp8", "int8", "bf16", "fp16", "tf32", "fp32")
_PLAIN = {"nvfp4": "fp4", "mxfp8": "fp8"}


def number_format(text: str) -> str:
    """Return the number format of the matrix work in a source's words, nothing if none is named."""
    words = text.lower()
    found = [(words.find(name), name) for name in _FORMATS if name in words]
    if not found:
        return ""
    first = min(found, key=lambda pair: (pair[0], -len(pair[1])))[1]
    return _PLAIN.get(first, first)


def finite(value: Any) -> bool:
    """Return whether a value is a number that can be compared."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

"""Distil what accelerators reach of their peaks from measured kernels: ``python -m benchmarks.kernels DATA``.

``DATA`` is the folder ``systems/data`` of AIConfigurator (NVIDIA, Apache-2.0; PyPI package
``aiconfigurator-core``). Needs pandas and pyarrow, which are no dependencies of mlsysim. Prints, for
each chip, the values of ``achieved`` in ``registry/hardware``:

- matrix products by number format: mean rate of the shapes with 8192 rows and both other sizes above
  4000, over the dense peak;
- attention: ``share s / (s + length)  d (128 + width) / (128 (d + width))`` fitted to the medians of
  prefill by prompt length ``s`` (1024 to 16384) and head width ``d`` (64, 128, 256), causal, 16 bits,
  at least 32 heads over the batch and at least 8 of them different; operations of the causal half.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from mlsysim.hardware import CATALOG

# chip of the registry: folder, table of products, table of attention
TABLES = {
    "A100": ("a100_sxm", "trtllm/1.0.0", "vllm/0.14.0"),
    "H100": ("h100_sxm", "trtllm/1.3.0rc20", "vllm/0.24.0"),
    "H200": ("h200_sxm", "trtllm/1.3.0rc20", "vllm/0.24.0"),
    "B200": ("b200_sxm", "trtllm/1.3.0rc20", "vllm/0.24.0"),
    "B300": ("b300_sxm", "trtllm/1.3.0rc20", "vllm/0.24.0"),
    "GB200": ("gb200", "trtllm/1.3.0rc20", "vllm/0.24.0"),
    "GB300": ("gb300", "trtllm/1.3.0rc20", "vllm/0.24.0"),
    "L40S": ("l40s", "trtllm/1.3.0rc20", "vllm/0.24.0"),
}
FORMATS = {"bf16": "bfloat16", "fp8": "fp8", "fp4": "nvfp4"}
LENGTHS = (1024, 2048, 4096, 8192, 16384)
WIDTHS = (64, 128, 256)


def products(table: Any, peak: float, name: str) -> tuple[float, int]:
    """Return the mean share of peak that large products of a format reach, and of how many shapes."""
    large = table[
        (table.gemm_dtype == name) & (table.m == 8192) & (table.n > 4000) & (table.k > 4000)
    ]
    rate = 2.0 * large.m * large.n * large.k / large.latency * 1e3
    return float(rate.mean()) / peak, len(large)


def attention(table: Any, peak: float) -> tuple[float, float, float, float]:
    """Return share, length and width of the law above, and its median relative error."""
    if "window_size" not in table:
        table = table.assign(window_size=0)
    t = table[
        (table.window_size == 0)
        & (table.step == 0)
        & table.kv_cache_dtype.isin(["bfloat16", "float16"])
        & table.attn_dtype.isin(["bfloat16", "float16"])
        & (table.num_heads >= 8)
        & (table.batch_size * table.num_heads >= 32)
        & table.isl.isin(LENGTHS)
        & table.head_dim.isin(WIDTHS)
    ]
    flops = 2.0 * t.batch_size * t.num_heads * t.head_dim * t.isl.astype(float) ** 2
    medians = (
        t.assign(share=flops / t.latency * 1e3 / peak).groupby(["isl", "head_dim"]).share.median().reset_index()
    )
    s, d, y = (medians[c].to_numpy(float) for c in ("isl", "head_dim", "share"))
    best = (np.inf, 0.0, 0.0)
    widths = np.arange(0.0, 201.0, 2.0) if len(set(d)) > 1 else (43.0,)
    for width in widths:
        for length in np.arange(50.0, 4001.0, 10.0):
            shape = s / (s + length) * d * (128.0 + width) / (128.0 * (d + width))
            error = np.log(y / shape)
            best = min(best, (float(np.var(error)), length, float(width)))
    _, length, width = best
    shape = s / (s + length) * d * (128.0 + width) / (128.0 * (d + width))
    share = float(np.exp(np.mean(np.log(y / shape))))
    return share, length, width, float(np.median(np.abs(share * shape / y - 1.0)))


def main(data: str) -> None:
    """Print the values of every chip."""
    import pandas

    for chip, (folder, gemm, prefill) in TABLES.items():
        h, base = CATALOG.get(chip), Path(data) / folder
        table = pandas.read_parquet(base / "gemm" / gemm / "gemm_perf.parquet")
        for ours, theirs in FORMATS.items():
            if (table.gemm_dtype == theirs).any():
                share, n = products(table, h.rate(ours).base, theirs)
                print(f"{chip:6} matmul_{ours:5} {share:.3f}  {n} shapes of {gemm}")
        table = pandas.read_parquet(base / "attention" / prefill / "context_attention_perf.parquet")
        share, length, width, error = attention(table, h.rate("bf16").base)
        print(
            f"{chip:6} attention {share:.3f} length {length:.0f} width {width:.0f}"
            f"  median error {error:.1%} of {prefill}"
        )


if __name__ == "__main__":
    main(sys.argv[1])

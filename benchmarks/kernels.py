"""Distil what accelerators reach of their peaks from measured kernels: ``python -m benchmarks.kernels DATA``.

``DATA`` is the folder ``systems/data`` of AIConfigurator (NVIDIA, Apache-2.0; PyPI package
``aiconfigurator-core``). Needs pandas and pyarrow, which are no dependencies of mlsysim. Prints, for
each chip, the values of ``achieved`` in ``registry/hardware``:

- matrix products by number format: the share of peak in the law of ``roofline.matmul_time`` (tiles,
  waves, depth) that fits shapes with 2048 to 16384 rows and 2048 to 40000 of the other sizes with the
  least mean error; of the latest tables of three libraries the fastest one is taken;
- products of up to 64 rows, which wait for their matrices: ``start + bytes / (share bandwidth)`` with the
  least mean error in logarithms; of 16 bits the share, of 8 bits the start, medians over libraries;
- attention: ``share s / (s + length)  d (128 + width) / (128 (d + width))`` fitted to the medians of
  prefill by prompt length ``s`` (1024 to 16384) and head width ``d`` (64, 128, 256), causal, 16 bits,
  at least 32 heads over the batch and at least 8 of them different; operations of the causal half.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mlsysim.hardware import BYTES, CATALOG
from mlsysim.physics.roofline import Chip, matmul_time
from mlsysim.physics.transformer import Matmul

# chip of the registry: folder, table of attention
TABLES = {
    "A100": ("a100_sxm", "vllm/0.14.0"),
    "H100": ("h100_sxm", "vllm/0.24.0"),
    "H200": ("h200_sxm", "vllm/0.24.0"),
    "B200": ("b200_sxm", "vllm/0.24.0"),
    "B300": ("b300_sxm", "vllm/0.24.0"),
    "GB200": ("gb200", "vllm/0.24.0"),
    "GB300": ("gb300", "vllm/0.24.0"),
    "L40S": ("l40s", "vllm/0.24.0"),
}
FORMATS = {"bf16": "bfloat16", "fp8": "fp8", "fp8_block": "fp8_block", "fp4": "nvfp4"}
LENGTHS = (1024, 2048, 4096, 8192, 16384)
WIDTHS = (64, 128, 256)


def products(table: Any, h: Any, ours: str) -> tuple[float, int, float]:
    """Return the share of peak that products reach in the law of ``roofline.matmul_time``.

    Shapes, and the median error, come with it.
    """
    t = table[
        (table.gemm_dtype == FORMATS.get(ours, ours))
        & table.m.isin([2048, 4096, 8192, 16384])
        & table.n.between(2048, 40000)
        & table.k.between(2048, 40000)
    ]
    name = ours.split("_")[0]
    chip = Chip(
        h.rate(name).base,
        1.0,
        h.memory.bandwidth.base,
        0.862,
        units=h.compute_units.base,
        tile=128.0,
        launch=2.1e-6,
        flat=0.9,
        depth=384.0 / BYTES[name],
    )
    p = Matmul(*(t[c].to_numpy(float) for c in "mkn"))
    time = t.latency.to_numpy() * 1e-3
    tried = np.arange(0.2, 1.0, 0.002)
    errors = [np.abs(matmul_time(p, replace(chip, share=x), BYTES[name]) / time - 1.0) for x in tried]
    best = int(np.argmin([e.mean() for e in errors]))
    return float(tried[best]), len(t), float(np.median(errors[best]))


def reading(table: Any, h: Any, ours: str) -> tuple[float, float, float]:
    """Return the start [us] and the share of the bandwidth of products that wait for their matrices.

    The mean error of their logarithm comes with it.
    """
    t = table[
        (table.gemm_dtype == FORMATS.get(ours, ours))
        & table.m.isin([1, 2, 4, 8, 16, 32, 64])
        & table.n.between(2048, 70000)
        & table.k.between(2048, 30000)
    ]
    wide = 2.0
    moved = t.n * t.k * BYTES[ours.split("_")[0]] + wide * t.m * (t.n + t.k)
    ideal, time = (moved / h.memory.bandwidth.base).to_numpy(), t.latency.to_numpy() * 1e-3
    best = (np.inf, 0.0, 0.0)
    for share in np.arange(0.4, 1.0, 0.005):
        for start in np.arange(0.0, 20.0, 0.1):
            error = np.abs(np.log((start * 1e-6 + ideal / share) / time)).mean()
            best = min(best, (float(error), float(start), float(share)))
    return best[1], best[2], best[0]


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
        t.assign(share=flops / t.latency * 1e3 / peak)
        .groupby(["isl", "head_dim"])
        .share.median()
        .reset_index()
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

    for chip, (folder, prefill) in TABLES.items():
        h, base = CATALOG.get(chip), Path(data) / folder
        for gemm in sorted(base.glob("gemm/*/*/gemm_perf.parquet")):
            table = pandas.read_parquet(gemm)
            for ours, theirs in FORMATS.items():
                if (table.gemm_dtype == theirs).any():
                    share, n, error = products(table, h, ours)
                    print(
                        f"{chip:6} matmul_{ours:9} {share:.3f}  {n} shapes, median error {error:.1%},"
                        f" {'/'.join(gemm.parts[-3:-1])}"
                    )
                    start, share, error = reading(table, h, ours)
                    print(
                        f"{chip:6} {ours:9} of few rows: start {start:.1f} us, {share:.3f} of the bandwidth,"
                        f" mean error {error:.1%}"
                    )
        table = pandas.read_parquet(base / "attention" / prefill / "context_attention_perf.parquet")
        share, length, width, error = attention(table, h.rate("bf16").base)
        print(
            f"{chip:6} attention {share:.3f} length {length:.0f} width {width:.0f}"
            f"  median error {error:.1%} of {prefill}"
        )


if __name__ == "__main__":
    main(sys.argv[1])

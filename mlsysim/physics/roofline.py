"""Time of one operator on one accelerator (Williams 2009)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mlsysim.physics.transformer import Matmul
from mlsysim.physics.types import Array

# The width of a head for which the share of attention is stated, and how much slower its backward pass
# runs: FlashAttention-2 reaches 73% of the peak forward and 63% backward (Dao 2023, section 1).
HEAD = 128.0
ATTENTION_BACKWARD = 0.63 / 0.73


@dataclass(frozen=True)
class Chip:
    """An accelerator as the roofline sees it.

    Attributes:
        peak: dense rate at the precision of the run [FLOP/s].
        share: share of ``peak`` that large matrix products reach.
        bandwidth: memory bandwidth [byte/s]; infinite where it is not known.
        bandwidth_share: share of ``bandwidth`` that streaming kernels reach.
        units: cores that tiles are dealt out to; 0 where unknown or where a user's own
            efficiency already contains the effect.
        tile: edge of an output tile; 0 switches quantization off, as above.
        launch: time to start one kernel [s].
        flat: speed of tiles of half the height over that of whole ones, which libraries choose where
            they fill the last wave better; 0 where they have none.
        depth: inner size at which a product reaches half of its rate: each tile starts and ends a loop.
        plain_peak: rate of ordinary cores in 32 bits, on which products run whose operands are not
            aligned; 0 where it is not known.
        wide_peak, wide_share, wide_depth: the same as ``peak``, ``share`` and ``depth`` in 16 bits, for
            what does not run at the precision of the run: attention and the vocabulary layer; 0 where
            they are those of the run.
        attention: share of ``wide_peak`` that fused attention over long sequences with heads of
            :data:`HEAD` reaches; 0 where it is that of the products.
        attention_length: tokens of a sequence at which it reaches half of that.
        attention_width: width of a head of which the same is true.
        narrow: bytes of an operand of a product that is cast before it; 0 where none is.
        cache_share: share of ``bandwidth`` at which attention reads a cache; 0 where it is that of streams.
        operand_share: share of ``bandwidth`` at which matrix products read and write; 0 where it is that
            of streams.
        matmul_launch: time to start one matrix product; 0 where it is ``launch`` [s].
        grouped: rate of grouped products over that of single ones.
        kernel_share: share of the bandwidth of large streams that operators of a layer reach.
        host: time in which the host issues an operator, where it does so one by one [s]: of training
            those of experts, of inference the kernels of a prefill.
        eager: time in which the host issues one of the small kernels of experts with biases [s].
    """

    peak: float
    share: float
    bandwidth: float
    bandwidth_share: float
    units: float = 0.0
    tile: float = 0.0
    launch: float = 0.0
    flat: float = 0.0
    depth: float = 0.0
    plain_peak: float = 0.0
    wide_peak: float = 0.0
    wide_share: float = 0.0
    wide_depth: float = 0.0
    attention: float = 0.0
    attention_length: float = 0.0
    attention_width: float = 0.0
    narrow: float = 0.0
    cache_share: float = 0.0
    operand_share: float = 0.0
    matmul_launch: float = 0.0
    grouped: float = 1.0
    kernel_share: float = 1.0
    host: float = 0.0
    eager: float = 0.0


def tile_share(p: Matmul, chip: Chip) -> Array:
    """Return the share of a product's work that is not padding.

    Tile quantization: rows and columns are rounded up to tiles. Wave quantization: tiles are
    dealt out in rounds of ``units``, and the last round may be partly empty (NVIDIA, Matrix
    Multiplication Background User's Guide, sections 5 and 6). Products of fewer rows than a tile
    use a flatter one, a power of two of at least 16 rows.
    """
    if not chip.tile:
        return np.ones_like(np.asarray(p.rows * 1.0 * p.columns))
    whole = _filled(p, chip, chip.tile)
    return np.maximum(whole, chip.flat * _filled(p, chip, 0.5 * chip.tile)) if chip.flat else whole


def _filled(p: Matmul, chip: Chip, tallest: float) -> Array:
    """Return the share of the work that is not padding, with tiles of at most this height."""
    rows = np.asarray(p.rows, dtype=float)
    height = np.minimum(np.maximum(2.0 ** np.ceil(np.log2(np.maximum(rows, 1.0))), 16.0), tallest)
    down = np.ceil(np.maximum(rows, 1e-9) / height)
    across = np.ceil(np.asarray(p.columns, dtype=float) / chip.tile)
    share = rows * p.columns / (down * height * across * chip.tile)
    if not chip.units:
        return share
    tiles = down * across * np.ceil(p.count)
    return share * tiles / (np.ceil(tiles / chip.units) * chip.units)


def matmul_compute(p: Matmul, chip: Chip) -> Array:
    """Return the time of a group of matrix products at the achieved rate, padding included [s]."""
    flops = 2.0 * p.rows * (p.inner + chip.depth) * p.columns * p.count
    share = chip.share * chip.grouped if p.grouped else chip.share
    return flops / (chip.peak * share * tile_share(p, chip))


def matmul_time(p: Matmul, chip: Chip, width_bytes: float, *, summed: float = 0.0) -> Array:
    """Return the time of a group of matrix products [s].

    The longer of operations at the achieved rate and operands at the achieved bandwidth, and the starts.

    Args:
        p: the products.
        chip: the accelerator.
        width_bytes: of an element.
        summed: of an element of the sum that the products are added to, read and written; 0 where they
            are written as they are.
    """
    moved = matmul_bytes(p, width_bytes, summed=summed)
    read = moved / (chip.bandwidth * (chip.operand_share or chip.bandwidth_share))
    return np.maximum(matmul_compute(p, chip), read) + (chip.matmul_launch or chip.launch) * p.launches


def matmul_bytes(p: Matmul, width_bytes: float, *, summed: float = 0.0) -> Array:
    """Return what a group of matrix products reads and writes; see :func:`matmul_time` [byte]."""
    written = summed or width_bytes
    return p.count * (width_bytes * (p.rows * p.inner + p.inner * p.columns) + written * p.rows * p.columns)


def wide(chip: Chip) -> Chip:
    """Return the accelerator as products in 16 bits see it, whatever the precision of the run."""
    if not chip.wide_peak:
        return chip
    return replace(
        chip, peak=chip.wide_peak, share=chip.wide_share, depth=chip.wide_depth, narrow=0.0, matmul_launch=0.0
    )


def attention_share(chip: Chip, length: Array, width: Array) -> Array:
    """Return the share of the 16-bit peak that fused attention reaches.

    Each block of queries starts and ends a loop over keys, which short sequences do not pay back; and
    exponentials cost the same for a head of any width (Shah 2024, FlashAttention-3, section 3.1). So the
    time has a part by ``s^2 d``, one by ``s d`` and one by ``s^2``: measured kernels follow
    ``s / (s + s0)`` times ``d / (d + d0)`` (``benchmarks/kernels.py``).

    Args:
        chip: the accelerator.
        length: tokens of a sequence.
        width: of a head; the mean of keys and values where they differ.
    """
    if not chip.attention:
        return wide(chip).share + 0.0 * length
    long = length / (length + chip.attention_length)
    return (
        chip.attention
        * long
        * (width * (HEAD + chip.attention_width))
        / (HEAD * (width + chip.attention_width))
    )


def attention_time(flops: Array, chip: Chip, length: Array, width: Array) -> Array:
    """Return the time of fused attention, forward; see :func:`attention_share` [s]."""
    return flops / (wide(chip).peak * attention_share(chip, length, width))


def cast_bytes(p: Matmul, chip: Chip, width_bytes: float, layouts: float = 2.0) -> Array:
    """Return what casting the operand of a product moves: read once, written in its layouts [byte].

    A product's input is needed again, transposed, for the gradient of its weights; a norm writes both
    layouts itself, in no more bytes than it would in 16 bits (NVIDIA Transformer Engine,
    LayerNormLinear). One layout is enough where the weights are frozen.
    """
    if not chip.narrow or p.normed:
        return 0.0
    return (width_bytes + layouts * chip.narrow) * p.rows * p.inner * p.count


def compute_time(flops: Array, chip: Chip) -> Array:
    """Return the time of operations that run at the share of large products [s]."""
    return flops / (chip.peak * chip.share)


def stream_time(moved: Array, chip: Chip) -> Array:
    """Return the time to move bytes to and from memory [s]."""
    return moved / (chip.bandwidth * chip.bandwidth_share)


def cache_time(moved: Array, chip: Chip, times: Array = 1.0, again: float | None = None) -> Array:
    """Return the time in which attention reads so many bytes of keys and values [s].

    Args:
        moved: bytes of keys and values.
        chip: the accelerator.
        times: how often they are read: by each of the query heads that share them, one beside the other.
        again: rate of all these reads, of which the memory serves the first and the level-2 cache the
            others [byte/s]; None where the memory serves all.
    """
    once = moved / (chip.bandwidth * (chip.cache_share or chip.bandwidth_share))
    return times * once if again is None else np.maximum(once, times * moved / again)


def kernel_time(moved: Array, chip: Chip) -> Array:
    """Return the time of memory-bound operators of a layer that move so many bytes in all [s]."""
    return moved / (chip.bandwidth * chip.bandwidth_share * chip.kernel_share)


def ridge(chip: Chip) -> float:
    """Return the arithmetic intensity above which the peak rate is reachable [FLOP/byte]."""
    return chip.peak / chip.bandwidth

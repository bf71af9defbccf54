"""Time of one operator on one accelerator (Williams 2009)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics.transformer import Matmul
from mlsysim.physics.types import Array


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
    """

    peak: float
    share: float
    bandwidth: float
    bandwidth_share: float
    units: float = 0.0
    tile: float = 0.0
    launch: float = 0.0


def tile_share(p: Matmul, chip: Chip) -> Array:
    """Return the share of a product's work that is not padding.

    Tile quantization: rows and columns are rounded up to tiles. Wave quantization: tiles are
    dealt out in rounds of ``units``, and the last round may be partly empty (NVIDIA, Matrix
    Multiplication Background User's Guide, sections 5 and 6). Products of fewer rows than a tile
    use a flatter one, a power of two of at least 16 rows.
    """
    if not chip.tile:
        return np.ones_like(np.asarray(p.rows * 1.0 * p.columns))
    rows = np.asarray(p.rows, dtype=float)
    height = np.clip(2.0 ** np.ceil(np.log2(np.maximum(rows, 1.0))), 16.0, chip.tile)
    down = np.ceil(np.maximum(rows, 1e-9) / height)
    across = np.ceil(np.asarray(p.columns, dtype=float) / chip.tile)
    share = rows * p.columns / (down * height * across * chip.tile)
    if not chip.units:
        return share
    tiles = down * across * np.ceil(p.count)
    return share * tiles / (np.ceil(tiles / chip.units) * chip.units)


def matmul_compute(p: Matmul, chip: Chip) -> Array:
    """Return the time of a group of matrix products at the achieved rate, padding included [s]."""
    flops = 2.0 * p.rows * p.inner * p.columns * p.count
    return flops / (chip.peak * chip.share * tile_share(p, chip))


def matmul_time(p: Matmul, chip: Chip, width_bytes: float) -> Array:
    """Return the time of a group of matrix products [s].

    The longer of operations at the achieved rate and operands at the achieved bandwidth.
    """
    moved = width_bytes * p.count * (p.rows * p.inner + p.inner * p.columns + p.rows * p.columns)
    return np.maximum(matmul_compute(p, chip), stream_time(moved, chip)) + chip.launch * p.launches


def compute_time(flops: Array, chip: Chip) -> Array:
    """Return the time of operations that run at the share of large products [s]."""
    return flops / (chip.peak * chip.share)


def stream_time(moved: Array, chip: Chip) -> Array:
    """Return the time to move bytes to and from memory [s]."""
    return moved / (chip.bandwidth * chip.bandwidth_share)


def ridge(chip: Chip) -> float:
    """Return the arithmetic intensity above which the peak rate is reachable [FLOP/byte]."""
    return chip.peak / chip.bandwidth

"""Models known by their totals only: CNNs, diffusion, recommendation, state-space, TinyML."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics import roofline
from mlsysim.physics.inference import Pass
from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Operations:
    """A model known by its totals: parameters, and operations and bytes of one sample.

    Attributes:
        params: all parameters.
        flops: forward operations of one sample [FLOP].
        activations: elements that a sample keeps for the backward pass; 0 where unknown.
        moved: bytes that a sample reads beyond the weights.
        tokens: tokens of one sample, 0 where it has none.
        read: parameters that a pass reads whole, where that is not all of them: embedding tables
            are looked up, and the rows count in ``moved``. 0 stands for all.
    """

    params: float
    flops: float
    activations: float = 0.0
    moved: float = 0.0
    tokens: float = 0.0
    read: float = 0.0

    @property
    def params_read(self) -> float:
        """Parameters that a pass reads."""
        return self.read or self.params


def single_pass(m: Operations, chip: roofline.Chip, *, batch: Array, width: float) -> Pass:
    """Return one forward pass of ``batch`` samples on one accelerator.

    Weights are read once for the batch, those of tables by the row (Naumov 2019, section 2.1).
    ``width`` is the bytes of a weight and an activation.
    """
    work = batch * m.flops
    weights = m.params * width
    kept = batch * m.activations * width
    matmul = roofline.compute_time(work, chip)
    stream = roofline.stream_time(m.params_read * width + batch * m.moved + kept, chip)
    return Pass(
        matmul=matmul,
        stream=stream,
        time=np.maximum(matmul, stream) + chip.launch,
        flops=work,
        weights=weights,
        cache=0.0 * work,
        activations=kept,
    )

"""Memory of training state, sharded by ZeRO (Rajbhandari 2020), and of inference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics.types import Array


@dataclass(frozen=True)
class StateBytes:
    """Bytes a parameter of each part of the training state.

    With mixed-precision Adam 2 + 2 + 12 (Rajbhandari 2020, section 3.1).
    """

    weights: float
    gradients: float
    optimizer: float


def state_bytes(params: Array, dp: Array, zero: Array, b: StateBytes) -> Array:
    """Return weights, gradients and optimizer state on one rank [byte].

    Stage 1 divides the optimizer state by the data-parallel ranks, stage 2 the gradients too,
    stage 3 the weights too (Rajbhandari 2020, section 5).
    """
    zero = np.asarray(zero)
    return params * (
        b.weights / np.where(zero >= 3, dp, 1.0) + b.gradients / np.where(zero >= 2, dp, 1.0)
    ) + optimizer_bytes(params, dp, zero, b)


def optimizer_bytes(params: Array, dp: Array, zero: Array, b: StateBytes) -> Array:
    """Return the optimizer state on one rank, divided from stage 1 on [byte]."""
    return params * b.optimizer / np.where(np.asarray(zero) >= 1, dp, 1.0)


def update_bytes(params: Array, dp: Array, zero: Array, b: StateBytes) -> Array:
    """Return the bytes that the optimizer step moves on one rank [byte].

    Gradients are read, optimizer state is read and written, weights are written.
    """
    held = params / np.where(np.asarray(zero) >= 1, dp, 1.0)
    return held * (b.gradients + 2.0 * b.optimizer + b.weights)

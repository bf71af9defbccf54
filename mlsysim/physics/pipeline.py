"""Pipeline schedules: 1F1B and its interleaved form (Narayanan 2021)."""

from __future__ import annotations

import numpy as np

from mlsysim.physics.types import Array


def layers_per_stage(layers: float, pp: Array) -> Array:
    """Return the layers of the fullest stage: the one that sets the pace."""
    return np.ceil(layers / np.asarray(pp, dtype=float))


def bubble_layers(layers: float, pp: Array, interleave: Array) -> Array:
    """Return the pipeline bubble in layers' worth of one microbatch.

    ``(p - 1) / v`` microbatches of a stage (Narayanan 2021, section 2.2.2).
    """
    return layers_per_stage(layers, pp) * (pp - 1.0) / interleave


def in_flight_layers(layers: float, pp: Array, interleave: Array) -> Array:
    """Return for how many layers the first stage holds activations at its fullest.

    ``p`` microbatches of its layers, and ``1 + (p-1)/(p v)`` times that when interleaved
    (Korthikanti 2022, section 4.2.3), given that there are as many microbatches.
    """
    more = np.where(np.asarray(interleave) > 1, 1.0 + (pp - 1.0) / (pp * interleave), 1.0)
    return layers_per_stage(layers, pp) * pp * more


def last_in_flight_layers(layers: float, pp: Array, interleave: Array) -> Array:
    """Return for how many layers the last stage holds activations at its fullest.

    One microbatch of its layers; when interleaved, ``(v - 1) p + 1`` microbatches of a chunk, which
    is the warm-up of the schedule (Narayanan 2021, section 2.2.2).
    """
    return layers_per_stage(layers, pp) * ((interleave - 1.0) * pp + 1.0) / interleave


def sends(pp: Array, interleave: Array) -> Array:
    """Return the activation and gradient sends of a stage per microbatch and stage, pipelined.

    One forward and one backward a chunk; none without a pipeline.
    """
    return np.where(np.asarray(pp) > 1, 2.0 * interleave, 0.0)

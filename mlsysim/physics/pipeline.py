"""Pipeline schedules: 1F1B and its interleaved form (Narayanan 2021)."""

from __future__ import annotations

import numpy as np

from mlsysim.physics.types import Array


def layers_per_stage(layers: float, pp: Array) -> Array:
    """Return the layers of the fullest stage of a split that is as even as can be."""
    return np.ceil(layers / np.asarray(pp, dtype=float))


def middle_layers(layers: float, pp: Array, first: Array, last: Array) -> Array:
    """Return the layers of the fullest stage between the first and the last; 0 where there is none.

    Args:
        layers: of the model.
        pp: stages of the pipeline.
        first: layers of the first stage.
        last: layers of the last stage.
    """
    between = np.maximum(np.asarray(pp, dtype=float) - 2.0, 0.0)
    return np.where(between > 0, np.ceil((layers - first - last) / np.maximum(between, 1.0)), 0.0)


def in_flight(pp: Array, interleave: Array, stage: Array) -> Array:
    """Return for how many microbatches a stage holds activations of its layers at its fullest.

    ``p - s`` for stage ``s`` (from 0). Interleaved, the warm-up of the schedule counts in chunks of
    ``1/v`` of the stage: ``2 (p - s - 1) + (v - 1) p``, and one at work (Narayanan 2021, section
    2.2.2). For the first stage that is ``p (1 + (p-1)/(p v))``, the factor of Korthikanti 2022,
    section 4.2.3. There must be as many microbatches.
    """
    after = pp - stage - 1.0
    return np.where(
        np.asarray(interleave) > 1, (2.0 * after + (interleave - 1.0) * pp + 1.0) / interleave, after + 1.0
    )


def sends(pp: Array, interleave: Array) -> Array:
    """Return the activation and gradient sends of a stage per microbatch and stage, pipelined.

    One forward and one backward a chunk; none without a pipeline.
    """
    return np.where(np.asarray(pp) > 1, 2.0 * interleave, 0.0)

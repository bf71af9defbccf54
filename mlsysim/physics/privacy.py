"""What private and fair training costs: DP-SGD (Abadi 2016) and data for each subgroup.

The privacy loss itself is not computed here but by a library of accountants, see
:mod:`mlsysim.core.solver.privacy`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Privacy:
    """What a run promises to the people in its data; what wall 20 reads.

    Attributes:
        slowdown: time of a DP-SGD step over that of a plain one; None for training without it.
        epsilon: privacy loss of the run at ``delta``; None where no accountant was asked.
        delta: probability with which ``epsilon`` may not hold.
        subgroups: groups of people whose errors are compared; below 2 where none are.
        difference: of two groups' error rates, the least that must show [1].
        confidence: with which all comparisons hold together [1].
        smallest: samples of the smallest subgroup; None where unknown [sample].
    """

    slowdown: Array | None = None
    epsilon: Array | None = None
    delta: float = 0.0
    subgroups: float = 0.0
    difference: float = 0.0
    confidence: float = 0.0
    smallest: Array | None = None


def private_time(compute: Array, slowdown: Array) -> Array:
    """Return the time of forward and backward passes with clipped per-example gradients [s].

    Args:
        compute: time of both passes without privacy [s].
        slowdown: measured ratio of throughputs, at least 1. It depends on how the clipping is
            done: per-example gradients held in memory, ghost clipping (Li 2022) or book-keeping
            (Bu 2023).
    """
    return compute * slowdown


def sample_rate(batch: Array, samples: Array) -> Array:
    """Return the probability ``q = L / N`` with which a sample enters a step (Abadi 2016, sec. 3.1).

    Args:
        batch: expected samples a step, the lot ``L`` [sample].
        samples: of the data set, ``N`` [sample].
    """
    return np.minimum(batch / samples, 1.0)


def subgroup_samples(difference: Array, confidence: Array, subgroups: Array) -> Array:
    """Return the samples of each subgroup that show a difference of error rates [sample].

    With ``n`` independent samples of each of two groups, the difference of their measured error
    rates is ``t`` or more from the true one with a probability of at most ``2 exp(-n t^2)``
    (Hoeffding 1963, theorem 2, for 2 n terms of range 1/n). With ``g`` groups that must hold for
    all ``g (g - 1) / 2`` pairs at once (union bound), so::

        n >= ln(g (g - 1) / (1 - confidence)) / t^2

    Args:
        difference: ``t``, above 0 [1].
        confidence: of all comparisons together, below 1 [1].
        subgroups: ``g``, at least 2.
    """
    chance = 1.0 - np.asarray(confidence, dtype=float)
    return np.ceil(np.log(subgroups * (subgroups - 1.0) / chance) / np.square(difference))

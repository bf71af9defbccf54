"""Failures of a fleet: how often, and what they cost a synchronous run.

Any failure stops the whole run, which goes back to its last checkpoint. Failures come at a constant
rate and independently (Poisson), also during checkpoints and restarts. ``M`` is the mean time
between failures of all that the run uses, ``tau`` the computing time between two checkpoints,
``delta`` the time that the run stands still for one. All times in s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Losses:
    """Where the time of a run goes, as the walls see it: shares of wall-clock time [1].

    Numbers, or tables of a formulation. ``useful + writing + failing`` is 1.

    Attributes:
        useful: spent on steps that count: the goodput.
        writing: stood still for checkpoints that were completed.
        failing: lost to failures: work done again, detection, restart.
        straggling: of a step, in which ranks wait for the slowest one; not part of the sum.
        mtbf: mean time between failures of the whole run [s].
    """

    useful: Array
    writing: Array
    failing: Array
    straggling: Array
    mtbf: Array


def fleet_mtbf(mtbf: Array, count: Array) -> Array:
    """Return the mean time between failures of ``count`` parts, any of which stops the run [s].

    ``M / N``. Where ``mtbf`` was observed over all causes, it is all there is to count.
    """
    return mtbf / count


def combined_mtbf(parts: Iterable[tuple[Array, Array]]) -> Array:
    """Return the mean time between failures of a fleet from its components [s].

    Rates add up: ``1 / sum(n_i / M_i)``. The causes must be disjoint: a figure that covers all
    causes stands alone.

    Args:
        parts: mean time between failures [s] and count of each kind of component.
    """
    return 1.0 / sum(count / mtbf for mtbf, count in parts)


def observed_mtbf(unit_time: Array, failures: Array) -> Array:
    """Return the mean time between failures of one unit [s] from a record.

    Args:
        unit_time: units in use, times how long [s].
        failures: seen among them in that time.
    """
    return unit_time / failures


def young_interval(delta: Array, mtbf: Array) -> Array:
    """Return the computing time between checkpoints that loses least, to first order [s].

    ``sqrt(2 delta M)`` (Young 1974).
    """
    return np.sqrt(2.0 * delta * mtbf)


def daly_interval(delta: Array, mtbf: Array) -> Array:
    """Return the computing time between checkpoints that loses least [s].

    ``sqrt(2 delta M) (1 + x/3 + x^2/9) - delta`` with ``x = sqrt(delta / 2M)``, and ``M`` where
    a checkpoint takes ``2M`` or longer (Daly 2006, equation 37).
    """
    x = np.sqrt(delta / (2.0 * mtbf))
    short = young_interval(delta, mtbf) * (1.0 + x / 3.0 + x * x / 9.0) - delta
    return np.where(x < 1.0, short, mtbf)


def goodput(interval: Array, delta: Array, recovery: Array, mtbf: Array) -> Array:
    """Return the share of time that goes to work that counts [1].

    Work takes ``M e^(R/M) (e^((tau + delta)/M) - 1) / tau`` times as long with checkpoints and
    failures (Daly 2006, section 3); this is the reciprocal, written so that it cannot overflow.

    Args:
        interval: ``tau`` [s].
        delta: standing still for one checkpoint [s].
        recovery: ``R``, from a failure until the run computes again [s].
        mtbf: ``M`` [s].
    """
    segment = (interval + delta) / mtbf
    return (interval / mtbf) * np.exp(-(segment + recovery / mtbf)) / -np.expm1(-segment)


def first_order_loss(interval: Array, recovery: Array, mtbf: Array) -> Array:
    """Return the share of time lost to failures where they are rare [1].

    Half an interval of work and the recovery, once in ``M``: ``(tau/2 + R) / M`` (Young 1974;
    Kokolis 2024). Above 1 it means that the run never ends.
    """
    return (interval / 2.0 + recovery) / mtbf


def recovery_time(detection: Array, restart: Array, read: Array = 0.0, unsafe: Array = 0.0) -> Array:
    """Return the time from a failure until the run computes again [s].

    Args:
        detection: until the failure is noticed [s].
        restart: to replace what failed and start the run [s].
        read: to read the checkpoint [s].
        unsafe: how long after the run went on a checkpoint could still be lost: the part of an
            asynchronous write that does not stop the run [s]. It delays what a restart finds.
    """
    return detection + restart + read + unsafe


def expected_maximum(count: Array) -> Array:
    """Return the mean of the largest of ``count`` standard normal numbers [1].

    The integral of ``1 - Phi^n`` and its mirror image on a grid; exact values up to 5 are in
    David and Nagaraja 2003, section 3.2. ``sqrt(2 ln n)`` for very many.
    """
    step = 1.0 / 128.0
    x = np.arange(-12.0, step, step)
    density = np.exp(-x * x / 2.0) / np.sqrt(2.0 * np.pi)
    # trapezoids and their first correction, from the tail upwards: small values stay exact
    below = step * (np.cumsum(density) - 0.5 * density + step * x * density / 12.0)
    n = np.asarray(count, dtype=float)[..., None]
    left = np.exp(n * np.log(below))  # distribution of the largest, up to 0
    right = np.exp(n * np.log1p(-below[::-1]))  # from 0 on
    return step * (np.sum(1.0 - right, axis=-1) - np.sum(left[..., :-1], axis=-1) - 0.5)


def straggling_share(variation: Array, count: Array) -> Array:
    """Return the share of a synchronous step in which ranks wait for the slowest [1].

    Times of the ranks are normal around the mean with a coefficient of ``variation``, so the
    slowest of ``N`` takes ``1 + variation E[max]`` of it (order statistics; Dean and Barroso 2013
    for the effect). Holds where slow ranks are slow by chance and ranks do equal work.
    """
    excess = variation * expected_maximum(count)
    return excess / (1.0 + excess)


def losses(*, interval: Array, delta: Array, recovery: Array, mtbf: Array, straggling: Array = 0.0) -> Losses:
    """Return where the time of a run goes; arguments broadcast.

    Args:
        interval: computing time between checkpoints [s].
        delta: standing still for one checkpoint [s].
        recovery: from a failure until the run computes again [s].
        mtbf: mean time between failures of the run [s].
        straggling: see :func:`straggling_share` [1].
    """
    useful = goodput(interval, delta, recovery, mtbf)
    writing = useful * (delta / interval)
    none = 0.0 * useful
    return Losses(useful, writing, 1.0 - useful - writing, straggling + none, mtbf + none)

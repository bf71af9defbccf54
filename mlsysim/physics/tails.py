"""Tails of waits and of response times: how likely they last longer, and when they no longer do.

A wait is 0 or the sum or mixture of two exponentials, a service is gamma-distributed (all equal at a
coefficient of variation of 0, exponential at 1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from math import lgamma

import numpy as np

from mlsysim.physics.erlang import nodes
from mlsysim.physics.types import Array

# Secants to a quantile at most, and the relative error at which one is found.
SECANTS = 60
EXACT = 1e-12
# Coefficient of variation below which a service takes its mean.
STEADY = 1e-3


@dataclass(frozen=True)
class Wait:
    """How long those who wait do, ``P(W > t | W > 0) = g e^-at + (1 - g) e^-bt``.

    The tail decays as that of GI/G/c does, and the mean is that of :func:`conditional_wait`.

    Attributes:
        chance: to wait at all.
        share, decay: ``g`` and ``a``.
        fast: ``b``, infinite where ``g`` is at most 1.
    """

    chance: Array
    share: Array
    decay: Array
    fast: Array

    def longer(self, time: Array) -> Array:
        """Return the probability that who waits does so longer; 1 before 0."""
        t = np.maximum(time, 0.0)
        with np.errstate(invalid="ignore", over="ignore"):
            soon = np.where(np.isfinite(self.fast), np.exp(-self.fast * t), 0.0)
        later = self.share * np.exp(-self.decay * t) + (1.0 - self.share) * soon
        return np.where(np.asarray(time) >= 0.0, later, 1.0)

    def within(self, slow: Array) -> Array:
        """Return a time that is exceeded with a probability of at most ``slow``; no tight one [s]."""
        ratio = self.chance * np.maximum(self.share, 1.0) / slow
        return np.log(np.maximum(ratio, 1.0)) / self.decay

    def quantile(self, slow: Array) -> Array:
        """Return the wait that a share ``slow`` of all, those who do not wait included, exceeds [s]."""
        found = crossing(lambda t: self.chance * self.longer(t), slow, self.within(slow))
        return np.where(self.chance > slow, found, 0.0)


def response(service: Array, cv: Array, time: Array, wait: Wait) -> Array:
    """Return ``P(S + W > t)`` of a gamma-distributed service and a wait of its own.

    ``1 - integral of f(s) P(W <= t - s) over s < t``, over the square root of a multiple of ``s``
    near 0, where the density of a short service is infinite.

    Args:
        service: mean [s].
        cv: coefficient of variation; 0 for a constant.
        time: that wait and service together may take [s].
        wait: for a server, of its own.
    """
    cv = np.asarray(cv, dtype=float)
    k = 1.0 / np.square(np.maximum(cv, STEADY))
    t = np.asarray(time, dtype=float) / service
    k, t, chance = np.broadcast_arrays(k, t, wait.chance)
    bend = np.maximum(1.0, 2.0 / k)  # s = v^bend
    deviation = np.sqrt(1.0 / k)
    ends = np.clip(t, 1e-100, 1.0 + 9.0 * deviation + 40.0 / k), np.maximum(1.0 - 9.0 * deviation, 1e-100)
    high, low = (np.exp(np.log(end) / bend) for end in ends)
    low = np.minimum(low, high)
    half = 0.5 * (high - low)
    x, w = nodes()
    log_v = np.log(np.maximum(low[..., None] + half[..., None] * x, 1e-300))
    many, b, scale = k[..., None], bend[..., None], (k * np.log(k) - _log_gamma(k))[..., None]
    s = np.exp(b * log_v)
    log_density = scale + (many * b - 1.0) * log_v - many * s
    rest = (t[..., None] - s) * _last(service)
    beyond = replace(wait, **{f.name: _last(getattr(wait, f.name)) for f in fields(Wait)})
    soon = 1.0 - _last(chance) * beyond.longer(rest)
    within = half * (w * b * np.exp(log_density) * soon).sum(axis=-1)
    varying = np.maximum(1.0 - within, 0.0)
    constant = np.where(t < 1.0, 1.0, chance * wait.longer((t - 1.0) * service))
    return np.where(cv >= STEADY, varying, constant)


def _last(x: Array) -> Array:
    return np.asarray(x)[..., None]


@cache
def _log_gamma_of(k: float) -> float:
    return lgamma(k)


def _log_gamma(k: Array) -> Array:
    return np.vectorize(_log_gamma_of, otypes=[float])(k)


def crossing(tail: Callable[[Array], Array], slow: Array, high: Array) -> Array:
    """Return where a tail falls to ``slow``, between 0 and a time where it is below; 0 if it starts there.

    By secants of the logarithm, which is nearly straight, that never leave the bracket; an end
    that stays is weighed half (the Illinois rule; Dowell 1971).
    """
    low, high = np.broadcast_arrays(np.zeros_like(high), high)
    with np.errstate(divide="ignore", invalid="ignore"):
        above = np.log(np.minimum(tail(low), 1.0) / slow)
        high = np.where(above > 0.0, high, 0.0)
        below = np.maximum(np.log(tail(high) / slow), -50.0)
        side = np.zeros_like(high)
        for _ in range(SECANTS):
            secant = (high * above - low * below) / (above - below)
            middle = np.where((below < 0.0) & (low < high), secant, high)
            middle = np.clip(middle, low, high)
            value = np.maximum(np.log(tail(middle) / slow), -50.0)
            over = value > 0.0
            above, below = (
                np.where(over, value, np.where(side < 0.0, 0.5 * above, above)),
                np.where(over, np.where(side > 0.0, 0.5 * below, below), value),
            )
            there = np.abs(value) < EXACT
            low, high = np.where(over | there, middle, low), np.where(over & ~there, high, middle)
            side = np.where(over, 1.0, -1.0)
            if np.all(high - low <= EXACT * high):
                break
    return high

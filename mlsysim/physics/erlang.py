"""Erlang's formulas for any number of servers, whole or not (Erlang 1917, Jagerman 1974)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from mlsysim.physics.types import Array

# Nodes of the quadratures: relative error of 1e-13 up to 10,000 servers, see the tests.
NODES = 64


@cache
def nodes() -> tuple[Any, Any]:
    """Return where a quadrature over 0 to 2 looks, and with which weights (Gauss and Legendre)."""
    x, w = np.polynomial.legendre.leggauss(NODES)
    return 1.0 + x, w


def log_inverse_b(load: Array, servers: Array, growth: Array = 0.0) -> Array:
    """Return ``-ln B(c, A)`` from ``1 / B = integral of e^-t (1 + t/A)^c over t > 0``.

    Jagerman 1974: exact, defined for a fraction of a server, and one fixed set of
    nodes whatever the number of servers. The integrand is log-concave with its peak at ``c - A``;
    beyond the bounds used it is below ``e^-40`` of its peak. No load gives infinity.

    Where a service takes longer the more there are, ``s (1 + n / a)`` with ``n`` busy servers, the
    weights of ``n`` are ``z^n (a + 1)(a + 2)...(a + n) / n!`` with ``z = A / a`` in place of
    ``A^n / n!``, and the integral becomes ``(a + c + 1) / a`` times that of ``(1 - t/a)^a (1 + (1 -
    z) t/A)^c`` up to ``a``, which for an endless ``a`` is the one above.

    Args:
        load: ``A``, arrivals times the service time of a request that is alone.
        servers: ``c``.
        growth: ``z``, below 1: by how much ``A`` grows for each busy server.
    """
    c, given, z = np.broadcast_arrays(
        *(np.asarray(x, dtype=float) for x in (servers, load, np.clip(growth, 0.0, 1.0 - 1e-12)))
    )
    a = np.where(given > 0.0, np.maximum(given, 1e-100), 1.0)  # nobody meets a smaller load
    grows = z > 1e-12
    end = np.where(grows, a / np.where(grows, z, 1.0), 1.0)
    pull = (1.0 - z) / a  # of company
    peak = np.maximum(np.where(grows, (c - 1.0 / pull) / (1.0 + c / end), c - a), 0.0)
    steep = np.where(peak > 0.0, c * pull / (1.0 + pull * peak), 1.0)  # 1 where it does not grow
    low = np.maximum(peak - 9.0 * np.sqrt(c) / steep, 0.0)
    reach = (40.0 + np.sqrt(1600.0 + 80.0 * np.maximum(c, a))) / steep
    slope = np.maximum(1.0 - c * pull, 1e-9)
    high = np.minimum(peak + np.minimum(reach, 40.0 / slope), np.where(grows, end, np.inf))
    # where it grows, over v = (1 - t/a)^(1/p), in which an end that is near is smooth
    power = np.where(end < 50.0, 8.0, 1.0)
    ends = (np.where(grows, 1.0 - t / end, 0.0) for t in (high, low))
    first, last = (np.maximum(y, 0.0) ** (1.0 / power) for y in ends)
    first, last = np.where(grows, first, low), np.where(grows, last, high)
    half = 0.5 * (last - first)
    x, w = nodes()
    v = first[..., None] + half[..., None] * x
    c, end, pull, grows, peak, power = (np.asarray(y)[..., None] for y in (c, end, pull, grows, peak, power))
    if not grows.any():  # half of the work
        log_top = c * np.log1p(peak * pull) - peak
        total = half * (w * np.exp(c * np.log1p(v * pull) - v - log_top)).sum(axis=-1)
        return np.where(given > 0.0, log_top[..., 0] + np.log(total), np.inf)
    left = np.where(grows, v, 1.0)  # from here on to the end
    bent = power > 1.0  # to the eighth power, by squares: a general power takes longer than all the rest
    fourth = np.square(np.square(left))
    t = np.where(grows, end * (1.0 - np.where(bent, np.square(fourth), left)), v)
    log_top = c * np.log1p(peak * pull) + np.where(
        grows, end * np.log1p(-np.minimum(peak / end, 1.0 - 1e-15)), -peak
    )
    fall = np.where(grows, power * end * np.log(np.maximum(left, 1e-300)), -t)
    weight = np.where(grows, power * (end + c + 1.0) * np.where(bent, fourth * left * left * left, 1.0), 1.0)
    total = half * (w * weight * np.exp(c * np.log1p(t * pull) + fall - log_top)).sum(axis=-1)
    return np.where(given > 0.0, log_top[..., 0] + np.log(total), np.inf)


def erlang_b(load: Array, servers: Array) -> Array:
    """Return the share of arrivals that find all servers busy and leave (Erlang 1917)."""
    return np.exp(-log_inverse_b(load, servers))


def log_erlang_c(load: Array, servers: Array, growth: Array = 0.0) -> Array:
    """Return the logarithm of the probability of waiting in M/M/c; 0 at saturation.

    ``1 / C = rho + (1 - rho) / B``, in logarithms because ``1 / B`` exceeds any float long before
    10,000 servers. With a ``growth`` as in :func:`log_inverse_b`, ``rho`` is that of busy servers.
    """
    rho = np.minimum(np.asarray(load, dtype=float) / servers + growth, 1.0)
    with np.errstate(divide="ignore"):
        rest = np.log1p(-rho) + log_inverse_b(load, servers, growth)
        inverse = np.logaddexp(np.log(rho), rest)
    return np.where(rho < 1.0, -inverse, 0.0)


def erlang_c(load: Array, servers: Array, growth: Array = 0.0) -> Array:
    """Return the probability of waiting in M/M/c; 1 at saturation (Erlang 1917)."""
    return np.exp(log_erlang_c(load, servers, growth))


def mean_service(alone: Array, full: Array, rate: Array, servers: Array) -> Array:
    """Return the mean service time where it grows with the busy servers, as a straight line does [s].

    By Little's law, from the weights in :func:`log_inverse_b`: with ``d = (full - alone) / c``, ``z =
    rate d`` and the share ``B`` of lost arrivals, ``((alone + d)(1 - B) + alone B / (1 - rho)) / ((1 - z)
    (1 - B + B / (1 - rho)))``. ``alone + d`` without load, ``full`` at saturation.

    Args:
        alone: service time with no server busy, by extension of the line [s].
        full: with all of them busy [s].
        rate: arrivals [1/s].
        servers: ``c``.
    """
    each = (full - alone) / servers
    growth = np.clip(rate * each, 0.0, 1.0 - 1e-12)
    rho = np.minimum(rate * full / servers, 1.0)
    lost = np.exp(-log_inverse_b(rate * alone, servers, growth))
    idle = np.where(rho < 1.0, 1.0 - rho, 1.0)
    served = ((alone + each) * (1.0 - lost) + alone * lost / idle) / (1.0 - growth)
    return np.where(rho < 1.0, served / (1.0 - lost + lost / idle), full)

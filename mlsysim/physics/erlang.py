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


def log_inverse_b(load: Array, servers: Array) -> Array:
    """Return ``-ln B(c, A)`` from ``1 / B = integral of e^-t (1 + t/A)^c over t > 0``.

    Jagerman 1974: exact, defined for a fraction of a server, and one fixed set of
    nodes whatever the number of servers. The integrand is log-concave with its peak at ``c - A``;
    beyond the bounds used it is below ``e^-40`` of its peak. No load gives infinity.
    """
    c, given = np.broadcast_arrays(np.asarray(servers, dtype=float), np.asarray(load, dtype=float))
    a = np.where(given > 0.0, np.maximum(given, 1e-100), 1.0)  # nobody meets a smaller load

    def log_integrand(t: Array, c: Array, a: Array) -> Array:
        return c * np.log1p(t / a) - t

    peak = np.maximum(c - a, 0.0)
    low = np.maximum(peak - 9.0 * np.sqrt(c), 0.0)
    reach = 40.0 + np.sqrt(1600.0 + 80.0 * np.maximum(c, a))
    slope = np.where(a > c, 1.0 - c / np.maximum(a, c), 1e-9)
    high = peak + np.minimum(reach, 40.0 / slope)
    half = 0.5 * (high - low)
    x, w = nodes()
    top = log_integrand(peak, c, a)
    t = low[..., None] + half[..., None] * x
    terms = w * np.exp(log_integrand(t, c[..., None], a[..., None]) - top[..., None])
    return np.where(given > 0.0, top + np.log(half * terms.sum(axis=-1)), np.inf)


def erlang_b(load: Array, servers: Array) -> Array:
    """Return the share of arrivals that find all servers busy and leave (Erlang 1917)."""
    return np.exp(-log_inverse_b(load, servers))


def log_erlang_c(load: Array, servers: Array) -> Array:
    """Return the logarithm of the probability of waiting in M/M/c; 0 at saturation.

    ``1 / C = rho + (1 - rho) / B``, in logarithms because ``1 / B`` exceeds any float long before
    10,000 servers.
    """
    rho = np.minimum(np.asarray(load, dtype=float) / servers, 1.0)
    with np.errstate(divide="ignore"):
        rest = np.log1p(-rho) + log_inverse_b(load, servers)
        inverse = np.logaddexp(np.log(rho), rest)
    return np.where(rho < 1.0, -inverse, 0.0)


def erlang_c(load: Array, servers: Array) -> Array:
    """Return the probability of waiting in M/M/c; 1 at saturation (Erlang 1917)."""
    return np.exp(log_erlang_c(load, servers))

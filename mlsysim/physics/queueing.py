"""Waiting for servers: Erlang's formulas, variability, and tails (Erlang 1917, Kingman 1962).

Symbols follow Kleinrock 1975: ``lambda`` arrival rate, ``s`` mean service time, ``c`` servers,
``A = lambda s`` offered load, ``rho = A / c`` utilization. Squared coefficients of variation of
the time between arrivals and of the service time are ``ca^2`` and ``cs^2``.

Times at or above saturation are infinite, never NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from mlsysim.physics.types import Array

# Utilization above which a queue needs 4e10 service times to settle, ``1 / (1 - sqrt(rho))^2``
# (Morse 1955), so that its steady state says nothing about any run.
STABLE = 1.0 - 1e-5
# Nodes of the quadrature: relative error of 1e-13 up to 10,000 servers, see the tests.
NODES = 64
# Halvings of a bracket: to 5e-20 of its first width.
HALVINGS = 64
# A time below which an exponential is a constant 0, so that its rate is a float.
TINY = 1e-300


@dataclass(frozen=True)
class Station:
    """Servers that share one queue.

    Attributes:
        rate: arrivals [1/s].
        servers: requests or jobs served at once.
        service: mean time of one on a server [s].
        arrival_cv, service_cv: coefficients of variation; 1 and 1 is M/M/c.
        percentile: of the response time that is looked at.
        fanout: stations like this one that a request waits for in parallel.
    """

    rate: Array
    servers: Array
    service: Array
    arrival_cv: Array = 1.0
    service_cv: Array = 1.0
    percentile: Array = 0.99
    fanout: Array = 1.0


def rate_at(utilization: Array, servers: Array, service: Array) -> Array:
    """Return the arrival rate that keeps servers busy to a share of their time [1/s]."""
    return utilization * servers / service


def offered_load(rate: Array, service: Array) -> Array:
    """Return how many servers are busy on average, ``A`` (Little 1961)."""
    return rate * service


def in_system(rate: Array, time: Array) -> Array:
    """Return how many are there on average when each stays ``time`` (Little 1961)."""
    return rate * time


@cache
def _nodes() -> tuple[Any, Any]:
    x, w = np.polynomial.legendre.leggauss(NODES)
    return 1.0 + x, w


def _log_inverse_b(load: Array, servers: Array) -> Array:
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
    x, w = _nodes()
    top = log_integrand(peak, c, a)
    t = low[..., None] + half[..., None] * x
    terms = w * np.exp(log_integrand(t, c[..., None], a[..., None]) - top[..., None])
    return np.where(given > 0.0, top + np.log(half * terms.sum(axis=-1)), np.inf)


def erlang_b(load: Array, servers: Array) -> Array:
    """Return the share of arrivals that find all servers busy and leave (Erlang 1917)."""
    return np.exp(-_log_inverse_b(load, servers))


def log_erlang_c(load: Array, servers: Array) -> Array:
    """Return the logarithm of the probability of waiting in M/M/c; 0 at saturation.

    ``1 / C = rho + (1 - rho) / B``, in logarithms because ``1 / B`` exceeds any float long before
    10,000 servers.
    """
    rho = np.minimum(np.asarray(load, dtype=float) / servers, 1.0)
    with np.errstate(divide="ignore"):
        rest = np.log1p(-rho) + _log_inverse_b(load, servers)
        inverse = np.logaddexp(np.log(rho), rest)
    return np.where(rho < 1.0, -inverse, 0.0)


def erlang_c(load: Array, servers: Array) -> Array:
    """Return the probability of waiting in M/M/c; 1 at saturation (Erlang 1917)."""
    return np.exp(log_erlang_c(load, servers))


def conditional_wait(q: Station) -> Array:
    """Return the mean wait of those who wait [s].

    ``s / (c (1 - rho)) (ca^2 + cs^2) / 2``; the factor of variability is that of Allen and Cunneen
    (Allen 1990). Exact for M/M/c and M/G/1.
    """
    rho = offered_load(q.rate, q.service) / q.servers
    idle = np.where(rho < 1.0, 1.0 - rho, 1.0)
    spread = 0.5 * (np.square(q.arrival_cv) + np.square(q.service_cv))
    return np.where(rho < 1.0, q.service * spread / (q.servers * idle), np.inf)


def mean_wait(q: Station) -> Array:
    """Return the mean wait in G/G/c after Allen and Cunneen [s].

    Of one server it is the approximation of Kingman 1961, and with Poisson arrivals the exact
    formula of Pollaczek and Khinchine.
    """
    return erlang_c(offered_load(q.rate, q.service), q.servers) * conditional_wait(q)


def pollaczek_khinchine(rate: Array, service: Array, service_cv: Array) -> Array:
    """Return the mean wait in M/G/1 below saturation, ``lambda s^2 (1 + cs^2) / (2 (1 - rho))`` [s].

    Kleinrock 1975, chapter 5.
    """
    return rate * service * service * (1.0 + service_cv * service_cv) / (2.0 * (1.0 - rate * service))


def kingman_bound(rate: Array, service: Array, arrival_cv: Array, service_cv: Array) -> Array:
    """Return what the mean wait in G/G/1 never exceeds below saturation (Kingman 1962) [s].

    ``lambda (sigma_a^2 + sigma_s^2) / (2 (1 - rho))``.
    """
    spread = (arrival_cv / rate) ** 2 + (service_cv * service) ** 2
    return rate * spread / (2.0 * (1.0 - rate * service))


def wait_quantile(q: Station, percentile: Array) -> Array:
    """Return the wait that a share ``percentile`` of arrivals does not exceed [s].

    Those who wait do so exponentially, ``P(W > t) = C e^(-t / w)``: exact for M/M/c, and the usual
    approximation of the tail beyond it (Whitt 1993). 0 for a share that does not wait.
    """
    depth = log_erlang_c(offered_load(q.rate, q.service), q.servers) - np.log1p(-np.asarray(percentile))
    w = conditional_wait(q)
    finite = np.where(np.isfinite(w), w, 0.0)
    return np.where(np.isfinite(w), finite * np.maximum(depth, 0.0), np.inf)


def fanout_share(slow: Array, parts: Array) -> Array:
    """Return the share of requests of which some part is slow, ``1 - (1 - p)^n`` (Dean 2013)."""
    with np.errstate(divide="ignore"):
        return -np.expm1(parts * np.log1p(-np.asarray(slow, dtype=float)))


def part_percentile(percentile: Array, parts: Array) -> Array:
    """Return the percentile that each of ``parts`` must keep for all of them to keep theirs."""
    return np.power(percentile, 1.0 / np.asarray(parts, dtype=float))


def _phases(q: Station) -> tuple[Array, tuple[tuple[Array, Array], ...]]:
    """Return a service time of the given mean and variation: a constant and exponential branches.

    Up to a variation of 1 a constant plus one exponential, above it two exponentials with
    balanced means (Tijms 1986). Branches are pairs of probability and mean.
    """
    cv = np.asarray(q.service_cv, dtype=float)
    steady = np.minimum(cv, 1.0)
    square = np.maximum(cv, 1.0) ** 2
    first = 0.5 * (1.0 + np.sqrt((square - 1.0) / (square + 1.0)))
    long = np.where(cv > 1.0, q.service / (2.0 * (1.0 - first)), q.service * steady)
    short = np.where(cv > 1.0, q.service / (2.0 * first), q.service * steady)
    return q.service * (1.0 - steady), ((first, short), (1.0 - first, long))


def _sum_tail(t: Array, mean: Array, wait: Array, chance: Array) -> Array:
    """Return ``P(X + W > t)``: X of an exponential, W with a probability of another, else 0.

    ``e^-at + C a (e^-at - e^-bt) / (b - a)`` with ``a = 1/mean`` and ``b = 1/wait``; the quotient
    is written with ``expm1``, which keeps its precision where both rates nearly agree.
    """
    varies, waits = mean > TINY, wait > TINY
    a = 1.0 / np.where(varies, mean, 1.0)
    b = 1.0 / np.where(waits, wait, 1.0)
    apart = np.abs(b - a)
    quotient = np.where(apart > 0.0, -np.expm1(-apart * t) / np.where(apart > 0.0, apart, 1.0), t)
    waited = np.where(waits, a * np.exp(-np.minimum(a, b) * t) * quotient, 0.0)
    constant = np.where(waits, np.exp(-b * t), 0.0)  # of a service without an exponential part
    return np.where(varies, np.exp(-a * t) + chance * waited, chance * constant)


def _tail(q: Station, time: Array, chance: Array, wait: Array) -> Array:
    least, branches = _phases(q)
    t = np.maximum(time - least, 0.0)
    beyond = sum(share * _sum_tail(t, mean, wait, chance) for share, mean in branches)
    return np.where(time >= least, beyond, 1.0)


def _settled(q: Station) -> tuple[Array, Array, Array]:
    """Return whether a station has a steady state, its chance to wait and the wait of those who do."""
    wait = conditional_wait(q)
    stable = np.isfinite(wait)
    return stable, erlang_c(offered_load(q.rate, q.service), q.servers), np.where(stable, wait, 1.0)


def response_tail(q: Station, time: Array) -> Array:
    """Return the probability that wait and service together exceed ``time``; 1 at saturation.

    The wait is 0 or exponential as in :func:`wait_quantile`, the service that of :func:`_phases`,
    and both are independent. Exact for M/M/c.
    """
    stable, chance, wait = _settled(q)
    return np.where(stable, _tail(q, time, chance, wait), 1.0)


def _slow_share(q: Station) -> Array:
    """Return the share of a station's requests that may exceed its percentile.

    With a fan-out of ``n`` each part keeps the ``n``-th root of the percentile (Dean 2013).
    """
    return -np.expm1(np.log(q.percentile) / np.asarray(q.fanout, dtype=float))


def response_quantile(q: Station) -> Array:
    """Return the response time that the station's percentile of requests does not exceed [s].

    Found by halving a bracket: wait and service cannot both stay within what each exceeds with
    half the probability that is left, and yet their sum exceed the sum of both.
    """
    slow = _slow_share(q)
    stable, chance, wait = _settled(q)
    least, (_, (_, mean)) = _phases(q)
    high = least - (mean + wait) * np.log(0.5 * slow)
    low = np.zeros_like(high)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        beyond = _tail(q, middle, chance, wait) > slow
        low, high = np.where(beyond, middle, low), np.where(beyond, high, middle)
    return np.where(stable, high, np.inf)


def most_arrivals(q: Station, target: Array) -> Array:
    """Return the largest rate at which the station keeps a target for its percentile [1/s].

    0 where even an empty station does not. ``rate`` is not looked at.
    """
    slow = _slow_share(q)
    high = STABLE * q.servers / q.service + 0.0 * np.asarray(target) + 0.0 * slow
    low = np.zeros_like(high)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        kept = response_tail(replace(q, rate=middle), target) <= slow
        low, high = np.where(kept, middle, low), np.where(kept, high, middle)
    return low

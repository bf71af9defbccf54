"""Waiting for servers: Erlang's formulas, variability, and tails (Erlang 1917, Kingman 1962).

Symbols follow Kleinrock 1975: ``lambda`` arrival rate, ``s`` mean service time, ``c`` servers,
``A = lambda s`` offered load, ``rho = A / c`` utilization. Squared coefficients of variation of
the time between arrivals and of the service time are ``ca^2`` and ``cs^2``.

Times at or above saturation are infinite, never NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from mlsysim.physics.erlang import erlang_b, erlang_c, log_erlang_c, mean_service
from mlsysim.physics.tails import STEADY, Wait, crossing, response
from mlsysim.physics.types import Array

__all__ = ["erlang_b", "erlang_c", "log_erlang_c"]

# Utilization above which a queue needs 4e10 service times to settle, ``1 / (1 - sqrt(rho))^2``
# (Morse 1955), so that its steady state says nothing about any run.
STABLE = 1.0 - 1e-5
# Halvings of a bracket: to 5e-20 of its first width.
HALVINGS = 64
# Newton's steps to a rate of decay at most, and the relative step after which there is no other.
NEWTON = 24
SETTLED = 1e-15
# Stations whose percentiles are looked for at a time.
CHUNK = 512
# Coefficient of variation of services that hardly ever are long.
RARE = 1e3
TINY = 1e-300


@dataclass(frozen=True)
class Station:
    """Servers that share one queue.

    Attributes:
        rate: arrivals [1/s].
        servers: requests or jobs served at once.
        service: mean time of one on a server while all servers are busy [s].
        arrival_cv, service_cv: coefficients of variation; 1 and 1 is M/M/c.
        percentile: of the response time that is looked at.
        fanout: stations like this one that a request waits for in parallel.
        alone: mean time of one with no server busy, between which and ``service`` it grows with the
            busy servers, as on a processor that they share; no shorter than ``service`` where it is
            longer [s].
    """

    rate: Array
    servers: Array
    service: Array
    arrival_cv: Array = 1.0
    service_cv: Array = 1.0
    percentile: Array = 0.99
    fanout: Array = 1.0
    alone: Array = np.inf


def rate_at(utilization: Array, servers: Array, service: Array) -> Array:
    """Return the arrival rate that keeps servers busy to a share of their time [1/s]."""
    return utilization * servers / service


def offered_load(rate: Array, service: Array) -> Array:
    """Return how many servers are busy on average, ``A`` (Little 1961)."""
    return rate * service


def in_system(rate: Array, time: Array) -> Array:
    """Return how many are there on average when each stays ``time`` (Little 1961)."""
    return rate * time


def _cosmetatos(servers: Array, rho: Array) -> Array:
    """Return by how much the wait of M/D/c exceeds half of that of M/M/c, as a share of the half.

    ``(1 - rho)(c - 1)(sqrt(4 + 5c) - 2) / (16 rho c)`` (Cosmetatos 1975), at most 0.24 where hardly
    anybody waits (Whitt 1993, equation 2.16).
    """
    idle = np.maximum(1.0 - rho, 0.0) / np.maximum(rho, TINY)
    return np.minimum(idle * (servers - 1.0) * (np.sqrt(4.0 + 5.0 * servers) - 2.0) / (16.0 * servers), 0.24)


def conditional_wait(q: Station) -> Array:
    """Return the mean wait of those who wait [s].

    That of M/M/c and that of M/D/c, weighted by ``cs^2`` and ``1 - cs^2`` (Cosmetatos 1976), times
    ``(ca^2 + cs^2) / (1 + cs^2)`` for arrivals that are not Poisson (Allen 1990). Exact for M/M/c and
    M/G/1.
    """
    rho = offered_load(q.rate, q.service) / q.servers
    idle = np.where(rho < 1.0, 1.0 - rho, 1.0)
    square = np.square(q.service_cv)
    spread = 0.5 * (np.square(q.arrival_cv) + square)
    pooled = 1.0 + _cosmetatos(q.servers, rho) * (1.0 - square) / (1.0 + square)
    return np.where(rho < 1.0, q.service * spread * pooled / (q.servers * idle), np.inf)


def service_under_load(q: Station) -> Array:
    """Return the mean service time at the load: less than ``service`` where some servers are idle [s]."""
    return mean_service(np.minimum(q.alone, q.service), q.service, q.rate, q.servers)


def chance_to_wait(q: Station) -> Array:
    """Return the probability of waiting; 1 at saturation. Exact for M/M/c."""
    alone = np.minimum(q.alone, q.service)
    return erlang_c(q.rate * alone, q.servers, q.rate * (q.service - alone) / q.servers)


def mean_wait(q: Station) -> Array:
    """Return the mean wait in G/G/c [s]; see :func:`conditional_wait`.

    Of one server it is the approximation of Kingman 1961, and with Poisson arrivals the exact
    formula of Pollaczek and Khinchine.
    """
    return chance_to_wait(q) * conditional_wait(q)


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

    0 for a share that does not wait; see :class:`Wait`.
    """

    def found(part: Station) -> Array:
        stable, wait = _wait(part)
        return np.where(stable, wait.quantile(1.0 - part.percentile), np.inf)

    return _in_parts(found, replace(q, percentile=percentile))


def fanout_share(slow: Array, parts: Array) -> Array:
    """Return the share of requests of which some part is slow, ``1 - (1 - p)^n`` (Dean 2013)."""
    with np.errstate(divide="ignore"):
        return -np.expm1(parts * np.log1p(-np.asarray(slow, dtype=float)))


def part_percentile(percentile: Array, parts: Array) -> Array:
    """Return the percentile that each of ``parts`` must keep for all of them to keep theirs."""
    return np.power(percentile, 1.0 / np.asarray(parts, dtype=float))


def _decay(q: Station, rho: Array) -> Array:
    """Return at which rate the tail of the wait decays in GI/G/c, in departures of all servers.

    The root of ``A(y c / s) S(-y / s) = 1`` for the transforms of the time between arrivals and of the
    service, both gamma-distributed: ``ln(1 + y ca^2/rho) / ca^2 + ln(1 - y cs^2) / cs^2 = 0``
    (Neuts 1981; Tijms 1986). ``1 - rho`` for M/M/c. The left side is concave, so Newton's steps
    from beyond the root never pass it.
    """
    ca, cs = (np.maximum(np.square(x), 1e-9) for x in (q.arrival_cv, q.service_cv))
    y = np.minimum((1.0 - rho * rho) / (rho * ca), 2.0 * (1.0 / rho - 1.0) / cs)
    y = np.minimum(y, (1.0 - 1e-12) / cs)
    for _ in range(NEWTON):
        over, under = 1.0 + y * ca / rho, 1.0 - y * cs
        value = np.log1p(y * ca / rho) / ca + np.log1p(-y * cs) / cs
        last, y = y, np.clip(y - value / (1.0 / (rho * over) - 1.0 / under), 0.5 * y, y)
        if np.all(last - y <= SETTLED * y):
            break
    return y


def _wait(q: Station) -> tuple[Array, Wait]:
    """Return whether a station has a steady state, and its wait; of another one where it has none."""
    mean = conditional_wait(q)
    load = offered_load(q.rate, q.service)
    stable = np.isfinite(mean)
    rho = np.where(stable, np.maximum(load / q.servers, 1e-9), 0.5)
    least = q.service * 1e-9 / q.servers  # no wait at all has no rate
    mean = np.where(stable, np.maximum(mean, least), 1.0)
    decay = np.minimum(q.servers * _decay(q, rho) / q.service, 1.0 / least)
    return stable, _exponentials(chance_to_wait(q), mean, decay)


def _exponentials(chance: Array, mean: Array, decay: Array) -> Wait:
    """Return the wait with a chance, a mean of those who wait, and a rate at which its tail decays."""
    excess = mean - 1.0 / decay
    # either that exponential and another one after the other, or that one now and then
    early = excess > 1e-9 * mean
    other = np.where(early, 1.0 / np.where(early, excess, 1.0), np.inf)
    slow, fast = np.minimum(decay, other), np.maximum(np.maximum(decay, other), decay * (1.0 + 1e-6))
    share = np.where(early, 1.0 / (1.0 - slow / fast), np.minimum(mean * decay, 1.0))
    return Wait(chance, share, slow, fast)


def longest_tail(q: Station, time: Array) -> Array:
    """Return the largest share that waits longer than a time, for any service with a residual of ``q``'s.

    A residual ``E[S^2] / E[S]``, of which ``q`` has the one of equal services, leaves the mean wait as
    it is, or shorter, but not its tail: rare long services make it longer. So the rate of decay is
    any between that of equal services and that of a coefficient of variation of ``RARE``. The share
    is largest at an end, where both exponentials are alike, where only one is left, or where the
    mean of that one is ``time``. Arrivals vary as by chance or more; 1 at saturation.
    """
    mean = conditional_wait(q)
    stable = np.isfinite(mean)
    mean = np.where(stable, mean, 1.0)
    rho = np.where(stable, np.maximum(offered_load(q.rate, q.service) / q.servers, 1e-9), 0.5)
    rare = replace(q, service_cv=RARE)
    of_one = q.service / q.servers  # the time in which all servers finish one
    ends = of_one / _decay(q, rho), of_one / ((1.0 + RARE * RARE) * _decay(rare, rho))
    low, high = np.minimum(*ends), np.maximum(*ends)
    chance = chance_to_wait(q)
    shares = [
        _exponentials(chance, mean, 1.0 / np.clip(of, low, high)).longer(time)
        for of in (low, high, 0.5 * mean, mean, np.maximum(time, 0.0))
    ]
    return np.where(stable, chance * np.max(shares, axis=0), 1.0)


def response_tail(q: Station, time: Array) -> Array:
    """Return the probability that wait and service together exceed ``time``; 1 at saturation.

    The service is gamma-distributed, as the answers of :mod:`mlsysim.physics.kvcache` are, the wait
    that of :class:`Wait`, and both are independent. Exact for M/M/c.
    """
    stable, wait = _wait(q)
    return np.where(stable, response(service_under_load(q), q.service_cv, time, wait), 1.0)


def _slow_share(q: Station) -> Array:
    """Return the share of a station's requests that may exceed its percentile.

    With a fan-out of ``n`` each part keeps the ``n``-th root of the percentile (Dean 2013).
    """
    return -np.expm1(np.log(q.percentile) / np.asarray(q.fanout, dtype=float))


def response_quantile(q: Station) -> Array:
    """Return the response time that the station's percentile of requests does not exceed [s]."""
    return _in_parts(_quantile, q)


def _in_parts(of: Callable[[Station], Array], q: Station) -> Array:
    """Return a time of stations, infinite for those that are full.

    A few at a time, so that the nodes of quadratures stay in the processor's cache.
    """
    parts = [
        np.asarray(x, dtype=float) for x in np.broadcast_arrays(*(getattr(q, f.name) for f in fields(q)))
    ]
    flat = [x.reshape(-1) for x in parts]
    every = Station(*flat)
    found = np.full(flat[0].shape, np.inf)
    steady = np.flatnonzero(offered_load(every.rate, every.service) / every.servers < 1.0)
    for i in range(0, len(steady), CHUNK):
        some = steady[i : i + CHUNK]
        found[some] = of(Station(*(x[some] for x in flat)))
    return found.reshape(parts[0].shape)


def _quantile(q: Station) -> Array:
    """Return the quantiles of some stations.

    Wait and service cannot both stay within what each exceeds with half the probability that is
    left, and yet their sum exceed the sum of both.
    """
    slow = _slow_share(q)
    stable, wait = _wait(q)
    varies = np.asarray(q.service_cv) >= STEADY
    depth, cv = -np.log(0.5 * slow), np.where(varies, q.service_cv, 1.0)
    # a gamma tail is below that of its Chernoff bound (Boucheron 2013, theorem 2.3)
    service = service_under_load(q)
    served = service * (1.0 + cv * np.sqrt(2.0 * depth) + cv * cv * depth)
    high = served * (1.0 + 1e-9) + wait.within(0.5 * slow)
    found = crossing(lambda t: response(service, cv, t, wait), slow, high)
    return np.where(stable, np.where(varies, found, service + wait.quantile(slow)), np.inf)


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

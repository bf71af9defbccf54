"""Queueing formulas against simulations, which know nothing of them.

SimPy simulates single runs. Near saturation a run is far too short to tell ten percent, so there many
runs are made at once by a recursion over arrays, which gives what SimPy gives, customer by customer.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import cache
from math import inf, sqrt
from typing import Any, NamedTuple

import numpy as np
import pytest
import simpy

from mlsysim.physics import queueing
from mlsysim.physics.queueing import Station

WARM = 0.1  # share of the customers that only fill the system
BATCHES = 20
STUDENT = 2.861  # two-sided 99 percent, 19 degrees of freedom


class Simulated(NamedTuple):
    """Waits and responses of the customers of one run, in the order of their arrival."""

    wait: np.ndarray
    response: np.ndarray


def simulate(gaps: np.ndarray, services: np.ndarray, servers: int) -> Simulated:
    """First come, first served, by as many servers as there are."""
    env = simpy.Environment()
    desk = simpy.Resource(env, capacity=servers)
    begun = np.empty(len(gaps))
    ended = np.empty(len(gaps))

    def customer(i: int, work: float) -> Generator[Any, Any, None]:
        with desk.request() as turn:
            yield turn
            begun[i] = env.now
            yield env.timeout(work)
        ended[i] = env.now

    def source() -> Generator[Any, Any, None]:
        for i, (gap, work) in enumerate(zip(gaps.tolist(), services.tolist(), strict=True)):
            yield env.timeout(gap)
            env.process(customer(i, work))

    env.process(source())
    env.run()
    arrived = np.cumsum(gaps)
    first = int(WARM * len(gaps))
    return Simulated((begun - arrived)[first:], (ended - arrived)[first:])


def gamma(cv: float, n: int, seed: int) -> np.ndarray:
    return np.ones(n) if cv == 0 else np.random.default_rng(seed).gamma(cv**-2, cv**2, n)


def lognormal(cv: float, n: int, seed: int) -> np.ndarray:
    sigma = sqrt(np.log1p(cv * cv))
    return np.random.default_rng(seed).lognormal(-sigma * sigma / 2, sigma, n)


def interval(values: np.ndarray) -> tuple[float, float]:
    """A confidence interval of a mean: 99 percent, by the means of consecutive batches."""
    means = np.array([batch.mean() for batch in np.array_split(values, BATCHES)])
    half = STUDENT * means.std(ddof=1) / sqrt(BATCHES)
    return values.mean() - half, values.mean() + half


def station(rho: float, servers: int, cv: float = 1.0) -> Station:
    return Station(rho * servers, float(servers), 1.0, service_cv=cv)


# -- exponential service: within the confidence interval ----------------------------------------------


@cache
def exponential(rho: float, servers: int, n: int = 30_000) -> Simulated:
    random = np.random.default_rng(11)
    return simulate(random.exponential(1.0 / (rho * servers), n), random.exponential(1.0, n), servers)


@pytest.mark.parametrize(("rho", "servers"), [(0.5, 1), (0.8, 8), (0.9, 32)])
def test_m_m_c_is_within_the_confidence_interval(rho: float, servers: int):
    q, found = station(rho, servers), exponential(rho, servers)
    low, high = interval(found.wait)
    assert low <= queueing.mean_wait(q) <= high
    low, high = interval((found.wait > 0.0).astype(float))
    assert low <= queueing.erlang_c(rho * servers, float(servers)) <= high
    # as many exceed the percentile as it says
    for percentile in (0.5, 0.95, 0.99):
        at = float(queueing.response_quantile(replace(q, percentile=percentile)))
        low, high = interval((found.response <= at).astype(float))
        assert low <= percentile <= high, percentile


def test_an_interval_can_be_missed():
    """The same test refuses a station that is 5 percent busier or has one server more."""
    found = exponential(0.8, 8)
    low, high = interval(found.wait)
    assert not low <= queueing.mean_wait(station(0.85, 8)) <= high
    assert not low <= queueing.mean_wait(Station(0.8 * 8, 9.0, 1.0)) <= high


# -- many runs at once --------------------------------------------------------------------------------


def many(
    gaps: np.ndarray,
    services: Callable[[int], np.ndarray],
    servers: int,
    first: int,
    begun: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Waits from customer ``first`` on, by what each server has still to do (Kiefer and Wolfowitz 1955).

    Gaps are customers x runs, the services of a customer are kinds x runs; so are the waits of each, and
    the work that each server has to begin with.
    """
    left = np.zeros((*services(0).shape, servers)) + np.asarray(begun)[..., None]
    waits = np.empty((len(gaps) - first, *left.shape[:2]))
    for i, gap in enumerate(gaps):
        np.maximum(left - gap[:, None], 0.0, out=left)
        if servers > 1:
            left.sort(axis=-1)
        if i >= first:
            waits[i - first] = left[..., 0]
        left[..., 0] += services(i)
    return waits


@pytest.mark.parametrize(("servers", "cv"), [(1, 1.5), (3, 0.0), (16, 0.7)])
def test_the_recursion_is_simpy_customer_by_customer(servers: int, cv: float):
    n = 3000
    gaps = np.random.default_rng(1).exponential(1.0 / (0.95 * servers), n)
    work = gamma(cv, n, 2)
    waits = many(gaps[:, None], lambda i: work[i : i + 1, None], servers, int(WARM * n))
    assert waits[:, 0, 0] == pytest.approx(simulate(gaps, work, servers).wait, abs=1e-8)


# Exponential service comes first: all others are held against it.
KINDS: tuple[tuple[str, float], ...] = (
    ("gamma", 1.0),
    ("gamma", 0.0),
    ("gamma", 0.72),
    ("gamma", 1.5),
    ("lognormal", 0.5),
)
DRAWN = 20_000


class Kind(NamedTuple):
    """What runs of one kind of service say: means and percentiles, and of the waits their error."""

    cv: float
    wait: float
    responses: tuple[float, ...]


PERCENTILES = (0.5, 0.95, 0.99)


@cache
def kinds(rho: float, servers: int, n: int, runs: int) -> tuple[tuple[Kind, ...], float]:
    """Runs of every kind of service with the same random numbers, and the standard error of M/M/c.

    The first kind is exponential, of which all is known: what its runs miss by chance, the others,
    which are alike, miss too, so each is corrected by it (a control variate).
    """
    random = np.random.default_rng(3)
    gaps = random.exponential(1.0 / (rho * servers), (n, runs))
    ranks = random.integers(0, DRAWN, (n, runs))
    draw = {"gamma": gamma, "lognormal": lognormal}
    tables = np.array([np.sort(draw[shape](cv, DRAWN, 4)) for shape, cv in KINDS])
    tables /= tables.mean(axis=1, keepdims=True)
    first = n // 2
    # from a backlog of about the size that heavy traffic brings, so that there is less to forget: a run
    # near saturation forgets its beginning in 1 / (1 - sqrt(rho))^2 customers (Morse 1955)
    spread = np.array([1.0 + cv * cv for _, cv in KINDS])[:, None]
    begun = 0.5 * spread / (servers * (1.0 - rho)) * random.exponential(1.0, (1, runs)) if rho > 0.95 else 0.0
    waits = many(gaps, lambda i: tables[:, ranks[i]], servers, first, begun)
    work = tables[:, ranks[first:]].transpose(1, 0, 2)
    exact = station(rho, servers)
    means = waits.mean(axis=0)  # kinds x runs
    correction = float(queueing.mean_wait(exact)) / means[0].mean()
    quantiles = [np.quantile(waits[::3, k] + work[::3, k], PERCENTILES) for k in range(len(KINDS))]
    known = [float(queueing.response_quantile(replace(exact, percentile=p))) for p in PERCENTILES]
    found = []
    for k, (_, cv) in enumerate(KINDS):
        responses = quantiles[k] / quantiles[0] * known
        found.append(Kind(cv, float(means[k].mean() * correction), tuple(map(float, responses))))
    return tuple(found), float(abs(correction - 1.0) / (means[0].std(ddof=1) / sqrt(runs) / means[0].mean()))


LOADS = [(0.5, 2, 3000, 100), (0.8, 1, 3000, 100), (0.8, 16, 3000, 100), (0.9, 6, 4000, 100)]
HEAVY = [(0.98, 1, 30_000, 200), (0.98, 4, 24_000, 300)]


@pytest.mark.parametrize(("rho", "servers", "n", "runs"), LOADS + HEAVY)
@pytest.mark.parametrize("kind", range(1, len(KINDS)), ids=lambda k: f"{KINDS[k][0]} {KINDS[k][1]}")
def test_general_service_is_within_ten_percent(kind: int, rho: float, servers: int, n: int, runs: int):
    found = kinds(rho, servers, n, runs)[0][kind]
    q = station(rho, servers, found.cv)
    assert 1.0 + queueing.mean_wait(q) == pytest.approx(1.0 + found.wait, rel=0.1)
    if found.wait > 0.1:  # below, hardly anybody waits
        assert queueing.mean_wait(q) == pytest.approx(found.wait, rel=0.1)
    for percentile, response in zip(PERCENTILES, found.responses, strict=True):
        at = float(queueing.response_quantile(replace(q, percentile=percentile)))
        assert at == pytest.approx(response, rel=0.1), percentile


@pytest.mark.parametrize(("rho", "servers", "n", "runs"), LOADS + HEAVY)
def test_m_m_c_is_within_the_confidence_interval_of_many_runs(rho: float, servers: int, n: int, runs: int):
    assert kinds(rho, servers, n, runs)[1] < 2.7  # 99 percent


# -- requests that slow each other down ---------------------------------------------------------------


def shared(q: Station, n: int, seed: int) -> Simulated:
    """Requests that share a machine: with ``k`` running a unit of work takes each ``alone + d k``."""
    random = np.random.default_rng(seed)
    alone, servers = float(q.alone), int(q.servers)
    each = (q.service - alone) / servers
    arrived = np.cumsum(random.exponential(1.0 / q.rate, n))
    at, work = arrived.tolist(), random.gamma(q.service_cv**-2, q.service_cv**2, n).tolist()
    begun, ended = np.empty(n), np.empty(n)
    running: list[tuple[float, int]] = []  # by how much work each has to see done
    waiting: deque[int] = deque()
    clock = done = 0.0
    i = 0
    while i < n or running:
        pace = alone + each * len(running)
        leaves = clock + (running[0][0] - done) * pace if running else inf
        if i < n and at[i] <= leaves:
            done += (at[i] - clock) / pace if running else 0.0
            clock = at[i]
            waiting.append(i)
            i += 1
        else:
            done, gone = heapq.heappop(running)
            clock = ended[gone] = leaves
        if waiting and len(running) < servers:
            begun[waiting[0]] = clock
            heapq.heappush(running, (done + work[waiting[0]], waiting.popleft()))
    first = int(WARM * n)
    return Simulated((begun - arrived)[first:], (ended - arrived)[first:])


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8, 0.9])
@pytest.mark.parametrize(("servers", "alone"), [(64, 0.2), (64, 0.5), (16, 0.5), (256, 0.1)])
def test_a_batch_that_is_not_full_is_faster(rho: float, servers: int, alone: float):
    q = Station(rho * servers, float(servers), 1.0, service_cv=0.72, alone=alone)
    found = shared(q, 40_000, 3)
    mean = queueing.mean_wait(q) + queueing.service_under_load(q)
    assert mean == pytest.approx(found.response.mean(), rel=0.05)
    assert queueing.chance_to_wait(q) == pytest.approx((found.wait > 0).mean(), abs=0.05)
    for percentile in PERCENTILES:
        at = float(queueing.response_quantile(replace(q, percentile=percentile)))
        assert at == pytest.approx(np.quantile(found.response, percentile), rel=0.1), percentile

"""Erlang's formulas, variability, percentiles and fan-out."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mlsysim.core.units import ureg
from mlsysim.physics import erlang, queueing
from mlsysim.physics.queueing import Station

loads = st.floats(1e-3, 0.9999)
counts = st.integers(1, 300)
spreads = st.floats(0.0, 3.0)


def exact_b(load: Fraction, servers: int) -> Fraction:
    """Erlang B from its definition, in whole numbers."""
    terms = [load**k / math.factorial(k) for k in range(servers + 1)]
    return terms[-1] / sum(terms)


def exact_c(load: Fraction, servers: int) -> float:
    last = load**servers / math.factorial(servers) * Fraction(servers, 1) / (servers - load)
    return float(last / (sum(load**k / math.factorial(k) for k in range(servers)) + last))


def log_b_by_recursion(load: float, servers: int) -> float:
    """``1/B(n) = 1 + n/A 1/B(n-1)`` in logarithms, a server at a time."""
    log_inverse = 0.0
    for n in range(1, servers + 1):
        grown = math.log(n / load) + log_inverse
        log_inverse = grown + math.log1p(math.exp(-grown)) if grown > 0 else math.log1p(math.exp(grown))
    return -log_inverse


def mmc(rho: float, servers: float, service: float = 1.0, **changes: float) -> Station:
    return Station(queueing.rate_at(rho, servers, service), servers, service, **changes)


# -- Erlang -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("servers", "load", "waiting"),
    [(10, 8.0, 0.409), (1, 0.5, 0.5), (2, 1.0, 1 / 3), (3, 2.0, 4 / 9), (5, 4.0, 0.5541)],
)
def test_erlang_c_of_the_tables(servers, load, waiting):
    assert queueing.erlang_c(load, servers) == pytest.approx(waiting, abs=5e-4)


@pytest.mark.parametrize(
    ("servers", "load", "lost"),
    # traffic tables: offered load at which 1 percent (or 20 percent) of calls are lost
    [(10, 4.461, 0.01), (20, 12.03, 0.01), (50, 37.90, 0.01), (100, 84.06, 0.01), (1, 0.0101, 0.01),
     (10, 9.685, 0.20)],
)  # fmt: skip
def test_erlang_b_of_the_tables(servers, load, lost):
    assert queueing.erlang_b(load, servers) == pytest.approx(lost, rel=2e-3)


@given(st.integers(1, 40), st.integers(1, 400))
def test_erlang_is_the_sum_of_its_definition(servers, tenths):
    load = Fraction(tenths, 10)
    assert queueing.erlang_b(float(load), servers) == pytest.approx(float(exact_b(load, servers)), rel=1e-11)
    if load < servers:
        assert queueing.erlang_c(float(load), servers) == pytest.approx(exact_c(load, servers), rel=1e-11)


@pytest.mark.parametrize("servers", [1, 7, 100, 1000, 10_000])
@pytest.mark.parametrize("rho", [0.01, 0.3, 0.9, 0.99, 0.9999, 1.0, 1.2])
def test_ten_thousand_servers_agree_with_the_recursion(servers, rho):
    expected = log_b_by_recursion(rho * servers, servers)
    assert -erlang.log_inverse_b(rho * servers, servers) == pytest.approx(expected, rel=1e-11, abs=1e-10)


def test_many_servers_wait_as_halfin_and_whitt_say():
    """With ``c = A + beta sqrt(A)`` the chance to wait tends to ``1 / (1 + beta Phi / phi)``."""
    beta = 0.5
    normal = math.exp(-0.5 * beta * beta) / math.sqrt(2 * math.pi)
    limit = 1 / (1 + beta * 0.5 * math.erfc(-beta / math.sqrt(2)) / normal)
    load = 9950.0
    assert queueing.erlang_c(load, load + beta * math.sqrt(load)) == pytest.approx(limit, rel=0.01)


def test_a_load_of_nothing_never_waits_and_saturation_always_does():
    assert queueing.erlang_c(0.0, 5.0) == 0.0
    assert queueing.erlang_b(0.0, 5.0) == 0.0
    assert queueing.erlang_b(3.0, 0.0) == pytest.approx(1.0)
    assert queueing.erlang_c(5.0, 5.0) == 1.0
    assert queueing.erlang_c(7.0, 5.0) == 1.0


# -- the mean ---------------------------------------------------------------------------------------


@given(loads, st.floats(1e-3, 1e3), spreads)
def test_one_server_waits_as_pollaczek_and_khinchine_say(rho, service, cv):
    wait = queueing.mean_wait(mmc(rho, 1.0, service, service_cv=cv))
    assert wait == pytest.approx(queueing.pollaczek_khinchine(rho / service, service, cv), rel=1e-9)


@given(loads, spreads, spreads)
def test_the_wait_of_one_server_stays_within_kingmans_bound(rho, ca, cs):
    assume(ca >= 1.0)  # below, the approximation is no upper bound either
    wait = queueing.mean_wait(mmc(rho, 1.0, 2.0, arrival_cv=ca, service_cv=cs))
    assert wait <= queueing.kingman_bound(rho / 2.0, 2.0, ca, cs) * (1 + 1e-9)


def test_constant_service_waits_half_as_long():
    """M/D/1, in which DistServe models prefill: ``R D^2 / (2 (1 - R D))``."""
    rate, service = 4.0, 0.2
    wait = queueing.mean_wait(Station(rate, 1.0, service, service_cv=0.0))
    assert wait == pytest.approx(rate * service**2 / (2 * (1 - rate * service)))
    assert queueing.mean_wait(Station(rate, 1.0, service)) == pytest.approx(2 * wait)


@given(loads, counts)
def test_little_counts_the_same_queue_from_both_sides(rho, servers):
    """``L_q = C rho / (1 - rho)`` in M/M/c, and ``lambda W`` after Little."""
    q = mmc(rho, float(servers), 3.0)
    waiting = queueing.erlang_c(rho * servers, servers) * rho / (1 - rho)
    assert queueing.in_system(q.rate, queueing.mean_wait(q)) == pytest.approx(waiting, rel=1e-9, abs=1e-280)


@given(loads, counts)
def test_servers_that_pool_wait_less(rho, servers):
    assert queueing.mean_wait(mmc(rho, servers + 1.0)) <= queueing.mean_wait(mmc(rho, float(servers)))


@given(loads, loads, counts, spreads)
def test_more_load_waits_longer(one, other, servers, cv):
    low, high = sorted((one, other))
    waits = [queueing.mean_wait(mmc(r, float(servers), service_cv=cv)) for r in (low, high)]
    assert waits[0] <= waits[1] * (1 + 1e-9)


# -- percentiles ------------------------------------------------------------------------------------


def test_one_server_answers_exponentially():
    q = Station(0.6, 1.0, 1.0)
    assert queueing.response_quantile(q) == pytest.approx(math.log(100) / (1 - 0.6), rel=1e-9)
    assert queueing.wait_quantile(q, 0.99) == pytest.approx(math.log(0.6 / 0.01) / 0.4, rel=1e-9)


@given(loads, st.integers(1, 50), st.floats(0.0, 20.0))
def test_the_tail_is_that_of_m_m_c(rho, servers, time):
    """``e^-mt (1 + C (1 - e^-mt(c-1-A)) / (c-1-A))``, with the limit ``C m t`` where ``A = c - 1``."""
    load = rho * servers
    free = servers - 1 - load
    assume(abs(free) > 1e-3)
    chance = queueing.erlang_c(load, servers)
    expected = math.exp(-time) * (1 - chance * math.expm1(-time * free) / free)
    assert queueing.response_tail(mmc(rho, float(servers)), time) == pytest.approx(
        expected, rel=1e-7, abs=1e-12
    )


def test_equal_rates_are_no_special_case():
    tail = queueing.response_tail(Station(1.0, 2.0, 1.0), 3.0)  # c - 1 = A
    assert tail == pytest.approx(math.exp(-3) * (1 + 3 / 3), rel=1e-9)


@settings(max_examples=50)
@given(st.floats(0.0, 0.999), counts, spreads, spreads, st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_the_quantile_is_where_the_tail_crosses(rho, servers, ca, cs, percentile):
    q = mmc(rho, float(servers), 2.0, arrival_cv=ca, service_cv=cs, percentile=percentile)
    at = float(queueing.response_quantile(q))
    assert queueing.response_tail(q, at * (1 + 1e-9)) <= (1 - percentile) * (1 + 1e-6)
    assert queueing.response_tail(q, at * (1 - 1e-9)) >= (1 - percentile) * (1 - 1e-6)


@given(counts, st.floats(0.1, 10.0))
def test_constant_service_without_load_answers_in_its_own_time(servers, service):
    q = Station(0.0, float(servers), service, service_cv=0.0)
    assert queueing.response_quantile(q) == pytest.approx(service, rel=1e-9)


@pytest.mark.parametrize("cv", [0.0, 1e-4, 0.01, 0.4, 0.9, 1.0, 1.7, 4.0])
def test_the_service_time_has_its_mean_and_variation(cv):
    """Moments of what exceeds a time: ``E[S] = int P(S > t)`` and ``E[S^2] = int 2 t P(S > t)``."""
    steps = np.linspace(0.0, 1.0, 4001) ** 3 * 3.0 * (1.0 + 40.0 * cv + 40.0 * cv * cv)
    beyond = queueing.response_tail(Station(0.0, 1.0, 3.0, service_cv=cv), steps)
    mean = np.trapezoid(beyond, steps)
    square = np.trapezoid(2.0 * steps * beyond, steps)
    assert mean == pytest.approx(3.0, rel=1e-3)
    assert math.sqrt(max(square - mean**2, 0.0)) / mean == pytest.approx(cv, rel=0.01, abs=0.02)


@pytest.mark.parametrize(
    ("cv", "exceeded"),
    # chi-squared tables: 4 degrees of freedom 13.277 and 9.488, 8 degrees 20.090, 1 degree 6.635
    [(2**-0.5, 13.277 / 4), (0.5, 20.090 / 8), (2**0.5, 6.635)],
)
def test_an_empty_station_answers_as_a_gamma_distribution_says(cv, exceeded):
    assert queueing.response_quantile(Station(0.0, 3.0, 1.0, service_cv=cv)) == pytest.approx(
        exceeded, rel=1e-4
    )


def test_a_simulated_queue_has_the_same_p99():
    """Six servers at 0.85 for 400,000 arrivals, each to the server that is free first."""
    random = np.random.default_rng(7)
    n, servers, rho = 400_000, 6, 0.85
    arrivals = np.cumsum(random.exponential(1.0 / (rho * servers), n))
    service = random.exponential(1.0, n)
    free = [0.0] * servers
    responses = np.empty(n)
    for k, (at, work) in enumerate(zip(arrivals.tolist(), service.tolist(), strict=True)):
        first = free.index(min(free))
        free[first] = max(free[first], at) + work
        responses[k] = free[first] - at
    measured = np.quantile(responses[20_000:], 0.99)
    assert queueing.response_quantile(mmc(rho, 6.0)) == pytest.approx(measured, rel=0.05)


@given(loads, counts, st.floats(1.1, 50.0))
@settings(max_examples=25)
def test_the_most_arrivals_just_keep_the_target(rho, servers, slack):
    q = Station(1.0, float(servers), 1.0)
    target = slack * math.log(100)
    rate = float(queueing.most_arrivals(q, target))
    assert 0 < rate < servers
    at = Station(rate, float(servers), 1.0)
    assert queueing.response_quantile(at) <= target * (1 + 1e-9)


def test_a_target_below_the_service_time_admits_nobody():
    assert queueing.most_arrivals(Station(1.0, 4.0, 1.0, service_cv=0.0), 0.5) == pytest.approx(
        0.0, abs=1e-15
    )


# -- servers that slow each other down ----------------------------------------------------------------


def by_sums(rate: float, alone: float, full: float, servers: int) -> tuple[float, float]:
    """Chance to wait and mean service time from the weights of each number of requests."""
    each = (full - alone) / servers
    logs = np.cumsum([0.0, *(math.log(rate * (alone + each * n) / n) for n in range(1, servers + 1))])
    weights = np.exp(logs - logs.max())
    last = weights[-1] / (1.0 - rate * full / servers)
    norm = weights[:-1].sum() + last
    busy = ((np.arange(servers) * weights[:-1]).sum() + servers * last) / norm
    return last / norm, busy / rate


@settings(max_examples=200)
@given(st.floats(0.01, 0.9999), st.integers(1, 600), st.floats(0.05, 1.0))
def test_shared_servers_are_the_sums_of_their_weights(rho, servers, alone):
    q = Station(rho * servers, float(servers), 1.0, alone=alone)
    waiting, service = by_sums(rho * servers, alone, 1.0, servers)
    assert queueing.chance_to_wait(q) == pytest.approx(waiting, rel=1e-5, abs=1e-12)
    assert queueing.service_under_load(q) == pytest.approx(service, rel=1e-6)


@given(loads, loads, counts, st.floats(0.05, 1.0))
def test_company_never_speeds_a_request_up(one, other, servers, alone):
    low, high = sorted((one, other))
    calm, busy = (mmc(rho, float(servers), alone=alone) for rho in (low, high))
    assert alone <= queueing.service_under_load(calm) <= queueing.service_under_load(busy) * (1 + 1e-9)
    assert queueing.service_under_load(busy) <= 1.0 + 1e-9
    assert queueing.mean_wait(calm) <= queueing.mean_wait(busy) * (1 + 1e-9)
    assert queueing.response_quantile(calm) <= queueing.response_quantile(busy) * (1 + 1e-9)
    rigid = mmc(high, float(servers))
    assert queueing.response_quantile(busy) <= queueing.response_quantile(rigid) * (1 + 1e-9)


# -- fan-out ----------------------------------------------------------------------------------------


def test_a_hundred_servers_make_the_tail_the_rule():
    """Dean and Barroso 2013: 63 percent, and almost one in five of 2,000 at one in 10,000."""
    assert queueing.fanout_share(0.01, 100.0) == pytest.approx(0.63, abs=0.005)
    assert queueing.fanout_share(0.0001, 2000.0) == pytest.approx(0.18, abs=0.005)
    assert queueing.fanout_share(0.3, 1.0) == pytest.approx(0.3)
    assert queueing.fanout_share(1.0, 3.0) == 1.0
    assert queueing.fanout_share(0.0, 3.0) == 0.0


@given(st.floats(0.01, 0.999), st.integers(1, 10_000))
def test_the_parts_percentile_undoes_the_fan_out(percentile, parts):
    part = queueing.part_percentile(percentile, parts)
    assert queueing.fanout_share(1 - part, parts) == pytest.approx(1 - percentile, rel=1e-6, abs=1e-9)


@given(loads, counts, st.integers(1, 500))
def test_waiting_for_more_parts_takes_longer(rho, servers, parts):
    one, many = mmc(rho, float(servers)), mmc(rho, float(servers), fanout=parts + 1.0)
    assert queueing.response_quantile(one) < queueing.response_quantile(many)


# -- everywhere -------------------------------------------------------------------------------------


@given(st.floats(0.0, 3.0), st.integers(1, 10_000), spreads, spreads)
@settings(max_examples=50)
def test_nothing_is_ever_nan(rho, servers, ca, cs):
    q = mmc(rho, float(servers), 0.5, arrival_cv=ca, service_cv=cs)
    results = [
        queueing.mean_wait(q), queueing.wait_quantile(q, 0.99), queueing.response_quantile(q),
        queueing.response_tail(q, 1.0), queueing.conditional_wait(q),
    ]  # fmt: skip
    assert not np.isnan(results).any()
    if rho >= 1:
        assert np.isinf(results[:3]).all()
        assert results[3] == 1.0


@pytest.mark.parametrize("rho", [1 - 1e-3, 1 - 1e-6, 1 - 1e-9, 1 - 1e-12, 1.0])
def test_near_saturation_the_wait_grows_without_a_gap(rho):
    wait = queueing.mean_wait(mmc(rho, 100.0))
    left = 1 - queueing.offered_load(mmc(rho, 100.0).rate, 1.0) / 100.0
    assert wait == pytest.approx(1 / (100 * left), rel=0.02) if left > 0 else np.isinf(wait)


def test_numbers_and_arrays_agree_to_the_bit():
    rho = np.array([0.1, 0.5, 0.9, 0.999, 1.0, 1.5])
    servers = np.array([[1.0], [8.0], [1000.0]])
    table = Station(queueing.rate_at(rho, servers, 2.0), servers, 2.0, service_cv=1.5, fanout=3.0)
    for function in (
        queueing.mean_wait,
        queueing.response_quantile,
        lambda q: queueing.most_arrivals(q, 50.0),
    ):
        whole = np.broadcast_to(function(table), (3, 6))
        for i, j in np.ndindex(3, 6):
            one = Station(float(table.rate[i, j]), float(servers[i, 0]), 2.0, service_cv=1.5, fanout=3.0)
            assert float(function(one)) == whole[i, j]


def test_dimensions():
    u = ureg()
    rate, service = u.Quantity(3.0, "1/s"), u.Quantity(0.2, "s")
    assert queueing.offered_load(rate, service).check("")
    assert queueing.in_system(rate, service).check("")
    assert queueing.rate_at(0.5, 4.0, service).check("1/[time]")
    assert queueing.pollaczek_khinchine(rate, service, 1.0).check("[time]")
    assert queueing.kingman_bound(rate, service, 1.0, 1.0).check("[time]")

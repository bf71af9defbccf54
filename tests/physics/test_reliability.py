"""Failures against published figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.core.units import ureg
from mlsysim.physics import reliability as rel

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
TIMES = st.floats(1.0, 1e7)


def test_llama_3_counts_every_cause_once() -> None:
    # Dubey 2024, section 3.3.4: 16,384 GPUs, 54 days, 419 unexpected interruptions
    unit = rel.observed_mtbf(16_384 * 54 * DAY, 419)
    assert unit / HOUR == pytest.approx(50_677, abs=1)
    assert rel.fleet_mtbf(unit, 16_384) / HOUR == pytest.approx(3.09, abs=0.005)
    # the table's rows are disjoint, so the rates of its components add up to the same
    causes = [148, 72, 54, 35, 32, 19, 17, 7, 7, 6, 6, 3, 3, 2, 2, 2, 2, 2]
    assert sum(causes) == 419
    parts = [(rel.observed_mtbf(16_384 * 54 * DAY, n), 16_384) for n in causes]
    assert rel.combined_mtbf(parts) / HOUR == pytest.approx(3.09, abs=0.005)


def test_kokolis_projects_its_cluster() -> None:
    # Kokolis 2024: RSC-1 has 6.50 failures in 1000 node-days; 1.8 h at 16,384 GPUs in nodes of 8
    node = rel.observed_mtbf(1000 * DAY, 6.50)
    assert rel.fleet_mtbf(node, 16_384 / 8) / HOUR == pytest.approx(1.8, abs=0.01)
    assert rel.fleet_mtbf(node, 131_072 / 8) / HOUR == pytest.approx(0.23, abs=0.005)


def test_effective_training_time_of_kokolis() -> None:
    # expected ratio of 16k GPUs on RSC-1 with 5 minutes to restart and writes that do not block:
    # about 0.7 with hourly checkpoints, 0.93 with one every 5 minutes
    mtbf = rel.fleet_mtbf(rel.observed_mtbf(1000 * DAY, 6.50), 2048)
    assert 1 - rel.first_order_loss(HOUR, 5 * MINUTE, mtbf) == pytest.approx(0.7, abs=0.03)
    assert 1 - rel.first_order_loss(5 * MINUTE, 5 * MINUTE, mtbf) == pytest.approx(0.93, abs=0.005)
    # 0.9 for 100,000 GPUs with the rate of RSC-2 takes intervals and restarts of some 2 minutes
    mtbf = rel.fleet_mtbf(rel.observed_mtbf(1000 * DAY, 2.34), 100_000 / 8)
    assert 1 - rel.first_order_loss(2 * MINUTE, 2 * MINUTE, mtbf) >= 0.9
    assert 1 - rel.first_order_loss(5 * MINUTE, 5 * MINUTE, mtbf) < 0.9


@pytest.mark.parametrize(("hours", "minutes"), [(24.0, 117.0), (6.0, 57.0), (0.25, 9.1)])
def test_intervals_of_daly(hours: float, minutes: float) -> None:
    # Daly 2006, figures 3 to 5: R = 10 min, delta = 5 min
    tau = rel.daly_interval(5 * MINUTE, hours * HOUR) / MINUTE
    assert round(float(tau), 0 if minutes > 10 else 1) == minutes


def test_interval_of_young() -> None:
    # delta 2 min, M 1 day: sqrt(2 * 120 * 86400) = 4553.7 s
    assert rel.young_interval(120.0, DAY) == pytest.approx(4553.68, abs=0.01)


@given(delta=st.floats(1.0, 1e4), ratio=st.floats(10.0, 1e6))
def test_no_other_interval_is_much_better(delta: float, ratio: float) -> None:
    mtbf = delta * ratio
    tau = rel.daly_interval(delta, mtbf)
    others = tau * np.geomspace(0.2, 5.0, 401)
    best = rel.goodput(others, delta, 0.0, mtbf).max()
    assert rel.goodput(tau, delta, 0.0, mtbf) >= best * 0.9995


def test_checkpoints_longer_than_twice_the_mtbf() -> None:
    assert rel.daly_interval(300.0, 100.0) == 100.0


def test_goodput_against_a_simulation() -> None:
    # figure 4 of Daly 2006: M = 6 h, R = 10 min, delta = 5 min, tau = 57 min; 38,000 hours of work
    rng = np.random.default_rng(7)
    mtbf, restart, delta, tau, segments = 360.0, 10.0, 5.0, 57.0, 40_000
    elapsed = 0.0
    for _ in range(segments):
        while True:
            failure = rng.exponential(mtbf)
            if failure >= tau + delta:
                elapsed += tau + delta
                break
            elapsed += failure
            while (again := rng.exponential(mtbf)) < restart:  # a restart may fail too
                elapsed += again
            elapsed += restart
    assert rel.goodput(tau, delta, restart, mtbf) == pytest.approx(segments * tau / elapsed, rel=0.005)


def test_llama_3_is_effective_for_more_than_nine_tenths() -> None:
    # 405e9 parameters of 14 bytes to a store of 2 TB/s, 5 minutes to restart, 86 s to notice
    mtbf, delta = 3.09 * HOUR, 405e9 * 14 / 2e12
    recovery = rel.recovery_time(86.0, 300.0, read=delta)
    result = rel.losses(interval=rel.daly_interval(delta, mtbf), delta=delta, recovery=recovery, mtbf=mtbf)
    assert 0.9 < result.useful < 0.97


@given(interval=TIMES, delta=TIMES, recovery=TIMES, mtbf=TIMES)
def test_shares_add_up(interval: float, delta: float, recovery: float, mtbf: float) -> None:
    s = rel.losses(interval=interval, delta=delta, recovery=recovery, mtbf=mtbf)
    assert s.useful + s.writing + s.failing == pytest.approx(1.0)
    assert min(s.useful, s.writing) >= 0.0
    assert s.failing >= -1e-12


def test_rare_failures_are_those_of_the_first_order() -> None:
    s = rel.losses(interval=600.0, delta=10.0, recovery=300.0, mtbf=1e9)
    assert s.writing == pytest.approx(10.0 / 610.0, rel=1e-5)
    # half a segment and the recovery, for each failure
    assert s.failing == pytest.approx((610.0 / 2 + 300.0) / 1e9, rel=1e-3)


def test_a_fleet_that_never_fails_and_one_that_always_does() -> None:
    s = rel.losses(interval=600.0, delta=0.0, recovery=300.0, mtbf=1e30)
    assert (float(s.useful), float(s.writing)) == (pytest.approx(1.0), 0.0)
    s = rel.losses(interval=1e6, delta=1.0, recovery=300.0, mtbf=1.0)
    assert (float(s.useful), float(s.failing)) == (pytest.approx(0.0), pytest.approx(1.0))


@given(mtbf=TIMES, more=st.floats(1.01, 100.0))
def test_more_accelerators_fail_more_often(mtbf: float, more: float) -> None:
    few = rel.losses(interval=600.0, delta=10.0, recovery=300.0, mtbf=mtbf)
    many = rel.losses(interval=600.0, delta=10.0, recovery=300.0, mtbf=rel.fleet_mtbf(mtbf, more))
    assert many.useful <= few.useful
    assert many.failing >= few.failing - 1e-12


@pytest.mark.parametrize(
    ("count", "mean"),
    [
        (1, 0.0),
        (2, 1 / math.sqrt(math.pi)),
        (3, 1.5 / math.sqrt(math.pi)),
        # Harter 1961, table 1
        (4, 1.02938),
        (5, 1.16296),
        (10, 1.53875),
        (20, 1.86748),
        (100, 2.50759),
        (200, 2.74604),
    ],
)
def test_largest_of_normal_numbers(count: int, mean: float) -> None:
    assert rel.expected_maximum(count) == pytest.approx(mean, abs=1e-5)


def test_largest_of_very_many_is_gumbels() -> None:
    n = 1e8
    b = math.sqrt(2 * math.log(n))
    gumbel = b - (math.log(math.log(n)) + math.log(4 * math.pi)) / (2 * b) + 0.5772156649 / b
    assert rel.expected_maximum(n) == pytest.approx(gumbel, rel=0.005)


@given(count=st.integers(1, 10_000_000), cv=st.floats(0.0, 0.5))
def test_stragglers(count: int, cv: float) -> None:
    share = rel.straggling_share(cv, count)
    assert -1e-12 <= share < 1.0
    assert rel.straggling_share(cv, count * 2) >= share
    assert rel.straggling_share(0.0, count) == 0.0


def test_arrays_are_scalars_side_by_side() -> None:
    mtbf, interval = np.meshgrid([0.5, 300.0, 1e5, 1e9], [1.0, 100.0, 1e4])
    table = rel.losses(interval=interval, delta=30.0, recovery=400.0, mtbf=mtbf, straggling=0.1)
    counts = np.array([1.0, 2.0, 7.0, 512.0, 1e6])
    for i in np.ndindex(mtbf.shape):
        one = rel.losses(
            interval=float(interval[i]), delta=30.0, recovery=400.0, mtbf=float(mtbf[i]), straggling=0.1
        )
        for name, value in vars(one).items():
            assert getattr(table, name)[i] == value, name
    assert rel.expected_maximum(counts).tolist() == [rel.expected_maximum(n) for n in counts]
    assert rel.daly_interval(30.0, mtbf[0]).tolist() == [rel.daly_interval(30.0, m) for m in mtbf[0]]


def test_dimensions() -> None:
    u = ureg()
    delta, mtbf, tau = 5 * u.minute, 6 * u.hour, 57 * u.minute
    assert rel.young_interval(delta, mtbf).check("[time]")
    assert rel.daly_interval(delta, mtbf).to("minute").magnitude == pytest.approx(56.71, abs=0.01)
    assert rel.fleet_mtbf(mtbf, 8).check("[time]")
    assert rel.combined_mtbf([(mtbf, 2), (mtbf, 2)]).to("hour").magnitude == pytest.approx(1.5)
    assert rel.first_order_loss(tau, delta, mtbf).dimensionless
    assert rel.goodput(tau, delta, delta, mtbf).dimensionless
    assert rel.recovery_time(delta, delta, delta, delta).check("[time]")

"""Several kinds of requests on instances of one kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsysim.physics import mixture, queueing


def test_one_kind_is_the_queue_of_that_kind():
    q = mixture.station(np.array([3.0]), np.array([0.2]), np.array([0.5]), 2.0, 8.0, 1.0)
    assert q.rate == 3.0
    assert q.servers == 16.0
    assert q.service == pytest.approx(1.6)
    assert q.service_cv == pytest.approx(0.5)


def test_kinds_of_different_length_vary_as_a_whole():
    q = mixture.station(np.array([1.0, 1.0]), np.array([1.0, 3.0]), np.zeros(2), 5.0, 1.0, 1.0)
    assert q.service == pytest.approx(2.0)
    assert q.service_cv == pytest.approx(0.5)  # 1 and 3 around 2


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 64),
    st.lists(
        st.tuples(st.floats(0.01, 3.0), st.floats(0.0, 2.0), st.floats(0.01, 1.0)), min_size=1, max_size=6
    ),
    st.floats(0.01, 5.0),
    st.floats(0.0, 3.0),
)
def test_the_table_of_work_keeps_the_wait_of_any_mix(instances, places, kinds, allowance, burst):
    """Whatever mix fills the instances as far as the table lets it, waits no longer than allowed."""
    time, spread, share = np.array(kinds).T
    longest = float(mixture.residual(time, spread).max())
    most = float(mixture.most_work(instances, places, longest, allowance, burst, 0.99))
    assert 0.0 <= most < instances
    rate = share / float(mixture.instances_busy(share, time).sum()) * most
    if most > 0.0:
        q = mixture.station(rate, time, spread, float(instances), float(places), burst)
        assert float(queueing.wait_quantile(q, 0.99)) <= allowance * (1 + 1e-6)


def test_rare_long_requests_wait_longer_than_as_much_work_of_equal_ones():
    most = float(mixture.most_work(1, 1, 2.0, 2.0, 1.0, 0.99))
    equal = mixture.station(np.array([most / 2.0]), np.array([2.0]), np.zeros(1), 1.0, 1.0, 1.0)
    rare = mixture.station(np.array([most]), np.ones(1), np.ones(1), 1.0, 1.0, 1.0)
    waits = [float(queueing.wait_quantile(q, 0.99)) for q in (equal, rare)]
    assert waits[0] < waits[1] <= 2.0


@pytest.mark.parametrize("allowance", [0.05, 0.3, 2.0])
def test_the_table_of_one_server_is_tight_for_some_kind(allowance):
    """With a tenth of a percent more work, some requests with the longest residual wait too long."""
    work = 1.001 * float(mixture.most_work(1, 1, 0.5, allowance, 1.0, 0.99))
    square = np.concatenate([[0.0], np.geomspace(1e-3, 1e6, 400)])
    time = 0.5 / (1.0 + square)
    q = mixture.station((work / time)[:, None], time[:, None], np.sqrt(square)[:, None], 1.0, 1.0, 1.0)
    assert float(np.max(queueing.wait_quantile(q, 0.99))) > allowance


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 64), st.floats(0.01, 2.0), st.floats(0.01, 2.0))
def test_a_larger_pool_is_never_less_busy(places, longest, allowance):
    n = np.arange(30)
    work = np.asarray(mixture.most_work(n, places, longest, allowance, 1.0, 0.99))
    assert work[0] == 0.0
    assert (np.diff(work[1:] / n[1:]) >= -1e-9).all()
    # the further the fuller: pools that are joined never need more
    assert (np.diff(work, 2) >= -1e-6).all()


def test_links_add_up():
    assert mixture.move_share(np.array([2.0, 4.0]), np.array([0.1, 0.05]), 2.0) == pytest.approx(0.2)

"""Wall 16: multi-tenant."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlsysim.physics.queueing import Station, rate_at
from mlsysim.walls.w16_multi_tenant import MultiTenant

WALL = MultiTenant()
HOUR = 3600.0
# jobs of 2 hours on ten places that are busy 80 percent of the time
SHARED = Station(rate_at(0.8, 10.0, 2 * HOUR), 10.0, 2 * HOUR)


def state(queue: Station | None = SHARED, phase: str = "training", **limits: float) -> Any:
    return SimpleNamespace(phase=phase, tenancy=queue, limits=SimpleNamespace(**limits))


def test_identity():
    assert (WALL.number, WALL.name, WALL.domain, WALL.tag) == (16, "Multi-tenant", "fleet", "w16")
    assert "little_1961" in WALL.sources


def test_the_mean_wait_at_eighty_percent():
    """The table's 0.409 of the jobs wait, those on average 2 h / (10 - 8)."""
    (row,) = WALL.rows(state())
    assert row.demand == pytest.approx(0.409 * HOUR, rel=2e-3)
    assert (row.supply, row.unit) == (None, "h")


def test_jobs_that_vary_wait_longer():
    (row,) = WALL.rows(state(replace(SHARED, service_cv=3.0), wait=HOUR))
    # five times as long with one place; among ten, some places are free of long jobs
    pooled = 1 - 0.8 * (0.2 * 9 * (54**0.5 - 2) / (16 * 0.8 * 10))
    assert row.demand == pytest.approx(5 * 0.409 * HOUR * pooled, rel=2e-3)
    assert row.demand > row.supply == HOUR
    assert not row.hard


def test_requests_wait_milliseconds():
    (row,) = WALL.rows(state(phase="inference"))
    assert row.unit == "ms"


@pytest.mark.parametrize("utilization", [1.0, 1.3])
def test_a_fleet_that_is_always_busy_never_settles(utilization):
    (row,) = WALL.rows(state(replace(SHARED, rate=rate_at(utilization, 10.0, 2 * HOUR))))
    assert row.hard
    assert row.demand == pytest.approx(10 * utilization)
    assert row.demand > row.supply


def test_tables_get_both_rows():
    rates = rate_at(np.array([0.5, 0.9, 1.0]), 10.0, 2 * HOUR)
    wait, load = WALL.rows(state(replace(SHARED, rate=rates), wait=HOUR))
    assert (load.demand <= load.supply).tolist() == [True, True, False]
    assert (wait.demand <= wait.supply).tolist() == [True, False, False]


def test_it_does_not_apply_to_a_fleet_of_ones_own():
    assert WALL.rows(state(None)) == ()
    assert WALL.why_not(state(None)) == "the fleet is not shared"

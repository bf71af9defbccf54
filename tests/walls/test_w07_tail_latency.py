"""Wall 7: tail latency."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlsysim.physics.queueing import Station
from mlsysim.walls.w07_tail_latency import TailLatency

WALL = TailLatency()
ONE = Station(rate=6.0, servers=1.0, service=0.1)  # answers exponentially, at 10 - 6 a second


def state(queue: Station | None = ONE, phase: str = "inference", **limits: float) -> Any:
    return SimpleNamespace(phase=phase, queue=queue, limits=SimpleNamespace(**limits))


def test_identity():
    assert (WALL.number, WALL.name, WALL.domain, WALL.tag) == (7, "Tail latency", "node", "w07")
    assert "dean_2013" in WALL.sources


def test_the_99th_percentile_of_one_server():
    (row,) = WALL.rows(state())
    assert row.demand == pytest.approx(math.log(100) / 4)
    assert row.supply is None
    assert row.unit == "ms"
    assert "0.99" in row.note


def test_a_target_is_a_supply():
    (row,) = WALL.rows(state(tail=1.0))
    assert row.demand > row.supply == 1.0
    assert not row.hard


def test_a_fan_out_shows_in_the_note_and_in_the_time():
    (row,) = WALL.rows(state(replace(ONE, fanout=100.0)))
    assert row.demand == pytest.approx(-math.log(1 - 0.99**0.01) / 4)
    assert "slowest of 100" in row.note


@pytest.mark.parametrize("rate", [10.0, 25.0])
def test_more_work_than_servers_cannot_be(rate):
    (row,) = WALL.rows(state(replace(ONE, rate=rate), tail=1.0))
    assert row.hard
    assert row.demand == pytest.approx(rate / 10)
    assert row.demand > row.supply
    assert math.isfinite(row.demand)


def test_tables_get_both_rows():
    tail, load = WALL.rows(state(replace(ONE, rate=np.array([6.0, 12.0])), tail=2.0))
    assert (load.demand <= load.supply).tolist() == [True, False]
    assert (tail.demand <= tail.supply).tolist() == [True, False]


def test_it_does_not_apply_without_arrivals():
    assert WALL.rows(state(None)) == ()
    assert WALL.why_not(state(None, "training")) == "training has no requests"
    assert "rate" in WALL.why_not(state(None))

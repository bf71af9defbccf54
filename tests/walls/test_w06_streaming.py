"""Wall 6: streaming."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlsysim.physics.streaming import Stream
from mlsysim.walls.w06_streaming import Streaming

WALL = Streaming()
# 3 GB a layer at 150 GB/s: 20 ms
WAFER = Stream(weights=3e9, injection=150e9, compute=0.005, layers=96.0)


def state(stream: Stream | None = WAFER, **limits: float) -> Any:
    return SimpleNamespace(phase="training", streaming=stream, limits=SimpleNamespace(**limits))


def test_identity():
    assert (WALL.number, WALL.name, WALL.domain, WALL.tag) == (6, "Streaming", "node", "w06")
    assert "lie_2023" in WALL.sources


def test_a_layer_is_as_long_as_its_load_makes_it():
    (row,) = WALL.rows(state())
    assert row.by_construction
    assert row.demand == row.supply == pytest.approx(3e9)
    assert row.unit == "GB"


def test_work_that_takes_longer_leaves_room():
    (row,) = WALL.rows(state(Stream(3e9, 150e9, 0.04, 96.0)))
    assert row.demand / row.supply == pytest.approx(0.5)


def test_a_target_for_the_layer():
    _, row = WALL.rows(state(layer_time=0.015))
    assert row.demand == pytest.approx(0.020)
    assert row.supply == 0.015
    assert not row.hard
    assert not row.by_construction


def test_tables_pass_through():
    row = WALL.rows(state(Stream(3e9, np.array([150e9, 600e9]), 0.005, 96.0), layer_time=0.01))[1]
    assert (row.demand <= row.supply).tolist() == [False, True]


def test_it_does_not_apply_to_weights_at_hand():
    assert WALL.rows(state(None)) == ()
    assert "memory" in WALL.why_not(state(None))

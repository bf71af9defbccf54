"""Wall 22 over states."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from mlsysim.walls.w22_synthesis import Synthesis

WALL = Synthesis()


def state(time: Any, target: float | None) -> Any:
    return SimpleNamespace(time=time, target=target)


def test_a_missed_target_says_by_how_much():
    (row,) = WALL.rows(state(12.0, 10.0))
    assert row.demand == 12.0
    assert "needs 1.2 x every rate" in row.note


def test_a_met_target_says_how_much_would_do():
    assert "is met with 0.5 x every rate" in WALL.rows(state(5.0, 10.0))[0].note


def test_the_assertion_enforces_it():
    (row,) = WALL.rows(state(12.0, 10.0))
    assert row.supply == 10.0
    assert not row.enforced


def test_tables():
    (row,) = WALL.rows(state(np.array([1.0, 2.0]), 1.5))
    assert row.note == "against the target time"


def test_without_a_target():
    assert WALL.rows(state(1.0, None)) == ()
    assert WALL.rows(SimpleNamespace(time=1.0)) == ()
    assert "latency" in WALL.why_not(state(1.0, None))


def test_identity():
    assert (WALL.number, WALL.name, WALL.domain) == (22, "Synthesis", "analysis")

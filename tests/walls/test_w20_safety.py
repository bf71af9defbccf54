"""Wall 20 over states."""

from types import SimpleNamespace
from typing import Any

from mlsysim.physics.privacy import Privacy
from mlsysim.walls.w20_safety import Safety

WALL = Safety()


def state(p: Privacy | None, **limits: float) -> Any:
    return SimpleNamespace(privacy=p, limits=SimpleNamespace(**limits))


def test_private_training():
    p = Privacy(slowdown=4.56, epsilon=1.3, delta=1e-5)
    slow, loss = WALL.rows(state(p, dp_slowdown=2.0, epsilon=8.0))
    assert (slow.demand, slow.supply) == (4.56, 2.0)
    assert (loss.demand, loss.supply) == (1.3, 8.0)
    assert "1e-05" in loss.note
    assert [r.supply for r in WALL.rows(state(p))] == [None, None]


def test_without_an_accountant():
    (row,) = WALL.rows(state(Privacy(slowdown=1.64)))
    assert row.unit == ""


def test_subgroups():
    p = Privacy(subgroups=2.0, difference=0.05, confidence=0.95, smallest=1000.0)
    (row,) = WALL.rows(state(p))
    assert (row.demand, row.supply, row.unit) == (1476, 1000.0, "sample")
    assert row.demand > row.supply
    assert "5.0% apart" in row.note
    assert WALL.rows(state(Privacy(subgroups=2.0, difference=0.05, confidence=0.95)))[0].supply is None


def test_nothing_promised():
    assert WALL.rows(state(None)) == ()
    assert WALL.rows(state(Privacy())) == ()
    assert WALL.rows(SimpleNamespace(limits=None)) == ()
    assert "neither" in WALL.why_not(state(None))


def test_identity():
    assert (WALL.number, WALL.name, WALL.domain) == (20, "Safety", "operations")

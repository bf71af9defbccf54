"""Wall 13 over states."""

from types import SimpleNamespace
from typing import Any

from mlsysim.physics.compression import Fidelity as Measured
from mlsysim.walls.w13_fidelity import Fidelity

WALL = Fidelity()


def state(found: Measured | None, **limits: float) -> Any:
    return SimpleNamespace(compression=found, limits=SimpleNamespace(**limits))


def test_loss_against_the_tolerance():
    (row,) = WALL.rows(state(Measured(0.021, "perplexity", "measured on OPT"), accuracy_loss=0.01))
    assert row.demand > row.supply
    assert row.unit == "1"
    assert not row.hard
    assert row.note == "perplexity; measured on OPT"


def test_without_a_tolerance_it_is_shown():
    (row,) = WALL.rows(state(Measured(0.0, "", "16 bits or more")))
    assert row.supply is None
    assert row.note == "16 bits or more"


def test_nothing_is_made_up():
    assert WALL.rows(state(None, accuracy_loss=0.01)) == ()
    assert WALL.rows(SimpleNamespace(limits=None)) == ()
    assert "no published table" in WALL.why_not(state(None))


def test_identity():
    assert (WALL.number, WALL.name, WALL.domain) == (13, "Fidelity", "algorithm")

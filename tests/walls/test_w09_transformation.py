"""Wall 9 keeps processors ahead of the accelerators."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from formulations.algebra import Choice
from mlsysim.core import units
from mlsysim.physics.dataflow import Transform
from mlsysim.walls.w09_transformation import Transformation

WALL = Transformation()


def state(time=1.0, phase="training", **fields):
    return SimpleNamespace(phase=phase, time=time, **fields)


def test_identity() -> None:
    assert (WALL.number, WALL.name, WALL.domain, WALL.tag) == (9, "Transformation", "data", "w09")


@pytest.mark.parametrize(("cores", "holds"), [(9.0, False), (10.0, True)])
def test_images_for_one_accelerator(cores: float, holds: bool) -> None:
    # 2000 images a second of 4.56 ms each
    (row,) = WALL.rows(state(transform=Transform(2000 * 4.56e-3, cores)))
    assert (row.demand <= row.supply) is holds
    assert units.from_base(row.demand, row.unit) == pytest.approx(9.12)
    assert row.hard


def test_no_work_always_holds() -> None:
    (row,) = WALL.rows(state(transform=Transform(0.0, 1.0)))
    assert row.demand == 0.0


def test_tables_and_numbers_agree() -> None:
    times = np.array([0.1, 0.2, 0.4])
    choice = Choice("layout", {"cell": np.arange(3)})
    (row,) = WALL.rows(state(time=choice.table(times), transform=Transform(3.0, 112.0)))
    assert row.supply.values.tolist() == [112.0 * t for t in times]


def test_why_not() -> None:
    assert WALL.rows(state()) == ()
    assert "cores" in WALL.why_not(state())
    assert WALL.why_not(state(phase="inference")) == "requests bring their data"

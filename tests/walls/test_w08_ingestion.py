"""Wall 8 reads what storage gives in the time of a step."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from formulations.algebra import Choice
from mlsysim.core import units
from mlsysim.physics.dataflow import Ingest
from mlsysim.walls.w08_ingestion import Ingestion

WALL = Ingestion()


def state(time=0.224, phase="training", **fields):
    return SimpleNamespace(phase=phase, time=time, **fields)


def test_identity() -> None:
    assert (WALL.number, WALL.name, WALL.domain, WALL.tag) == (8, "Ingestion", "data", "w08")
    assert WALL.modelled


@pytest.mark.parametrize(("bandwidth", "holds"), [(204.7e6, False), (204.8e6, True)])
def test_an_h100_on_mlperf_storage(bandwidth: float, holds: bool) -> None:
    # 400 images of 114,660 bytes in 0.224 s are 204.75 MB/s
    (row,) = WALL.rows(state(ingest=Ingest(400 * 114_660.07, bandwidth)))
    assert (row.demand <= row.supply) is holds
    assert units.from_base(row.demand, row.unit) == pytest.approx(0.045864, rel=1e-4)
    assert row.hard
    assert not row.by_construction


def test_a_slower_step_needs_less() -> None:
    ingest = Ingest(1e9, 1e9)
    fast, slow = (WALL.rows(state(time=t, ingest=ingest))[0] for t in (0.5, 2.0))
    assert fast.demand / fast.supply == 4 * slow.demand / slow.supply == 2.0


def test_tables_and_numbers_agree() -> None:
    times = np.array([0.1, 0.2, 0.4])
    choice = Choice("layout", {"cell": np.arange(3)})
    (row,) = WALL.rows(state(time=choice.table(times), ingest=Ingest(1e9, 5e9)))
    assert row.supply.values.tolist() == [
        WALL.rows(state(time=t, ingest=Ingest(1e9, 5e9)))[0].supply for t in times
    ]


def test_what_reads_nothing_says_so() -> None:
    for nothing in (state(phase="inference"), state(phase="inference", ingest=None)):
        assert WALL.rows(nothing) == ()
        assert WALL.why_not(nothing) == "requests bring their data"
    assert "size of a sample" in WALL.why_not(state())

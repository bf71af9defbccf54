"""Wall 4: serving."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlsysim.core import units
from mlsysim.physics.serving import Service
from mlsysim.walls.w04_serving import Serving

WALL = Serving()
CHAT = Service(ttft=0.3, itl=0.02, stall=0.32, rate=4.0, prefill_compute=0.29, prefill_stream=0.01,
               decode_compute=0.002, decode_stream=0.019)  # fmt: skip


def state(service: Service | None = CHAT, phase: str = "inference", **limits: float) -> Any:
    return SimpleNamespace(phase=phase, serving=service, limits=SimpleNamespace(**limits))


def test_identity():
    assert (WALL.number, WALL.name, WALL.domain, WALL.tag) == (4, "Serving", "node", "w04")
    assert {"pope_2023", "agrawal_2024"} <= set(WALL.sources)


def test_without_targets_it_only_reports():
    rows = WALL.rows(state())
    assert [r.demand for r in rows] == [0.3, 0.02, 0.32]
    assert all(r.supply is None and not r.hard and not r.by_construction for r in rows)


def test_targets_are_supplies():
    ttft, itl, stall = WALL.rows(state(ttft=0.5, itl=0.015, stall=1.0))
    assert ttft.demand <= ttft.supply
    assert itl.demand > itl.supply
    assert stall.demand <= stall.supply
    assert all(units.to_base(1.0, r.unit, "s") == pytest.approx(1e-3) for r in (ttft, itl, stall))


def test_the_notes_say_what_bounds_each_phase():
    ttft, itl, _ = WALL.rows(state())
    assert ttft.note.endswith("compute-bound")
    assert itl.note.endswith("bandwidth-bound")


def test_tables_pass_through():
    table = Service(
        ttft=np.array([0.1, 0.4]), itl=0.02, stall=0.3, rate=1.0, prefill_compute=np.array([1.0, 0.0])
    )
    row = WALL.rows(state(table, ttft=0.2))[0]
    assert (row.demand <= row.supply).tolist() == [True, False]
    assert row.note == "time to first token"


def test_it_does_not_apply_without_requests():
    for phase, reason in (("training", "training has no requests"), ("inference", "token by token")):
        assert WALL.rows(state(None, phase)) == ()
        assert reason in WALL.why_not(state(None, phase))
    assert WALL.rows(SimpleNamespace(phase="training", limits=SimpleNamespace())) == ()

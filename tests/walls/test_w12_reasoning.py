"""Wall 12: reasoning."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlsysim.physics.reasoning import Chain
from mlsysim.walls.w12_reasoning import Reasoning

WALL = Reasoning()
THOUGHT = Chain(ttft=0.5, itl=0.02, steps=8.0, tokens_per_step=250.0)


def state(chain: Chain | None = THOUGHT, phase: str = "inference", **limits: float) -> Any:
    return SimpleNamespace(phase=phase, reasoning=chain, limits=SimpleNamespace(**limits))


def test_identity():
    assert (WALL.number, WALL.name, WALL.domain, WALL.tag) == (12, "Reasoning", "algorithm", "w12")
    assert "snell_2024" in WALL.sources


def test_the_time_to_the_answer():
    (row,) = WALL.rows(state())
    assert row.demand == pytest.approx(0.5 + 8 * 250 * 0.02)
    assert (row.supply, row.unit, row.hard) == (None, "s", False)


def test_a_target_is_a_supply():
    (row,) = WALL.rows(state(answer=30.0))
    assert row.demand > row.supply == 30.0


def test_tables_pass_through():
    (row,) = WALL.rows(state(Chain(0.5, 0.02, np.array([1.0, 8.0]), 250.0), answer=30.0))
    assert (row.demand <= row.supply).tolist() == [True, False]


def test_it_does_not_apply_without_steps():
    assert WALL.rows(state(None)) == ()
    assert "no reasoning steps" in WALL.why_not(state(None))
    assert "training" in WALL.why_not(state(None, "training"))

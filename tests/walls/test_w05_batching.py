"""Wall 5: batching."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlsysim.physics.kvcache import Batching as Requests
from mlsysim.physics.kvcache import Lengths
from mlsysim.walls.w05_batching import Batching

WALL = Batching()
# 40 requests of 320 + 320 / 2 tokens: 30 blocks and half of one each, in a pool of 1600
CHAT = Requests(40.0, Lengths(320.0, 320.0, longest=2048.0), 16.0, 1e6, 1600 * 16e6)


def state(requests: Requests | None = CHAT, phase: str = "inference", **limits: float) -> Any:
    return SimpleNamespace(phase=phase, batching=requests, limits=SimpleNamespace(**limits))


def test_identity():
    assert (WALL.number, WALL.name, WALL.domain, WALL.tag) == (5, "Batching", "node", "w05")
    assert "kwon_2023" in WALL.sources


def test_the_blocks_of_running_requests_against_the_pool():
    (row,) = WALL.rows(state())
    assert row.demand == pytest.approx(40 * (30 + 15 / 32))
    assert row.supply == 1600
    assert row.hard
    assert not row.by_construction
    assert "paged" in row.note


def test_reserving_the_longest_sequence_takes_more():
    (row,) = WALL.rows(state(replace(CHAT, paged=False)))
    assert row.demand == 40 * 2048 / 16 > row.supply
    assert "reserved" in row.note


def test_a_limit_on_preemption_asks_for_a_margin():
    mean, rare = WALL.rows(state(preemption=0.01))
    assert rare.demand > mean.demand
    assert rare.supply == mean.supply
    assert not rare.hard
    assert "0.01 of the time" in rare.note


def test_tables_pass_through():
    (row,) = WALL.rows(state(replace(CHAT, requests=np.array([10.0, 52.0, 53.0]))))
    assert (row.demand <= row.supply).tolist() == [True, True, False]


@pytest.mark.parametrize(("phase", "reason"), [("training", "training"), ("inference", "the model")])
def test_it_does_not_apply_without_a_cache(phase, reason):
    assert WALL.rows(state(None, phase)) == ()
    assert WALL.why_not(state(None, phase)) == f"{reason} keeps no KV cache"

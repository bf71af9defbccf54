"""Wall 19 compares checkpoints with the time and the bandwidth for them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from formulations.algebra import Choice
from mlsysim.core import units
from mlsysim.physics import checkpoint as ckpt
from mlsysim.physics.checkpoint import Checkpoint
from mlsysim.physics.memory import StateBytes
from mlsysim.walls.base import Limits
from mlsysim.walls.w19_checkpoint import Checkpointing

WALL = Checkpointing()
# BLOOM: 176.247e9 parameters of 14 bytes, here to a store of 25 GB/s: 98.7 s
SIZE = ckpt.checkpoint_bytes(176.247e9, StateBytes(2.0, 2.0, 12.0))
STORE = 25e9


def state(phase="training", limits=None, **fields):
    return SimpleNamespace(phase=phase, limits=limits or Limits(), **fields)


def test_identity() -> None:
    assert (WALL.number, WALL.name, WALL.domain, WALL.tag) == (19, "Checkpoint", "operations", "w19")


def test_bloom_every_three_hours() -> None:
    write = ckpt.write_time(SIZE, STORE)
    stall, fits = WALL.rows(state(checkpoint=Checkpoint(SIZE, STORE, write, 3 * 3600.0)))
    assert stall.demand == pytest.approx(98.7, abs=0.1)
    assert stall.supply is None
    assert units.from_base(fits.demand, fits.unit) == pytest.approx(2467.5, abs=0.1)
    assert fits.demand <= fits.supply
    assert fits.hard


@pytest.mark.parametrize(("allowed", "holds"), [(0.009, False), (0.0092, True)])
def test_the_limit_is_a_share_of_the_interval(allowed: float, holds: bool) -> None:
    # 98.7 s of 10,800 s are 0.914%
    c = Checkpoint(SIZE, STORE, ckpt.write_time(SIZE, STORE), 3 * 3600.0)
    stall, _ = WALL.rows(state(checkpoint=c, limits=SimpleNamespace(checkpoint=allowed)))
    assert bool(stall.demand <= stall.supply) is holds
    assert not stall.hard
    assert f"{100 * allowed:g}%" in stall.note


def test_asynchronous_writes_must_end_before_the_next() -> None:
    write, stall = ckpt.write_time(SIZE, STORE), 2.0
    least = ckpt.shortest_interval(write, stall)
    for interval, holds in ((least * 0.99, False), (least * 1.01, True)):
        _, fits = WALL.rows(state(checkpoint=Checkpoint(SIZE, STORE, stall, interval)))
        assert bool(fits.demand <= fits.supply) is holds


@pytest.mark.parametrize("interval", [0.0, 1.0, 1e6])
def test_a_synchronous_write_always_ends(interval: float) -> None:
    write = ckpt.write_time(SIZE, STORE)
    _, fits = WALL.rows(state(checkpoint=Checkpoint(SIZE, STORE, write, interval)))
    assert fits.demand <= fits.supply * (1 + 1e-12)


def test_tables_and_numbers_agree() -> None:
    intervals = np.array([600.0, 3600.0, 10800.0])
    choice = Choice("checkpoint", {"interval": intervals})
    limits = SimpleNamespace(checkpoint=0.05)
    stall, fits = WALL.rows(
        state(checkpoint=Checkpoint(SIZE, STORE, 98.7, choice.table(intervals)), limits=limits)
    )
    assert stall.supply.values.tolist() == [0.05 * t for t in intervals]
    assert fits.supply.values.tolist() == [STORE * (t + 98.7) for t in intervals]


def test_why_not() -> None:
    assert WALL.rows(state()) == ()
    assert WALL.why_not(state()) == "no storage is known"
    assert WALL.why_not(state(phase="inference")) == "inference changes no weights"

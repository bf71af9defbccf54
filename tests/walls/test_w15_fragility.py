"""Wall 15 reads what failures and stragglers take of a run."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from formulations.algebra import Choice
from mlsysim.core import units
from mlsysim.physics import reliability
from mlsysim.walls.base import Limits
from mlsysim.walls.w15_fragility import Fragility

WALL = Fragility()
DAY = 86400.0


def state(phase="training", duration=54 * DAY, limits=None, **fields):
    return SimpleNamespace(phase=phase, duration=duration, limits=limits or Limits(), **fields)


def losses(interval=600.0, mtbf=3.09 * 3600.0, straggling=0.0):
    return reliability.losses(interval=interval, delta=3.0, recovery=400.0, mtbf=mtbf, straggling=straggling)


def test_identity() -> None:
    assert (WALL.number, WALL.name, WALL.domain, WALL.tag) == (15, "Fragility", "fleet", "w15")


def test_hours_lost_by_llama_3() -> None:
    # 419 failures in 54 days, each with half of a 10-minute interval and 400 s to recover: 81.5 h;
    # by the full equation a little less, as a failure cannot lose more than there is
    failing, straggling = WALL.rows(state(losses=losses()))
    lost = units.from_base(failing.demand, failing.unit)
    assert lost == pytest.approx(419 * (300 + 400) / 3600, rel=0.06)
    assert lost < 419 * (303 + 400) / 3600
    assert failing.supply is None
    assert straggling.demand == 0.0


@pytest.mark.parametrize(("allowed", "holds"), [(0.05, False), (0.1, True)])
def test_the_limit_is_a_share_of_the_run(allowed: float, holds: bool) -> None:
    limits = SimpleNamespace(failures=allowed, stragglers=None)
    failing, straggling = WALL.rows(state(losses=losses(), limits=limits))
    assert failing.supply == pytest.approx(allowed * 54 * DAY)
    assert bool(failing.demand <= failing.supply) is holds
    assert f"{100 * allowed:g}%" in failing.note
    assert straggling.supply is None
    assert not failing.hard  # against the plan's wishes, not against physics


def test_stragglers_have_a_limit_of_their_own() -> None:
    # two equal ranks: the slower of them takes 1 + 0.1 / sqrt(pi)
    share = reliability.straggling_share(0.1, 2)
    assert share == pytest.approx(1 - 1 / (1 + 0.1 / np.sqrt(np.pi)))
    limits = SimpleNamespace(stragglers=0.05)
    _, row = WALL.rows(state(losses=losses(straggling=share), limits=limits))
    assert row.demand > row.supply


def test_tables_and_numbers_agree() -> None:
    intervals = np.array([60.0, 600.0, 6000.0])
    choice = Choice("checkpoint", {"interval": intervals})
    table = losses(interval=intervals)
    as_tables = type(table)(**{name: choice.table(value) for name, value in vars(table).items()})
    row, _ = WALL.rows(state(losses=as_tables))
    assert row.demand.values.tolist() == [
        WALL.rows(state(losses=losses(interval=t)))[0].demand for t in intervals
    ]


def test_why_not() -> None:
    assert WALL.rows(state()) == ()
    assert WALL.why_not(state()) == "no failure rate is known"
    assert "replicas" in WALL.why_not(state(phase="inference"))

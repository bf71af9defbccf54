"""Fleets that are drawn: the same for the same seed, contested, and with a plan."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.fleet_runs import around, wrong
from benchmarks.fleets import SIZES, TYPES, fleet, instance
from mlsysim.core.errors import InputError
from mlsysim.core.schedule.types import Schedule
from mlsysim.core.schedule.usage import broken, usage


@pytest.mark.parametrize(("size", "seed"), [("tiny", 1), ("tiny", 2), ("small", 1), ("small", 3)])
@pytest.mark.parametrize("cap", [False, True])
def test_there_is_a_plan_that_keeps_every_limit(size, seed, cap):
    found = instance(*SIZES[size], seed, cap)
    assert broken(found.fleet, found.known) == []
    assert np.isfinite(found.fleet.caps.carbon) == cap
    assert len(found.fleet.jobs) == SIZES[size][0]
    assert found.fleet.places.cost.shape == SIZES[size][1:]


def test_a_seed_says_all():
    one, same, other = (fleet(20, 5, 24, seed) for seed in (7, 7, 8))
    assert (one.places.accelerators == same.places.accelerators).all()
    assert [j.options[0].power for j in one.jobs] == [j.options[0].power for j in same.jobs]
    assert [j.options[0].power for j in one.jobs] != [j.options[0].power for j in other.jobs]


def test_the_medium_fleet_is_as_it_should_be():
    found = instance(*SIZES["medium"], 1)
    jobs, places = found.fleet.jobs, found.fleet.places
    assert broken(found.fleet, found.known) == []
    count = {kind: sum(j.kind == kind for j in jobs) for kind in ("rigid", "pause", "move", "split")}
    assert count == {"rigid": 90, "pause": 70, "move": 10, "split": 30}
    assert sum(bool(j.group) for j in jobs) == 10
    assert 0.25 < np.mean([len(j.options) == 2 for j in jobs]) < 0.42
    assert 0.2 < np.mean([j.now is not None for j in jobs]) < 0.45
    assert len(TYPES) == places.accelerators.shape[0]


def test_under_a_load_there_is_not_room_for_everyone_where_power_is_cheap_and_clean():
    found = instance(*SIZES["medium"], 1, load=0.7)
    places = found.fleet.places
    held = usage(found.fleet, found.known).accelerators.sum()
    assert broken(found.fleet, found.known) == []
    assert 0.5 < held / places.accelerators.sum() < 0.8
    rate = places.cost.mean(axis=1) + 0.1 * places.carbon.mean(axis=1)
    best = np.argsort(rate)[: len(rate) // 4]
    assert places.accelerators[:, best].sum() < 0.8 * held


def test_more_regions_than_the_registry_has_are_refused():
    with pytest.raises(InputError, match="900 regions"):
        fleet(10, 900, 24, 1)


def answer(found, **changed):
    """What a solver that finds the known plan would say, but for what is changed."""
    least = usage(found.fleet, found.known).objective(found.fleet)
    given = {"status": "feasible", "schedule": found.known, "objective": least, "bound": 0.9 * least}
    return SimpleNamespace(**given | changed)


def test_answers_are_checked_against_the_schedule_and_the_plan_that_is_known():
    found = instance(*SIZES["tiny"], 1)
    least = answer(found).objective
    assert wrong(found, answer(found)) == []
    (line,) = wrong(found, answer(found, bound=1.1 * least))
    assert "is above a plan that is known" in line
    (line,) = wrong(found, answer(found, objective=0.99 * least))
    assert line.startswith("its objective")
    nothing = {"schedule": None, "objective": None, "bound": None}
    assert wrong(found, answer(found, status="infeasible", **nothing)) == [
        "called infeasible, and a plan is known"
    ]
    runs = found.known.runs
    twice = Schedule(((*runs[0], *runs[0]), *runs[1:]))
    assert any(line.startswith("work of job0") for line in wrong(found, answer(found, schedule=twice)))


def test_the_share_around_solving_is_of_the_solvers_own_time():
    assert around({"building": 1.0, "relaxation": 3.0, "exact": 7.0, "post-processing": 1.0}) == 0.2
    assert around({}) is None

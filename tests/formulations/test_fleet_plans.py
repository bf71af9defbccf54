"""Plans of fleets against the judges: all schedules of small ones, a direct program of medium ones."""

from __future__ import annotations

import numpy as np
import pytest
from direct_milp import judge
from hypothesis import given
from random_fleets import MOVE, UNEVEN, best, fleets
from random_problems import examples

from benchmarks.fleets import instance
from formulations.engines.base import Options
from formulations.schedule import plan
from mlsysim.core.schedule.usage import broken, usage

EXACT = 1e-6


def check_small(fleet):
    listed = best(fleet)
    answer = plan(fleet, Options(gap=EXACT, time_limit=60.0))
    if listed is None:
        assert answer.status == "infeasible"
        assert answer.schedule is None
        return
    least = listed[0]
    slack = 2 * EXACT * max(1.0, abs(least))
    assert answer.status == "optimal"
    assert broken(fleet, answer.schedule) == []
    assert np.isclose(usage(fleet, answer.schedule).objective(fleet), answer.objective, rtol=1e-6, atol=1e-6)
    assert abs(answer.objective - least) <= slack
    assert least - slack <= answer.bound <= least + slack


@given(fleets())
@examples(150)
def test_small_fleets_are_planned_as_by_listing_every_schedule(fleet):
    check_small(fleet)


@given(fleets(most_jobs=2, most_slots=6, kinds=MOVE, prices=UNEVEN))
@examples(50)
def test_and_so_are_jobs_that_move(fleet):
    check_small(fleet)


@pytest.mark.parametrize("drawn", [(20, 5, 24, 2), (20, 5, 24, 5), (30, 6, 48, 3)])
def test_medium_fleets_are_planned_as_by_a_direct_program(drawn):
    found = instance(*drawn)
    fleet, gap = found.fleet, 1e-3
    judged = judge(fleet, gap=gap)
    answer = plan(fleet, Options(gap=gap, time_limit=60.0))
    slack = 1e-6 * abs(judged.objective)
    assert answer.status == "optimal"
    assert broken(fleet, answer.schedule) == []
    assert answer.bound <= judged.objective + slack
    assert judged.bound - slack <= answer.objective <= judged.objective * (1 + gap) + slack
    assert answer.gap <= gap
    assert answer.objective <= usage(fleet, found.known).objective(fleet)

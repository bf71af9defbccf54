"""Plans of fleets against the judges: all schedules of small ones, a direct program of medium ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from direct_milp import judge
from hypothesis import given
from random_fleets import MOVE, UNEVEN, best, fleets
from random_problems import examples

from benchmarks.fleet_runs import wrong
from benchmarks.fleets import SIZES, instance
from formulations.engines.base import Options
from formulations.schedule import plan
from mlsysim.core.schedule.types import Caps, Weights
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


MEDIUM = [((20, 5, 24, 5), 0.7), ((20, 5, 24, 2), None), ((40, 8, 72, 1), None)]


@pytest.mark.parametrize(("drawn", "load"), MEDIUM)
def test_medium_fleets_are_planned_as_by_a_direct_program(drawn, load):
    found = instance(*drawn, load=load)
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


@pytest.mark.parametrize("limit", [0.01, 0.5])
def test_a_plan_that_ran_out_of_time_is_a_plan_and_its_bound_a_bound(limit):
    found = instance(*SIZES["small"], 1)
    assert wrong(found, plan(found.fleet, Options(gap=0.0, time_limit=limit))) == []


def test_a_fleet_with_less_carbon_than_any_plan_emits_is_infeasible():
    found = instance(*SIZES["tiny"], 2).fleet
    clean = replace(found, weights=Weights(0.0, 1.0), caps=Caps())
    least = judge(clean, gap=1e-4).bound
    answer = plan(replace(found, caps=Caps(carbon=0.98 * least)), Options(time_limit=60.0))
    assert answer.status == "infeasible"
    assert answer.schedule is None

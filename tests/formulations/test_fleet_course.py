"""How a search begins and goes on, and a bound that rises in another process."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_fleets import all_but_the_last, fleets, schedules
from random_problems import examples

from benchmarks.fleets import SIZES, instance
from formulations.engines.base import Options
from formulations.schedule import course, plan, planning
from formulations.schedule.board import Board
from formulations.schedule.course import Course
from formulations.schedule.first import first_schedule
from formulations.schedule.pricing import Pricer
from formulations.schedule.relaxation import Relaxation
from formulations.schedule.rising import Rising
from mlsysim.core.schedule.types import Schedule
from mlsysim.core.schedule.usage import broken

STAYS = st.sampled_from(["rigid", "pause"])


def relaxed(fleet, options=None):
    relaxation = Relaxation(Pricer(fleet), options or Options())
    relaxation.ascend(4, 1)
    return relaxation


@given(fleets(kinds=STAYS))
@examples(60)
def test_regret_is_what_the_second_region_costs_more(fleet):
    board, last = all_but_the_last(fleet)
    fleet, jobs = board.fleet, board.fleet.jobs
    least = np.full(len(fleet.places.names), np.inf)
    for runs in schedules(jobs[last], fleet.places.slots):
        c = board.pricer.candidate(last, runs)
        if board.fits(c):
            least[runs[0].region] = min(least[runs[0].region], c.takes.objective)
    ordered = np.sort(least)
    several = ordered.size > 1 and np.isfinite(ordered[1])
    if board.pricer.spans[last].regions.size:
        regret = board.finder.regret(last)
        assert np.isclose(regret, ordered[1] - ordered[0]) if several else regret == np.inf


def test_who_can_run_in_one_region_takes_it_before_those_that_can_go_elsewhere():
    """Two jobs want the cheap region, which has room for one; the larger has a second place, as cheap."""
    found = instance(*SIZES["tiny"], 1).fleet
    job = next(j for j in found.jobs if j.kind == "rigid")
    slots = found.places.slots
    anywhere, nowhere = np.zeros(len(job.ready), dtype=np.int64), np.full(len(job.ready), slots)
    option = replace(job.options[0], slots=slots, count=100.0, hardware=0)
    large = replace(
        job, name="large", options=(option,), ready=anywhere, deadline=slots, fetch=np.zeros(anywhere.size)
    )
    here = nowhere.copy()
    here[0] = 0
    small = replace(
        large, name="small", options=(replace(option, count=60.0, power=option.power / 2),), ready=here
    )
    there = np.full_like(found.places.accelerators, 110.0)
    cost = np.ones_like(found.places.cost)
    cost[0] *= 0.5
    places = replace(found.places, accelerators=there, cost=cost, power=np.full_like(cost, np.inf))
    board = Board(Pricer(replace(found, places=places, jobs=(large, small))))
    assert first_schedule(board)
    assert board.where.tolist()[1] == 0
    assert board.where.tolist()[0] != 0


@given(fleets(), st.integers(0, 3))
@examples(25)
def test_every_leg_keeps_what_it_finds_within_the_limits(fleet, seed):
    relaxation = relaxed(fleet)
    if relaxation.bound == np.inf:
        return
    leads = Course(relaxation, seed)
    best, value = None, np.inf
    with pytest.MonkeyPatch.context() as patch:
        for name, number in {"LEAST": 30, "STEPS": 1, "AT_ONCE": 20, "BEGINNINGS": 2}.items():
            patch.setattr(course, name, number)
        leads._length = 30
        while leads.legs < 4:
            leads.turn(best, lambda: False)
            search = leads.search
            if search.found is not None and search.objective < value:
                best = Schedule(tuple(c.runs for c in search.found if c is not None))
                value = search.objective
                assert broken(fleet, best) == []
                assert value >= relaxation.bound - 1e-6 * max(1.0, abs(relaxation.bound))
            if leads.legs > 2 and best is not None and not leads.between:
                assert search.objective <= value + 1e-9 * max(1.0, abs(value))  # it went on from the best


def waited(rising, seconds=60.0):
    end = time.monotonic() + seconds
    while rising._thread.is_alive() and time.monotonic() < end:
        time.sleep(0.05)
    assert not rising._thread.is_alive()


def test_another_process_raises_the_bound_as_high_as_it_gets():
    fleet = instance(*SIZES["tiny"], 1).fleet
    relaxation, here = relaxed(fleet), relaxed(fleet)
    before = relaxation.bound
    rising = Rising(relaxation)
    waited(rising)
    rising.end()
    here.run(1e-7)
    assert not rising.died
    assert relaxation.bound > before
    assert np.isclose(relaxation.bound, here.bound, rtol=1e-5)


def test_what_another_process_says_is_computed_again():
    fleet = instance(*SIZES["tiny"], 1).fleet
    relaxation = relaxed(fleet)
    rising = Rising(relaxation)
    waited(rising)
    rising._heard[:] = [("progress", relaxation.at, 2.0 * relaxation.bound)]
    before = relaxation.bound
    rising.hear(np.inf)
    assert relaxation.bound == before
    rising.end()


def test_a_process_that_is_killed_leaves_the_planning_to_go_on(monkeypatch):
    begun = []

    class Killed(Rising):
        def __init__(self, relaxation):
            super().__init__(relaxation)
            begun.append(self)
            self._child._process.kill()

    monkeypatch.setattr(planning, "Rising", Killed)
    monkeypatch.setattr(Killed, "possible", staticmethod(lambda options: True))
    monkeypatch.setattr(planning, "ALONE", 1)
    found = instance(*SIZES["small"], 1).fleet
    answer = plan(found, Options(gap=0.0, time_limit=3.0, threads=2))
    assert begun[0].died
    assert answer.schedule is not None
    assert broken(found, answer.schedule) == []


def test_an_error_of_the_other_process_is_an_error_here():
    fleet = instance(*SIZES["tiny"], 1).fleet
    rising = Rising(relaxed(fleet))
    waited(rising)
    rising._heard.append(("failed", ValueError("no such price")))
    with pytest.raises(ValueError, match="no such price"):
        rising.hear(np.inf)
    rising.end()

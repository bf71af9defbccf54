"""The search for schedules: what is found has room and is the cheapest, and nothing is lost on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from random_fleets import all_but_the_last, fleets, schedules
from random_problems import examples

from formulations.engines.base import Options
from formulations.schedule.board import Board
from formulations.schedule.fields import Multipliers
from formulations.schedule.first import first_schedule
from formulations.schedule.improve import Search
from formulations.schedule.pressure import Pressure
from formulations.schedule.pricing import Pricer
from formulations.schedule.relaxation import Relaxation
from mlsysim.core.schedule.types import Caps, Schedule
from mlsysim.core.schedule.usage import broken, usage

WHOLE = st.sampled_from(["rigid", "pause", "move"])
FEW = {"rtol": 1e-9, "atol": 1e-9}


@given(fleets(kinds=WHOLE))
@examples(60)
def test_what_is_found_is_the_cheapest_that_has_room(fleet):
    board, last = all_but_the_last(fleet)
    fleet, jobs = board.fleet, board.fleet.jobs
    found = board.find(last)
    listed = [board.pricer.candidate(last, runs) for runs in schedules(jobs[last], fleet.places.slots)]
    costs = [c.takes.objective for c in listed if board.fits(c)]
    assert (found is None) == (not costs)
    if found is not None:
        assert board.fits(found)
        assert np.isclose(found.takes.objective, min(costs), **FEW)
        assert np.isclose(board.tariff.of(found), found.takes.objective, **FEW)  # nothing else has a price


@given(fleets(), st.integers(0, 5))
@examples(40)
def test_a_search_keeps_its_books(fleet, seed):
    pricer = Pricer(fleet)
    relaxation = Relaxation(pricer, Options())
    relaxation.ascend(4, 1)
    if relaxation.bound == np.inf:
        return
    board = Board(pricer, relaxation.at)
    first_schedule(board)
    search = Search(board, relaxation.at, relaxation.cheapest, seed)
    search.guide(0.7)
    search.run(60, lambda: False, 0.01)
    held, emitted = np.zeros(board.room.size), np.zeros(len(fleet.places.names))
    for c in board.placed:
        if c is not None:
            np.add.at(held, c.takes.cells, c.takes.held)
            np.add.at(emitted, c.takes.regions, c.takes.emitted)
    finite = np.isfinite(pricer.cells.supply)
    assert np.allclose((pricer.cells.supply - held)[finite], board.free(np.flatnonzero(finite)), atol=1e-9)
    assert board.missing == {j for j, c in enumerate(board.placed) if c is None}
    if np.isfinite(fleet.places.carbon_cap).any():
        assert np.allclose(emitted, board.emitted, **FEW)
    if search.found is not None:
        found = Schedule(tuple(c.runs for c in search.found if c is not None))
        assert broken(fleet, found) == []
        assert np.isclose(usage(fleet, found).objective(fleet), search.objective, **FEW)
        assert search.objective >= relaxation.bound - 1e-6 * max(1.0, abs(relaxation.bound))


@given(fleets(most_jobs=2), st.floats(0.1, 10.0))
@examples(30)
def test_a_cap_with_a_price_pays_for_what_is_left_what_it_charges_beyond(fleet, price):
    places = replace(fleet.places, carbon_cap=np.full(len(fleet.places.names), np.inf))
    fleet = replace(fleet, places=places, caps=Caps(carbon=10.0))
    board, pressure = Board(Pricer(fleet)), Pressure(fleet)
    pressure.judge(replace(Multipliers.none(fleet), carbon=price), 1.0)
    board.totals[1] = 12.0
    charged = pressure.charge(board)
    board.totals[1] = 8.0
    assert np.isclose(charged, 2.0 * price, **FEW)
    assert np.isclose(pressure.charge(board), -charged, **FEW)
    board.totals[1] = 12.0
    before = pressure.rate.copy()
    pressure.adapt(board)
    assert (pressure.rate > before).all()

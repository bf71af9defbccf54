"""The judges of fleets, against each other and against what adds schedules up."""

from __future__ import annotations

import numpy as np
from direct_milp import judge
from hypothesis import given
from random_fleets import MOVE, UNEVEN, best, fleets
from random_problems import examples

from mlsysim.core.schedule.usage import broken, usage


def agree(fleet):
    listed, direct = best(fleet), judge(fleet)
    assert (listed is None) == direct.infeasible
    if listed is None:
        return
    assert np.isclose(listed[0], direct.objective, rtol=1e-6, atol=1e-6)
    for schedule in (listed[1], direct.schedule):
        assert broken(fleet, schedule) == []
        assert np.isclose(usage(fleet, schedule).objective(fleet), listed[0], rtol=1e-6, atol=1e-6)


@given(fleets())
@examples(100)
def test_listing_and_a_direct_program_agree(fleet):
    agree(fleet)


@given(fleets(most_jobs=2, most_slots=6, kinds=MOVE, prices=UNEVEN))
@examples(60)
def test_they_agree_on_jobs_that_move(fleet):
    agree(fleet)

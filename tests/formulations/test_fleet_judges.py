"""The judges of fleets, against each other and against what adds schedules up."""

from __future__ import annotations

import numpy as np
from direct_milp import judge
from hypothesis import given
from random_fleets import best, fleets
from random_problems import examples

from mlsysim.core.schedule.usage import broken, usage


@given(fleets())
@examples(150)
def test_listing_and_a_direct_program_agree(fleet):
    listed, direct = best(fleet), judge(fleet)
    assert (listed is None) == direct.infeasible
    if listed is None:
        return
    assert np.isclose(listed[0], direct.objective, rtol=1e-6, atol=1e-6)
    for schedule in (listed[1], direct.schedule):
        assert broken(fleet, schedule) == []
        assert np.isclose(usage(fleet, schedule).objective(fleet), listed[0], rtol=1e-6, atol=1e-6)

"""Conflicts of fleets: no member too many, and each way out mends them; the worth of what binds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import assume, given
from random_fleets import best, fleets
from random_problems import examples

from formulations.engines.base import Options
from formulations.schedule import clash, plan, prices
from formulations.schedule.clash import _GROUPS
from mlsysim.core.schedule.types import Caps, Fleet


def exact() -> Options:
    """Return options whose clock begins now."""
    return Options(gap=1e-9, time_limit=60.0)


def about(fleet, found):
    """Return the jobs that a conflict is about, without the limits that are not in it."""
    alone = fleet if found.job is None else replace(fleet, jobs=(fleet.jobs[found.job],))
    for tag, (is_there, drop) in _GROUPS.items():
        if tag not in {m.tag for m in found.members} and is_there(alone):
            alone = drop(alone)
    return alone


def mended(fleet: Fleet, tag: str, least: float) -> Fleet | None:
    """Return the fleet with a limit changed as a conflict says."""
    wide = least * (1 + 1e-6) + 1e-9
    if tag in ("cost", "carbon", "water"):
        return replace(fleet, caps=replace(fleet.caps, **{tag: wide}))
    if tag in ("accelerators", "power"):
        return replace(fleet, places=replace(fleet.places, **{tag: getattr(fleet.places, tag) * least}))
    if tag == "windows":
        slots = fleet.places.slots
        jobs = tuple(replace(j, deadline=min(slots, j.deadline + int(least))) for j in fleet.jobs)
        return replace(fleet, jobs=jobs)
    return None


@given(fleets())
@examples(80)
def test_a_conflict_has_no_member_too_many_and_its_ways_out_mend_it(fleet):
    assume(best(fleet) is None)
    found = clash(fleet, exact())
    assert found is not None
    assert found.proven
    core = about(fleet, found)
    assert best(core) is None
    for member in found.members:
        assert best(_GROUPS[member.tag][1](core)) is not None
        changed = None if member.least is None else mended(core, member.tag, member.least)
        if changed is not None:
            assert best(changed) is not None, member


@given(fleets())
@examples(20)
def test_a_fleet_with_a_schedule_has_no_conflict(fleet):
    assume(best(fleet) is not None)
    assert clash(fleet, exact()) is None


@given(fleets())
@examples(60)
def test_more_of_what_binds_is_worth_no_more_than_its_price_and_less_costs_no_less(fleet):
    planned = plan(replace(fleet, caps=Caps()), exact())
    assume(planned.schedule is not None)
    for price in prices(replace(fleet, caps=Caps()), planned.schedule, exact()):
        slack = 1e-3 * max(1.0, abs(price.worth))  # a small step divides the solver's tolerance
        assert price.worth > 0.0
        assert price.more is not None
        assert price.more <= price.worth + slack
        assert price.less is None or price.less >= price.worth - slack
        assert not price.slots or np.all(np.diff(price.slots) > 0)

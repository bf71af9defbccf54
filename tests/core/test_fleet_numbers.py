"""Plans with several jobs in numbers: electricity, machines, windows, data, demand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fleets import FLAT, mapping, resolved
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsysim.core.api import evaluate_plan
from mlsysim.core.fleet_plan import load
from mlsysim.core.metrics import run_time
from mlsysim.core.schedule.clock import Clock
from mlsysim.core.schedule.first_fit import cheapest_first, first_fit
from mlsysim.core.schedule.resolve import resolve_fleet
from mlsysim.core.schedule.types import Run, Schedule
from mlsysim.core.schedule.usage import broken, usage
from mlsysim.infra.profiles import synthetic
from mlsysim.physics import queueing

WORKLOAD = {"name": "Llama3_8B", "batch_size": 256, "training_tokens": 2e9}


@pytest.mark.parametrize("ownership", ["own", "rent"])
def test_a_job_at_flat_prices_costs_what_eval_says(ownership):
    """Ten hours on 64 accelerators, hour by hour, against the bill of a plan with one job."""
    region = {"name": "Germany", **FLAT}
    job = {"hardware": [{"name": "H100", "accelerators": 64, "hours": 10.0}], "accelerator_hours": None}
    # the shape of the hours, so the whole day: 24 hours of a flat profile
    s = resolved(job, regions=[region], ops={"ownership": ownership})
    flat = Schedule(((Run(0, 0, np.arange(10), np.ones(10)),),))
    u = usage(s.fleet, flat)
    plan = {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "batch_size": 256},
        "hardware": {"name": "H100", "accelerators": 64},
        "ops": {"region": "Germany", "duration_days": 10 / 24, "ownership": ownership},
    }
    e = evaluate_plan(plan)
    profile = synthetic("Germany", 10, s.clock.start)
    site = e.scenario.site
    energy = e.state.bill.energy
    assert u.energy.sum() == pytest.approx(energy)
    assert u.water.sum() == pytest.approx(e.state.bill.water)
    dearer = np.array([0.10 / 3.6e6 / site.price, 200e-3 / 3.6e6 / site.carbon_intensity])
    cost, carbon = dearer * [profile.price.mean(), profile.carbon_intensity.mean()] * energy
    bill = e.state.bill
    owned = bill.rent if ownership == "rent" else bill.capital_share + bill.upkeep + cost
    assert u.cost.sum() == pytest.approx(owned, rel=1e-9)
    assert u.carbon.sum() == pytest.approx(carbon + bill.embodied_carbon, rel=1e-9)


def test_machines_that_are_paid_for_cost_their_electricity():
    own, paid = (resolved(ops={"ownership": kind}) for kind in ("own", "paid"))
    (o,), (p,) = (s.fleet.jobs[0].options for s in (own, paid))
    assert min(o.cost[0], o.carbon) > 0
    assert not p.cost.any()
    assert p.carbon == 0
    assert (own.fleet.places.cost == paid.fleet.places.cost).all()
    assert o.power == p.power > 0


def test_the_tables_are_the_profiles_of_the_regions():
    s = resolved(regions=[{"name": "Germany"}, {"name": "aws_us_east_1"}])
    p = s.fleet.places
    for r, name in enumerate(("Germany", "aws_us_east_1")):
        profile = synthetic(name, 24, s.clock.start)
        assert p.cost[r] == pytest.approx(profile.price * p.pue[r] * 3600)
        assert p.carbon[r] == pytest.approx(profile.carbon_intensity * p.pue[r] * 3600)
    assert resolved(ops={"pue": 1.5}).fleet.places.pue.tolist() == [1.5, 1.5]


def test_a_day_is_the_sum_of_its_hours():
    hourly, daily = (
        resolved(ops={"days": 3, "hours": None, "resolution": r}).fleet.places for r in ("hour", "day")
    )
    for name in ("cost", "carbon", "water"):
        assert getattr(daily, name) == pytest.approx(getattr(hourly, name).reshape(2, 3, 24).sum(axis=2))
    assert daily.step == 24 * hourly.step


def test_overrides_move_the_mean_and_keep_the_shape():
    plain, dear = (resolved(regions=[{"name": "Germany", **more}]).fleet.places for more in ({}, FLAT))
    ratio = dear.cost[0] / plain.cost[0]
    assert ratio == pytest.approx(ratio[0])
    assert not math.isclose(ratio[0], 1.0)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 5000), st.integers(1, 512), st.floats(0.1, 4), st.sampled_from(["hour", "day"]))
def test_an_option_does_the_work_in_the_slots_that_it_takes(hours, count, speed, resolution):
    job = {
        "accelerator_hours": hours,
        "hardware": [{"name": "H100", "accelerators": count, "speed": speed, "power": "700 W"}],
    }
    s = resolved(job, regions=[{"name": "Quebec"}], ops={"hours": 24, "resolution": resolution})
    (o,) = s.fleet.jobs[0].options
    took = o.work * s.clock.step / 3600 * count * speed
    assert took == pytest.approx(hours)
    assert 0 < o.busy <= 1
    assert (o.slots - 1) * s.clock.step <= took / count / speed * 3600 * (1 + 1e-9)
    assert o.power == pytest.approx(700 * count)


def test_a_workload_takes_what_the_physics_says():
    """The time of each number of accelerators is that of the whole run in eval, lost time included."""
    counts = [16, 64]
    job = {
        "accelerator_hours": None,
        "workload": WORKLOAD,
        "hardware": [{"name": "H100", "accelerators": counts}],
    }
    options = resolved(job, ops={"hours": 72}).fleet.jobs[0].options
    for count, o in zip(counts, options, strict=True):
        e = evaluate_plan(
            {"version": "1.0", "workload": WORKLOAD, "hardware": {"name": "H100", "accelerators": count}}
        )
        assert o.work * 3600 == pytest.approx(float(run_time(e.state)))
        assert o.power == pytest.approx(count * e.scenario.fleet.power)


def test_a_fixed_layout_is_kept():
    job = {
        "accelerator_hours": None,
        "workload": WORKLOAD,
        "hardware": [{"name": "H100", "accelerators": 64}],
    }
    free = resolved(job, ops={"hours": 72}).fleet.jobs[0].options[0]
    fixed = resolved(job | {"parallelism": {"tp": 8, "recompute": "full"}}, ops={"hours": 72})
    assert fixed.fleet.jobs[0].options[0].work > free.work


def test_accelerators_that_do_not_hold_a_model_are_left_out():
    workload = {"name": "Llama3_70B", "batch_size": 64, "training_tokens": 1e8}
    job = {
        "accelerator_hours": None,
        "workload": workload,
        "hardware": [{"name": "H100", "accelerators": [8, 64]}],
    }
    s = resolved(job)
    assert [o.count for o in s.fleet.jobs[0].options] == [64]
    assert s.notes == ("a: 8 x H100: Memory cannot hold, left out",)
    job["hardware"] = [{"name": "H100", "accelerators": 8}]
    (impossible,) = resolved(job).impossible
    assert (impossible.job, impossible.why) == ("a", "nothing holds it: 8 x H100: Memory")


def test_data_is_fetched_before_a_job_starts_and_paid_for():
    job = {"data": {"size": "36 TB", "at": "Germany"}, "earliest": 2.0}
    s = resolved(job, ops={"bandwidth": "10 Gbit/s", "egress": "0.02 USD/GB", "hours": 72})
    (j,) = s.fleet.jobs
    assert j.ready.tolist() == [2 + 8, 2]
    assert j.fetch == pytest.approx([720.0, 0.0])
    dear = mapping(job, ops={"bandwidth": "10 Gbit/s", "hours": 72})
    listed = resolve_fleet(*load(dear))
    assert listed.fleet.jobs[0].fetch[0] > 0
    assert any(a.name == "egress from Germany" for a in listed.assumptions)
    moving = resolved(job | {"may": "move"}, ops={"bandwidth": "10 Gbit/s", "egress": 0.02, "hours": 72})
    assert moving.fleet.jobs[0].moving_slots == 8
    assert moving.fleet.jobs[0].moving == pytest.approx(np.array([[0.0, 720.0], [720.0, 0.0]]))


def test_data_may_lie_outside_the_plan():
    s = resolved({"data": {"size": "1 TB", "at": "Norway"}}, ops={"egress": 0.05, "bandwidth": "1 GB/s"})
    assert s.fleet.jobs[0].fetch == pytest.approx([50.0, 50.0])
    assert s.fleet.jobs[0].ready.tolist() == [1, 1]


def test_a_shared_region_makes_jobs_wait():
    tenancy = {"utilization": 0.8, "places": 8, "job_time": "12 h"}
    s = resolved(regions=[{"name": "Quebec", "tenancy": tenancy}, {"name": "Germany"}])
    q = queueing.Station(0.8 * 8 / (12 * 3600), 8, 12 * 3600.0, 1.0, 1.0)
    assert s.fleet.jobs[0].ready.tolist() == [math.ceil(float(queueing.mean_wait(q)) / 3600), 0]
    full = resolved(
        regions=[{"name": "Quebec", "tenancy": tenancy | {"utilization": 1.0}}, {"name": "Germany"}]
    )
    assert full.fleet.jobs[0].ready.tolist() == [24, 0]
    assert full.notes == ("Quebec is full: no place ever comes free",)


def test_residency():
    s = resolved({"countries": ["DE"]}, {"name": "b", "regions": ["Quebec"]})
    assert [j.ready.tolist() for j in s.fleet.jobs] == [[24, 0], [0, 24]]
    (nowhere,) = resolved({"countries": ["FR"]}).impossible
    assert nowhere.job == "a"


@pytest.mark.parametrize(
    ("job", "why", "demand", "supply"),
    [
        ({"deadline": 5.0}, "its window is shorter than it takes", 7, 5),
        ({"deadline": 5.0, "may": "split"}, "its window is shorter than it takes", 6.25, 5),
        ({"hardware": [{"name": "H100", "accelerators": 512}]}, "more H100 than any region has", 512, 128),
        ({"accelerator_hours": 2000.0, "may": "pause"}, "its window is shorter than it takes", 125, 24),
    ],
)
def test_a_job_that_cannot_run_alone_is_named(job, why, demand, supply):
    """Short windows are no bad input: the job is physically impossible."""
    s = resolved(job, regions=[{"name": "Quebec", "capacity": {"H100": 128}}])
    (found,) = s.impossible
    assert (found.why, found.demand, found.supply) == (why, demand, supply)


def test_room_in_no_window_is_named():
    closed = [{"from": 6.0, "to": 8.0}, {"from": 14.0, "to": 20.0}]
    region = {"name": "Quebec", "capacity": {"H100": 16}, "closed": closed}
    assert not resolved({"may": "pause"}, regions=[region]).impossible
    (found,) = resolved({}, regions=[region]).impossible
    assert "no region has room" in found.why


def demand(population, **more):
    job = {"name": "s", "hardware": [{"name": "H100", "requests": 2.0}], **more}
    job["serving"] = {"populations": [{"name": "p", **population}]}
    return mapping(regions=[{"name": "aws_eu_central_1"}, {"name": "aws_ap_southeast_2"}]) | {"jobs": [job]}


def test_a_demand_is_a_job_for_each_hour():
    by_hour = [float(h) for h in range(24)]
    s = resolve_fleet(*load(demand({"requests": by_hour, "timezone": "Asia/Tokyo"})))
    assert len(s.fleet.jobs) == 23  # nobody asks at midnight
    assert {j.group for j in s.fleet.jobs} == {"s"}
    counts = {j.deadline - 1: j.options[0].count for j in s.fleet.jobs}
    for slot, count in counts.items():
        assert count == pytest.approx((slot + 9) % 24 / 2.0)  # midnight UTC is nine in Tokyo
    assert all(j.kind == "split" and j.ready.tolist() == [j.deadline - 1] * 2 for j in s.fleet.jobs)


def test_a_clock_at_half_hours_takes_the_hour_of_the_middle():
    clock = Clock(resolved().clock.start, 3600.0, 24, None)
    from zoneinfo import ZoneInfo

    assert clock.local_hours(ZoneInfo("Asia/Kolkata"))[:3].tolist() == [6, 7, 8]


def test_latency_keeps_users_near():
    """Frankfurt answers Berlin within 40 ms, Sydney does not within 200; nothing is near in 1 ms."""
    for place in ({"at": "Berlin"}, {"latitude": 52.5, "longitude": 13.4}):
        for most, near in (("40 ms", [True, False]), ("600 ms", [True, True]), ("0.001 ms", [False, False])):
            s = resolve_fleet(*load(demand({"accelerators": 3.0, "latency": most, **place})))
            assert [r < 24 for r in s.fleet.jobs[0].ready] == near
    assert s.impossible[0].job.startswith("s, 2025-03-03")


def test_demand_from_a_file(tmp_path):
    path = tmp_path / "demand.csv"
    rows = [f"2025-03-03T{h:02}:{m:02}:00,{h + m / 60}" for h in range(24) for m in (0, 30)]
    path.write_text("\n".join(["timestamp,demand", *rows]))
    s = resolve_fleet(*load(demand({"accelerators": str(path), "timezone": "UTC"})))
    assert [j.options[0].count for j in s.fleet.jobs] == pytest.approx([h + 0.25 for h in range(24)])


@st.composite
def small_fleets(draw):
    """Plans of up to six jobs of all kinds in up to three regions, some with little room."""
    names = ["Quebec", "Germany", "aws_us_west_2"][: draw(st.integers(1, 3))]
    regions = [
        {"name": n, "capacity": {"H100": float(draw(st.sampled_from([0, 16, 32, 64])))}}
        | draw(st.sampled_from([{}, {"power": "0.03 MW"}, {"closed": [{"from": 3.0, "to": 6.0}]}]))
        for n in names
    ]
    jobs = [
        {
            "name": f"j{n}",
            "accelerator_hours": draw(st.floats(1, 300)),
            "hardware": [{"name": "H100", "accelerators": draw(st.sampled_from([8, 16, [16, 32]]))}],
            "may": draw(st.sampled_from([None, "pause", "move", "split"])),
            "earliest": float(draw(st.integers(0, 10))),
            "deadline": float(draw(st.integers(11, 24))),
            "now": draw(st.sampled_from([None, *names])),
        }
        for n in range(draw(st.integers(1, 6)))
    ]
    return mapping(*jobs, regions=regions)


@settings(max_examples=60, deadline=None)
@given(small_fleets())
def test_first_fit_keeps_everything_that_is_there(plan):
    s = resolve_fleet(*load(plan))
    schedule = first_fit(s.fleet, cheapest_first(s.fleet.places))
    placed = [j.name for j, runs in zip(s.fleet.jobs, schedule.runs, strict=True) if runs]
    assert not [b for b in broken(s.fleet, schedule) if b.tag != "work" or b.where in placed]
    # what is proven to be impossible is not placed
    assert not {x.job for x in s.impossible} & set(placed)
    # and a job that is alone is placed unless that is proven
    if len(s.fleet.jobs) == 1 and s.fleet.jobs[0].kind in ("rigid", "pause"):
        assert bool(placed) == (not s.impossible)
    u = usage(s.fleet, schedule)
    p = s.fleet.places
    assert u.energy.sum() * 1.0 == pytest.approx(
        sum(
            job.options[run.option].power
            * (run.share.sum() * (1 if job.kind == "split" else job.options[run.option].busy))
            * p.step
            * p.pue[run.region]
            for job, runs in zip(s.fleet.jobs, schedule.runs, strict=True)
            for run in runs
        )
    )

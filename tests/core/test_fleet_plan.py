"""A plan with several jobs: what is read, what is refused, and where."""

from __future__ import annotations

from typing import Any

import pytest
from fleets import JOB, mapping, resolved
from jsonschema import Draft202012Validator

from mlsysim.core.errors import InputError
from mlsysim.core.fleet_plan import FleetPlan, load
from mlsysim.core.plan import Plan
from mlsysim.core.plan import load as load_one
from mlsysim.core.schedule.resolve import resolve_fleet
from mlsysim.core.schemas import fleet_plan_schema

TEXT = """\
version: "1.0"
ops: {start: 2025-03-03T00:00:00+01:00, timezone: Europe/Berlin, hours: 24}
regions:
  - name: Quebec
    capacity: {H100: 64}
  - name: Germany
jobs:
  - name: one
    accelerator_hours: 100
    hardware:
      - {name: H100, accelerators: [8, 16]}
  - name: two
    workload: {name: Llama3_8B, batch_size: 64, training_tokens: 1e9}
    hardware:
      - name: H100
        accelerators: 64
"""


def refused(plan: dict[str, Any]) -> InputError:
    """Return the error that reading and resolving a plan raises."""
    with pytest.raises(InputError) as found:
        resolve_fleet(*load(plan))
    return found.value


def refused_text(tmp_path, old: str, new: str) -> str:
    """Return the error of the plan above with some text replaced."""
    assert old in TEXT
    path = tmp_path / "fleet.yaml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(InputError) as found:
        resolve_fleet(*load(path))
    return str(found.value).replace(str(tmp_path), "")


def test_a_plan_comes_from_a_path_a_mapping_or_a_plan(tmp_path):
    path = tmp_path / "fleet.yaml"
    path.write_text(TEXT)
    plan, document = load(path)
    assert plan.ops.start == "2025-03-03T00:00:00+01:00"  # YAML reads a time, people wrote text
    assert document.where(("jobs", 1, "hardware", 0, "name")).endswith(":15: jobs.1.hardware.0.name")
    assert load(plan)[0] is plan
    assert load(plan.to_dict())[0] == plan == FleetPlan.model_validate(document.data)


def test_the_schema_takes_what_the_parser_takes():
    validator = Draft202012Validator(fleet_plan_schema())
    validator.validate(mapping())
    assert not validator.is_valid(mapping(jobs=[]))
    assert not validator.is_valid(mapping({"may": "fly"}))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: Quebec", "name: Qebec", "/fleet.yaml:4: regions.0.name: no region called 'Qebec'"),
        ("name: Germany", "name: Quebec", ":6: regions.1.name: Quebec stands twice"),
        ("{H100: 64}", "{H1000: 64}", ":5: regions.0.capacity.H1000: no hardware called 'H1000'"),
        ("{H100: 64}", "{H100: -1}", ":5: regions.0.capacity.H100: -1 is not allowed here"),
        ("{H100: 64}", "{H100: 64, h100: 1}", ":5: regions.0.capacity.h100: H100 stands twice"),
        ("name: two", "name: one", ":12: jobs.1.name: 'one' stands twice"),
        ("- name: H100", "- name: H200X", ":15: jobs.1.hardware.0.name: no hardware called 'H200X'"),
        ("Llama3_8B", "Lama3_8B", ":13: jobs.1.workload.name: no model called 'Lama3_8B'"),
        ("[8, 16]", "[8, 8]", ":11: jobs.0.hardware.0.accelerators: a count stands twice"),
        ("hours: 24", "hour: 24", ":2: ops.hour: unknown key 'hour'"),
        ("hours: 24", "hours: 24, days: 1", ":2: ops: give the length of the plan"),
        ("hours: 24", "hours: 30, resolution: day", "with resolution day, hours should be a multiple of 24"),
        ("Europe/Berlin", "Europe/Atlantis", ":2: ops.timezone: no time zone called 'Europe/Atlantis'"),
        ("accelerator_hours: 100", "acelerator_hours: 100", ":9: jobs.0.acelerator_hours: unknown key"),
        ("accelerator_hours: 100", "power: 5 W", ":8: jobs.0: 'one' says its work in 0 ways"),
        ("training_tokens: 1e9", "phase: inference", "the workload of a job is training"),
        ("batch_size: 64", "batch_size: 64, precision: fp3", ":13: jobs.1.workload.precision"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, old, new, told):
    assert told in refused_text(tmp_path, old, new)


def test_the_nearest_names_are_told(tmp_path):
    assert "Nearest: Quebec" in refused_text(tmp_path, "name: Quebec", "name: Qebec")
    error = refused(mapping({"regions": ["Germny"]}))
    assert error.where == "jobs.0.regions.0"
    assert error.hint == "Nearest: Germany."
    assert refused(mapping({"now": "Norway"})).where == "jobs.0.now"
    assert refused(mapping({"countries": ["Canada"]})).where == "jobs.0.countries.0"


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ("2025-03-30T02:30", "2025-03-30T02:30 does not exist in Europe/Berlin: the clock goes forward then"),
        ("2025-10-26T02:30", "2025-10-26T02:30 comes twice in Europe/Berlin: the clock goes back then"),
        ("2025-02-30T00:00", "'2025-02-30T00:00' is no time"),
        ("tomorrow", "'tomorrow' is no time"),
        ("0001-01-01T00:00", "'0001-01-01T00:00' is out of range"),
        ("2025-03-03T00:00:30", "is not on a whole minute"),
    ],
)
def test_times_that_the_clock_does_not_show_once_are_refused(start, told):
    error = refused(mapping(ops={"start": start, "timezone": "Europe/Berlin"}))
    assert told in error.problem
    assert error.where == "ops.start"


def test_an_hour_that_comes_twice_can_be_said():
    for offset, utc in (("+02:00", 0), ("+01:00", 1)):
        s = resolved(ops={"start": f"2025-10-26T02:00{offset}", "timezone": "Europe/Berlin"})
        assert s.clock.start.hour == utc


def test_a_time_needs_an_offset_or_a_clock():
    error = refused(mapping(ops={"start": "2025-03-03T00:00"}))
    assert "has no offset from UTC" in error.problem
    assert "ops.timezone" in error.hint
    assert resolved(ops={"start": "2025-03-03", "timezone": "Asia/Tokyo"}).clock.start.hour == 15


def test_a_day_with_a_change_of_the_clock_has_hours_that_pass():
    """The night of 30 March has 23 hours: a job until 8 o'clock has seven."""
    ops = {"start": "2025-03-30T00:00", "timezone": "Europe/Berlin"}
    s = resolved({"deadline": "2025-03-30T08:00"}, ops=ops)
    assert s.fleet.jobs[0].deadline == 7
    s = resolved({"deadline": "2025-10-26T08:00"}, ops=ops | {"start": "2025-10-26T00:00"})
    assert s.fleet.jobs[0].deadline == 9


@pytest.mark.parametrize(
    ("job", "key", "told"),
    [
        ({"earliest": 10.0, "deadline": 8.0}, "deadline", "8.0 is not after the earliest start"),
        ({"deadline": "2025-03-02T00:00Z"}, "deadline", "is not after the start of the plan"),
        ({"earliest": "30 h"}, "earliest", "30 h is after the end of the plan"),
        ({"earliest": "soon"}, "earliest", "does not start with a number"),
        ({"earliest": "5 km"}, "earliest", ""),
        ({"deadline": "2025-03-04T00:00"}, "deadline", "has no offset"),
    ],
)
def test_windows_that_cannot_be_are_refused(job, key, told):
    error = refused(mapping(job))
    assert error.where == f"jobs.0.{key}"
    assert told in error.problem


@pytest.mark.parametrize(
    ("closed", "told"),
    [
        ([{"from": 5.0, "to": 5.0}], "this window ends before it begins"),
        ([{"from": 5.0, "to": 9.0}, {"from": "8 h", "to": "12 h"}], "this window overlaps window 1"),
        ([{"from": "2025-03-03T05:00Z", "to": "4 h"}], "this window ends before it begins"),
    ],
)
def test_closed_windows_are_checked(closed, told):
    error = refused(mapping(regions=[{"name": "Quebec", "closed": closed}]))
    assert told in error.problem
    assert error.where.startswith("regions.0.closed")


def test_closed_windows_that_touch_are_fine():
    closed = [{"from": 5.0, "to": 8.0}, {"from": 8.0, "to": 9.0}]
    places = resolved(regions=[{"name": "Quebec", "closed": closed}]).fleet.places
    assert (places.power[0] == 0).nonzero()[0].tolist() == [5, 6, 7, 8]


def test_profiles_have_to_cover_the_plan(tmp_path):
    lines = ["timestamp,carbon_intensity,price"]
    lines += [f"2025-03-03T{h:02}:00Z,{100 + h},0.1" for h in range(24)]
    path = tmp_path / "here.csv"
    path.write_text("\n".join(lines))
    region = {"name": "Quebec", "profile": str(path)}
    assert resolved(regions=[region]).fleet.places.slots == 24
    error = refused(mapping(regions=[region], ops={"hours": 25}))
    assert "covers 2025-03-03 00:00 to 2025-03-04 00:00 UTC" in error.problem
    assert error.where == "regions.0.profile"
    assert refused(mapping(regions=[region], ops={"start": "2025-03-02T23:00Z"})).where == "regions.0.profile"
    assert (
        "by the hour"
        in refused(mapping(regions=[region], ops={"start": "2025-03-03T00:30Z", "hours": 3})).problem
    )
    path.write_text("\n".join(lines[:5] + lines[6:]))
    error = refused(mapping(regions=[region]))
    assert error.where == f"{path}:6"
    assert "rows are missing" in error.problem
    error = refused(mapping(regions=[region | {"price": 0.1}]))
    assert "a profile has price and carbon intensity already" in error.problem
    assert "no such file" in refused(mapping(regions=[{"name": "Quebec", "profile": "nowhere.csv"}])).problem


@pytest.mark.parametrize(
    ("population", "told"),
    [
        ({"requests": [1.0] * 23}, "should have at least 24 items"),
        ({"requests": 1.0, "accelerators": 2.0}, "requests or accelerators, one of them"),
        ({"requests": 1.0, "latency": "40 ms"}, "a latency needs the users' place"),
        ({"requests": 1.0, "latency": "40 ms", "at": "Atlantis"}, "no region or city called 'Atlantis'"),
        ({"requests": [1.0] * 24}, "demand by local hour needs a clock"),
        ({"requests": 1.0, "latitude": 5.0}, "latitude and longitude go together"),
        ({"requests": -1.0}, "should be greater than or equal to 0"),
    ],
)
def test_demand_is_checked(population, told):
    job = {"name": "s", "hardware": [{"name": "H100", "requests": 2.0}]}
    job["serving"] = {"populations": [{"name": "p", **population}]}
    assert told in str(refused(mapping() | {"jobs": [job]}))


def test_what_is_not_of_serving_is_refused():
    job = {
        "name": "s",
        "hardware": [{"name": "H100"}],
        "serving": {"populations": [{"name": "p", "requests": 1.0}]},
    }
    assert "how many requests a H100 answers is not known" in refused(mapping() | {"jobs": [job]}).problem
    assert "deadline is not of serving" in refused(mapping() | {"jobs": [job | {"deadline": 5.0}]}).problem
    job["hardware"] = [{"name": "H100", "requests": 1.0, "accelerators": 8}]
    assert "for the demand to say" in refused(mapping() | {"jobs": [job]}).problem
    job["hardware"] = [{"name": "H100", "requests": 1.0}]
    daily = mapping(ops={"resolution": "day"}) | {"jobs": [job]}
    assert refused(daily).hint == "set ops.resolution: hour"


def test_rent_has_to_be_known():
    job = {"hardware": [{"name": "TPUv5p", "accelerators": 16}]}
    rented = {"ownership": "rent"}
    region = {"name": "Quebec", "rent": {"TPUv5p": "4.2 USD/h"}}
    s = resolved(job, ops=rented, regions=[region])
    assert s.fleet.jobs[0].options[0].cost[0] == pytest.approx(420.0)
    assert not s.fleet.places.cost.any()


def test_data_is_somewhere():
    error = refused(mapping({"data": {"size": "1 TB"}}))
    assert error.where == "jobs.0.data"
    assert refused(mapping({"data": {"size": "1 TB", "at": "Moon"}})).where == "jobs.0.data.at"


def test_a_plan_with_several_jobs_is_no_plan_with_one():
    with pytest.raises(InputError, match="several jobs"):
        load_one(mapping())
    with pytest.raises(InputError, match="unknown key 'workload'"):
        load(mapping(workload={"name": "Llama3_8B"}))
    assert "jobs" not in Plan.model_fields
    assert JOB["name"] == "a"

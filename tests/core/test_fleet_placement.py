"""The answer to a plan with several jobs: what it says, in every form, and how it is checked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fleets import FirstFit, mapping, resolved
from jsonschema import Draft202012Validator

from mlsysim import optimize, report
from mlsysim.core.errors import InputError, MismatchError, SolverLimitError
from mlsysim.core.fleet_plan import load
from mlsysim.core.schedule.placement import Placement, evaluated
from mlsysim.core.schedule.resolve import resolve_fleet
from mlsysim.core.schedule.types import Schedule, Weights
from mlsysim.core.schedule.usage import usage
from mlsysim.core.schemas import result_schema
from mlsysim.core.solver.fleets import Placing

EXAMPLES = Path(__file__).parents[2] / "examples"
TWO = [{"name": "Quebec", "capacity": {"H100": 32.0}}, {"name": "Germany"}]


def answered(*jobs: dict[str, Any], solver: Any = None, **more: Any) -> Placement:
    """Return the answer of first fit to a small plan."""
    s = resolved(*jobs, **({"regions": TWO} | more))
    return Placing(s, solver or FirstFit(), SimpleNamespace(time_limit=1.0)).placed()


def shown(p: Placement) -> dict[str, Any]:
    """Return the document, held against the schema, as JSON has it."""
    document = json.loads(json.dumps(p.to_dict()))
    Draft202012Validator(result_schema()).validate(document)
    return document


def whole(p: Placement) -> None:
    """Hold every form of an answer against what all of them must keep."""
    document = shown(p)
    text = p.scorecard()
    assert max(map(len, text.splitlines())) <= 80
    assert text.isprintable() or "\n" in text
    assert p.scenario.name in text
    assert p.markdown().startswith(f"## {p.scenario.name}: ")
    assert {0: "pass", 2: "fail", 3: "sla_violation"}[p.exit_code] == document["status"]
    if p.answer is None:
        assert document["totals"] is None
        return
    for key, total in document["totals"].items():
        if key != "objective_usd":
            for parts in (document["jobs"], document["regions"]):
                assert sum(part[key] for part in parts) == pytest.approx(total)
    for job in document["jobs"]:
        assert sum(r["cost_usd"] for r in job["regions"]) == pytest.approx(job["cost_usd"])
    spent = sum(sum(r["electricity_usd"]) for r in document["hours"]["regions"])
    assert spent <= document["totals"]["cost_usd"] * (1 + 1e-9)


@pytest.mark.parametrize("name", ["fleet", "fleet_small"])
def test_the_examples_are_evaluated(name):
    p = evaluated(resolve_fleet(*load(EXAMPLES / f"{name}.yaml")))
    whole(p)
    assert [b.name for b in p.baselines] == ["cheapest", "now"]
    assert p.answer is p.baselines[-1]
    again = evaluated(resolve_fleet(*load(shown(p)["plan"])))  # the plan printed is a plan
    assert shown(again)["totals"] == shown(p)["totals"]


def test_an_answer_in_every_form():
    p = answered({"now": "Germany"}, {"name": "b", "may": "split"}, {"name": "c", "may": "pause"})
    whole(p)
    document = shown(p)
    assert document["solution"]["plan"] == p.decided
    assert document["solution"]["engine"]["verified_by"] == "eval"
    h100, cap = document["prices"]
    assert (h100["where"], h100["worth"], h100["unit"], h100["slots"]) == (
        "H100 in Quebec",
        1.5,
        "accelerator",
        [3, 4],
    )
    assert (cap["worth"], cap["unit"], cap["confirmed"]) == (pytest.approx(200.0), "tCO2e", False)
    words = " ".join(p.scorecard().split())
    assert "H100 in Quebec $ 1.50 / accelerator 2 slots" in words
    assert "carbon, all jobs $ 200 / tCO2e the whole plan (not confirmed)" in words
    assert "feasible, not proven optimal" in p.scorecard()
    assert [b["name"] for b in document["baselines"]] == ["cheapest", "now"]


def test_without_a_place_today_there_is_one_baseline():
    assert [b.name for b in answered().baselines] == ["cheapest"]


def test_the_cheapest_region_comes_first_and_fills_up():
    """Quebec is cheaper and holds two of the three jobs at once."""
    p = answered({}, {"name": "b"}, {"name": "c"})
    assert p.decided == {"a": "Quebec", "b": "Quebec", "c": "Germany"}


def test_tax_and_water_are_in_the_objective():
    weights = Weights(1.0, 0.15, 0.002)
    s = resolve_fleet(*load(mapping(regions=TWO)), weights)
    p = Placing(s, FirstFit(), None).placed()
    whole(p)
    assert p.answer is not None
    cost, carbon, water = p.answer.usage.total()
    assert p.answer.objective == pytest.approx(cost + 0.15 * carbon + 0.002 * water)
    assert shown(p)["solution"]["objective"]["carbon_tax_usd_per_tco2e"] == pytest.approx(150.0)
    assert "carbon tax $ 150/t" in " ".join(p.scorecard().split())


def test_a_job_that_cannot_run_ends_in_2_without_asking_a_solver():
    solver = FirstFit()
    p = answered({"deadline": 3.0}, {"name": "b"}, solver=solver)
    whole(p)
    assert (p.exit_code, solver.asked) == (2, [])
    assert "a cannot run: its window is shorter than it takes (7 h needed, 3 there)" in p.scorecard()
    assert shown(p)["solution"]["status"] == "infeasible"


def test_what_cannot_hold_together_ends_in_2():
    """Both fit alone, and not together: no limit of the plan is to blame."""
    p = answered(
        {"deadline": 7.0, "hardware": [{"name": "H100", "accelerators": 16}]},
        {"name": "b", "deadline": 7.0},
        regions=[{"name": "Quebec", "capacity": {"H100": 16.0}}],
    )
    whole(p)
    assert (p.exit_code, p.answer) == (2, None)
    conflict = shown(p)["conflict"]
    assert (conflict["job"], conflict["proven"]) == ("a", True)
    assert [(m["least"], m["supply"], m["unit"]) for m in conflict["members"]] == [
        (1.5, 1.0, "x"),
        (2.0, 0.0, "h"),
        (0.5, 0.4, "tCO2e"),
        (None, 1.0, "x"),
    ]
    words = " ".join(p.scorecard().split())
    together = "The accelerators and the windows and the carbon cap and the power of a cannot hold together."
    assert f"{together} (proven)" in words
    assert "1.500 times the accelerators every deadline 2 h later" in words
    assert "carbon cap: 500 kgCO2e, 400 kgCO2e asked" in words
    assert p.baselines[0].unplaced == ("b",)


def test_limits_of_the_plan_that_cannot_be_kept_end_in_3():
    p = answered(constraints={"budget": 1.0})
    whole(p)
    assert p.dropped
    assert p.exit_code == 3
    assert "FAIL  budget of all jobs" in p.scorecard()
    for limits in ({"carbon": "1 gCO2e"}, {"water": 1.0}, {"carbon_by_region": {"Quebec": "1 gCO2e"}}):
        assert answered(constraints=limits).exit_code == 3
    assert answered({"carbon": "1 gCO2e"}).exit_code == 3
    assert answered(constraints={"budget": 1e6, "carbon": 1e3, "water": 1e9}).exit_code == 0


def test_eval_says_whether_it_holds_today():
    assert evaluated(resolved({"now": "Germany"})).exit_code == 0
    late = evaluated(resolved({"now": "Quebec", "deadline": 3.0}))
    assert late.exit_code == 2
    assert "a: not placed" in late.scorecard()
    assert evaluated(resolved({"now": "Quebec"}, constraints={"budget": 1.0})).exit_code == 3
    whole(late)


class Wrong(FirstFit):
    """A solver whose numbers or schedules are off."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.changes = changes

    def plan(self, fleet: Any, options: object) -> SimpleNamespace:
        found = super().plan(fleet, options)
        for name, change in self.changes.items():
            setattr(found, name, change(getattr(found, name)))
        return found


def test_what_does_not_add_up_is_a_defect():
    with pytest.raises(MismatchError, match="adding up gives"):
        answered(solver=Wrong(objective=lambda x: x * (1 + 2e-6)))
    answered(solver=Wrong(objective=lambda x: x * (1 + 5e-7)))
    with pytest.raises(MismatchError, match="breaks a limit"):
        answered({"earliest": 9.0}, solver=Early())


class Early(FirstFit):
    """A solver that adds up right, and starts a job before its time."""

    def plan(self, fleet: Any, options: object) -> SimpleNamespace:
        found = super().plan(fleet, options)
        ((run,),) = found.schedule.runs
        found.schedule = Schedule(((replace(run, slots=run.slots - 1),),))
        found.objective = usage(fleet, found.schedule).objective(fleet)
        return found


def test_no_answer_in_time_is_said():
    with pytest.raises(SolverLimitError, match="without a schedule"):
        answered(solver=Wrong(schedule=lambda _: None, status=lambda _: "unknown"))


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"solver": "cp-sat"}, "does not place several jobs"),
        ({"top": 3}, "top is of plans with one job"),
        ({"verify": True}, "verify is of plans with one job"),
        ({"export": "x.lp"}, "export is of plans with one job"),
    ],
)
def test_options_that_do_not_apply_are_refused(how, told):
    with pytest.raises(InputError, match=told):
        optimize.placement(mapping(), **how)


@pytest.mark.parametrize("days", [1, 3, 40, 300])
def test_long_plans_fit_a_page(days):
    ops = {"hours": None, "days": days, "resolution": "day" if days > 3 else "hour", "timezone": "Asia/Tokyo"}
    jobs = [{"name": f"a job with quite a long name, number {n}", "may": "split"} for n in range(3)]
    whole(answered(*jobs, ops=ops))


def test_a_long_list_of_jobs_is_cut_in_text_and_whole_in_json():
    p = answered(*({"name": f"j{n}", "may": "split"} for n in range(70)), regions=[{"name": "Quebec"}])
    whole(p)
    assert "and 10 more jobs: -o json lists all" in p.scorecard()
    assert len(shown(p)["jobs"]) == 70


def test_many_regions_have_letters_as_far_as_they_go():
    names = ["Quebec", "Germany", "France", "Norway", "Sweden", "Spain", "Poland", "Japan", "India", "Chile"]
    names += ["Texas", "Ohio", "Iowa", "Oregon", "Utah", "Nevada", "Italy", "Greece", "Austria", "Belgium"]
    names += ["Brazil", "Taiwan", "Finland", "Denmark", "Ireland", "Hungary", "Romania", "Bulgaria"]
    regions = [{"name": n, "capacity": {"H100": 16.0}} for n in names]
    jobs = [{"name": f"j{n}", "accelerator_hours": 384.0} for n in range(len(names))]
    p = answered(*jobs, regions=regions)
    whole(p)
    assert "Z=" in p.scorecard()
    assert "?=" in p.scorecard()


def test_a_page_of_its_own(tmp_path):
    pytest.importorskip("plotly", reason="of the extra labs")
    p = evaluated(resolve_fleet(*load(EXAMPLES / "fleet_small.yaml")))
    path = tmp_path / "page.html"
    report.write(p, path)
    page = path.read_text(encoding="utf-8")
    assert page.count("<html") == 1
    assert "aws_eu_central_1" in page
    assert "fine-tune" in page
    with pytest.raises(InputError, match="cannot be written"):
        report.write(p, tmp_path / "nowhere" / "page.html")
    report.write(answered({"deadline": 3.0}), path)
    assert "its window is shorter than it takes" in path.read_text(encoding="utf-8")

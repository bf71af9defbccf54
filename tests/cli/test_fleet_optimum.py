"""`optimize placement` of plans with several jobs, with the solver: proofs, taxes, frontiers, conflicts."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import yaml
from running import EXAMPLES, bad_tables, call, call_json, too_wide

SMALL = EXAMPLES / "fleet_small.yaml"


@cache
def small(*more: str) -> Any:
    """Return the document of the small example with some options."""
    code, document = call_json("optimize", "placement", str(SMALL), *more)
    assert code == 0
    return document


def changed(tmp_path, **changes: Any) -> str:
    """Return the path of the small example with blocks replaced."""
    plan = yaml.safe_load(SMALL.read_text(encoding="utf-8")) | changes
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan))
    return str(path)


def test_the_optimum_is_proven_and_beats_the_baselines():
    document = small()
    solution = document["solution"]
    assert (solution["status"], solution["engine"]["verified_by"]) == ("optimal", "eval")
    assert solution["objective"]["gap"] <= 1e-9
    assert all(document["totals"]["cost_usd"] < b["totals"]["cost_usd"] for b in document["baselines"])
    assert document["totals"]["cost_usd"] == pytest.approx(solution["objective"]["value"], rel=1e-6)


def test_a_tax_pays_for_less_carbon():
    plain, taxed = small()["totals"], small("--carbon-tax", "100")["totals"]
    assert taxed["carbon_tco2e"] < plain["carbon_tco2e"]
    assert taxed["cost_usd"] > plain["cost_usd"]
    assert taxed["objective_usd"] == pytest.approx(taxed["cost_usd"] + 100 * taxed["carbon_tco2e"])


def test_a_range_of_the_tax_has_both_and_where_they_meet():
    taxes = small("--carbon-tax", "0:300")["taxes"]
    assert taxes["proven"]
    first, *_, last = taxes["plans"]
    assert (first["from"], last["to"]) == (0, pytest.approx(300))
    assert first["totals"]["cost_usd"] == pytest.approx(small()["totals"]["cost_usd"])
    for a, b in zip(taxes["plans"], taxes["plans"][1:], strict=False):
        at = a["to"]
        ends = [x["totals"]["cost_usd"] + at * x["totals"]["carbon_tco2e"] for x in (a, b)]
        assert ends[0] == pytest.approx(ends[1], rel=1e-9)


def test_a_frontier_falls():
    points = small("--pareto", "cost,carbon", "--points", "3")["pareto"]["points"]
    totals = [(p["totals"]["cost_usd"], p["totals"]["carbon_tco2e"]) for p in points]
    assert totals == sorted(totals)
    assert [c for _, c in totals] == sorted((c for _, c in totals), reverse=True)
    assert totals[0][0] == pytest.approx(small()["totals"]["cost_usd"], rel=1e-6)


def test_what_binds_has_a_price():
    prices = small()["prices"]
    assert prices
    assert all(p["worth"] > 0 for p in prices)


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_every_form_fits(form):
    result = call("-o", form, "optimize", "placement", str(SMALL), "--carbon-tax", "0:300")
    assert result.code == 0
    assert not too_wide(result.out) or form == "markdown"
    assert not bad_tables(result.out)


def test_limits_that_clash_are_told_and_the_best_without_them_is_shown(tmp_path):
    path = changed(tmp_path, constraints={"budget": 1050, "carbon": "60 kgCO2e"})
    code, document = call_json("optimize", "placement", path)
    assert (code, document["status"]) == (3, "sla_violation")
    assert document["solution"]["limits_dropped"] == ["cost"]
    (member,) = document["conflict"]["members"]
    assert 1050 < member["least"] <= small()["totals"]["cost_usd"] * (1 + 1e-6)
    assert document["totals"]["carbon_tco2e"] <= 0.06 * (1 + 1e-6)
    assert [x["tag"] for x in document["limits"]] == ["cost"]


def test_too_few_accelerators_end_in_2(tmp_path):
    regions = [{"name": "aws_eu_north_1", "capacity": {"H100": 32}}]
    jobs = yaml.safe_load(SMALL.read_text(encoding="utf-8"))["jobs"]
    for job in jobs:
        job.pop("now")
    code, document = call_json("optimize", "placement", changed(tmp_path, regions=regions, jobs=jobs))
    assert (code, document["totals"]) == (2, None)
    assert "accelerators" in [m["tag"] for m in document["conflict"]["members"]]
    assert document["solution"]["status"] == "infeasible"

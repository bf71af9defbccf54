"""``eval --wall``: one wall at close range."""

from __future__ import annotations

import pytest
from running import CLUSTER, EXAMPLES, bad_tables, call, call_json, too_wide

from mlsysim.core.api import evaluate_plan
from mlsysim.core.errors import UnknownNameError
from mlsysim.core.wall_view import ASSUMPTIONS, TERMS, Zoom, find
from mlsysim.core.zoo import citation
from mlsysim.walls import WALLS

PLANS = ("llama3_70b", "long_run", "chat_service", "document_chat", "private_training", "keyword_spotting")
wall_cases = pytest.mark.parametrize("wall", WALLS, ids=lambda w: w.tag)


@pytest.mark.parametrize("plan", PLANS)
@wall_cases
def test_every_wall_fits_80_columns(plan, wall):
    path = str(EXAMPLES / f"{plan}.yaml")
    result = call("eval", path, "--wall", str(wall.number))
    assert result.err == ""
    assert result.out.startswith(f"Wall {wall.number} {wall.name} ({wall.domain}): ")
    assert too_wide(result.out) == []
    assert not {"nan", "inf", "None"} & set(result.out.split())
    assert bad_tables(call("eval", path, "--wall", wall.name, "-o", "markdown").out) == []


@wall_cases
def test_the_document_agrees_with_that_of_eval(wall):
    path = str(EXAMPLES / "llama3_70b.yaml")
    code, whole = call_json("eval", path)
    near_code, near = call_json("eval", path, "--wall", wall.name)
    assert code == near_code
    assert near["status"] == whole["status"]
    shown = whole["walls"][wall.number - 1]
    assert {k: near["wall"][k] for k in shown} == shown
    assert near["wall"]["equation"] == wall.equation
    assert near["wall"]["sources"] == [{"id": s, "citation": citation(s)} for s in wall.sources]
    assert all(a in whole["assumptions"] for a in near["wall"]["assumptions"])
    assert bool(near["wall"]["rows"]) == (shown["status"] != "n/a")


def test_what_is_shown_of_communication():
    out = call("eval", str(EXAMPLES / "llama3_70b.yaml"), "--wall", "14").out
    assert "Communication (fleet): binding" in out
    assert "exposed time of collectives <= share x time" in out
    assert "exposed traffic against 24% of the step" in out
    assert "3.933 s <= 4.065 s   binding" in out
    assert "time of a step or pass  16.94 s" in out
    assert "NVLink4 latency 0.6000 us: nccl_tuning" in out
    assert "patarasuk_2009: Patarasuk and Yuan, 2009" in out


def test_all_rows_are_shown():
    _, document = call_json("eval", str(EXAMPLES / "chat_service.yaml"), "--wall", "serving")
    wall = document["wall"]
    assert [r["status"] for r in wall["rows"]] == ["pass", "pass", "fail"]
    assert wall["status"] == "fail"
    (stall,) = (t for t in wall["terms"] if t["name"] == "longest gap")
    assert stall["value"] == pytest.approx(wall["rows"][2]["demand"])


def test_a_wall_that_does_not_apply_says_why():
    out = call("eval", CLUSTER, "--wall", "5").out
    assert "Does not apply: training keeps no KV cache." in out
    assert "Terms" not in out


@pytest.mark.parametrize(
    ("plan", "code"), [("llama3_70b", 0), ("too_small", 2), ("example_cluster", 3), ("long_run", 3)]
)
def test_the_exit_code_is_that_of_eval(plan, code):
    for wall in ("2", "sustainability"):
        assert call("eval", str(EXAMPLES / f"{plan}.yaml"), "--wall", wall).code == code


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("14", 14),
        ("w14", 14),
        ("04", 4),
        ("Tail latency", 7),
        ("tail_latency", 7),
        ("multi-tenant", 16),
        (" MEMORY ", 2),
    ],
)
def test_walls_are_found(name, number):
    assert find(name).number == number


@pytest.mark.parametrize("name", ["0", "23", "", "-1", "1.0", "memry", "w", "\x00"])
def test_other_names_are_bad_input(name):
    with pytest.raises(UnknownNameError):
        find(name)
    assert call("eval", CLUSTER, "--wall", name).code == 1


def test_the_nearest_name_is_told():
    assert "Nearest: Memory" in call("eval", CLUSTER, "--wall", "memry").err


def test_it_goes_with_a_model_too():
    result = call("eval", "Llama3_8B", "H100", "--wall", "memory")
    assert result.code == 0
    assert "KV cache" in result.out


def test_every_wall_has_its_terms_and_assumptions():
    numbers = {w.number for w in WALLS}
    assert set(TERMS) == set(ASSUMPTIONS) == numbers


def test_every_term_and_assumption_is_used():
    """No name in the tables is a slip: each is found in some example."""
    terms, parts = set(), set()
    for path in EXAMPLES.glob("*.yaml"):
        if path.stem.startswith(("fleet", "serving_mix")):  # several jobs, or nothing decided
            continue
        e = evaluate_plan(path)
        names = [a.name for a in e.scenario.assumptions]
        for wall in WALLS:
            terms |= {(wall.number, t.path) for t, _ in Zoom(e, wall).terms}
            parts |= {(wall.number, p) for p in ASSUMPTIONS[wall.number] if any(p in n for n in names)}
    optional = {"privacy.epsilon"}  # needs the accountant
    assert {(n, t.path) for n, ts in TERMS.items() for t in ts if t.path not in optional} <= terms
    rare = {"achieved_share_scale_out", "network_latency_scale_out", "memory bandwidth", "storage_precision"}
    rare |= {"draft_", "hoffmann", "job_cv", "privacy_delta"}
    assert {(n, p) for n, ps in ASSUMPTIONS.items() for p in ps if p not in rare} <= parts

"""The catalogue of 22 walls, and how every evaluation shows it."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path

import pytest
from walls_cases import infer, train, with_state

from mlsysim.core import registry, units
from mlsysim.walls import WALLS
from mlsysim.walls.base import DOMAINS

# number, name and domain are fixed
CATALOGUE = [
    (1, "Compute", "node"),
    (2, "Memory", "node"),
    (3, "Software", "node"),
    (4, "Serving", "node"),
    (5, "Batching", "node"),
    (6, "Streaming", "node"),
    (7, "Tail latency", "node"),
    (8, "Ingestion", "data"),
    (9, "Transformation", "data"),
    (10, "Locality", "data"),
    (11, "Complexity", "algorithm"),
    (12, "Reasoning", "algorithm"),
    (13, "Fidelity", "algorithm"),
    (14, "Communication", "fleet"),
    (15, "Fragility", "fleet"),
    (16, "Multi-tenant", "fleet"),
    (17, "Capital", "operations"),
    (18, "Sustainability", "operations"),
    (19, "Checkpoint", "operations"),
    (20, "Safety", "operations"),
    (21, "Sensitivity", "analysis"),
    (22, "Synthesis", "analysis"),
]
STATUSES = {"pass", "fail", "binding", "info", "n/a"}
SCENARIOS = {
    "training": lambda: train(),
    "infeasible": lambda: train(parallelism={"zero_stage": 0}),
    "limited": lambda: train(constraints={"budget": 1.0, "carbon": 1e6, "communication": 0.1}),
    "cnn": lambda: train(
        workload={"name": "ResNet50", "batch_size": 256, "seq_len": None}, parallelism={"zero_stage": 1}
    ),
    "decode": lambda: infer(),
    "encoder": lambda: infer("BERT_Base"),
    "mixture": lambda: infer("Mixtral_8x7B"),
    "tiny": lambda: infer("DS_CNN", "ESP32"),
    "mamba": lambda: infer("Mamba_2_8B"),
}


@pytest.fixture(params=sorted(SCENARIOS))
def evaluation(request):
    return SCENARIOS[request.param]()


# -- the catalogue --------------------------------------------------------------------------------


def test_all_22_are_there_once_in_order():
    assert [(w.number, w.name, w.domain) for w in WALLS] == CATALOGUE


@pytest.mark.parametrize("wall", WALLS, ids=lambda w: w.tag)
def test_each_says_what_it_is(wall):
    assert wall.domain in DOMAINS
    assert wall.tag == f"w{wall.number:02d}"
    assert wall.equation
    assert inspect.getdoc(type(wall))


@pytest.mark.parametrize("wall", WALLS, ids=lambda w: w.tag)
def test_each_names_sources_of_the_registry(wall):
    assert set(wall.sources) <= set(registry.sources())
    # walls of analysis act on a solved model, the others rest on published work
    assert wall.sources or wall.domain == "analysis"


@pytest.mark.parametrize("wall", [w for w in WALLS if w.modelled], ids=lambda w: w.tag)
def test_each_modelled_wall_has_its_file_and_its_test(wall):
    file = Path(inspect.getfile(type(wall)))
    assert file.name.startswith(f"{wall.tag}_")
    words = wall.name.lower().replace(" ", "_").replace("-", "_")
    assert file.stem == f"{wall.tag}_{words}"
    test = Path(__file__).with_name(f"test_{file.name}")
    assert test.is_file()
    assert "def test_" in test.read_text(encoding="utf-8")


# -- every evaluation -----------------------------------------------------------------------------


def test_every_evaluation_lists_22(evaluation):
    assert [(w.wall.number, w.wall.name, w.wall.domain) for w in evaluation.walls] == CATALOGUE
    shown = evaluation.to_dict()["walls"]
    assert [(w["number"], w["name"], w["domain"]) for w in shown] == CATALOGUE
    keys = {"number", "name", "domain", "status", "demand", "supply", "unit", "headroom", "note"}
    assert all(keys <= set(w) for w in shown)


def test_statuses_say_what_they_mean(evaluation):
    for w in evaluation.walls:
        assert w.status in STATUSES
        if w.status == "n/a":
            assert w.note
            assert (w.demand, w.supply, w.headroom) == (None, None, None)
            continue
        assert w.demand is not None
        assert math.isfinite(w.demand)
        assert w.demand >= 0
        units.factor(w.unit)
        if w.status == "info":
            assert w.supply is None
        else:
            assert math.isfinite(w.supply)
            assert (w.status == "fail") == (w.demand > w.supply * (1 + 1e-6))
            # of a supply of nothing, nothing is left
            assert w.headroom == (pytest.approx(1 - w.demand / w.supply) if w.supply else -math.inf)


def test_the_shown_row_is_the_tightest(evaluation):
    for reading, wall in zip(evaluation.walls, WALLS, strict=True):
        for row in wall.rows(evaluation.state):
            if row.supply is None or not math.isfinite(float(row.supply)):
                continue
            exceeded = float(row.demand) > float(row.supply) * (1 + 1e-6)
            assert not exceeded or reading.status == "fail"
            assert reading.status != "info"


def test_results_are_plain_json(evaluation):
    text = json.dumps(evaluation.to_dict(), allow_nan=False)
    assert len(json.loads(text)["walls"]) == 22


def test_what_holds_by_construction_binds_as_the_bottleneck_or_when_nearly_used_up(evaluation):
    """Time goes to one thing most of all; another wall may still have next to no room left."""
    assert evaluation.bottleneck_wall in (1, 2, 14)
    for reading in evaluation.walls:
        if reading.by_construction and reading.status == "binding":
            behind = reading.wall.number == evaluation.bottleneck_wall
            assert behind or reading.headroom <= 0.05


def test_whole_statuses_follow_the_walls():
    assert (train().status, train().exit_code) == ("pass", 0)
    over_budget = SCENARIOS["limited"]()
    assert (over_budget.status, over_budget.exit_code) == ("sla_violation", 3)
    too_large = SCENARIOS["infeasible"]()
    assert (too_large.status, too_large.exit_code) == ("fail", 2)
    # what physics forbids outweighs what the plan forbids
    both = train(parallelism={"zero_stage": 0}, constraints={"budget": 1.0})
    assert both.exit_code == 2


def test_equal_within_the_solvers_tolerance_is_no_failure():
    e = train()
    for memory, failed in ((1.0, False), (1 + 1e-7, False), (1 + 1e-5, True)):
        held = with_state(e, memory=memory * e.state.capacity)
        assert (held.walls[1].status == "fail") == failed

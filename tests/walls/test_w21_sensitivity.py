"""Wall 21 over states."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from mlsysim.core.api import evaluate_plan, scenario
from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.walls.w21_sensitivity import Sensitivity

WALL = Sensitivity()


@cache
def evaluation() -> Evaluation:
    plan = {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "batch_size": 256},
        "hardware": {"name": "H100", "nodes": 8},
    }
    return evaluate(scenario(plan))


def test_the_longest_part_comes_first():
    s = evaluation().state
    rows = WALL.rows(s)
    assert [r.demand for r in rows] == sorted((r.demand for r in rows), reverse=True)
    assert rows[0].note.startswith("compute rate: 1% more of it saves up to about 0.")
    assert sum(r.demand for r in rows) + s.bubble == pytest.approx(s.time)


def test_each_part_is_held_against_the_whole_step_and_rules_nothing_out():
    s = evaluation().state
    assert all(r.supply == s.time and not r.enforced for r in WALL.rows(s))


def test_it_binds_where_one_supply_decides():
    """One sequence at a time is all memory bandwidth but for the start of kernels, which a user's own
    efficiency leaves out; a training step has several parts."""
    plan = {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "phase": "inference", "efficiency": 0.5},
        "hardware": {"name": "H100"},
    }
    one = evaluate_plan(plan)
    reading = one.walls[20]
    assert reading.status == "binding"
    assert reading.note.startswith("memory bandwidth")
    assert evaluation().walls[20].status == "pass"


def test_agrees_with_the_bottleneck():
    name = {"compute": "compute", "memory": "memory", "communication": "network"}
    assert WALL.rows(evaluation().state)[0].note.startswith(name[evaluation().bottleneck])


def test_tables_keep_their_order():
    two = np.array([1.0, 2.0])
    s = SimpleNamespace(
        time=4 * two, matmul=0 * two, stream=two, update=two, exposed=two, bubble=0 * two, streaming=None
    )
    rows = WALL.rows(s)
    assert rows[0].note == "compute rate: its part of the step"
    assert rows[1].demand.tolist() == [2.0, 4.0]


def test_identity():
    assert (WALL.number, WALL.name, WALL.domain) == (21, "Sensitivity", "analysis")

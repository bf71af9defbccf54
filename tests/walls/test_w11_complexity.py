"""Wall 11 over states."""

from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest

from mlsysim.core.api import scenario
from mlsysim.core.evaluation import evaluate
from mlsysim.physics.scaling import Budget, Fit
from mlsysim.walls import State
from mlsysim.walls.w11_complexity import Complexity

WALL = Complexity()
FIT = Fit(1.8172, 482.01, 2085.43, 0.3478, 0.3658)


@cache
def base() -> State:
    plan = {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "batch_size": 256},
        "hardware": {"name": "H100", "nodes": 8},
    }
    return evaluate(scenario(plan)).state


def state(run: Budget | None, **limits: float) -> Any:
    allowed = SimpleNamespace(**(vars(base().limits) | limits))
    return SimpleNamespace(**(vars(base()) | {"scaling": run, "limits": allowed}))


def test_chinchilla_against_a_budget():
    rows = WALL.rows(state(Budget(70e9, 1.4e12, 20.0), compute=5.88e23))
    assert rows[0].demand == pytest.approx(5.88e23)
    assert rows[0].supply == 5.88e23
    assert not rows[0].hard


def test_time_against_the_duration():
    s = state(Budget(8e9, 1e12, 20.0, duration=86400.0))
    row = next(r for r in WALL.rows(s) if r.unit == "day")
    assert row.demand == pytest.approx(s.time * 1e12 / s.tokens)
    assert row.supply == 86400.0
    assert all(r.unit != "day" for r in WALL.rows(state(Budget(8e9, 1e12, 20.0))))


def test_data_is_shown_and_limited_only_on_request():
    shown = next(r for r in WALL.rows(state(Budget(8e9, 15e12, 20.0))) if r.unit == "token")
    assert (shown.demand, shown.supply) == (160e9, None)
    asked = state(Budget(8e9, 100e9, 20.0), tokens_per_parameter=20.0)
    limited = next(r for r in WALL.rows(asked) if r.unit == "token")
    assert limited.demand > limited.supply  # too little data


def test_loss():
    rows = WALL.rows(state(Budget(70e9, 1.4e12, 20.0, FIT), loss=2.0))
    assert rows[-1].demand == pytest.approx(1.973, abs=1e-3)
    assert rows[-1].supply == 2.0
    assert len(WALL.rows(state(Budget(70e9, 1.4e12, 20.0)))) == 2


def test_without_tokens():
    assert WALL.rows(state(None)) == ()
    assert WALL.rows(base()) == () or getattr(base(), "scaling", None)
    assert "tokens" in WALL.why_not(state(None))
    assert WALL.why_not(SimpleNamespace(phase="inference")) == "inference trains nothing"


def test_identity():
    assert (WALL.number, WALL.name, WALL.domain) == (11, "Complexity", "algorithm")
    assert WALL.tag == "w11"

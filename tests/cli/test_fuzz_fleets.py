"""Plans with several jobs, mutated at random: the command line answers in its own terms."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import too_wide
from test_fuzz import evaluated, places, values

from mlsysim.core import fleet_plan_blocks as blocks
from mlsysim.core.fleet_plan import FleetConstraints, FleetOps, FleetPlan

JOB: dict[str, Any] = {
    "name": "a",
    "accelerator_hours": 60,
    "hardware": [{"name": "H100", "accelerators": [8, 16], "speed": 1.0, "power": "700 W"}],
    "earliest": "2025-03-30T01:00",
    "deadline": "20 h",
    "may": "pause",
    "data": {"size": "1 TB", "at": "Germany"},
    "countries": ["CA", "DE"],
    "carbon": "5 t",
    "now": "Quebec",
}
BASE: dict[str, Any] = {
    "version": "1.0",
    "name": "fuzz",
    "ops": {"start": "2025-03-30T00:00", "timezone": "Europe/Berlin", "hours": 24, "ownership": "own"},
    "regions": [
        {
            "name": "Quebec",
            "capacity": {"H100": 64},
            "power": "0.2 MW",
            "closed": [{"from": 3, "to": "5 h"}],
            "tenancy": {"utilization": 0.5, "places": 4, "job_time": "2 h"},
        },
        {"name": "Germany", "price": 0.1, "rent": {"H100": "2 USD/h"}, "egress": 0.02},
    ],
    "jobs": [
        JOB | {"carbon": "5 tCO2e"},
        {
            "name": "b",
            "workload": {"name": "Llama3_8B", "batch_size": 64, "training_tokens": 1e8},
            "parallelism": {"tp": 2},
            "hardware": [{"name": "H100", "accelerators": 8}],
        },
        {
            "name": "c",
            "serving": {"populations": [{"name": "p", "requests": 4, "at": "Berlin", "latency": "90 ms"}]},
            "hardware": [{"name": "H100", "requests": 1.5}],
        },
    ],
    "constraints": {"budget": "5 MUSD", "carbon": 10.0, "carbon_by_region": {"Quebec": 5}},
}
KEYS = sorted(
    {
        f.alias or name
        for block in (FleetPlan, FleetOps, FleetConstraints, *vars(blocks).values())
        for name, f in getattr(block, "model_fields", {}).items()
    }
)
WORDS = [
    *("", "H200", "T4", "ESP32_S3", "Norway", "Iceland", "World_Avg", "split", "move", "rent", "paid", "day"),
    *(
        "2025-03-30T02:30",
        "2025-03-31T00:00Z",
        "36 h",
        "-1 h",
        "1e30",
        "nan",
        "5 USD",
        "0.001 ms",
        "US/Alaska",
    ),
    *("Llama3_70B", "ResNet50", "inference", "nowhere.csv", "FR"),
]
VALUES = values(WORDS, KEYS, 8)


@st.composite
def fleets(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a plan with one to three things changed."""
    plan = copy.deepcopy(BASE)
    for _ in range(draw(st.integers(1, 3))):
        *above, key = draw(st.sampled_from([p for p in places(plan) if p != ("jobs",)]))
        block: Any = plan
        for k in above:
            block = block[k]
        action = draw(st.sampled_from(["drop", "replace", "replace", "replace", "add", "repeat"]))
        if action == "drop":
            del block[key]
        elif action == "replace":
            block[key] = draw(VALUES)
        elif isinstance(block, dict):
            block[draw(st.sampled_from(KEYS))] = draw(VALUES)
        else:
            block.append(copy.deepcopy(block[key]))
    return plan


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=fleets())
def test_eval_answers_every_plan(plan, tmp_path):
    assert not too_wide(evaluated(plan, tmp_path).out)

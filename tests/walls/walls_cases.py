"""Plans that the wall tests share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mlsysim
from mlsysim.core.evaluation import Evaluation, Reading
from mlsysim.walls import WALLS, Row

TOKENS = 64 * 2048
# Llama 2 7B: all parameters less the input embedding and 65 norms (Touvron 2023; 32 layers of 4096)
MATRICES = 6_738_415_616 - 32_000 * 4096 - 65 * 4096


def train(**blocks: Any) -> Evaluation:
    """Llama 2 7B on 8 H100, 64 sequences of 2048, at half the peak, scores not fused; changed as given."""
    plan: dict[str, Any] = {
        "version": "1.0",
        "workload": {
            "name": "Llama2_7B",
            "batch_size": 64,
            "seq_len": 2048,
            "efficiency": 0.5,
            "attention": "unfused",
        },
        "hardware": {"name": "H100", "nodes": 1},
        "ops": {"region": "Quebec", "duration_days": 1.0},
        "parallelism": {"tp": 1, "cp": 1, "pp": 1, "zero_stage": 3, "microbatch_size": 1},
    }
    for name, block in blocks.items():
        plan[name] = {**plan.get(name, {}), **block}
    return mlsysim.evaluate_plan(plan)


def infer(name: str = "Llama2_7B", hardware: str = "H100", **workload: Any) -> Evaluation:
    """One inference step on one accelerator."""
    return mlsysim.evaluate_plan(
        {
            "version": "1.0",
            "workload": {"name": name, "phase": "inference", "batch_size": 1, **workload},
            "hardware": {"name": hardware, "accelerators": 1},
        }
    )


def rows(e: Evaluation, number: int) -> tuple[Row, ...]:
    """The comparisons of a wall, in base units."""
    return WALLS[number - 1].rows(e.state)


def reading(e: Evaluation, number: int) -> Reading:
    """A wall as the evaluation shows it."""
    return e.walls[number - 1]


def with_state(e: Evaluation, **changes: Any) -> Evaluation:
    """The evaluation of a state that differs."""
    return Evaluation(e.scenario, e.layout, replace(e.state, **changes))

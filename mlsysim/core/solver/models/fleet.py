"""Models of the fleet: a step of many accelerators, their failures, and the queue before them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlsysim.core.evaluation import Evaluation
from mlsysim.core.inference_run import tenancy
from mlsysim.core.metrics import METRICS
from mlsysim.core.plan_blocks import TenancyBlock
from mlsysim.core.scenario import Assumptions
from mlsysim.core.solver.models.base import LAYOUT, TRAINING, ForwardModel, PlanModel, needed, wall
from mlsysim.physics import queueing

CHECKPOINTS = (
    *("checkpoint_interval", "checkpoint_asynchronous", "checkpoint_reduction"),
    *("checkpoint_storage", "checkpoint_storage_capacity", "storage", "storage_capacity"),
)
FAILURES = ("record", "mtbf", "restart_time", "detection_time", "rank_variation")


class DistributedModel(PlanModel):
    """A training step of a fleet, and where its time goes (wall 14)."""

    walls = (14,)
    ways = (("model", "hardware", "batch_size"),)
    options = (*TRAINING, *LAYOUT)
    gives = (
        *("step_time", "compute_time", "memory_time", "communication_time", "bubble_time"),
        *("optimizer_time", "communication_share", "bubble_share", "memory", "mfu"),
        *("samples_per_step", "tokens_per_step", "samples_per_second", "tokens_per_second"),
    )
    phase = "training"

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read the step."""
        s = e.state
        shares = ("communication_time", "bubble_time", "optimizer_time", "compute_time", "memory_time")
        names = (*shares, "communication_share", "bubble_share", "mfu", "samples_per_second")
        return {name: METRICS[f"performance.{name}"].value(s) for name in names} | {
            "step_time": s.time,
            "memory": s.memory,
            "samples_per_step": s.samples,
            "tokens_per_step": s.tokens,
            "tokens_per_second": METRICS["performance.throughput"].value(s) if s.tokens else 0.0,
        }


class ReliabilityModel(PlanModel):
    """What failures and slow ranks take of a training run (wall 15)."""

    walls = (15,)
    ways = (("model", "hardware", "batch_size"),)
    options = (*TRAINING, *LAYOUT, "duration", *FAILURES, *CHECKPOINTS)
    gives = (
        *("fleet_mtbf", "goodput", "failure_share", "straggling_share"),
        *("checkpointing_share", "time_lost"),
    )
    phase = "training"

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read wall 15."""
        losses = needed(e, "losses", 15)
        return {
            "fleet_mtbf": losses.mtbf,
            "goodput": losses.useful,
            "failure_share": losses.failing,
            "straggling_share": losses.straggling,
            "checkpointing_share": losses.writing,
            "time_lost": wall(15).rows(e.state)[0].demand,
        }


class OrchestrationModel(ForwardModel):
    """Jobs that wait for their place in a shared fleet (wall 16)."""

    walls = (16,)
    ways = (("utilization", "job_time"), ("utilization", "duration"))
    options = ("places", "arrival_cv", "job_cv")
    gives = ("job_wait", "jobs_waiting")

    def read(self, given: Mapping[str, Any], numbers: Mapping[str, float], take: Assumptions) -> Any:
        """Ask the queueing physics; a queue that grows without end has an infinite wait."""
        block = TenancyBlock.model_validate({"utilization": numbers["utilization"]}).model_dump() | {
            name: numbers[name] for name in ("places", "arrival_cv", "job_cv", "job_time") if name in numbers
        }
        q = tenancy(block, take, numbers.get("duration"))
        wait = queueing.mean_wait(q)
        return {"job_wait": wait, "jobs_waiting": queueing.in_system(q.rate, wait)}

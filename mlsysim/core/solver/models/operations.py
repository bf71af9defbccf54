"""Models of the operations: money, carbon and water, checkpoints, and promises to people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from mlsysim.core.evaluation import Evaluation
from mlsysim.core.scenario import Assumptions
from mlsysim.core.solver.models.base import LAYOUT, TRAINING, PlanModel, needed
from mlsysim.core.solver.models.fleet import CHECKPOINTS, FAILURES
from mlsysim.physics import privacy

# What a run takes depends on the fleet and its time, not on what the model does with it.
_RUN = (("model", "hardware", "accelerators"), ("model", "hardware", "nodes"))
_PLACE = ("node", "region", "duration", "pue", "ownership")


class EconomicsModel(PlanModel):
    """What a run costs, owned or rented (wall 17)."""

    walls = (17,)
    ways = _RUN
    options = _PLACE
    gives = ("cost", "capital", "capital_share", "energy_cost", "upkeep", "rent")

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read wall 17."""
        b = e.state.bill
        return {
            "cost": b.tco,
            "capital": b.capital,
            "capital_share": b.capital_share,
            "energy_cost": b.energy_cost,
            "upkeep": b.upkeep,
            "rent": b.rent,
        }


class SustainabilityModel(PlanModel):
    """What a run emits and drinks (wall 18)."""

    walls = (18,)
    ways = _RUN
    options = _PLACE
    gives = ("energy", "carbon", "operational_carbon", "embodied_carbon", "water")

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read wall 18."""
        b = e.state.bill
        return {
            "energy": b.energy,
            "carbon": b.carbon,
            "operational_carbon": b.operational_carbon,
            "embodied_carbon": b.embodied_carbon,
            "water": b.water,
        }


class CheckpointModel(PlanModel):
    """Checkpoints of a training run: their size, and how long it stands still for them (wall 19)."""

    walls = (19,)
    ways = (("model", "hardware", "batch_size"),)
    options = (*TRAINING, *LAYOUT, *FAILURES, *CHECKPOINTS)
    gives = ("checkpoint_size", "checkpoint_bandwidth", "checkpoint_stall", "checkpoint_interval")
    phase = "training"

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read wall 19."""
        c = needed(e, "checkpoint", 19)
        return {
            "checkpoint_size": c.size,
            "checkpoint_bandwidth": c.bandwidth,
            "checkpoint_stall": c.stall,
            "checkpoint_interval": c.interval,
        }


class ResponsibleEngineeringModel(PlanModel):
    """What private training and fairness among groups take (wall 20).

    The privacy loss comes with the noise and the samples of the data set, the data of each subgroup
    with the number of groups, the private time of a step with its plain one.
    """

    walls = (20,)
    ways = (("model", "hardware", "batch_size"),)
    options = (
        *(*TRAINING, "clipping", "dp_slowdown", "noise", "dataset_samples", "epochs", "delta"),
        *("accountant", "groups", "smallest_group", "difference", "confidence", "compute_time"),
    )
    gives = ("dp_slowdown",)
    phase = "training"
    blocks: ClassVar[Mapping[str, Mapping[str, Any]]] = {"privacy": {}}

    def outputs(self, given: Iterable[str]) -> tuple[str, ...]:
        """Return what comes out when these inputs are given."""
        known = set(given)
        more = {
            "epsilon": {"noise", "dataset_samples"},
            "subgroup_samples": {"groups"},
            "private_compute_time": {"compute_time"},
        }
        return (*self.gives, *(name for name, needs in more.items() if needs <= known))

    def read(self, given: Mapping[str, Any], numbers: Mapping[str, float], take: Assumptions) -> Any:
        """Evaluate, and slow the step's matrix work down."""
        found: dict[str, Any] = super().read(given, numbers, take)
        if "compute_time" in numbers:
            time = privacy.private_time(numbers["compute_time"], found["dp_slowdown"])
            found["private_compute_time"] = time
        return found

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read wall 20."""
        p = needed(e, "privacy", 20)
        found: dict[str, Any] = {"dp_slowdown": p.slowdown, "epsilon": p.epsilon}
        if p.subgroups:
            found["subgroup_samples"] = privacy.subgroup_samples(p.difference, p.confidence, p.subgroups)
        return found

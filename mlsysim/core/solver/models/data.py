"""Models of the data: reading it, preparing it, and the network between the halves of a fleet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mlsysim.core.evaluation import Evaluation
from mlsysim.core.scenario import Assumptions
from mlsysim.core.solver.models.base import LAYOUT, TRAINING, PlanModel, needed
from mlsysim.physics.dataflow import Ingest, Transform, cores_needed, stall_share

# So that only one of reading and preparing makes a step wait.
_NOTHING_TO_READ = Ingest(0.0, 1.0)
_NOTHING_TO_PREPARE = Transform(0.0, 1.0)


class DataModel(PlanModel):
    """Training data read from storage while the step before computes (wall 8)."""

    walls = (8,)
    ways = (("step_time", "data_per_step", "storage_bandwidth"), ("model", "hardware", "batch_size"))
    options = (
        *("step_time", *TRAINING, *LAYOUT),
        *("storage", "storage_capacity", "bytes_per_sample", "bytes_per_token", "cached"),
    )
    gives = ("data_per_step", "storage_bandwidth", "data_stall_share")
    phase = "training"
    blocks: ClassVar[Mapping[str, Mapping[str, Any]]] = {"data": {}}

    def read(self, given: Mapping[str, Any], numbers: Mapping[str, float], take: Assumptions) -> Any:
        """Ask the physics of reading, with the numbers as given or those of the plan."""
        if self.way(given) == self.ways[0]:
            ingest = Ingest(numbers["data_per_step"], numbers["storage_bandwidth"])
            return self._values(numbers["step_time"], ingest)
        return super().read(given, numbers, take)

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read wall 8."""
        return self._values(e.state.time, needed(e, "ingest", 8))

    def _values(self, time: Any, ingest: Ingest) -> dict[str, Any]:
        return {
            "data_per_step": ingest.size,
            "storage_bandwidth": ingest.bandwidth,
            "data_stall_share": stall_share(time, ingest, _NOTHING_TO_PREPARE),
        }


class TransformationModel(PlanModel):
    """Training data prepared by processors while the step before computes (wall 9)."""

    walls = (9,)
    ways = (("step_time", "cpu_time_per_step", "cpu_cores"), ("model", "hardware", "batch_size"))
    options = ("step_time", *TRAINING, *LAYOUT, "cpu_per_sample", "cpu_per_token", "cores_per_accelerator")
    gives = ("cpu_time_per_step", "cpu_cores", "cores_needed", "cpu_stall_share")
    phase = "training"
    blocks: ClassVar[Mapping[str, Mapping[str, Any]]] = {"data": {}}

    def read(self, given: Mapping[str, Any], numbers: Mapping[str, float], take: Assumptions) -> Any:
        """Ask the physics of preparing, with the numbers as given or those of the plan."""
        if self.way(given) == self.ways[0]:
            work = Transform(numbers["cpu_time_per_step"], numbers["cpu_cores"])
            return self._values(numbers["step_time"], work)
        return super().read(given, numbers, take)

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read wall 9."""
        return self._values(e.state.time, needed(e, "transform", 9))

    def _values(self, time: Any, work: Transform) -> dict[str, Any]:
        return {
            "cpu_time_per_step": work.work,
            "cpu_cores": work.cores,
            "cores_needed": cores_needed(work.work, time),
            "cpu_stall_share": stall_share(time, _NOTHING_TO_READ, work),
        }


class TopologyModel(PlanModel):
    """What crosses between the halves of a fleet, and what its network lets through (wall 10)."""

    walls = (10,)
    ways = (("model", "hardware", "batch_size"),)
    options = (*TRAINING, *LAYOUT, "topology", "oversubscription", "pod")
    gives = ("bisection_bandwidth", "crossing", "tensor_ranks", "scale_up_domain")
    phase = "training"

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Read wall 10."""
        cut = needed(e, "cut", 10)
        return {
            "bisection_bandwidth": cut.bandwidth,
            "crossing": cut.crossing,
            "tensor_ranks": e.state.tensor_ranks,
            "scale_up_domain": e.state.domain,
        }

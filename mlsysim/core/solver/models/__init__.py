"""Tier 1: the textbook's models, each a thin door to the physics of one or two walls.

A model takes keyword arguments (entries of the zoo or their names; numbers, text such as
``"5 GB/s"``, or Pint quantities) and returns a :class:`Result`. What it is not given comes from
the registry and shows among the result's assumptions. No model has an equation or a default of
its own.
"""

from __future__ import annotations

from mlsysim.core.solver.models.algorithm import CompressionModel, InferenceScalingModel, ScalingModel
from mlsysim.core.solver.models.base import ForwardModel, PlanModel, Result
from mlsysim.core.solver.models.data import DataModel, TopologyModel, TransformationModel
from mlsysim.core.solver.models.fleet import DistributedModel, OrchestrationModel, ReliabilityModel
from mlsysim.core.solver.models.node import (
    ContinuousBatchingModel,
    EfficiencyModel,
    ServingModel,
    SingleNodeModel,
    TailLatencyModel,
    WeightStreamingModel,
)
from mlsysim.core.solver.models.operations import (
    CheckpointModel,
    EconomicsModel,
    ResponsibleEngineeringModel,
    SustainabilityModel,
)
from mlsysim.core.solver.models.ports import Port

MODELS: tuple[type[ForwardModel], ...] = (
    SingleNodeModel,
    EfficiencyModel,
    ServingModel,
    ContinuousBatchingModel,
    WeightStreamingModel,
    TailLatencyModel,
    DataModel,
    TransformationModel,
    TopologyModel,
    ScalingModel,
    InferenceScalingModel,
    CompressionModel,
    DistributedModel,
    ReliabilityModel,
    OrchestrationModel,
    EconomicsModel,
    SustainabilityModel,
    CheckpointModel,
    ResponsibleEngineeringModel,
)

__all__ = [
    "MODELS",
    "CheckpointModel",
    "CompressionModel",
    "ContinuousBatchingModel",
    "DataModel",
    "DistributedModel",
    "EconomicsModel",
    "EfficiencyModel",
    "ForwardModel",
    "InferenceScalingModel",
    "OrchestrationModel",
    "PlanModel",
    "Port",
    "ReliabilityModel",
    "ResponsibleEngineeringModel",
    "Result",
    "ScalingModel",
    "ServingModel",
    "SingleNodeModel",
    "SustainabilityModel",
    "TailLatencyModel",
    "TopologyModel",
    "TransformationModel",
    "WeightStreamingModel",
]

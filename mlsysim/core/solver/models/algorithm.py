"""Models of the algorithm: training compute, test-time compute, and compression."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlsysim.core.evaluation import Evaluation
from mlsysim.core.plan_blocks import ReasoningBlock
from mlsysim.core.scenario import Assumptions, Settings
from mlsysim.core.solver.models.base import LAYOUT, TRAINING, WORKLOAD, PlanModel, needed
from mlsysim.core.solver.models.node import REQUESTS
from mlsysim.core.training_run import fit_of
from mlsysim.physics import reasoning, scaling

"""The 22 walls of ML systems, in order."""

from __future__ import annotations

from mlsysim.walls.base import Limits, Row, State, Wall
from mlsysim.walls.w01_compute import Compute
from mlsysim.walls.w02_memory import Memory
from mlsysim.walls.w03_software import Software
from mlsysim.walls.w04_serving import Serving
from mlsysim.walls.w05_batching import Batching
from mlsysim.walls.w06_streaming import Streaming
from mlsysim.walls.w07_tail_latency import TailLatency
from mlsysim.walls.w08_ingestion import Ingestion
from mlsysim.walls.w09_transformation import Transformation
from mlsysim.walls.w10_locality import Locality
from mlsysim.walls.w11_complexity import Complexity
from mlsysim.walls.w12_reasoning import Reasoning
from mlsysim.walls.w13_fidelity import Fidelity
from mlsysim.walls.w14_communication import Communication
from mlsysim.walls.w15_fragility import Fragility
from mlsysim.walls.w16_multi_tenant import MultiTenant
from mlsysim.walls.w17_capital import Capital
from mlsysim.walls.w18_sustainability import Sustainability
from mlsysim.walls.w19_checkpoint import Checkpointing
from mlsysim.walls.w20_safety import Safety
from mlsysim.walls.w21_sensitivity import Sensitivity
from mlsysim.walls.w22_synthesis import Synthesis

WALLS: tuple[Wall, ...] = (
    Compute(),
    Memory(),
    Software(),
    Serving(),
    Batching(),
    Streaming(),
    TailLatency(),
    Ingestion(),
    Transformation(),
    Locality(),
    Complexity(),
    Reasoning(),
    Fidelity(),
    Communication(),
    Fragility(),
    MultiTenant(),
    Capital(),
    Sustainability(),
    Checkpointing(),
    Safety(),
    Sensitivity(),
    Synthesis(),
)

__all__ = ["WALLS", "Limits", "Row", "State", "Wall"]

"""The 22 walls of ML systems, in order."""

from __future__ import annotations

from mlsysim.walls.base import Limits, Row, State, Wall
from mlsysim.walls.planned import PLANNED
from mlsysim.walls.w01_compute import Compute
from mlsysim.walls.w02_memory import Memory
from mlsysim.walls.w03_software import Software
from mlsysim.walls.w10_locality import Locality
from mlsysim.walls.w14_communication import Communication
from mlsysim.walls.w17_capital import Capital
from mlsysim.walls.w18_sustainability import Sustainability

WALLS: tuple[Wall, ...] = tuple(
    sorted(
        (Compute(), Memory(), Software(), Locality(), Communication(), Capital(), Sustainability(), *PLANNED),
        key=lambda wall: wall.number,
    )
)

__all__ = ["WALLS", "Limits", "Row", "State", "Wall"]

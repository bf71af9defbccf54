"""What a plan becomes: settings (what the user said) and a scenario (all of it, in numbers)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mlsysim.core import registry
from mlsysim.core.metrics import Metric
from mlsysim.core.provenance import Value
from mlsysim.core.wanted import Wanted
from mlsysim.hardware import Hardware
from mlsysim.infra import Region
from mlsysim.models import Model
from mlsysim.physics.collectives import Network
from mlsysim.physics.job import Job, Stack
from mlsysim.physics.lora import Lora
from mlsysim.physics.memory import StateBytes
from mlsysim.physics.operations import Fleet, Site
from mlsysim.physics.roofline import Chip
from mlsysim.physics.types import Array
from mlsysim.systems import Node
from mlsysim.walls import Limits


@dataclass(frozen=True)
class Assumption:
    """Something that the engine took where the plan was silent."""

    name: str
    value: float | str | None
    unit: str
    source: str


@dataclass(frozen=True)
class Bound:
    """An assertion of the plan, in base units of its metric."""

    metric: Metric
    low: float | None
    high: float | None
    where: str = ""


@dataclass(frozen=True)
class Settings:
    """What the user set, entries looked up and units stripped; None where the plan is silent.

    ``attention_share`` replaces what fused attention reaches of the 16-bit peak over long sequences.
    ``captured`` says that a training step is launched as one graph, so that the host holds nothing up.
    ``stack`` is what the software does beside the layout; ``lora`` are adapters that are trained in the
    place of the model.
    ``fixed`` is what the plan says of decisions of the layout.
    ``blocks`` are the plan's blocks for single walls, in base units; ``given`` is how they were
    written. ``scales`` and ``amounts`` are supplies that are not what they are elsewhere: by how much
    they are multiplied, and what they are in base units, or an array over points
    (:mod:`mlsysim.core.supplies`).
    """

    model: Model
    hardware: Hardware
    name: str = ""
    phase: str = "training"
    batch: int | None = None
    seq_len: int | None = None
    precision: str | None = None
    efficiency: float | None = None
    attention_share: float | None = None
    optimizer: str | None = None
    fused_attention: bool = True
    captured: bool = False
    dropout: bool = False
    stack: Stack = Stack()
    lora: Lora | None = None
    node: Node | None = None
    nodes: int | None = None
    accelerators: int | None = None
    region: Region | None = None
    duration: float | None = None
    rented: bool = False
    pue: float | None = None
    fixed: dict[str, Wanted] = field(default_factory=dict)
    bounds: tuple[Bound, ...] = ()
    limits: Limits = Limits()
    tokens: float | None = None
    scaling_fit: str = "besiroglu_2024"
    blocks: dict[str, dict[str, Any]] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    amounts: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """A plan in numbers, ready for the physics.

    Attributes:
        settings: what the user set.
        job: the training job; None for inference.
        chip, network, site, fleet: see :mod:`mlsysim.physics`.
        width: bytes of a weight or activation.
        extras: what single walls look at, and does not depend on the layout: fields of
            :class:`mlsysim.walls.State`.
        assumptions: what was filled in, with its source.
    """

    settings: Settings
    region: Region
    precision: str
    batch: int
    seq_len: int
    accelerators: int
    chip: Chip
    network: Network
    site: Site
    fleet: Fleet
    duration: float
    width: float
    capacity: float
    reserve: float
    state: StateBytes
    optimizer: str
    job: Job | None
    extras: dict[str, Any]
    assumptions: tuple[Assumption, ...]

    @property
    def model(self) -> Model:
        """The model."""
        return self.settings.model

    @property
    def hardware(self) -> Hardware:
        """The accelerator."""
        return self.settings.hardware

    @property
    def model_layers(self) -> int:
        """Layers of the job's model."""
        assert self.job is not None
        return int(self.job.weights.layers)

    @property
    def name(self) -> str:
        """The scenario's title."""
        return self.settings.name or f"{self.model.name} on {self.hardware.name}"


class Assumptions:
    """Collects the defaults as they are used."""

    def __init__(self) -> None:
        self.taken: list[Assumption] = []

    def take(self, name: str, unit: str = "1") -> float:
        """Use a default of the registry."""
        value = registry.default(name, unit)
        self.note(name, value)
        return value.base

    def note(self, name: str, value: Value) -> None:
        """Record a registry value that fills in for the plan."""
        self.taken.append(Assumption(name, value.value, value.unit, value.source))

    def choose(self, name: str, value: str | float, why: str, unit: str = "") -> None:
        """Record a choice that is no measured number; of an array over points there is none to show."""
        if not isinstance(value, str | int | float):
            return
        self.taken.append(Assumption(name, value, unit, why))

"""What a wall is: a demand and a supply in the same unit.

The engine reads a wall's rows with floats; a formulation reads the same rows with tables and
expressions and enforces ``demand <= supply``. Walls look at a :class:`State` and at nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mlsysim.physics.operations import Bill
from mlsysim.physics.types import Array

DOMAINS = ("node", "data", "algorithm", "fleet", "operations", "analysis")


@dataclass(frozen=True)
class Limits:
    """Limits that the plan sets on walls, in base units; None where it sets none."""

    budget: float | None = None
    carbon: float | None = None
    water: float | None = None
    communication: float | None = None


@dataclass(frozen=True)
class State:
    """A workload on a fleet, as the walls and the metrics see it.

    Per step (or inference pass), in s, byte, FLOP; numbers, or tables of a formulation.

    Attributes:
        phase: ``training`` or ``inference``.
        accelerators: how many run.
        time: of one step. Of training, ``matmul``, ``stream``, ``exposed``, ``bubble`` and
            ``update`` are its parts: matrix work, memory-bound work, traffic that nothing hides,
            pipeline bubble, optimizer step. Of inference, ``matmul`` and ``stream`` overlap.
        model_flops: operations that the model asks for, over all accelerators.
        peak: dense peak of one accelerator; ``share`` is what large products reach of it.
        bandwidth: achieved memory bandwidth of one accelerator.
        memory: held by the fullest accelerator; ``state``, ``activations``, ``cache`` and
            ``reserve`` are its parts.
        capacity: of one accelerator.
        weights, flash: of a microcontroller that keeps its weights in flash; None elsewhere.
        mfu_flops: operations by the convention of published MFU figures, which counts attention over
            the whole sequence (Chowdhery 2022, appendix B).
        tokens, samples: of one step, over all accelerators; tokens is 0 where there are none.
        tensor_ranks: accelerators that share each layer's matrices.
        domain: accelerators of one scale-up domain.
        bill: what the run takes over its duration.
        duration: of the run.
    """

    phase: str
    accelerators: float
    time: Array
    matmul: Array
    stream: Array
    exposed: Array
    bubble: Array
    update: Array
    model_flops: float
    peak: float
    share: float
    bandwidth: float
    memory: Array
    state: Array
    activations: Array
    cache: Array
    reserve: float
    capacity: float
    tokens: float
    samples: float
    tensor_ranks: Array
    domain: float
    bill: Bill
    duration: float
    limits: Limits
    mfu_flops: float
    weights: Array | None = None
    flash: float | None = None


@dataclass(frozen=True)
class Row:
    """One comparison of a wall.

    Attributes:
        demand, supply: in base units; a supply of None means that nothing limits the demand.
        unit: in which people read both.
        note: what is compared.
        hard: whether exceeding it is impossible, rather than against the plan's wishes.
        by_construction: the step is as long as this demand makes it, so it always holds; it binds
            where it is what the time goes to.
    """

    demand: Array
    supply: Array | None
    unit: str
    note: str
    hard: bool = False
    by_construction: bool = False


class Wall:
    """A wall of ML systems.

    Attributes:
        number, name, domain: fixed identity; the number joins code, rows, tests and docs.
        equation: demand and supply in symbols.
        sources: ids of ``registry/sources.yaml``.
        modelled: False for a wall that the catalogue lists and the engine does not know yet.
    """

    number: ClassVar[int]
    name: ClassVar[str]
    domain: ClassVar[str]
    equation: ClassVar[str]
    sources: ClassVar[tuple[str, ...]]
    modelled: ClassVar[bool] = True

    def rows(self, s: State) -> tuple[Row, ...]:
        """Return the wall's comparisons for a state; none where it does not apply."""
        raise NotImplementedError

    def why_not(self, s: State) -> str:
        """Return why the wall does not apply, for a state without rows."""
        return "does not apply"

    @property
    def tag(self) -> str:
        """The wall's name in row names: ``w14``."""
        return f"w{self.number:02d}"

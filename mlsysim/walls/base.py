"""What a wall is: a demand and a supply in the same unit.

The engine reads a wall's rows with floats; a formulation reads the same rows with tables and
expressions and enforces ``demand <= supply``. Walls look at a :class:`State` and at nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from mlsysim.physics.checkpoint import Checkpoint
from mlsysim.physics.compression import Fidelity
from mlsysim.physics.dataflow import Ingest, Transform
from mlsysim.physics.kvcache import Batching
from mlsysim.physics.operations import Bill
from mlsysim.physics.privacy import Privacy
from mlsysim.physics.queueing import Station
from mlsysim.physics.reasoning import Chain
from mlsysim.physics.reliability import Losses
from mlsysim.physics.scaling import Budget
from mlsysim.physics.serving import Service
from mlsysim.physics.streaming import Stream, exposed_time
from mlsysim.physics.topology import Cut
from mlsysim.physics.types import Array

DOMAINS = ("node", "data", "algorithm", "fleet", "operations", "analysis")


def _limit(unit: str, wall: int, text: str, *, share: bool = False) -> Any:
    return field(default=None, metadata={"unit": unit, "wall": wall, "text": text, "share": share})


@dataclass(frozen=True)
class Limits:
    """Limits that the plan sets on walls, in base units; None where it sets none.

    Each field's metadata has the unit in which people give it, the wall that it limits, and what it
    says: the plan's ``constraints`` block and its documentation are made from them.
    """

    budget: float | None = _limit("USD", 17, "most that the run may cost")
    carbon: float | None = _limit("tCO2e", 18, "most CO2e of the run, embodied included")
    water: float | None = _limit("L", 18, "most water of the run")
    communication: float | None = _limit(
        "1", 14, "largest share of exposed communication in a step", share=True
    )
    failures: float | None = _limit("1", 15, "largest share of the run lost to failures", share=True)
    stragglers: float | None = _limit("1", 15, "largest share of the run waiting for slow ranks", share=True)
    checkpoint: float | None = _limit("1", 19, "largest share of the time at checkpoints", share=True)
    compute: float | None = _limit("FLOP", 11, "most operations of the whole run")
    tokens_per_parameter: float | None = _limit("token/param", 11, "least training tokens a parameter")
    loss: float | None = _limit("1", 11, "largest loss by the scaling law, in nats a token")
    accuracy_loss: float | None = _limit("1", 13, "largest relative loss of accuracy", share=True)
    dp_slowdown: float | None = _limit("1", 20, "largest slowdown by private training")
    epsilon: float | None = _limit("1", 20, "largest privacy loss")
    ttft: float | None = _limit("ms", 4, "longest time to the first token")
    itl: float | None = _limit("ms", 4, "longest time between tokens")
    stall: float | None = _limit("ms", 4, "longest gap between two tokens")
    preemption: float | None = _limit("1", 5, "how often requests may outgrow the KV pool", share=True)
    layer_time: float | None = _limit("ms", 6, "longest time of a layer whose weights are streamed in")
    tail: float | None = _limit("ms", 7, "longest response time at the percentile")
    ttft_tail: float | None = _limit(
        "ms", 7, "longest time to the first token at the percentile, the wait included"
    )
    answer: float | None = _limit("s", 12, "longest time to a reasoned answer")
    wait: float | None = _limit("h", 16, "longest mean wait for a place in a shared fleet")


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
        serving: with the records after it up to ``privacy``: what single walls look at, where it
            applies; see the types in :mod:`mlsysim.physics`.
        target: the tightest largest latency that the plan asserts.
        mfu_flops: operations by the convention of published MFU figures, which counts attention over
            the whole sequence (Chowdhery 2022, appendix B).
        tokens, samples: of one step, over all accelerators; tokens is 0 where there are none.
        tensor_ranks: accelerators that share each layer's matrices.
        domain: accelerators of one scale-up domain.
        bill: what the run takes over its duration.
        duration: of the run.
        alone: whether there is one accelerator, with no neighbours.
        host: optimizer state in the host's memory, for each accelerator; ``host_capacity`` is there.
        training_tokens: of the whole training run; None where it sees none.
    """

    phase: str
    accelerators: Array
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
    serving: Service | None = None
    batching: Batching | None = None
    streaming: Stream | None = None
    queue: Station | None = None
    reasoning: Chain | None = None
    tenancy: Station | None = None
    ingest: Ingest | None = None
    transform: Transform | None = None
    cut: Cut | None = None
    losses: Losses | None = None
    checkpoint: Checkpoint | None = None
    scaling: Budget | None = None
    compression: Fidelity | None = None
    privacy: Privacy | None = None
    target: float | None = None
    alone: bool = False
    host: Array = 0.0
    host_capacity: float = 0.0
    training_tokens: float | None = None


def parts_of(s: State) -> dict[str, Array]:
    """Return the parts of a step's time by what they go to; numbers, or arrays over points."""
    parts = {
        "compute": s.matmul,
        "memory": s.stream + s.update,
        "communication": s.exposed,
        "bubble": s.bubble,
    }
    if s.streaming is not None:
        parts["streaming"] = exposed_time(s.streaming)
    return parts


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
        asserted: an assertion of the plan enforces the same; the row only shows it.
    """

    demand: Array
    supply: Array | None
    unit: str
    note: str
    hard: bool = False
    by_construction: bool = False
    asserted: bool = False

    @property
    def enforced(self) -> bool:
        """Whether the supply, where there is one, rules anything out by this row."""
        return not self.by_construction and not self.asserted


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

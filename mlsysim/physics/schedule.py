"""Pipeline schedules played event by event: 1F1B and its interleaved form, as Megatron-LM orders them.

:mod:`mlsysim.physics.pipeline` has how long they take in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mlsysim.physics.layer import LayerPart
from mlsysim.physics.training import PipelinePart
from mlsysim.physics.types import Array

Op = tuple[str, int, int]  # forward ("f") or backward ("b"), microbatch, model chunk


class Bar(NamedTuple):
    """A microbatch's pass through a chunk of a stage, from a time to a time [s]."""

    stage: int
    way: str
    microbatch: int
    chunk: int
    start: float
    end: float


@dataclass(frozen=True)
class Played:
    """A schedule that has run.

    Attributes:
        time: until the last stage is done [s].
        held: how many chunks of microbatches each stage holds at its fullest.
        bars: what each stage did, in order of time on each.
    """

    time: float
    held: tuple[int, ...]
    bars: tuple[Bar, ...]

    def idle(self, stage: int) -> float:
        """Return the time in which a stage waits [s]."""
        return self.time - sum(b.end - b.start for b in self.bars if b.stage == stage)


def order(p: int, v: int, m: int, stage: int) -> list[Op]:
    """Return the order of work on a stage: a warm-up of forward passes, one of each in turn, the rest.

    ``p - s - 1`` microbatches go ahead, or, interleaved, ``2 (p - s - 1) + (v - 1) p`` chunks of
    microbatches that come in groups of ``p`` (Narayanan 2021, section 2.2; Megatron-LM, ``schedules.py``).

    Args:
        p: stages.
        v: model chunks of a stage.
        m: microbatches; a multiple of ``p`` where chunks are interleaved.
        stage: from 0.
    """

    def chunk(k: int) -> tuple[int, int]:
        group, place = divmod(k, p * v)
        return group * p + place % p, place // p

    forward: list[Op] = [("f", *chunk(k)) for k in range(m * v)]
    backward: list[Op] = [("b", mb, v - 1 - c) for mb, c in (chunk(k) for k in range(m * v))]
    ahead = p - stage - 1 if v == 1 else 2 * (p - stage - 1) + (v - 1) * p
    ahead = min(ahead, m * v)
    turns = [op for pair in zip(forward[ahead:], backward, strict=False) for op in pair]
    return forward[:ahead] + turns + backward[m * v - ahead :]


def before(op: Op, stage: int, p: int, v: int) -> tuple[Op, int] | None:
    """Return what must end before an operation, and on which stage; None where nothing must."""
    way, mb, c = op
    if way == "f":
        if stage > 0:
            return op, stage - 1
        return (("f", mb, c - 1), p - 1) if c > 0 else None
    if stage < p - 1:
        return op, stage + 1
    return (("b", mb, c + 1), 0) if c < v - 1 else (("f", mb, c), stage)


def play(forward: Sequence[float], backward: Sequence[float], m: int, v: int = 1, hop: float = 0.0) -> Played:
    """Return a schedule as it runs.

    Args:
        forward: time of each stage for all of its chunks of one microbatch [s].
        backward: likewise.
        m: microbatches.
        v: model chunks of a stage.
        hop: time to send an activation or a gradient to the next stage, during which both work on [s].
    """
    p = len(forward)
    orders = [order(p, v, m, s) for s in range(p)]
    ended: dict[tuple[Op, int], float] = {}
    at, clock = [0] * p, [0.0] * p
    held, most = [0] * p, [0] * p
    bars: list[Bar] = []
    while any(at[s] < len(orders[s]) for s in range(p)):
        moved = False
        for s in range(p):
            while at[s] < len(orders[s]):
                op = orders[s][at[s]]
                wait = before(op, s, p, v)
                if wait is not None and wait not in ended:
                    break
                sent = hop if wait is not None and wait[1] != s else 0.0
                start = max(clock[s], ended[wait] + sent if wait is not None else 0.0)
                clock[s] = start + (forward[s] if op[0] == "f" else backward[s]) / v
                ended[op, s] = clock[s]
                bars.append(Bar(s, *op, start, clock[s]))
                held[s] += 1 if op[0] == "f" else -1
                most[s] = max(most[s], held[s])
                at[s] += 1
                moved = True
        assert moved, "the schedule waits for itself"
    return Played(max(clock), tuple(most), tuple(bars))


def stage_times(
    layers: float, whole: LayerPart, pipe: PipelinePart
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the forward and backward time of each stage for one microbatch [s].

    Stages between the ends share their layers as evenly as can be. Of the vocabulary layer the backward
    pass is taken to be two of three products.

    Args:
        layers: of the model.
        whole: one layer and one microbatch; of one layout.
        pipe: the pipeline of the same layout.
    """
    p = int(_one(pipe.stages))
    first, last = _one(pipe.first), _one(pipe.last)
    counts = [first, last] if p > 1 else [layers]
    if p > 2:
        between, extra = divmod(int(layers - first - last), p - 2)
        counts[1:1] = [between + (n < extra) for n in range(p - 2)]
    most = _one(pipe.again_fullest)
    back = _one(whole.backward)
    once = _one(whole.matmul + whole.elementwise + whole.exposed) - back
    again = _one(whole.again_matmul + whole.again_elementwise + whole.again_exposed)
    head = [0.0] * (p - 1) + [_one(whole.head + whole.head_stream)]
    return (
        tuple(once * n + h / 3.0 for n, h in zip(counts, head, strict=True)),
        tuple(back * n + again * min(most, n) + h * 2.0 / 3.0 for n, h in zip(counts, head, strict=True)),
    )


def hop_time(whole: LayerPart, pipe: PipelinePart) -> float:
    """Return the time to send what a microbatch leaves to the next stage [s]."""
    if _one(pipe.stages) <= 1:
        return 0.0
    return _one(whole.boundary * pipe.hop_per_byte + pipe.hop_latency)


def _one(x: Array) -> float:
    return float(np.squeeze(x))

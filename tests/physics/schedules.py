"""Pipeline schedules played event by event: 1F1B and its interleaved form, as Megatron-LM orders them."""

from __future__ import annotations

from dataclasses import dataclass

Op = tuple[str, int, int]  # forward or backward, microbatch, model chunk


@dataclass(frozen=True)
class Played:
    """How long a schedule takes, and how many chunks each stage holds at its fullest."""

    time: float
    held: tuple[int, ...]


def order(p: int, v: int, m: int, stage: int) -> list[Op]:
    """The order of work on a stage: a warm-up of forward passes, one of each in turn, the rest.

    Megatron-LM, ``schedules.py``: ``p - s - 1`` microbatches go ahead, or, interleaved,
    ``2 (p - s - 1) + (v - 1) p`` chunks of microbatches that come in groups of ``p``.
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
    """What must end before an operation, and on which stage."""
    way, mb, c = op
    if way == "f":
        if stage > 0:
            return op, stage - 1
        return (("f", mb, c - 1), p - 1) if c > 0 else None
    if stage < p - 1:
        return op, stage + 1
    return (("b", mb, c + 1), 0) if c < v - 1 else (("f", mb, c), stage)


def play(forward: list[float], backward: list[float], m: int, v: int = 1) -> Played:
    """Play a schedule whose stages take so long for all of their chunks of one microbatch."""
    p = len(forward)
    orders = [order(p, v, m, s) for s in range(p)]
    ended: dict[tuple[Op, int], float] = {}
    at, clock = [0] * p, [0.0] * p
    held, most = [0] * p, [0] * p
    while any(at[s] < len(orders[s]) for s in range(p)):
        moved = False
        for s in range(p):
            while at[s] < len(orders[s]):
                op = orders[s][at[s]]
                wait = before(op, s, p, v)
                if wait is not None and wait not in ended:
                    break
                start = max(clock[s], ended[wait] if wait is not None else 0.0)
                clock[s] = start + (forward[s] if op[0] == "f" else backward[s]) / v
                ended[op, s] = clock[s]
                held[s] += 1 if op[0] == "f" else -1
                most[s] = max(most[s], held[s])
                at[s] += 1
                moved = True
        assert moved, "the schedule waits for itself"
    return Played(max(clock), tuple(most))

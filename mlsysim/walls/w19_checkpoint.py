"""Wall 19: checkpoint."""

from __future__ import annotations

from mlsysim.physics.checkpoint import Checkpoint
from mlsysim.walls.base import Row, State, Wall


class Checkpointing(Wall):
    """Writing checkpoints stops the run for at most its share of the time, and keeps up.

    The bottleneck is the bandwidth at which storage takes them (Eisenman 2022); the interval is by
    default the one that loses least (Young 1974, Daly 2006).
    """

    number, name, domain = 19, "Checkpoint", "operations"
    equation = "standstill / interval <= share;  checkpoint <= write bandwidth x (interval + standstill)"
    sources = ("eisenman_2022", "young_1974", "daly_2006")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare the standstill with the interval, and the checkpoint with what can be written."""
        c: Checkpoint | None = getattr(s, "checkpoint", None)
        if c is None:
            return ()
        allowed: float | None = getattr(s.limits, "checkpoint", None)
        return (
            Row(
                c.stall,
                None if allowed is None else allowed * c.interval,
                "s",
                "standstill for a checkpoint"
                + ("" if allowed is None else f" against {100.0 * allowed:g}% of the interval"),
            ),
            Row(
                c.size,
                c.bandwidth * (c.interval + c.stall),
                "GB",
                "a checkpoint against what storage takes until the next one",
                hard=True,
            ),
        )

    def why_not(self, s: State) -> str:
        """Say that there is no training state, or nowhere to write it."""
        return "inference changes no weights" if s.phase == "inference" else "no storage is known"

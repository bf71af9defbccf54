"""Wall 15: fragility."""

from __future__ import annotations

from mlsysim.physics.reliability import Losses
from mlsysim.physics.types import Array
from mlsysim.walls.base import Row, State, Wall


class Fragility(Wall):
    """Failures and slow ranks take at most their share of a run.

    A run of N parts fails N times as often as one of them. Each failure loses the work since the
    last checkpoint and the time to notice it and to restart (Young 1974, Daly 2006); rates after
    Kokolis 2024 and Dubey 2024.
    """

    number, name, domain = 15, "Fragility", "fleet"
    equation = (
        "time lost to failures(MTBF / N, interval, detection, restart) <= share x duration;  "
        "waiting for the slowest rank <= share x duration"
    )
    sources = ("young_1974", "daly_2006", "kokolis_2024", "llama3_2024")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare what failures and stragglers take of the run with what the plan allows."""
        losses: Losses | None = getattr(s, "losses", None)
        if losses is None:
            return ()
        return (
            _row(s, losses.failing, "failures", "lost to failures over the run"),
            _row(s, losses.straggling, "stragglers", "spent waiting for the slowest rank over the run"),
        )

    def why_not(self, s: State) -> str:
        """Say that no step waits for all ranks, or that no failure rate is known."""
        if s.phase == "inference":
            return "replicas serve on when one of them fails"
        return "no failure rate is known"


def _row(s: State, share: Array, limit: str, note: str) -> Row:
    allowed: float | None = getattr(s.limits, limit, None)
    if allowed is None:
        return Row(share * s.duration, None, "h", note)
    return Row(share * s.duration, allowed * s.duration, "h", f"{note}, against {100.0 * allowed:g}% of it")

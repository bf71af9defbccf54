"""Wall 16: multi-tenant."""

from __future__ import annotations

from mlsysim.physics import queueing
from mlsysim.physics.queueing import Station
from mlsysim.walls.base import Row, State, Wall
from mlsysim.walls.w07_tail_latency import settled


class MultiTenant(Wall):
    """A job that shares a fleet waits for its place no longer than allowed (Little 1961).

    The mean wait of G/G/c after Allen and Cunneen, exact for M/M/c and M/G/1.
    """

    number, name, domain = 16, "Multi-tenant", "fleet"
    equation = "mean wait at utilization rho <= allowed;  rho < 1"
    sources = ("little_1961", "kingman_1961", "allen_1990")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare the mean wait for a place with the wait that is allowed."""
        q: Station | None = getattr(s, "tenancy", None)
        if q is None:
            return ()
        row = Row(
            queueing.mean_wait(q),
            getattr(s.limits, "wait", None),
            "h" if s.phase == "training" else "ms",
            "mean wait for a place in the shared fleet",
        )
        return settled(q, row)

    def why_not(self, s: State) -> str:
        """Nobody to wait for."""
        return "the fleet is not shared"

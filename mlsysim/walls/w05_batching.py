"""Wall 5: batching."""

from __future__ import annotations

from mlsysim.physics import kvcache
from mlsysim.physics.kvcache import Batching as Requests
from mlsysim.walls.base import Row, State, Wall


class Batching(Wall):
    """The KV cache of the requests that run at once fits the pool cut into blocks (Kwon 2023)."""

    number, name, domain = 5, "Batching", "node"
    equation = "requests x blocks a request (paged, or the longest reserved) <= blocks of the KV pool"
    sources = ("kwon_2023",)

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare the blocks of running requests with the pool, on average and as lengths vary."""
        b: Requests | None = getattr(s, "batching", None)
        if b is None:
            return ()
        pool = kvcache.pool_blocks(b)
        kind = "paged as they grow" if b.paged else "reserved for the longest sequence"
        rows = [Row(kvcache.demand_blocks(b), pool, "", f"KV blocks of running requests, {kind}", hard=True)]
        risk: float | None = getattr(s.limits, "preemption", None)
        if risk is not None:
            rows.append(
                Row(
                    kvcache.demand_blocks(b, risk),
                    pool,
                    "",
                    f"KV blocks that running requests outgrow {risk:.3g} of the time",
                )
            )
        return tuple(rows)

    def why_not(self, s: State) -> str:
        """Say what is missing."""
        if s.phase == "training":
            return "training keeps no KV cache"
        return "the model keeps no KV cache"

"""Wall 7: tail latency."""

from __future__ import annotations

import numpy as np

from mlsysim.physics import queueing
from mlsysim.physics.occupancy import first_token_quantile
from mlsysim.physics.queueing import Station
from mlsysim.physics.serving import Service
from mlsysim.walls.base import Row, State, Wall


class TailLatency(Wall):
    """The slowest requests, with their wait and whatever they fan out to, are answered in time.

    Erlang C, with waits of variable service after Cosmetatos and Tijms; fan-out after Dean and
    Barroso 2013.
    """

    number, name, domain = 7, "Tail latency", "node"
    equation = "P99 of wait and service (M/M/c, Erlang C) <= target;  offered load < servers"
    sources = ("dean_2013", "erlang_1917", "allen_1990", "cosmetatos_1976", "tijms_1986")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare the percentile of the response time with its target, and the load with the servers."""
        q: Station | None = getattr(s, "queue", None)
        if q is None:
            return ()
        fan = "" if np.ndim(q.fanout) or q.fanout == 1.0 else f", slowest of {q.fanout:g}"
        share = "" if np.ndim(q.percentile) else f" of {q.percentile:.4g} of requests"
        rows = [
            Row(
                queueing.response_quantile(q),
                getattr(s.limits, "tail", None),
                "ms",
                f"response time{share}{fan}",
            )
        ]
        first: float | None = getattr(s.limits, "ttft_tail", None)
        service: Service | None = getattr(s, "serving", None)
        if first is not None and service is not None:
            rows.append(
                Row(
                    first_token_quantile(service, q),
                    first,
                    "ms",
                    f"time to first token{share}, wait included",
                )
            )
        return settled(q, *rows)

    def why_not(self, s: State) -> str:
        """Say what is missing."""
        return "training has no requests" if s.phase == "training" else "the plan says no rate of requests"


def settled(q: Station, *rows: Row) -> tuple[Row, ...]:
    """Return rows about a queue, or for a queue that grows without end the row that says so.

    A formulation's tables get both, since they hold queues of either kind.
    """
    load = queueing.offered_load(q.rate, q.service)
    room = queueing.STABLE * q.servers
    full = Row(load, room, "", "servers' worth of work against servers", hard=True)
    if np.ndim(load) or np.ndim(room):
        return (*rows, full)
    return rows if load <= room else (full,)

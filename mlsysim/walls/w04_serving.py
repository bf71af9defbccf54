"""Wall 4: serving."""

from __future__ import annotations

import numpy as np

from mlsysim.physics.serving import Service
from mlsysim.physics.types import Array
from mlsysim.walls.base import Row, State, Wall


class Serving(Wall):
    """Answers begin and go on as fast as their readers are promised.

    Prefill is compute-bound, decode bandwidth-bound (Pope 2023); whole prompts stall running
    answers (Agrawal 2024).
    """

    number, name, domain = 4, "Serving", "node"
    equation = "time to first token <= target;  inter-token latency, longest gap <= targets"
    sources = ("pope_2023", "agrawal_2024", "leviathan_2023", "zhong_2024", "patel_2024")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare time to first token, time between tokens and the longest gap with their targets."""
        service: Service | None = getattr(s, "serving", None)
        if service is None:
            return ()
        bound = _bound(service.prefill_compute, service.prefill_stream)
        between = _bound(service.decode_compute, service.decode_stream)
        return (
            Row(service.ttft, getattr(s.limits, "ttft", None), "ms", f"time to first token{bound}"),
            Row(service.itl, getattr(s.limits, "itl", None), "ms", f"inter-token latency{between}"),
            Row(service.stall, getattr(s.limits, "stall", None), "ms", "longest gap between two tokens"),
        )

    def why_not(self, s: State) -> str:
        """Say what is missing."""
        if s.phase == "training":
            return "training has no requests"
        return "no requests are served token by token"


def _bound(compute: Array, stream: Array) -> str:
    """Return what bounds a pass, as a clause of a note; nothing where that differs or is unknown."""
    if np.ndim(compute) or np.ndim(stream) or compute == stream:
        return ""
    return ", compute-bound" if compute > stream else ", bandwidth-bound"

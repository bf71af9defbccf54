"""Wall 1: compute."""

from __future__ import annotations

from mlsysim.walls.base import Row, State, Wall


class Compute(Wall):
    """Operations cannot be done faster than the achieved rate allows (Williams 2009)."""

    number, name, domain = 1, "Compute", "node"
    equation = "operations per accelerator <= peak(precision) x share x time"
    sources = ("williams_2009",)

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare the time of matrix work with the step."""
        rate = s.peak * s.share
        return (
            Row(
                s.matmul * rate,
                s.time * rate,
                "TFLOP",
                "operations (padding and recomputation included) against the achieved rate over the step",
                by_construction=True,
            ),
        )

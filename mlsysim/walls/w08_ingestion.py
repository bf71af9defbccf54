"""Wall 8: ingestion."""

from __future__ import annotations

import numpy as np

from mlsysim.physics.dataflow import Ingest
from mlsysim.walls.base import Row, State, Wall


class Ingestion(Wall):
    """Storage gives training data no slower than the accelerators take it (Mohan 2021)."""

    number, name, domain = 8, "Ingestion", "data"
    equation = "bytes read per step <= storage bandwidth x time"
    sources = ("mohan_2021",)

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare what a step reads with what storage gives in the time of a step."""
        ingest: Ingest | None = getattr(s, "ingest", None)
        if ingest is None:
            return ()
        return (
            Row(
                ingest.size,
                ingest.bandwidth * s.time if ingest.bandwidth < np.inf else None,
                "GB",
                "training data read per step against what storage gives in that time",
                hard=True,
            ),
        )

    def why_not(self, s: State) -> str:
        """Say that nothing is read, or that its size is unknown."""
        return "requests bring their data" if s.phase == "inference" else "the size of a sample is not known"

"""Wall 9: transformation."""

from __future__ import annotations

import numpy as np

from mlsysim.physics.dataflow import Transform
from mlsysim.walls.base import Row, State, Wall


class Transformation(Wall):
    """Processors prepare training data no slower than the accelerators take it.

    Decode, tokenize and augment, beside the step (Murray 2021; Mohan 2021).
    """

    number, name, domain = 9, "Transformation", "data"
    equation = "CPU seconds per step <= cores x time"
    sources = ("murray_2021", "mohan_2021")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare the processor time of a step with what the cores have in the time of a step."""
        transform: Transform | None = getattr(s, "transform", None)
        if transform is None:
            return ()
        return (
            Row(
                transform.work,
                transform.cores * s.time if transform.cores < np.inf else None,
                "s",
                "CPU time to decode, tokenize and augment a step against the time of all cores",
                hard=True,
            ),
        )

    def why_not(self, s: State) -> str:
        """Say that nothing is prepared, or that too little is known of it."""
        if s.phase == "inference":
            return "requests bring their data"
        return "the CPU time of a sample or the server's cores are not known"

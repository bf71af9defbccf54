"""Wall 3: software."""

from __future__ import annotations

from mlsysim.walls.base import Row, State, Wall


class Software(Wall):
    """The share of the peak that a whole step reaches stays below what its kernels reach.

    MFU counts the model's own operations (Chowdhery 2022, appendix B).
    """

    number, name, domain = 3, "Software", "node"
    equation = "model operations / (accelerators x peak x time) <= share that kernels reach"
    sources = ("chowdhery_2022", "dao_2022")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare the model's operations with what its kernels could do in the step."""
        whole = s.accelerators * s.peak
        return (
            Row(
                s.model_flops,
                s.share * whole * s.time,
                "TFLOP",
                "operations that the model asks for against what its kernels could do",
                by_construction=True,
            ),
        )

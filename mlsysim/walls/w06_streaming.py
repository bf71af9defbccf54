"""Wall 6: streaming."""

from __future__ import annotations

from mlsysim.physics import streaming
from mlsysim.physics.streaming import Stream
from mlsysim.walls.base import Row, State, Wall


class Streaming(Wall):
    """Weights that come in layer by layer hide behind the work on the layer before (Lie 2023)."""

    number, name, domain = 6, "Streaming", "node"
    equation = "max(weights / injection bandwidth, compute) <= layer time"
    sources = ("lie_2023", "cerebras_cs2_whitepaper")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare a layer's weights with what the link brings in, and its time with the target."""
        stream: Stream | None = getattr(s, "streaming", None)
        if stream is None:
            return ()
        time = streaming.layer_time(stream)
        target: float | None = getattr(s.limits, "layer_time", None)
        rows = [
            Row(
                stream.weights,
                stream.injection * time,
                "GB",
                "weights of a layer against what comes in during it",
                by_construction=True,
            )
        ]
        if target is not None:
            rows.append(Row(time, target, "ms", "time of a layer: the longer of its load and its work"))
        return tuple(rows)

    def why_not(self, s: State) -> str:
        """Weights at hand need no link."""
        return "the weights lie in the accelerator's memory"

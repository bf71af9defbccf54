"""Wall 2: memory."""

from __future__ import annotations

from mlsysim.walls.base import Row, State, Wall


class Memory(Wall):
    """What a run holds must fit, and what it moves takes time.

    Training state after Rajbhandari 2020, activations after Korthikanti 2022.
    """

    number, name, domain = 2, "Memory", "node"
    equation = (
        "weights + gradients + optimizer + activations + KV + buffers <= capacity;  "
        "bytes moved <= bandwidth x time"
    )
    sources = ("korthikanti_2022", "rajbhandari_2020")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare capacity on the fullest accelerator, and traffic over the step."""
        flash: tuple[Row, ...] = ()
        if s.flash is not None:
            flash = (Row(s.weights, s.flash, "GiB", "weights in flash", hard=True),)
        host: tuple[Row, ...] = ()
        if not isinstance(s.host, int | float) or s.host:
            host = (Row(s.host, s.host_capacity, "GB", "optimizer state in the host's memory", hard=True),)
        return (
            *flash,
            Row(s.memory, s.capacity, "GiB", "held on the fullest accelerator", hard=True),
            Row(
                (s.stream + s.update) * s.bandwidth,
                s.time * s.bandwidth,
                "GB",
                "moved by memory-bound work against the achieved bandwidth over the step",
                by_construction=True,
            ),
            *host,
        )

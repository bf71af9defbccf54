"""Wall 14: communication."""

from __future__ import annotations

from mlsysim.walls.base import Row, State, Wall


class Communication(Wall):
    """Traffic that no computation hides takes at most its share of the step.

    Alpha-beta cost of each collective on its tier (Patarasuk 2009), tensor parallelism after
    Shoeybi 2019.
    """

    number, name, domain = 14, "Communication", "fleet"
    equation = "exposed time of collectives <= share x time"
    sources = ("patarasuk_2009", "shoeybi_2019")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare exposed traffic with the share of the step that the plan allows."""
        if s.accelerators <= 1:
            return ()
        limit = s.limits.communication
        return (
            Row(
                s.exposed,
                None if limit is None else limit * s.time,
                "ms",
                "exposed traffic" + (f" against {limit:.0%} of the step" if limit else ""),
            ),
        )

    def why_not(self, s: State) -> str:
        """One accelerator has nobody to talk to."""
        return "one accelerator"

"""Wall 14: communication."""

from __future__ import annotations

from mlsysim.physics.collectives import Load
from mlsysim.walls.base import Row, State, Wall


class Communication(Wall):
    """Traffic that no computation hides takes at most its share of the step.

    Alpha-beta cost of each collective on its tier: the best of ring (Patarasuk 2009), recursive
    (Thakur 2005), tree (Sanders 2009) and two-level (Cho 2019) algorithms; tensor parallelism after
    Shoeybi 2019. Hidden or not, traffic takes its time on the links.
    """

    number, name, domain = 14, "Communication", "fleet"
    equation = "exposed time of collectives <= share x time;  bytes sent <= link bandwidth x time"
    sources = ("patarasuk_2009", "shoeybi_2019", "thakur_2005", "sanders_2009", "cho_2019")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare exposed traffic with its share of the step, and all traffic with the links."""
        if s.alone:
            return ()
        limit = s.limits.communication
        exposed = Row(
            s.exposed,
            None if limit is None else limit * s.time,
            "ms",
            "exposed traffic" + (f" against {limit:.0%} of the step" if limit else ""),
        )
        loads: tuple[Load, ...] = getattr(s, "links", None) or ()
        return (
            exposed,
            *(
                Row(
                    load.size,
                    load.bandwidth * s.time,
                    "GB",
                    f"sent by one accelerator on the {load.tier} network against its link over the step",
                    by_construction=True,
                )
                for load in loads
            ),
        )

    def why_not(self, s: State) -> str:
        """One accelerator has nobody to talk to."""
        return "one accelerator"

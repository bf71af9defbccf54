"""Wall 10: locality."""

from __future__ import annotations

from mlsysim.physics.topology import Cut
from mlsysim.walls.base import Row, State, Wall


class Locality(Wall):
    """Traffic stays where bandwidth is high (Dally and Towles 2003).

    Tensor-parallel ranks exchange activations several times a layer, so they share one scale-up
    domain. What goes from one half of the network to the other fits its bisection (Leiserson 1985;
    Kim 2008 for dragonflies).
    """

    number, name, domain = 10, "Locality", "data"
    equation = (
        "tensor-parallel ranks <= accelerators of a scale-up domain;  "
        "bytes crossing the cut <= bisection bandwidth(topology, oversubscription) x time"
    )
    sources = ("dally_2003", "leiserson_1985", "kim_2008", "shoeybi_2019")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare the tensor-parallel size with the domain, and traffic with the bisection."""
        if s.alone:
            return ()
        ranks = Row(
            s.tensor_ranks,
            s.domain,
            "device",
            "tensor-parallel ranks against the scale-up domain",
            hard=True,
        )
        cut: Cut | None = getattr(s, "cut", None)
        if cut is None:
            return (ranks,)
        return (
            ranks,
            Row(
                cut.crossing,
                cut.bandwidth * s.time,
                "GB",
                "sent between the halves of the network against its bisection over the step",
                hard=True,
            ),
        )

    def why_not(self, s: State) -> str:
        """One accelerator has no neighbours."""
        return "one accelerator"

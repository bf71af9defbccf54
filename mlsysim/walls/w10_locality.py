"""Wall 10: locality."""

from __future__ import annotations

from mlsysim.walls.base import Row, State, Wall


class Locality(Wall):
    """Traffic of every layer stays where bandwidth is high (Dally and Towles 2003).

    Tensor-parallel ranks exchange activations several times a layer, so they share one scale-up
    domain.
    """

    number, name, domain = 10, "Locality", "data"
    equation = "tensor-parallel ranks <= accelerators of a scale-up domain"
    sources = ("dally_2003", "shoeybi_2019")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare the tensor-parallel size with the scale-up domain."""
        if s.accelerators <= 1:
            return ()
        return (
            Row(
                s.tensor_ranks,
                s.domain,
                "device",
                "tensor-parallel ranks against the scale-up domain",
                hard=True,
            ),
        )

    def why_not(self, s: State) -> str:
        """One accelerator has no neighbours."""
        return "one accelerator"

"""Wall 13: fidelity."""

from __future__ import annotations

from mlsysim.physics.compression import Fidelity as Measured
from mlsysim.walls.base import Row, State, Wall


class Fidelity(Wall):
    """What precision and sparsity take from a model's accuracy stays within a tolerance.

    The loss is looked up in published tables (Han 2015 for pruning, Gholami 2021 for the field);
    no equation predicts it.
    """

    number, name, domain = 13, "Fidelity", "algorithm"
    equation = "relative accuracy loss of precision and sparsity <= tolerance"
    sources = ("han_2015", "gholami_2021")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare the published loss with the tolerance."""
        found: Measured | None = getattr(s, "compression", None)
        if found is None:
            return ()
        note = "; ".join(text for text in (found.metric, found.basis) if text)
        return (Row(found.loss, getattr(s.limits, "accuracy_loss", None), "1", note),)

    def why_not(self, s: State) -> str:
        """No table comes near, and nothing is made up."""
        return "no published table for this method, format and size of model"

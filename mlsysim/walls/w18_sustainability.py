"""Wall 18: sustainability."""

from __future__ import annotations

from mlsysim.walls.base import Row, State, Wall


class Sustainability(Wall):
    """A run emits and drinks at most its caps (Patterson 2021, Li 2023)."""

    number, name, domain = 18, "Sustainability", "operations"
    equation = "operational + embodied carbon <= cap;  water on site + at the power plants <= cap"
    sources = ("patterson_2021", "li_2023")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare carbon and water of the run with their caps."""
        return (
            Row(s.bill.carbon, s.limits.carbon, "tCO2e", "carbon over the run, embodied included"),
            Row(s.bill.water, s.limits.water, "L", "water over the run"),
        )

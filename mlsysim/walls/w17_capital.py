"""Wall 17: capital."""

from __future__ import annotations

from mlsysim.walls.base import Row, State, Wall


class Capital(Wall):
    """A run costs at most its budget (Barroso 2018, chapter 6)."""

    number, name, domain = 17, "Capital", "operations"
    equation = "capital share + energy + upkeep, or rent <= budget"
    sources = ("barroso_2018",)

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare the total cost of the run with the budget."""
        return (Row(s.bill.tco, s.limits.budget, "USD", "total cost over the run"),)

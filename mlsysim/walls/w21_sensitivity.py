"""Wall 21: sensitivity."""

from __future__ import annotations

from mlsysim.physics.types import Array
from mlsysim.walls.base import Row, State, Wall, parts_of

# What shortens a part of the step. The bubble shrinks along with the others.
SUPPLIES = {
    "compute": "compute rate",
    "memory": "memory bandwidth",
    "communication": "network",
    "streaming": "weight stream",
}


class Sensitivity(Wall):
    """What one more percent of a supply is worth.

    Forward reading: to first order, the share of the step that goes to the supply's part (Williams
    2009). It binds where one supply makes up 95% of the step: nothing else is worth anything then.
    Work that overlaps makes it less, a pipeline bubble that shrinks along makes it more.
    Elasticities of every metric come from :mod:`mlsysim.core.solver.sensitivity`, prices of a
    solved plan from solving again.
    """

    number, name, domain = 21, "Sensitivity", "analysis"
    equation = "-d ln time / d ln supply ~ time of the supply's part / time"
    sources = ("williams_2009",)

    def rows(self, s: State) -> tuple[Row, ...]:
        """Hold the parts of the step, the longest first, against the whole of it."""
        by_part = parts_of(s)
        parts = [(supply, by_part[part]) for part, supply in SUPPLIES.items() if part in by_part]
        plain = _plain(s.time) and all(_plain(part) for _, part in parts)
        if plain:
            parts.sort(key=lambda pair: -float(pair[1]))

        def note(name: str, part: Array) -> str:
            if not plain:
                return f"{name}: its part of the step"
            return f"{name}: 1% more of it saves up to about {part / s.time:.2f}% of the step"

        return tuple(Row(part, s.time, "ms", note(name, part), by_construction=True) for name, part in parts)


def _plain(x: Array) -> bool:
    return isinstance(x, int | float)

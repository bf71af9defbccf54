"""Wall 21: sensitivity."""

from __future__ import annotations

from mlsysim.physics.types import Array
from mlsysim.walls.base import Row, State, Wall


class Sensitivity(Wall):
    """What one more percent of a supply is worth.

    Forward reading: to first order, the share of the step that goes to the supply's part (Williams
    2009). Work that overlaps makes it less, a pipeline bubble that shrinks along makes it more.
    Elasticities of every metric come from :mod:`mlsysim.core.solver.sensitivity`, prices of a
    solved plan from solving again.
    """

    number, name, domain = 21, "Sensitivity", "analysis"
    equation = "-d ln time / d ln supply ~ time of the supply's part / time"
    sources = ("williams_2009",)

    def rows(self, s: State) -> tuple[Row, ...]:
        """Show the parts of the step, the longest first; nothing limits them."""
        parts: list[tuple[str, Array]] = [
            ("compute rate", s.matmul),
            ("memory bandwidth", s.stream + s.update),
            ("network", s.exposed),
        ]
        if not (_plain(s.time) and all(_plain(part) for _, part in parts)):
            return tuple(Row(part, None, "ms", f"{name}: its part of the step") for name, part in parts)
        parts.sort(key=lambda pair: -float(pair[1]))
        return tuple(
            Row(part, None, "ms", f"{name}: 1% more of it saves up to about {part / s.time:.2f}% of the step")
            for name, part in parts
        )


def _plain(x: Array) -> bool:
    return isinstance(x, int | float)

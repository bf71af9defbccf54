"""What each formulation says, in mathematics and with the code's names: the one source of its page.

Nothing here is imported by a solve. The tests hold every name against the problems that the recipes write.
"""

from __future__ import annotations

from formulations.statements import batching, fleets, parallelism, placement, serving
from formulations.statements.base import Formula, Named, RowOf, Statement

STATEMENTS: tuple[Statement, ...] = (
    parallelism.STATEMENT,
    placement.STATEMENT,
    fleets.STATEMENT,
    batching.STATEMENT,
    serving.STATEMENT,
)

__all__ = ["STATEMENTS", "Formula", "Named", "RowOf", "Statement"]

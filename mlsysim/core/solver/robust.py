"""The plan whose worst case is best."""

from __future__ import annotations

from dataclasses import dataclass

from mlsysim.core.evaluation import Json


@dataclass(frozen=True)
class Robust:
    """What the worst case is like."""

    def to_dict(self) -> Json:
        """Return it for JSON."""
        return {}

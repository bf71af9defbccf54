"""What a plan says of a decision: one value, several, or a range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Wanted:
    """The values that a plan allows a decision to take.

    Attributes:
        values: what it lists; None for a range.
        low, high: ends of a range, None where it is open.
    """

    values: tuple[Any, ...] | None = None
    low: float | None = None
    high: float | None = None

    def allows(self, value: Any) -> bool:
        """Return whether the plan allows a value."""
        if self.values is not None:
            return value in self.values
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    @property
    def single(self) -> Any:
        """The one value that the plan fixes; None where it leaves a choice."""
        return self.values[0] if self.values is not None and len(self.values) == 1 else None

    def __str__(self) -> str:
        if self.values is not None:
            return " or ".join(map(str, self.values))
        ends = (("at least", self.low), ("at most", self.high))
        return " and ".join(f"{word} {end:g}" for word, end in ends if end is not None)

    def given(self) -> Any:
        """Return it as a plan has it."""
        if self.values is not None:
            return self.single if len(self.values) == 1 else list(self.values)
        return {k: v for k, v in (("min", self.low), ("max", self.high)) if v is not None}


def wanted(given: Any) -> Wanted:
    """Return what a plan's entry says: a value, a list, or a mapping with min and max."""
    if isinstance(given, list):
        return Wanted(tuple(dict.fromkeys(given)))
    if isinstance(given, dict):
        return Wanted(None, given.get("min"), given.get("max"))
    return Wanted((given,))

"""Wall 12: reasoning."""

from __future__ import annotations

from mlsysim.physics import reasoning
from mlsysim.physics.reasoning import Chain
from mlsysim.walls.base import Row, State, Wall


class Reasoning(Wall):
    """An answer that is thought about arrives in time (Snell 2024)."""

    number, name, domain = 12, "Reasoning", "algorithm"
    equation = "time to first token + steps x tokens per step x inter-token latency <= target"
    sources = ("snell_2024", "brown_2024_monkeys")

    def rows(self, s: State) -> tuple[Row, ...]:
        """Compare the time to the chosen answer with the target."""
        c: Chain | None = getattr(s, "reasoning", None)
        if c is None:
            return ()
        return (
            Row(
                reasoning.answer_time(c),
                getattr(s.limits, "answer", None),
                "s",
                "time to the chosen answer, all steps and revisions",
            ),
        )

    def why_not(self, s: State) -> str:
        """Say what is missing."""
        return "training answers nobody" if s.phase == "training" else "the plan has no reasoning steps"

"""Why the best plan is what it is, or why there is none, and what would change that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

from mlsysim.core import text, units
from mlsysim.core.api import PlanLike, placing
from mlsysim.core.evaluation import SCHEMA_VERSION, Json
from mlsysim.core.solver.asked import How
from mlsysim.core.solver.because import Because, because
from mlsysim.core.solver.decided import changes, decided
from mlsysim.core.solver.priced import Price, Prices, Step
from mlsysim.core.solver.prices import CHANGE, price_of
from mlsysim.core.solver.question import Question, question
from mlsysim.core.solver.relaxed import Base, answered
from mlsysim.core.solver.report import needs
from mlsysim.core.solver.report import ways_out as shown_ways
from mlsysim.core.solver.ways_out import Way, ways_out


@dataclass(frozen=True)
class Explanation:
    """Why a plan's best is what it is.

    Attributes:
        question: the plan and its objective.
        base: the best plan, or why there is none.
        reasons: what the best plan rests on.
        prices: what more and less of what binds would change.
        ways: out of a conflict, each tried.
    """

    question: Question
    base: Base
    reasons: tuple[Because, ...]
    prices: Prices | None
    ways: tuple[Way, ...]

    @property
    def exit_code(self) -> int:
        """0 holds, 2 nothing fits, 3 a limit had to be given up."""
        return self.base.exit_code

    def to_dict(self) -> Json:
        """Return the JSON document of ``explain``."""
        g, b = self.question.goal, self.base
        value = None if b.value is None else units.from_base(b.value, g.unit)
        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.question.scenario.name,
            "status": b.verdict,
            "explanation": {
                "objective": {"name": g.metric, "unit": g.unit, "value": value},
                "plan": None if b.evaluation is None else decided(b.evaluation),
                "because": [r.to_dict() for r in self.reasons],
                "would_change": []
                if self.prices is None
                else self.prices.to_dict()["sensitivity"]["supplies"],
                "conflict": [c.to_dict() for c in b.conflict],
                "ways_out": [w.to_dict() for w in self.ways],
                "limits_dropped": list(b.dropped),
            },
        }

    def _sentences(self) -> list[str]:
        """Return the explanation, a paragraph a sentence."""
        b, g = self.base, self.question.goal
        found = []
        if b.conflict:
            names = " and ".join(dict.fromkeys(c.name for c in b.conflict))
            head = "No plan exists" if b.evaluation is None else "No plan keeps every limit"
            together = " together" if len(b.conflict) > 1 else ""
            found.append(f"{head}: {names} cannot hold{together} (proven).")
            found += [f"  {c.name}: {needs(c)}" for c in b.conflict]
        if b.evaluation is not None:
            value = text.amount(None if b.value is None else units.from_base(b.value, g.unit), g.unit)
            without = " without " + " and ".join(c.name for c in b.conflict) if b.dropped else ""
            found.append(
                f"The best plan{without} has a {g.title} of {value} (proven): {b.evaluation.layout}."
            )
            found += [f"Because {r.text}." for r in self.reasons]
        if self.prices is not None:
            found += [_would(self.prices, p) for p in self.prices.prices]
        return found

    def scorecard(self) -> str:
        """Return the explanation as text of 80 columns."""
        lines = [
            line
            for s in self._sentences()
            for line in text.wrap(s.strip(), "  " if s.startswith("  ") else "")
        ]
        return "\n".join([*lines, *shown_ways(self.ways)])

    def markdown(self) -> str:
        """Return the explanation as Markdown."""
        from mlsysim.core.markdown import plain

        title = f"## {plain(self.question.scenario.name)}: why"
        ways = [f"- {w.title}" for w in self.ways]
        return "\n\n".join(
            [title, *self._sentences(), *(["Ways out, each tried:", "\n".join(ways)] if ways else [])]
        )


def _would(p: Prices, x: Price) -> str:
    """Return what less and more of a supply does, as a sentence."""
    assert p.base.evaluation is not None
    mine = decided(p.base.evaluation)

    def then(s: Step, edge: float | None, word: str) -> str:
        if s.change is None:
            start = "" if edge is None else f" (from {text.amount(edge, x.unit)} on)"
            return f"with {p.share:.0%} {word} nothing fits{start}"
        amount = f"{s.change:+.2%}" if abs(s.change) > 5e-6 else "changes nothing"
        if not s.moved or edge is None:
            return f"{p.share:.0%} {word}: {amount}"
        side = "below" if s is x.less else "above"
        moved = f"{side} {text.amount(edge, x.unit)} {changes(mine, s.plan or mine)}"
        return f"{p.share:.0%} {word}: {amount}, and {moved}"

    there = text.amount(units.from_base(x.there, x.unit), x.unit)
    title = x.title[:1].upper() + x.title[1:]
    return f"{title} ({there}): {then(x.less, x.low, 'less')}; {then(x.more, x.high, 'more')}."


def explain(
    plan: PlanLike, *, objective: str = "time", carbon_tax: float = 0.0, **how: Unpack[How]
) -> Explanation:
    """Return why the best plan is what it is, or why there is none.

    Args:
        plan: a path, a mapping or a plan of training.
        objective: one of :data:`mlsysim.core.solver.objectives.NAMES`.
        carbon_tax: of the objective ``cost+carbon`` [USD/tCO2e].
        how: see :class:`mlsysim.core.solver.asked.How`.

    Raises:
        InputError: the plan is wrong, or no training plan.
        SolverLimitError: the solver stopped at its limit without an answer.
    """
    with placing(plan):
        q = question(plan, "explain", objective, carbon_tax, how)
        asked = q.scenario
        q, base = answered(q)
        tags = [c.tag for c in base.conflict]
        ways = ways_out(asked, tags, q.ask, base.evaluation) if tags else ()
        if base.evaluation is None:
            return Explanation(q, base, (), None, ways)
        reasons = because(base.evaluation)
        prices = price_of(
            q, base, list(dict.fromkeys(n for r in reasons for n in r.supplies)), CHANGE, carbon_tax
        )
        return Explanation(q, base, reasons, prices, ways)

"""What a sensitivity is made of, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlsysim.core import units
from mlsysim.core.evaluation import SCHEMA_VERSION, Json
from mlsysim.core.solver.decided import changes, decided

if TYPE_CHECKING:
    from mlsysim.core.solver.question import Question
    from mlsysim.core.solver.relaxed import Base


@dataclass(frozen=True)
class Step:
    """The best plan with so much of a supply.

    Attributes:
        factor: by which it was multiplied.
        amount: that is, in its unit.
        value: of the objective, in base units; None where no plan holds.
        change: of the objective, relative.
        plan: what is decided then; ``moved`` says whether that is another plan than before.
    """

    factor: float
    amount: float
    value: float | None
    change: float | None
    plan: Json | None
    moved: bool


@dataclass(frozen=True)
class Price:
    """What a supply is worth.

    Attributes:
        name, title, wall, unit, there, dear: the supply; ``there`` in base units, ``dear`` where less of
            it is better.
        per_unit: what the objective gains by one more unit while the plan stays, in its unit.
        less, more: with a share less and more of it.
        low, high: up to what amount the plan stays the best one, in its unit; None if as far as looked.
        exact: whether the plan is proven the best in between: where the objective is linear in it.
        basis: what the objective is of, where amounts of it make it another: a step of a larger batch.
    """

    name: str
    title: str
    wall: int | None
    unit: str
    there: float
    dear: bool
    per_unit: float | None
    less: Step
    more: Step
    low: float | None
    high: float | None
    exact: bool
    basis: str | None = None


@dataclass(frozen=True)
class Prices:
    """The supplies of a plan, those that matter most first."""

    question: Question
    base: Base
    share: float
    prices: tuple[Price, ...]

    @property
    def exit_code(self) -> int:
        """That of the plan: 0 holds, 2 nothing fits, 3 a limit had to be given up."""
        return self.base.exit_code

    def of(self, name: str) -> Price:
        """Return the price of a supply."""
        return next(p for p in self.prices if p.name == name)

    def to_dict(self) -> Json:
        """Return the JSON document of ``solve sensitivity``."""
        g = self.question.goal
        value = self.base.value

        def shown(x: float | None) -> float | None:
            return None if x is None else units.from_base(x, g.unit)

        def step(s: Step) -> Json:
            then = self._changes(s)
            return {
                "factor": s.factor,
                "amount": s.amount,
                "objective": shown(s.value),
                "change": s.change,
                "feasible": s.value is not None,
                "moved": s.moved,
                "changes": then,
                "plan": s.plan,
            }

        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.question.scenario.name,
            "status": self.base.verdict,
            "sensitivity": {
                "objective": {"name": g.metric, "unit": g.unit, "value": shown(value)},
                "change": self.share,
                "plan": None if self.base.evaluation is None else decided(self.base.evaluation),
                "supplies": [
                    {
                        "name": p.name,
                        "title": p.title,
                        "wall": p.wall,
                        "unit": p.unit,
                        "there": units.from_base(p.there, p.unit),
                        "per_unit": p.per_unit,
                        "basis": p.basis,
                        "less": step(p.less),
                        "more": step(p.more),
                        "range": {"low": p.low, "high": p.high, "exact": p.exact},
                    }
                    for p in self.prices
                ],
                "conflict": [c.to_dict() for c in self.base.conflict],
                "limits_dropped": list(self.base.dropped),
            },
        }

    def _changes(self, s: Step) -> str | None:
        if self.base.evaluation is None or s.plan is None or not s.moved:
            return None
        return changes(decided(self.base.evaluation), s.plan)

    def plot(self, kind: str | None = None) -> Any:
        """Return a Plotly figure: ``tornado``.

        Needs the extra ``labs``.

        Raises:
            InputError: there is no such plot.
            MissingExtraError: Plotly is not installed.
        """
        from mlsysim.viz.kinds import plot

        return plot(self, kind)

    def scorecard(self) -> str:
        """Return the prices as text of 80 columns."""
        from mlsysim.core.solver.priced_report import render

        return render(self)

    def markdown(self) -> str:
        """Return the prices as Markdown."""
        from mlsysim.core.solver.priced_report import markdown

        return markdown(self)

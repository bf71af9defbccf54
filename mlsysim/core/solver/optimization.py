"""What an optimizer returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlsysim.core import units
from mlsysim.core.evaluation import Evaluation, Json
from mlsysim.core.scenario import Scenario
from mlsysim.core.solver.search import Conflict

if TYPE_CHECKING:
    from formulations.problem import Problem
    from formulations.solve import Solved
    from mlsysim.core.solver.because import Because
    from mlsysim.core.solver.robust import Robust
    from mlsysim.core.solver.tradeoff import Tradeoff
    from mlsysim.core.solver.ways_out import Way
    from mlsysim.handover import Handover

NO_TRADEOFF: Json = {"baselines": [], "tax": None, "pareto": None}


@dataclass(frozen=True)
class Objective:
    """What was made least, in base units; ``before`` is its value for the plan as given."""

    name: str
    title: str
    unit: str
    before: float | None
    value: float | None
    bound: float | None
    gap: float | None

    def to_dict(self) -> Json:
        """Return the objective in its unit."""

        def shown(x: float | None) -> float | None:
            return None if x is None else units.from_base(x, self.unit)

        return {
            "name": self.name,
            "value": shown(self.value),
            "unit": self.unit,
            "before": shown(self.before),
            "bound": shown(self.bound),
            "gap": self.gap,
        }


@dataclass(frozen=True)
class Optimization:
    """A proven answer.

    Attributes:
        problem_name: ``parallelism`` or ``placement``.
        evaluation: of the answer; of the plan as given where there is none.
        before: the plan as given (``eval``).
        status: ``optimal``, ``feasible`` or ``infeasible``.
        decided: the decisions of the answer.
        problem: what was solved, as it was written.
        asked: the plan with its decisions as open as it leaves them.
        dropped: tags of the plan's own limits that had to be given up for it.
        conflict: what cannot hold together, if anything.
        alternatives: the next best answers, best first.
        confirmed_by: a second engine that came to the same answer.
        handover: the answer as launch settings.
        ways: out of the conflict, each tried.
        robust: what the worst case is like, where the answer is the best for that.
        tradeoff: what the answer is weighed against: other taxes, a frontier, baselines.
        compared: a plan to put beside the answer; ``compared_value`` is its objective in base units.
    """

    problem_name: str
    evaluation: Evaluation
    before: Evaluation | None
    status: str
    objective: Objective
    decided: Json
    solved: Solved
    problem: Problem
    asked: Scenario
    dropped: tuple[str, ...] = ()
    conflict: tuple[Conflict, ...] = ()
    alternatives: tuple[Json, ...] = ()
    notes: tuple[str, ...] = ()
    confirmed_by: str | None = None
    compared: Evaluation | None = None
    compared_value: float | None = None
    handover: Handover | None = None
    ways: tuple[Way, ...] = ()
    robust: Robust | None = None
    tradeoff: Tradeoff | None = None

    @cached_property
    def space_size(self) -> int:
        """How many complete answers are legal, before any limit."""
        from formulations.joint import count
        from formulations.parallelism import size

        if self.problem_name == "parallelism":
            return size(self.asked)
        return count(self.problem)

    @property
    def exit_code(self) -> int:
        """0 holds, 2 physically infeasible, 3 a limit of the plan is violated."""
        return 2 if self.status == "infeasible" else self.evaluation.exit_code

    @property
    def plan(self) -> Json:
        """The answer as a complete plan."""
        return self.evaluation.plan()

    def to_dict(self) -> Json:
        """Return the JSON document of ``optimize``: that of ``eval`` with a ``solution``."""
        document = self.evaluation.to_dict()
        o = self.solved.outcome
        if self.status == "infeasible":
            document["status"] = "fail"
        document["solution"] = {
            "problem": self.problem_name,
            "status": self.status,
            "objective": self.objective.to_dict(),
            "plan": self.decided,
            "binding_walls": []
            if self.status == "infeasible"
            else [w.wall.number for w in self.evaluation.walls if w.status in ("binding", "fail")],
            "alternatives": list(self.alternatives),
            "conflict": [c.to_dict() for c in self.conflict],
            "ways_out": [w.to_dict() for w in self.ways],
            "because": [b.to_dict() for b in self.because],
            "robust": None if self.robust is None else self.robust.to_dict(),
            "limits_dropped": list(self.dropped),
            "notes": list(self.notes),
            "engine": {
                "name": o.engine,
                "version": o.version,
                "seconds": o.seconds + self.solved.presolve_seconds,
                "variables": o.variables,
                "rows": o.rows,
                "nodes": o.nodes,
                "space_size": self.space_size,
                "after_presolve": self.solved.left,
                "verified_by": ", ".join(self.verified_by) or None,
            },
            "compared": self._compared(),
            "handover": None if self.handover is None else asdict(self.handover),
            **(
                {"baselines": [], "tax": None, "pareto": None}
                if self.tradeoff is None
                else self.tradeoff.to_dict()
            ),
        }
        return document

    @property
    def because(self) -> tuple[Because, ...]:
        """What the answer rests on: the walls that bind, and what the time goes to."""
        from mlsysim.core.solver.because import because

        return because(self.evaluation) if self.decided else ()

    @property
    def verified_by(self) -> list[str]:
        """Who came to the same answer besides the engine that found it."""
        return ["eval"] * bool(self.decided) + [self.confirmed_by] * bool(self.confirmed_by)  # type: ignore[list-item]

    def _compared(self) -> Json | None:
        if self.compared is None:
            return None
        shown = None
        if self.compared_value is not None:
            shown = units.from_base(self.compared_value, self.objective.unit)
        return {
            "name": self.compared.scenario.name,
            "objective": shown,
            "unit": self.objective.unit,
            "plan": self.compared.layout.to_dict() if self.compared.layout else {},
            "status": self.compared.status,
            "walls": [w.to_dict() for w in self.compared.walls],
        }

    def plot(self, kind: str | None = None) -> Any:
        """Return a Plotly figure: ``breakpoints``, ``pareto``, or one of the answer's evaluation.

        Needs the extra ``labs``.

        Raises:
            InputError: there is no such plot.
            MissingExtraError: Plotly is not installed.
        """
        from mlsysim.viz.kinds import plot

        return plot(self, kind)

    def scorecard(self) -> str:
        """Return the answer beside the plan as given, then its scorecard."""
        from mlsysim.core.solver.report import render

        return render(self)

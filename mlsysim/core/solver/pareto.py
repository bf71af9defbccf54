"""The plans of which none is better than another in every respect, all of them, proven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from mlsysim.core import units
from mlsysim.core.api import PlanLike, placing
from mlsysim.core.errors import InputError, SolverLimitError
from mlsysim.core.evaluation import SCHEMA_VERSION, Evaluation, Json, evaluate
from mlsysim.core.scenario import Scenario
from mlsysim.core.solver.asked import Asked, How, asked, module
from mlsysim.core.solver.decided import decided
from mlsysim.core.solver.objectives import Goal
from mlsysim.core.solver.placing import one_tax
from mlsysim.core.solver.question import check_goal, fixed, known, released, respect, training
from mlsysim.core.solver.search import Conflict, Search, agree
from mlsysim.walls import State

if TYPE_CHECKING:
    from formulations.algebra import Expr
    from formulations.frontier import Frontier
    from formulations.parallelism import Recipe

MOST = 3


@dataclass(frozen=True)
class Pareto:
    """The frontier of a plan in two or three respects.

    Attributes:
        scenario: the plan as it was asked.
        goals: the respects.
        points: evaluated plans, in order of the first respect.
        status: ``optimal``: these are all; ``infeasible``: there is none; ``feasible``: cut short.
        found: what the search says of itself.
        dropped: tags of the plan's own limits that had to be given up.
        conflict: what cannot hold together, if anything.
    """

    scenario: Scenario
    goals: tuple[Goal, ...]
    points: tuple[Evaluation, ...]
    status: str
    found: Frontier
    dropped: tuple[str, ...] = ()
    conflict: tuple[Conflict, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 holds, 2 physically infeasible, 3 a limit of the plan had to be given up."""
        return 2 if self.status == "infeasible" else 3 if self.dropped else 0

    def value(self, e: Evaluation, wanted: Goal) -> float:
        """Return a point in one respect, in its unit."""
        numerator, denominator = wanted.parts(e.state)
        return units.from_base(float(numerator / denominator), wanted.unit)

    def to_dict(self) -> Json:
        """Return the JSON document of ``optimize parallelism --pareto``."""
        f = self.found
        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.scenario.name,
            "status": "fail" if self.exit_code == 2 else "sla_violation" if self.dropped else "pass",
            "frontier": {
                "status": self.status,
                "respects": [
                    {"name": g.name, "metric": g.metric, "unit": g.unit, "greatest": g.greatest}
                    for g in self.goals
                ],
                "points": [
                    {
                        "values": [self.value(e, g) for g in self.goals],
                        "plan": decided(e),
                        "proven": self.status == "optimal",
                    }
                    for e in self.points
                ],
                "conflict": [c.to_dict() for c in self.conflict],
                "limits_dropped": list(self.dropped),
                "engine": {
                    "name": f.engine,
                    "version": f.version,
                    "seconds": f.seconds,
                    "solves": f.solves,
                    "after_presolve": f.left,
                    "verified_by": "eval" if self.points else None,
                },
            },
        }

    def plot(self, kind: str | None = None) -> Any:
        """Return a Plotly figure: ``pareto``.

        Needs the extra ``labs``.

        Raises:
            InputError: there is no such plot.
            MissingExtraError: Plotly is not installed.
        """
        from mlsysim.viz.kinds import plot

        return plot(self, kind)

    def scorecard(self) -> str:
        """Return the frontier as a table and a plot of 80 columns."""
        from mlsysim.core.solver.pareto_report import render

        return render(self)

    def markdown(self) -> str:
        """Return the frontier as Markdown."""
        from mlsysim.core.solver.pareto_report import markdown

        return markdown(self)


def pareto(plan: PlanLike, respects: Sequence[str], *, carbon_tax: float = 0.0, **how: Unpack[How]) -> Pareto:
    """Return the frontier of a training plan: no other plan is as good in every respect.

    Args:
        plan: a path, a mapping or a plan; what its ``parallelism`` block fixes stays fixed.
        respects: two or three objectives, or metrics by their names, e.g. ``feasibility.memory``.
        carbon_tax: of the objective ``cost+carbon`` [USD/tCO2e].
        how: see :class:`mlsysim.core.solver.asked.How`.

    Raises:
        InputError: the plan is wrong, or a respect cannot be one.
        SolverLimitError: the solver stopped at its limit without a point.
    """
    goals = _goals(respects, carbon_tax)
    ask = asked(how)
    with placing(plan):
        s = training(plan, "optimize parallelism")
        for wanted in goals:
            check_goal(s, wanted)
        before = evaluate(s)
        recipe, costs = _formulated(s, goals)
        search = Search(
            recipe.problem,
            ask,
            s,
            before.state,
            decode=lambda cells: evaluate(*recipe.decode(cells)),
            value=lambda e: float(goals[0].cost(e.state)),
            starts=known(recipe, before),
            decisions=fixed(s),
            opened=lambda names: _formulated(released(s, names), goals)[0].problem,
        )
        return _answer(search, recipe, goals, costs, ask)


def _goals(respects: Sequence[str], carbon_tax: float) -> tuple[Goal, ...]:
    """Return the respects as objectives.

    Raises:
        InputError: there are too few or too many, or one is there twice.
    """
    tax = one_tax(carbon_tax)
    goals = tuple(respect(name.strip(), tax, carbon_tax) for name in respects)
    if not 2 <= len({g.metric for g in goals}) == len(goals) <= MOST:
        raise InputError(
            "a frontier is between two or three different respects",
            where="pareto",
            hint="e.g. time,cost or time,feasibility.memory",
        )
    return goals


def _formulated(s: Scenario, goals: tuple[Goal, ...]) -> tuple[Recipe, list[Expr]]:
    """Return the problem of a plan and each respect as an expression that is made least."""
    costs: list[Expr] = []

    def gather(state: State) -> Any:
        as_expr = module("algebra").as_expr
        for wanted in goals:
            try:
                costs.append(as_expr(wanted.cost(state)))
            except TypeError as error:
                raise InputError(
                    f"{wanted.metric} is a quotient of two amounts that both depend on the plan",
                    where="pareto",
                    hint="take one of the two, or set a limit on it in the plan",
                ) from error
        return costs[0]

    recipe: Recipe = module("parallelism").formulate(
        s, s.settings.bounds, gather, of_run=any(g.of_run for g in goals)
    )
    return recipe, costs


def _answer(search: Search, recipe: Recipe, goals: tuple[Goal, ...], costs: list[Expr], ask: Asked) -> Pareto:
    frontier = module("frontier").frontier
    arguments = (ask.solver, ask.options, search.starts, ("precision", "accelerators"))
    problem = search.problem
    found: Frontier = frontier(problem, costs, *arguments)
    dropped: tuple[str, ...] = ()
    conflict: tuple[Conflict, ...] = ()
    if found.status == "infeasible":
        instead = search.run()
        dropped, conflict = instead.dropped, instead.conflict
        if instead.evaluation is not None:
            problem = module("infeasible").without(problem, set(dropped))
            found = frontier(problem, costs, *arguments)
    if found.status == "unknown":
        raise SolverLimitError(
            f"no plan was found within {ask.options.time_limit:g} s", hint="raise the time limit"
        )
    points = []
    for p in found.points:
        e = search.verified(problem, p.values[0], p.cells, found.engine, set(dropped))
        for wanted, value in zip(goals, p.values, strict=True):
            agree(wanted.name, value, float(wanted.cost(e.state)), found.engine)
        points.append(e)
    return Pareto(search.scenario, goals, tuple(points), found.status, found, dropped, conflict)

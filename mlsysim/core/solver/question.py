"""A training plan and what is to be made best: what every question about it begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlsysim.core.api import PlanLike, scenario
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.core.metrics import METRICS, find
from mlsysim.core.resolve import resolve
from mlsysim.core.scenario import Scenario
from mlsysim.core.solver.asked import Asked, How, asked, module
from mlsysim.core.solver.objectives import NAMES, Goal, goal
from mlsysim.core.solver.placing import one_tax
from mlsysim.core.variants import DECIDED

if TYPE_CHECKING:
    from formulations.joint import Cells
    from formulations.parallelism import Recipe
    from formulations.problem import Problem
    from formulations.solve import Solved


@dataclass(frozen=True)
class Question:
    """A training plan, and an objective.

    Attributes:
        scenario: the plan, its decisions as open as it leaves them.
        goal: what is made best.
        ask: how to solve.
    """

    scenario: Scenario
    goal: Goal
    ask: Asked

    @cached_property
    def before(self) -> Evaluation:
        """The plan as given: its layout, or that of the rule."""
        return evaluate(self.scenario)

    def recipe(self, s: Scenario | None = None, **how: Any) -> Recipe:
        """Return the problem of the plan, or of the same with other numbers."""
        s = s or self.scenario
        how.setdefault("of_run", self.goal.of_run)
        found: Recipe = module("parallelism").formulate(s, s.settings.bounds, self.goal.cost, **how)
        return found

    def opened(self, s: Scenario | None = None, **how: Any) -> dict[str, Any]:
        """Return the decisions that a plan fixes, and what makes its problem without some of them.

        As arguments of :class:`mlsysim.core.solver.search.Search`.
        """
        s = s or self.scenario

        def problem(names: Sequence[str]) -> Problem:
            return self.recipe(released(s, names), **how).problem

        return {"decisions": fixed(s), "opened": problem}

    def solve(self, recipe: Recipe, *begun: Evaluation, look: bool = True) -> Solved:
        """Return the proven answer of a problem, from known layouts on."""
        starts = known(recipe, *begun)
        found: Solved = module("solve").solve(
            recipe.problem, self.ask.solver, self.ask.options, starts=starts, look=look
        )
        return found

    def value(self, e: Evaluation) -> float:
        """Return what a solver makes least, of an evaluated layout."""
        return float(self.goal.cost(e.state))


def fixed(s: Scenario) -> tuple[str, ...]:
    """Return the decisions of the layout that a plan fixes; how many run, and in what, are no layout."""
    return tuple(name for name in s.settings.fixed if name not in DECIDED)


def released(s: Scenario, names: Sequence[str]) -> Scenario:
    """Return a plan with some decisions left open."""
    rest = {name: wish for name, wish in s.settings.fixed.items() if name not in names}
    return resolve(replace(s.settings, fixed=rest))


def known(recipe: Recipe, *evaluations: Evaluation) -> tuple[Cells, ...]:
    """Return evaluated layouts as solutions of a problem, those that it has."""
    found = [recipe.encode(e.scenario, e.layout) for e in evaluations if e.layout is not None]
    return tuple(cells for cells in found if cells)


def training(plan: PlanLike, command: str) -> Scenario:
    """Return a training plan as a scenario.

    Raises:
        InputError: the plan is wrong, or not one of training.
    """
    s = scenario(plan)
    if s.job is None:
        raise InputError(
            f"{command} is of training plans, and this is one of inference",
            where="workload.phase",
            hint="of inference, eval says what binds and what more would change it; optimize batching and "
            "optimize serving name the limits that bind",
        )
    return s


def check_goal(s: Scenario, wanted: Goal) -> None:
    """Refuse an objective that the plan has no numbers for.

    Raises:
        InputError: the objective is of training on tokens, and the plan has none.
    """
    if wanted.of_run and "training_tokens" not in s.extras:
        raise InputError(
            f"the objective {wanted.name} is of training on tokens, and this plan has none",
            where="objective",
            hint="use time, mfu or accelerators",
        )


def question(plan: PlanLike, command: str, objective: str, carbon_tax: float, how: How) -> Question:
    """Return a question about a training plan.

    Raises:
        InputError: the plan is wrong, or no training plan, or the objective is not one of it.
    """
    wanted = goal(objective, one_tax(carbon_tax), carbon_tax)
    s = training(plan, command)
    check_goal(s, wanted)
    return Question(s, wanted, asked(how))


def respect(name: str, tax: float = 0.0, shown_tax: float = 0.0) -> Goal:
    """Return an objective by its name, or any metric that less of is better, by its own.

    Raises:
        UnknownNameError: naming those that there are.
    """
    if name in NAMES:
        return goal(name, tax, shown_tax)
    m = find(name)
    if m.name in _MORE_IS_BETTER:
        return Goal(m.name, m.name, m.title, m.unit, m.parts, greatest=True, of_run=m.of_run)
    if m.name in _NO_AIM:
        raise InputError(f"{m.name} does not depend on the plan", where="pareto")
    return Goal(m.name, m.name, m.title, m.unit, m.parts, of_run=m.of_run)


_MORE_IS_BETTER = (
    "performance.throughput",
    "performance.samples_per_second",
    "performance.mfu",
    "performance.goodput",
)
_NO_AIM = ("feasibility.memory_capacity", "feasibility.kv_cache")
assert {*_MORE_IS_BETTER, *_NO_AIM} <= set(METRICS)

"""``optimize serving``: the mix of instances that serves the requests at least cost, proven and checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from mlsysim.core import serving_run, units
from mlsysim.core.api import PlanLike, placing
from mlsysim.core.errors import InputError, MismatchError, SolverLimitError
from mlsysim.core.serving_run import Given, Run
from mlsysim.core.solver.asked import Asked, How, asked, module
from mlsysim.core.solver.serving_conflict import Clash, why
from mlsysim.core.solver.serving_question import Question, question
from mlsysim.core.tolerance import ROUNDING, TOLERANCE
from mlsysim.physics.operations import taxed

if TYPE_CHECKING:
    from formulations.serving_hour import Best
    from formulations.serving_recipe import Recipe
    from mlsysim.core.evaluation import Json
    from mlsysim.handover import Handover

OBJECTIVES = {"cost": "USD", "carbon": "kgCO2e", "cost+carbon": "USD"}
SOLVERS = ("auto", "highs", "scip")
# Relative gap at which a mix counts as the best where the user does not say: one hour, and many.
GAPS = (1e-6, 1e-3)


@dataclass(frozen=True)
class ServingMix:
    """A proven mix.

    Attributes:
        question: what was asked.
        objective: its name; ``unit`` is that of an hour.
        best: what the solver found and proved; ``recipe`` says of what. None where nothing fits.
        hours: what each pool does in each hour, by the physics.
        clash: what cannot hold together, if anything.
        exit_code: 0 holds, 2 physically infeasible, 3 the plan's targets stand in the way.
        confirmed_by: a second engine that came to the same answer.
    """

    question: Question
    objective: str
    tax: float
    best: Best
    recipe: Recipe | None
    hours: tuple[tuple[Run, ...], ...] = ()
    clash: tuple[Clash, ...] = ()
    exit_code: int = 0
    confirmed_by: str | None = None
    handover: Handover | None = None

    @property
    def unit(self) -> str:
        """The unit of the objective, for an hour."""
        return OBJECTIVES[self.objective]

    def value(self, runs: tuple[Run, ...]) -> float:
        """Return the objective of an hour, by the physics; starts left out."""
        return sum(_value(self.objective, self.tax, r.cost, r.carbon) for r in runs)

    def to_dict(self) -> Json:
        """Return the JSON document of ``optimize serving``."""
        from mlsysim.core.solver.serving_report import document

        return document(self)

    def plot(self, kind: str | None = None) -> Any:
        """Return a Plotly figure: ``mix``.

        Needs the extra ``labs``.

        Raises:
            InputError: there is no such plot.
            MissingExtraError: Plotly is not installed.
        """
        from mlsysim.viz.kinds import plot

        return plot(self, kind)

    def scorecard(self) -> str:
        """Return the mix as text of at most 80 columns."""
        from mlsysim.core.solver.serving_report import render

        return render(self)

    def markdown(self) -> str:
        """Return the mix as Markdown."""
        from mlsysim.core.solver.serving_report import markdown

        return markdown(self)


def serving(
    plan: PlanLike, *, objective: str = "cost", carbon_tax: float = 0.0, **how: Unpack[How]
) -> ServingMix:
    """Return the mix of instances that serves a plan's requests at least cost an hour, proven.

    Args:
        plan: a path, a mapping or a plan, with a ``mix`` block.
        objective: ``cost``, ``carbon`` or ``cost+carbon``.
        carbon_tax: of the last [USD/tCO2e].
        how: see :class:`mlsysim.core.solver.asked.How`; ``solver`` is ``auto``, ``highs`` or ``scip``.

    Raises:
        InputError: the plan is wrong.
        SolverLimitError: the solver stopped at its limit without an answer.
        MissingExtraError: the solver is not installed.
    """
    from mlsysim.core.plan import load
    from mlsysim.core.settings import settings_of

    tax = _checked(objective, carbon_tax, how.get("solver", "auto"))
    with placing(plan):
        parsed, document = load(plan)
        ask = question(parsed, document, settings_of(parsed, document))
    if "gap" not in how:
        how["gap"] = GAPS[ask.demand.rate.shape[1] > 1]
    return solve(ask, objective, tax, asked(how))


def _checked(objective: str, carbon_tax: float, solver: str) -> float:
    if objective not in OBJECTIVES:
        raise InputError(
            f"no objective called {objective!r}", where="objective", hint=f"one of {', '.join(OBJECTIVES)}"
        )
    if solver not in SOLVERS:
        raise InputError(
            f"{solver!r} solves no serving mix", where="solver", hint=f"one of {', '.join(SOLVERS)}"
        )
    if isinstance(carbon_tax, bool) or not isinstance(carbon_tax, int | float) or not 0 <= carbon_tax <= 1e9:
        raise InputError(
            f"{carbon_tax!r} is not allowed here",
            where="carbon tax",
            hint="give USD per tonne of CO2e, 0 or more",
        )
    if carbon_tax and objective != "cost+carbon":
        raise InputError("a carbon tax is of cost+carbon", where="carbon tax", hint="--objective cost+carbon")
    return units.to_base(float(carbon_tax), "USD/tCO2e", "USD/kgCO2e")


def _value(objective: str, tax: float, cost: float, carbon: float) -> float:
    return carbon if objective == "carbon" else float(taxed(cost, carbon, tax))


def solve(ask: Question, objective: str, tax: float, how: Asked) -> ServingMix:
    """Return the answer to a question."""

    def price(cost: float, carbon: float) -> float:
        return _value(objective, tax, cost, carbon)

    def formulated(q: Question) -> Recipe:
        cost = np.array([price(o.cost, o.carbon) for o in q.offers])
        stocks = np.array([count for _, count in q.stocks])
        found: Recipe = module("serving_recipe").formulate(
            q.demand, q.offers, q.rules, stocks, cost, spare=q.spare, start=q.start
        )
        return found

    days = module("serving_days")
    recipe = formulated(ask)
    best = days.best(recipe.mix, how.options, how.solver)
    if best.status == "infeasible":
        clash, code = why(ask, lambda q: _exists(days, formulated(q), how))
        return ServingMix(ask, objective, tax, best, None, clash=clash, exit_code=code)
    if best.plan is None:
        raise SolverLimitError(
            f"no mix was found within {how.options.time_limit:g} s", hint="raise the time limit"
        )
    if how.export is not None:
        module("engines.arrays").write(
            module("serving").program(recipe.mix, names=_names(recipe)).linear, how.export
        )
    hours = tuple(_hour(ask, recipe, best, h) for h in range(recipe.mix.hours))
    found = ServingMix(ask, objective, tax, best, recipe, hours)
    _verify(found)
    return replace(found, confirmed_by=_confirmed(days, found, how))


def _names(recipe: Recipe) -> tuple[str, ...]:
    return tuple(f"{p.offer.name}_{p.role}_{k}".replace(" ", "") for k, p in enumerate(recipe.pools))


def _exists(days: Any, recipe: Recipe, how: Asked) -> bool:
    found = days.best(recipe.mix, replace(how.options, gap=1.0), how.solver)
    if found.status == "unknown":
        raise SolverLimitError("the reason could not be found in time", hint="raise the time limit")
    return bool(found.status != "infeasible")


def _hour(ask: Question, recipe: Recipe, best: Best, h: int) -> tuple[Run, ...]:
    """Return what the pools of an hour do, by the physics."""
    assert best.plan is not None
    given = []
    for v in np.flatnonzero(best.plan.count[:, h]):
        p = recipe.pools[v]
        flow = best.plan.flow[:, v, h]
        # what an engine's tolerance leaves of a flow is no request
        classes = np.flatnonzero(flow > 1e-9 * np.maximum(ask.demand.rate[:, h], 1e-300))
        if len(classes):
            count = int(best.plan.count[v, h])
            given.append(Given(p.offer, p.role, count, classes, flow[classes], p.batch[classes]))
    return tuple(serving_run.run(ask.demand, given, ask.rules, ask.spare))


def _verify(found: ServingMix) -> None:
    """Hold the answer against the physics.

    Raises:
        MismatchError: cost or any target differs from what the solver made of it.
    """
    from mlsysim.core.solver.serving_check import broken

    assert found.recipe is not None
    assert found.best.plan is not None
    value = sum(found.value(runs) for runs in found.hours)
    value += float(found.recipe.mix.start @ module("serving").starts(found.best.plan.count).sum(axis=1))
    if found.recipe.mix.hours == 1:
        value = found.value(found.hours[0])
    assert found.best.objective is not None
    if not np.isclose(value, found.best.objective, rtol=TOLERANCE, atol=0.0):
        raise MismatchError(
            f"objective: {found.best.engine} says {found.best.objective:.9g}, the physics {value:.9g}",
            hint="this is a defect of mlsysim: please report the plan",
        )
    wrong = broken(found.question, found.hours, TOLERANCE)
    if wrong:
        raise MismatchError(
            f"{found.best.engine}'s mix breaks {wrong[0]}",
            hint="this is a defect of mlsysim: please report the plan",
        )


def _confirmed(days: Any, found: ServingMix, how: Asked) -> str | None:
    """Return the engine that came to the same answer on its own; None if none was asked or could."""
    if not how.verify or found.best.status != "optimal":
        return None
    other = "highs" if found.best.engine == "scip" else "scip"
    assert found.recipe is not None
    again = days.whole(found.recipe.mix, replace(how.options, progress=None), other)
    if again.status != "optimal":
        return None
    gap = max(how.options.gap, TOLERANCE) + ROUNDING
    assert again.objective is not None
    assert found.best.objective is not None
    if not np.isclose(again.objective, found.best.objective, rtol=2 * gap, atol=0.0):
        raise MismatchError(
            f"{found.best.engine} says {found.best.objective:.9g}, {other} {again.objective:.9g}",
            hint="this is a defect of mlsysim: please report the plan",
        )
    return other

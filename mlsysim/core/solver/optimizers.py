"""Tier 3: find the best plan, prove it, and check it with the engine that did not find it.

Each optimizer formulates, solves, decodes the answer into a plan, and evaluates that plan. The
objective and every limit must agree between the two to a relative 1e-6.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from mlsysim.core.api import PlanLike, placing, scenario
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Evaluation, Json, evaluate
from mlsysim.core.fleet_plan import is_fleet, opened
from mlsysim.core.schedule.placement import Placement
from mlsysim.core.solver.asked import How, asked, module
from mlsysim.core.solver.decided import decided as decisions
from mlsysim.core.solver.defaults import POINTS
from mlsysim.core.solver.fleets import place_fleet
from mlsysim.core.solver.objectives import Goal, goal
from mlsysim.core.solver.optimization import Objective, Optimization
from mlsysim.core.solver.placing import Placing, asking, one_tax
from mlsysim.core.solver.question import Question, check_goal, training
from mlsysim.core.solver.search import Conflict, Found, Search
from mlsysim.core.solver.warm_start import known_layout
from mlsysim.core.solver.ways_out import ways_out
from mlsysim.handover import check_target, hand_over

__all__ = ["Conflict", "Objective", "Optimization", "Placement", "parallelism", "placement"]


def parallelism(
    plan: PlanLike,
    *,
    objective: str = "time",
    carbon_tax: float = 0.0,
    warm_start: str | Path | Json | None = None,
    compare: PlanLike | None = None,
    emit: str | None = None,
    **how: Unpack[How],
) -> Optimization:
    """Return the best layout of a training job, proven.

    Of equally good layouts the one with the fewest model-parallel ranks is returned.

    Args:
        plan: a path, a mapping or a plan; what its ``parallelism`` block fixes stays fixed.
        objective: one of :data:`mlsysim.core.solver.objectives.NAMES`; the shortest step if absent.
        carbon_tax: of the objective ``cost+carbon`` [USD/tCO2e].
        warm_start: a result of this or of ``eval`` (JSON) whose layout to begin with.
        compare: a plan to put beside the optimum, wall by wall.
        emit: also hand the answer over as launch settings: ``plan`` or a framework of
            :data:`mlsysim.handover.TARGETS`.
        how: see :class:`mlsysim.core.solver.asked.How`.

    Raises:
        InputError: the plan is wrong, or not a training plan.
        SolverLimitError: the solver stopped at its limit without an answer.
        MissingExtraError: the solver is not installed.
    """
    wanted = goal(objective, one_tax(carbon_tax), carbon_tax)
    if (listener := how.get("progress")) is not None:
        how["progress"] = lambda best, bound: listener(wanted.shown(best), wanted.shown(bound))
    ask = asked(how)
    if emit is not None:
        check_target(emit)
    with placing(plan):
        s = training(plan, "optimize parallelism")
        check_goal(s, wanted)
        before = evaluate(s)
        # a plan that holds already rules out the fleets that cannot be as fast
        fast = objective == "time" and ask.top == 1 and before.exit_code == 0
        recipe = module("parallelism").formulate(
            s,
            s.settings.bounds,
            wanted.cost,
            of_run=wanted.of_run,
            worst=float(before.state.time) if fast else None,
        )
        begun = [recipe.encode(before.scenario, before.layout)]
        notes: tuple[str, ...] = ()
        if warm_start is not None:
            begun.append(recipe.encode(*known_layout(warm_start)))
            notes = () if begun[-1] else ("the warm start does not fit this plan and was left aside",)
        search = Search(
            recipe.problem,
            ask,
            s,
            before.state,
            decode=lambda cells: evaluate(*recipe.decode(cells)),
            value=lambda e: float(wanted.cost(e.state)),
            starts=tuple(cells for cells in begun if cells),
            **Question(s, wanted, ask).opened(),
        )
        found = search.run()
        tags = [c.tag for c in found.conflict]
        ways = ways_out(s, tags, ask, found.evaluation) if tags else ()
    decided: Json = {} if found.evaluation is None else decisions(found.evaluation)
    others = [decisions(e) | wanted.told(search.value(e)) for e in found.others]
    theirs = None if compare is None else _compared(compare)
    answer = _optimization("parallelism", search, found, before, decided, wanted, others, notes, theirs)
    answer = replace(answer, ways=ways)
    if emit is not None and found.evaluation is not None:
        answer = replace(answer, handover=hand_over(found.evaluation, emit))
    return answer


def _compared(plan: PlanLike) -> Evaluation:
    with placing(plan):
        s = scenario(plan)
        if s.job is None:
            raise InputError("only a training plan can be compared", where="compare")
        return evaluate(s)


def placement(
    plan: PlanLike,
    *,
    carbon_tax: float | str | tuple[float, float] = 0.0,
    water_price: float = 0.0,
    pareto: str | tuple[str, ...] = (),
    points: int = POINTS,
    regions: tuple[str, ...] = (),
    **how: Unpack[How],
) -> Optimization | Placement:
    """Return the region in which a plan costs least, carbon tax and water included, proven.

    Of regions that cost the same, the plan's own is kept, or the one with the least carbon taken. The
    ``tradeoff`` of the result says at which tax the answer would change, and compares it with baselines.
    A plan with several jobs is placed by :func:`mlsysim.core.solver.fleets.place_fleet`.

    Args:
        plan: a path, a mapping or a plan; its layout is kept, or chosen by the rule.
        carbon_tax: [USD/tCO2e], on operational and embodied carbon; a range, ``"0:300"`` or two
            numbers, gives the best region at its low end, and every tax at which it changes.
        water_price: [USD/kL], of water on site and at the power plants.
        pareto: two or three of ``cost``, ``carbon`` and ``water``, also as ``"cost,carbon"``: give the
            regions that none beats in all of them, besides the cheapest.
        points: how many of these at most.
        regions: candidates by name; if empty, the plan's own region and every region of the
            registry that is a place and has a price.
        how: see :class:`mlsysim.core.solver.asked.How`.

    Raises:
        InputError: the plan, a region, a price or a metric is wrong.
        SolverLimitError: the solver stopped at its limit without an answer.
        MissingExtraError: the solver is not installed.
    """
    wish = asking(carbon_tax, water_price, pareto, points)
    document: Any = opened(plan)
    if is_fleet(document):
        if regions:
            raise InputError(
                "a plan with several jobs lists its regions itself", where="region", hint="leave it out"
            )
        return place_fleet(document, wish, **how)
    ask = asked(how)
    with placing(document):
        before = evaluate(scenario(document))
        place = Placing(before, regions, wish, ask)
        search, found = place.search()
        weighed = None if found.evaluation is None else place.tradeoff(found.evaluation)
    decided = {} if found.evaluation is None else {"region": found.evaluation.scenario.region.reference}
    wanted = Goal(
        "placement", "macro.tco_usd + carbon tax", wish.title, "USD", lambda state: (state.bill.tco, 1.0)
    )
    others = [{"region": e.scenario.region.name} | wanted.told(search.value(e)) for e in found.others]
    notes = place.notes
    if before.scenario.settings.rented and not wish.high and not wish.pareto:
        notes = (*notes, "rent is the same in every region: without a carbon tax the region does not matter")
    answer = _optimization("placement", search, found, before, decided, wanted, others, notes)
    return replace(answer, tradeoff=weighed)


def _optimization(
    name: str,
    search: Search,
    found: Found,
    before: Evaluation,
    decided: Json,
    wanted: Goal,
    alternatives: list[Json],
    notes: tuple[str, ...] = (),
    compared: Evaluation | None = None,
) -> Optimization:
    o = found.solved.outcome
    value, bound, was = (wanted.shown(x) for x in (o.objective, o.bound, search.value(before)))
    return Optimization(
        name,
        found.evaluation or before,
        before,
        o.status,
        Objective(wanted.metric, wanted.title, wanted.unit, was, value, bound, found.solved.gap),
        decided,
        found.solved,
        search.problem,
        search.scenario,
        found.dropped,
        found.conflict,
        tuple(alternatives),
        notes,
        found.confirmed_by,
        compared,
        None if compared is None else wanted.shown(float(wanted.cost(compared.state))),
    )

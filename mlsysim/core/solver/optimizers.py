"""Tier 3: find the best plan, prove it, and check it with the engine that did not find it.

Each optimizer formulates, solves, decodes the answer into a plan, and evaluates that plan. The
objective and every limit must agree between the two to a relative 1e-6.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlsysim.core import units
from mlsysim.core.api import PlanLike, placing, scenario
from mlsysim.core.errors import InputError, MissingExtraError
from mlsysim.core.evaluation import Evaluation, Json, evaluate
from mlsysim.core.resolve import resolve
from mlsysim.core.solver import defaults
from mlsysim.core.solver.objectives import Goal, goal
from mlsysim.core.solver.optimization import Objective, Optimization
from mlsysim.core.solver.search import Conflict, Found, Search
from mlsysim.infra import CATALOG as INFRA
from mlsysim.infra import Region
from mlsysim.infra.own import resolve_region
from mlsysim.physics.operations import taxed

if TYPE_CHECKING:
    from formulations.engines.base import Options

__all__ = ["Conflict", "Objective", "Optimization", "parallelism", "placement"]


def parallelism(
    plan: PlanLike,
    *,
    objective: str = "time",
    carbon_tax: float = 0.0,
    solver: str = "auto",
    time_limit: float = defaults.TIME_LIMIT,
    gap: float = defaults.GAP,
    threads: int = defaults.THREADS,
    seed: int = defaults.SEED,
    top: int = 1,
) -> Optimization:
    """Return the best layout of a training job, proven.

    Of equally good layouts the one with the fewest model-parallel ranks is returned.

    Args:
        plan: a path, a mapping or a plan; what its ``parallelism`` block fixes stays fixed.
        objective: one of :data:`mlsysim.core.solver.objectives.NAMES`; the shortest step if absent.
        carbon_tax: of the objective ``cost+carbon`` [USD/tCO2e].
        solver: ``auto``, ``highs``, ``cp-sat``, ``exhaustive`` or ``pyomo:NAME``.
        time_limit: for all of it [s]; the best plan found so far comes with its gap.
        gap: relative gap at which an answer counts as optimal.
        threads: of the solver.
        seed: of the solver.
        top: how many of the best plans to return; those after the first are ``alternatives``.

    Raises:
        InputError: the plan is wrong, or not a training plan.
        SolverLimitError: the solver stopped at its limit without an answer.
        MissingExtraError: the solver is not installed.
    """
    options = _options(time_limit, gap, threads, seed, top)
    wanted = goal(objective, _tax(carbon_tax), carbon_tax)
    with placing(plan):
        s = scenario(plan)
        if s.job is None:
            raise InputError(
                "optimize parallelism needs a training plan",
                where="workload.phase",
                hint="set workload.phase: training",
            )
        if wanted.of_run and "training_tokens" not in s.extras:
            raise InputError(
                f"the objective {objective} is of training on tokens, and this plan has none",
                where="objective",
                hint="use time, mfu or accelerators",
            )
        before = evaluate(s)
        recipe = _recipe("parallelism")(s, s.settings.bounds, wanted.cost, of_run=wanted.of_run)
        search = Search(
            recipe.problem,
            solver,
            options,
            s,
            before.state,
            decode=lambda cells: evaluate(*recipe.decode(cells)),
            value=lambda e: float(wanted.cost(e.state)),
            start=recipe.encode(before.scenario, before.layout),
        )
        found = search.run(top)
    decided: Json = {} if found.evaluation is None else _decided(found.evaluation)
    others = [
        _decided(e) | {"objective": wanted.in_unit(search.value(e)), "unit": wanted.unit}
        for e in found.others
    ]
    return _optimization("parallelism", search, found, before, decided, wanted, others)


def _decided(e: Evaluation) -> Json:
    """Return the decisions of an answer."""
    assert e.layout is not None
    s = e.scenario
    decided = e.layout.to_dict() | {"precision": s.precision, "accelerators": s.accelerators}
    if "checkpoint" in s.extras:
        decided["checkpoint_interval_s"] = float(s.extras["checkpoint"].interval)
    return decided


def placement(
    plan: PlanLike,
    *,
    carbon_tax: float = 0.0,
    regions: tuple[str, ...] = (),
    solver: str = "auto",
    time_limit: float = defaults.TIME_LIMIT,
    gap: float = defaults.GAP,
    threads: int = defaults.THREADS,
    seed: int = defaults.SEED,
    top: int = 1,
) -> Optimization:
    """Return the region in which a plan costs least, carbon tax included, proven.

    Of regions that cost the same, the plan's own is kept, or the one with the least carbon taken.

    Args:
        plan: a path, a mapping or a plan; its layout is kept, or chosen by the rule.
        carbon_tax: [USD/tCO2e], on operational and embodied carbon.
        regions: candidates by name; if empty, the plan's own region and every region of the
            registry that is a place and has a price.
        solver: see :func:`parallelism`, as for all that follows.
        time_limit: for all of it [s].
        gap: at which an answer counts as optimal.
        threads: of the solver.
        seed: of the solver.
        top: how many regions to return.

    Raises:
        InputError: the plan or a region is wrong.
        SolverLimitError: the solver stopped at its limit without an answer.
        MissingExtraError: the solver is not installed.
    """
    options = _options(time_limit, gap, threads, seed, top)
    tax = _tax(carbon_tax)
    with placing(plan):
        before = evaluate(scenario(plan))
        s = before.scenario
        candidates, notes = _candidates(regions, s.region)
        recipe = _recipe("placement")(before, candidates, tax, s.settings.bounds)
        search = Search(
            recipe.problem,
            solver,
            options,
            s,
            before.state,
            decode=lambda cells: _moved(before, recipe.decode(cells)),
            value=lambda e: taxed(e.state.bill.tco, e.state.bill.carbon, tax),
        )
        found = search.run(top)
    decided = {} if found.evaluation is None else {"region": found.evaluation.scenario.region.reference}
    title = f"cost + {carbon_tax:g} USD/tCO2e" if carbon_tax else "cost"
    wanted = Goal(
        "placement", "macro.tco_usd + carbon tax", title, "USD", lambda state: (state.bill.tco, 1.0)
    )
    others = [
        {"region": e.scenario.region.name, "objective": wanted.in_unit(search.value(e)), "unit": "USD"}
        for e in found.others
    ]
    if s.settings.rented and not tax:
        notes = (*notes, "rent is the same in every region: without a carbon tax the region does not matter")
    return _optimization("placement", search, found, before, decided, wanted, others, notes)


def _options(time_limit: float, gap: float, threads: int, seed: int, top: int) -> Options:
    """Return the solver's options, checked; their clock starts now."""
    for name, value, low in (
        ("time_limit", time_limit, 1e-3),
        ("gap", gap, 0.0),
        ("threads", threads, 1),
        ("seed", seed, 0),
        ("top", top, 1),
    ):
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= 1e7:
            raise InputError(
                f"{value!r} is not allowed here", where=name, hint=f"give a number from {low:g} to 1e7"
            )
    options: Options = _module("engines.base").Options(float(time_limit), float(gap), int(threads), int(seed))
    return options


def _recipe(name: str) -> Any:
    """Return a recipe's ``formulate``, imported when it is needed."""
    return _module(name).formulate


def _module(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(f"formulations.{name}")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "the formulations are not installed", hint="pip install 'mlsysim[solvers]'"
        ) from error


def _tax(carbon_tax: float) -> float:
    """Return a carbon tax given in USD/tCO2e in base units."""
    if isinstance(carbon_tax, bool) or not isinstance(carbon_tax, int | float) or not 0 <= carbon_tax <= 1e9:
        raise InputError(
            f"{carbon_tax!r} is not allowed here",
            where="carbon tax",
            hint="give USD per tonne of CO2e, 0 or more",
        )
    return units.to_base(float(carbon_tax), "USD/tCO2e", "USD/kgCO2e")


def _moved(here: Evaluation, region: Region) -> Evaluation:
    """Return the evaluation of the same plan in another region."""
    moved = resolve(replace(here.scenario.settings, region=region))
    return evaluate(moved, here.layout)


def _candidates(names: tuple[str, ...], here: Region) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    """Return the regions to consider, the plan's own first, then by carbon intensity; and remarks.

    The order breaks ties.
    """
    if names:
        chosen = {r.reference: r for r in map(resolve_region, names)}
        guessed = [r.name for r in chosen.values() if r.electricity_price() is None]
        remark = f"without a known electricity price, the default is taken: {', '.join(guessed)}"
    else:
        places = [r for r in INFRA if not r.name.endswith("_Avg")]
        chosen = {r.reference: r for r in (here, *places) if r is here or r.electricity_price() is not None}
        guessed = [r.name for r in places if r.reference not in chosen]
        remark = f"without a known electricity price, left out: {', '.join(guessed)}"
    ordered = sorted(
        chosen.values(),
        key=lambda r: (r.reference != here.reference, r.carbon_intensity.base if r.carbon_intensity else 0.0),
    )
    return tuple(ordered), (f"{len(ordered)} regions considered", *((remark,) if guessed else ()))


def _optimization(
    name: str,
    search: Search,
    found: Found,
    before: Evaluation,
    decided: Json,
    wanted: Goal,
    alternatives: list[Json],
    notes: tuple[str, ...] = (),
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
        found.dropped,
        found.conflict,
        tuple(alternatives),
        notes,
    )

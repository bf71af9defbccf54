"""Tier 3: find the best plan, prove it, and check it with the engine that did not find it.

Each optimizer formulates, solves, decodes the answer into a plan, and evaluates that plan. The
objective and every limit must agree between the two to a relative 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlsysim.core import units
from mlsysim.core.api import PlanLike, placing, scenario
from mlsysim.core.errors import InputError, MismatchError, MissingExtraError, SolverLimitError
from mlsysim.core.evaluation import TOLERANCE, Evaluation, Json, evaluate
from mlsysim.core.resolve import Bound, Scenario
from mlsysim.infra import CATALOG as INFRA
from mlsysim.infra import Region
from mlsysim.physics.operations import taxed
from mlsysim.walls import State

if TYPE_CHECKING:
    from formulations.algebra import Problem
    from formulations.engines.base import Options
    from formulations.solve import Solved


@dataclass(frozen=True)
class Objective:
    """What was made least, in base units."""

    name: str
    title: str
    unit: str
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
            "bound": shown(self.bound),
            "gap": self.gap,
        }


@dataclass(frozen=True)
class Conflict:
    """Something that cannot hold together with the rest of its conflict."""

    tag: str
    wall: int | None
    name: str
    limit: str
    least: float | None = None
    supply: float | None = None
    unit: str = ""

    def to_dict(self) -> Json:
        """Return the member for JSON; ``least`` is what it takes if only the others hold too."""
        return {
            "tag": self.tag,
            "wall": self.wall,
            "name": self.name,
            "limit": self.limit,
            "least": self.least,
            "supply": self.supply,
            "unit": self.unit or None,
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
        dropped: whether the plan's own limits had to be given up for it.
        conflict: what cannot hold together, if anything.
        alternatives: the next best answers, best first.
    """

    problem_name: str
    evaluation: Evaluation
    before: Evaluation | None
    status: str
    objective: Objective
    decided: Json
    solved: Solved
    dropped: bool = False
    conflict: tuple[Conflict, ...] = ()
    alternatives: tuple[Json, ...] = ()
    space_size: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 holds, 2 physically infeasible, 3 a limit of the plan is violated."""
        if self.status == "infeasible":
            return 2
        return 3 if self.dropped else self.evaluation.exit_code

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
            "limits_dropped": self.dropped,
            "notes": list(self.notes),
            "engine": {
                "name": o.engine,
                "version": o.version,
                "seconds": o.seconds + self.solved.presolve_seconds,
                "variables": o.variables,
                "rows": o.rows,
                "nodes": o.nodes,
                "space_size": self.space_size or self.solved.space_size,
                "after_presolve": self.solved.left,
                "verified_by": "eval" if self.decided else None,
            },
        }
        return document

    def scorecard(self) -> str:
        """Return the answer beside the plan as given, then its scorecard."""
        from mlsysim.core.solver.report import render

        return render(self)


def parallelism(
    plan: PlanLike,
    *,
    solver: str = "auto",
    time_limit: float = 60.0,
    gap: float = 1e-9,
    threads: int = 1,
    seed: int = 0,
    top: int = 1,
) -> Optimization:
    """Return the layout of a training job with the shortest step, proven.

    Args:
        plan: a path, a mapping or a plan; what its ``parallelism`` block fixes stays fixed.
        solver: ``auto``, ``highs`` or ``exhaustive``.
        time_limit: of the solver [s]; the best plan found so far comes with its gap.
        gap: relative gap at which an answer counts as optimal.
        threads: of the solver.
        seed: of the solver.
        top: how many of the best plans to return; those after the first are ``alternatives``.

    Raises:
        InputError: the plan is wrong, or not a training plan.
        SolverLimitError: the solver stopped at its limit without an answer.
        MissingExtraError: the solver is not installed.
    """
    with placing(plan):
        s = scenario(plan)
        if s.job is None:
            raise InputError(
                "optimize parallelism needs a training plan",
                where="workload.phase",
                hint="set workload.phase: training",
            )
        before = evaluate(s)
        formulate, options = _tools("parallelism", time_limit, gap, threads, seed)
        recipe = formulate(s, s.settings.bounds)
        search = _Search(
            recipe.problem,
            solver,
            options,
            s,
            before.state,
            decode=lambda cells: evaluate(s, recipe.decode(cells)),
            value=lambda e: float(e.state.time),
        )
        found = search.run(top)
    decided = (
        {}
        if found.evaluation is None or found.evaluation.layout is None
        else (found.evaluation.layout.to_dict() | {"precision": s.precision, "accelerators": s.accelerators})
    )
    return _optimization(
        "parallelism",
        found,
        before,
        decided,
        recipe.space_size,
        ("performance.latency", "step time", "ms"),
        [_alternative(e) for e in found.others],
    )


def placement(
    plan: PlanLike,
    *,
    carbon_tax: float = 0.0,
    regions: tuple[str, ...] = (),
    solver: str = "auto",
    time_limit: float = 60.0,
    gap: float = 1e-9,
    threads: int = 1,
    seed: int = 0,
    top: int = 1,
) -> Optimization:
    """Return the region in which a plan costs least, carbon tax included, proven.

    Args:
        plan: a path, a mapping or a plan; its layout is kept, or chosen by the rule.
        carbon_tax: [USD/tCO2e], on operational and embodied carbon.
        regions: candidates by name; every region of the registry that is a place and has a
            price if empty.
        solver: see :func:`parallelism`, as for all that follows.
        time_limit: of the solver [s].
        gap: at which an answer counts as optimal.
        threads: of the solver.
        seed: of the solver.
        top: how many regions to return.

    Raises:
        InputError: the plan or a region is wrong.
        SolverLimitError: the solver stopped at its limit without an answer.
    """
    if isinstance(carbon_tax, bool) or not isinstance(carbon_tax, int | float) or not 0 <= carbon_tax <= 1e9:
        raise InputError(
            f"{carbon_tax!r} is not allowed here",
            where="carbon tax",
            hint="give USD per tonne of CO2e, 0 or more",
        )
    with placing(plan):
        s = scenario(plan)
        before = evaluate(s)
        candidates, left_out = _candidates(regions)
        formulate, options = _tools("placement", time_limit, gap, threads, seed)
        tax = units.to_base(float(carbon_tax), "USD/tCO2e", "USD/kgCO2e")
        recipe = formulate(before, candidates, tax, s.settings.bounds)
        search = _Search(
            recipe.problem,
            solver,
            options,
            s,
            before.state,
            decode=lambda cells: _moved(before, recipe.decode(cells)),
            value=lambda e: taxed(e.state.bill.tco, e.state.bill.carbon, tax),
        )
        found = search.run(top)
    decided = {} if found.evaluation is None else {"region": found.evaluation.scenario.region.name}
    notes = (
        f"{len(candidates)} regions considered",
        *((f"without a known electricity price, left out: {', '.join(left_out)}",) if left_out else ()),
    )
    title = f"cost + {carbon_tax:g} USD/tCO2e" if carbon_tax else "cost"
    return _optimization(
        "placement",
        found,
        before,
        decided,
        float(len(candidates)),
        ("macro.tco_usd + carbon tax", title, "USD"),
        [
            {"region": e.scenario.region.name, "objective": search.value(e), "unit": "USD"}
            for e in found.others
        ],
        notes,
    )


def _tools(recipe: str, time_limit: float, gap: float, threads: int, seed: int) -> tuple[Any, Options]:
    """Import a recipe when it is needed, and check the options."""
    from importlib import import_module

    for name, value, low in (
        ("time_limit", time_limit, 1e-3),
        ("gap", gap, 0.0),
        ("threads", threads, 1),
        ("seed", seed, 0),
    ):
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= 1e7:
            raise InputError(
                f"{value!r} is not allowed here", where=name, hint=f"give a number from {low:g} to 1e7"
            )
    try:
        module = import_module(f"formulations.{recipe}")
        base = import_module("formulations.engines.base")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "the formulations are not installed", hint="pip install 'mlsysim[solvers]'"
        ) from error
    return module.formulate, base.Options(float(time_limit), float(gap), int(threads), int(seed))


def _moved(here: Evaluation, region: Region) -> Evaluation:
    """Return the evaluation of the same plan in another region."""
    from mlsysim.core.resolve import resolve

    moved = resolve(replace(here.scenario.settings, region=region))
    return evaluate(moved, here.layout)


def _candidates(names: tuple[str, ...]) -> tuple[tuple[Region, ...], list[str]]:
    if names:
        return tuple(INFRA.get(n) for n in dict.fromkeys(INFRA.find(n) for n in names)), []
    places = [r for r in INFRA if not r.name.endswith("_Avg")]
    priced = tuple(r for r in places if r.electricity_price() is not None)
    return priced, [r.name for r in places if r.electricity_price() is None]


@dataclass(frozen=True)
class _Found:
    evaluation: Evaluation | None
    solved: Solved
    dropped: bool
    conflict: tuple[Conflict, ...]
    others: tuple[Evaluation, ...]


@dataclass
class _Search:
    """Solve, give up the plan's wishes if they alone stand in the way, verify, look for more."""

    problem: Problem
    solver: str
    options: Options
    scenario: Scenario
    state: State
    decode: Callable[[Any], Evaluation]
    value: Callable[[Evaluation], float]

    def run(self, top: int) -> _Found:
        from formulations.infeasible import conflict, soft, without
        from formulations.solve import solve

        problem = self.problem
        solved = solve(problem, self.solver, self.options)
        clash: tuple[Conflict, ...] = ()
        wishes = soft(problem)
        dropped = False
        if solved.outcome.status == "infeasible":
            clash = self._explain(conflict(problem, self.solver, self.options))
            if wishes:
                problem = without(problem, wishes)
                solved, dropped = solve(problem, self.solver, self.options), True
        if solved.outcome.status == "unknown":
            raise SolverLimitError(
                f"{solved.outcome.engine} found no plan within {self.options.time_limit:g} s",
                hint="raise the time limit",
            )
        if solved.outcome.status == "infeasible":
            return _Found(None, solved, False, clash, ())
        best = self._verified(problem, solved, dropped)
        return _Found(best, solved, dropped, clash, self._more(problem, solved, dropped, top))

    def _more(self, problem: Problem, first: Solved, dropped: bool, top: int) -> tuple[Evaluation, ...]:
        """Return the next best plans, each by forbidding those before it."""
        from formulations.solve import solve

        others: list[Evaluation] = []
        last = first
        while len(others) + 1 < top:
            problem = problem.forbidding(last.outcome.cells)
            last = solve(problem, self.solver, self.options)
            if last.outcome.status not in ("optimal", "feasible"):
                break
            others.append(self._verified(problem, last, dropped))
        return tuple(others)

    def _verified(self, problem: Problem, solved: Solved, dropped: bool) -> Evaluation:
        """Decode, evaluate, and hold the two against each other."""
        from formulations.rows import comparisons

        o = solved.outcome
        e = self.decode(o.cells)
        assert o.objective is not None
        _agree("objective", o.objective, self.value(e), o.engine)
        bounds = () if dropped else e.scenario.settings.bounds
        rows = {r.name: r for r in problem.rows}
        for c in comparisons(e.state, bounds):
            row = rows.get(c.name)
            if row is None:
                continue
            slack = row.supply - float(row.expr.at(o.cells, o.amounts)[0])
            size = max(abs(float(c.demand)), abs(float(c.supply)), 1e-30)
            if abs(slack - (float(c.supply) - float(c.demand))) > TOLERANCE * size:
                _agree(c.name, float(c.supply) - slack, float(c.demand), o.engine)
        return e

    def _explain(self, tags: list[str]) -> tuple[Conflict, ...]:
        """Return the members of a conflict, each with the least that it takes."""
        return tuple(self._member(tag, set(tags)) for tag in tags)

    def _member(self, tag: str, tags: set[str]) -> Conflict:
        from formulations.infeasible import excess
        from mlsysim.walls import WALLS

        over = excess(self.problem, tag, tags, self.options)
        wall = next((w for w in WALLS if w.tag == tag), None)
        if wall is None:
            return _wish(self.scenario.settings.bounds, tag, over, self.state)
        limited = [
            r for r in wall.rows(self.state) if isinstance(r.supply, int | float) and not r.by_construction
        ]
        if over is None or len(limited) != 1:
            return Conflict(tag, wall.number, wall.name, wall.equation)
        row = limited[0]
        supply = float(row.supply)  # type: ignore[arg-type]
        return Conflict(
            tag,
            wall.number,
            wall.name,
            row.note,
            units.from_base(supply + over, row.unit),
            units.from_base(supply, row.unit),
            row.unit,
        )


def _wish(bounds: tuple[Bound, ...], tag: str, over: float | None, state: State) -> Conflict:
    """Return an assertion as a member of a conflict."""
    bound = bounds[int(tag.removeprefix("assert"))]
    m = bound.metric
    sides = [
        f"{word} {units.from_base(x, m.unit):g} {m.unit}".removesuffix(" 1")
        for x, word in ((bound.low, "at least"), (bound.high, "at most"))
        if x is not None
    ]
    limit = ", ".join(sides)
    quotient = m.parts(state)[1] != 1.0
    if over is None or bound.high is None or bound.low is not None or quotient:
        return Conflict(tag, None, m.name, limit)
    return Conflict(
        tag,
        None,
        m.name,
        limit,
        units.from_base(bound.high + over, m.unit),
        units.from_base(bound.high, m.unit),
        m.unit,
    )


def _agree(what: str, theirs: float, ours: float, engine: str) -> None:
    if not np.isclose(theirs, ours, rtol=TOLERANCE, atol=0.0):
        raise MismatchError(
            f"{what}: {engine} says {theirs:.9g}, eval says {ours:.9g}",
            hint="this is a defect of mlsysim: please report the plan",
        )


def _alternative(e: Evaluation) -> Json:
    assert e.layout is not None
    return {**e.layout.to_dict(), "objective": e.metric("performance.latency"), "unit": "ms"}


def _optimization(
    name: str,
    found: _Found,
    before: Evaluation,
    decided: Json,
    space_size: float,
    objective: tuple[str, str, str],
    alternatives: list[Json],
    notes: tuple[str, ...] = (),
) -> Optimization:
    o = found.solved.outcome
    return Optimization(
        name,
        found.evaluation or before,
        before,
        o.status,
        Objective(*objective, o.objective, o.bound, found.solved.gap),
        decided,
        found.solved,
        found.dropped,
        found.conflict,
        tuple(alternatives),
        space_size,
        notes,
    )

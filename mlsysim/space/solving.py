"""Dimensions that are decisions are decided by the formulations, with proof, not enumerated.

Degrees and the rest of a plan's ``parallelism``, the precision and the size of the fleet are choices
of :mod:`formulations.parallelism`. What is left of the space are its cases: one problem each, solved to
its proven optimum and evaluated again by the engine that did not find it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from mlsysim.core import units
from mlsysim.core.errors import InputError, SolverLimitError
from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.core.layout import Layout
from mlsysim.core.machine import server_of
from mlsysim.core.metrics import METRICS, Metric
from mlsysim.core.plan import load
from mlsysim.core.resolve import resolve
from mlsysim.core.scenario import Bound, Scenario, Settings
from mlsysim.core.settings import settings_of
from mlsysim.core.solver.asked import Asked, How, asked, module
from mlsysim.core.solver.search import verify
from mlsysim.core.supplies import check
from mlsysim.core.supplies import given as with_amounts
from mlsysim.core.variants import with_decisions
from mlsysim.core.wanted import Wanted
from mlsysim.space.design import DesignSpace, put
from mlsysim.space.dimensions import Dimension
from mlsysim.space.expression import Side, compare, conjuncts
from mlsysim.space.paths import SUPPLY
from mlsysim.space.split import FLEET, INTERVAL, split
from mlsysim.space.syntax import Name
from mlsysim.walls import State

Json = dict[str, Any]
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True)
class Solution:
    """A case, solved.

    Attributes:
        evaluation: of the answer; None where there is none.
        proof: ``optimal``, ``feasible``, ``infeasible`` or empty where it is an error.
        objective, bound: in base units of the objective's expression; of ``feasible``, how far it may be.
        status: of the row, and ``reason`` why.
    """

    evaluation: Evaluation | None
    proof: str
    objective: float
    bound: float
    gap: float
    engine: str
    status: str
    reason: str = ""


class _Broken(Exception):
    """A constraint on a case alone does not hold, whatever is decided."""


class Solver:
    """Solves the cases of a space."""

    def __init__(self, space: DesignSpace, how: How | None = None) -> None:
        self.space = space
        self.split = split(space)
        self.how: How = how or {}
        self.wish = space.wishes[0]
        self._settings: Callable[..., Settings | InputError] = lru_cache(maxsize=512)(self._parsed)

    def of_run(self, names: frozenset[str]) -> bool:
        """Return whether any metric of some names is of the whole run."""
        return any(name in METRICS and METRICS[name].of_run for name in names)

    # -- from a case to a problem -----------------------------------------------------------------

    def _parsed(self, items: tuple[tuple[tuple[str, ...], Any], ...]) -> Settings | InputError:
        """Return the settings of a plan with some values, or why there are none."""
        lists = {
            d.path.keys: list(d.listed or ())
            for d in self.split.decided
            if d.path is not None and d.name.startswith("parallelism.")
        }
        for d in self.split.decided:
            assert d.path is not None
            if d.name == "workload.precision":
                lists["parallelism", "precision"] = list(d.listed or ())
            elif d.name in FLEET:
                lists[d.path.keys] = max(d.listed or ())
        try:
            settings = settings_of(*load(put(self.space.plan, {**lists, **dict(items)})))
            return self._with_intervals(self._with_fleet(settings))
        except InputError as error:
            return error

    def _with_fleet(self, settings: Settings) -> Settings:
        """Return settings whose fleet may be any of the sizes that a dimension lists."""
        fleet = next((d for d in self.split.decided if d.name in FLEET), None)
        if fleet is None:
            return settings
        counts = [int(v) * self.per_node(settings, fleet) for v in fleet.listed or ()]
        return replace(settings, fixed=settings.fixed | {"accelerators": Wanted(tuple(counts))})

    def _with_intervals(self, settings: Settings) -> Settings:
        """Return settings with the intervals between checkpoints that a dimension lists, to choose from."""
        d = next((d for d in self.split.decided if d.name == INTERVAL), None)
        if d is None or d.numbers is None:
            return settings
        listed = tuple(float(x) for x in d.numbers * units.factor(d.unit)[0])
        block = settings.blocks.get("checkpoint", {}) | {"interval": listed}
        return replace(settings, blocks=settings.blocks | {"checkpoint": block})

    def per_node(self, settings: Settings, fleet: Dimension) -> int:
        """Return how many accelerators one of a dimension's units is: a server's, or one."""
        server = server_of(settings) if fleet.name == "hardware.nodes" else None
        return 1 if server is None else round(server.accelerators.base)

    def scenario(self, values: Json) -> tuple[Scenario, dict[str, float]]:
        """Return the scenario of a case, with its constraints as bounds, and what expressions may use.

        Raises:
            InputError: the case cannot be.
        """
        cases = {d.name: d for d in self.split.cases}
        items, supplies, known = [], {}, {}
        for name, value in values.items():
            d = cases[name]
            if d.path is not None and not d.path.is_supply:
                items.append((d.path.keys, value))
            if not d.is_text:
                known[name] = (
                    units.parse(value, d.unit) if isinstance(value, str) else value * units.factor(d.unit)[0]
                )
            if d.path is not None and d.path.is_supply:
                supplies[name.removeprefix(SUPPLY + ".")] = known[name]
        settings = self._settings(tuple(items))
        if isinstance(settings, InputError):
            raise settings
        bounds = settings.bounds + tuple(self._bounds(known))
        found = resolve(with_amounts(replace(settings, bounds=bounds), supplies))
        check(found)
        return found, known

    def _bounds(self, known: dict[str, float]) -> list[Bound]:
        """Return the constraints as bounds on metrics made for them."""
        found = []
        for condition in self.space.conditions:
            for sign, *sides in conjuncts(condition, self.space.scope) or ():
                if not any(side.names & METRICS.keys() for side in sides):
                    if not compare(sign, *(side.value(known) for side in sides)):
                        raise _Broken(condition.text)
                    continue
                turned = bool(sides[1].names & METRICS.keys())
                of, other = reversed(sides) if turned else sides
                limit = float(other.value(known))
                metric = _metric(condition.text, of, known, self.space)
                if (FLIPPED[sign] if turned else sign) in ("<", "<="):
                    found.append(Bound(metric, None, limit, condition.text))
                else:
                    found.append(Bound(metric, limit, None, condition.text))
        return found

    def cost(self, state: State, known: dict[str, float]) -> Any:
        """Return what is made least: the objective, its inverse or its negative."""
        e = self.wish.expression
        if self.wish.greatest and isinstance(e.node, Name) and e.node.value in self.space.scope:
            name = self.space.scope[e.node.value].name
            if name in METRICS and METRICS[name].parts(state)[1] is state.time:
                numerator, denominator = METRICS[name].parts(state)
                return denominator / numerator
        value = e.value(known | _of_state(state, e.names))
        return -value if self.wish.greatest else value

    def worth(self, e: Evaluation, known: dict[str, float]) -> float:
        """Return the objective of an evaluated answer, in base units."""
        expression = self.wish.expression
        return float(expression.value(known | _of_state(e.state, expression.names)))

    # -- from a problem to an answer --------------------------------------------------------------

    def solve(self, values: Json) -> Solution:
        """Return the proven best of a case; a failure is an answer too."""
        try:
            s, known = self.scenario(values)
            return self._solved(s, known)
        except _Broken as broken:
            nothing = math.nan
            return Solution(None, "infeasible", nothing, nothing, nothing, "", "sla_violation", str(broken))
        except (InputError, SolverLimitError) as error:
            text = f"{error.where}: {error.problem}" if error.where else error.problem
            return Solution(None, "", math.nan, math.nan, math.nan, "", "error", text)

    def _solved(self, s: Scenario, known: dict[str, float]) -> Solution:
        used = self.wish.expression.names
        bounds = s.settings.bounds
        if self.of_run(used) and "training_tokens" not in s.extras:
            raise InputError("the objective is of training on tokens, and this plan has none")
        ask = asked(self.how)
        recipe = module("parallelism").formulate(
            s, bounds, lambda state: self.cost(state, known), of_run=self.of_run(used)
        )
        small = module("small").solve_small
        solved = small(recipe.problem, ask.options) if ask.solver == "auto" else None
        if solved is None:
            solve = module("solve").solve
            solved = solve(recipe.problem, ask.solver, ask.options, 1, self._starts(recipe, s))
        if ask.options.interrupted.is_set():  # the solver heard Ctrl-C, and it is meant for the campaign
            raise KeyboardInterrupt
        o = solved.outcome
        if o.status == "unknown":
            raise SolverLimitError(f"{o.engine} found no plan within {ask.options.time_limit:g} s")
        if o.status == "infeasible":
            return self._impossible(recipe.problem, ask, o.engine)
        assert o.objective is not None
        e = evaluate(*recipe.decode(o.cells))
        verify(recipe.problem, o.objective, o.cells, o.engine, set(), e, float(self.cost(e.state, known)))
        worth = self.worth(e, known)
        gap = math.nan if solved.gap is None else solved.gap
        bound = worth if o.status == "optimal" and gap <= ask.options.gap else self._shown(o.bound)
        return Solution(e, o.status, worth, bound, gap, o.engine, e.status, "; ".join(_failing(e)))

    def _starts(self, recipe: Any, s: Scenario) -> list[Any]:
        before = evaluate(s)
        assert before.layout is not None
        known = recipe.encode(before.scenario, before.layout)
        return [] if known is None else [known]

    def _shown(self, cost: float | None) -> float:
        """Return the bound on the objective that a bound on its cost stands for."""
        return math.nan if cost is None else -cost if self.wish.greatest else cost

    def _impossible(self, problem: Any, ask: Asked, engine: str) -> Solution:
        """Return whether the physics or the limits leave no plan; both are proven."""
        infeasible = module("infeasible")
        wishes = infeasible.soft(problem)
        possible = wishes and infeasible.feasible(
            infeasible.without(problem, wishes), ask.solver, ask.options
        )
        status, what = ("sla_violation", "the limits") if possible else ("fail", "the walls")
        reason = f"no layout keeps {what} (proven)"
        return Solution(None, "infeasible", math.nan, math.nan, math.nan, engine, status, reason)

    def again(self, values: Json, kept: Json) -> Solution:
        """Return a solution that was kept, evaluated anew.

        Raises:
            InputError: what is kept does not go with the case.
        """
        s, known = self.scenario(values)
        chosen = with_decisions(s, int(kept["accelerators"]), str(kept["precision"]), kept["interval"])
        e = evaluate(chosen, Layout(**kept["layout"]))
        worth = self.worth(e, known)
        numbers = [math.nan if kept[k] is None else float(kept[k]) for k in ("bound", "gap")]
        return Solution(
            e, kept["proof"], worth, numbers[0], numbers[1], kept["engine"], e.status, "; ".join(_failing(e))
        )


def _metric(text: str, side: Side, known: dict[str, float], space: DesignSpace) -> Metric:
    """Return one side of a comparison as a metric: a quotient where it is one, so that it stays linear."""
    of_run = any(name in METRICS and METRICS[name].of_run for name in side.names)
    if isinstance(side.node, Name):
        plain = METRICS[space.scope[side.node.value].name]
        return replace(plain, name=text)

    def parts(state: State) -> tuple[Any, Any]:
        return side.value(known | _of_state(state, side.names)), 1.0

    return Metric(text, "1", text, parts, of_run)


def _of_state(state: State, names: frozenset[str]) -> Json:
    """Return the metrics of some names, in base units: numbers, or expressions of a formulation."""
    found: Json = {}
    for name in names:
        if name in METRICS:
            numerator, denominator = METRICS[name].parts(state)
            one = isinstance(denominator, float) and denominator == 1.0
            found[name] = numerator if one else numerator / denominator
    return found


def _failing(e: Evaluation) -> list[str]:
    failing = [f"{w.wall.name} (wall {w.wall.number})" for w in e.walls if w.status == "fail"]
    return [c.bound.metric.name for c in e.checks if not c.ok] + failing


def decided_value(e: Evaluation, d: Dimension, per_node: int) -> Any:
    """Return what an answer decided for a dimension."""
    if d.name in FLEET:
        return e.scenario.accelerators // per_node
    if d.name == INTERVAL:
        return units.from_base(float(e.scenario.extras["checkpoint"].interval), d.unit)
    key = d.name.rpartition(".")[2]
    if key == "precision":
        return e.scenario.precision
    if key == "accelerators":
        return e.scenario.accelerators
    assert e.layout is not None
    return getattr(e.layout, key)


def numbers_of(e: Evaluation | None, names: tuple[str, ...]) -> list[float]:
    """Return metrics in their own units; NaN where there is none."""
    if e is None:
        return [math.nan] * len(names)
    return [e.metric(n) if METRICS[n].applies(e.state) else math.nan for n in names]


def as_array(values: list[float]) -> np.ndarray:
    """Return numbers as a column."""
    return np.array(values, dtype=float)

"""Problems that the recipes write for plans of ``examples/``: what the statements are held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from docgen.snippets import ROOT


@dataclass(frozen=True)
class Instance:
    """The names of one problem.

    Attributes:
        plan: the example, from the repository's root.
        decisions: by name, how many cells or variables there are, and the attributes of a cell.
        rows: names of rows, without their index, and how many there are.
    """

    plan: str
    decisions: dict[str, tuple[int, tuple[str, ...]]]
    rows: dict[str, int]


def _counted(names: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return found


def _of_problem(plan: str, problem: Any) -> Instance:
    """Return the names of a problem in the algebra; its rows are those of the whole program."""
    from formulations.problem import shared

    decisions = {c.name: (c.size, tuple(c.columns)) for c in problem.choices}
    names = ["one"] * len(problem.choices) + ["exclude"] * len(problem.exclusions)
    for i, a in enumerate(problem.choices):
        names += ["agree"] * sum(bool(shared(a, b)) for b in problem.choices[i + 1 :])
    names += ["assert" if row.tag.startswith("assert") else row.tag for row in problem.rows]
    return Instance(plan, decisions, _counted(names))


def _with(plan: str, constraints: dict[str, Any] | None) -> Any:
    """Return an example, or the same with other constraints."""
    if constraints is None:
        return ROOT / plan
    import yaml

    return yaml.safe_load((ROOT / plan).read_text(encoding="utf-8")) | {"constraints": constraints}


def _parallelism(plan: str, constraints: dict[str, Any] | None = None) -> Instance:
    from formulations.parallelism import formulate
    from mlsysim.core.api import scenario

    s = scenario(_with(plan, constraints))
    recipe = formulate(s, s.settings.bounds, of_run="training_tokens" in s.extras)
    return _of_problem(plan, recipe.problem)


def _placement(plan: str) -> Instance:
    from formulations.placement import formulate
    from mlsysim import evaluate_plan
    from mlsysim.infra import CATALOG

    here = evaluate_plan(ROOT / plan)
    regions = tuple(r for r in CATALOG if r.name in ("Quebec", "Norway", "Iowa"))
    recipe = formulate(here, regions, here.scenario.settings.bounds)
    first = recipe.least(recipe.problem, ("macro.tco_usd",), 0, (1.0,))
    return (
        _of_problem(plan, first)
        if plan == "examples/rented_cluster.yaml"
        else _of_problem(plan, recipe.problem)
    )


def _batching(plan: str, constraints: dict[str, Any] | None = None) -> Instance:
    from formulations.batching import formulate
    from mlsysim.core.api import scenario
    from mlsysim.core.solver.batching import ways_to_run
    from mlsysim.core.solver.service_goals import service_goal

    s = scenario(_with(plan, constraints))
    ways = ways_to_run(s, (), (), ())
    recipe = formulate(s, ways, service_goal("cost").cost, bounds=s.settings.bounds)
    return _of_problem(plan, recipe.problem)


def _serving(plan: str, *, day: bool = False) -> Instance:
    import numpy as np

    from formulations.serving import Mix, program
    from formulations.serving_recipe import formulate
    from mlsysim.core.plan import load
    from mlsysim.core.settings import settings_of
    from mlsysim.core.solver.serving_question import question

    if day:  # two hours, a start, and roles that split, which the example has none of
        m = Mix(
            rate=np.array([[1.0, 2.0]]),
            time=np.array([[0.1, 0.1, 0.2]]),
            moved=np.array([[0.0, 0.05, 0.0]]),
            role=np.array([0, 1, 2]),
            group=np.zeros(3, dtype=np.int64),
            work=(np.array([0.0, 1.0]),) * 3,
            cost=np.ones(3),
            start=np.ones(3),
            units=np.ones(3),
            stock=np.zeros(3, dtype=np.int64),
            stocks=np.array([4.0]),
        )
    else:
        parsed, document = load(ROOT / plan)
        q = question(parsed, document, settings_of(parsed, document))
        cost = np.array([o.cost for o in q.offers])
        m = formulate(q.demand, q.offers, q.rules, np.array([c for _, c in q.stocks]), cost).mix
    p = program(m, cost_between=(0.0, 1e9))
    decisions: dict[str, tuple[int, tuple[str, ...]]] = {}
    for label, many in p.linear.column_labels:
        size = decisions.get(str(label[0]), (0, ()))[0] + many
        decisions[str(label[0])] = (size, ())
    return Instance(plan, decisions, _counted(str(label[0]) for label in p.linear.row_labels))


def _fleets(plan: str, constraints: dict[str, Any] | None = None) -> Instance:
    from formulations.schedule.fields import Multipliers
    from formulations.schedule.pricing import Pricer
    from formulations.schedule.whole import Whole
    from mlsysim.core.fleet_plan import load
    from mlsysim.core.schedule.resolve import resolve_fleet
    from mlsysim.core.schedule.types import Weights

    fleet = resolve_fleet(*load(_with(plan, constraints)), Weights(1.0, 0.1, 0.0)).fleet
    whole = Whole(Pricer(fleet), Multipliers.none(fleet), float("inf"))
    whole.program()
    decisions: dict[str, tuple[int, tuple[str, ...]]] = {}
    for _, name, at in whole.meaning:
        decisions[name] = (decisions.get(name, (0, ()))[0] + len(at), ())
    kinds = [job.kind for job in fleet.jobs]
    return Instance(plan, decisions, _counted([*kinds, *(tag for tag, _ in whole.tags if tag)]))


_LIMITS = {"budget": 1e9, "carbon": 1e9, "accuracy_loss": 0.5}
_SERVED = _LIMITS | {"assert": [{"metric": "performance.token_capacity", "min": 1.0}]}
_TRAINING = ("open_decisions", "image_pipeline", "long_run", "private_training", "shared_cluster")
Made = tuple[Callable[[], Instance], ...]
# The first of each is shown on the page.
_MADE: dict[str, Made] = {
    "parallelism": (
        *(partial(_parallelism, f"examples/{name}.yaml") for name in _TRAINING),
        partial(_parallelism, "examples/gpt3_a100.yaml", _LIMITS | {"communication": 0.5}),
    ),
    "placement": tuple(
        partial(_placement, f"examples/{name}.yaml") for name in ("llama3_70b", "rented_cluster")
    ),
    "batching": tuple(
        partial(_batching, "examples/chat_batching.yaml", limits) for limits in (None, _SERVED)
    ),
    "serving": tuple(partial(_serving, "examples/serving_mix.yaml", day=day) for day in (False, True)),
    "fleets": (
        partial(_fleets, "examples/fleet_small.yaml"),
        partial(_fleets, "examples/fleet.yaml"),
        partial(_fleets, "examples/fleet_small.yaml", {"budget": 1e9}),
    ),
}


@cache
def instances(name: str) -> tuple[Instance, ...]:
    """Return problems of a formulation."""
    return tuple(make() for make in _MADE[name])

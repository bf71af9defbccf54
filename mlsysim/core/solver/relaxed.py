"""The best plan, and the question without the limits of the plan that nothing can keep."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.core.resolve import resolve
from mlsysim.core.scenario import Scenario
from mlsysim.core.solver.question import Question, known
from mlsysim.core.solver.search import Conflict, Search
from mlsysim.walls import Limits

if TYPE_CHECKING:
    from formulations.solve import Solved


@dataclass(frozen=True)
class Base:
    """The best plan, or why there is none.

    Attributes:
        evaluation: of the best plan; None where nothing fits.
        value: of its objective, as it is shown, in base units.
        dropped: tags of the plan's limits that had to be given up.
        conflict: what cannot hold together, if anything.
        solved: what the solver says.
    """

    evaluation: Evaluation | None
    value: float | None
    dropped: tuple[str, ...]
    conflict: tuple[Conflict, ...]
    solved: Solved

    @property
    def exit_code(self) -> int:
        """0 holds, 2 nothing fits, 3 a limit had to be given up."""
        return 2 if self.evaluation is None else 3 if self.dropped else 0

    @property
    def verdict(self) -> str:
        """The same as a word of results."""
        return {0: "pass", 2: "fail", 3: "sla_violation"}[self.exit_code]


def answered(q: Question) -> tuple[Question, Base]:
    """Return the best plan of a question, and the question without the limits that it had to give up."""
    recipe = q.recipe()
    search = Search(
        recipe.problem,
        q.ask,
        q.scenario,
        q.before.state,
        decode=lambda cells: evaluate(*recipe.decode(cells)),
        value=q.value,
        starts=known(recipe, q.before),
        **q.opened(),
    )
    found = search.run()
    value = None if found.evaluation is None else q.goal.shown(q.value(found.evaluation))
    base = Base(found.evaluation, value, found.dropped, found.conflict, found.solved)
    if found.dropped:
        q = replace(q, scenario=without(q.scenario, found.dropped))
        if found.evaluation is not None:
            e = found.evaluation
            base = replace(base, evaluation=evaluate(without(e.scenario, found.dropped), e.layout))
    return q, base


def without(s: Scenario, tags: tuple[str, ...]) -> Scenario:
    """Return a scenario without some of the plan's limits, by the tags of their rows."""
    t = s.settings
    bounds = tuple(b for i, b in enumerate(t.bounds) if f"assert{i}" not in tags)
    walls = {int(tag[1:]) for tag in tags if tag.startswith("w")}
    limits = {f.name: None for f in fields(Limits) if f.metadata["wall"] in walls}
    return resolve(replace(t, bounds=bounds, limits=replace(t.limits, **limits)))

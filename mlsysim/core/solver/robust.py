"""The plan whose worst case is best, where efficiency, bandwidth, prices and carbon are uncertain.

Less efficiency and less bandwidth never make a step shorter, dearer and dirtier power never makes it
cheaper or cleaner. So the worst case of every plan is the same corner of what is uncertain, and the plan
that is best there is the robust one, with the proof of any other optimum. Limits of the plan and walls
have to hold at every corner of efficiency, memory bandwidth and network: a share of exposed traffic is
largest where efficiency is high and the network slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import TYPE_CHECKING, Unpack

from mlsysim.core import text, units
from mlsysim.core.api import PlanLike, placing
from mlsysim.core.errors import MismatchError
from mlsysim.core.evaluation import Evaluation, Json, evaluate
from mlsysim.core.resolve import resolve
from mlsysim.core.scenario import Scenario
from mlsysim.core.solver.asked import How
from mlsysim.core.solver.decided import decided
from mlsysim.core.solver.objectives import Goal
from mlsysim.core.solver.optimization import Objective, Optimization
from mlsysim.core.solver.question import Question, fixed, known, question, released
from mlsysim.core.solver.search import Search
from mlsysim.core.supplies import what_if

if TYPE_CHECKING:
    from formulations.joint import Cells
    from formulations.problem import Problem

# What is uncertain; of each group less is worse, or more is.
RATES = (("efficiency",), ("bandwidth",), ("scale_up_bandwidth", "scale_out_bandwidth"))
PRICE = ("electricity_price", "purchase_price", "rent")
CARBON = ("carbon_intensity", "embodied_carbon")
UNCERTAIN = (*chain.from_iterable(RATES), *PRICE, *CARBON)


@dataclass(frozen=True)
class Robust:
    """What the worst case is like, of the robust plan and of the one that is best usually.

    Attributes:
        share: by how much each number may be worse.
        goal: the objective.
        usual, worst: of the robust plan, in base units as they are shown.
        best_usual, best_usual_worst: of the plan that is best usually; None where it breaks a limit, at
            worst, or where there is none.
        best_usual_plan: its decisions.
    """

    share: float
    goal: Goal
    usual: float
    worst: float
    best_usual: float | None
    best_usual_worst: float | None
    best_usual_plan: Json | None

    @property
    def price(self) -> float | None:
        """What robustness costs where nothing is worse than usual, relative to the objective."""
        return None if self.best_usual is None else self.usual / self.best_usual - 1.0

    @property
    def gain(self) -> float | None:
        """What it saves at worst, likewise."""
        return None if self.best_usual_worst is None else self.worst / self.best_usual_worst - 1.0

    def to_dict(self) -> Json:
        """Return it for JSON."""

        def shown(x: float | None) -> float | None:
            return None if x is None else units.from_base(x, self.goal.unit)

        return {
            "share": self.share,
            "uncertain": list(UNCERTAIN),
            "unit": self.goal.unit,
            "usual": shown(self.usual),
            "worst": shown(self.worst),
            "best_usual": shown(self.best_usual),
            "best_usual_worst": shown(self.best_usual_worst),
            "price": self.price,
            "gain": self.gain,
            "best_usual_plan": self.best_usual_plan,
        }

    @property
    def sentence(self) -> str:
        """The same in words."""

        def shown(x: float) -> str:
            return text.amount(units.from_base(x, self.goal.unit), self.goal.unit)

        head = (
            f"Robust to efficiency, bandwidth, prices and carbon that are {self.share:.0%} worse: "
            f"{self.goal.title} {shown(self.worst)} at worst, {shown(self.usual)} usually."
        )
        if self.best_usual is None:
            return head
        if self.price is not None and abs(self.price) < 1e-9:
            return f"{head} It is the plan that is best usually, too: robustness costs nothing."
        then = (
            "but breaks a limit at worst"
            if self.best_usual_worst is None
            else f"and {shown(self.best_usual_worst)} at worst"
        )
        usual = f"The plan that is best usually has {shown(self.best_usual)}, {then}"
        return f"{head} {usual}: robustness costs {self.price:.2%}."


def corners(s: Scenario, share: float) -> tuple[Scenario, list[Scenario]]:
    """Return the worst case of a scenario, and the other cases in which every row has to hold."""
    dear = dict.fromkeys((*PRICE, *CARBON), 1.0 + share)
    found = []
    for corner in product((1.0 - share, 1.0 + share), repeat=len(RATES)):
        factors = {name: f for names, f in zip(RATES, corner, strict=True) for name in names}
        found.append(what_if(s, factors | dear))
    return found[0], [*found[1:], s]


def robust(
    plan: PlanLike,
    share: float,
    *,
    objective: str = "time",
    carbon_tax: float = 0.0,
    **how: Unpack[How],
) -> Optimization:
    """Return the plan whose worst case is best, proven.

    Args:
        plan: a path, a mapping or a plan.
        share: by how much efficiency, bandwidths, prices and carbon may be worse (or better).
        objective: one of :data:`mlsysim.core.solver.objectives.NAMES`.
        carbon_tax: of the objective ``cost+carbon`` [USD/tCO2e].
        how: see :class:`mlsysim.core.solver.asked.How`.

    Raises:
        InputError: the plan is wrong.
        SolverLimitError: the solver stopped at its limit without an answer.
    """
    with placing(plan):
        q = question(plan, "optimize parallelism", objective, carbon_tax, how)
        s = q.scenario
        worst, others = corners(s, share)
        recipe = q.recipe(worst, also=others)

        def decode(cells: Cells) -> Evaluation:
            return evaluate(*recipe.decode(cells))

        before = replace(q, scenario=worst).before

        def opened(names: Sequence[str]) -> Problem:
            also = [released(s, names) for s in others]
            return q.recipe(released(worst, names), also=also).problem

        search = Search(
            recipe.problem,
            q.ask,
            worst,
            before.state,
            decode,
            q.value,
            known(recipe, before),
            decisions=fixed(worst),
            opened=opened,
        )
        found = search.run()
        usual = None if found.evaluation is None else _as(found.evaluation, s)
        if usual is not None and not found.dropped:
            _hold(usual, share)
    o = found.solved.outcome
    shown = [q.goal.shown(x) for x in (q.value(before), o.objective, o.bound)]
    aim = Objective(
        f"{q.goal.metric} at worst",
        f"{q.goal.title}, worst case",
        q.goal.unit,
        shown[0],
        shown[1],
        shown[2],
        found.solved.gap,
    )
    return Optimization(
        "parallelism",
        usual or q.before,
        q.before,
        o.status,
        aim,
        {} if usual is None else decided(usual),
        found.solved,
        search.problem,
        s,
        found.dropped,
        found.conflict,
        confirmed_by=found.confirmed_by,
        robust=None if usual is None else _compared(q, share, usual, found.evaluation),
    )


def _as(e: Evaluation, s: Scenario) -> Evaluation:
    """Return a plan with the supplies of another scenario."""
    t = s.settings
    return evaluate(resolve(replace(e.scenario.settings, scales=t.scales, amounts=t.amounts)), e.layout)


def _hold(usual: Evaluation, share: float) -> None:
    """Refuse an answer that breaks a limit at a corner.

    Raises:
        MismatchError: it does.
    """
    worst, others = corners(usual.scenario, share)
    for case in (worst, *others):
        if evaluate(case, usual.layout).exit_code != 0:
            raise MismatchError(
                "the robust plan breaks a limit at a corner of what is uncertain",
                hint="this is a defect of mlsysim: please report the plan",
            )


def _compared(q: Question, share: float, usual: Evaluation, worst: Evaluation | None) -> Robust:
    """Return the robust plan beside the one that is best usually."""
    assert worst is not None
    recipe = q.recipe()
    o = q.solve(recipe, usual).outcome
    best = None if o.objective is None else evaluate(*recipe.decode(o.cells))
    best_worst = None
    if best is not None:
        case, others = corners(best.scenario, share)
        at_worst = evaluate(case, best.layout)
        if all(evaluate(c, best.layout).exit_code == 0 for c in (case, *others)):
            best_worst = q.goal.shown(q.value(at_worst))
    shown = [q.goal.shown(q.value(e)) for e in (usual, worst)]
    assert shown[0] is not None
    assert shown[1] is not None
    return Robust(
        share,
        q.goal,
        shown[0],
        shown[1],
        None if best is None else q.goal.shown(q.value(best)),
        best_worst,
        None if best is None else decided(best),
    )

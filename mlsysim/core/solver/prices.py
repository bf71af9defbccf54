"""Wall 21: what a little more or less of each supply is worth when the plan may change with it.

Each supply, and each limit of the plan, is made larger and smaller, and the best plan is found and proven
anew. A change of a tenth moves no number of the physics by more than that, so one reduction of the
problem serves all of them (:mod:`formulations.nearby`); where an answer comes near the edge of what it
left, the whole problem is asked again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Unpack

from mlsysim.core import units
from mlsysim.core.api import PlanLike, placing
from mlsysim.core.errors import InputError, SolverLimitError, UnknownNameError, unknown
from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.core.resolve import resolve
from mlsysim.core.scenario import Bound, Scenario
from mlsysim.core.solver.asked import How, module
from mlsysim.core.solver.decided import decided
from mlsysim.core.solver.objectives import goal
from mlsysim.core.solver.placing import one_tax
from mlsysim.core.solver.priced import Price, Prices, Step
from mlsysim.core.solver.question import Question, known, question
from mlsysim.core.solver.relaxed import Base, answered
from mlsysim.core.supplies import NAMES, OF_RUN, PEAKS, SUPPLIES, find, what_if
from mlsysim.core.tolerance import TOLERANCE
from mlsysim.core.wanted import Wanted
from mlsysim.walls import Limits

if TYPE_CHECKING:
    from formulations.engines.base import Outcome
    from formulations.joint import Known
    from formulations.parallelism import Recipe
    from formulations.solve import Solved

CHANGE = 0.1
BATCH = "batch"
# Relative change for the price of a unit, plan held: small against the distance to most kinks.
LITTLE = 1e-4
# The objective that grows with the batch, and what is told of it in its place.
OF_STEP = "performance.latency"
OF_BATCH = "time of as many samples as the plan's step has"
MONEY = (17, 18)
# Supplies in which money, energy and carbon are linear with the plan held, so that ranges are exact.
LINEAR = (
    "power", "purchase_price", "rent", "upkeep", "embodied_carbon", "electricity_price",
    "carbon_intensity", "pue", "wue", "grid_water", "carbon_tax",
)  # fmt: skip


@dataclass(frozen=True)
class _Lever:
    """Something that can be made larger: a supply, a limit of the plan, the carbon tax."""

    name: str
    title: str
    wall: int | None
    unit: str
    there: float
    dear: bool  # whether less of it is better

    @property
    def whole(self) -> bool:
        """Whether it is counted: a larger batch is another job, asked about as a whole."""
        return self.name == BATCH


def sensitivity(
    plan: PlanLike,
    *,
    objective: str = "time",
    carbon_tax: float = 0.0,
    supplies: Iterable[str] | None = None,
    change: float = CHANGE,
    **how: Unpack[How],
) -> Prices:
    """Return what more and less of each supply does to the best plan.

    Args:
        plan: a path, a mapping or a plan.
        objective: one of :data:`mlsysim.core.solver.objectives.NAMES`.
        carbon_tax: of the objective ``cost+carbon`` [USD/tCO2e].
        supplies: names of :data:`mlsysim.core.supplies.NAMES`, or ``batch``; all that matter by default,
            and the limits of the plan.
        change: by what share each is changed.
        how: see :class:`mlsysim.core.solver.asked.How`.

    Raises:
        InputError: the plan or a name is wrong.
        SolverLimitError: the solver stopped at its limit without an answer.
    """
    if isinstance(change, bool) or not isinstance(change, int | float) or not 0.0 < change <= 0.5:
        raise InputError(f"{change!r} is not allowed here", where="change", hint="give a share up to 0.5")
    with placing(plan):
        q = question(plan, "solve sensitivity", objective, carbon_tax, how)
        return prices(q, supplies, float(change), carbon_tax)


def prices(
    q: Question, supplies: Iterable[str] | None = None, change: float = CHANGE, carbon_tax: float = 0.0
) -> Prices:
    """Return the prices of a question's supplies; see :func:`sensitivity`."""
    q, base = answered(q)
    return price_of(q, base, supplies, change, carbon_tax)


def price_of(
    q: Question, base: Base, supplies: Iterable[str] | None, change: float, carbon_tax: float
) -> Prices:
    """Return the prices of a question that is answered; see :func:`sensitivity`."""
    if base.evaluation is None:
        return Prices(q, base, change, ())
    again = _Again(q, base.evaluation, change, carbon_tax)
    levers = again.levers() if supplies is None else map(again.lever, supplies)
    found = [again.price(lever) for lever in levers if lever is not None]
    found.sort(key=lambda p: -max(abs(p.less.change or 0.0), abs(p.more.change or 0.0)))
    return Prices(q, base, change, tuple(found))


class _Again:
    """Plans one question anew with other numbers."""

    def __init__(self, q: Question, best: Evaluation, change: float, carbon_tax: float) -> None:
        self.q, self.best, self.change, self.tax = q, best, change, carbon_tax
        self.value = q.value(best)
        self.known = [best]  # every plan that was the best somewhere: a start for all that follows
        # solutions outside are worse than this, times what a change can improve them by
        self.factor = (1.0 + change) / (1.0 - change)
        recipe = q.recipe()
        found = module("nearby").nearby(recipe.problem, self.value, self.factor, q.ask.options)
        if "fleet" in found and (fewer := _fewer(q.scenario, recipe, found["fleet"])) is not None:
            self.q = q = replace(q, scenario=fewer)
            recipe = q.recipe()
            found = module("nearby").nearby(recipe.problem, self.value, self.factor, q.ask.options)
        self.kept = {name: at for name, at in found.items() if name != "fleet"}
        self.base = q.recipe(kept=self.kept).problem

    # -- what may change ---------------------------------------------------------------------------

    def levers(self) -> Iterator[_Lever | None]:
        """Yield the supplies that may matter, then the plan's limits, then the carbon tax."""
        s = self.q.scenario
        limited = any(b.metric.name.startswith("macro.") for b in s.settings.bounds) or any(
            getattr(s.settings.limits, f.name) is not None
            for f in fields(Limits)
            if f.metadata["wall"] in MONEY
        )
        money = limited or self.q.goal.metric.startswith("macro.")
        of_run = self.q.goal.of_run or any(b.metric.of_run for b in s.settings.bounds)
        of_run |= s.settings.limits.failures is not None or s.settings.limits.checkpoint is not None
        yield self.lever(BATCH)
        peaks = [x for x in PEAKS.values() if x.of(self.best.scenario) is not None]
        for supply in (*(peaks if len(peaks) > 1 else ()), *SUPPLIES.values(), *OF_RUN.values()):
            if supply.name == "peak" and len(peaks) > 1:
                continue
            if supply.wall in MONEY and not money:
                continue
            if supply.name in ("mtbf", "checkpoint_bandwidth") and not of_run:
                continue
            if supply.name == "storage_bandwidth" and "data" not in s.settings.blocks:
                continue
            yield self.lever(supply.name)
        for i, b in enumerate(s.settings.bounds):
            for side, x in (("max", b.high), ("min", b.low)):
                if x:
                    title = f"{'at most' if side == 'max' else 'at least'}, {b.metric.name}"
                    yield _Lever(f"assert{i}.{side}", title, None, b.metric.unit, x, side == "min")
        for f in fields(Limits):
            if x := getattr(s.settings.limits, f.name):
                unit = f.metadata["unit"]
                yield _Lever(f"constraints.{f.name}", f"limit {f.name}", f.metadata["wall"], unit, x, False)
        if self.q.goal.name == "cost+carbon" and self.tax:
            tax = one_tax(self.tax)
            yield _Lever("carbon_tax", "carbon tax", 18, "USD/tCO2e", tax, True)

    def lever(self, name: str) -> _Lever | None:
        """Return a supply by name; None where the plan has none of it.

        Raises:
            UnknownNameError: naming the nearest.
        """
        if name == BATCH:
            samples = self.best.scenario.batch
            return _Lever(BATCH, "batch", None, "sample", samples, False) if samples > 1 else None
        try:
            supply = find(name)
        except UnknownNameError as error:
            raise unknown("supply", name, (BATCH, *NAMES)) from error
        there = supply.of(self.best.scenario)
        if there is None:
            return None
        return _Lever(name, supply.title, supply.wall, supply.unit, there, supply.dear)

    def question(self, lever: _Lever, factor: float, s: Scenario | None = None) -> Question:
        """Return the question with a lever multiplied."""
        s = s or self.q.scenario
        t = s.settings
        if lever.name == "carbon_tax":
            tax = self.tax * factor
            return replace(self.q, scenario=s, goal=goal("cost+carbon", one_tax(tax), tax))
        if lever.name.startswith("assert"):
            index, side = lever.name.removeprefix("assert").split(".")
            bounds = list(t.bounds)
            b = bounds[int(index)]
            low, high = (b.low * factor if side == "min" and b.low else b.low), b.high
            high = high * factor if side == "max" and high else high
            bounds[int(index)] = Bound(b.metric, low, high, b.where)
            return replace(self.q, scenario=resolve(replace(t, bounds=tuple(bounds))))
        if lever.name.startswith("constraints."):
            name = lever.name.removeprefix("constraints.")
            limits = replace(t.limits, **{name: getattr(t.limits, name) * factor})
            return replace(self.q, scenario=resolve(replace(t, limits=limits)))
        if lever.whole:
            return replace(self.q, scenario=resolve(replace(t, batch=round(lever.there * factor))))
        return replace(self.q, scenario=what_if(s, {lever.name: factor}))

    # -- planning anew -----------------------------------------------------------------------------

    def plan(self, lever: _Lever, factor: float) -> Evaluation | None:
        """Return the best plan with a lever multiplied; None if there is none."""
        q = self.question(lever, factor)
        try:
            recipe = q.recipe(kept=None if lever.whole else self.kept)
            # a layout of another batch may not go with this one: no start for it, nor the other way round
            first = (q.before,) if lever.whole else ()
        except InputError:  # so few samples cannot be divided over the fleet: no plan at all
            if lever.whole:
                return None
            raise
        if not lever.whole and module("nearby").same(recipe.problem, self.base):
            return self._there(q)
        found = self._quickly(q, recipe) if not lever.whole else None
        edge = self.value * self.factor / (1.0 + self.change)
        if found is None or found[0] > edge:  # what was left out may be better
            recipe = q.recipe()
            o = _proven(q.solve(recipe, *(first or (*self.known, q.before))))
            if o.objective is None:
                return None
            found = o.objective, o.cells
        e = evaluate(*recipe.decode(found[1]))
        if not lever.whole and all(_decisions(e) != _decisions(k) for k in self.known):
            self.known.append(e)
        return e

    def _quickly(self, q: Question, recipe: Recipe) -> Known | None:
        """Return the best of what may matter after the change; None if there is nothing."""
        if self.q.ask.solver == "auto":
            starts = known(recipe, *self.known, q.before)  # with less of it the rule may find room
            found: Known | None = module("nearby").at_hand(recipe.problem, starts, self.q.ask.options)
            if found is not None:
                return found
        o = _proven(q.solve(recipe, *self.known, q.before, look=False))
        return None if o.objective is None else (o.objective, o.cells)

    def _there(self, q: Question) -> Evaluation:
        """Return the plan that is there, evaluated with what a question has changed."""
        mine = self.best.scenario.settings
        s = resolve(
            replace(
                q.scenario.settings,
                fixed=mine.fixed,
                accelerators=mine.accelerators,
                nodes=mine.nodes,
                precision=mine.precision,
                blocks=mine.blocks,
                given=mine.given,
            )
        )
        return evaluate(s, self.best.layout)

    def price(self, lever: _Lever) -> Price:
        """Return what more and less of a lever does."""
        factors = self._batches() if lever.whole else (1.0 - self.change, 1.0 + self.change)
        less, more = (self._step(lever, f) for f in factors)
        low, high = (self._edge(lever, step, f) for step, f in zip((less, more), factors, strict=True))
        return Price(
            lever.name, lever.title, lever.wall, lever.unit, lever.there, lever.dear,
            self._per_unit(lever), less, more, low, high, lever.name in LINEAR,
            OF_BATCH if lever.whole and self.q.goal.metric == OF_STEP else None,
        )  # fmt: skip

    def _batches(self) -> tuple[float, float]:
        """Return by what the batch is multiplied: to whole rounds of the plan that is there.

        An odd number of samples would ask for other degrees, and tell of divisors rather than of batches.
        """
        layout, there = self.best.layout, self.best.scenario.batch
        assert layout is not None
        unit = self._round()
        less = int((1.0 - self.change) * there) // unit * unit
        if less <= 0:
            less = there - unit if there > unit else there // 2
        return less / there, math.ceil((1.0 + self.change) * there / unit - 1e-9) * unit / there

    def _round(self) -> int:
        """Return how many samples of one more round the plan can take as it is."""
        x = self.best.layout
        assert x is not None
        return x.dp * x.microbatch_size * (x.pp if x.interleave > 1 else 1)

    def _worth(self, lever: _Lever, factor: float, cost: float) -> float:
        """Return what a solver makes least; a step of another batch as one of as many samples as now."""
        return cost / factor if lever.whole and self.q.goal.metric == OF_STEP else cost

    def _step(self, lever: _Lever, factor: float) -> Step:
        e = self.plan(lever, factor)
        amount = units.from_base(lever.there * factor, lever.unit)
        if e is None:
            return Step(factor, amount, None, None, None, False)
        q = self.question(lever, factor)
        value = self._worth(lever, factor, q.value(e))
        moved = _decisions(e) != _decisions(self.best)
        if moved and (stays := self._held(lever, factor)) is not None:
            # of two plans that are as good, the one that is there stays
            moved = value < stays * (1.0 - TOLERANCE * 1e-2)
            e = e if moved else self.best
        shown = self.q.goal.shown(value)
        before = self.q.goal.shown(self.value)
        assert shown is not None
        assert before is not None
        return Step(factor, amount, shown, shown / before - 1.0, decided(e), moved)

    def _held(self, lever: _Lever, factor: float) -> float | None:
        """Return the objective with a lever multiplied and the plan held; None where it breaks a row.

        Or where it cannot be: a batch that the plan's ranks do not divide.
        """
        if lever.whole and round(lever.there * factor) % self._round():
            return None
        q = self.question(lever, factor)
        e = self._there(q)
        return self._worth(lever, factor, q.value(e)) if e.exit_code == 0 else None

    def _edge(self, lever: _Lever, step: Step, factor: float) -> float | None:
        """Return the amount up to which the plan stays the best; None if it does as far as looked.

        Halving: each question is answered with proof, and the edge lies between two of them.
        """
        if lever.whole or (not step.moved and step.value is not None):
            return None
        if lever.name == "capacity" and factor < 1.0:  # the plan stays as long as it fits
            return min(
                units.from_base(float(self.best.state.memory), lever.unit),
                units.from_base(lever.there, lever.unit),
            )
        stays, gone = 1.0, factor
        while abs(gone - stays) > EDGE and not self.q.ask.options.expired:
            middle = 0.5 * (stays + gone)
            held = self._held(lever, middle)
            e = self.plan(lever, middle)
            best = None if e is None else self.question(lever, middle).value(e)
            if held is not None and best is not None and held <= best * (1.0 + TOLERANCE * 1e-2):
                stays = middle
            else:
                gone = middle
        return units.from_base(lever.there * gone, lever.unit)

    def _per_unit(self, lever: _Lever) -> float | None:
        """Return what the objective gains by one more unit while the plan stays, in its unit."""
        if lever.name.startswith(("assert", "constraints.")):
            return None
        little = self._round() / lever.there if lever.whole else LITTLE
        if little >= 1.0:
            return None
        low, high = (self._held(lever, f) for f in (1.0 - little, 1.0 + little))
        if low is None or high is None:
            return None
        shown = [self.q.goal.shown(x) for x in (low, high)]
        assert shown[0] is not None
        assert shown[1] is not None
        per = (shown[1] - shown[0]) / (2.0 * little * units.from_base(lever.there, lever.unit))
        return units.from_base(per, self.q.goal.unit)


# Relative width to which the edge of a range is found.
EDGE = 1e-3


def _fewer(s: Scenario, recipe: Recipe, cells: Any) -> Scenario | None:
    """Return a plan with only the fleets that may matter to choose from; None if those are all."""
    columns = recipe.problem.choices[-1].columns
    if "accelerators" not in columns:
        return None
    numbers = tuple(int(n) for n in dict.fromkeys(columns["accelerators"][cells].tolist()))
    if len(numbers) == len(set(columns["accelerators"].tolist())):
        return None
    fixed = s.settings.fixed | {"accelerators": Wanted(numbers)}
    return resolve(replace(s.settings, fixed=fixed))


def _proven(solved: Solved) -> Outcome:
    """Return an outcome that is a proof.

    Raises:
        SolverLimitError: it was cut short.
    """
    if solved.outcome.status not in ("optimal", "infeasible"):
        raise SolverLimitError("the time ran out between two plans", hint="raise the time limit")
    return solved.outcome


def _decisions(e: Evaluation) -> Any:
    s = e.scenario
    return e.layout, s.accelerators, s.precision

"""Wall 22: the least hardware that meets a target when the plan may change with it.

With a layout held, a step is a sum of parts, each in inverse proportion to a rate, and of latencies. The
cheapest rates that make it short enough follow in closed form: where the target leaves ``B`` for
``sum c_i / r_i`` and a unit of rate ``i`` costs ``w_i``, ``r_i = sqrt(c_i / w_i) sum_j sqrt(w_j c_j) / B``
(Lagrange). Where parts hide one another the coefficients change with the rates, so this is repeated; then
each rate is cut to the least that still meets the target, and the layout is planned anew for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np

from mlsysim.core import units
from mlsysim.core.api import PlanLike, placing
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.core.resolve import resolve
from mlsysim.core.scenario import Scenario
from mlsysim.core.solver.asked import Asked, How, asked, module
from mlsysim.core.solver.designed import Design, Part, Spec
from mlsysim.core.solver.drafts import parts as registry_parts
from mlsysim.core.solver.objectives import Goal
from mlsysim.core.solver.question import Question, known, training
from mlsysim.core.solver.synthesis import PLENTY, RATES, TOLERANCE
from mlsysim.core.solver.target import Target, target
from mlsysim.core.solver.undercut import Proof, Undercut
from mlsysim.core.solver.undercut import Spec as Known
from mlsysim.core.supplies import SUPPLIES, what_if
from mlsysim.walls import Limits

# Rounds of the closed form, and of planning anew.
ROUNDS = 30
PLANS = 8
# Relative step of a rate's inverse for its coefficient; parts are linear in it.
STEP = 1e-4
# Places at which a rate is looked at, again and again between two of them.
PLACES = 2048
# Improvements of the cost that count.
STILL = 1e-6
MOST_PARTS = 4
# Rounds until no other layout is quicker, and by how much one has to be.
SETTLED = 40
# Times that the rates are made the cheapest of another layout, and a saving that is worth it.
POLISHED = 4
WORTH = 1e-3
# Times that rates are proven anew when they have moved.
PROOFS = 3
QUICKER = 1e-8
Factors = dict[str, float]


def synthesis(
    plan: PlanLike,
    *,
    target: str | None = None,
    weigh: dict[str, float] | None = None,
    **how: Unpack[How],
) -> Design:
    """Return the least hardware on which a plan meets a target.

    Args:
        plan: a path, a mapping or a plan of training.
        target: e.g. ``performance.latency <= 10 s``; an assertion of the plan if absent.
        weigh: what share of an accelerator's cost (or power) each supply makes up, by name of
            :data:`mlsysim.core.solver.synthesis.RATES` or ``capacity``; equal shares if absent.
        how: see :class:`mlsysim.core.solver.asked.How`.

    Raises:
        InputError: the plan, the target or a weight is wrong.
        SolverLimitError: the solver stopped at its limit without an answer.
    """
    ask = asked(how)
    with placing(plan):
        s = training(plan, "solve synthesis")
        return design(s, _target(target, s), weights(weigh), ask)


_target = target


def weights(given: dict[str, float] | None) -> Factors:
    """Return the weight of each supply, in sum 1.

    Raises:
        InputError: no such supply, or no weight.
    """
    names = (*RATES, "capacity")
    given = given or {}
    for name, value in given.items():
        if name not in names:
            raise InputError(f"no weight for {name!r}", where="weigh", hint=f"there are: {', '.join(names)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < 1e9:
            raise InputError(f"a weight of {value!r} is not possible", where="weigh", hint="give one above 0")
    found = {name: float(given.get(name, 1.0)) for name in names}
    total = sum(found.values())
    return {name: w / total for name, w in found.items()}


def design(s: Scenario, aim: Target, weigh: Factors, ask: Asked) -> Design:
    """Return the least hardware for a scenario; see :func:`synthesis`."""
    # other limits are of the plan, not of the hardware: what is asked is what the physics takes
    bare = resolve(replace(s.settings, bounds=(), limits=Limits()))
    return _Designer(bare, aim, weigh, ask).run()


@dataclass(frozen=True)
class _Draft:
    """A specification, and the layout that it is for."""

    factors: Factors
    evaluation: Evaluation
    cost: float


class _Designer:
    """Looks for the least hardware of one plan."""

    def __init__(self, s: Scenario, aim: Target, weigh: Factors, ask: Asked) -> None:
        self.asked = self.s = s
        self.aim, self.weigh, self.ask = aim, weigh, ask
        m = aim.metric
        goal = Goal("target", m.name, m.title, m.unit, m.parts, greatest=aim.low, of_run=m.of_run)
        self.question = Question(s, goal, ask)

    def run(self) -> Design:
        """Return the least hardware that was found."""
        best = self.planned({}, ())
        if best is None:  # nothing fits: as much memory as it takes, and no more
            needed = self.fitting()
            if needed is None:
                return Design(self.s, self.aim, self.weigh, None, {}, None, ())
            self.s = resolve(replace(self.s.settings, amounts=self.s.settings.amounts | {"capacity": needed}))
            self.question = replace(self.question, scenario=self.s)
            best = self.planned({}, ())
            assert best is not None
        now = best
        draft: _Draft | None = None
        for _ in range(PLANS):
            rates = self.balanced(best)
            if rates is None or self.ask.options.expired:
                break
            cost = self.cost(best, rates)
            if draft is not None and cost >= draft.cost * (1.0 - STILL):
                break
            draft = _Draft(rates, best, cost)
            anew = self.planned(rates, (best,))
            assert anew is not None
            if anew.layout == best.layout:
                break
            best = evaluate(self.bare(anew.scenario), anew.layout)
        if draft is None:
            return Design(self.s, self.aim, self.weigh, now, {}, None, ())
        return self.told(now, *self.proven(self.polished(self.settled(draft))))

    def proven(self, draft: _Draft) -> tuple[_Draft, Proof | None]:
        """Return the cheapest that is found around a specification, and what is proven around that.

        A cheaper one has other rates. What was proven holds around them as far as it reaches to all sides;
        where that is too little, it is proven anew.
        """
        proof = None
        for _ in range(PROOFS):
            near, cost = self.near(draft), self.cost(draft.evaluation, draft.factors)
            proof, better = near.run()
            other = draft
            if better.cost < cost * (1.0 - STILL):
                other = self.polished(self.settled(self.drafted(better)))
            if self.cost(other.evaluation, other.factors) >= cost:
                break
            draft = other
            proof = proof and near.around(proof, draft.factors)
            if proof is not None:
                break
        return draft, proof

    def near(self, draft: _Draft) -> Undercut:
        """Return what looks for less near a specification."""
        found = Known(draft.evaluation, draft.factors, self.cost(draft.evaluation, draft.factors))
        question = replace(self.question, scenario=self.bare(draft.evaluation.scenario))
        return Undercut(question, self.aim, self.weigh, found)

    def drafted(self, found: Known) -> _Draft:
        """Return a specification with each rate cut to what it takes."""
        return _Draft(self.cut(found.evaluation, found.factors), found.evaluation, found.cost)

    def polished(self, draft: _Draft) -> _Draft:
        """Return a specification with the cheapest rates of its layout, by linear programs.

        In closed form they are the cheapest only where no parts hide one another. Another layout may be
        quicker on the new ones, so this is repeated.
        """
        for _ in range(POLISHED):
            cost = self.cost(draft.evaluation, draft.factors)
            found = self.near(draft).own()
            if found.cost >= cost * (1.0 - WORTH):
                break
            other = self.settled(self.drafted(found))
            if self.cost(other.evaluation, other.factors) >= cost:
                break
            draft = other
        return draft

    def cost(self, e: Evaluation, rates: Factors) -> float:
        """Return what rates and the memory that a layout holds cost; 1 is all that the plan has."""
        return sum(self.weigh[n] * f for n, f in rates.items()) + self.weigh["capacity"] * (
            self.held(e) / self.s.capacity
        )

    def settled(self, draft: _Draft) -> _Draft:
        """Return a specification for which no other layout within its memory is any quicker.

        Where one is, the rates are cut for that one: each time some fall and none rises.
        """
        for _ in range(SETTLED):
            memory = self.held(draft.evaluation) / self.s.capacity
            anew = self.planned(draft.factors | {"capacity": memory}, (draft.evaluation,))
            if anew is None or self.aim.miss(anew) >= 1.0 - QUICKER:
                break
            e = evaluate(self.bare(anew.scenario), anew.layout)
            draft = _Draft(self.cut(e, draft.factors), e, draft.cost)
        return draft

    def bare(self, s: Scenario) -> Scenario:
        """Return a scenario with the supplies of the plan."""
        t = self.s.settings
        return resolve(replace(s.settings, scales=t.scales, amounts=t.amounts))

    def fitting(self) -> float | None:
        """Return the least memory with which anything fits [byte]."""
        recipe = self.question.recipe()
        row = next(r for r in recipe.problem.rows if r.name == "w02[0]")
        found = module("infeasible").least(
            recipe.problem, row, recipe.problem.rows, self.ask.solver, self.ask.options
        )
        return None if found is None else self.s.capacity * float(found[0]) * (1.0 + 2e-6)

    def planned(self, rates: Factors, begun: tuple[Evaluation, ...]) -> Evaluation | None:
        """Return the best plan for some rates."""
        q = replace(self.question, scenario=what_if(self.s, rates))
        recipe = q.recipe()
        starts = known(recipe, *begun)
        # from a plan that is known, what is better shows in the proof
        ask = self.ask.solver, self.ask.options
        o = module("solve").solve(recipe.problem, *ask, starts=starts, look=not begun).outcome
        if o.status == "unknown":
            from mlsysim.core.errors import SolverLimitError

            raise SolverLimitError("no plan was found in time", hint="raise the time limit")
        return None if o.objective is None else evaluate(*recipe.decode(o.cells))

    def miss(self, e: Evaluation, rates: Factors) -> float:
        """Return by what a layout misses the target with some rates; at most 1 meets it."""
        return float(self.aim.misses(e, rates).reshape(-1)[0])

    def held(self, e: Evaluation) -> float:
        """Return the memory that a layout takes [byte]."""
        return float(e.state.memory)

    def balanced(self, e: Evaluation) -> Factors | None:
        """Return the cheapest rates with which a layout meets the target; None if none do."""
        names = [n for n in RATES if SUPPLIES[n].of(e.scenario) is not None]
        if self.miss(e, dict.fromkeys(names, PLENTY)) > 1.0:
            return None
        start = self.miss(e, {})
        rates = dict.fromkeys(names, max(1e-6, start))  # all of them alike: too many where latencies count
        for _ in range(ROUNDS):
            # a share of the time for each: d miss / d ln (1 / rate)
            less = np.ones((len(rates), len(names) + 1))
            for i, n in enumerate(names):
                less[list(rates).index(n), i] = 1.0 / (1.0 + STEP)
            found = self.aim.misses(e, {n: f * less[i] for i, (n, f) in enumerate(rates.items())})
            there = float(found[-1])
            parts = {n: max(0.0, float(x - there) / STEP) for n, x in zip(names, found, strict=False)}
            fixed = there - sum(parts.values())
            used = {n: c * rates[n] for n, c in parts.items() if c > 1e-12}
            room = 1.0 - fixed
            if not used or room <= 0.0:
                rates = {n: 2.0 * f for n, f in rates.items()}
                continue
            total = sum(math.sqrt(self.weigh[n] * c) for n, c in used.items())
            anew = {n: math.sqrt(c / self.weigh[n]) * total / room for n, c in used.items()}
            apart = max(abs(math.log(anew[n] / rates[n])) for n in used)
            # half of the way where parts hide one another, or it would go to and fro
            rates = {n: math.sqrt(anew[n] * rates[n]) if apart > 0.01 else anew[n] for n in used}
            names = list(used)
            if apart < 1e-7:
                break
        return self.cut(e, rates)

    def cut(self, e: Evaluation, rates: Factors) -> Factors:
        """Return rates that meet the target, each the least with the others as they are."""
        scale = 1.0
        while self.miss(e, {n: f * scale for n, f in rates.items()}) > 1.0:
            scale *= 1.0 + 1e-3
        rates = {n: f * scale for n, f in rates.items()}
        for name in sorted(rates, key=lambda n: -self.weigh[n] * rates[n]):
            low, high = 1e-9, rates[name]
            while high > low * (1.0 + TOLERANCE):  # many places at a time cost as much as one
                places = np.geomspace(low, high, PLACES)
                places[-1] = high
                meets = self.aim.misses(e, {n: places if n == name else f for n, f in rates.items()}) <= 1.0
                first = int(np.argmax(meets)) if meets.any() else len(places) - 1
                if first == 0:
                    high = low
                    break
                low, high = float(places[first - 1]), float(places[first])
            rates[name] = high
        return rates

    def told(self, now: Evaluation, draft: _Draft, proof: Proof | None = None) -> Design:
        """Return the answer, with the nearest parts of the registry."""
        e = draft.evaluation
        rates = dict(draft.factors)
        held = self.held(e)
        needed = rates | {"capacity": held / self.asked.capacity}
        specs = {
            n: Spec(SUPPLIES[n], SUPPLIES[n].of(self.asked) or 0.0, f, self.weigh[n])
            for n, f in needed.items()
        }
        final = evaluate(what_if(e.scenario, rates | {"capacity": held / self.s.capacity}), e.layout)
        return Design(
            self.asked, self.aim, self.weigh, now, specs, final, self.parts(specs, e), self.s is self.asked,
            self.cost(e, rates), proof,
        )  # fmt: skip

    def parts(self, specs: dict[str, Spec], e: Evaluation) -> tuple[Part, ...]:
        """Return the accelerators of the registry that come nearest, each planned for and tried."""

        def distance(other: Scenario) -> float | None:
            apart = 0.0
            for name, spec in specs.items():
                there = SUPPLIES[name].of(other)
                if there:
                    short = math.log(spec.needed / there)
                    apart += short if short > 0.0 else -0.1 * short
            return apart

        found: list[Part] = []
        for draft in registry_parts(self.asked, distance, own=True)[:MOST_PARTS]:
            s = resolve(draft.settings)
            q = replace(self.question, scenario=s)
            recipe = q.recipe()
            o = q.solve(recipe, e).outcome
            if o.objective is None:
                continue
            there = evaluate(*recipe.decode(o.cells))
            short = tuple(
                n for n, spec in specs.items() if (x := SUPPLIES[n].of(s)) and x < spec.needed * (1.0 - 1e-9)
            )
            value = self.aim.metric.value(there.state)
            meets = self.aim.miss(there) <= 1.0 + 1e-6
            found.append(
                Part(
                    draft.title,
                    units.from_base(value, self.aim.metric.unit),
                    meets,
                    draft.patch,
                    there,
                    short,
                )
            )
            if meets:
                break
        return tuple(found)

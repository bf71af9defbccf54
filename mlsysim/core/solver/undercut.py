"""Whether other layouts and rates, near those of a specification, meet its target for less.

All layouts that can meet the target with rates up to some multiple of those found are listed. Each takes
at least what a tangent of its time says: taken without the latencies of collectives, with which libraries
choose between algorithms, time is convex in the rates' inverses, so a tangent is below it everywhere and the
least cost of its rates follows in closed form. The least of all layouts is a bound that is proven.
Layouts whose bound is below the cost found are branched on, the most promising first: the rates of each are
a linear program (:mod:`formulations.specification`), with tangents of its whole time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.core.resolve import resolve
from mlsysim.core.scenario import Scenario
from mlsysim.core.solver.asked import module
from mlsysim.core.solver.objectives import goal
from mlsysim.core.solver.question import Question
from mlsysim.core.solver.synthesis import RATES
from mlsysim.core.solver.target import Target
from mlsysim.core.supplies import SUPPLIES, given, what_if

if TYPE_CHECKING:
    from formulations.problem import Problem

# How far rates may be from those found, widest first, and how many layouts may be listed.
WIDTHS = (4.0, 2.0, 1.5, 1.25, 1.1)
MOST = 600_000
# How far a proof has to reach from rates that moved since, to be told of them.
LEAST = 1.05
CANDIDATES = 6
# Relative steps: of a tangent's slope, and away from where two roofs meet, where there is none.
SLOPE = 1e-6
APART = 2e-3
LATENCIES = tuple(
    f"scale_{tier}_{what}" for tier in ("up", "out") for what in ("latency", "bulk_latency", "start")
)
# A target that is a time of a step in other words: what one is at a step's time, and the reverse.
_OF_STEP: dict[str, Callable[[Evaluation], float]] = {
    "performance.latency": lambda e: 1.0,
    "performance.throughput": lambda e: e.state.tokens,
    "performance.samples_per_second": lambda e: e.state.samples,
}


@dataclass(frozen=True)
class Proof:
    """What is proven of a specification's cost.

    Attributes:
        bound: no layout costs less with rates between so many times less and more than those looked at.
        width: see there.
        layouts: that can meet the target within it.
        solves: programs over the rates of the most promising ones.
    """

    bound: float
    width: float
    layouts: int
    solves: int


@dataclass(frozen=True)
class Spec:
    """A layout and its rates, as factors of those of the plan, and what they cost with the memory."""

    evaluation: Evaluation
    factors: dict[str, float]
    cost: float


class Undercut:
    """Looks for what is cheaper than a specification, and proves how little there is to gain."""

    def __init__(self, q: Question, aim: Target, weigh: dict[str, float], found: Spec) -> None:
        self.q = replace(q, goal=goal("time"))
        self.aim, self.weigh, self.found = aim, weigh, found
        self.s = q.scenario
        self.names = [n for n in RATES if SUPPLIES[n].of(self.s) is not None]
        self.weights = np.array([weigh[n] for n in self.names])
        self.at = np.array([found.factors.get(n, 1.0) for n in self.names])

    @property
    def limit(self) -> float | None:
        """The longest step that meets the target; None where the target is not one of steps [s]."""
        amount = _OF_STEP.get(self.aim.metric.name)
        if amount is None:
            return None
        number = amount(self.found.evaluation)
        return number / self.aim.value if self.aim.low else number * self.aim.value

    def run(self) -> tuple[Proof | None, Spec]:
        """Return what is proven, and the cheapest specification that was found on the way."""
        wish = self.s.settings.fixed.get("accelerators"), self.s.settings.fixed.get("precision")
        if self.limit is None or any(w is not None and w.single is None for w in wish):
            return None, self.found
        widths = [w for w in WIDTHS if self._in_order(w)]
        near: tuple[float, dict[str, Any], Problem] | None = None
        cells: dict[str, Any] | None = None
        while widths and not self.q.ask.options.expired:
            # what meets the target within a width does within a wider one: by halving, and each among
            # the cells that the narrowest one with too many left
            middle = len(widths) // 2
            kept, problem = self._near(widths[middle], cells)
            if module("joint").count(problem) > MOST:
                cells, widths = kept, widths[middle + 1 :]
            else:
                near, widths = (widths[middle], kept, problem), widths[:middle]
        listed = None if near is None or self.q.ask.options.expired else self._listed(near[2])
        return (None, self.found) if near is None or listed is None else self._judged(*near[:2], *listed)

    def around(self, proof: Proof, factors: dict[str, float]) -> Proof | None:
        """Return what a proof says around other rates; None where that is next to nothing."""
        there = np.array([factors.get(n, 1.0) for n in self.names])
        width = proof.width / float(np.exp(np.abs(np.log(there / self.at)).max()))
        return replace(proof, width=width) if width >= LEAST else None

    def own(self) -> Spec:
        """Return the cheapest rates of the layout that was found, near those found."""
        width = next((w for w in WIDTHS if w <= 2.0 and self._in_order(w)), None)
        if width is None:
            return self.found
        return self._cheapest(width, self.found.evaluation, self.at, self.found)[0]

    def _in_order(self, width: float) -> bool:
        """Whether links stay at least as fast as the fabric: two levels of a collective are best then."""
        if "scale_up_bandwidth" not in self.names or "scale_out_bandwidth" not in self.names:
            return True
        up, out = (
            (SUPPLIES[n].of(self.s) or 0.0) * self.at[self.names.index(n)]
            for n in ("scale_up_bandwidth", "scale_out_bandwidth")
        )
        return bool(up / width >= out * width)

    def _rates(self, factors: Any, s: Scenario | None = None) -> Scenario:
        return what_if(s or self.s, dict(zip(self.names, map(float, factors), strict=True)))

    def _near(self, width: float, cells: dict[str, Any] | None) -> tuple[dict[str, Any], Problem]:
        """Return which cells may meet the target with rates so large, of those given, and their problem."""
        assert self.limit is not None
        least = float(self.weights @ self.at) / width
        room = max(0.0, self.found.cost - least) / self.weigh["capacity"]
        s = self._rates(self.at * width)
        s = resolve(given(s.settings, {"capacity": max(room, 1e-6) * self.s.capacity}))
        problem = replace(self.q, scenario=s).recipe(kept=cells).problem
        # a closer look takes longer than to list what it would spare
        looks = module("bounds").FEW_PAIRS, module("bounds").FEW_PAIRS
        kept = module("nearby").nearby(problem, self.limit, 1.0, self.q.ask.options, looks)
        problem = module("presolve").restrict(problem, [kept[c.name] for c in problem.choices])
        return {n: at if cells is None else cells[n][at] for n, at in kept.items()}, problem

    def _listed(self, problem: Problem) -> tuple[Any, Any] | None:
        """Return the layouts of a problem that meet the target, as cells, and the memory that each holds."""
        assert self.limit is not None
        row = next(r for r in problem.rows if r.name == "w02[0]")
        batches, memory = [], []
        for batch in module("joint").join(problem):
            fits = module("joint").holds(problem, batch) & (problem.objective.at(batch) <= self.limit)
            part = {c: at[fits] for c, at in batch.items()}
            if fits.any():
                batches.append([part[c] for c in problem.choices])
                memory.append(row.demand.at(part))
        if not batches:
            return None
        columns = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
        return columns, np.concatenate(memory)

    def _judged(self, width: float, kept: dict[str, Any], columns: Any, memory: Any) -> tuple[Proof, Spec]:
        """Return the bound over all listed layouts, and what is cheaper among the most promising."""
        specification = module("specification")
        assert self.limit is not None
        held = self.weigh["capacity"] * memory / self.s.capacity
        base = self.at * (1.0 + APART * np.arange(len(self.at)) * (-1.0) ** np.arange(len(self.at)))
        bare = resolve(given(self.s.settings, dict.fromkeys(self._latencies(), 0.0)))
        there = self._times(kept, columns, self._rates(base, bare))
        parts = []
        for i in range(len(self.at)):  # time in inverse proportion to each rate
            more = base.copy()
            more[i] /= 1.0 + SLOPE
            parts.append((self._times(kept, columns, self._rates(more, bare)) - there) / SLOPE * base[i])
        shares = np.maximum(np.stack(parts, axis=1), 0.0)
        room = self.limit - (there - (shares / base).sum(axis=1))
        ends = self.at / width, self.at * width
        cost, rates = specification.least_cost(self.weights, shares, room, ends)
        bounds = cost + held
        order = np.argsort(bounds, kind="stable")
        promising = order[bounds[order] < self.found.cost][:CANDIDATES]
        better, solves = self._better(width, kept, columns, promising, bounds, rates)
        bound = min(float(bounds[order[0]]), better.cost)
        return Proof(bound, width, len(memory), solves), better

    def _latencies(self) -> list[str]:
        return [n for n in LATENCIES if SUPPLIES[n].of(self.s) is not None]

    def _times(self, kept: dict[str, Any], columns: Any, s: Scenario) -> Any:
        """Return the listed layouts' time of a step in a scenario [s]."""
        problem = replace(self.q, scenario=s).recipe(kept=kept).problem
        return problem.objective.at(dict(zip(problem.choices, columns, strict=True)))

    def _better(
        self, width: float, kept: dict[str, Any], columns: Any, which: Any, bounds: Any, begin: Any
    ) -> tuple[Spec, int]:
        """Return the cheapest specification of some layouts or that found before, and how many programs."""
        recipe = self.q.recipe(kept=kept)
        best, solves = self.found, 0
        for k in which:
            if bounds[k] >= best.cost or self.q.ask.options.expired:
                break
            cells = {c: at[k : k + 1] for c, at in zip(recipe.problem.choices, columns, strict=True)}
            best, more = self._cheapest(width, evaluate(*recipe.decode(cells)), begin[k], best)
            solves += more
        return best, solves

    def _cheapest(self, width: float, e: Evaluation, begin: Any, best: Spec) -> tuple[Spec, int]:
        """Return the cheapest rates of a layout, or what is known if they cost more; and the programs."""
        ends = self.at / width, self.at * width
        x = np.clip(begin, *ends)
        lp = module("specification").cheapest(self.weights, ends, self._tangent(e), x, self.q.ask.options)
        if lp is None:
            return best, 0
        cost = lp.cost + self.weigh["capacity"] * float(e.state.memory) / self.s.capacity
        if cost >= best.cost:
            return best, lp.solves
        return Spec(e, dict(zip(self.names, map(float, lp.rates), strict=True)), cost), lp.solves

    def _tangent(self, e: Evaluation) -> Callable[[Any], Any]:
        """Return what gives the tangents of a layout's time over the target."""

        def tangent(x: Any) -> Any:
            more = np.hstack([x[:, None] * (1.0 + SLOPE * np.eye(len(x))), x[:, None]])
            found = self.aim.misses(e, dict(zip(self.names, more, strict=True)))
            slopes = np.minimum(0.0, (found[:-1] - found[-1]) / (SLOPE * x))
            return module("specification").Tangent(x.copy(), float(found[-1]), slopes)

        return tangent

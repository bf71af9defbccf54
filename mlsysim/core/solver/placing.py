"""Where one workload runs: the best region, how a carbon tax moves it, and the frontier."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlsysim.core import units
from mlsysim.core.errors import InputError, SolverLimitError, unknown
from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.core.metrics import METRICS
from mlsysim.core.resolve import resolve
from mlsysim.core.solver.asked import Asked, module
from mlsysim.core.solver.frontier import frontier
from mlsysim.core.solver.parametric import around, breakpoints
from mlsysim.core.solver.search import Found, Search, agree
from mlsysim.core.solver.tradeoff import SHOWN, TAX, WATER_PRICE, Baseline, Choice, Tradeoff
from mlsysim.infra import CATALOG as INFRA
from mlsysim.infra import Region
from mlsysim.infra.own import resolve_region
from mlsysim.physics.operations import taxed

if TYPE_CHECKING:
    from formulations.problem import Problem

LARGEST_TAX = 1e9  # USD/tCO2e
HIGHEST_TAX = 1e6  # USD/tCO2e: a change above it is of no interest
MOST_POINTS = 1000


@dataclass(frozen=True)
class Asking:
    """What of an answer is asked, in base units.

    Attributes:
        low, high: the carbon tax; a range where they differ [USD/kgCO2e].
        water_price: [USD/L].
        pareto: names of the metrics of a frontier; none if empty.
        points: how many of it at most.
    """

    low: float
    high: float
    water_price: float
    pareto: tuple[str, ...]
    points: int

    @property
    def title(self) -> str:
        """The objective, for people."""
        tax = f" + {units.from_base(self.low, TAX):g} USD/tCO2e" if self.low else ""
        water = (
            f" + {units.from_base(self.water_price, WATER_PRICE):g} USD/kL of water"
            if self.water_price
            else ""
        )
        return f"cost{tax}{water}"


def asking(
    carbon_tax: float | str | tuple[float, float],
    water_price: float,
    pareto: str | tuple[str, ...],
    points: int,
) -> Asking:
    """Return what is asked, checked.

    Args:
        carbon_tax: [USD/tCO2e]; a number, two of them, or text: ``150`` or ``0:300``.
        water_price: [USD/m3].
        pareto: two or three of cost, carbon and water, also as text with commas.
        points: of the frontier.

    Raises:
        InputError: a number that is not allowed, or questions that exclude each other.
    """
    low, high = tax_range(carbon_tax)
    names = (
        tuple(n.strip() for n in pareto.split(",")) if isinstance(pareto, str) and pareto else tuple(pareto)
    )
    for name in names:
        if name not in SHOWN:
            raise unknown("metric", name, SHOWN).at("pareto")
    if names and (len(names) < 2 or len(set(names)) < len(names)):
        raise InputError(
            "a frontier is of two or three different metrics", where="pareto", hint="e.g. cost,carbon"
        )
    if names and (high or water_price):
        raise InputError(
            "a frontier shows cost and carbon apart, so it takes no tax or water price",
            where="pareto",
            hint="leave out --carbon-tax and --water-price, or ask for a range of the tax instead",
        )
    if isinstance(points, bool) or not isinstance(points, int) or not 2 <= points <= MOST_POINTS:
        raise InputError(
            f"{points!r} is not allowed here",
            where="points",
            hint=f"give a whole number from 2 to {MOST_POINTS}",
        )
    water = _number(water_price, "water price", "USD per cubic metre", 1e6)
    return Asking(low, high, units.to_base(water, WATER_PRICE, "USD/L"), names, points)


def one_tax(given: float) -> float:
    """Return a carbon tax, given in USD/tCO2e, in base units.

    Raises:
        InputError: not a number from 0.
    """
    number = _number(given, "carbon tax", "USD per tonne of CO2e", LARGEST_TAX)
    return units.to_base(number, TAX, "USD/kgCO2e")


def tax_range(given: float | str | tuple[float, float]) -> tuple[float, float]:
    """Return a carbon tax, given in USD/tCO2e, as a range in base units.

    Raises:
        InputError: not a number from 0, or a range that runs backwards.
    """
    parts: tuple[Any, ...]
    if isinstance(given, str):
        try:
            parts = tuple(float(part) for part in given.split(":"))
        except ValueError:
            parts = (given,)
    else:
        parts = given if isinstance(given, tuple) else (given,)
    if not 1 <= len(parts) <= 2:
        raise InputError(f"{given!r} is no range", where="carbon tax", hint="write it as 0:300")
    low, high = one_tax(parts[0]), one_tax(parts[-1])
    if low > high:
        raise InputError(
            f"{given!r} runs backwards", where="carbon tax", hint=f"write {parts[1]:g}:{parts[0]:g}"
        )
    return low, high


def _number(given: Any, where: str, unit: str, most: float) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= most:
        raise InputError(f"{given!r} is not allowed here", where=where, hint=f"give {unit}, 0 or more")
    return float(given)


class Placing:
    """One plan and its candidate regions.

    Attributes:
        before: the plan as given, evaluated; its layout is kept.
        notes: remarks on the candidates, and on which plan is shown.
    """

    def __init__(self, before: Evaluation, names: tuple[str, ...], asked: Asking, ask: Asked) -> None:
        self.before, self.asked, self.ask = before, asked, ask
        s = before.scenario
        candidates, self.notes = candidate_regions(names, s.region)
        self.recipe = module("placement").formulate(before, candidates, s.settings.bounds)
        if asked.pareto:
            self.notes += ("of the frontier, the plan with the least cost is shown",)
        elif asked.high > asked.low:
            self.notes += ("of the range, the best plan at its low end is shown",)
        self._known: dict[str, Evaluation] = {}
        self.problem: Problem = self.recipe.problem  # without the wishes that had to be given up

    def search(self) -> tuple[Search, Found]:
        """Return the search for the best region at the lowest tax that is asked about, and its result."""
        at, water = self.asked.low, self.asked.water_price
        search = Search(
            self.recipe.priced(self.recipe.problem, at, water),
            self.ask,
            self.before.scenario,
            self.before.state,
            decode=lambda cells: self.there(self.recipe.decode(cells)),
            value=lambda e: _priced(e, at, water),
        )
        found = search.run()
        self.problem = module("infeasible").without(self.recipe.problem, set(found.dropped))
        return search, found

    def there(self, region: Region) -> Evaluation:
        """Return the evaluation of the same plan in another region."""
        if region.reference not in self._known:
            moved = resolve(replace(self.before.scenario.settings, region=region))
            self._known[region.reference] = evaluate(moved, self.before.layout)
        return self._known[region.reference]

    def at(self, tax: float) -> tuple[float, float, Evaluation, float | None]:
        """Return the best answer at a tax: its cost and carbon as ``eval`` has them, and its gap."""
        water = self.asked.water_price
        answer, gap, objective = self._solved(self.recipe.priced(self.problem, tax, water))
        if answer is None:
            raise SolverLimitError("no plan was found within the limit", hint="raise the time limit")
        agree("objective", objective, _priced(answer, tax, water), "the solver")
        return _priced(answer, 0.0, water), answer.state.bill.carbon, answer, gap

    def within(
        self, index: int, bounds: tuple[float | None, ...]
    ) -> tuple[tuple[float, ...], Evaluation, float | None] | None:
        """Return the answer with the least of a metric of the frontier within bounds on all."""
        metrics = tuple(SHOWN[name] for name in self.asked.pareto)
        answer, gap, objective = self._solved(self.recipe.least(self.problem, metrics, index, bounds))
        if answer is None:
            return None
        values = tuple(float(METRICS[m].value(answer.state)) for m in metrics)
        agree(metrics[index], objective, values[index], "the solver")
        return values, answer, gap

    def _solved(self, problem: Problem) -> tuple[Evaluation | None, float | None, float]:
        solved = module("solve").solve(problem, self.ask.solver, replace(self.ask.options, progress=None))
        o = solved.outcome
        if o.status == "infeasible":
            return None, 0.0, 0.0
        if o.objective is None:
            raise SolverLimitError("no plan was found within the limit", hint="raise the time limit")
        return self.there(self.recipe.decode(o.cells)), solved.gap, o.objective

    def tradeoff(self, chosen: Evaluation) -> Tradeoff:
        """Return what the answer is weighed against, as far as it is asked.

        Raises:
            SolverLimitError: a range or a frontier was asked for, and a solve stopped without an answer.
        """
        a = self.asked
        result = Tradeoff(self.choice(chosen), choice=self.choice)
        try:
            now, cheapest = self.choice(self.before), self.choice(self.at(0.0)[2])
            given = self.before.scenario.settings.region is not None
            baselines = (
                Baseline("now", "where it is now" if given else "no region named", now),
                Baseline("cheapest", "cheapest region", cheapest),
            )
            result = replace(result, baselines=baselines)
            if a.pareto:
                front = frontier(self.within, len(a.pareto), a.points)
                return replace(result, frontier=front, metrics=a.pareto)
            if a.high > a.low:
                return replace(result, envelope=breakpoints(self.at, a.low, a.high))
            highest = max(a.low, units.to_base(HIGHEST_TAX, TAX, "USD/kgCO2e"))
            return replace(result, around=around(self.at, a.low, 0.0, highest), tax=a.low)
        except SolverLimitError as error:
            if a.pareto or a.high > a.low:
                raise
            self.notes += (f"at which tax the answer would change is not known: {error.problem}",)
            return result

    def choice(self, e: Evaluation) -> Choice:
        """Return an evaluated plan as what a tradeoff shows of it."""
        region, b = e.scenario.region, e.state.bill
        clean = region.carbon_free
        return Choice(
            region.name,
            {"region": region.reference},
            float(b.tco),
            float(b.carbon),
            float(b.water),
            None if clean is None else clean.base,
            self.asked.water_price * float(b.water),
        )


def _priced(e: Evaluation, tax: float, water_price: float) -> float:
    b = e.state.bill
    return float(taxed(b.tco, b.carbon, tax, b.water, water_price))


def candidate_regions(names: tuple[str, ...], here: Region) -> tuple[tuple[Region, ...], tuple[str, ...]]:
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

"""The best schedule of a plan with several jobs, proven, and checked by adding it up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Unpack

from mlsysim.core import units
from mlsysim.core.errors import InputError, MismatchError, SolverLimitError
from mlsysim.core.fleet_plan import load
from mlsysim.core.schedule.clock import HOUR
from mlsysim.core.schedule.placement import Clash, Member, Placement, Price, Proof, baselines
from mlsysim.core.schedule.resolve import CAPS, resolve_fleet, without_caps
from mlsysim.core.schedule.scenario import FleetScenario
from mlsysim.core.schedule.summary import Judged
from mlsysim.core.schedule.types import Caps, Fleet, Weights
from mlsysim.core.solver import defaults
from mlsysim.core.solver.asked import How, asked, module
from mlsysim.core.solver.fleet_sweeps import Sweep
from mlsysim.core.solver.placing import Asking
from mlsysim.core.tolerance import TOLERANCE

SOLVERS = ("auto", "highs")


def place_fleet(plan: object, wish: Asking, **how: Unpack[How]) -> Placement:
    """Return when and where the jobs of a plan cost least, carbon tax and water included, proven.

    If the plan's own limits (budget, carbon, water) stand in the way, that is proven, and the answer
    is the best schedule without them.

    Args:
        plan: a path, a mapping, a document or a plan.
        wish: what of an answer is asked; see :func:`mlsysim.core.solver.placing.asking`.
        how: see :class:`mlsysim.core.solver.asked.How`.

    Raises:
        InputError: the plan is wrong, or an option does not go with several jobs.
        SolverLimitError: the solver stopped at its limit without an answer.
        MissingExtraError: the solver is not installed.
        MismatchError: what the solver found does not add up; a defect of mlsysim.
    """
    _check(how)
    ask = asked(how)
    s = resolve_fleet(*load(plan), Weights(1.0, wish.low, wish.water_price))
    options = ask.options
    if options.gap == defaults.GAP:  # of thousands of schedules nobody wants the last millionth
        options = replace(options, gap=defaults.FLEET_GAP)
    # what cannot run at all needs no solver to say so
    return Placing(s, None if s.impossible else module("schedule"), options).placed(wish)


@dataclass(frozen=True)
class Placing:
    """A plan with several jobs and who places them.

    Attributes:
        scenario: the plan in numbers.
        solver: :mod:`formulations.schedule`.
        options: how to solve, :class:`formulations.engines.base.Options`.
    """

    scenario: FleetScenario
    solver: Any
    options: Any

    def placed(self, wish: Asking | None = None) -> Placement:
        """Return the answer beside the baselines, and what else is asked."""
        s = self.scenario
        result = Placement(s, None, baselines(s), Proof("infeasible"), notes=s.notes)
        if s.impossible:
            return result
        found = self.solver.plan(s.fleet, self.options)
        if found.status == "infeasible":
            result = self._infeasible(replace(result, proof=_proof(found)))
        else:
            answer = self.checked(s.fleet, found)
            worth = tuple(_price(x) for x in self.solver.prices(s.fleet, found.schedule, self.options))
            result = replace(result, answer=answer, proof=_proof(found), prices=worth)
        if wish is None or result.answer is None:
            return result
        sweep = Sweep(without_caps(s.fleet, result.dropped), self.again, self.options.gap)
        if wish.pareto:
            return replace(result, pareto=sweep.pareto(wish.pareto, wish.points))
        return replace(result, taxes=sweep.taxes(wish.low, wish.high)) if wish.high > wish.low else result

    def again(self, fleet: Fleet) -> tuple[Judged, float | None] | None:
        """Return a schedule of another fleet and the gap of its proof; None where none exists."""
        found = self.solver.plan(fleet, self.options)
        return None if found.status == "infeasible" else (self.checked(fleet, found), found.gap)

    def _infeasible(self, result: Placement) -> Placement:
        """Return what clashes, and the best schedule without those of the plan's own limits that do."""
        s = self.scenario
        clash = _clash(self.solver.clash(s.fleet, self.options), s.fleet)
        result = replace(result, clash=clash)
        mine = tuple(m.tag for m in clash.members if m.tag in CAPS) if clash is not None else CAPS
        # another conflict may be behind the first
        for tags in dict.fromkeys((mine, CAPS) if mine and _limited(s.fleet) else ()):
            free = without_caps(s.fleet, tags)
            best = self.solver.plan(free, self.options)
            if best.status != "infeasible":
                answer = replace(self.checked(free, best), fleet=s.fleet)
                return replace(result, answer=answer, proof=_proof(best), dropped=tags)
        return result

    def checked(self, fleet: Fleet, found: Any) -> Judged:
        """Return a solver's schedule, added up run by run.

        Raises:
            SolverLimitError: there is none.
            MismatchError: it takes something else than the solver says, or breaks a limit.
        """
        if found.schedule is None:
            raise SolverLimitError(
                f"the solver stopped after {self.options.time_limit:g} s without a schedule",
                hint="give it more time: --time-limit",
            )
        answer = Judged("optimum", "optimum", fleet, found.schedule)
        value = answer.objective
        if abs(value - found.objective) > TOLERANCE * max(abs(value), abs(found.objective)):
            raise MismatchError(
                f"the solver says {found.objective:.9g}, adding up gives {value:.9g}",
                hint="this is a defect of mlsysim: please report it with the plan",
            )
        if answer.broken:
            first = answer.broken[0]
            raise MismatchError(
                f"the solver's schedule breaks a limit: {first.tag} of {first.where}, "
                f"{first.demand:.9g} of {first.supply:.9g}",
                hint="this is a defect of mlsysim: please report it with the plan",
            )
        return answer


def _check(how: How) -> None:
    """Refuse options that do not go with several jobs, rather than ignore them."""
    if how.get("solver", "auto") not in SOLVERS:
        raise InputError(
            f"{how['solver']!r} does not place several jobs", where="solver", hint="use auto or highs"
        )
    for name, none in (("top", 1), ("verify", False), ("export", None)):
        if how.get(name, none) != none:
            raise InputError(f"{name} is of plans with one job", where=name, hint="leave it out")


def _limited(fleet: Fleet) -> bool:
    """Whether a plan sets limits of its own."""
    return (
        fleet.caps != Caps()
        or bool((fleet.places.carbon_cap < float("inf")).any())
        or any(j.carbon_cap < float("inf") for j in fleet.jobs)
    )


def _proof(found: Any) -> Proof:
    return Proof(
        status=found.status,
        objective=found.objective,
        bound=found.bound,
        gap=found.gap,
        seconds=dict(found.seconds),
        columns=found.columns,
        rows=found.rows,
        engine=found.engine,
        version=found.version,
    )


def _clash(given: Any, fleet: Fleet) -> Clash | None:
    """Return a solver's conflict in the units of people."""
    if given is None:
        return None
    members = []
    for m in given.members:
        name, unit, base = LIMITS[m.tag]
        scale = fleet.places.step / HOUR if m.tag == "windows" else 1.0 / base
        least = None if m.least is None else m.least * scale
        members.append(Member(m.tag, name, least, m.supply * scale, unit))
    return Clash(tuple(members), None if given.job is None else fleet.jobs[given.job].name, given.proven)


def _price(given: Any) -> Price:
    """Return the worth of a limit by the unit of people."""
    unit, base = WORTH[given.tag]
    return Price(given.tag, given.where, given.worth * base, unit, given.confirmed, tuple(given.slots))


_TONNE, _MEGAWATT = units.factor("tCO2e")[0], units.factor("MW")[0]
# in words, the unit of its members, and what one of these is in base units
LIMITS = {
    "cost": ("budget", "USD", 1.0),
    "carbon": ("carbon cap", "tCO2e", _TONNE),
    "water": ("water cap", "L", 1.0),
    "windows": ("windows", "h", 1.0),
    "accelerators": ("accelerators", "x", 1.0),
    "power": ("power", "x", 1.0),
    "region carbon": ("carbon caps of regions", "x", 1.0),
    "job carbon": ("carbon caps of jobs", "x", 1.0),
}
# the unit of which the worth is shown, and what one is in base units
WORTH = {
    "accelerators": ("accelerator", 1.0),
    "power": ("MW", _MEGAWATT),
    "cost": ("USD", 1.0),
    "carbon": ("tCO2e", _TONNE),
    "water": ("kL", 1e3),
    "region carbon": ("tCO2e", _TONNE),
    "job carbon": ("tCO2e", _TONNE),
}

"""Solve, explain what cannot hold, and check the answer with the engine that did not find it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlsysim.core import units
from mlsysim.core.errors import MismatchError, SolverLimitError
from mlsysim.core.evaluation import Evaluation, Json
from mlsysim.core.scenario import Bound, Scenario
from mlsysim.core.solver.asked import Asked, module
from mlsysim.core.tolerance import ROUNDING, TOLERANCE
from mlsysim.walls import State

if TYPE_CHECKING:
    from formulations.engines.base import Options
    from formulations.joint import Cells
    from formulations.problem import Problem, Row
    from formulations.solve import Solved


# Solutions that may be enumerated to confirm an answer.
CONFIRMED_BY_ENUMERATION = 2e6


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
class Found:
    """What a search found; ``dropped`` are the tags of the plan's wishes that had to be given up."""

    evaluation: Evaluation | None
    solved: Solved
    dropped: tuple[str, ...]
    conflict: tuple[Conflict, ...]
    others: tuple[Evaluation, ...]
    confirmed_by: str | None = None


@dataclass
class Search:
    """Solve, give up the plan's wishes where they alone stand in the way, verify, look for more.

    Attributes:
        problem: what to solve.
        ask: how to solve it.
        scenario, state: of the plan as given, for the words of a conflict.
        decode: from cells to the evaluated answer.
        value: the objective of an evaluated answer, by the engine that did not find it.
        starts: solutions that are known.
        given_up: tags of wishes that are known to be in the way, and are not in the problem.
        decisions: that the plan fixes, by name, if they may be in a conflict.
        opened: the problem with some of them left open.
    """

    problem: Problem
    ask: Asked
    scenario: Scenario
    state: State
    decode: Callable[[Any], Evaluation]
    value: Callable[[Evaluation], float]
    starts: tuple[Cells, ...] = ()
    given_up: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    opened: Callable[[Sequence[str]], Problem] | None = None

    @property
    def solver(self) -> str:
        """The engine to ask."""
        return self.ask.solver

    @property
    def options(self) -> Options:
        """Its limits."""
        return self.ask.options

    def run(self) -> Found:
        """Return the best answer; of the plan's wishes, those in the way are given up step by step.

        Raises:
            SolverLimitError: the solver stopped at its limit without an answer.
        """
        from formulations.infeasible import conflict, soft, without
        from formulations.solve import solve

        problem = self.problem
        if self.ask.export is not None:
            module("engines.pyomo").export(problem, self.ask.export)
        clash: tuple[Conflict, ...] = ()
        dropped: list[str] = []
        solved = solve(problem, self.solver, self.options, self.ask.top, self.starts)
        while solved.outcome.status == "infeasible":
            gone = set(dropped)
            found = conflict(
                problem, self.solver, self.options, self.starts, self.decisions, self._opened(gone)
            )
            wishes = soft(problem)
            if found is not None:
                clash += tuple(self._member(problem, tag, set(found.tags)) for tag in found.tags)
                clash += tuple(self._fixed(name) for name in found.decisions)
                wishes &= set(found.tags)
            # cut short: all wishes go at once, so that what is left is a proof about the physics
            if not wishes:
                # what is left is about the physics alone
                last = tuple({c.tag: c for c in clash}.values())
                return Found(None, solved, tuple(dropped), last, (), self._confirmed(problem, solved))
            dropped += sorted(wishes)
            problem = without(problem, wishes, hard=False)
            solved = solve(problem, self.solver, self.options, self.ask.top, self.starts)
        if solved.outcome.status == "unknown" and self.options.interrupted.is_set():
            raise SolverLimitError(
                f"interrupted before {solved.outcome.engine} found a plan", hint="give it more time"
            )
        if solved.outcome.status == "unknown":
            raise SolverLimitError(
                f"{solved.outcome.engine} found no plan within {self.options.time_limit:g} s",
                hint="raise the time limit",
            )
        o = solved.outcome
        assert o.objective is not None
        given_up = {*dropped, *self.given_up}
        best = self.verified(problem, o.objective, o.cells, o.engine, given_up)
        others = tuple(self.verified(problem, value, at, o.engine, given_up) for value, at in solved.others)
        first = tuple({c.tag: c for c in reversed(clash)}.values())[::-1]
        return Found(best, solved, tuple(dropped), first, others, self._confirmed(problem, solved))

    def _opened(self, dropped: set[str]) -> Callable[[Sequence[str]], Problem] | None:
        """Return what makes the problem with some decisions left open, less the limits given up."""
        opened = self.opened
        if opened is None:
            return None
        without = module("infeasible").without

        def problem(names: Sequence[str]) -> Problem:
            found: Problem = without(opened(names), dropped, hard=False)
            return found

        return problem

    def _fixed(self, name: str) -> Conflict:
        """Return a decision of the plan as a member of a conflict."""
        wish = self.scenario.settings.fixed[name]
        return Conflict(decision_tag(name), None, name, f"the plan says {wish}")

    def _confirmed(self, problem: Problem, solved: Solved) -> str | None:
        """Return the engine that came to the same answer on its own; None if none was asked or could.

        Enumeration of the problem as it was written is independent of presolve too, so it is asked
        where there is not too much of it.

        Raises:
            MismatchError: it came to another answer.
        """
        if not self.ask.verify or solved.outcome.status not in ("optimal", "infeasible"):
            return None
        other = "highs" if solved.outcome.engine == "cp-sat" else "cp-sat"
        if not problem.amounts and module("joint").count(problem) <= CONFIRMED_BY_ENUMERATION:
            other = "exhaustive"
        again = module("solve").solve(problem, other, replace(self.options, progress=None)).outcome
        if again.status not in ("optimal", "infeasible"):
            return None
        if again.status != solved.outcome.status:
            raise MismatchError(
                f"{solved.outcome.engine} calls it {solved.outcome.status}, {other} {again.status}",
                hint="this is a defect of mlsysim: please report the plan",
            )
        if again.objective is not None and solved.outcome.objective is not None:
            agree("objective", again.objective, solved.outcome.objective, other)
        return other

    def verified(
        self, problem: Problem, objective: float, cells: Cells, engine: str, dropped: set[str]
    ) -> Evaluation:
        """Decode, evaluate, and hold the two against each other."""
        e = self.decode(cells)
        verify(problem, objective, cells, engine, dropped, e, self.value(e))
        return e

    def _member(self, problem: Problem, tag: str, tags: set[str]) -> Conflict:
        """Return a member of a conflict with the least that it takes."""
        from mlsysim.walls import WALLS

        wall = next((w for w in WALLS if w.tag == tag), None)
        mine = [r for r in problem.rows if r.tag == tag]
        mine = [r for r in mine if not r.hard] or mine  # of both, the plan's wishes are in question
        rows = [r for r in mine if r.may_bind] or mine
        others = [r for r in problem.rows if r.tag in tags]
        # of several rows of one reason, the one that cannot hold beside the rest
        tight = [
            (row, found[0])
            for row in rows
            if (found := module("infeasible").least(problem, row, others, self.solver, self.options))
            and found[0] > 1.0
        ]
        row, quotient = tight[0] if len(tight) == 1 else (None, None)
        if wall is None:
            return _wish(self.scenario.settings.bounds, tag, row, quotient)
        if row is None or quotient is None:
            return Conflict(tag, wall.number, wall.name, wall.equation)
        there, at = wall.rows(self.state), index_of(row.name)
        # the plan as given may have fewer rows: a queue without end has no percentile
        shown = there[at] if at < len(there) and there[at].hard == row.hard else None
        shown = shown or next((r for r in there if r.hard == row.hard), None)
        if shown is None or not isinstance(shown.supply, int | float):
            return Conflict(tag, wall.number, wall.name, wall.equation if shown is None else shown.note)
        supply = units.from_base(float(shown.supply), shown.unit)
        least = quotient * supply * _SLACK
        if row.allowed.tables or row.allowed.products or row.allowed.maxima:  # of no one plan
            return Conflict(tag, wall.number, wall.name, f"{shown.note}; at least {quotient:.3g} x as much")
        return Conflict(tag, wall.number, wall.name, shown.note, least, supply, shown.unit)


# Rows of a problem grant what eval grants; what is told is without it.
_SLACK = 1.0 + TOLERANCE - ROUNDING


def verify(
    problem: Problem,
    objective: float,
    cells: Cells,
    engine: str,
    dropped: set[str],
    e: Evaluation,
    value: float,
) -> None:
    """Hold a solver's answer against its evaluation: the objective, and every limit.

    Args:
        problem: what was solved.
        objective: as the engine has it.
        cells: the answer.
        engine: that found it, for the message.
        dropped: tags of limits that the answer need not keep.
        e: the answer, evaluated.
        value: the objective of that evaluation.

    Raises:
        MismatchError: they differ by more than the tolerance.
    """
    from formulations.rows import comparisons

    agree("objective", objective, value, engine)
    rows = {r.name: r for r in problem.rows}
    for c in comparisons(e.state, e.scenario.settings.bounds):
        if c.tag in dropped and not c.hard:
            continue
        row = rows.get(c.name)
        if not float(c.demand) <= float(c.supply) * (1.0 + ROUNDING):
            raise MismatchError(
                f"{c.name}: {engine} says that it holds, eval says {float(c.demand):.9g} of "
                f"{float(c.supply):.9g}",
                hint="this is a defect of mlsysim: please report the plan",
            )
        if row is None:  # of a fleet that only some variants have, and it holds
            continue
        slack = row.supply - float(row.expr.at(cells)[0])
        size = max(abs(float(c.demand)), abs(float(c.supply)), 1e-30)
        if abs(slack - (float(c.supply) - float(c.demand))) > TOLERANCE * size:
            agree(c.name, float(c.supply) - slack, float(c.demand), engine)


def _wish(bounds: tuple[Bound, ...], tag: str, row: Row | None, quotient: float | None) -> Conflict:
    """Return an assertion as a member of a conflict; the quotient is of its metric to its limit."""
    bound = bounds[int(tag.removeprefix("assert"))]
    m = bound.metric
    sides = [
        f"{word} {units.from_base(x, m.unit):g} {m.unit}".removesuffix(" 1")
        for x, word in ((bound.low, "at least"), (bound.high, "at most"))
        if x is not None
    ]
    limit = ", ".join(sides)
    if row is None or quotient is None:
        return Conflict(tag, None, m.name, limit)
    low = "[min]" in row.name
    asked = bound.low if low else bound.high
    assert asked is not None
    reached = asked / (quotient * _SLACK) if low else asked * quotient * _SLACK
    return Conflict(
        tag, None, m.name, limit, units.from_base(reached, m.unit), units.from_base(asked, m.unit), m.unit
    )


def decision_tag(name: str) -> str:
    """Return the tag of a decision that the plan fixes."""
    return f"parallelism.{name}"


def index_of(name: str) -> int:
    """Return which row of its wall a row is, by its name: ``w02[1]``."""
    return int(name.split("[")[1].split("]")[0])


def agree(what: str, theirs: float, ours: float, engine: str) -> None:
    """Hold what an engine says against what ``eval`` says.

    Raises:
        MismatchError: they differ by more than a relative 1e-6.
    """
    if not np.isclose(theirs, ours, rtol=TOLERANCE, atol=0.0):
        raise MismatchError(
            f"{what}: {engine} says {theirs:.9g}, eval says {ours:.9g}",
            hint="this is a defect of mlsysim: please report the plan",
        )

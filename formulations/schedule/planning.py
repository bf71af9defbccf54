"""From a fleet to a schedule with a proof of how good it is.

A bound by ascent and by the relaxation over whole schedules; a first schedule at its prices; large
neighbourhood search; and, where little enough is left, the exact program over what a better schedule
may still use.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from formulations.engines.base import Options
from formulations.engines.watch import heard
from formulations.schedule.board import Board
from formulations.schedule.cheapest import INF
from formulations.schedule.course import Course
from formulations.schedule.fields import Multipliers
from formulations.schedule.pricing import Pricer
from formulations.schedule.relaxation import Relaxation
from formulations.schedule.rising import Rising
from formulations.schedule.whole import Answer, Whole
from mlsysim.core.errors import MismatchError
from mlsysim.core.schedule.types import Fleet, Schedule
from mlsysim.core.schedule.usage import broken, usage

# Variables up to which the exact program is asked: always at first, and for what is left later.
SMALL, MANY = 6_000, 30_000
# Share of the variables of a program that was too hard below which the next one is tried.
LESS = 0.5
# Steps of ascent at first, and how many of them may bring nothing.
FIRST, FLAT = 1_000, 20
# Turns of the search before the bound gets a process of its own.
ALONE = 2
AGREEMENT = 1e-6
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Planned:
    """A schedule and its proof.

    Attributes:
        status: ``optimal`` (within the gap asked for), ``feasible``, ``infeasible`` or ``unknown``.
        schedule, objective: None without a schedule.
        bound: no schedule is better; None where nothing is proven.
        seconds: by phase: building, relaxation, first, improvement, exact, post-processing.
        columns, rows: of the largest program that was solved.
        rounds: of pricing.
        multipliers: prices of the limits that prove the bound.
    """

    status: str
    schedule: Schedule | None
    objective: float | None
    bound: float | None
    seconds: dict[str, float]
    columns: int = 0
    rows: int = 0
    rounds: int = 0
    engine: str = "column generation"
    version: str = ""
    multipliers: Multipliers | None = None

    @property
    def gap(self) -> float | None:
        """Relative distance of the objective from the bound; None where nothing is proven."""
        if self.objective is None or self.bound is None:
            return None
        return max(0.0, self.objective - self.bound) / max(abs(self.objective), 1e-30)


def plan(fleet: Fleet, options: Options | None = None) -> Planned:
    """Return the schedule that takes least, as far as the options allow, with its proof.

    Raises:
        MismatchError: the schedule does not keep a limit, or is not worth what was said.
    """
    options = options or Options()
    with heard(options):
        return _Planning(fleet, options).run()


@dataclass
class _Planning:
    fleet: Fleet
    options: Options
    seconds: dict[str, float] = field(default_factory=dict)
    best: Schedule | None = None
    value: float = INF
    columns: int = 0
    rows: int = 0
    version: str = ""
    spent: float = 0.0
    child: Rising | None = None
    hard: int = MANY

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def run(self) -> Planned:
        with self.phase("building"):
            self.pricer = Pricer(self.fleet)
            self.relaxation = Relaxation(self.pricer, self.options)
        if not self.fleet.jobs:
            self.best, self.value, self.relaxation.bound = Schedule(()), 0.0, 0.0
            return self._answer("optimal")
        with self.phase("relaxation"):
            self._first_bound()
        if self.relaxation.bound == INF:
            return self._answer("infeasible")
        if not self.relaxation.cheapest:  # the time was up before any job had a price
            return self._answer(None)
        with self.phase("first"):
            self._first_schedule()
        verdict = None
        if self._open() and self._size() <= SMALL:
            verdict = self._exactly()
        try:
            while verdict is None and self._open():
                verdict = self._closer()
        finally:
            if self.child is not None:
                self.child.end()
        return self._answer(verdict)

    # --- bounds ------------------------------------------------------------------------------------

    def _first_bound(self) -> None:
        r = self.relaxation
        r.ascend(1, 1)
        if r.bound == INF:
            return
        if self._size() <= SMALL:
            r.ascend(40, 1)
            return
        # a search that is led by good prices catches up with what they took
        begin, share = time.monotonic(), 0.25 * self.options.remaining
        bounds: list[float] = []

        def enough() -> bool:
            bounds.append(r.bound)
            flat = len(bounds) > 2 * FLAT and (
                r.bound - bounds[-FLAT] <= 0.1 * self.options.gap * abs(r.bound)
            )
            return flat or time.monotonic() - begin > share

        r.ascend(FIRST, 20, enough)

    def _raise_bound(self) -> None:
        """Hear what another process has proven, or raise the bound here for a while."""
        r = self.relaxation
        if self.course.turns == ALONE and Rising.possible(self.options):
            self.child = Rising(r)
        if self.child is not None:
            self.child.hear(self.value)
            if not self.child.died:
                return
        # a third of the time that the search takes
        share = 0.3 * self.seconds["improvement"] - self.spent
        if share > 0.0:
            begin = time.monotonic()
            if self.course.between:
                r.add(c for c in self.course.search.board.placed if c is not None)
            r.rise(share, self.options.gap / 4, self.value if self.value < INF else None)
            self.spent += time.monotonic() - begin

    def _size(self) -> int:
        """Return roughly how many variables the exact program has before any is ruled out."""
        total = 0
        for job, span in zip(self.fleet.jobs, self.pricer.spans, strict=True):
            cells = span.regions.size * (span.end - span.first) * len(job.options)
            total += cells * (4 + span.regions.size if job.kind == "move" else 1)
        return total

    def _open(self) -> bool:
        """Return whether there is still something to do and time to do it."""
        if self.options.expired:
            return False
        return not self._closed()

    def _closed(self) -> bool:
        """Return whether the bound is as near as was asked for, but for rounding."""
        if self.value == INF:
            return False
        rounding = ROUNDING * max(abs(self.value), self.pricer.magnitude)
        return self.value - self.relaxation.bound <= self.options.gap * abs(self.value) + rounding

    # --- schedules ---------------------------------------------------------------------------------

    def _first_schedule(self) -> None:
        self.course = Course(self.relaxation, self.options.seed)
        self._note(self.course.search.board)

    def _note(self, board: Board) -> None:
        """Keep the board's schedule if it is complete, keeps the caps and is better."""
        if board.complete() and not board.over and board.objective < self.value:
            self._keep(board.schedule())

    def _keep(self, schedule: Schedule) -> None:
        value = usage(self.fleet, schedule).objective(self.fleet)
        if value < self.value:
            self.best, self.value = schedule, value
            if self.options.progress is not None:
                bound = self.relaxation.bound
                self.options.progress(value, bound if np.isfinite(bound) else None)

    def _closer(self) -> str | None:
        """Search for a while, raise the bound for a while, and look whether little enough is left."""
        with self.phase("improvement"):
            self.course.turn(self.best, lambda: self.options.expired)
            search = self.course.search
            if search.found is not None and search.objective < self.value:
                self._keep(Schedule(tuple(c.runs for c in search.found if c is not None)))
            if self.course.between:
                self._reshare()
        if not self._open():
            return None
        with self.phase("relaxation"):
            self._raise_bound()
        if self.course.between and self._open():
            return self._exactly()
        return None

    def _reshare(self) -> None:
        """Put shares and pauses where they are cheapest, given the rest."""
        if self.best is None or not any(j.kind == "split" for j in self.fleet.jobs):
            return
        whole = Whole(self.pricer, Multipliers.none(self.fleet), INF, self.best, MANY)
        if not whole.complete:
            return
        answer = whole.solve(replace(self.options, gap=0.0))
        if answer.runs is not None:
            runs = tuple(
                new if job.kind == "split" else old
                for job, new, old in zip(self.fleet.jobs, answer.runs, self.best.runs, strict=True)
            )
            schedule = Schedule(runs)
            if not broken(self.fleet, schedule):
                self._keep(schedule)

    def _exactly(self) -> str | None:
        """Solve what is left exactly, if it is little enough; return the verdict if that settles it."""
        with self.phase("exact"):
            gap = self.value - self.relaxation.bound if self.value < INF else INF
            if gap == INF and self._size() > MANY:
                return None
            whole = Whole(self.pricer, self.relaxation.at, gap, most=self.hard)
            if not whole.complete:
                return None
            options = self.options
            if gap < INF and self._size() > SMALL:  # the search may need the rest of the time
                spare = min(0.1 * options.remaining, 0.2 * self.seconds["improvement"])
                limit = time.monotonic() - options.began + spare
                options = replace(options, time_limit=min(options.time_limit, limit))
            answer: Answer = whole.solve(options)
            self.columns, self.rows = max(self.columns, answer.variables), max(self.rows, answer.rows)
            if answer.runs is not None:
                self._keep(Schedule(answer.runs))
            if answer.status == "infeasible":
                # of a known schedule, nothing better is left
                self.relaxation.bound = self.value
                return "infeasible" if self.best is None else "optimal"
            if answer.bound is not None:
                proven = min(answer.bound, self.value)
                self.relaxation.bound = max(self.relaxation.bound, proven)
        self.hard = int(LESS * whole.count)
        return None if self._open() else "optimal"

    def _answer(self, verdict: str | None) -> Planned:
        with self.phase("post-processing"):
            bound = self.relaxation.bound
            if self.best is not None:
                wrong = broken(self.fleet, self.best)
                if wrong:
                    first = wrong[0]
                    raise MismatchError(
                        f"the schedule breaks a limit: {first.tag} of {first.where} takes "
                        f"{first.demand:.9g} of {first.supply:.9g}",
                        hint="this is a defect of mlsysim: please report the plan",
                    )
                if bound > self.value + AGREEMENT * max(abs(self.value), self.pricer.magnitude):
                    raise MismatchError(
                        f"the bound {bound:.9g} is above a schedule worth {self.value:.9g}",
                        hint="this is a defect of mlsysim: please report the plan",
                    )
                bound = min(bound, self.value)
                verdict = "optimal" if verdict == "optimal" or self._closed() else "feasible"
        if verdict not in ("optimal", "feasible", "infeasible"):
            verdict = "unknown"
        r = self.relaxation
        return Planned(
            verdict,
            self.best,
            None if self.best is None else self.value,
            bound if np.isfinite(bound) else None,
            self.seconds,
            max(self.columns, len(r.pool)),
            max(self.rows, r.rows),
            r.rounds,
            version=r.version,
            multipliers=r.at,
        )

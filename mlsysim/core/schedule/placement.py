"""The answer to a plan with several jobs: a schedule, its proof, and what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlsysim.core.schedule.first_fit import cheapest_first, first_fit, where_now
from mlsysim.core.schedule.scenario import FleetScenario
from mlsysim.core.schedule.summary import Judged, regions_of
from mlsysim.core.schedule.types import Schedule

if TYPE_CHECKING:
    from mlsysim.core.schedule.weighed import Pareto, Taxes

Json = dict[str, Any]


@dataclass(frozen=True)
class Proof:
    """What a solver found and proved.

    Attributes:
        status: ``optimal`` (within the gap asked for), ``feasible``, ``infeasible`` or ``unknown``.
        objective, bound: [USD]; no plan costs less than the bound.
        gap: relative, between both.
        seconds: by phase.
        columns, rows: of the model.
        engine, version: of the solver.
    """

    status: str
    objective: float | None = None
    bound: float | None = None
    gap: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    columns: int = 0
    rows: int = 0
    engine: str = ""
    version: str = ""


@dataclass(frozen=True)
class Price:
    """What a little more of a limit that binds is worth.

    Attributes:
        tag: kind of limit: ``accelerators``, ``power``, ``cost``, ``carbon``, ``water``, ``region carbon``
            or ``job carbon``.
        where: of which region or job.
        worth: by which the objective falls for a unit more [USD a ``unit``]; of accelerators and power, a
            unit through all slots in which it binds.
        unit: of the limit.
        confirmed: whether solving again with a little more gave the same.
        slots: in which it binds; empty of a cap.
    """

    tag: str
    where: str
    worth: float
    unit: str
    confirmed: bool
    slots: tuple[int, ...] = ()


@dataclass(frozen=True)
class Member:
    """A limit that cannot hold together with others.

    Attributes:
        tag: as of a price, or ``windows``.
        name: in words.
        least: below which the conflict stays if the other members do, in ``unit``: of a cap, the amount; of
            a capacity, its factor; of the windows, by how much every deadline is later. None where nothing
            mends it, or it was not found in time. Limits that are no members may ask for more.
        supply: what is there, likewise.
        unit: of both.
    """

    tag: str
    name: str
    least: float | None
    supply: float
    unit: str


@dataclass(frozen=True)
class Clash:
    """Limits that cannot hold together: without any one of them the rest can.

    Attributes:
        members: the limits.
        job: the one job that it is about; None where it takes several.
        proven: whether each was shown to be needed.
    """

    members: tuple[Member, ...]
    job: str | None
    proven: bool


@dataclass(frozen=True, eq=False)
class Placement:
    """A plan with several jobs, placed.

    Attributes:
        scenario: the plan in numbers.
        answer: the schedule; None where there is none.
        baselines: schedules that people would make without a solver.
        proof: None where nothing was optimized.
        clash: limits that cannot hold together, if any.
        dropped: kinds of the plan's own limits that had to be given up for the answer.
        prices: of what is scarce.
        notes: remarks.
        taxes: the best schedules over a range of the carbon tax; ``answer`` is that of its low end.
        pareto: schedules that none beats; ``answer`` is the one with the least cost.
    """

    scenario: FleetScenario
    answer: Judged | None
    baselines: tuple[Judged, ...]
    proof: Proof | None = None
    clash: Clash | None = None
    dropped: tuple[str, ...] = ()
    prices: tuple[Price, ...] = ()
    notes: tuple[str, ...] = ()
    taxes: Taxes | None = None
    pareto: Pareto | None = None
    handover: None = None

    @property
    def status(self) -> str:
        """``pass``, ``fail`` (physically infeasible) or ``sla_violation`` (a limit of the plan)."""
        if self.answer is None:
            return "fail"
        return "sla_violation" if self.dropped else self.answer.status

    @property
    def exit_code(self) -> int:
        """The exit code that says the status."""
        return {"pass": 0, "fail": 2, "sla_violation": 3}[self.status]

    @property
    def decided(self) -> dict[str, str]:
        """The region of each job, several joined by ``+``; those that are not placed are absent."""
        return {} if self.answer is None else regions_of(self.answer)

    def to_dict(self) -> Json:
        """Return the JSON document."""
        from mlsysim.core.schedule.document import document

        return document(self)

    def scorecard(self) -> str:
        """Return the answer as text of 80 columns."""
        from mlsysim.core.schedule.scorecard import render

        return render(self)

    def markdown(self) -> str:
        """Return the answer as Markdown."""
        from mlsysim.report import markdown

        return markdown(self)

    def plot(self, kind: str | None = None) -> Any:
        """Return a Plotly figure: ``gantt``, ``map``, ``breakpoints``, ``pareto``.

        Needs the extra ``labs``.

        Raises:
            InputError: there is no such plot.
            MissingExtraError: Plotly is not installed.
        """
        from mlsysim.viz.kinds import plot

        return plot(self, kind)


def baselines(s: FleetScenario) -> tuple[Judged, ...]:
    """Return what people would do without a solver.

    Each job at once in the cheapest region by mean price that has room; and where the jobs are now,
    if the plan says so of any.
    """
    places, runnable = s.fleet.places, all(job.options for job in s.fleet.jobs)
    if not runnable:
        return ()
    found = [
        Judged("cheapest", "cheapest region, at once", s.fleet, first_fit(s.fleet, cheapest_first(places)))
    ]
    if any(job.now is not None for job in s.fleet.jobs):
        found.append(Judged("now", "where they are now", s.fleet, first_fit(s.fleet, where_now(places))))
    return tuple(found)


def nothing(s: FleetScenario) -> Schedule:
    """Return a schedule in which no job is placed."""
    return Schedule(tuple(() for _ in s.fleet.jobs))


def evaluated(s: FleetScenario) -> Placement:
    """Return the plan with the jobs where they are now, or at once in the cheapest region."""
    found = baselines(s)
    answer = found[-1] if found else Judged("now", "where they are now", s.fleet, nothing(s))
    return Placement(s, answer, found, notes=s.notes)

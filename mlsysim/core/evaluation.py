"""The physics forward: one scenario in, an evaluation out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mlsysim.core import units
from mlsysim.core.layout import Layout, columns_of, layer_of, pipeline_of, shard_of
from mlsysim.core.metrics import METRICS, Metric
from mlsysim.core.plan_out import plan_of
from mlsysim.core.rule import by_rule
from mlsysim.core.scenario import Bound, Scenario
from mlsysim.core.states import inference_state, training_state
from mlsysim.core.tolerance import TOLERANCE
from mlsysim.core.variants import settled
from mlsysim.physics.training import Step, step
from mlsysim.physics.types import Array
from mlsysim.walls import WALLS, Row, State, Wall
from mlsysim.walls.base import parts_of

SCHEMA_VERSION = "1.0"
# Headroom below which a wall is said to bind.
BINDING = 0.05
# What a row says, from the mildest to the worst.
STATUSES = ("info", "pass", "binding", "fail")
# The wall behind each part that a step's time can go to.
BOTTLENECK_WALLS = {"compute": 1, "memory": 2, "communication": 14, "bubble": 14, "streaming": 6}

Json = dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """A wall as an evaluation shows it: its tightest row, in the row's own unit."""

    wall: Wall
    status: str
    demand: float | None = None
    supply: float | None = None
    unit: str = ""
    note: str = ""
    hard: bool = False
    by_construction: bool = False

    @property
    def headroom(self) -> float | None:
        """Share of the supply that is left; negative when the demand exceeds it."""
        if self.demand is None or self.supply is None:
            return None
        return 1.0 - self.demand / self.supply if self.supply else -np.inf

    def to_dict(self) -> Json:
        """Return the reading as one entry of the result's ``walls``."""
        room = self.headroom
        return {
            "number": self.wall.number,
            "name": self.wall.name,
            "domain": self.wall.domain,
            "status": self.status,
            "demand": self.demand,
            "supply": self.supply,
            "unit": self.unit or None,
            "headroom": None if room is None or not np.isfinite(room) else room,
            "note": self.note,
        }


@dataclass(frozen=True)
class Check:
    """An assertion of the plan against the evaluated metric, in the metric's unit."""

    bound: Bound
    value: float

    @property
    def ok(self) -> bool:
        """Whether the metric lies within the bound, to the solvers' tolerance."""
        return bool(within(self.bound, self.value))

    def to_dict(self) -> Json:
        """Return the check as one entry of the result's ``assertions``."""
        m = self.bound.metric

        def shown(x: float | None) -> float | None:
            return None if x is None else units.from_base(x, m.unit)

        return {
            "metric": m.name,
            "min": shown(self.bound.low),
            "max": shown(self.bound.high),
            "value": shown(self.value),
            "unit": m.unit,
            "ok": self.ok,
        }


@dataclass(frozen=True)
class Evaluation:
    """A scenario held against every wall.

    Attributes:
        scenario: what was evaluated.
        layout: the layout of a training job; None for inference.
        state: what the walls saw.
        layout_by: who chose the layout: ``rule`` (what the plan leaves open) or ``given``.
    """

    scenario: Scenario
    layout: Layout | None
    state: State
    layout_by: str = "rule"

    @cached_property
    def walls(self) -> tuple[Reading, ...]:
        """The 22 walls in order."""
        return tuple(_read(wall, self.state, self.bottleneck_wall) for wall in WALLS)

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """The plan's assertions."""
        return tuple(Check(b, b.metric.value(self.state)) for b in self.scenario.settings.bounds)

    @property
    def feasible(self) -> bool:
        """Whether every hard wall holds."""
        return not any(w.status == "fail" and w.hard for w in self.walls)

    @property
    def status(self) -> str:
        """``fail`` if the physics forbids it, ``sla_violation`` if the plan's limits do, or ``pass``."""
        if not self.feasible:
            return "fail"
        kept = all(c.ok for c in self.checks) and all(w.status != "fail" for w in self.walls)
        return "pass" if kept else "sla_violation"

    @property
    def exit_code(self) -> int:
        """The exit code that says the status."""
        return {"pass": 0, "fail": 2, "sla_violation": 3}[self.status]

    @property
    def bottleneck(self) -> str:
        """What most of the step's time goes to."""
        parts = parts_of(self.state)
        return max(parts, key=lambda name: float(parts[name]))

    @property
    def bottleneck_wall(self) -> int:
        """The number of the wall behind the bottleneck."""
        return BOTTLENECK_WALLS[self.bottleneck]

    def metric(self, name: str) -> float:
        """Return a metric in its own unit, by its full name."""
        m = METRICS[name]
        return units.from_base(m.value(self.state), m.unit)

    def quantity(self, name: str) -> Any:
        """Return a metric as a Pint quantity, by its full name."""
        m = METRICS[name]
        return units.quantity(m.value(self.state), m.unit)

    def scorecard(self) -> str:
        """Return the three lenses and the walls as text of 80 columns."""
        from mlsysim.core.scorecard import render

        return render(self)

    def plot(self, kind: str | None = None) -> Any:
        """Return a Plotly figure: ``walls``, ``roofline``, ``memory``, ``time``, of training ``timeline``.

        Needs the extra ``labs``.

        Raises:
            InputError: there is no such plot.
            MissingExtraError: Plotly is not installed.
        """
        from mlsysim.viz.kinds import plot

        return plot(self, kind)

    def _lens(self, prefix: str) -> tuple[Json, Json]:
        chosen: dict[str, Metric] = {
            n.split(".")[1]: m
            for n, m in METRICS.items()
            if n.startswith(prefix + ".") and m.applies(self.state)
        }
        return (
            {n: units.from_base(m.value(self.state), m.unit) for n, m in chosen.items()},
            {n: m.unit for n, m in chosen.items()},
        )

    def to_dict(self) -> Json:
        """Return the evaluation as the JSON document of ``eval``."""
        from mlsysim.core.scorecard import lenses
        from mlsysim.core.solver.because import because

        shown = lenses(self)
        document: Json = {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.scenario.name,
            "status": self.status,
        }
        for prefix in ("feasibility", "performance", "macro"):
            metrics, their_units = self._lens(prefix)
            if prefix == "performance":
                metrics["bottleneck"] = self.bottleneck
            document[prefix] = {
                "status": shown[prefix].status,
                "summary": shown[prefix].summary,
                "metrics": metrics,
                "units": their_units,
            }
        document["walls"] = [w.to_dict() for w in self.walls]
        document["because"] = [b.to_dict() for b in because(self)]
        document["assertions"] = [c.to_dict() for c in self.checks]
        document["plan"] = self.plan()
        document["assumptions"] = [asdict(a) for a in self.scenario.assumptions]
        return document

    def plan(self) -> Json:
        """Return the plan with its defaults filled in; ``eval`` accepts it unchanged."""
        return plan_of(self.scenario, self.layout)


def within(b: Bound, value: Array) -> Array:
    """Return whether a metric lies within a bound, to the solvers' tolerance."""
    slack = TOLERANCE * np.maximum(np.abs(value), 1e-30)
    low = True if b.low is None else value >= b.low - slack
    return low & (True if b.high is None else value <= b.high + slack)


def rank_of(row: Row, demand: Array, supply: Array, bottleneck: Array) -> Array:
    """Return what a row with a finite supply says, as an index into :data:`STATUSES`.

    Args:
        row: the row.
        demand: of the row; a number, or an array over points.
        supply: of the row, likewise.
        bottleneck: whether the wall is behind the bottleneck of the step.
    """
    failed = demand > supply * (1.0 + TOLERANCE)
    near = demand >= supply * (1.0 - BINDING)
    if row.by_construction:
        near = near | bottleneck
    return 1 + (near | failed) + failed


def _read(wall: Wall, state: State, bottleneck: int) -> Reading:
    rows = wall.rows(state)
    if not rows:
        return Reading(wall, "n/a", note=wall.why_not(state))
    return max(
        (_reading(wall, row, bottleneck) for row in rows),
        # of rows that fail, one that the physics fails says more than one that the plan's wish does
        key=lambda r: (
            STATUSES.index(r.status),
            r.status == "fail" and r.hard,
            -np.inf if r.headroom is None else -r.headroom,
        ),
    )


def _reading(wall: Wall, row: Row, bottleneck: int) -> Reading:
    demand = float(row.demand)
    supply = None if row.supply is None else float(row.supply)
    if supply is None or not np.isfinite(supply):
        status, supply = "info", None
    else:
        status = STATUSES[rank_of(row, demand, supply, wall.number == bottleneck)]
    return Reading(
        wall,
        status,
        units.from_base(demand, row.unit),
        None if supply is None else units.from_base(supply, row.unit),
        row.unit,
        row.note,
        row.hard,
        row.by_construction,
    )


def evaluate(s: Scenario, layout: Layout | None = None) -> Evaluation:
    """Hold a scenario against every wall.

    Args:
        s: the scenario.
        layout: of a training job; by the rule of :func:`mlsysim.core.rule.by_rule` if absent.
    """
    if s.job is None:
        return Evaluation(s, None, inference_state(s))
    layout_by = "given" if layout else "rule"
    if layout is None:
        s = settled(s)
        layout = by_rule(s)
    assert s.job is not None
    columns = columns_of(layout, s.job.weights.layers)
    result = step(s.job, layer_of(s.job, columns), pipeline_of(s.job, columns), shard_of(s.job, columns))
    numbers = Step(**{name: float(np.asarray(value).reshape(-1)[0]) for name, value in vars(result).items()})
    return Evaluation(s, layout, training_state(s, numbers, float(layout.tp)), layout_by)

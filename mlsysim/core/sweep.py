"""The physics forward on many layouts at once: the walls and metrics of each, as arrays.

The same functions as in :func:`mlsysim.core.evaluation.evaluate`, called once. A step's factors
depend on few decisions each and so repeat among layouts: each is worked out on its distinct rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np

from mlsysim.core import units
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import (
    BOTTLENECK_WALLS,
    STATUSES,
    Json,
    parts_of,
    rank_of,
    within,
)
from mlsysim.core.layout import Columns, Layout, layer_of, layout_at, pipeline_of, shard_of
from mlsysim.core.metrics import METRICS
from mlsysim.core.scenario import Scenario
from mlsysim.core.states import training_state
from mlsysim.physics.job import Job
from mlsysim.physics.training import step
from mlsysim.physics.types import Array
from mlsysim.walls import WALLS, Row, State, Wall

Part = TypeVar("Part")

NOT_APPLICABLE = -1
_SHOWN = np.array([*STATUSES, "n/a"])  # index -1 is the last
_LAYER = ("tp", "cp", "ep", "microbatch_size", "recompute", "sequence_parallel")
_PIPELINE = ("pp", "interleave")
_SHARD = ("tp", "cp", "pp", "dp", "ep", "zero_stage")
# Points worked on at a time: their arrays stay in the processor's cache.
BLOCK = 8192
# Tables of codes up to this size are cheaper than sorting.
_TABLE = 1 << 22


@dataclass(frozen=True)
class WallSweep:
    """A wall over all points: its tightest row at each, in that row's own unit.

    Attributes:
        wall: the wall.
        rank: index into :data:`mlsysim.core.evaluation.STATUSES`, or :data:`NOT_APPLICABLE`.
        demand, supply: NaN where there is none.
        headroom: share of the supply that is left; NaN without a supply.
        tightest: index of the row that is the tightest.
        row_units: the unit of each row.
        row_hard: whether exceeding each row is impossible.
    """

    wall: Wall
    rank: np.ndarray
    demand: np.ndarray
    supply: np.ndarray
    headroom: np.ndarray
    tightest: np.ndarray
    row_units: tuple[str, ...]
    row_hard: tuple[bool, ...]

    @property
    def status(self) -> np.ndarray:
        """What the tightest row says, as text."""
        return np.asarray(_SHOWN[self.rank])

    @property
    def unit(self) -> np.ndarray:
        """The unit of demand and supply, as text; empty where the wall does not apply."""
        return np.array(self.row_units or ("",))[self.tightest]

    @property
    def broken(self) -> np.ndarray:
        """Where the tightest row is exceeded and is a hard one."""
        failed = self.rank == len(STATUSES) - 1
        return np.asarray(failed & np.array(self.row_hard or (False,))[self.tightest])

    def to_dict(self, index: int) -> Json:
        """Return one point as an entry of a result's ``walls``, without its note."""
        demand, supply, room = (float(x[index]) for x in (self.demand, self.supply, self.headroom))
        return {
            "number": self.wall.number,
            "name": self.wall.name,
            "domain": self.wall.domain,
            "status": str(_SHOWN[self.rank[index]]),
            "demand": None if np.isnan(demand) else demand,
            "supply": None if np.isnan(supply) else supply,
            "unit": (self.row_units[int(self.tightest[index])] if self.row_units else None) or None,
            "headroom": room if np.isfinite(room) else None,
        }


@dataclass(frozen=True)
class Sweep:
    """Layouts of one training scenario, held against every wall.

    Attributes:
        scenario: what was evaluated.
        layouts: the decisions of each point.
        walls: the 22 walls in order.
        metrics: each metric in its own unit, by its full name.
        kept: where every assertion of the plan holds.
    """

    scenario: Scenario
    layouts: Columns
    walls: tuple[WallSweep, ...]
    metrics: dict[str, np.ndarray]
    kept: np.ndarray

    def __len__(self) -> int:
        return len(self.layouts["tp"])

    @cached_property
    def feasible(self) -> np.ndarray:
        """Where every hard wall holds."""
        broken = np.zeros(len(self), dtype=bool)
        for wall in self.walls:
            if any(wall.row_hard):
                broken |= wall.broken
        return ~broken

    @cached_property
    def status(self) -> np.ndarray:
        """``fail``, ``sla_violation`` or ``pass``, as an evaluation says it."""
        failed = np.zeros(len(self), dtype=bool)
        for wall in self.walls:
            failed |= wall.rank == len(STATUSES) - 1
        kept = np.where(self.kept & ~failed, "pass", "sla_violation")
        return np.where(self.feasible, kept, "fail")

    def layout(self, index: int) -> Layout:
        """Return the layout of a point."""
        return layout_at(self.layouts, index)

    def row(self, index: int) -> Json:
        """Return one point: its layout, status, walls and metrics."""
        return {
            "layout": self.layout(index).to_dict(),
            "status": str(self.status[index]),
            "feasible": bool(self.feasible[index]),
            "walls": [w.to_dict(index) for w in self.walls],
            "metrics": {name: float(values[index]) for name, values in self.metrics.items()},
        }

    def columns(self) -> Columns:
        """Return everything as columns of equal length: decisions, status, metrics, walls.

        A wall's columns are those such as ``w14.demand``.
        """
        found: Columns = dict(self.layouts)
        found |= {"status": self.status, "feasible": self.feasible}
        found |= self.metrics
        for w in self.walls:
            for name in ("status", "demand", "supply", "unit", "headroom"):
                found[f"{w.wall.tag}.{name}"] = getattr(w, name)
        return found


def evaluate_layouts(s: Scenario, columns: Columns) -> Sweep:
    """Hold many layouts of a training scenario against every wall.

    Args:
        s: the scenario.
        columns: an array for each decision of :class:`mlsysim.core.layout.Layout`, by its name; a
            single value stands for all points. Recomputation is an index into
            :data:`mlsysim.physics.transformer.RECOMPUTE`.

    Raises:
        InputError: the scenario trains nothing, or the columns are not those of layouts.
    """
    if s.job is None:
        raise InputError("only a training job has layouts", where="workload.phase")
    layouts = _checked(columns)
    count = len(layouts["tp"])
    layer = _Distinct(s.job, layer_of, layouts, _LAYER)
    pipe = _Distinct(s.job, pipeline_of, layouts, _PIPELINE)
    shard = _Distinct(s.job, shard_of, layouts, _SHARD)
    ranks = layouts["tp"].astype(float)
    found = _Collected(s, count)
    for start in range(0, max(count, 1), BLOCK):
        part = slice(start, min(start + BLOCK, count))
        result = step(s.job, layer.at(part), pipe.at(part), shard.at(part))
        found.add(part, training_state(s, result, ranks[part]))
    return Sweep(s, layouts, *found.columns())

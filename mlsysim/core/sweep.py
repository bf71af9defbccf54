"""The physics forward on many layouts at once: the walls and metrics of each, as arrays.

The same functions as in :func:`mlsysim.core.evaluation.evaluate`, called once. A step's factors
depend on few decisions each and so repeat among layouts: each is worked out on its distinct rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cached_property, reduce
from typing import NamedTuple, TypeVar

import numpy as np

from mlsysim.core import units
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import (
    BOTTLENECK_WALLS,
    STATUSES,
    Json,
    rank_of,
    within,
)
from mlsysim.core.layout import (
    LAYER,
    PIPELINE,
    SHARD,
    Columns,
    Layout,
    layer_of,
    layout_at,
    pipeline_of,
    shard_of,
)
from mlsysim.core.metrics import METRICS
from mlsysim.core.scenario import Scenario
from mlsysim.core.states import training_state
from mlsysim.physics.job import Job
from mlsysim.physics.training import step
from mlsysim.physics.types import Array
from mlsysim.walls import WALLS, Row, State, Wall
from mlsysim.walls.base import parts_of

Part = TypeVar("Part")

NOT_APPLICABLE = -1
_SHOWN = np.array([*STATUSES, "n/a"])  # index -1 is the last
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
        return np.asarray(np.array(self.row_units or ("",))[self.tightest])

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
class Held:
    """Points held against every wall.

    Attributes:
        walls: the 22 walls in order.
        metrics: each metric in its own unit, by its full name.
        kept: where every assertion of the plan holds.
    """

    walls: tuple[WallSweep, ...]
    metrics: dict[str, np.ndarray]
    kept: np.ndarray

    def __len__(self) -> int:
        return len(self.kept)

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


@dataclass(frozen=True)
class Sweep(Held):
    """Layouts of one training scenario, held against every wall.

    Attributes:
        scenario: what was evaluated.
        layouts: the decisions of each point.
    """

    scenario: Scenario
    layouts: Columns

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
    result = step(
        s.job,
        _each(s.job, layer_of, layouts, LAYER),
        _each(s.job, pipeline_of, layouts, PIPELINE),
        _each(s.job, shard_of, layouts, SHARD),
    )
    state = training_state(s, result, layouts["tp"].astype(float))
    held = against_walls(s, state, count)
    return Sweep(held.walls, held.metrics, held.kept, s, layouts)


def against_walls(s: Scenario, state: State, count: int, names: Iterable[str] | None = None) -> Held:
    """Hold a state of arrays against every wall.

    Args:
        s: the scenario, for its assertions.
        state: numbers, or arrays over the points.
        count: how many points there are.
        names: of the metrics to work out; all if absent. Those that do not apply are left out.
    """
    bottleneck = _bottleneck(state)
    with np.errstate(divide="ignore", invalid="ignore"):
        walls = tuple(_read(wall, state, bottleneck == wall.number, count) for wall in WALLS)
    metrics = {}
    for name, metric in METRICS.items():
        if (names is not None and name not in names) or not metric.applies(state):
            continue
        numerator, denominator = metric.parts(state)
        metrics[name] = _column(units.from_base(numerator / denominator, metric.unit), count, float)
    kept: Array = True
    for bound in s.settings.bounds:
        numerator, denominator = bound.metric.parts(state)
        kept = kept & within(bound, numerator / denominator)
    return Held(walls, metrics, _column(kept, count, bool))


def _checked(columns: Columns) -> Columns:
    """Return the columns of all decisions at equal length, with the types of a layout's.

    Raises:
        InputError: a decision is missing or unknown, or a column holds something else.
    """
    names = [f.name for f in fields(Layout)]
    if wrong := set(names) ^ set(columns):
        raise InputError(
            f"the columns are not those of layouts: {', '.join(sorted(wrong))}",
            hint=f"there must be {', '.join(names)}",
        )
    try:
        arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(columns[name])) for name in names))
    except ValueError as error:
        raise InputError("the columns differ in length") from error
    for name, array in zip(names, arrays, strict=True):
        if array.ndim > 1 or (array.size and array.dtype.kind not in "iub"):
            raise InputError(f"{name} is not a column of whole numbers")
    types = {f.name: np.bool_ if isinstance(f.default, bool) else np.int64 for f in fields(Layout)}
    return {name: array.astype(types[name]) for name, array in zip(names, arrays, strict=True)}


def _each(job: Job, of: Callable[[Job, Columns], Part], columns: Columns, names: tuple[str, ...]) -> Part:
    """Return a factor of the step at each point, worked out once for each row of its decisions."""
    index, kinds = _numbered([columns[name] for name in names])
    example = np.zeros(kinds, dtype=np.int64)  # some point of each kind
    example[index] = np.arange(len(index))
    found = of(job, {name: columns[name][example] for name in names})
    values = {name: v.take(index) if np.ndim(v) else v for name, v in vars(found).items()}
    return type(found)(**values)


def _numbered(columns: list[np.ndarray]) -> tuple[np.ndarray, int]:
    """Return for each row of the columns the number of its kind, and how many kinds there are."""
    key, kinds = _coded(columns[0])
    for column in columns[1:]:
        codes, count = _coded(column)
        if count > 1:
            key, kinds = _coded(key * count + codes)
    return key, kinds


def _coded(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Return each value's number among the distinct ones, and how many there are."""
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    if low == high:
        return np.zeros(len(values), dtype=np.int64), min(len(values), 1)
    if high - low >= min(_TABLE, 1024 + 64 * len(values)):
        distinct, inverse = np.unique(values, return_inverse=True)
        return inverse, len(distinct)
    shifted = values.astype(np.int64) - low
    seen = np.zeros(high - low + 1, dtype=np.int64)
    seen[shifted] = 1
    number = np.cumsum(seen)
    return number.take(shifted) - 1, int(number[-1])


class _Seen(NamedTuple):
    """A row over some points, in its own unit; NaN where there is no supply.

    ``order`` is its rank, a half more where the physics fails it.
    """

    rank: Array
    order: Array
    headroom: Array
    demand: Array
    supply: Array
    tightest: Array


def _seen(row: Row, index: int, bottleneck: Array) -> _Seen:
    """Return what a row says at each point; the rule of a single evaluation."""
    scale = units.factor(row.unit)[0]
    demand = np.asarray(row.demand, dtype=float)
    supply = np.asarray(np.nan if row.supply is None else row.supply, dtype=float)
    known = np.isfinite(supply)
    if not known.all():
        supply = np.where(known, supply, np.nan)
        if not known.any():
            return _Seen(0, 0, np.nan, demand / scale, np.nan, index)
    rank = rank_of(row, demand, supply, bottleneck) * known
    demand, supply = demand / scale, supply / scale
    room = 1.0 - demand / supply
    if not supply.all():
        room = np.where(supply == 0.0, -np.inf, room)
    order = rank + 0.5 * (rank == len(STATUSES) - 1) if row.hard else rank
    return _Seen(rank, order, room, demand, supply, index)


def _tighter(a: _Seen, b: _Seen) -> _Seen:
    """Return the tighter of two rows at each point, the first where they tie."""
    better = (b.order > a.order) | ((b.order == a.order) & (b.headroom < a.headroom))
    if np.all(better):
        return b
    if not np.any(better):
        return a
    return _Seen(*(np.where(better, y, x) for x, y in zip(a, b, strict=True)))


def _read(wall: Wall, state: State, bottleneck: np.ndarray, count: int) -> WallSweep:
    """Return a wall's tightest row at each point."""
    rows = wall.rows(state)
    best = _Seen(NOT_APPLICABLE, NOT_APPLICABLE, np.nan, np.nan, np.nan, 0)
    if rows:
        best = reduce(_tighter, (_seen(row, i, bottleneck) for i, row in enumerate(rows)))
    return WallSweep(
        wall,
        rank=_column(best.rank, count, np.int8),
        demand=_column(best.demand, count, float),
        supply=_column(best.supply, count, float),
        headroom=_column(best.headroom, count, float),
        tightest=_column(best.tightest, count, np.int8),
        row_units=tuple(row.unit for row in rows),
        row_hard=tuple(row.hard for row in rows),
    )


def _bottleneck(state: State) -> np.ndarray:
    """Return the number of the wall behind the bottleneck at each point."""
    parts = parts_of(state)
    most = np.argmax(np.stack(np.broadcast_arrays(*parts.values())), axis=0)
    return np.asarray(np.array([BOTTLENECK_WALLS[name] for name in parts])[most])


def _column(value: Array, count: int, dtype: type) -> np.ndarray:
    """Return a value as a column; one value for all points takes no space."""
    return np.broadcast_to(np.asarray(value, dtype=dtype), (count,))

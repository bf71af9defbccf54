"""Many points at once: the physics forward over arrays.

Points that agree in what shapes the problem (model, hardware, layout, ...) are one group: its scenario
and its layout are worked out once. What the physics takes as arrays (supplies, region, duration,
limits, tokens; for inference also batch and context) is evaluated for all points of a group in one
pass of NumPy. The functions are those of a single evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from mlsysim.core import units
from mlsysim.core.errors import InputError
from mlsysim.core.layout import Layout, columns_of, layer_of, pipeline_of, shard_of
from mlsysim.core.machine import site_of
from mlsysim.core.metrics import METRICS
from mlsysim.core.plan import load
from mlsysim.core.resolve import resolve
from mlsysim.core.rule import by_rule
from mlsysim.core.scenario import Scenario, Settings
from mlsysim.core.settings import settings_of
from mlsysim.core.states import inference_state, training_state
from mlsysim.core.supplies import apply, check
from mlsysim.core.supplies import given as with_amounts
from mlsysim.core.sweep import Held, against_walls
from mlsysim.core.variants import settled
from mlsysim.infra.own import resolve_region
from mlsysim.physics.operations import Site
from mlsysim.physics.training import step
from mlsysim.space.design import DesignSpace, put
from mlsysim.space.dimensions import Dimension
from mlsysim.space.paths import SUPPLY
from mlsysim.walls import State

# Values of a plan that arrays stand for, by phase; any other value makes a group of its own.
_ALWAYS = frozenset({"ops.duration_days", "ops.pue", "ops.region"})
_LIMITS = frozenset(
    f"constraints.{name}"
    for name in (
        "budget",
        "carbon",
        "water",
        "compute",
        "loss",
        "ttft",
        "itl",
        "stall",
        "tail",
        "answer",
        "wait",
    )
)
_TRAINING = frozenset({"workload.training_tokens", "checkpoint.interval", "reliability.mtbf"})
_INFERENCE = frozenset({"workload.batch_size", "workload.seq_len", "queue.rate"})
# Of the others the physics asks whether there is any, or the layout depends on them.
_SUPPLIES = frozenset(
    {
        *("peak", "bandwidth", "launch_overhead", "power", "purchase_price", "rent", "upkeep", "lifetime"),
        *("scale_up_bandwidth", "scale_up_latency", "scale_out_bandwidth", "scale_out_latency"),
        *("embodied_carbon", "electricity_price", "carbon_intensity", "pue", "wue", "grid_water"),
    }
)
GROUPS = 512  # groups that are kept from one call to the next
PASSED, VIOLATED, FAILED, ERROR = range(4)
STATUSES = ("pass", "sla_violation", "fail", "error")
_NOT = {"fail": FAILED, "sla_violation": VIOLATED, "pass": PASSED}


@dataclass(frozen=True)
class Group:
    """What points have in common: settings and layout, or why there are none."""

    settings: Settings | None
    layout: Layout | None
    problem: str = ""


@dataclass(frozen=True)
class Evaluated:
    """Points of one group.

    Attributes:
        status: index into :data:`STATUSES`.
        reason: a number for each different reason; ``reasons`` are their words.
        metrics: in their own units; NaN where there is none.
        objectives: in the units in which people read them.
        layout: in words.
    """

    status: np.ndarray
    reason: np.ndarray
    reasons: tuple[str, ...]
    metrics: dict[str, np.ndarray]
    objectives: tuple[np.ndarray, ...]
    layout: str = ""


class Evaluator:
    """Evaluates points of a design space; keeps groups that it has seen."""

    def __init__(self, space: DesignSpace) -> None:
        self.space = space
        self.groups: dict[tuple[int | float, ...], Group] = {}
        phase = (space.plan.get("workload") or {}).get("phase", "training")
        varies = any(d.name == "workload.phase" for d in space.dimensions)
        of_phase = frozenset() if varies else _TRAINING if phase == "training" else _INFERENCE
        allowed = _ALWAYS | _LIMITS | of_phase
        self.arrays = tuple(_as_array(d, allowed, phase if not varies else "") for d in space.dimensions)
        self.reported = space.columns or tuple(METRICS)

    @property
    def shaping(self) -> tuple[Dimension, ...]:
        """Dimensions whose values make groups."""
        return tuple(d for d, array in zip(self.space.dimensions, self.arrays, strict=True) if not array)

    def grouped(self, columns: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the rows sorted by group, and where each group is in them."""
        count = len(columns[0]) if columns else 1
        key = np.zeros(count, dtype=np.int64)
        for column, array in zip(
            columns, (*self.arrays, *(True for _ in self.space.parameters)), strict=True
        ):
            if not array:
                _, inverse = np.unique(column, return_inverse=True)
                _, key = np.unique(key * (int(inverse.max()) + 1) + inverse, return_inverse=True)
        order = np.argsort(key, kind="stable")
        ends = np.flatnonzero(np.diff(key[order])) + 1
        return order, np.split(order, ends)

    def group(self, columns: list[np.ndarray], first: int) -> Group:
        """Return the group of a point."""
        key = tuple(c[first].item() for c, array in zip(columns, self.arrays, strict=False) if not array)
        if key not in self.groups:
            if len(self.groups) >= GROUPS:
                self.groups.pop(next(iter(self.groups)))
            values = {
                d.path.keys: d.values[c[first]] if d.values is not None else c[first].item()
                for d, c, array in zip(self.space.dimensions, columns, self.arrays, strict=False)
                if not array and d.path is not None and not d.path.is_supply
            }
            supplies = {
                d.name.removeprefix(SUPPLY + "."): float(_numbers(d, c[first : first + 1])[0])
                * units.factor(d.unit)[0]
                for d, c, array in zip(self.space.dimensions, columns, self.arrays, strict=False)
                if not array and d.path is not None and d.path.is_supply
            }
            self.groups[key] = self._made(values, supplies)
        return self.groups[key]

    def _made(self, values: Mapping[tuple[str, ...], Any], supplies: dict[str, float]) -> Group:
        typical = {
            d.path.keys: d.values[0] if d.values is not None else (int(d.low) if d.whole else d.low)
            for d, array in zip(self.space.dimensions, self.arrays, strict=True)
            if array and d.path is not None and not d.path.is_supply
        }
        try:
            parsed, document = load(put(self.space.plan, {**values, **typical}))
            settings = settings_of(parsed, document)
            if supplies:
                settings = with_amounts(settings, supplies)
            found = resolve(settings)
            check(found)
            s = settled(found)
            return Group(s.settings, None if s.job is None else by_rule(s))
        except InputError as error:
            return Group(None, None, f"{error.where}: {error.problem}" if error.where else error.problem)

    def evaluate(self, columns: list[np.ndarray], rows: np.ndarray) -> Evaluated:
        """Return the points of some rows, which are of one group."""
        group, n = self.group(columns, int(rows[0])), len(rows)
        if group.settings is None:
            return self._failed(n, group.problem)
        mine = [c[rows] for c in columns]
        try:
            s = self._scenario(group, mine)
            state = _state(s, group.layout)
        except InputError as error:
            return self._failed(n, f"{error.where}: {error.problem}" if error.where else error.problem)
        with np.errstate(all="ignore"):
            held = against_walls(s, state, n, self.reported)
        values = self._values(state, held, mine, n)
        status = np.select([held.status == word for word in _NOT], list(_NOT.values())).astype(np.int8)
        marks = [(~held.kept, "an assertion of the plan")] if s.settings.bounds else []
        marks += [(w.rank == len(_RANKS) - 1, f"{w.wall.name} (wall {w.wall.number})") for w in held.walls]
        for condition in self.space.conditions:
            broken = ~np.broadcast_to(np.asarray(condition.value(values), dtype=bool), (n,))
            status[broken & (status == PASSED)] = VIOLATED
            marks.append((broken, condition.text))
        reason, reasons = _reasons(marks, n)
        with np.errstate(all="ignore"):
            objectives = tuple(_full(w.expression.shown(values), n) for w in self.space.wishes)
        return Evaluated(status, reason, reasons, held.metrics, objectives, str(group.layout or ""))

    def _failed(self, n: int, problem: str) -> Evaluated:
        nothing = np.broadcast_to(np.nan, (n,))
        return Evaluated(
            np.full(n, ERROR, dtype=np.int8),
            np.zeros(n, dtype=np.int32),
            (problem,),
            {},
            tuple(nothing for _ in self.space.wishes),
        )

    def _scenario(self, group: Group, mine: list[np.ndarray]) -> Scenario:
        """Return the scenario of a group with arrays for what varies among its points."""
        assert group.settings is not None
        settings, region = group.settings, None
        for d, column, array in zip(self.space.dimensions, mine, self.arrays, strict=False):
            if not array:
                continue
            if d.name == "ops.region":
                region = (d, column)
                continue
            settings = _with(settings, d, _numbers(d, column) * units.factor(d.unit)[0])
        s = resolve(settings)
        if region is not None:
            s = replace(s, site=_sites(region[0], region[1], settings.pue, group))
            s = apply(s, only=_OF_SITE)
        return s

    def _values(self, state: State, held: Held, mine: list[np.ndarray], n: int) -> dict[str, Any]:
        """Return what the expressions need, in base units."""
        needed = set().union(
            *(w.expression.names for w in self.space.wishes), *(c.names for c in self.space.conditions)
        )
        found: dict[str, Any] = {}
        for d, column in zip(self.space.every, mine, strict=True):
            if d.name in needed:
                found[d.name] = (
                    np.array(d.values)[column] if d.is_text else _numbers(d, column) * units.factor(d.unit)[0]
                )
        with np.errstate(all="ignore"):
            for name in needed:
                if name in METRICS:
                    metric = METRICS[name]
                    found[name] = np.full(n, np.nan)
                    if metric.applies(state):
                        numerator, denominator = metric.parts(state)
                        found[name] = np.asarray(numerator / denominator)
                elif name.endswith(".headroom"):
                    found[name] = held.walls[int(name[1:3]) - 1].headroom
        return found


_RANKS = ("info", "pass", "binding", "fail")
_OF_SITE = frozenset({"electricity_price", "carbon_intensity", "pue", "wue", "grid_water"})


def _as_array(d: Dimension, allowed: frozenset[str], phase: str) -> bool:
    """Return whether arrays stand for a dimension."""
    if d.path is None:
        return True
    if d.path.is_supply:
        return d.name.removeprefix(SUPPLY + ".") in _SUPPLIES
    return d.name in allowed


def _numbers(d: Dimension, column: np.ndarray) -> np.ndarray:
    """Return a column as numbers in the dimension's unit."""
    if d.values is None:
        return column
    assert d.numbers is not None
    return np.asarray(d.numbers[column])


def _with(s: Settings, d: Dimension, value: Any) -> Settings:
    """Return settings with an array, in base units, in place of one value."""
    assert d.path is not None
    head, key = d.path.keys[0], d.path.keys[-1]
    if head == SUPPLY:
        return with_amounts(s, {key: value})
    if head == "constraints":
        return replace(s, limits=replace(s.limits, **{key: value}))
    if d.name in _FIELDS:
        return replace(s, **{_FIELDS[d.name]: value})
    return replace(s, blocks=s.blocks | {head: s.blocks.get(head, {}) | {key: value}})


_FIELDS = {
    "ops.duration_days": "duration",
    "ops.pue": "pue",
    "workload.training_tokens": "tokens",
    "workload.batch_size": "batch",
    "workload.seq_len": "seq_len",
}


def _sites(d: Dimension, column: np.ndarray, pue: Any, group: Group) -> Site:
    """Return the sites of many points, each region looked up once."""
    assert d.values is not None
    sites = [site_of(resolve_region(str(value))) for value in d.values]
    stacked = {f.name: np.array([getattr(x, f.name) for x in sites])[column] for f in fields(Site)}
    return Site(**(stacked if pue is None else stacked | {"pue": pue}))


def _state(s: Scenario, layout: Layout | None) -> State:
    with np.errstate(all="ignore"):
        if s.job is None or layout is None:
            return inference_state(s)
        c = columns_of(layout, s.job.weights.layers)
        result = step(s.job, layer_of(s.job, c), pipeline_of(s.job, c), shard_of(s.job, c))
        return training_state(s, result, float(layout.tp))


def _reasons(marks: list[tuple[np.ndarray, str]], n: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return a number for each point's set of reasons, and the sets in words."""
    key = np.zeros(n, dtype=np.int64)
    used = [(mark, text) for mark, text in marks if np.any(mark)]
    if not used:
        return np.zeros(n, dtype=np.int32), ("",)
    for bit, (mark, _) in enumerate(used):
        key |= np.asarray(mark, dtype=np.int64) << bit
    distinct, inverse = np.unique(key, return_inverse=True)
    texts = tuple("; ".join(t for bit, (_, t) in enumerate(used) if int(k) >> bit & 1) for k in distinct)
    return inverse.astype(np.int32), texts


def _full(value: Any, n: int) -> np.ndarray:
    return np.broadcast_to(np.asarray(value, dtype=float), (n,))

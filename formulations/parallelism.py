"""Recipe: the parallelism of a training job.

Choices: ``layer``, ``pipeline`` and ``shard`` are the three factors of a step; their tables are the
parts of :mod:`mlsysim.physics.training`, and :func:`mlsysim.physics.training.step` joins them, here
over tables, in ``eval`` over numbers. ``fleet`` is how many accelerators run, in which precision, and
how often checkpoints are written, where the plan leaves a choice. No equation is restated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from formulations import fleet
from formulations.algebra import Choice, Expr, as_expr
from formulations.joint import Cells, count
from formulations.presolve import restrict
from formulations.problem import Problem
from formulations.rows import add_rows, comparisons
from mlsysim.core import layout as lay
from mlsysim.core import legal
from mlsysim.core.layout import Columns, Layout
from mlsysim.core.scenario import Bound, Scenario
from mlsysim.core.variants import Variant, counts, variants, with_decisions
from mlsysim.physics.training import Job, Step, step
from mlsysim.walls import State

T = TypeVar("T")
ENDS = ("pp", "first_stage_layers", "last_stage_layers")
Cost = Callable[[State], Any]


@dataclass(frozen=True)
class Recipe:
    """A problem and how to read its answer."""

    problem: Problem
    scenario: Scenario
    variants: tuple[Variant, ...]

    def decode(self, cells: Cells) -> tuple[Scenario, Layout]:
        """Return the scenario and the layout that a solution stands for."""
        columns: dict[str, Any] = {}
        for choice in self.problem.choices:
            at = cells[choice]
            columns |= {name: column[at] for name, column in choice.columns.items()}
        chosen = self.variants[int(columns["variant"][0]) if "variant" in columns else 0]
        found = chosen.scenario
        if len(chosen.intervals) > 1:
            interval = float(columns["interval"][0])
            found = with_decisions(found, found.accelerators, found.precision, interval)
        return found, lay.layout_at(columns, 0)

    def encode(self, s: Scenario, layout: Layout) -> Cells | None:
        """Return the cells of a layout; None where the problem does not have it.

        Traffic that the layout does not hide is hidden where the problem has it so.
        """
        values = {k: v[0] for k, v in lay.columns_of(layout, self.scenario.model_layers).items()}
        if values["recompute"] == lay.FULL:
            values["recompute"] = 0
        values["accelerators"] = s.accelerators
        values["beyond"] = s.accelerators > s.network.domain
        names = fleet.precisions(self.variants)
        if s.precision not in names:
            return None
        values["precision"] = names.index(s.precision)
        if values["pp"] > 1:
            ends = lay.ends(s.model_layers, *(np.array(values[n]) for n in ENDS))
            values |= dict(zip(ENDS[1:], map(int, ends), strict=True))
        cells: Cells = {}
        for choice in self.problem.choices:
            match = np.ones(choice.size, dtype=bool)
            for name, column in choice.columns.items():
                if name in values and not name.startswith("overlap_"):
                    match &= column == values[name]
            if not match.any():
                return None
            found = np.flatnonzero(match)
            if "interval" in choice.columns:  # the nearest there is
                apart = np.abs(choice.columns["interval"][found] - float(s.extras["checkpoint"].interval))
                found = found[np.argsort(apart, kind="stable")]
            cells[choice] = found[:1]
        return cells


def shortest_step(state: State) -> Any:
    """Return the time of a step: what is made least unless another objective is asked for."""
    return state.time


def formulate(
    s: Scenario,
    bounds: tuple[Bound, ...] = (),
    cost: Cost = shortest_step,
    *,
    of_run: bool = False,
    worst: float | None = None,
    kept: Columns | None = None,
    also: Sequence[Scenario] = (),
) -> Recipe:
    """Return the problem of the cheapest layout, subject to the walls and to ``bounds``.

    Args:
        s: a training scenario.
        bounds: assertions that the answer must keep.
        cost: what is made least.
        of_run: whether that depends on failures and checkpoints.
        worst: a step of this length is known to be possible within all bounds, and only shorter ones
            matter [s].
        kept: the only cells of the layer, the pipeline and the shard that matter, by their index.
        also: the same plan with other supplies, in which every row must hold as well.
    """
    limits = s.settings.limits
    of_run |= limits.checkpoint is not None or limits.failures is not None
    of_run |= any(bound.metric.of_run for bound in bounds)
    found = variants(s, intervals=of_run, worst=worst)
    numbers = sorted({v.scenario.accelerators for v in found})
    names = fleet.precisions(found)
    several = ["accelerators"] * (len(numbers) > 1) + ["precision"] * (len(names) > 1)
    factors, result = _whole(found, numbers) if kept is None else _part(found, numbers, kept)
    problem = replace(factors, choices=[*factors.choices], rows=[], exclusions=[*factors.exclusions])
    layer, pipe, shard = problem.choices
    chosen = fleet.choose(problem, found, several)
    ranks = layer.table(layer.columns["tp"])
    state = fleet.state_of(found, chosen, result, ranks)
    add_rows(problem, state, bounds)
    for i, other in enumerate(also, start=1):
        theirs = variants(other, intervals=of_run, worst=worst)
        step_there = _steps(problem, _jobs(theirs), numbers)
        there = fleet.state_of(theirs, chosen, step_there, ranks)
        for c in comparisons(there, other.settings.bounds):
            problem.limit(c.tag, f"{c.name}also{i}", c.demand, c.supply, hard=c.hard)
    problem.minimize(cost(state))
    problem.ties = _ties(layer, pipe, shard)
    return Recipe(problem, s, tuple(found))


def _jobs(found: Sequence[Variant]) -> list[Job]:
    """Return the job of each precision, on the largest fleet."""
    names = fleet.precisions(found)
    jobs = (next(v.scenario.job for v in reversed(found) if v.scenario.precision == p) for p in names)
    return [job for job in jobs if job is not None]


def _whole(found: Sequence[Variant], numbers: list[int]) -> tuple[Problem, Step]:
    """Return the factors of a step and the step as tables over them."""
    return _tables(_basis(found[-1].scenario, _jobs(found), numbers))


def _part(found: Sequence[Variant], numbers: list[int], kept: Columns) -> tuple[Problem, Step]:
    """Return the same with only some cells of each factor."""
    jobs = _jobs(found)
    whole = _factors(found[-1].scenario, numbers, len(jobs))
    problem = restrict(whole, [kept[c.name] for c in whole.choices])
    return problem, _steps(problem, jobs, numbers)


def _steps(problem: Problem, jobs: list[Job], numbers: list[int]) -> Step:
    """Return a step as tables over the three factors."""
    layer, pipe, shard = problem.choices[:3]
    return step(
        jobs[0],
        _tabulated(layer, layer.columns, jobs, lay.layer_of),
        _tabulated(pipe, _with_side(pipe.columns, numbers), jobs[:1], lay.pipeline_of),
        _tabulated(shard, shard.columns, jobs, lay.shard_of),
    )


@dataclass(frozen=True)
class _Basis:
    """All that the tables of a step depend on; plans that differ in prices or limits alone share it."""

    jobs: tuple[Job, ...]
    numbers: tuple[int, ...]
    batch: int
    seq_len: int
    accelerators: int
    fixed: tuple[tuple[str, Any], ...]
    scenario: Scenario = field(compare=False)


def _basis(s: Scenario, jobs: list[Job], numbers: list[int]) -> _Basis:
    fixed = tuple(sorted(s.settings.fixed.items(), key=lambda item: item[0]))
    return _Basis(tuple(jobs), tuple(numbers), s.batch, s.seq_len, s.accelerators, fixed, s)


@lru_cache(maxsize=4)
def _tables(b: _Basis) -> tuple[Problem, Step]:
    """Return the three factors of a step as a problem without rows, and the step as tables over them."""
    jobs, numbers = list(b.jobs), list(b.numbers)
    problem = _factors(b.scenario, numbers, len(jobs))
    return problem, _steps(problem, jobs, numbers)


def size(s: Scenario) -> int:
    """Return how many layouts of all fleets are legal, whatever they hold or take."""
    wish = s.settings.fixed.get("precision")
    numbers = counts(s)
    return count(_factors(s, numbers, 1 if wish is None else len(wish.values or (0,))))


def _factors(s: Scenario, numbers: list[int], precisions: int) -> Problem:
    """Return a problem of the three factors of a step: what is legal, without any physics."""
    space = legal.space(s, counts=numbers)
    problem = Problem("parallelism")
    shard_columns = _in_each(space.shard, precisions)
    pipe_columns = _on_each_side(space.pipeline, shard_columns, numbers, s)
    layer = problem.choose("layer", **_in_each(space.layer, precisions))
    pipe = problem.choose("pipeline", **pipe_columns)
    shard = problem.choose("shard", **shard_columns)
    _exclusions(problem, s, layer, pipe, shard)
    return problem


def _exclusions(problem: Problem, s: Scenario, layer: Choice, pipe: Choice, shard: Choice) -> None:
    """Forbid what does not go together."""
    of_layer = layer.columns
    problem.exclude(
        layer,
        of_layer["microbatch_size"],
        shard,
        shard.columns["dp"],
        lambda microbatch, dp: ~legal.divides(s.batch, dp, microbatch),
    )
    # the left key is tp x cp / (N microbatch) as a fraction: all that whole rounds depend on
    count = of_layer.get("accelerators", s.accelerators)
    rounds = legal.whole_rounds(s.batch, count, of_layer["tp"], of_layer["cp"], of_layer["microbatch_size"])
    problem.exclude(
        layer, rounds, pipe, pipe.columns["interleave"], lambda whole, interleave: ~whole & (interleave > 1)
    )
    wish = s.settings.fixed.get("recompute")
    none = wish is None or wish.allows("none")
    problem.exclude(
        layer,
        of_layer["recompute"],
        pipe,
        pipe.columns["recompute_layers"] > 0,
        lambda mode, some: ~legal.one_way_to_recompute(mode, some, none),
    )


def _ties(layer: Choice, pipe: Choice, shard: Choice) -> tuple[Expr, ...]:
    """Return what breaks ties: the fewest model-parallel ranks, then what asks least of the software."""
    c = shard.columns
    tables = [
        shard.table(c["tp"] * c["cp"] * c["pp"]),
        shard.table(c["offload_optimizer"]),
        pipe.table(pipe.columns["recompute_layers"]),
        pipe.table(pipe.columns["interleave"]),
        shard.table(c["zero_stage"]),
        shard.table(c["ep"]),
        layer.table(layer.columns["microbatch_size"]),
        pipe.table(np.abs(pipe.columns["first_stage_layers"] - pipe.columns["last_stage_layers"])),
    ]
    return tuple(as_expr(t) for t in tables)


def _in_each(columns: Columns, precisions: int) -> Columns:
    """Return the columns once for each precision, with its number where there are several."""
    if precisions == 1:
        return columns
    size = len(next(iter(columns.values())))
    found = {name: np.tile(column, precisions) for name, column in columns.items()}
    return found | {"precision": np.repeat(np.arange(precisions), size)}


def _on_each_side(pipe: Columns, shard: Columns, numbers: list[int], s: Scenario) -> Columns:
    """Return pipelines within a scale-up domain and beyond, where the fleet may be either.

    The slowest hop sets the pace of a pipeline, so it matters whether the fleet leaves the domain.
    """
    beyond = [n > s.network.domain for n in numbers]
    if all(beyond) or not any(beyond):
        return pipe
    shard["beyond"] = shard["accelerators"] > s.network.domain
    size = len(pipe["pp"])
    found = {name: np.tile(column, 2) for name, column in pipe.items()}
    return found | {"beyond": np.repeat([False, True], size)}


def _with_side(pipe: Columns, numbers: list[int]) -> Columns:
    """Return pipelines with a number of accelerators on their side of the scale-up domain."""
    if "beyond" not in pipe:
        return pipe | {"accelerators": np.full(len(pipe["pp"]), numbers[-1])}
    return pipe | {"accelerators": np.where(pipe["beyond"], numbers[-1], 1)}


def _tabulated(choice: Choice, columns: Columns, jobs: list[Job], part_of: Callable[[Job, Columns], T]) -> T:
    """Return a part of the physics with each of its arrays as a table over a choice."""
    parts = []
    for i, plain in enumerate(jobs):
        job = plain
        mine = legal.keep(columns, columns["precision"] == i) if "precision" in columns else columns
        if "accelerators" in mine:
            numbers: Any = mine["accelerators"].astype(float)
            job = replace(job, accelerators=numbers)
        parts.append((part_of(job, mine), len(next(iter(mine.values())))))
    values = {}
    for f in fields(parts[0][0]):  # type: ignore[arg-type]
        arrays = [np.broadcast_to(np.asarray(getattr(part, f.name), dtype=float), (n,)) for part, n in parts]
        values[f.name] = choice.table(arrays[0] if len(arrays) == 1 else np.concatenate(arrays))
    return type(parts[0][0])(**values)

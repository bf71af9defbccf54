"""Recipe: the parallelism of a training job.

Choices: ``layer`` (tp, cp, ep, microbatch, recompute, sequence parallel), ``pipeline`` (pp,
interleave) and ``shard`` (tp, cp, pp, dp, ep, ZeRO stage). Their tables are the parts of
:mod:`mlsysim.physics.training`, and :func:`mlsysim.physics.training.step` joins them, here over
tables, in ``eval`` over numbers. No equation is restated.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

from formulations.algebra import Choice, Problem
from formulations.joint import Cells
from formulations.rows import add_rows
from mlsysim.core import layout as lay
from mlsysim.core.layout import Layout
from mlsysim.core.scenario import Bound, Scenario
from mlsysim.core.states import training_state
from mlsysim.physics.training import step

T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """A problem and how to read its answer."""

    problem: Problem
    scenario: Scenario
    space_size: int

    def decode(self, cells: Cells) -> Layout:
        """Return the layout that a solution stands for."""
        columns: dict[str, Any] = {}
        for choice in self.problem.choices:
            at = cells[choice]
            columns |= {name: column[at] for name, column in choice.columns.items()}
        return lay.layout_at(columns, 0)


def formulate(s: Scenario, bounds: tuple[Bound, ...] = ()) -> Recipe:
    """Return the problem of the shortest step, subject to the walls and to ``bounds``.

    Args:
        s: a training scenario.
        bounds: assertions that the answer must keep.
    """
    job = s.job
    assert job is not None
    legal = lay.space(s)
    problem = Problem("parallelism")
    layer = problem.choose("layer", **legal.layer)
    pipe = problem.choose("pipeline", **legal.pipeline)
    shard = problem.choose("shard", **legal.shard)
    problem.exclude(
        layer,
        legal.layer["microbatch_size"],
        shard,
        legal.shard["dp"],
        lambda microbatch, dp: ~lay.divides(s.batch, dp, microbatch),
    )
    # the left key is tp x cp / microbatch as a fraction: all that whole rounds depend on
    rounds = lay.whole_rounds(
        s.batch, s.accelerators, legal.layer["tp"], legal.layer["cp"], legal.layer["microbatch_size"]
    )
    problem.exclude(
        layer, rounds, pipe, legal.pipeline["interleave"], lambda whole, interleave: ~whole & (interleave > 1)
    )
    result = step(
        job,
        tabulate(layer, lay.layer_of(job, legal.layer)),
        tabulate(pipe, lay.pipeline_of(job, legal.pipeline)),
        tabulate(shard, lay.shard_of(job, legal.shard)),
    )
    state = training_state(s, result, layer.table(legal.layer["tp"]))
    add_rows(problem, state, bounds)
    problem.minimize(state.time)
    return Recipe(problem, s, legal.size)


def tabulate(choice: Choice, part: T) -> T:
    """Return a part of the physics with each of its arrays as a table over a choice."""
    values = {f.name: choice.table(getattr(part, f.name)) for f in fields(part)}  # type: ignore[arg-type]
    return type(part)(**values)

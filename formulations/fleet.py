"""What does not depend on the layout but on how many accelerators run, how, and how checkpoints go.

One choice, the fleet: its cells are numbers of accelerators, precisions and intervals between
checkpoints. Everything that :func:`mlsysim.core.states.training_state` says of a plan in each of them
becomes a table over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from formulations.algebra import Choice
from formulations.problem import Problem
from mlsysim.core.states import training_state
from mlsysim.core.training_run import failures_of
from mlsysim.core.variants import Variant
from mlsysim.physics.training import Step
from mlsysim.walls import State

# What the layout decides.
OF_LAYOUT = (
    "time",
    "matmul",
    "stream",
    "exposed",
    "bubble",
    "update",
    "memory",
    "state",
    "activations",
    "tensor_ranks",
    "host",
)


def choose(problem: Problem, found: Sequence[Variant], several: Sequence[str]) -> Choice | None:
    """Add the choice of a fleet; None where there is nothing to choose.

    Args:
        problem: the problem.
        found: the ways to run the plan.
        several: which of ``accelerators`` and ``precision`` there are several of.
    """
    sizes = [max(1, len(v.intervals)) for v in found]
    if sum(sizes) == 1:
        return None
    names = precisions(found)
    columns: dict[str, Any] = {}
    if all(v.intervals for v in found):
        columns["interval"] = np.concatenate([v.intervals for v in found])
    if "accelerators" in several:
        columns["accelerators"] = np.repeat([v.scenario.accelerators for v in found], sizes)
    if "precision" in several:
        columns["precision"] = np.repeat([names.index(v.scenario.precision) for v in found], sizes)
    columns["variant"] = np.repeat(np.arange(len(found)), sizes)
    return problem.choose("fleet", **columns)


def precisions(found: Sequence[Variant]) -> list[str]:
    """Return the precisions in order."""
    return list(dict.fromkeys(v.scenario.precision for v in found))


def state_of(found: Sequence[Variant], fleet: Choice | None, result: Step, tensor_ranks: Any) -> State:
    """Return what the walls see, with tables over the fleet where it matters."""
    # the largest has everything that a smaller one has: neighbours, and a network between servers
    largest = max(found, key=lambda v: v.scenario.accelerators).scenario
    here = training_state(largest, result, tensor_ranks)
    if fleet is None:
        return here
    nothing = Step(**{f.name: 0.0 for f in fields(Step)})
    states = [training_state(v.scenario, nothing, 0.0) for v in found]
    at = fleet.columns["variant"]
    changed: dict[str, Any] = {}
    of_runs = ("checkpoint", "losses")
    for f in fields(State):
        if f.name not in (*OF_LAYOUT, "cut", "alone") and (
            f.name not in of_runs or "interval" not in fleet.columns
        ):
            changed[f.name] = _stacked([getattr(s, f.name) for s in states], fleet, at)
    if here.cut is not None:
        bandwidths = [s.cut.bandwidth if s.cut else np.inf for s in states]
        finite = max((b for b in bandwidths if np.isfinite(b)), default=0.0)
        usable = [b if np.isfinite(b) else finite for b in bandwidths]
        changed["cut"] = replace(here.cut, bandwidth=_stacked(usable, fleet, at))
    if "interval" in fleet.columns:
        runs = [failures_of(v.scenario).at(np.asarray(v.intervals)) for v in found]
        sizes = [len(v.intervals) for v in found]
        changed |= {name: _joined([run[name] for run in runs], fleet, sizes) for name in of_runs}
    return replace(here, **changed)


def _stacked(values: list[Any], fleet: Choice, at: np.ndarray) -> Any:
    """Return one value for all variants as it is, and different numbers as a table."""
    first = values[0]
    if all(v is first or v == first for v in values[1:]):
        return first
    there = [v for v in values if v is not None]
    if is_dataclass(there[0]):
        # a variant without the record asks for nothing
        parts = {
            f.name: _stacked([0.0 if v is None else getattr(v, f.name) for v in values], fleet, at)
            for f in fields(there[0])
        }
        kind: Any = type(there[0])
        return kind(**parts)
    if isinstance(there[0], int | float) and not isinstance(there[0], bool):
        return fleet.table(np.array([0.0 if v is None else float(v) for v in values])[at])
    return there[0]  # a word for people


def _joined(records: list[Any], fleet: Choice, sizes: list[int]) -> Any:
    """Return records of one number or array a variant as one record of tables over all cells."""
    parts = {}
    for f in fields(records[0]):
        columns = [np.broadcast_to(getattr(r, f.name), (n,)) for r, n in zip(records, sizes, strict=True)]
        parts[f.name] = fleet.table(np.concatenate(columns))
    return type(records[0])(**parts)

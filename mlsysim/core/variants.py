"""The scenarios that a plan leaves a choice of: how many accelerators run, in which precision.

All else is as the plan has it. The interval between checkpoints is a third choice of the kind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mlsysim.core.layout import layer_of
from mlsysim.core.legal import fleets, layers
from mlsysim.core.machine import server_of
from mlsysim.core.resolve import resolve
from mlsysim.core.scenario import Scenario
from mlsysim.core.tolerance import TOLERANCE
from mlsysim.core.training_run import failures_of
from mlsysim.core.wanted import Wanted

DECIDED = ("accelerators", "precision")


@dataclass(frozen=True)
class Variant:
    """One way to run a plan.

    Attributes:
        scenario: with these accelerators and this precision.
        intervals: between checkpoints, to choose from; empty where that of the scenario will do [s].
    """

    scenario: Scenario
    intervals: tuple[float, ...] = ()


def counts(s: Scenario) -> list[int]:
    """Return the numbers of accelerators that the plan allows: servers are used whole.

    Raises:
        InputError: no layout is possible on any of them.
    """
    wish = s.settings.fixed.get("accelerators")
    if wish is None or wish.single is not None:
        return [s.accelerators]
    if wish.values is not None:
        listed = sorted(n for n in wish.values if n <= s.accelerators)
    else:
        server = server_of(s.settings)
        node = round(server.accelerators.base) if server else 1
        low = int(wish.low or 1)
        inside = [n for n in range(max(1, low), min(node, s.accelerators + 1)) if node % n == 0]
        listed = inside + [n for n in range(node, s.accelerators + 1, node) if n >= low]
    if len(listed) == 1:
        return listed
    return fleets(s, listed)


def variants(s: Scenario, *, intervals: bool, worst: float | None = None) -> list[Variant]:
    """Return the ways to run a plan, those of one precision after another.

    Args:
        s: a training scenario.
        intervals: whether anything depends on the interval between checkpoints.
        worst: the longest step of interest; numbers of accelerators with which no step can be as short
            are left out [s].
    """
    wish = s.settings.fixed.get("precision")
    names = [s.precision] if wish is None or wish.values is None else list(wish.values)
    found = []
    for precision in names:
        numbers = counts(s)
        if worst is not None and len(numbers) > 1:
            work = least_work(with_decisions(s, numbers[-1], str(precision)), numbers)
            numbers = [n for n in numbers if work <= n * worst * (1.0 + TOLERANCE)]
        for n in numbers:
            here = with_decisions(s, n, str(precision))
            found.append(Variant(here, tuple(failures_of(here).intervals()) if intervals else ()))
    return found


def least_work(s: Scenario, numbers: list[int]) -> float:
    """Return the accelerator-seconds that a step takes at least, whatever the layout.

    Every layout's step is at least its work over its accelerators: waiting and traffic between
    stages and copies come on top.
    """
    job = s.job
    assert job is not None
    layer = layer_of(replace(job, accelerators=1.0), layers(s, numbers))
    whole = layer.matmul + layer.elementwise + layer.exposed
    return float(np.min((whole * job.weights.layers + layer.head + layer.head_stream) * layer.rounds))


def with_decisions(s: Scenario, accelerators: int, precision: str, interval: float | None = None) -> Scenario:
    """Return the scenario with its open decisions made; the best interval where none is given."""
    t = s.settings
    same = accelerators == s.accelerators and precision == s.precision and interval is None
    if same and not any(_open(t.fixed.get(name)) for name in DECIDED):
        return s
    fixed = {name: wish for name, wish in t.fixed.items() if name not in DECIDED}
    settings = replace(t, fixed=fixed, accelerators=accelerators, nodes=None, precision=precision)
    if interval is not None:
        blocks = settings.blocks | {"checkpoint": t.blocks.get("checkpoint", {}) | {"interval": interval}}
        given = settings.given | {"checkpoint": t.given.get("checkpoint", {}) | {"interval": interval}}
        settings = replace(settings, blocks=blocks, given=given)
    return resolve(settings)


def _open(wish: Wanted | None) -> bool:
    return wish is not None and wish.single is None


def settled(s: Scenario) -> Scenario:
    """Return the scenario that ``eval`` looks at: as many accelerators as there can be.

    Raises:
        InputError: no layout is possible on any number that the plan allows.
    """
    if s.job is None or not any(_open(s.settings.fixed.get(name)) for name in DECIDED):
        return s
    return with_decisions(s, max(counts(s)), s.precision)

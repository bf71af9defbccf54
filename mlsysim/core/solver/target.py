"""A target as people write it: ``performance.latency <= 50 ms``."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from mlsysim.core import units
from mlsysim.core.errors import InputError, MlsysimError
from mlsysim.core.evaluation import Evaluation
from mlsysim.core.layout import columns_of, layer_of, pipeline_of, shard_of
from mlsysim.core.metrics import Metric, find
from mlsysim.core.resolve import resolve
from mlsysim.core.scenario import Bound, Scenario
from mlsysim.core.states import training_state
from mlsysim.core.supplies import find as find_supply
from mlsysim.core.supplies import given
from mlsysim.physics.training import step
from mlsysim.physics.types import Array

_FORM = re.compile(r"\s*([A-Za-z_.]+)\s*(<=|>=)\s*(.+?)\s*")
# Metrics that more of every rate makes better, or leaves as they are.
_FALLING = (
    "performance.latency",
    "performance.training_time",
    "macro.training_usd",
    "macro.training_kwh",
    "macro.training_tco2e",
    "macro.usd_per_million_tokens",
)
_RISING = ("performance.throughput", "performance.samples_per_second")


@dataclass(frozen=True)
class Target:
    """What a metric has to reach, in base units; ``low`` where it has to be at least that."""

    metric: Metric
    value: float
    low: bool

    def miss(self, e: Evaluation) -> float:
        """Return by what the metric misses the target, as a quotient: at most 1 meets it."""
        there = self.metric.value(e.state)
        return self.value / there if self.low else there / self.value

    def misses(self, e: Evaluation, rates: dict[str, Array]) -> Array:
        """Return the same for a layout with supplies multiplied, by numbers or by arrays over points.

        Only the physics is asked, not the walls: many points cost as much as one.
        """
        s, layout = e.scenario, e.layout
        assert layout is not None
        amounts = {n: find_supply(n).read(s) * np.asarray(f) for n, f in rates.items()}
        s = resolve(given(s.settings, amounts))
        assert s.job is not None
        c = columns_of(layout, s.job.weights.layers)
        result = step(s.job, layer_of(s.job, c), pipeline_of(s.job, c), shard_of(s.job, c))
        numerator, denominator = self.metric.parts(training_state(s, result, float(layout.tp)))
        there = np.asarray(numerator / denominator)
        return self.value / there if self.low else there / self.value

    @property
    def bound(self) -> Bound:
        """The target as an assertion of a plan."""
        low, high = (self.value, None) if self.low else (None, self.value)
        return Bound(self.metric, low, high, "target")


def target(text: str | None, s: Scenario) -> Target:
    """Return a target; without one, that of the plan's first assertion that can be one.

    Raises:
        InputError: it is none, or of a metric that more of every rate does not make better.
    """
    if text is None:
        for b in s.settings.bounds:
            if b.metric.name in _FALLING and b.high is not None:
                return Target(b.metric, b.high, False)
            if b.metric.name in _RISING and b.low is not None:
                return Target(b.metric, b.low, True)
        raise InputError("there is no target", where="target", hint='--target "performance.latency <= 10 s"')
    parts = _FORM.fullmatch(text)
    if parts is None:
        raise InputError(
            f"{text!r} is not a target", where="target", hint='write e.g. "performance.latency <= 10 s"'
        )
    name, sign, amount = parts.groups()
    try:
        metric = find(name)
        value = units.parse(amount, metric.unit)
    except MlsysimError as error:
        raise error.at("target") from error
    known = _RISING if sign == ">=" else _FALLING
    if metric.name not in known:
        raise InputError(
            f"{metric.name} {sign} is no target for hardware",
            where="target",
            hint=f"at most: {', '.join(_FALLING)}; at least: {', '.join(_RISING)}",
        )
    if value <= 0.0:
        raise InputError(f"a target of {amount} is not possible", where="target", hint="give one above 0")
    if metric.of_run and "training_tokens" not in s.extras:
        raise InputError(f"{metric.name} is of training on tokens, and this plan has none", where="target")
    return Target(metric, value, sign == ">=")

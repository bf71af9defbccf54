"""A target as people write it: ``performance.latency <= 50 ms``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlsysim.core import units
from mlsysim.core.errors import InputError, MlsysimError
from mlsysim.core.evaluation import Evaluation
from mlsysim.core.metrics import Metric, find
from mlsysim.core.scenario import Bound, Scenario

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

    @property
    def bound(self) -> Bound:
        """The target as an assertion of a plan."""
        low, high = (self.value, None) if self.low else (None, self.value)
        return Bound(self.metric, low, high, "target")


def target(given: str | None, s: Scenario) -> Target:
    """Return a target; without one, that of the plan's first assertion that can be one.

    Raises:
        InputError: it is none, or of a metric that more of every rate does not make better.
    """
    if given is None:
        for b in s.settings.bounds:
            if b.metric.name in _FALLING and b.high is not None:
                return Target(b.metric, b.high, False)
            if b.metric.name in _RISING and b.low is not None:
                return Target(b.metric, b.low, True)
        raise InputError("there is no target", where="target", hint='--target "performance.latency <= 10 s"')
    parts = _FORM.fullmatch(given)
    if parts is None:
        raise InputError(
            f"{given!r} is not a target", where="target", hint='write e.g. "performance.latency <= 10 s"'
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

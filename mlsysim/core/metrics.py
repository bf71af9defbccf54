"""The metrics of an evaluation: what an assertion may bound and a solver may optimize.

A metric is a quotient of two fields of a state, so that a bound on it is linear in what a
formulation has: ``tokens / time >= x`` becomes ``tokens >= x time``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlsysim.core.errors import unknown
from mlsysim.physics.operations import Bill, model_flops_utilization
from mlsysim.physics.types import Array
from mlsysim.walls.base import State


@dataclass(frozen=True)
class Metric:
    """A metric, e.g. ``performance.latency`` in ms.

    ``parts`` returns numerator and denominator in base units. ``of_run`` is of the whole training
    run, so it needs its number of tokens.
    """

    name: str
    unit: str
    title: str
    parts: Callable[[State], tuple[Array, Array]]
    of_run: bool = False

    def applies(self, state: State) -> bool:
        """Return whether a state has what the metric needs."""
        return not self.of_run or state.training_tokens is not None

    def value(self, state: State) -> float:
        """Return the metric of an evaluated state in base units."""
        numerator, denominator = self.parts(state)
        return float(numerator / denominator)


def _of(field: str) -> Callable[[State], tuple[Array, Array]]:
    return lambda s: (getattr(s, field), 1.0)


def _items(s: State) -> Array:
    """Return the tokens of a step, or the samples of a model that has none."""
    if isinstance(s.tokens, np.ndarray):
        return np.where(s.tokens > 0, s.tokens, s.samples)
    return s.samples if isinstance(s.tokens, int | float) and not s.tokens else s.tokens


def _bill(field: str) -> Callable[[State], tuple[Array, Array]]:
    def parts(s: State) -> tuple[Array, Array]:
        bill: Bill = s.bill
        return getattr(bill, field), 1.0

    return parts


def run_time(s: State) -> Array:
    """Return how long the whole training run takes, time lost to failures and checkpoints included [s].

    Raises:
        ValueError: the state is not of a run with a number of tokens.
    """
    if s.training_tokens is None or s.losses is None:
        raise ValueError("not a training run over tokens")
    # in this order, so that a formulation has one table to multiply the step by
    return s.time * (1.0 / s.losses.useful * (s.training_tokens / s.tokens))


def _of_run(field: str) -> Callable[[State], tuple[Array, Array]]:
    """Return a part of the bill for the time that the whole run takes; everything in it is linear."""

    def parts(s: State) -> tuple[Array, Array]:
        assert s.training_tokens is not None
        assert s.losses is not None
        rate = getattr(s.bill, field) / s.duration
        return s.time * (rate / s.losses.useful * (s.training_tokens / s.tokens)), 1.0

    return parts


def _share(field: str) -> Callable[[State], tuple[Array, Array]]:
    return lambda s: (getattr(s, field), s.time)


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("feasibility.memory", "GiB", "memory held on the fullest accelerator", _of("memory")),
        Metric("feasibility.memory_capacity", "GiB", "memory of one accelerator", _of("capacity")),
        Metric(
            "feasibility.memory_share",
            "1",
            "share of the memory that is held",
            lambda s: (s.memory, s.capacity),
        ),
        Metric("feasibility.state", "GiB", "weights, gradients and optimizer state", _of("state")),
        Metric("feasibility.activations", "GiB", "activations at their fullest", _of("activations")),
        Metric("feasibility.kv_cache", "GiB", "KV cache", _of("cache")),
        Metric("feasibility.accelerators", "device", "accelerators in use", _of("accelerators")),
        Metric("performance.latency", "ms", "time of a step or inference pass", _of("time")),
        Metric(
            "performance.throughput",
            "token/s",
            "tokens (samples) a second, all accelerators",
            lambda s: (_items(s), s.time),
        ),
        Metric(
            "performance.samples_per_second",
            "sample/s",
            "samples a second, all accelerators",
            lambda s: (s.samples, s.time),
        ),
        Metric(
            "performance.mfu",
            "1",
            "model operations over what the peak could do",
            lambda s: (model_flops_utilization(s.mfu_flops, 1.0, s.accelerators, s.peak), s.time),
        ),
        Metric("performance.compute_time", "ms", "matrix work", _of("matmul")),
        Metric("performance.memory_time", "ms", "memory-bound work", _of("stream")),
        Metric("performance.communication_time", "ms", "traffic that nothing hides", _of("exposed")),
        Metric("performance.bubble_time", "ms", "pipeline bubble", _of("bubble")),
        Metric("performance.optimizer_time", "ms", "optimizer step", _of("update")),
        Metric(
            "performance.communication_share", "1", "share of the step in exposed traffic", _share("exposed")
        ),
        Metric("performance.bubble_share", "1", "share of the step in the bubble", _share("bubble")),
        Metric(
            "performance.goodput",
            "1",
            "share of the run that counts: neither lost to failures nor spent on checkpoints",
            lambda s: (1.0 if s.losses is None else s.losses.useful, 1.0),
            of_run=True,
        ),
        Metric(
            "performance.training_time",
            "day",
            "time to train on all tokens, failures and checkpoints included",
            lambda s: (run_time(s), 1.0),
            of_run=True,
        ),
        Metric("macro.training_usd", "USD", "cost of training on all tokens", _of_run("tco"), of_run=True),
        Metric(
            "macro.training_kwh", "kWh", "energy of training on all tokens", _of_run("energy"), of_run=True
        ),
        Metric(
            "macro.training_tco2e",
            "tCO2e",
            "operational and embodied carbon of training on all tokens",
            _of_run("carbon"),
            of_run=True,
        ),
        Metric("macro.tco_usd", "USD", "cost of the run", _bill("tco")),
        Metric("macro.capex_usd", "USD", "purchase price of the fleet", _bill("capital")),
        Metric("macro.capital_share_usd", "USD", "share of the purchase written off", _bill("capital_share")),
        Metric("macro.energy_cost_usd", "USD", "electricity", _bill("energy_cost")),
        Metric("macro.upkeep_usd", "USD", "maintenance", _bill("upkeep")),
        Metric("macro.rent_usd", "USD", "rent of the same accelerators", _bill("rent")),
        Metric("macro.energy_kwh", "kWh", "energy of the facility", _bill("energy")),
        Metric("macro.carbon_tco2e", "tCO2e", "operational and embodied carbon", _bill("carbon")),
        Metric("macro.operational_tco2e", "tCO2e", "carbon of the energy", _bill("operational_carbon")),
        Metric(
            "macro.embodied_tco2e",
            "tCO2e",
            "share of the carbon of making the fleet",
            _bill("embodied_carbon"),
        ),
        Metric("macro.water_l", "L", "water on site and at the power plants", _bill("water")),
        Metric(
            "macro.usd_per_million_tokens",
            "USD",
            "cost of a million tokens (samples)",
            lambda s: (s.bill.tco * s.time, s.duration * _items(s) / 1e6),
        ),
    )
}


def find(name: str) -> Metric:
    """Return the metric of that name; ``latency`` alone means ``performance.latency``.

    Raises:
        UnknownNameError: naming the nearest metrics.
    """
    if name in METRICS:
        return METRICS[name]
    short = [full for full in METRICS if full.split(".")[1] == name]
    if len(short) == 1:
        return METRICS[short[0]]
    raise unknown("metric", name, METRICS, "mlsysim schema --result")

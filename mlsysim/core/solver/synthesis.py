"""Wall 22 forward: the least supply that still meets a target time.

The roofline read backwards: given the workload and its layout, how much compute rate, bandwidth,
link and memory does a step within the target take? Memory needed does not depend on the rates, so
its requirement is the demand of wall 2. A step never gets longer when a rate grows, so the least
rate is found by halving an interval on the engine's own step time. No equation is restated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mlsysim.core import units
from mlsysim.core.errors import InputError
from mlsysim.core.evaluation import Evaluation, Json, evaluate
from mlsysim.core.layout import Layout
from mlsysim.core.promises import target_of
from mlsysim.core.resolve import Scenario
from mlsysim.core.solver.sensitivity import scaled
from mlsysim.core.supplies import SUPPLIES, Supply

RATES = ("peak", "bandwidth", "scale_up_bandwidth", "scale_out_bandwidth")
# A factor that stands for more of a supply than anybody can use, and its inverse for none.
PLENTY = 1e9
# Relative width at which the search stops; the answer is the end that meets the target.
TOLERANCE = 1e-10


@dataclass(frozen=True)
class Requirement:
    """How much of one supply the target takes, in base units.

    Attributes:
        supply: the supply.
        there: how much the scenario has.
        alone: least with all other supplies as they are; None where no amount is enough.
        floor: least with plenty of every other rate; below it no design meets the target. None
            where even that is not enough, 0 where the step does not use the supply.
    """

    supply: Supply
    there: float
    alone: float | None
    floor: float | None

    @property
    def enough(self) -> bool:
        """Whether there is at least the floor: below it no other supply makes up for this one."""
        return self.floor is not None and self.there >= self.floor * (1.0 - TOLERANCE)

    def to_dict(self) -> Json:
        """Return the requirement for JSON, in the supply's unit."""

        def shown(x: float | None) -> float | None:
            return None if x is None else units.from_base(x, self.supply.unit)

        return {
            "supply": self.supply.name,
            "wall": self.supply.wall,
            "unit": self.supply.unit,
            "there": shown(self.there),
            "alone": shown(self.alone),
            "floor": shown(self.floor),
            "enough": self.enough,
        }


@dataclass(frozen=True)
class Synthesis:
    """What a target time asks of the hardware.

    Attributes:
        evaluation: of the scenario as it is.
        target: largest time of a step [s].
        factor: by which all rates together must at least be multiplied, below 1 where they have
            room; None where latencies alone take longer than the target.
        requirements: one for each rate, and one for capacity.
    """

    evaluation: Evaluation
    target: float
    factor: float | None
    requirements: tuple[Requirement, ...]

    @property
    def met(self) -> bool:
        """Whether the scenario as it is takes at most the target."""
        return float(self.evaluation.state.time) <= self.target

    def of(self, supply: str) -> Requirement:
        """Return the requirement of one supply."""
        return next(r for r in self.requirements if r.supply.name == supply)

    def specification(self) -> dict[str, float] | None:
        """Return the balanced answer: each rate times the common factor, in base units."""
        if self.factor is None:
            return None
        return {r.supply.name: r.there * self.factor for r in self.requirements if r.supply.name in RATES}

    def to_dict(self) -> Json:
        """Return the answer for JSON."""
        return {
            "target_ms": units.from_base(self.target, "ms"),
            "time_ms": units.from_base(float(self.evaluation.state.time), "ms"),
            "met": self.met,
            "factor": self.factor,
            "requirements": [r.to_dict() for r in self.requirements],
        }


def synthesize(
    s: Scenario, target: float | None = None, layout: Layout | None = None, *, rates: Iterable[str] = RATES
) -> Synthesis:
    """Return the least supplies at which a scenario's step takes at most ``target``.

    Latencies and launch overheads stay as they are: they are no rates.

    Args:
        s: the scenario.
        target: largest time of a step [s]; the plan's own assertion if absent.
        layout: of a training job; by rule if absent. It is held throughout.
        rates: which of :data:`RATES` to look at.

    Raises:
        InputError: there is no target, or it is not above 0.
    """
    target = target_of(s) if target is None else target
    if target is None:
        raise InputError(
            "there is no target time", hint="give one, or assert performance.latency with max in the plan"
        )
    if not (target > 0.0 and math.isfinite(target)):
        raise InputError(f"a target time of {target:g} s is not possible", hint="give one above 0")
    base = evaluate(s, layout)
    there = {name: amount for name in rates if (amount := SUPPLIES[name].of(s)) is not None}

    def meets(factors: dict[str, float]) -> bool:
        return float(evaluate(scaled(s, factors), base.layout).state.time) <= target

    def requirement(name: str) -> Requirement:
        amount, plenty = there[name], {other: PLENTY for other in there if other != name}
        alone = _least(lambda f: meets({name: f}))
        floor = _least(lambda f: meets(plenty | {name: f}))
        return Requirement(SUPPLIES[name], amount, _times(alone, amount), _times(floor, amount))

    requirements = [requirement(name) for name in there]
    held = float(base.state.memory)
    requirements.append(Requirement(SUPPLIES["capacity"], s.capacity, held, held))
    factor = _least(lambda f: meets(dict.fromkeys(there, f)))
    return Synthesis(base, target, factor, tuple(requirements))


def _times(factor: float | None, amount: float) -> float | None:
    return None if factor is None else factor * amount


def _least(meets: Callable[[float], bool]) -> float | None:
    """Return the least factor for which a monotone condition holds, rounded towards holding.

    None where none does, 0 where all do.
    """
    if not meets(PLENTY):
        return None
    low, high = 1.0, 1.0
    if meets(1.0):
        while meets(low):
            high, low = low, low / 4.0
            if low < 1.0 / PLENTY:
                return 0.0
    else:
        while not meets(high):
            low, high = high, high * 4.0
    while high > low * (1.0 + TOLERANCE):
        middle = math.sqrt(low * high)
        if meets(middle):
            high = middle
        else:
            low = middle
    return high

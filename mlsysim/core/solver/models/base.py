"""What a model of tier 1 is: named inputs in, one frozen result out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

from mlsysim.core import units
from mlsysim.core.errors import InputError, MlsysimError, unknown
from mlsysim.core.evaluation import Evaluation, evaluate
from mlsysim.core.plan import load
from mlsysim.core.resolve import resolve, settings_of
from mlsysim.core.scenario import Assumption, Assumptions
from mlsysim.core.solver.models.ports import Port, find
from mlsysim.hardware import Hardware
from mlsysim.infra import Region
from mlsysim.models import Model
from mlsysim.walls import WALLS, Wall

# Options that many models share.
WORKLOAD = ("seq_len", "precision", "efficiency")
TRAINING = (*WORKLOAD, "optimizer", "attention", "dropout", "accelerators", "nodes", "node")
LAYOUT = (
    *("tp", "cp", "pp", "dp", "ep"),
    *("microbatch_size", "interleave", "recompute", "sequence_parallel", "zero_stage"),
)


@dataclass(frozen=True)
class Result:
    """What a model found.

    Attributes:
        model: its name.
        walls: numbers of the walls whose physics it asked.
        values: Pint quantities by name.
        assumptions: what was filled in, with its source.
    """

    model: str
    walls: tuple[int, ...]
    values: Mapping[str, Any]
    assumptions: tuple[Assumption, ...]

    @property
    def wall(self) -> int:
        """The number of the model's first wall."""
        return self.walls[0]

    def __getitem__(self, name: str) -> Any:
        """Return a value by its name.

        Raises:
            UnknownNameError: naming the nearest values.
        """
        if name not in self.values:
            raise unknown(f"value of {self.model}", name, self.values)
        return self.values[name]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data; a number without end is None."""
        return {
            "model": self.model,
            "walls": list(self.walls),
            "values": {name: self._plain(name) for name in self.values},
            "assumptions": [asdict(a) for a in self.assumptions],
        }

    def _plain(self, name: str) -> dict[str, Any]:
        quantity = self.values[name]
        number = float(quantity.magnitude)
        unit = "1" if quantity.unitless else f"{quantity.units:~C}"
        return {"value": number if math.isfinite(number) else None, "unit": unit}


class ForwardModel:
    """A model of tier 1: a thin door to the physics of one or two walls.

    Attributes:
        walls: their numbers.
        ways: sets of inputs of which one must be whole; the first that is counts.
        options: further inputs.
        direct: those of them that still count where a way does without a plan.
        gives: names of what comes out.
        own: ports of a model that brings names of its own.
    """

    walls: ClassVar[tuple[int, ...]]
    ways: ClassVar[tuple[tuple[str, ...], ...]]
    options: ClassVar[tuple[str, ...]] = ()
    direct: ClassVar[tuple[str, ...]] = ()
    gives: ClassVar[tuple[str, ...]]
    own: ClassVar[tuple[Port, ...]] = ()

    @property
    def name(self) -> str:
        """The name of the model's class."""
        return type(self).__name__

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of everything that the model takes."""
        return tuple(dict.fromkeys([name for way in self.ways for name in way] + list(self.options)))

    def port(self, name: str) -> Port:
        """Return the unit and meaning of an input or a result."""
        return next((p for p in self.own if p.name == name), None) or find(name)

    def way(self, given: Iterable[str]) -> tuple[str, ...]:
        """Return the first way whose inputs are all given, or the one that lacks least."""
        known = set(given)
        return min(self.ways, key=lambda way: len(set(way) - known))

    def takes(self, given: Iterable[str]) -> tuple[str, ...]:
        """Return the names of what counts when these inputs are given."""
        return tuple(dict.fromkeys([*self.way(given), *self.options]))

    def outputs(self, given: Iterable[str]) -> tuple[str, ...]:
        """Return the names of what comes out when these inputs are given."""
        return self.gives

    def solve(self, **inputs: Any) -> Result:
        """Return what follows from the inputs.

        Args:
            inputs: names of the zoo or their objects; numbers in the unit of their name, text such
                as ``"5 GB/s"``, or Pint quantities. None counts as not given.

        Raises:
            InputError: naming the model and what is missing, unknown or wrong.
        """
        given = {name: value for name, value in inputs.items() if value is not None}
        for name in given:
            if name not in self.inputs:
                raise unknown(f"input of {self.name}", name, self.inputs)
        for name in self.way(given):
            if name not in given:
                raise InputError(f"{name!r} is missing", where=self.name, hint=self.remedy(name))
        for name in given:
            if name not in self.takes(given):
                hint = f"leave it out: {', '.join(self.way(given))} say it already"
                raise InputError(f"{name!r} does not count here", where=self.name, hint=hint)
        take = Assumptions()
        try:
            numbers = {name: self._base(name, value) for name, value in given.items()}
            found = self.read(given, numbers, take)
        except MlsysimError as error:
            error.where = self._place(error.where)
            raise
        shown = {
            name: units.quantity(float(found[name]), str(self.port(name).unit))
            for name in self.outputs(given)
        }
        return Result(self.name, self.walls, MappingProxyType(shown), tuple(dict.fromkeys(take.taken)))

    def remedy(self, name: str) -> str:
        """Return what to give for a missing input."""
        port = self.port(name)
        unit = "" if port.unit in (None, "1") else f" [{port.unit}]"
        return f"give {name}: {port.text}{unit}"

    def read(self, given: Mapping[str, Any], numbers: Mapping[str, float], take: Assumptions) -> Any:
        """Return the values in base units, by name.

        Args:
            given: the inputs as they are.
            numbers: those that are numbers, in base units.
            take: where assumptions go.
        """
        raise NotImplementedError

    def _base(self, name: str, value: Any) -> float:
        port = self.port(name)
        if port.unit is None:
            return math.nan
        try:
            return port.base(value)
        except MlsysimError as error:
            raise error.at(name) from error

    def _place(self, where: str) -> str:
        """Return the place of an error as the caller knows it: the model, and the input's name."""
        by_key = {".".join(p.key): p.name for p in map(self.port, self.inputs) if p.key}
        return ": ".join(dict.fromkeys(part for part in (self.name, by_key.get(where, where)) if part))


class PlanModel(ForwardModel):
    """A model that evaluates the plan which its inputs make.

    Attributes:
        phase: of the plan.
        blocks: blocks of the plan that are there even without inputs.
    """

    phase: ClassVar[str] = "inference"
    blocks: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def takes(self, given: Iterable[str]) -> tuple[str, ...]:
        """Return the names of what counts when these inputs are given."""
        way = self.way(given)
        return tuple(dict.fromkeys([*way, *(self.options if "model" in way else self.direct)]))

    def read(self, given: Mapping[str, Any], numbers: Mapping[str, float], take: Assumptions) -> Any:
        """Evaluate, and read the evaluation."""
        e = self.evaluation(given)
        if "step_time" in numbers:  # what another model found, or the user knows
            e = replace(e, state=replace(e.state, time=numbers["step_time"]))
        take.taken += e.scenario.assumptions
        return self.values(e)

    def values(self, e: Evaluation) -> dict[str, Any]:
        """Return the values in base units, by name."""
        raise NotImplementedError

    def plan(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the plan that the inputs make."""
        plan: dict[str, Any] = {"version": "1.0", "workload": {"phase": self.phase}}
        plan |= {name: dict(block) for name, block in self.blocks.items()}
        for name, value in given.items():
            port = self.port(name)
            if port.key:
                block = plan
                for key in port.key[:-1]:
                    block = block.setdefault(key, {})
                block[port.key[-1]] = port.in_plan(value)
        return plan

    def evaluation(self, given: Mapping[str, Any]) -> Evaluation:
        """Return the evaluation of the plan; entries that are given as objects are taken as they are."""
        parsed, document = load(self.plan(given))
        settings = settings_of(parsed, document)
        for name, kind in (("model", Model), ("hardware", Hardware), ("region", Region)):
            if isinstance(given.get(name), kind):
                settings = replace(settings, **{name: given[name]})
        return evaluate(resolve(settings))


def wall(number: int) -> Wall:
    """Return a wall by its number."""
    return WALLS[number - 1]


def needed(e: Evaluation, field: str, number: int) -> Any:
    """Return the part of a state that a wall looks at.

    Raises:
        InputError: the wall does not apply, and why.
    """
    found = getattr(e.state, field)
    if found is None:
        raise InputError(f"wall {number} does not apply: {wall(number).why_not(e.state)}")
    return found

"""A chain of models: each takes what it needs from the inputs and from the models before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlsysim.core import text
from mlsysim.core.errors import InputError, unknown
from mlsysim.core.solver.models.base import ForwardModel, Result, wall

INPUT = "input"


@dataclass(frozen=True)
class Stage:
    """A model in its place.

    Attributes:
        number: of the place, from 1.
        model: the model.
        takes: where each input comes from: 0 for the pipeline's own inputs, else the stage.
        missing: what it needs and nobody gives.
        gives: names of what comes out.
    """

    number: int
    model: ForwardModel
    takes: Mapping[str, int]
    missing: tuple[str, ...]
    gives: tuple[str, ...]


@dataclass(frozen=True)
class Flow:
    """What ran.

    Attributes:
        stages: the models in their places.
        results: theirs, in order.
        inputs: what the pipeline was given.
    """

    stages: tuple[Stage, ...]
    results: tuple[Result, ...]
    inputs: Mapping[str, Any]

    @property
    def values(self) -> dict[str, Any]:
        """Every value by its name; of a name that several models give, the last one's."""
        return {name: value for result in self.results for name, value in result.values.items()}

    def __getitem__(self, name: str) -> Any:
        """Return a value by its name.

        Raises:
            UnknownNameError: naming the nearest values.
        """
        if name not in self.values:
            raise unknown("value of the pipeline", name, self.values)
        return self.values[name]

    def explain(self) -> str:
        """Return what flowed, with the numbers, as lines of at most 80 columns."""
        return _explain(self.stages, self.results)

    def to_dict(self) -> dict[str, Any]:
        """Return all results as plain data."""
        return {"results": [result.to_dict() for result in self.results]}


class Pipeline:
    """Models run one after another.

    A model's input comes from the pipeline's inputs if it is among them, else from the last model
    before that gives a value of this name; both must have the same dimension.

    Args:
        models: in the order in which they run.

    Raises:
        InputError: there are none, one is no model, or a value does not fit the input of its name.
    """

    def __init__(self, models: Sequence[ForwardModel]) -> None:
        for given in models:
            if not isinstance(given, ForwardModel):
                raise InputError(
                    f"{given!r} is no model", where="Pipeline", hint="give instances: Pipeline([DataModel()])"
                )
        if not models:
            raise InputError("a pipeline needs a model", where="Pipeline")
        self.models = tuple(models)
        self.stages()

    def stages(self, given: Iterable[str] | None = None) -> tuple[Stage, ...]:
        """Return where each model's inputs come from.

        Args:
            given: names of the pipeline's inputs. If absent, whatever a model needs and no model
                before it gives is taken to be one.
        """
        inputs = None if given is None else set(given)
        asked: set[str] = set()
        source: dict[str, int] = {}
        found: list[Stage] = []
        for number, model in enumerate(self.models, start=1):
            known = set(source) | (asked if inputs is None else inputs)
            way = model.way(known)
            missing = tuple(name for name in way if name not in known)
            if inputs is None:
                asked |= set(missing)
                known |= asked
                missing = ()
            own = asked if inputs is None else inputs
            takes = {name: 0 if name in own else source[name] for name in model.takes(known) if name in known}
            for name, origin in takes.items():
                if origin:
                    _fits(self.models[origin - 1], model, name)
            stage = Stage(number, model, takes, missing, model.outputs(takes))
            found.append(stage)
            source |= dict.fromkeys(stage.gives, number)
        return tuple(found)

    def run(self, **inputs: Any) -> Flow:
        """Run the models in order.

        Args:
            inputs: of all models; each takes those that it knows. None counts as not given.

        Raises:
            InputError: naming the model and the input that is missing, unknown or wrong.
        """
        given = {name: value for name, value in inputs.items() if value is not None}
        known = {name for model in self.models for name in model.inputs}
        for name in given:
            if name not in known:
                raise unknown("input of the pipeline's models", name, sorted(known))
        stages = self.stages(given)
        for stage in stages:
            for name in stage.missing:
                raise InputError(
                    f"{name!r} is missing: it is no input, and no model before gives it",
                    where=f"{stage.model.name} (stage {stage.number})",
                    hint=stage.model.remedy(name),
                )
        for name in given:
            if not any(stage.takes.get(name) == 0 for stage in stages):
                raise InputError(f"{name!r} does not count here", where="Pipeline", hint="leave it out")
        results: list[Result] = []
        for stage in stages:
            own = {n: given[n] if at == 0 else results[at - 1][n] for n, at in stage.takes.items()}
            results.append(stage.model.solve(**own))
        return Flow(stages, tuple(results), given)

    def explain(self, *given: str) -> str:
        """Return what flows, as lines of at most 80 columns.

        Args:
            given: names of the inputs there will be; if none are named, what the models need.
        """
        return _explain(self.stages(given or None), ())


def _fits(giver: ForwardModel, taker: ForwardModel, name: str) -> None:
    """Hold a value against the input of its name.

    Raises:
        InputError: they have different dimensions.
    """
    out, into = giver.port(name), taker.port(name)
    if out.dimension != into.dimension:
        raise InputError(
            f"{giver.name} gives {name!r} in {out.unit or 'words'}, not in {into.unit or 'words'}",
            where=taker.name,
            hint="rename one of them, or give the value as an input",
        )


def _explain(stages: Sequence[Stage], results: Sequence[Result]) -> str:
    header = ["", "name", "unit", "from" if not results else "from / value"]
    blocks: list[tuple[str, list[list[str]]]] = []
    for i, stage in enumerate(stages):
        model = stage.model
        names = ", ".join(f"{n} {wall(n).name}" for n in model.walls)
        title = f"{stage.number}  {model.name}: wall{'s' if len(model.walls) > 1 else ''} {names}"
        rows = [
            ["takes", name, _unit(model, name), _origin(stages, stage, name)]
            for name in (*stage.takes, *stage.missing)
        ]
        for name in stage.gives:
            value = text.number(float(results[i][name].magnitude)) if results else ""
            rows.append(["gives", name, _unit(model, name), value])
        for before, row in zip([["", "", "", ""], *(list(r) for r in rows)], rows, strict=False):
            row[0] = "" if row[0] == before[0] else row[0]
        blocks.append((title, rows))
    table = text.table(header, [row for _, rows in blocks for row in rows])
    lines, at = [f"   {table[0]}"], 1
    for title, rows in blocks:
        lines += ["", *text.wrap(title), *(f"   {line}" for line in table[at : at + len(rows)])]
        at += len(rows)
    return "\n".join(lines)


def _unit(model: ForwardModel, name: str) -> str:
    unit = model.port(name).unit
    return "" if unit in (None, "1") else str(unit)


def _origin(stages: Sequence[Stage], stage: Stage, name: str) -> str:
    if name in stage.missing:
        return "MISSING"
    at = stage.takes[name]
    return f"{at} {stages[at - 1].model.name}" if at else INPUT

"""A design space: a plan, dimensions over it, what is wanted, and what must hold."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlsysim.core import own
from mlsysim.core.errors import InputError, unknown
from mlsysim.core.metrics import METRICS
from mlsysim.space import paths
from mlsysim.space.dimensions import Dimension, parameter, plan_dimension
from mlsysim.space.expression import Expression, Variable, compiled
from mlsysim.space.sampling import sampling, size
from mlsysim.walls import WALLS

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from mlsysim.core.api import PlanLike
    from mlsysim.space.table import Table

Json = dict[str, Any]
MOST_CONDITIONS = 30
_NAMES = (("workload", "name"), ("hardware", "name"), ("ops", "region"))


@dataclass(frozen=True)
class Wish:
    """An objective: an expression that is made least, or greatest."""

    expression: Expression
    greatest: bool


class DesignSpace:
    """Named dimensions over anything in a plan, with objectives and constraints over metrics.

    Attributes:
        plan: what does not vary, as plain data.
        dimensions: values of the plan and supplies that vary; the first changes slowest on a grid.
        parameters: numbers that vary and that only expressions use, e.g. a carbon tax.
        wishes: objectives, the most important first.
        conditions: what must hold of every point that counts.
        how: which points are looked at.
        each: dimensions that are told apart even where a solver could decide them.
        columns: metrics to report; all that apply if empty.
    """

    def __init__(
        self,
        plan: PlanLike,
        dimensions: Mapping[str, Any],
        *,
        parameters: Mapping[str, Any] | None = None,
        minimize: str | Sequence[str] = (),
        maximize: str | Sequence[str] = (),
        constraints: str | Sequence[str] = (),
        sample: str = "grid",
        points: int | None = None,
        seed: int = 0,
        each: Sequence[str] = (),
        metrics: Sequence[str] = (),
    ) -> None:
        """Check and keep what is given.

        Args:
            plan: a path, a mapping or a plan: what does not vary.
            dimensions: for a value of the plan (``hardware.nodes``, or a usual name such as ``nodes``,
                ``region``, ``batch``) or a supply (``supplies.electricity_price``) a list of values or
                a range ``{"min": 1, "max": 64, "points": 7, "log": True}``.
            parameters: likewise, for names of one's own; ``{"tax": {"values": [0, 150], "unit":
                "USD/tCO2e"}}``.
            minimize: expressions over metrics, dimensions and parameters; several make a front.
            maximize: likewise.
            constraints: conditions, e.g. ``"performance.mfu > 0.4"``.
            sample: ``grid``, ``latin`` or ``sobol``.
            points: how many, of a sample.
            seed: of a sample.
            each: dimensions for each of whose values the best is wanted.
            metrics: to report; all that apply if empty.

        Raises:
            InputError: a name, a value, a unit or an expression is wrong.
        """
        self.plan = _plan(plan)
        self.dimensions = tuple(plan_dimension(n, g) for n, g in _mapping("dimensions", dimensions).items())
        self.parameters = tuple(parameter(n, g) for n, g in _mapping("parameters", parameters or {}).items())
        _once([d.name for d in self.every])
        _check_values(self.plan, self.dimensions)
        scope = self.scope
        self.wishes = (*_wishes(minimize, scope, "minimize"), *_wishes(maximize, scope, "maximize"))
        self.conditions = tuple(_conditions(constraints, scope))
        known = [d.name for d in self.every]
        self.each = tuple(_known_dimension(name, known) for name in _texts("each", each))
        self.columns = tuple(_metric(name) for name in _texts("metrics", metrics))
        self.how = sampling(sample, points, seed)

    @property
    def every(self) -> tuple[Dimension, ...]:
        """Dimensions and parameters, in the order of the points' columns."""
        return (*self.dimensions, *self.parameters)

    def __len__(self) -> int:
        return size(self.every, self.how)

    def __repr__(self) -> str:
        goals = ", ".join(w.expression.text for w in self.wishes) or "nothing"
        return f"<DesignSpace of {', '.join(d.name for d in self.every)}; best by {goals}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DesignSpace) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @cached_property
    def scope(self) -> dict[str, Variable]:
        """What the names in expressions stand for."""
        return scope_of(self.dimensions, self.parameters)

    def to_dict(self) -> Json:
        """Return the space as a campaign file has it; equal spaces give equal data."""
        found: Json = {
            "plan": self.plan,
            "dimensions": {d.name: d.to_dict() for d in self.dimensions},
            "parameters": {d.name: d.to_dict() for d in self.parameters},
            "minimize": [w.expression.text for w in self.wishes if not w.greatest],
            "maximize": [w.expression.text for w in self.wishes if w.greatest],
            "constraints": [c.text for c in self.conditions],
            "sampling": self.how.to_dict(),
        }
        return found | {"each": list(self.each), "metrics": list(self.columns)}

    @classmethod
    def from_dict(cls, data: Json) -> DesignSpace:
        """Return the space of :meth:`to_dict`."""
        how = data.get("sampling", {})
        return cls(
            data["plan"],
            data["dimensions"],
            parameters=data.get("parameters"),
            minimize=data.get("minimize", ()),
            maximize=data.get("maximize", ()),
            constraints=data.get("constraints", ()),
            sample=how.get("method", "grid"),
            points=how.get("points"),
            seed=how.get("seed", 0),
            each=data.get("each", ()),
            metrics=data.get("metrics", ()),
        )

    def __reduce__(self) -> Any:
        return DesignSpace.from_dict, (self.to_dict(),)

    @cached_property
    def key(self) -> str:
        """What tells this space from every other: a digest of all that is in it."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def run(self, *, method: str = "auto", executor: Executor | None = None, **more: Any) -> Table:
        """Return the table of the space: solved where a solver can, evaluated point by point elsewhere.

        Args:
            method: ``auto``, ``solve`` or ``evaluate``.
            executor: any ``concurrent.futures`` executor; this process if absent.
            more: see :func:`mlsysim.space.campaign.run`.

        Raises:
            InputError: ``solve`` is asked for and no solver can; the table says why otherwise.
        """
        from mlsysim.space.campaign import run

        return run(self, method=method, executor=executor, **more)


def _plan(given: PlanLike) -> Json:
    """Return a plan as plain data; paths of one's own entries become absolute."""
    from mlsysim.core.api import one_service
    from mlsysim.core.plan import load

    parsed, document = load(given)
    one_service(parsed, document)
    base = copy.deepcopy(document.data) if isinstance(document.data, dict) else parsed.to_dict()
    folder = Path(document.name).parent if document.name else Path()
    for block, key in _NAMES:
        name = (base.get(block) or {}).get(key)
        if isinstance(name, str) and own.is_path(name) and not name.startswith("hf://"):
            path = (folder / Path(name).expanduser()).resolve()
            base[block] = base[block] | {key: str(path) if path.exists() else name}
    return base


def put(plan: Json, values: Mapping[tuple[str, ...], Any]) -> Json:
    """Return a plan with some values replaced; what says the same in another way goes."""
    found = dict(plan)
    for keys, value in values.items():
        owner = found
        for key in keys[:-1]:
            inner = owner.get(key)
            owner[key] = dict(inner) if isinstance(inner, dict) else {}
            owner = owner[key]
        owner[keys[-1]] = value
        for other in _INSTEAD.get(keys, ()):
            if isinstance(found.get(other[0]), dict):
                found[other[0]] = {k: v for k, v in found[other[0]].items() if k != other[1]}
    return found


_INSTEAD: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {
    ("hardware", "nodes"): (("hardware", "accelerators"),),
    ("hardware", "accelerators"): (("hardware", "nodes"),),
    ("workload", "precision"): (("parallelism", "precision"),),
    ("parallelism", "precision"): (("workload", "precision"),),
}


def _check_values(base: Json, varied: Iterable[Dimension]) -> None:
    """Refuse values that no plan may have, each on its own; what does not go together is a row's failure.

    A value that is refused only because of the rest of this plan is left for its row to say.
    """
    from mlsysim.core.plan import load

    load(base)
    for d in varied:
        if d.path is None or d.path.is_supply:
            if d.is_text:
                raise InputError("a supply is a number", where=f"dimensions.{d.name}", hint=f"in {d.unit}")
            continue
        values = d.listed if d.values is not None else (_end(d, d.low), _end(d, d.high))
        for value in values or ():
            if d.path.name in _LISTS and isinstance(value, str) and not own.is_path(value):
                _catalog(d, value)
            try:
                load(put(base, {d.path.keys: value}))
            except InputError as error:
                if error.where.startswith(d.path.name):
                    error.where = f"dimensions.{d.name}"
                    raise


def _end(d: Dimension, x: float) -> float | int:
    return int(x) if d.whole else x


_LISTS = {
    "hardware.name": "mlsysim.hardware",
    "workload.name": "mlsysim.models",
    "ops.region": "mlsysim.infra",
}


def _catalog(d: Dimension, value: str) -> None:
    from importlib import import_module

    assert d.path is not None
    if value.startswith("hf://"):
        return
    try:
        import_module(_LISTS[d.path.name]).CATALOG.find(value)
    except InputError as error:
        error.at(f"dimensions.{d.name}")
        raise


def scope_of(varied: Sequence[Dimension], free: Sequence[Dimension]) -> dict[str, Variable]:
    """Return what names in expressions stand for; of short names, those that are unmistakable."""
    full = {n: Variable(n, m.unit) for n, m in METRICS.items()}
    full |= {f"{w.tag}.headroom": Variable(f"{w.tag}.headroom") for w in WALLS}
    short = _unmistakable([(n.split(".")[1], full[n]) for n in METRICS])
    own_names = {
        d.name: Variable(d.name, d.unit, "text" if d.is_text else "number") for d in (*varied, *free)
    }
    called = [(d.name.rpartition(".")[2], own_names[d.name]) for d in varied]
    called += [
        (a, own_names[p]) for a, p in paths.ALIASES.items() if p in own_names and not p.endswith("." + a)
    ]
    return short | full | _unmistakable(called) | own_names


def _unmistakable(names: list[tuple[str, Variable]]) -> dict[str, Variable]:
    counts: dict[str, int] = {}
    for name, _ in names:
        counts[name] = counts.get(name, 0) + 1
    return {name: v for name, v in names if counts[name] == 1}


def _mapping(where: str, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping) or not all(isinstance(k, str) for k in given):
        raise InputError(
            "a mapping of names to values is needed", where=where, hint="hardware.nodes: [16, 32]"
        )
    return given


def _texts(where: str, given: Any) -> list[str]:
    found = [given] if isinstance(given, str) else list(given or ())
    if not all(isinstance(t, str) for t in found):
        raise InputError("texts are needed", where=where, hint="put each in quotes")
    return found


def _once(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name!r} is varied twice", where="dimensions", hint="keep one of them")


def _wishes(given: Any, scope: dict[str, Variable], where: str) -> list[Wish]:
    found = []
    for text in _texts(where, given):
        e = compiled(text, scope, where=where)
        if e.kind != "number":
            raise InputError(f"a {e.kind} has no best value: {text}", where=where, hint="give a number")
        found.append(Wish(e, where == "maximize"))
    return found


def _conditions(given: Any, scope: dict[str, Variable]) -> list[Expression]:
    found = []
    for i, text in enumerate(_texts("constraints", given)):
        e = compiled(text, scope, where=f"constraints[{i}]")
        if e.kind != "condition":
            raise InputError(
                f"a {e.kind} is no condition: {text}",
                where=f"constraints[{i}]",
                hint="compare it, e.g. performance.mfu > 0.4",
            )
        found.append(e)
    if len(found) > MOST_CONDITIONS:
        raise InputError(f"{len(found)} constraints", where="constraints", hint=f"at most {MOST_CONDITIONS}")
    return found


def _known_dimension(name: str, known: list[str]) -> str:
    for full in known:
        if name == full or full.endswith("." + name) or paths.ALIASES.get(name) == full:
            return full
    error = unknown("dimension", name, known)
    error.at("each")
    raise error


def _metric(name: str) -> str:
    from mlsysim.core.metrics import find

    try:
        return find(name).name
    except InputError as error:
        error.at("metrics")
        raise

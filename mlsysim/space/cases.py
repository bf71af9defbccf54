"""Cases of a design space as parts: each problem solved, or taken from those solved before."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mlsysim.core.errors import InputError
from mlsysim.core.metrics import METRICS
from mlsysim.core.tolerance import TOLERANCE
from mlsysim.space.cache import Cache, key_of
from mlsysim.space.design import DesignSpace
from mlsysim.space.dimensions import Dimension
from mlsysim.space.parts import check_version, dimension_column, objective_names
from mlsysim.space.sampling import Sampling, drawn
from mlsysim.space.solving import Solution, Solver, decided_value, numbers_of
from mlsysim.space.table import Column, Data, Table, words

Json = dict[str, Any]
PART = 16  # problems


def count(space: DesignSpace, solver: Solver) -> int:
    """Return how many cases there are."""
    return math.prod(len(d.listed or ()) for d in solver.split.cases)


@lru_cache(maxsize=4)
def _solver(text: str, how: str) -> Solver:
    return Solver(DesignSpace.from_dict(json.loads(text)), json.loads(how))


def solved_part(text: str, version: str, how: str, folder: str, start: int, stop: int) -> Table:
    """Return the table of cases ``start`` to ``stop`` of a space given as JSON.

    Args:
        text: the space.
        version: see :func:`mlsysim.space.parts.evaluated_part`.
        how: options of the solver, as JSON.
        folder: of solved problems; empty to keep none.
        start: the first case.
        stop: the one after the last.
    """
    check_version(version)
    return solve(_solver(text, how), Cache(Path(folder)) if folder else None, start, stop)


def solve(of: Solver, kept: Cache | None, start: int, stop: int) -> Table:
    """Return the table of cases ``start`` to ``stop``."""
    columns = drawn(of.split.cases, Sampling(), start, stop)
    found = []
    for i in range(stop - start):
        values = {
            d.name: d.values[int(c[i])] if d.values is not None else c[i].item()
            for d, c in zip(of.split.cases, columns, strict=True)
        }
        found.append(answer(of, values, kept))
    return _table(of, columns, found)


def answer(of: Solver, values: Json, kept: Cache | None) -> Solution:
    """Return the solution of a case: one that was kept, or solved now and then kept."""
    key = None if kept is None else key_of(_problem(of, values))
    if kept is None or key is None:
        return of.solve(values)
    before = kept.get(key)
    if before is not None:
        try:
            found = of.again(values, before)
        except (InputError, KeyError, TypeError, ValueError):
            found = None
        if found is not None and math.isclose(found.objective, before["objective"], rel_tol=TOLERANCE):
            return found
    found = of.solve(values)
    if found.proof == "optimal" and found.evaluation is not None:
        kept.put(key, _entry(found))
    return found


def _problem(of: Solver, values: Json) -> Json:
    """Return all that a case's answer depends on, as plain data."""
    space = of.space
    return {
        "plan": space.plan,
        "values": values,
        "decided": {d.name: d.to_dict() for d in of.split.decided},
        "units": {d.name: d.unit for d in space.every},
        "objective": [space.wishes[0].expression.text, space.wishes[0].greatest],
        "constraints": [c.text for c in space.conditions],
        "how": of.how,
    }


def _entry(s: Solution) -> Json:
    e = s.evaluation
    assert e is not None
    assert e.layout is not None
    checkpoint = e.scenario.extras.get("checkpoint")
    return {
        "layout": e.layout.to_dict(),
        "accelerators": e.scenario.accelerators,
        "precision": e.scenario.precision,
        "interval": None if checkpoint is None else float(checkpoint.interval),
        "objective": s.objective,
        "bound": None if math.isnan(s.bound) else s.bound,
        "gap": None if math.isnan(s.gap) else s.gap,
        "proof": s.proof,
        "engine": s.engine,
    }


def _table(of: Solver, columns: list[np.ndarray], found: list[Solution]) -> Table:
    space, wish = of.space, of.wish.expression
    apart = dict(zip((d.name for d in of.split.cases), columns, strict=True))
    made = [
        dimension_column(d, apart[d.name]) if d.name in apart else _decided(of, d, found) for d in space.every
    ]
    made += [
        Column("status", "", "whether everything holds", _words([s.status for s in found])),
        Column("reason", "", "what does not hold", _words([s.reason for s in found])),
        Column(
            objective_names(space)[0],
            wish.unit,
            wish.text,
            np.array([s.objective / wish.scale for s in found]),
        ),
        Column(
            "bound",
            wish.unit,
            "no point is better than this",
            np.array([s.bound / wish.scale for s in found]),
        ),
        Column("gap", "1", "relative distance from the bound", np.array([s.gap for s in found])),
        Column("proof", "", "what the solver proved", _words([s.proof for s in found])),
        Column("engine", "", "that proved it", _words([s.engine for s in found])),
        Column("layout", "", "layout of the training job", _words([_layout(s) for s in found])),
    ]
    reported = space.columns or tuple(METRICS)
    numbers = np.array([numbers_of(s.evaluation, reported) for s in found]).reshape(len(found), len(reported))
    made += [Column(n, METRICS[n].unit, METRICS[n].title, numbers[:, i]) for i, n in enumerate(reported)]
    return Table({c.name: c for c in made}, objective_names(space), (of.wish.greatest,), (of.split.note,))


def _layout(s: Solution) -> str:
    return "" if s.evaluation is None else str(s.evaluation.layout or "")


def _words(texts: list[str]) -> Data:
    known = {t: i for i, t in enumerate(dict.fromkeys(texts))}
    return words(np.array([known[t] for t in texts], dtype=np.int64), list(known) or [""])


def _decided(of: Solver, d: Dimension, found: list[Solution]) -> Column:
    """Return what was decided for a dimension: NaN or empty where nothing was."""
    values: list[Any] = []
    for s in found:
        e = s.evaluation
        values.append(None if e is None else decided_value(e, d, of.per_node(e.scenario.settings, d)))
    if d.is_text:
        return Column(d.name, "", "decided", _words(["" if v is None else str(v) for v in values]))
    return Column(d.name, d.unit, "decided", np.array([math.nan if v is None else v for v in values]))

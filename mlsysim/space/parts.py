"""A design space in parts: each a run of points, evaluated on its own anywhere, with one outcome.

A part's table depends on nothing but the space and the numbers of its points, so a campaign that is
cut short, goes on elsewhere, or loses workers, ends as if it had not.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from mlsysim.core.errors import InputError
from mlsysim.core.metrics import METRICS
from mlsysim.space.cache import fingerprint
from mlsysim.space.design import DesignSpace
from mlsysim.space.dimensions import Dimension
from mlsysim.space.points import STATUSES, Evaluated, Evaluator
from mlsysim.space.sampling import drawn
from mlsysim.space.table import Column, Data, Table, Words, words

# Points of a part: of one pass of NumPy, and where each point may be a group of its own.
LARGEST, SMALLEST = 1 << 16, 256
_FEW_GROUPS, _PER_GROUP = 64, 256


def part_size(space: DesignSpace) -> int:
    """Return how many points a part has: some hundred groups, or one large pass."""
    groups = 1.0
    for d in Evaluator(space).shaping:
        groups *= math.inf if d.listed is None else len(d.listed)
    if groups <= _FEW_GROUPS:
        return LARGEST
    each = len(space) / groups
    return int(min(max(_PER_GROUP * each, SMALLEST), LARGEST))


@lru_cache(maxsize=4)
def evaluator(text: str) -> Evaluator:
    """Return the evaluator of a space given as JSON; a worker keeps those of its last campaigns."""
    import json

    return Evaluator(DesignSpace.from_dict(json.loads(text)))


def check_version(expected: str) -> None:
    """Refuse to work for a campaign of another version of mlsysim or its registry: rows would not agree.

    Raises:
        InputError: this process has another version.
    """
    if fingerprint() != expected:
        raise InputError(
            "a worker has another version of mlsysim, its registry or its engines",
            where="workers",
            hint="install the same everywhere, and start the workers again",
        )


def evaluated_part(text: str, version: str, start: int, stop: int) -> Table:
    """Return the table of points ``start`` to ``stop`` of a space given as JSON.

    ``version`` is the digest of :func:`mlsysim.space.cache.fingerprint` where the campaign began.
    """
    check_version(version)
    return evaluate(evaluator(text), start, stop)


def evaluate(of: Evaluator, start: int, stop: int) -> Table:
    """Return the table of points ``start`` to ``stop``."""
    return evaluate_columns(of, drawn(of.space.every, of.space.how, start, stop), stop - start)


def evaluate_columns(of: Evaluator, columns: list[np.ndarray], n: int) -> Table:
    """Return the table of ``n`` points given as one column a dimension; see :func:`drawn`."""
    space = of.space
    order, groups = of.grouped(columns)
    found = [of.evaluate(columns, rows) for rows in groups]
    back = np.empty(n, dtype=np.int64)
    back[order] = np.arange(n)
    return table_of(space, columns, found, back, of.reported)


def table_of(
    space: DesignSpace,
    columns: list[np.ndarray],
    found: list[Evaluated],
    back: np.ndarray,
    reported: tuple[str, ...],
) -> Table:
    """Return evaluated groups as one table, its rows in the order of the points."""
    made = [dimension_column(d, c) for d, c in zip(space.every, columns, strict=True)]
    status = np.concatenate([e.status for e in found])[back]
    made.append(Column("status", "", "whether everything holds", words(status, STATUSES)))
    made.append(Column("reason", "", "what does not hold", _reasons(found, back)))
    for i, name in enumerate(objective_names(space)):
        wish = space.wishes[i]
        data = np.concatenate([e.objectives[i] for e in found])[back]
        made.append(Column(name, wish.expression.unit, wish.expression.text, data))
    made.append(Column("layout", "", "layout of the training job", _layouts(found, back)))
    for name in reported:
        parts = [e.metrics[name] if name in e.metrics else np.full(len(e.status), np.nan) for e in found]
        made.append(Column(name, METRICS[name].unit, METRICS[name].title, np.concatenate(parts)[back]))
    return Table({c.name: c for c in made}, objective_names(space), tuple(w.greatest for w in space.wishes))


def objective_names(space: DesignSpace) -> tuple[str, ...]:
    """Return the names of the objectives' columns: ``objective``, or ``objective1``, ``objective2``."""
    n = len(space.wishes)
    return ("objective",) if n == 1 else tuple(f"objective{i + 1}" for i in range(n))


def dimension_column(d: Dimension, column: np.ndarray) -> Column:
    """Return the column of a dimension: numbers in its unit, or words."""
    data: Data
    if d.is_text:
        assert d.values is not None
        data = words(column, [str(v) for v in d.values])
    else:
        data = np.asarray(d.numbers)[column] if d.values is not None else column
    return Column(d.name, "" if d.is_text else d.unit, "parameter" if d.path is None else "dimension", data)


def _reasons(found: list[Evaluated], back: np.ndarray) -> Words:
    texts: list[str] = []
    codes = []
    for e in found:
        codes.append(e.reason.astype(np.int64) + len(texts))
        texts += e.reasons
    return words(np.concatenate(codes)[back], texts)


def _layouts(found: list[Evaluated], back: np.ndarray) -> Words:
    codes = np.repeat(np.arange(len(found)), [len(e.status) for e in found])
    return words(codes[back], [e.layout for e in found])

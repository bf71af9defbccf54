"""Rows held against the engine: each is predicted, or listed with the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlsysim.core.errors import InputError, UnknownNameError, fold, unknown
from mlsysim.core.validation import energy, operators, serving, training
from mlsysim.core.validation import statistics as stats
from mlsysim.core.validation.fields import KINDS, finite
from mlsysim.core.validation.filling import Filled, Filling
from mlsysim.core.validation.rows import Row, read_file, read_registry
from mlsysim.core.validation.statistics import Summary
from mlsysim.core.validation.subject import NotPredictedError
from mlsysim.core.validation.training import Quantity
from mlsysim.hardware import CATALOG as HARDWARE

_PREDICT: dict[str, Callable[[Row, Filling], list[Quantity]]] = {
    "training": training.step,
    "finetuning": training.step,
    "training-layer": training.layer,
    "memory": training.memory,
    "serving": serving.predict,
    "op-level": operators.predict,
    "energy": energy.predict,
}
_LAYOUT = frozenset({"layout", "tp", "pp", "microbatch"})


@dataclass(frozen=True)
class Judged:
    """A measured quantity beside its prediction.

    Attributes:
        id: the row's, with ``:quantity`` where the row measured several.
        row: the measurement.
        quantity: what was measured, with the prediction.
        filled: settings that the source leaves open.
    """

    id: str
    row: Row
    quantity: Quantity
    filled: tuple[Filled, ...] = ()

    @property
    def measured(self) -> float:
        """What was measured, in :attr:`unit`."""
        return self.quantity.measured

    @property
    def predicted(self) -> float:
        """What the engine says, in :attr:`unit`."""
        return self.quantity.predicted

    @property
    def unit(self) -> str:
        """Unit of both."""
        return self.quantity.unit

    @property
    def error(self) -> float:
        """Signed error as a share of what was measured."""
        return stats.error(self.measured, self.predicted)

    @property
    def states_layout(self) -> bool:
        """Whether degrees and microbatch of a training run are those that its source states."""
        return not _LAYOUT & {f.setting for f in self.filled}


@dataclass(frozen=True)
class Unpredicted:
    """A row that the engine cannot predict, and why."""

    row: Row
    reason: str


@dataclass(frozen=True)
class Group:
    """The rows of one set and kind."""

    name: str
    kind: str
    rows: tuple[Judged, ...]

    @property
    def summary(self) -> Summary:
        """Errors of the group; ranks are compared among rows that measured the same quantity."""
        return summary_of(self.rows, ranked=True)


@dataclass(frozen=True)
class Report:
    """Every row, judged or with a reason.

    Attributes:
        judged: what was predicted, in order of the rows.
        unpredicted: what was not.
        strange: fields of a user's file that nothing reads.
    """

    judged: tuple[Judged, ...]
    unpredicted: tuple[Unpredicted, ...]
    strange: tuple[str, ...] = field(default=())

    def plot(self, kind: str | None = None) -> Any:
        """Return a Plotly figure: ``validation``.

        Needs the extra ``labs``.

        Raises:
            InputError: there is no such plot.
            MissingExtraError: Plotly is not installed.
        """
        from mlsysim.viz.kinds import plot

        return plot(self, kind)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The sets, largest first within the order of kinds; those without a predicted row included."""
        found: dict[tuple[str, str], list[Judged]] = {}
        for row in (*(j.row for j in self.judged), *(u.row for u in self.unpredicted)):
            found.setdefault((row.set, row.kind), [])
        for j in self.judged:
            found[j.row.set, j.row.kind].append(j)
        groups = (Group(name, kind, tuple(rows)) for (name, kind), rows in found.items())
        return tuple(sorted(groups, key=lambda g: (KINDS.index(g.kind), -len(g.rows), g.name)))

    @property
    def total(self) -> Summary:
        """Errors of all predicted rows."""
        return summary_of(self.judged, ranked=False)

    @property
    def worst(self) -> tuple[Judged, ...]:
        """The rows by size of their error, the largest first."""
        return tuple(sorted(self.judged, key=lambda j: -abs(j.error)))


def summary_of(rows: Sequence[Judged], *, ranked: bool) -> Summary:
    """Return the errors of some rows.

    Args:
        rows: what was judged.
        ranked: whether they can be ranked among each other: the rows of one set can, by unit.
    """
    found = stats.summary([j.measured for j in rows], [j.predicted for j in rows])
    return replace(found, spearman=_rank_correlation(rows) if ranked else None)


def _rank_correlation(rows: Sequence[Judged]) -> float | None:
    """Return the mean rank correlation of the quantities in a set, each weighted by its rows.

    Steps are ranked by tokens a second and accelerator: by their time, the batch would decide.
    """
    parts = []
    for unit in dict.fromkeys(j.unit for j in rows):
        same = [j.quantity for j in rows if j.unit == unit]
        found = stats.spearman([q.measured / q.tokens for q in same], [q.predicted / q.tokens for q in same])
        if found is not None:
            parts.append((len(same), found))
    return sum(n * x for n, x in parts) / sum(n for n, _ in parts) if parts else None


def rank_at_equal_work(rows: Sequence[Judged]) -> float | None:
    """Return the rank correlation of steps by operations a second and accelerator.

    Stricter than by tokens: the size of the model does not decide the order either.
    """
    steps = [j.quantity for j in rows]
    return stats.spearman([q.measured / q.flops for q in steps], [q.predicted / q.flops for q in steps])


def judge(row: Row) -> list[Judged] | Unpredicted:
    """Return a row's quantities with their predictions, or why there are none."""
    if not row.verified:
        return Unpredicted(row, "recalled, not read at its source")
    filling = Filling()
    try:
        with np.errstate(all="ignore"):  # a row that makes no sense ends as one that cannot be compared
            found = _PREDICT[row.kind](row, filling)
    except NotPredictedError as error:
        return Unpredicted(row, str(error))
    if not found or not all(finite(q.predicted) and q.predicted > 0 < q.measured for q in found):
        return Unpredicted(row, "nothing is measured that can be compared")
    filled = tuple(filling.taken)
    return [Judged(row.id if len(found) == 1 else f"{row.id}:{q.name}", row, q, filled) for q in found]


def validate(*, file: str | Path | None = None, set_: str = "", chip: str = "", kind: str = "") -> Report:
    """Predict measurements and compare.

    Args:
        file: a file of rows; the registry's measurements if absent.
        set_: only sets whose name contains this.
        chip: only this accelerator.
        kind: only this kind.

    Raises:
        InputError: a malformed file, or a filter that nothing passes.
    """
    rows, strange = (read_registry(), []) if file is None else read_file(file)
    chosen = select(rows, set_=set_, chip=chip, kind=kind)
    judged: list[Judged] = []
    unpredicted: list[Unpredicted] = []
    for row in chosen:
        found = judge(row)
        if isinstance(found, Unpredicted):
            unpredicted.append(found)
        else:
            judged += found
    return Report(tuple(judged), tuple(unpredicted), tuple(strange))


def select(rows: Iterable[Row], *, set_: str = "", chip: str = "", kind: str = "") -> list[Row]:
    """Return the rows of a set, of an accelerator and of a kind.

    Raises:
        InputError: no row has that set, accelerator or kind, or none has all of them.
    """
    rows = list(rows)
    for where, wanted, of in (
        ("--set", set_, lambda row: row.set),
        ("--chip", chip, chip_of),
        ("--kind", kind, lambda row: row.kind),
    ):
        if not wanted:
            continue
        names = sorted({of(row) for row in rows})
        key = fold(_registered(wanted) if where == "--chip" else wanted)
        found = [row for row in rows if (key in fold(of(row)) if where == "--set" else key == fold(of(row)))]
        if not found:
            raise unknown(where.removeprefix("--"), wanted, names).at(where)
        rows = found
    if not rows:
        raise InputError("there are no rows", where="validate", hint="name a file with rows")
    return rows


def chip_of(row: Row) -> str:
    """Return a row's accelerator by its name in the registry, or in the source's words."""
    return _registered(row.chip)


def _registered(name: str) -> str:
    try:
        return HARDWARE.find(name)
    except UnknownNameError:
        return name

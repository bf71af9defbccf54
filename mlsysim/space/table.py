"""Results as columns: numbers with a unit, and words.

A :class:`Table` goes to pandas, Polars, Arrow, Parquet and CSV; those libraries are imported when they
are asked for.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mlsysim.core.errors import InputError, MissingExtraError, unknown

ENDINGS = (".parquet", ".csv")


@dataclass(frozen=True)
class Words:
    """A column of words that repeat: an index into ``words`` for each row, in order of appearance."""

    codes: np.ndarray
    words: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def plain(self) -> np.ndarray:
        """Return one word a row."""
        return np.asarray(np.array(self.words or ("",), dtype=object)[self.codes])

    def where(self, word: str) -> np.ndarray:
        """Return where a word stands."""
        if word not in self.words:
            return np.zeros(len(self), dtype=bool)
        return np.asarray(self.codes == self.words.index(word))


Data = np.ndarray | Words


def words(codes: np.ndarray, names: Sequence[str]) -> Words:
    """Return a column of words, numbered in order of appearance, so that equal columns are equal."""
    distinct, first = np.unique(codes, return_index=True)
    order = np.argsort(first, kind="stable")
    number = np.zeros(int(distinct.max(initial=0)) + 1, dtype=np.int32)
    kept: dict[str, int] = {}
    for code in distinct[order]:
        number[code] = kept.setdefault(str(names[int(code)]), len(kept))
    return Words(number[codes], tuple(kept))


def joined(parts: Sequence[Data]) -> Data:
    """Return columns one below the other."""
    if not isinstance(parts[0], Words):
        return np.concatenate([np.asarray(p) for p in parts])
    all_words: dict[str, int] = {}
    codes = []
    for part in parts:
        assert isinstance(part, Words)
        number = np.array(
            [all_words.setdefault(w, len(all_words)) for w in part.words] or [0], dtype=np.int32
        )
        codes.append(number[part.codes])
    return words(np.concatenate(codes), tuple(all_words) or ("",))


@dataclass(frozen=True)
class Column:
    """A column: its name, unit (empty for words), what it is, and its values."""

    name: str
    unit: str
    title: str
    data: Data

    @property
    def values(self) -> np.ndarray:
        """One value a row."""
        return self.data.plain() if isinstance(self.data, Words) else self.data

    def shown(self, index: int) -> Any:
        """Return one value as plain Python."""
        if isinstance(self.data, Words):
            return self.data.words[int(self.data.codes[index])]
        return self.data[index].item()


@dataclass(frozen=True)
class Table:
    """The points of a design space and what came out of each.

    Attributes:
        columns: by name, in order. ``status`` is pass, sla_violation, fail or error, and ``reason`` why.
        objectives: columns that are made least or greatest, best first in :meth:`best`.
        greatest: of each objective, whether more is better.
        notes: what the user should know, e.g. which dimensions a solver decided.
    """

    columns: dict[str, Column]
    objectives: tuple[str, ...] = ()
    greatest: tuple[bool, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())).data) if self.columns else 0

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.columns:
            raise unknown("column", name, self.columns)
        return self.columns[name].values

    @property
    def units(self) -> dict[str, str]:
        """The unit of each column of numbers."""
        return {c.name: c.unit for c in self.columns.values() if not isinstance(c.data, Words)}

    @property
    def holds(self) -> np.ndarray:
        """Where every wall, limit and constraint holds."""
        status = self.columns["status"].data
        assert isinstance(status, Words)
        return status.where("pass")

    def row(self, index: int) -> dict[str, Any]:
        """Return a row as plain data; what does not apply is NaN."""
        return {name: c.shown(index) for name, c in self.columns.items()}

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows."""
        return (self.row(i) for i in range(len(self)))

    def keep(self, which: np.ndarray) -> Table:
        """Return some rows, by a mask or by their indices, in that order."""
        kept = {}
        for name, c in self.columns.items():
            data: Data
            if isinstance(c.data, Words):
                data = words(c.data.codes[which], c.data.words or ("",))
            else:
                data = c.data[which]
            kept[name] = Column(name, c.unit, c.title, data)
        return Table(kept, self.objectives, self.greatest, self.notes)

    def _cost(self, objective: str) -> np.ndarray:
        sign = -1.0 if self.greatest[self.objectives.index(objective)] else 1.0
        return sign * np.asarray(self[objective], dtype=float)

    def best(self, count: int = 1) -> Table:
        """Return the best rows of those that hold, by the first objective, best first.

        Raises:
            InputError: there is no objective.
        """
        if not self.objectives:
            raise InputError("there is no objective", where="best", hint="set minimize or maximize")
        cost = self._cost(self.objectives[0])
        fine = np.flatnonzero(self.holds & np.isfinite(cost))
        return self.keep(fine[np.argsort(cost[fine], kind="stable")][:count])

    def pareto(self) -> Table:
        """Return the rows that hold and that no other beats: as good in each objective, better in one.

        Raises:
            InputError: there are fewer than two objectives.
        """
        if len(self.objectives) < 2:
            raise InputError("a front has two objectives or more", where="pareto", hint="give a list")
        costs = np.stack([self._cost(name) for name in self.objectives], axis=1)
        fine = np.flatnonzero(self.holds & np.isfinite(costs).all(axis=1))
        return self.keep(fine[undominated(costs[fine])])

    def plot(self, x: str = "", y: str = "", color: str = "status") -> Any:
        """Return a scatter plot of two columns (Plotly); the objectives by default."""
        try:
            import plotly.express as px
        except ModuleNotFoundError as error:
            raise MissingExtraError("Plotly is not installed", hint="pip install 'mlsysim[labs]'") from error
        numeric = [n for n in self.columns if not isinstance(self.columns[n].data, Words)]
        axes = [x or next(iter([*self.objectives, *numeric])), y or [*self.objectives, *numeric][1]]
        label = {n: f"{n} [{self.columns[n].unit}]" for n in axes if self.columns[n].unit not in ("", "1")}
        return px.scatter(x=self[axes[0]], y=self[axes[1]], color=self[color], labels=label).update_layout(
            xaxis_title=label.get(axes[0], axes[0]),
            yaxis_title=label.get(axes[1], axes[1]),
            legend_title=color,
        )

    # -- other libraries --------------------------------------------------------------------------

    def to_arrow(self) -> Any:
        """Return an Arrow table; a column's unit and title are in its field's metadata."""
        pa = _library("pyarrow")
        arrays, schema = [], []
        for c in self.columns.values():
            if isinstance(c.data, Words):
                array = pa.DictionaryArray.from_arrays(
                    pa.array(c.data.codes, pa.int32()), pa.array(c.data.words or ("",), pa.string())
                )
            else:
                array = pa.array(np.ascontiguousarray(c.data))
            arrays.append(array)
            schema.append(pa.field(c.name, array.type, metadata={"unit": c.unit, "title": c.title}))
        told = {"mlsysim": json.dumps(self._about())}
        return pa.Table.from_arrays(arrays, schema=pa.schema(schema, metadata=told))

    def to_pandas(self) -> Any:
        """Return a pandas data frame; units are in ``frame.attrs["units"]``."""
        pd = _library("pandas")
        data = {
            n: pd.Categorical.from_codes(c.data.codes, list(c.data.words or ("",)))
            if isinstance(c.data, Words)
            else c.data
            for n, c in self.columns.items()
        }
        frame = pd.DataFrame(data)
        frame.attrs["units"] = self.units
        return frame

    def to_polars(self) -> Any:
        """Return a Polars data frame, without units: see :attr:`units`."""
        pl = _library("polars")
        return pl.DataFrame(
            {n: c.values.tolist() if isinstance(c.data, Words) else c.data for n, c in self.columns.items()}
        )

    def _about(self) -> dict[str, Any]:
        return {
            "objectives": list(self.objectives),
            "greatest": list(self.greatest),
            "notes": list(self.notes),
        }

    def write(self, path: str | Path) -> None:
        """Write Parquet or CSV, by the ending; units are in Parquet's schema and in CSV's header.

        Raises:
            InputError: another ending, or the file cannot be written.
        """
        path = Path(path)
        check_ending(path)
        new = path.with_name(path.name + ".new")
        try:
            if path.suffix.lower() == ".csv":
                self._write_csv(new)
            else:
                table = self.to_arrow()
                _library("pyarrow.parquet").write_table(table, new)
            new.replace(path)
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", where=str(path)) from error

    def _write_csv(self, path: Path) -> None:
        head = [c.name if c.unit in ("", "1") else f"{c.name} [{c.unit}]" for c in self.columns.values()]
        lists = [c.values.tolist() for c in self.columns.values()]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(head)
            writer.writerows(zip(*lists, strict=True))


def check_ending(path: str | Path) -> None:
    """Refuse a file that is neither Parquet nor CSV, and Parquet where PyArrow is missing."""
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"{Path(path).name!r} is neither Parquet nor CSV", hint="end it in .parquet or .csv")
    if ending == ".parquet":
        _library("pyarrow")


def read(path: str | Path) -> Table:
    """Return a table that :meth:`Table.write` wrote as Parquet.

    Raises:
        InputError: no such file, or not of ours.
    """
    pq = _library("pyarrow.parquet")
    try:
        found = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from error
    about = json.loads((found.schema.metadata or {}).get(b"mlsysim", b"{}"))
    columns = {}
    for f, chunks in zip(found.schema, found.columns, strict=True):
        meta = {k.decode(): v.decode() for k, v in (f.metadata or {}).items()}
        column = chunks.combine_chunks()
        if str(f.type).startswith("dictionary") or str(f.type) == "string":
            names = column.to_pylist()
            known = {w: i for i, w in enumerate(dict.fromkeys(names))}
            data: Data = Words(np.array([known[w] for w in names], dtype=np.int32), tuple(known))
        else:
            data = column.to_numpy(zero_copy_only=False)
        columns[f.name] = Column(f.name, meta.get("unit", ""), meta.get("title", ""), data)
    return Table(
        columns,
        tuple(about.get("objectives", ())),
        tuple(about.get("greatest", ())),
        tuple(about.get("notes", ())),
    )


def stacked(tables: Iterable[Table]) -> Table:
    """Return tables of the same columns one below the other."""
    found = list(tables)
    first = found[0]
    columns = {
        name: Column(name, c.unit, c.title, joined([t.columns[name].data for t in found]))
        for name, c in first.columns.items()
    }
    notes = tuple(dict.fromkeys(n for t in found for n in t.notes))
    return Table(columns, first.objectives, first.greatest, notes)


def undominated(costs: np.ndarray) -> np.ndarray:
    """Return the indices of the rows that no other row beats; all of those that are equal stay.

    Rows come in lexicographic order, so that a row is beaten by one before it if by any.
    """
    order = np.lexsort(costs.T[::-1])
    front = np.zeros((0, costs.shape[1]))
    kept = []
    for i in order:
        beaten = (front <= costs[i]).all(axis=1) & (front < costs[i]).any(axis=1)
        if not beaten.any():
            kept.append(int(i))
            front = np.vstack([front, costs[i]])
    return np.array(sorted(kept), dtype=np.int64)


def _library(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        extra = "pip install 'mlsysim[sweep]'" if package == "pyarrow" else f"pip install {package}"
        raise MissingExtraError(f"{package} is not installed", hint=extra) from error

"""Profiles as CSV: reading one that somebody else wrote, bounded, exact, with line numbers; writing one."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mlsysim.core import sealed, units
from mlsysim.core.errors import InputError, nearest

CARBON_UNIT = "gCO2e/kWh"
PRICE_UNIT = "USD/kWh"
COLUMNS = ("timestamp", "carbon_intensity", "price")
MAX_BYTES = 64 << 20
_HEADER = re.compile(r"([^\[(]*)(?:[\[(](.*)[\])])?")
_HOUR = 3600
_END = datetime(2200, 1, 1, tzinfo=UTC).timestamp()


@dataclass
class _Rows:
    """The rows of a file, in its order."""

    lines: list[int] = field(default_factory=list)
    seconds: list[int] = field(default_factory=list)
    carbon: list[float] = field(default_factory=list)
    price: list[float] = field(default_factory=list)


def read(
    path: Path, zone: ZoneInfo | None, carbon_unit: str, price_unit: str
) -> tuple[datetime, NDArray[np.float64], NDArray[np.float64]]:
    """Return the start in UTC, the carbon intensities [kgCO2e/J] and the prices [USD/J] of a file.

    Args:
        path: the file.
        zone: the clock of timestamps without an offset.
        carbon_unit: of the column, where its header says none.
        price_unit: likewise.

    Raises:
        InputError: with the line and the column.
    """
    name = str(path)
    table = _lines(_text(path), name)
    header_line, header = next(table, (1, []))
    position, in_header = _columns(header, COLUMNS, f"{name}:{header_line}")
    scale = {
        column: _scale(column, in_header[column], option, like, f"{name}:{header_line}")
        for column, option, like in (
            ("carbon_intensity", carbon_unit, CARBON_UNIT),
            ("price", price_unit, PRICE_UNIT),
        )
    }
    rows = _Rows()
    times = _Clock(zone)
    for line, cells in table:
        where = f"{name}:{line}"
        if len(cells) != len(header):
            raise InputError(f"{len(cells)} values for {len(header)} columns", where=where)
        rows.lines.append(line)
        rows.seconds.append(times.read(cells[position["timestamp"]], f"{where}: timestamp"))
        carbon = _number(cells[position["carbon_intensity"]], f"{where}: carbon_intensity")
        if carbon < 0:
            raise InputError(
                f"a carbon intensity of {carbon:g} is negative", where=f"{where}: carbon_intensity"
            )
        rows.carbon.append(carbon)
        rows.price.append(_number(cells[position["price"]], f"{where}: price"))
    if not rows.lines:
        raise InputError("there are no rows", where=name, hint=f"columns: {', '.join(COLUMNS)}")
    order, each = _steps(rows.seconds, rows.lines, name)
    carbons, prices = (
        np.array(values)[order].reshape(-1, each).mean(axis=1) * scale[column]
        for column, values in (("carbon_intensity", rows.carbon), ("price", rows.price))
    )
    return datetime.fromtimestamp(min(rows.seconds), UTC), carbons, prices


def read_demand(path: Path, zone: ZoneInfo | None) -> tuple[datetime, NDArray[np.float64]]:
    """Return the start in UTC and the hourly demand of a file with columns timestamp and demand.

    Rows of less than an hour are averaged to hours.

    Args:
        path: the file.
        zone: the clock of timestamps without an offset.

    Raises:
        InputError: with the line and the column.
    """
    name, columns = str(path), ("timestamp", "demand")
    table = _lines(_text(path), name)
    header_line, header = next(table, (1, []))
    position, _ = _columns(header, columns, f"{name}:{header_line}")
    times = _Clock(zone)
    lines: list[int] = []
    seconds: list[int] = []
    demand: list[float] = []
    for line, cells in table:
        where = f"{name}:{line}"
        if len(cells) != len(header):
            raise InputError(f"{len(cells)} values for {len(header)} columns", where=where)
        lines.append(line)
        seconds.append(times.read(cells[position["timestamp"]], f"{where}: timestamp"))
        demand.append(_number(cells[position["demand"]], f"{where}: demand"))
        if demand[-1] < 0:
            raise InputError(f"a demand of {demand[-1]:g} is negative", where=f"{where}: demand")
    if not lines:
        raise InputError("there are no rows", where=name, hint=f"columns: {', '.join(columns)}")
    order, each = _steps(seconds, lines, name)
    hours = np.array(demand)[order].reshape(-1, each).mean(axis=1)
    return datetime.fromtimestamp(min(seconds), UTC), hours


def write(
    path: Path, times: NDArray[np.datetime64], carbon: NDArray[np.float64], price: NDArray[np.float64]
) -> None:
    """Write hours as :func:`read` reads them: times in UTC, kgCO2e/J and USD/J as gCO2e/kWh and USD/kWh."""
    shown = (carbon / units.factor(CARBON_UNIT)[0]).tolist(), (price / units.factor(PRICE_UNIT)[0]).tolist()
    lines = [f"timestamp,carbon_intensity [{CARBON_UNIT}],price [{PRICE_UNIT}]"]
    lines += [f"{time}+00:00,{c!r},{p!r}" for time, c, p in zip(times, *shown, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _text(path: Path) -> str:
    name = str(path)
    sealed.check(name, "write the numbers into the plan")
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError("no such file", where=name) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot be read: {reason}", where=name, hint="name a CSV file") from error
    if len(raw) > MAX_BYTES:
        raise InputError(f"the file is larger than {MAX_BYTES >> 20} MiB", where=name)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError("not UTF-8 text", where=f"{name}:{line}", hint="save the file as UTF-8") from error


def _lines(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row that is not blank, with its line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise InputError(f"not valid CSV: {error}", where=f"{name}:{reader.line_num}") from error


def _columns(
    header: list[str], columns: tuple[str, ...], where: str
) -> tuple[dict[str, int], dict[str, str]]:
    """Return the position of each column, and the unit that the header says it is in."""
    position: dict[str, int] = {}
    unit: dict[str, str] = {}
    for index, cell in enumerate(header):
        match = _HEADER.fullmatch(cell)
        column = (match[1] if match else cell).strip().lower()
        if column not in columns:
            close = nearest(column, columns)
            raise InputError(
                f"unknown column {cell[:60]!r}",
                where=where,
                hint=f"Nearest: {close[0]}." if close else f"columns, with commas: {', '.join(columns)}",
            )
        if column in position:
            raise InputError(f"the column {column} stands twice", where=where)
        position[column] = index
        unit[column] = (match[2] or "").strip() if match else ""
    absent = [column for column in columns if column not in position]
    if absent:
        raise InputError(
            f"the column {absent[0]} is missing", where=where, hint=f"columns: {', '.join(columns)}"
        )
    return position, unit


def _scale(column: str, in_header: str, option: str, like: str, where: str) -> float:
    """Return what one of the column's unit is in base units."""
    if in_header and option and in_header != option:
        raise InputError(f"the header says {in_header}, the call {option}", where=f"{where}: {column}")
    try:
        return units.to_base(1.0, in_header or option or like, like)
    except InputError as error:
        raise error.at(f"{where}: {column}") from error


def _number(cell: str, where: str) -> float:
    if not cell:
        raise InputError("a value is missing", where=where, hint="fill the gap, or cut the file there")
    try:
        number = float(cell)
    except ValueError as error:
        raise InputError(f"{cell[:40]!r} is not a number", where=where) from error
    if not math.isfinite(number):
        raise InputError(f"{cell[:40]!r} is not a finite number", where=where)
    return number


class _Clock:
    """Reads timestamps, those without an offset by a local clock.

    When the clock goes back, a local time comes twice; the first in the file is the earlier.
    """

    def __init__(self, zone: ZoneInfo | None) -> None:
        self.zone = zone
        self.seen: set[datetime] = set()
        self.last: int | None = None

    def read(self, cell: str, where: str) -> int:
        """Return a timestamp in seconds of UTC."""
        try:
            time = datetime.fromisoformat(cell)
        except ValueError as error:
            raise InputError(
                f"{cell[:40]!r} is no timestamp", where=where, hint="e.g. 2025-03-30T01:00:00+01:00"
            ) from error
        if time.utcoffset() is None:
            time = self._localized(time, where)
        seconds = time.timestamp()
        if not 0 <= seconds < _END:
            raise InputError(f"{cell[:40]!r} is out of range", where=where, hint="years from 1970 to 2199")
        if seconds != int(seconds):
            raise InputError(f"{cell[:40]!r} is not on a whole second", where=where)
        return int(seconds)

    def _localized(self, time: datetime, where: str) -> datetime:
        if self.zone is None:
            raise InputError(
                f"{time.isoformat()} has no offset from UTC",
                where=where,
                hint="write e.g. 2025-03-30T01:00:00+01:00, or name the time zone",
            )
        try:
            local = time.replace(tzinfo=self.zone, fold=int(time in self.seen))
            in_utc = local.astimezone(UTC)
            exists = in_utc.astimezone(self.zone).replace(tzinfo=None, fold=0) == time
        except (OverflowError, ValueError) as error:
            raise InputError(f"{time.isoformat()} is out of range", where=where) from error
        if not exists:
            raise InputError(
                f"{time.isoformat()} does not exist in {self.zone.key}: the clock goes forward then",
                where=where,
            )
        seconds = int(in_utc.timestamp())
        if self.last is not None and seconds < self.last:
            raise InputError(
                "local times must be in order, or those that come twice cannot be told apart",
                where=where,
                hint="sort the rows, or write offsets",
            )
        self.seen.add(time)
        self.last = seconds
        return in_utc


def _steps(times: list[int], at: list[int], name: str) -> tuple[NDArray[np.int64], int]:
    """Return the order of rows in time, and how many there are an hour; refuse gaps and repetitions.

    Args:
        times: of the rows, in seconds of UTC.
        at: their lines.
        name: of the file.
    """
    seconds = np.array(times, dtype=np.int64)
    order = np.argsort(seconds, kind="stable")
    seconds, lines = seconds[order], np.array(at)[order]
    steps = np.diff(seconds)
    for i in np.flatnonzero(steps == 0)[:1]:
        raise InputError(
            f"{_iso(seconds[i])} stands twice, first on line {lines[i]}", where=f"{name}:{lines[i + 1]}"
        )
    sizes, counts = np.unique(steps, return_counts=True)
    step = int(sizes[counts.argmax()]) if steps.size else _HOUR
    if _HOUR % step:
        raise InputError(
            f"the rows are {step} s apart",
            where=name,
            hint="one row an hour, or a whole number of rows an hour",
        )
    for i in np.flatnonzero(steps != step)[:1]:
        missing = "rows are missing before this one" if steps[i] > step else "this row is out of step"
        raise InputError(
            f"{missing}: {_iso(seconds[i + 1])} comes {steps[i]} s after {_iso(seconds[i])}, not {step} s",
            where=f"{name}:{lines[i + 1]}",
        )
    each = _HOUR // step
    if seconds.size % each:
        raise InputError(
            f"the last hour has {seconds.size % each} of {each} rows",
            where=f"{name}:{lines[-1]}",
            hint="hours are counted from the first row",
        )
    return order, each


def _iso(seconds: np.int64) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()

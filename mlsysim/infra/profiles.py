"""Hour by hour: the carbon intensity and the price of electricity in a region.

A profile is synthetic (a documented daily, weekly and seasonal shape over the region's annual mean,
``registry/profiles.yaml``) or a user's own (:mod:`mlsysim.infra.profile_csv`). Time is UTC inside; local
clocks and daylight saving only decide which hour of a shape applies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from mlsysim.core import yamlfile
from mlsysim.core.errors import InputError, RegistryError
from mlsysim.core.provenance import Value
from mlsysim.core.registry import default, root
from mlsysim.infra import CATALOG, Region
from mlsysim.infra.profile_csv import read, write

Floats: TypeAlias = NDArray[np.float64]
Seconds: TypeAlias = NDArray[np.int64]

FILE = "profiles.yaml"
SEASONS = ("winter", "spring", "summer", "autumn")
YEAR = 8760
START = datetime(2025, 1, 1, tzinfo=UTC)
MOST_HOURS = 50 * 8784
FIRST_YEAR, LAST_YEAR = 1970, 2200
_HOUR, _HALF, _DAY = 3600, 1800, 86_400


@dataclass(frozen=True, eq=False)
class Profile:
    """Electricity of a place over consecutive hours.

    Attributes:
        carbon_intensity: mean of each hour [kgCO2e/J], never negative.
        price: mean of each hour [USD/J]; a market's may be negative.
        start: the instant at which the first hour begins; kept in UTC.
        kind: ``synthetic`` or ``csv``.
        source: what the numbers come from: shapes and their sources, or a file.

    Raises:
        InputError: arrays of different or no length, numbers that are not finite, a negative carbon
            intensity, or a start without a time zone.
    """

    carbon_intensity: Floats
    price: Floats
    start: datetime
    kind: str
    source: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _utc(self.start))
        for name in ("carbon_intensity", "price"):
            hours = np.array(getattr(self, name), dtype=np.float64)
            if hours.ndim != 1 or not hours.size:
                raise InputError("a profile is a row of hours, at least one", where=name)
            if not np.isfinite(hours).all():
                raise InputError("a value is not a finite number", where=name)
            hours.setflags(write=False)
            object.__setattr__(self, name, hours)
        if self.carbon_intensity.size != self.price.size:
            raise InputError(
                f"{self.price.size} prices for {self.carbon_intensity.size} hours of carbon", where="price"
            )
        if (self.carbon_intensity < 0).any():
            raise InputError("a carbon intensity is negative", where="carbon_intensity")

    def __len__(self) -> int:
        return int(self.price.size)

    @property
    def times(self) -> NDArray[np.datetime64]:
        """The instant at which each hour begins, in UTC."""
        first = np.datetime64(self.start.replace(tzinfo=None), "s")
        return first + np.arange(len(self)) * np.timedelta64(_HOUR, "s")

    def to_csv(self, path: str | Path) -> None:
        """Write the profile as :func:`from_csv` reads it, in gCO2e/kWh and USD/kWh."""
        write(Path(path), self.times, self.carbon_intensity, self.price)


def from_csv(path: str | Path, *, timezone: str = "", carbon_unit: str = "", price_unit: str = "") -> Profile:
    """Return a user's profile: columns ``timestamp``, ``carbon_intensity`` and ``price``.

    Rows may come in any order; those of less than an hour are averaged to hours, counted from the
    first. Everything else that is wrong is refused with its line.

    Args:
        path: a CSV file in UTF-8, with a header.
        timezone: the IANA name of the clock of timestamps that carry no offset. When clocks go back,
            the first of two equal timestamps is taken as the earlier.
        carbon_unit: of the column, where its header says none, as in ``carbon_intensity [gCO2e/kWh]``;
            gCO2e/kWh if neither does.
        price_unit: likewise; USD/kWh if neither does.

    Raises:
        InputError: naming the file, the line, and what is wrong there.
    """
    zone = named_zone(timezone) if timezone else None
    start, carbon, price = read(Path(path), zone, carbon_unit, price_unit)
    return Profile(carbon, price, start, "csv", str(path))


def synthetic(
    region: Region | str,
    hours: int = YEAR,
    start: datetime = START,
    *,
    wholesale_share: float | None = None,
) -> Profile:
    """Return a region's annual means, shaped by the hour, the day of the week and the season.

    Over a calendar year in UTC, the mean is the region's own annual mean.

    Args:
        region: a region, or the name of one.
        hours: how many.
        start: when the first begins, with a time zone.
        wholesale_share: share of the price that follows the wholesale market, from 0 to 1; the
            registry's estimate if absent. The rest (grid fees, taxes) is the same at all hours.

    Raises:
        InputError: no such region, one whose shape or clock is not known, or a bad number.
    """
    if isinstance(region, str):
        region = CATALOG.get(region)
    start = _utc(start)
    _check_hours(hours, start)
    share = _wholesale_share() if wholesale_share is None else wholesale_share
    if not 0 <= share <= 1:
        raise InputError(f"{share!r} is not a share from 0 to 1", where="wholesale_share")
    if region.carbon_intensity is None:
        raise InputError(f"{region.name} has no carbon intensity", where="region")
    mean_price = region.electricity_price() or default("electricity_price", "USD/J")
    kind, zone = shape_class(region), timezone_of(region)
    seconds = int(start.timestamp()) + _HOUR * np.arange(hours, dtype=np.int64)
    carbon = _multipliers("carbon", kind["carbon"], zone, seconds)
    price = 1.0 + share * (_multipliers("price", kind["price"], zone, seconds) - 1.0)
    return Profile(
        carbon * region.carbon_intensity.base,
        price * mean_price.base,
        start,
        "synthetic",
        f"shapes of {kind['name']} (carbon {_cited('carbon', kind)}, price {_cited('price', kind)}), "
        f"over the annual means of {region.name} ({region.carbon_intensity.source}, {mean_price.source})",
    )


def timezone_of(region: Region) -> str:
    """Return the IANA name of a region's time zone; one that is not known is an InputError."""
    return str(_look_up(region, _data()["timezone"], "time zone"))


def shape_class(region: Region) -> dict[str, Any]:
    """Return a grid's class: name, title, shapes of carbon and price; InputError if it has none."""
    found: dict[str, Any] = _look_up(region, _classes(), "hourly shape")
    return found


def _look_up(region: Region, table: dict[str, Any], what: str) -> Any:
    """Return what a table has for a region, its grid or its country, whichever comes first."""
    own = re.sub(r"(_variant)+$", "", region.name)
    for key in (own, region.grid, region.country):
        if key and key in table:
            return table[key]
    raise InputError(
        f"no {what} is known for {region.name}",
        where="region",
        hint="give its grid or country, or a CSV file of your own",
    )


@cache
def _data() -> dict[str, Any]:
    """Return ``registry/profiles.yaml``."""
    data = yamlfile.load_plain(yamlfile.read_text(root() / FILE), FILE)
    if not isinstance(data, dict):
        raise RegistryError("a mapping is expected here", where=FILE)
    return data


@cache
def _wholesale_share() -> float:
    return Value.parse(_data()["wholesale_share"], "1", f"{FILE}: wholesale_share").base


@cache
def _classes() -> dict[str, dict[str, Any]]:
    """Return the class of each region, grid or country that a class lists."""
    return {
        place: {"name": name, **kind}
        for name, kind in _data()["classes"].items()
        for place in (*kind["own"], *kind["like"])
    }


@cache
def _shape(quantity: str, name: str) -> tuple[Floats, Floats]:
    """Return a shape: (season, hour) multipliers and those of the seven weekdays from Monday."""
    shape = _data()[quantity][name]
    day = np.array([shape[season] for season in SEASONS], dtype=np.float64)
    workday, saturday, sunday = shape["week"]
    week = np.array([*[workday] * 5, saturday, sunday], dtype=np.float64)
    if day.shape != (4, 24) or day.min() <= 0 or week.min() <= 0:
        raise RegistryError("a shape has 4 x 24 positive multipliers", where=f"{FILE}: {quantity}.{name}")
    return day, week


def _cited(quantity: str, kind: dict[str, Any]) -> str:
    return f"{kind[quantity]}: {_data()[quantity][kind[quantity]]['source']}"


def _multipliers(quantity: str, name: str, zone: str, seconds: Seconds) -> Floats:
    """Return a shape at hours that begin at ``seconds`` (UTC), with mean 1 over each calendar year."""
    years, index = np.unique(seconds.astype("datetime64[s]").astype("datetime64[Y]"), return_inverse=True)
    means = np.array([_year_mean(quantity, name, zone, int(y.astype(np.int64)) + 1970) for y in years])
    shaped: Floats = _raw(quantity, name, zone, seconds) / means[index]
    return shaped


@lru_cache(maxsize=4096)
def _year_mean(quantity: str, name: str, zone: str, year: int) -> float:
    first, end = (int(datetime(y, 1, 1, tzinfo=UTC).timestamp()) for y in (year, year + 1))
    return float(_raw(quantity, name, zone, np.arange(first, end, _HOUR, dtype=np.int64)).mean())


def _raw(quantity: str, name: str, zone: str, seconds: Seconds) -> Floats:
    """Return a shape as the registry has it, each hour the mean of its halves: some clocks are at :30."""
    day, week = _shape(quantity, name)
    turn = 2 if zone in _data()["southern"] else 0
    total = np.zeros(seconds.size)
    for half in (0, _HALF):
        local = seconds + half + _offsets(zone, seconds + half)
        months = local.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
        season = ((months + 1) % 12 // 3 + turn) % 4
        weekday = (local // _DAY + 3) % 7  # 1970 began on a Thursday
        total += day[season, local // _HOUR % 24] * week[weekday]
    mean: Floats = total / 2
    return mean


def _offsets(zone: str, seconds: Seconds) -> Seconds:
    """Return how far a local clock is ahead of UTC at each instant [s].

    Asked of the time zone once a day; hour by hour only on the days on which it changes.
    """
    clock = named_zone(zone)

    def ahead(instant: int) -> int:
        offset = datetime.fromtimestamp(instant, clock).utcoffset() or timedelta()
        return int(offset.total_seconds())

    days = seconds // _DAY
    first = int(days.min())
    edges = np.array([ahead(d * _DAY) for d in range(first, int(days.max()) + 2)], dtype=np.int64)
    offsets: Seconds = edges[days - first]
    for i in np.flatnonzero(offsets != edges[days - first + 1]):
        offsets[i] = ahead(int(seconds[i]))
    return offsets


@cache
def named_zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name; one that is not known is an InputError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            f"no time zone called {name!r}",
            where="timezone",
            hint="an IANA name such as Europe/Berlin; where the system has none: pip install tzdata",
        ) from error


def _utc(start: datetime) -> datetime:
    if start.utcoffset() is None:
        raise InputError("the start has no time zone", where="start", hint="e.g. tzinfo=datetime.UTC")
    return start.astimezone(UTC)


def _check_hours(hours: object, start: datetime) -> None:
    if isinstance(hours, bool) or not isinstance(hours, int) or not 1 <= hours <= MOST_HOURS:
        raise InputError(f"{hours!r} is not a number of hours", where="hours", hint=f"1 to {MOST_HOURS:,}")
    if not FIRST_YEAR < start.year < LAST_YEAR:
        raise InputError(f"the year {start.year} is out of range", where="start")

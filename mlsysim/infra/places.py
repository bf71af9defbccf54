"""Where regions and users are, how far apart, and how long light takes between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlsysim.core import registry
from mlsysim.core.errors import InputError, UnknownNameError, fold, unknown
from mlsysim.core.provenance import Value
from mlsysim.core.records import Entry, number, read, text
from mlsysim.infra import CATALOG, Region
from mlsysim.infra.own import resolve_region
from mlsysim.physics import distance as physics

FILE = "cities.yaml"
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class City(Entry):
    """A place where people are, ``registry/cities.yaml``."""

    country: str = text(required=True)
    latitude: Value | None = number("deg", required=True)
    longitude: Value | None = number("deg", required=True)


@dataclass(frozen=True)
class Place:
    """A point on the Earth.

    Attributes:
        name: of the region or city.
        country: its code, two letters (ISO 3166), or what the region says.
        latitude, longitude: [rad].
    """

    name: str
    country: str
    latitude: float
    longitude: float


@cache
def cities() -> dict[str, City]:
    """Return the cities by name.

    Raises:
        RegistryError: a malformed entry.
    """
    raw = registry.table(FILE)
    return {name: read(City, item, f"{FILE}: {name}", name=name) for name, item in raw.items()}


def place(name: str | Region, folder: str | Path = "") -> Place:
    """Return where something is.

    Args:
        name: a region, its name or the path of one of your own; a city of the registry; or the code of
            a country (``FR``), which stands where its grid does.
        folder: that relative paths begin at.

    Raises:
        UnknownNameError: no region, city or country of that name, with the nearest.
        InputError: a region that does not say where it is.
    """
    if isinstance(name, Region):
        return _of(name)
    known = {fold(key): city for key, city in cities().items()}
    try:
        return _of(resolve_region(name, folder))
    except UnknownNameError:
        if fold(name) in known:
            return _of(known[fold(name)])
        if (country := _countries().get(name.strip().upper())) is not None:
            return _of(CATALOG.get(country))
        raise unknown("region or city", name, (*CATALOG.paths, *cities()), "mlsysim zoo infra") from None


def _of(entry: Region | City) -> Place:
    if entry.latitude is None or entry.longitude is None:
        raise InputError(
            f"{entry.name} does not say where it is",
            where="latitude",
            hint="give latitude and longitude in its entry, or name a region or city that has them",
        )
    return Place(entry.name, entry.country, entry.latitude.base, entry.longitude.base)


@cache
def _countries() -> dict[str, str]:
    """Return the grid of each country that is one grid, by the country's code."""
    found: dict[str, list[str]] = {}
    for name in CATALOG.names("grids"):
        found.setdefault(CATALOG.get(name).country, []).append(name)
    return {code: grids[0] for code, grids in found.items() if len(grids) == 1} | {
        "US": "US_Avg",
        "CA": "Canada",
    }


def distances(here: Sequence[Place], there: Sequence[Place]) -> Floats:
    """Return how far each of some places is from each of others along the great circle [m]."""
    a, b = (np.array([(p.latitude, p.longitude) for p in places]).reshape(-1, 2) for places in (here, there))
    radius = registry.default("earth_radius", "m").base
    return np.asarray(physics.great_circle(a[:, :1], a[:, 1:], b[:, 0], b[:, 1], radius))


def round_trips(here: Sequence[Place], there: Sequence[Place]) -> Floats:
    """Return the round-trip time of the network between each of some places and each of others [s]."""
    light, index, route = (
        registry.default(name, unit).base
        for name, unit in (("light_speed", "m/s"), ("fibre_index", "1"), ("route_factor", "1"))
    )
    return np.asarray(physics.round_trip_time(distances(here, there), light, index, route))

"""Checks of where things are and what moving data costs: ``cities.yaml`` and ``egress.yaml``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlsysim.core.check import entries
from mlsysim.core.check.ranges import RANGES, check_ranges
from mlsysim.core.check.report import Notes, Problem, listed
from mlsysim.core.provenance import Value


def whereabouts_problems(region: Any) -> Iterator[Problem]:
    """Yield a latitude without a longitude, or the other way round."""
    if (region.latitude is None) != (region.longitude is None):
        missing = "longitude" if region.longitude is None else "latitude"
        yield Problem(missing, "a place needs both latitude and longitude")


def check_cities(raw: Any, file: str, gone: set[entries.Keys], notes: Notes) -> list[Value]:
    """Check ``cities.yaml``: each city has a title, a country and coordinates; return its values."""
    from mlsysim.infra.places import City

    if not isinstance(raw, dict):
        notes.error(file, "", "a mapping is expected here: name, then title, country and coordinates")
        return []
    found: list[Value] = []
    for name, item in raw.items():
        own, apart = {path[1:] for path in gone if path[0] == name}, Notes()
        city = entries.read_entry(City, item, file, own, apart, name=str(name))
        if city is not None:
            check_ranges(city, RANGES["infra"], file, apart)
            found += city.values().values()
        for finding in apart.findings():
            notes.error(file, ".".join(filter(None, (str(name), finding.field))), finding.problem)
    return found


def check_egress(raw: Any, file: str, notes: Notes) -> list[Value]:
    """Check ``egress.yaml``: tables of prices by country or continent; return its values."""
    from mlsysim.infra.egress import ANY, CONTINENTS, OTHERS, TABLES

    continents = raw.get(CONTINENTS) if isinstance(raw, dict) else None
    if not isinstance(continents, dict) or not all(isinstance(c, list) for c in continents.values()):
        notes.error(file, CONTINENTS, "a mapping is expected here: continent, then its countries")
        return []
    countries = [country for listed_ in continents.values() for country in listed_]
    for country in {c for c in countries if countries.count(c) > 1}:
        notes.error(file, CONTINENTS, f"{country} is on two continents")
    if OTHERS not in raw:
        notes.error(file, OTHERS, "the prices of all other owners are missing")
    keys, found = {ANY, *continents, *countries}, []
    for provider, tables in raw.items():
        if provider == CONTINENTS:
            continue
        shape = isinstance(tables, dict) and all(isinstance(rows, dict) for rows in tables.values())
        if not shape or not {"regions", "internet"} <= set(tables) or set(tables) - set(TABLES):
            notes.error(file, str(provider), f"tables are expected here: {listed(TABLES)}")
            continue
        for table, rows in tables.items():
            field = f"{provider}.{table}"
            if ANY not in rows:
                notes.error(file, field, f"the price of all places that are not named, {ANY!r}, is missing")
            for key, item in rows.items():
                found += _price(item, file, f"{field}.{key}", notes)
                if key not in keys:
                    notes.error(file, f"{field}.{key}", "neither a country nor a continent of this file")
    return found


def _price(item: Any, file: str, field: str, notes: Notes) -> list[Value]:
    value = entries.parse_value(item, "USD/byte", file, field, notes)
    if value is None:
        return []
    if problem := RANGES["egress"]["price"].problem(value):
        notes.error(file, field, problem)
    return [value]

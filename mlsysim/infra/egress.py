"""What it costs to move data out of a region (``registry/egress.yaml``)."""

from __future__ import annotations

from functools import cache
from typing import Any

from mlsysim.core import registry
from mlsysim.core.provenance import Value
from mlsysim.infra import Region

FILE = "egress.yaml"
# tables of a provider: to its other regions, to those on another continent (by where data leaves, and by
# where it arrives; the dearer counts), and to anywhere else
TABLES = ("regions", "overseas", "overseas_to", "internet")
CONTINENTS, OTHERS, ANY = "continents", "others", "any"


def egress_price(here: Region, there: Region | None) -> Value | None:
    """Return the price of moving data from a region to another, or to the internet [USD/byte].

    Between regions of one provider its own network is used; towards any other region data leaves over
    the internet. Prices are those of the first 10 TB a month at list; arriving is free everywhere.

    Args:
        here: where data leaves.
        there: where it arrives; None for users and anything else on the internet.

    Returns:
        The price with its source; None where nothing leaves, since both are the same region.
    """
    if there is not None and there.reference == here.reference:
        return None
    tables = _tables()
    rows = tables.get(here.provider) or tables[OTHERS]
    if there is None or there.provider != here.provider:
        return _row(rows["internet"], here.country)
    if continent(here.country) == continent(there.country) or "overseas" not in rows:
        return _row(rows["regions"], here.country)
    leaving = _row(rows["overseas"], here.country)
    if "overseas_to" not in rows:
        return leaving
    arriving = _row(rows["overseas_to"], there.country)
    return max(leaving, arriving, key=lambda price: price.base)


def continent(country: str) -> str:
    """Return the continent that price lists count a country to; empty where they name none."""
    return _continents().get(country, "")


def _row(table: dict[str, Value], country: str) -> Value:
    """Return the price for a country: its own, or its continent's, or that of all others."""
    return table.get(country) or table.get(continent(country)) or table[ANY]


@cache
def _continents() -> dict[str, str]:
    raw: dict[str, list[str]] = registry.table(FILE)[CONTINENTS]
    return {country: name for name, countries in raw.items() for country in countries}


@cache
def _tables() -> dict[str, dict[str, dict[str, Value]]]:
    def parsed(provider: str, table: str, raw: dict[str, Any]) -> dict[str, Value]:
        return {
            key: Value.parse(item, "USD/byte", f"{FILE}: {provider}.{table}.{key}")
            for key, item in raw.items()
        }

    return {
        provider: {table: parsed(provider, table, rows) for table, rows in raw.items()}
        for provider, raw in registry.table(FILE).items()
        if provider != CONTINENTS
    }

"""Layer C: regions and the grids under them."""

from __future__ import annotations

from dataclasses import dataclass

from mlsysim.core.provenance import Value
from mlsysim.core.records import Entry, number, text
from mlsysim.core.registry import Catalog


@dataclass(frozen=True, repr=False)
class Region(Entry):
    """A place to run: carbon intensity, electricity price, the site's PUE and WUE, and where it is.

    ``latitude`` and ``longitude`` are those of the town that the operator names; those of a grid are of
    its most populous city, as each value says.
    """

    provider: str = text(required=True)
    country: str = text()
    grid: str = text()
    carbon_intensity: Value | None = number("kgCO2e/J", required=True)
    price: Value | None = number("USD/J")
    pue: Value | None = number("1")
    wue: Value | None = number("L/J")
    carbon_free: Value | None = number("1")
    latitude: Value | None = number("deg")
    longitude: Value | None = number("deg")

    def electricity_price(self) -> Value | None:
        """Return the price of electricity here, or that of the grid that the region stands in."""
        if self.price is None and self.grid:
            return CATALOG.get(self.grid).price
        return self.price


CATALOG: Catalog[Region] = Catalog("infra", "infra", {"": Region})

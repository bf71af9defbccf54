"""What a run takes from the world: energy, carbon, water and money (Barroso 2018, Patterson 2021).

Everything is linear in the run's accelerator-seconds, so the same functions fill a table over
regions and evaluate one run.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Fleet:
    """A fleet and what it costs while it runs.

    Attributes:
        units: accelerators.
        power: average draw of one accelerator with its share of the server [W].
        price: purchase of one accelerator with its share of the server [USD].
        rent: of one accelerator [USD/s].
        embodied: emissions of making one accelerator with its share of the server [kgCO2e].
        lifetime: over which purchase and embodied emissions are written off [s].
        upkeep: cost of maintenance a second as a share of the purchase price [1/s].
    """

    units: Array
    power: float
    price: float
    rent: float
    embodied: float
    lifetime: float
    upkeep: float


@dataclass(frozen=True)
class Site:
    """A place to run; every field may be an array over regions.

    Attributes:
        price: of electricity [USD/J].
        carbon_intensity: [kgCO2e/J].
        pue: power usage effectiveness, facility over IT energy.
        wue: water used on site for each joule of IT energy [L/J].
        grid_water: water used to generate a joule [L/J].
    """

    price: Array
    carbon_intensity: Array
    pue: Array
    wue: Array
    grid_water: Array


@dataclass(frozen=True)
class Bill:
    """What a run of some duration takes.

    J, kgCO2e, L and USD. ``tco`` is what the plan pays: rent, or capital share, energy and upkeep.
    """

    it_energy: Array
    energy: Array
    operational_carbon: Array
    embodied_carbon: Array
    carbon: Array
    water: Array
    energy_cost: Array
    capital: Array
    capital_share: Array
    upkeep: Array
    rent: Array
    tco: Array


def bill(fleet: Fleet, site: Site, seconds: Array, rented: bool) -> Bill:
    """Return what ``seconds`` of the fleet at the site take.

    ``E = units P t PUE``; carbon is ``E CI`` plus the share ``t / lifetime`` of the embodied
    emissions (Patterson 2021, section 2; Gupta 2022, equation 2); water is used on site in
    proportion to IT energy and at the power plants in proportion to all of it (Li 2023).
    """
    it_energy = fleet.units * fleet.power * seconds
    energy = it_energy * site.pue
    operational = energy * site.carbon_intensity
    embodied = fleet.units * fleet.embodied * (seconds / fleet.lifetime) + 0.0 * operational
    energy_cost = energy * site.price
    capital = fleet.units * fleet.price + 0.0 * energy_cost
    capital_share = capital * (seconds / fleet.lifetime)
    upkeep = capital * fleet.upkeep * seconds
    rent = fleet.units * fleet.rent * seconds + 0.0 * energy_cost
    return Bill(
        it_energy=it_energy,
        energy=energy,
        operational_carbon=operational,
        embodied_carbon=embodied,
        carbon=operational + embodied,
        water=it_energy * site.wue + energy * site.grid_water,
        energy_cost=energy_cost,
        capital=capital,
        capital_share=capital_share,
        upkeep=upkeep,
        rent=rent,
        tco=rent if rented else capital_share + energy_cost + upkeep,
    )


def taxed(cost: Array, carbon: Array, tax: float, water: Array = 0.0, water_price: float = 0.0) -> Array:
    """Return cost plus a carbon tax [USD], in USD a kgCO2e, and a price of water, in USD a litre."""
    return cost + tax * carbon + water_price * water


def model_flops_utilization(model_flops: Array, time: Array, accelerators: Array, peak: float) -> Array:
    """Return the MFU: model operations over what the peak could do (Chowdhery 2022, appendix B)."""
    return model_flops / (time * accelerators * peak)

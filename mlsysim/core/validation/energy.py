"""Energy and carbon of a run whose power and hours a source states."""

from __future__ import annotations

from mlsysim.core import units
from mlsysim.core.validation.filling import Filling
from mlsysim.core.validation.rows import Row
from mlsysim.core.validation.subject import NotPredictedError, count_of
from mlsysim.core.validation.training import Quantity
from mlsysim.physics.operations import Bill, Fleet, Site, bill

_HOUR, _DAY = (units.factor(name)[0] for name in ("h", "day"))
# The carbon that follows from energy and grid, by the names that sources give it.
_CARBON = ("tco2e", "tco2e_gross", "tco2e_dynamic")


def predict(row: Row, filling: Filling) -> list[Quantity]:
    """Return the energy and carbon that a row states, and what power, hours, PUE and grid make.

    Raises:
        NotPredictedError: with the reason.
    """
    m = row.measured
    pue = m.get("pue")
    if pue is None and "tco2e_dynamic" in m:  # of the accelerators alone
        pue = filling.take("pue", 1.0, "dynamic energy leaves the facility out")
    if pue is None:
        raise NotPredictedError("the source states no PUE")
    seconds, power = _accelerator_seconds(row), m.get("gpu_power_w") or row.hardware.get("power_w_per_chip")
    if power is None:
        raise NotPredictedError("the source states no power")
    grid = m.get("carbon_intensity_kg_per_kwh")
    found = _bill(seconds, float(power), float(pue), float(grid or 0.0))
    quantities = []
    if "energy_mwh" in m:
        energy = units.from_base(float(found.energy), "MWh")
        quantities.append(Quantity("energy_mwh", float(m["energy_mwh"]), energy, "MWh"))
    carbon = units.from_base(float(found.operational_carbon), "tCO2e")
    quantities += [
        Quantity(name, float(m[name]), carbon, "tCO2e") for name in _CARBON if name in m and grid is not None
    ]
    if not quantities:
        raise NotPredictedError("the source states neither energy nor the carbon of its grid")
    return quantities


def _accelerator_seconds(row: Row) -> float:
    if "gpu_hours" in row.measured:
        return float(row.measured["gpu_hours"]) * _HOUR
    if "days" in row.measured:
        return float(row.measured["days"]) * _DAY * count_of(row)
    raise NotPredictedError("the source states no accelerator hours")


def _bill(seconds: float, power: float, pue: float, grid: float) -> Bill:
    fleet = Fleet(units=1.0, power=power, price=0.0, rent=0.0, embodied=0.0, lifetime=1.0, upkeep=0.0)
    intensity = grid * units.factor("kgCO2e/kWh")[0]
    return bill(fleet, Site(0.0, intensity, pue, 0.0, 0.0), seconds, rented=False)

"""Regions, accelerators and data transfer of the fleets to plan, from the registry."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache

import numpy as np
from numpy.random import Generator

from mlsysim.core.api import scenario
from mlsysim.core.errors import InputError
from mlsysim.core.machine import site_of
from mlsysim.core.schedule.types import Floats, Places
from mlsysim.hardware import CATALOG as HARDWARE
from mlsysim.infra import CATALOG, Region
from mlsysim.infra.profiles import synthetic
from mlsysim.physics.operations import Fleet, Site, bill

TYPES = ("H100", "A100", "B200")
STEP = 3600.0
CLOUDS = ("AWS", "Azure", "Google Cloud")
WATT = Fleet(units=1.0, power=1.0, price=0.0, rent=0.0, embodied=0.0, lifetime=1.0, upkeep=0.0)
# USD/B of data that leave a region, to one of the same part of the world and to one of another
NEAR, FAR = 0.02e-9, 0.05e-9
BLOCS = {
    "Americas": "US CA MX BR CL",
    "Europe": "AT BE CH DE DK ES FI FR GB IE IT NL NO PL PT SE",
    "Asia": "AU CN HK ID IN JP KR NZ SG TH TW",
    "Middle East and Africa": "AE BH IL KE QA SA ZA",
}


@dataclass(frozen=True)
class Machine:
    """An accelerator with its share of the server: draw [W] and peak of bf16 [FLOP/s]."""

    power: float
    peak: float


@cache
def machines() -> dict[str, Machine]:
    """Return the accelerators of :data:`TYPES`."""
    found = {}
    for name in TYPES:
        plan = {
            "version": "1.0",
            "workload": {"name": "GPT2", "batch_size": 8},
            "hardware": {"name": name, "accelerators": 8},
        }
        peak = HARDWARE.get(name).peak.bf16
        found[name] = Machine(scenario(plan).fleet.power, peak.base)
    return found


def bloc(region: Region) -> str:
    """Return the part of the world that a region is in."""
    return next(name for name, countries in BLOCS.items() if region.country in countries.split())


def regions(count: int, rng: Generator) -> list[Region]:
    """Return regions of the large clouds whose price and hourly profile are known."""
    known = []
    for name in CATALOG.names():
        region = CATALOG.get(name)
        if region.provider not in CLOUDS or region.electricity_price() is None:
            continue
        known.append(region)
    if count > len(known):
        raise InputError(f"{count} regions", where="regions", hint=f"the registry has {len(known)}")
    return [known[i] for i in sorted(rng.permutation(len(known))[:count].tolist())]


def places(chosen: list[Region], start: datetime, slots: int) -> Places:
    """Return the regions hour by hour; nothing limits them yet."""
    profiles = [synthetic(region, slots, start) for region in chosen]
    sites = [site_of(region) for region in chosen]
    column = {f.name: np.array([[getattr(s, f.name)] for s in sites]) for f in fields(Site)}
    column["price"] = np.array([p.price for p in profiles])
    column["carbon_intensity"] = np.array([p.carbon_intensity for p in profiles])
    whole = bill(WATT, Site(**column), STEP, rented=False)
    shape = (len(chosen), slots)
    return Places(
        names=tuple(region.name for region in chosen),
        hardware=TYPES,
        start=start,
        step=STEP,
        cost=np.asarray(whole.energy_cost),
        carbon=np.asarray(whole.operational_carbon),
        water=np.broadcast_to(np.asarray(whole.water), shape).copy(),
        pue=column["pue"][:, 0],
        power=np.full(shape, np.inf),
        accelerators=np.full((len(TYPES), *shape), np.inf),
        carbon_cap=np.full(len(chosen), np.inf),
    )


def egress(chosen: list[Region]) -> Floats:
    """Return what a byte costs from a region to another [USD], R x R."""
    blocs = np.array([bloc(region) for region in chosen])
    paid: Floats = np.where(blocs[:, None] == blocs, NEAR, FAR)
    np.fill_diagonal(paid, 0.0)
    return paid

"""Energy, carbon, water, money and utilization against published runs."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_cases import KORTHIKANTI, gpt

from mlsysim.physics import transformer as tf
from mlsysim.physics.operations import Bill, Fleet, Site, bill, model_flops_utilization, taxed

HOUR, DAY, YEAR, KWH = 3600.0, 86400.0, 31_557_600.0, 3.6e6
FLEET = Fleet(
    units=8.0,
    power=1000.0,
    price=30_000.0,
    rent=3.0 / HOUR,
    embodied=150.0,
    lifetime=5 * YEAR,
    upkeep=0.02 / YEAR,
)
SITE = Site(price=0.10 / KWH, carbon_intensity=0.4 / KWH, pue=1.25, wue=0.5 / KWH, grid_water=3.0 / KWH)


def energy_bill(kwh: float, **site: float) -> Bill:
    """What ``kwh`` of IT energy take at a site, from one accelerator of 1 kW."""
    fleet = Fleet(1.0, 1000.0, 0.0, 0.0, 0.0, YEAR, 0.0)
    given_site = {"price": 0.0, "carbon_intensity": 0.0, "pue": 1.0, "wue": 0.0, "grid_water": 0.0} | site
    return bill(fleet, Site(**given_site), kwh * HOUR, rented=False)


# -- published runs -------------------------------------------------------------------------------


def test_bloom():
    """Luccioni 2022: 1,082,990 GPU-hours at 400 W are 433,196 kWh and, at 57 g/kWh, 24.69 t."""
    fleet = Fleet(
        units=1.0,
        power=400.0,
        price=0.0,
        rent=0.0,
        embodied=150.0 + 2500.0 / 8,
        lifetime=0.85 * 6 * YEAR,
        upkeep=0.0,
    )
    run = bill(fleet, Site(0.0, 0.057 / KWH, 1.0, 0.0, 0.0), 1_082_990 * HOUR, rented=False)
    assert run.energy / KWH == pytest.approx(433_196, rel=1e-9)
    assert round(run.operational_carbon / 1e3, 2) == 24.69
    # a GPU of 150 kg and an eighth of a server of 2500 kg, in use 85% of 6 years: 11.2 t
    assert round(run.embodied_carbon / 1e3, 1) == 11.2
    assert run.carbon == run.operational_carbon + run.embodied_carbon


@pytest.mark.parametrize(
    ("megawatt_hours", "kg_a_kwh", "tonnes"), [(1287, 0.429, 552.1), (85.7, 0.545, 46.7)]
)  # GPT-3 and T5, Patterson 2021, table 4
def test_gross_carbon_of_patterson(megawatt_hours, kg_a_kwh, tonnes):
    carbon = energy_bill(1e3 * megawatt_hours, carbon_intensity=kg_a_kwh / KWH).carbon
    assert round(carbon / 1e3, 1) == tonnes


def test_energy_of_gpt3():
    """Patterson 2021, table 4: 10,000 V100 at 330 W for 14.8 days at PUE 1.1 are 1,287 MWh.

    The days are printed to a tenth, so the energy must lie between 14.75 and 14.85 days.
    """
    fleet = Fleet(10_000.0, 330.0, 0.0, 0.0, 0.0, YEAR, 0.0)
    site = Site(0.0, 0.0, 1.1, 0.0, 0.0)
    low, high = (bill(fleet, site, days * DAY, rented=False).energy / KWH / 1e3 for days in (14.75, 14.85))
    assert low < 1287 < high


def test_llama_3_1():
    """Model card: 39.3M hours of H100 at 700 W are 27.5 GWh; 11,390 t mean 414 g/kWh."""
    fleet = Fleet(16_000.0, 700.0, 0.0, 0.0, 0.0, YEAR, 0.0)
    run = bill(fleet, Site(0.0, 0.414 / KWH, 1.0, 0.0, 0.0), 39.3e6 / 16_000 * HOUR, rented=False)
    assert round(run.energy / KWH / 1e6, 2) == 27.51
    assert round(run.carbon / 1e3, -1) == 11_390


def test_water_of_gpt3():
    """Li 2023, table 1, US average: 1,287 MWh, PUE 1.17, 0.55 on site and 3.142 L/kWh at the plants."""
    run = energy_bill(1.287e6, pue=1.17, wue=0.55 / KWH, grid_water=3.142 / KWH)
    on_site = energy_bill(1.287e6, pue=1.17, wue=0.55 / KWH)
    assert round(on_site.water / 1e6, 3) == 0.708
    assert round((run.water - on_site.water) / 1e6, 3) == 4.731
    assert round(run.water / 1e6, 3) == 5.439


# -- by hand --------------------------------------------------------------------------------------


def test_a_day_of_eight_owned():
    day = bill(FLEET, SITE, DAY, rented=False)
    assert day.it_energy / KWH == pytest.approx(192)  # 8 x 1 kW x 24 h
    assert day.energy / KWH == pytest.approx(240)  # PUE 1.25
    assert day.energy_cost == pytest.approx(24.0)
    assert day.operational_carbon == pytest.approx(96.0)
    assert day.embodied_carbon == pytest.approx(8 * 150 / (5 * 365.25))
    assert day.water == pytest.approx(192 * 0.5 + 240 * 3)
    assert day.capital == pytest.approx(240_000)
    assert day.capital_share == pytest.approx(240_000 / (5 * 365.25))
    assert day.upkeep == pytest.approx(240_000 * 0.02 / 365.25)
    assert day.tco == pytest.approx(24.0 + 240_000 / (5 * 365.25) + 240_000 * 0.02 / 365.25)


def test_rent_is_the_whole_bill():
    day = bill(FLEET, SITE, DAY, rented=True)
    assert day.rent == pytest.approx(8 * 24 * 3.0)
    assert day.tco == day.rent
    # the world pays the same
    owned = bill(FLEET, SITE, DAY, rented=False)
    assert (day.carbon, day.water, day.energy) == (owned.carbon, owned.water, owned.energy)


def test_a_run_of_the_whole_lifetime_writes_everything_off():
    life = bill(FLEET, SITE, FLEET.lifetime, rented=False)
    assert life.capital_share == pytest.approx(life.capital)
    assert life.embodied_carbon == pytest.approx(8 * 150)


def test_tax():
    assert taxed(100.0, 2000.0, 0.05) == 200.0


@given(seconds=st.floats(0.0, 1e9), factor=st.floats(0.0, 100.0), rented=st.booleans())
def test_everything_but_the_purchase_is_linear_in_time_and_fleet(seconds, factor, rented):
    one = replace(bill(FLEET, SITE, seconds, rented), capital=0.0)
    longer = replace(bill(FLEET, SITE, factor * seconds, rented), capital=0.0)
    larger = replace(bill(replace(FLEET, units=8.0 * factor), SITE, seconds, rented), capital=0.0)
    for base, a, b in zip(astuple(one), astuple(longer), astuple(larger), strict=True):
        assert a == pytest.approx(factor * base, rel=1e-9)
        assert b == pytest.approx(factor * base, rel=1e-9)


def test_no_time_takes_nothing_but_the_purchase():
    none = bill(FLEET, SITE, 0.0, rented=False)
    assert none.capital == 240_000
    assert set(astuple(replace(none, capital=0.0))) == {0.0}


def test_arrays_over_regions_agree_with_scalars():
    regions = Site(
        price=np.array([1e-8, 3e-8]),
        carbon_intensity=np.array([1e-9, 1e-7]),
        pue=np.array([1.1, 1.5]),
        wue=np.array([0.0, 1e-7]),
        grid_water=np.array([1e-6, 0.0]),
    )
    many = bill(FLEET, regions, DAY, rented=False)
    for i in range(2):
        here = Site(
            *(
                float(getattr(regions, f)[i])
                for f in ("price", "carbon_intensity", "pue", "wue", "grid_water")
            )
        )
        one = bill(FLEET, here, DAY, rented=False)
        for name in ("carbon", "water", "tco", "energy", "embodied_carbon", "capital"):
            assert getattr(many, name)[i] == getattr(one, name), name


# -- utilization ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "batch", "accelerators", "seconds", "percent"),
    [
        # Korthikanti 2022, table 5: iteration time and MFU on A100 of 312 TFLOP/s
        ("22B", 4, 8, 1.10, 41.5),
        ("175B", 64, 64, 13.75, 51.4),
        ("530B", 280, 280, 37.83, 56.0),
        ("1T", 512, 512, 71.49, 56.3),
    ],
)
def test_utilization_of_korthikanti(name, batch, accelerators, seconds, percent):
    """The seconds are printed to a hundredth: 41.5 must lie between 1.095 s and 1.105 s."""
    model, _ = KORTHIKANTI[name]
    flops = 3.0 * tf.forward_flops(model, batch * 2048.0, 2048.0)
    low, high = (
        100 * model_flops_utilization(flops, t, float(accelerators), 312e12)
        for t in (seconds + 0.005, seconds - 0.005)
    )
    assert low - 0.05 <= percent <= high + 0.05


def test_utilization_of_palm():
    """Chowdhery 2022, section 4.1 and appendix B: 238.3k tokens/s on 6144 TPU v4 of 275 TFLOP/s.

    46.2% with attention, 45.7% without: 6N + 12 L H Q T operations a token.
    """
    palm = tf.Transformer(
        layers=118.0,
        hidden=18432.0,
        ffn=73728.0,
        heads=48.0,
        kv_heads=1.0,
        head_dim=256.0,
        vocab=256_000.0,
        tied=True,
        norm_width=0.0,
    )
    attention = 3.0 * (tf.forward_flops(palm, 1.0, 2048.0) - tf.forward_flops(palm, 1.0, 0.0))
    assert attention == pytest.approx(12 * 118 * 48 * 256 * 2048, rel=1e-9)
    for span, percent in ((2048.0, 46.2), (0.0, 45.7)):
        flops = 238.3e3 * 3.0 * tf.forward_flops(palm, 1.0, span)
        assert round(100 * model_flops_utilization(flops, 1.0, 6144.0, 275e12), 1) == percent


def test_utilization_of_mt_nlg():
    """Chowdhery 2022, table 3: 65.43k tokens/s on 2240 A100 are 30.2%."""
    model = gpt(105.0, 20480.0, 128.0)
    share = model_flops_utilization(65.43e3 * 3.0 * tf.forward_flops(model, 1.0, 2048.0), 1.0, 2240.0, 312e12)
    assert round(100 * share, 1) == 30.2


def test_utilization_is_one_at_the_peak():
    assert model_flops_utilization(2e15, 2.0, 10.0, 1e14) == 1.0

"""The dimension proof: equations called with Pint quantities give what their docstrings promise."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pint
import pytest
from physics_cases import DEEPSEEK_V3, LLAMA3_8B, MIXTRAL_8X7B, job

import mlsysim
from mlsysim.core import units
from mlsysim.core.metrics import METRICS
from mlsysim.physics import collectives as net
from mlsysim.physics import memory, opaque, operations, roofline
from mlsysim.physics import training as tr
from mlsysim.physics import transformer as tf
from mlsysim.physics.serving import Service
from mlsysim.physics.topology import Cut
from mlsysim.walls import WALLS, Limits, State

u = units.ureg()
Q = u.Quantity


def has(value: Any, unit: str) -> bool:
    """Whether a quantity, or a bare number for dimensionless units, has the dimension of a unit."""
    dimension = value.dimensionality if isinstance(value, u.Quantity) else Q(1.0).dimensionality
    return bool(dimension == Q(1.0, "" if unit == "1" else unit).dimensionality)


# -- collectives ----------------------------------------------------------------------------------

UP = net.Tier(bandwidth=Q(400.0, "GB/s"), latency=Q(1.0, "us"))
OUT = net.Tier(bandwidth=Q(50.0, "GB/s"), latency=Q(5.0, "us"))
NETWORK = net.Network(UP, OUT, 8.0)


@pytest.mark.parametrize(
    "collective",
    [
        net.ring_gather_time,
        net.recursive_gather_time,
        net.ring_all_reduce_time,
        net.recursive_all_reduce_time,
        net.pairwise_all_to_all_time,
        net.recursive_all_to_all_time,
        net.all_to_all_time,
    ],
)
def test_collectives_take_seconds(collective):
    time = collective(Q(1.0, "GB"), 8.0, UP)
    assert has(time, "s")
    # 1 GB in GiB, bit or byte takes as long, and as long as in base units
    plain = collective(1e9, 8.0, net.Tier(400e9, 1e-6))
    for unit in ("GB", "GiB", "Gb"):
        same = collective(Q(1.0, "GB").to(unit), 8.0, UP)
        assert same.to("s").magnitude == pytest.approx(float(plain), rel=1e-12)


def test_collectives_over_two_tiers_take_seconds():
    for stride in (1.0, 8.0):
        assert has(net.hierarchical_all_to_all_time(Q(1.0, "GB"), 64.0, stride, NETWORK), "s")
    assert has(net.by_extent(np.array([4, 64]), NETWORK, Q(1.0, "us"), Q(2.0, "s")), "s")
    assert has(net.send_time(Q(1.0, "MB"), OUT), "s")


def test_bandwidth_in_the_wrong_unit_raises():
    with pytest.raises(pint.DimensionalityError):
        net.ring_gather_time(Q(1.0, "GB"), 8.0, net.Tier(Q(50.0, "GB"), Q(1.0, "us")))
    with pytest.raises(pint.DimensionalityError):
        net.send_time(Q(1.0, "GB"), net.Tier(Q(50.0, "GB/s"), Q(1.0, "USD")))


# -- memory and roofline --------------------------------------------------------------------------

ADAM = memory.StateBytes(Q(2.0, "byte/param"), Q(2.0, "byte/param"), Q(12.0, "byte/param"))
CHIP = roofline.Chip(Q(1.0, "PFLOP/s"), 0.8, Q(3.35, "TB/s"), 0.9, launch=Q(2.0, "us"))


@pytest.mark.parametrize("zero", range(4))
def test_state_is_bytes(zero):
    for function in (memory.state_bytes, memory.update_bytes):
        held = function(Q(7.5e9, "param"), 64.0, zero, ADAM)
        assert has(held, "byte")
    assert memory.state_bytes(Q(7.5e9, "param"), 1.0, zero, ADAM).to("GB").magnitude == pytest.approx(120.0)


def test_parameters_times_dollars_are_no_bytes():
    with pytest.raises(pint.DimensionalityError):
        memory.state_bytes(Q(1.0, "param"), 1.0, 0, replace(ADAM, optimizer=Q(12.0, "USD/param")))


def test_work_and_traffic_take_seconds():
    assert has(roofline.compute_time(Q(1.0, "PFLOP"), CHIP), "s")
    assert has(roofline.stream_time(Q(1.0, "GB"), CHIP), "s")
    assert has(roofline.ridge(CHIP), "FLOP/byte")
    with pytest.raises(pint.DimensionalityError):
        roofline.compute_time(Q(1.0, "PFLOP"), CHIP) + roofline.compute_time(Q(1.0, "GB"), CHIP)


def test_a_pass_of_a_model_by_its_totals():
    model = opaque.Operations(params=Q(25.6e6, "param"), flops=Q(8.2, "GFLOP"), moved=Q(1.0, "MB"))
    result = opaque.single_pass(
        replace(model, params=25.6e6), replace(CHIP, launch=Q(2.0, "us")), batch=32.0, width=Q(2.0, "byte")
    )
    for name in ("matmul", "stream", "time"):
        assert has(getattr(result, name), "s"), name
    assert has(result.flops, "FLOP")
    for name in ("weights", "activations"):
        assert has(getattr(result, name), "byte"), name


# -- transformer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [LLAMA3_8B, MIXTRAL_8X7B, DEEPSEEK_V3])
def test_activations_and_cache_are_bytes(model):
    width = Q(2.0, "byte")
    assert has(tf.kv_bytes_per_token(model, width), "byte")
    assert has(tf.elementwise_bytes(model, 4096.0, 8.0, True, width), "byte")
    for recompute in range(3):
        kept = tf.activation_bytes(
            model, 4096.0, 4096.0, 8.0, True, recompute, width_bytes=width, fused_attention=False
        )
        assert has(kept, "byte")


# -- operations -----------------------------------------------------------------------------------

FLEET = operations.Fleet(
    units=512.0,
    power=Q(1.0, "kW"),
    price=Q(30_000.0, "USD"),
    rent=Q(3.0, "USD/h"),
    embodied=Q(150.0, "kgCO2e"),
    lifetime=Q(5.0, "year"),
    upkeep=Q(0.01, "1/year"),
)
SITE = operations.Site(
    price=Q(0.08, "USD/kWh"),
    carbon_intensity=Q(400.0, "gCO2e/kWh"),
    pue=1.1,
    wue=Q(0.3, "L/kWh"),
    grid_water=Q(3.0, "L/kWh"),
)
BILL = {
    "it_energy": "J",
    "energy": "J",
    "operational_carbon": "kgCO2e",
    "embodied_carbon": "kgCO2e",
    "carbon": "kgCO2e",
    "water": "L",
    "energy_cost": "USD",
    "capital": "USD",
    "capital_share": "USD",
    "upkeep": "USD",
    "rent": "USD",
    "tco": "USD",
}


def rescaled(record: Any, scale: dict[str, float]) -> Any:
    """A record of quantities as bare numbers, in base units that are ``scale`` times smaller."""
    return replace(
        record,
        **{
            f.name: number(v, scale)
            for f in fields(record)
            if isinstance(v := getattr(record, f.name), u.Quantity)
        },
    )


def number(value: Any, scale: dict[str, float]) -> float:
    powers = value.dimensionality.items()
    return float(value.to_base_units().magnitude) * math.prod(scale[d] ** power for d, power in powers)


@pytest.mark.parametrize("rented", [True, False])
def test_the_bill_scales_with_its_units(rented):
    """Another second, joule, dollar, kilogram or litre changes each entry as its unit says."""
    base = {"[time]": 1.0, "[energy]": 1.0, "[currency]": 1.0, "[co2e]": 1.0, "[volume]": 1.0}
    day = Q(1.0, "day")
    plain = operations.bill(rescaled(FLEET, base), rescaled(SITE, base), number(day, base), rented)
    assert {f.name for f in fields(plain)} == set(BILL)
    for dimension in base:
        scale = base | {dimension: 7.0}
        bill = operations.bill(rescaled(FLEET, scale), rescaled(SITE, scale), number(day, scale), rented)
        for name, unit in BILL.items():
            expected = number(Q(getattr(plain, name), unit), scale)
            assert getattr(bill, name) == pytest.approx(expected, rel=1e-12), (name, dimension)
    assert plain.energy == pytest.approx(512 * 24 * 1.1 * 3.6e6)
    assert plain.rent == pytest.approx(512 * 24 * 3)


def test_tax_is_money_for_carbon():
    assert has(operations.taxed(Q(1.0, "USD"), Q(1.0, "tCO2e"), Q(100.0, "USD/tCO2e")), "USD")
    with pytest.raises(pint.DimensionalityError):
        operations.taxed(Q(1.0, "USD"), Q(1.0, "L"), Q(100.0, "USD/tCO2e"))


def test_utilization_has_no_dimension():
    share = operations.model_flops_utilization(Q(1.0, "PFLOP"), Q(2.0, "s"), 8.0, Q(1.0, "PFLOP/s"))
    assert share.to("").magnitude == pytest.approx(1 / 16)


# -- the step -------------------------------------------------------------------------------------


def parts() -> tuple[tr.LayerPart, tr.PipelinePart, tr.ShardPart]:
    """Parts of a step with a dimension each, as their docstrings have it."""
    s, ms, b = Q(1.0, "s"), Q(2.0, "ms"), Q(3.0, "GB")
    layer = tr.LayerPart(
        matmul=s,
        elementwise=ms,
        exposed=ms,
        again_matmul=s,
        again_elementwise=ms,
        again_exposed=ms,
        backward=s,
        head=ms,
        head_stream=ms,
        head_weights=ms,
        kept=b,
        kept_again=b,
        head_kept=b,
        boundary=b,
        passed=b,
        rounds=4.0,
        filled=1.0,
        steady=1.0,
        again=1.0,
    )
    pipe = tr.PipelinePart(
        stages=3.0,
        chunk=0.5,
        first=12.0,
        middle=11.0,
        last=9.0,
        fullest=12.0,
        again_fullest=4.0,
        again_last=4.0,
        again_total=12.0,
        plain_first=8.0,
        plain_middle=7.0,
        plain_last=5.0,
        again_first=4.0,
        again_middle=4.0,
        in_first=1.0,
        in_middle=0.5,
        less_middle=0.0,
        in_last=2.0,
        gathers_first=2.0,
        gathers_middle=2.0,
        gathers_last=2.0,
        recomputes=1.0,
        sends=4.0,
        hop_per_byte=Q(1.0, "s/TB"),
        hop_latency=Q(5.0, "us"),
        hop_hidden=0.5,
        fill_sends=2.0,
        crossings=1.0,
    )
    shard = tr.ShardPart(
        layer=b,
        gathered=b,
        first=b,
        last=b,
        host=b,
        reduce_bare=ms,
        reduce_rest=s,
        gather_bare=ms,
        gather_rest=s,
        update=ms,
        crossing=b,
    )
    return layer, pipe, shard


STEP = {
    "time": "s",
    "matmul": "s",
    "elementwise": "s",
    "exposed": "s",
    "bubble": "s",
    "update": "s",
    "memory": "byte",
    "state": "byte",
    "activations": "byte",
    "crossing": "byte",
    "host": "byte",
}


def test_the_step():
    j = job(reserve=Q(1.0, "GB"))
    step = tr.step(j, *parts())
    assert {f.name for f in fields(step)} == set(STEP)
    for name, unit in STEP.items():
        assert has(getattr(step, name), unit), name

    # the same in base units, without Pint
    def bare(part: Any) -> Any:
        return replace(
            part,
            **{
                f.name: v.to_base_units().magnitude
                for f in fields(part)
                if isinstance(v := getattr(part, f.name), u.Quantity)
            },
        )

    plain = tr.step(job(reserve=1e9), *(bare(p) for p in parts()))
    for name, unit in STEP.items():
        assert getattr(step, name).to(unit).magnitude == pytest.approx(
            float(getattr(plain, name)), rel=1e-12
        ), name


@pytest.mark.parametrize(
    ("part", "field"), [(0, "exposed"), (0, "kept"), (2, "update"), (2, "gather_rest"), (2, "layer")]
)
def test_a_step_with_dollars_in_it_raises(part, field):
    broken = list(parts())
    broken[part] = replace(broken[part], **{field: Q(1.0, "USD")})
    with pytest.raises(pint.DimensionalityError):
        tr.step(job(reserve=Q(1.0, "GB")), *broken)


# -- metrics and walls ------------------------------------------------------------------------------

UNITS = {
    "time": "s",
    "matmul": "s",
    "stream": "s",
    "exposed": "s",
    "bubble": "s",
    "update": "s",
    "duration": "s",
    "model_flops": "FLOP",
    "mfu_flops": "FLOP",
    "peak": "FLOP/s",
    "bandwidth": "byte/s",
    "memory": "byte",
    "state": "byte",
    "activations": "byte",
    "cache": "byte",
    "reserve": "byte",
    "capacity": "byte",
    "tokens": "token",
    "samples": "sample",
    "tensor_ranks": "device",
    "domain": "device",
    "training_tokens": "token",
}


def dimensioned() -> State:
    """A state whose fields carry their units."""
    state = mlsysim.evaluate_plan(
        {
            "version": "1.0",
            "workload": {"name": "Llama3_8B", "batch_size": 64},
            "hardware": {"name": "H100", "accelerators": 16},
            "parallelism": {"tp": 2},
        }
    ).state
    # magnitudes: the engine's columns of length one would only clutter the proof
    with_units = {
        name: Q(float(np.asarray(getattr(state, name)).item()), unit) for name, unit in UNITS.items()
    }
    limits = Limits(budget=Q(1e6, "USD"), carbon=Q(1e3, "tCO2e"), water=Q(1e6, "L"), communication=0.5)
    bill = operations.Bill(**{name: Q(1.0, unit) for name, unit in BILL.items()})
    cut = Cut(crossing=Q(1.0, "GB"), bandwidth=Q(1.0, "TB/s"))
    return replace(state, **with_units, limits=limits, bill=bill, cut=cut)


@pytest.mark.parametrize("name", [name for name, m in METRICS.items() if not m.needs])
def test_metrics_have_their_unit(name):
    state = dimensioned()
    if name == "feasibility.accelerators":  # a count without a unit in all other formulas
        state = replace(state, accelerators=Q(16.0, "device"))
    numerator, denominator = METRICS[name].parts(state)
    quotient = Q(1.0) * numerator / denominator
    # a million tokens are a number of tokens, so their price is money a token
    unit = "USD/token" if name == "macro.usd_per_million_tokens" else METRICS[name].unit
    assert has(quotient.to_base_units(), unit)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("performance.ttft", "s"),
        ("performance.itl", "s"),
        ("performance.token_capacity", "token/s"),
        ("macro.usd_per_million_served", "USD/token"),
        ("macro.gco2e_per_million_served", "kgCO2e/token"),
    ],
)
def test_metrics_of_a_service_have_their_unit(name, unit):
    service = Service(Q(1.0, "s"), Q(10.0, "ms"), Q(20.0, "ms"), Q(3.0, "1/s"), output=Q(100.0, "token"))
    state = replace(dimensioned(), accelerators=16.0, tensor_ranks=2.0, serving=service)
    numerator, denominator = METRICS[name].parts(state)
    assert has((Q(1.0) * numerator / denominator).to_base_units(), unit)


@pytest.mark.parametrize("number", [1, 2, 3, 10, 14, 17, 18])
def test_walls_compare_like_with_like(number):
    state = dimensioned()
    rows = WALLS[number - 1].rows(state)
    assert rows
    for row in rows:
        assert has(Q(1.0) * row.demand.to_base_units(), row.unit), row.note
        assert row.supply is not None
        assert has(Q(1.0) * row.supply.to_base_units(), row.unit), row.note

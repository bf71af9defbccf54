"""The equations on the pages of formulations, worked out by hand, give what the code gives."""

from __future__ import annotations

import numpy as np
import pytest

from docgen.snippets import ROOT
from mlsysim.core import layout as lay
from mlsysim.core import legal
from mlsysim.core.api import scenario
from mlsysim.physics.operations import Fleet, Site, bill, taxed
from mlsysim.physics.training import step

DRAWN = 200


@pytest.mark.parametrize("name", ["llama3_70b", "mixtral_moe", "gpt3_a100"])
def test_a_step_is_what_the_page_says(name):
    s = scenario(ROOT / "examples" / f"{name}.yaml")
    space, job, draw = legal.space(s), s.job, np.random.default_rng(1)
    cells = [
        legal.keep(c, draw.integers(0, len(next(iter(c.values()))), DRAWN)) for c in vars(space).values()
    ]
    a, b, c = (
        part(job, x) for part, x in zip((lay.layer_of, lay.pipeline_of, lay.shard_of), cells, strict=True)
    )
    result, layers, theta = step(job, a, b, c), job.weights.layers, job.sender_share

    rho, kappa, p = a.rounds, b.chunk, b.stages
    y = a.matmul + a.elementwise + a.exposed
    x = a.again_matmul + a.again_elementwise + a.again_exposed
    h = a.head + a.head_stream
    work = rho * (layers * y + b.again_total * x + h)

    def beta(n, r):
        return (
            rho * y * (p * n - layers)
            + kappa * y * (layers - n)
            + rho * x * (p * r - b.again_total)
            + kappa * x * (b.again_total - r)
        )

    bubble = np.maximum(
        beta(b.fullest, b.again_fullest) + (kappa - rho) * h, beta(b.last, b.again_last) + rho * (p - 1) * h
    )

    def left(bare, rest, hiding):
        return bare + theta * rest + (1 - theta) * np.maximum(0.0, rest - hiding)

    hop = a.boundary * b.hop_per_byte + b.hop_latency
    steady = rho * p * b.sends * hop
    traffic = (
        b.fill_sends * hop
        + left(c.reduce_bare, c.reduce_rest, b.fullest * a.backward + b.again_fullest * x)
        + left(
            steady * (1 - b.hop_hidden) + rho * c.gather_bare,
            steady * b.hop_hidden + rho * c.gather_rest,
            rho * layers * y,
        )
    )
    assert result.time == pytest.approx(work + bubble + traffic + c.update, rel=1e-9)

    def state(n):
        return n * c.layer + np.minimum(2.0, n) * c.gathered

    def kept(n, r):
        return a.kept * (n - r) + a.kept_again * r

    first = (a.filled * p + a.again * b.in_first) * kept(b.first, b.again_first)
    middle = (a.filled * p + a.again * b.in_middle - a.steady * b.less_middle) * kept(
        b.middle, b.again_middle
    )
    last = b.in_last * kept(b.last, b.again_last)
    fullest = np.maximum(
        np.maximum(state(b.first) + c.first + first, state(b.middle) + middle),
        state(b.last) + c.last + last + a.head_kept,
    )
    assert result.memory == pytest.approx(job.reserve + b.recomputes * a.kept + fullest, rel=1e-9)


def test_a_bill_is_what_the_page_says():
    fleet = Fleet(
        units=512.0, power=900.0, price=3e4, rent=8e-4, embodied=300.0, lifetime=1.5e8, upkeep=2.5e-10
    )
    site = Site(price=2e-8, carbon_intensity=1e-7, pue=1.2, wue=5e-8, grid_water=1e-6)
    n, w, t = 512.0, 900.0, 1e6
    energy = n * w * t * 1.2
    carbon = energy * 1e-7 + n * 300.0 * t / 1.5e8
    water = n * w * t * 5e-8 + energy * 1e-6
    cost = n * 3e4 * t / 1.5e8 + n * 3e4 * 2.5e-10 * t + energy * 2e-8
    found = bill(fleet, site, t, False)
    assert (found.energy, found.carbon, found.water, found.tco) == pytest.approx(
        (energy, carbon, water, cost)
    )
    assert bill(fleet, site, t, True).tco == pytest.approx(n * 8e-4 * t)
    assert taxed(cost, carbon, 0.1, water, 2e-3) == pytest.approx(cost + 0.1 * carbon + 2e-3 * water)

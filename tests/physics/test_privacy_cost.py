"""Cost of privacy and data of subgroups."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.core.units import ureg
from mlsysim.physics import privacy

differences = st.floats(1e-3, 0.5)
confidences = st.floats(0.5, 0.9999)
groups = st.integers(2, 50)


def test_two_groups_five_points_apart():
    # ln(2 / 0.05) / 0.05^2
    assert privacy.subgroup_samples(0.05, 0.95, 2) == math.ceil(math.log(40) / 0.0025) == 1476


def test_the_bound_holds():
    rng = np.random.default_rng(1)
    n = int(privacy.subgroup_samples(0.1, 0.9, 2))
    a, b = rng.binomial(n, 0.5, (2, 20_000)) / n
    assert np.mean(np.abs(a - b) >= 0.1) <= 0.1


@given(differences, confidences, groups)
def test_hoeffding_at_equality(t, confidence, g):
    n = float(privacy.subgroup_samples(t, confidence, g))
    chance = g * (g - 1) / 2 * 2
    assert chance * math.exp(-n * t * t) <= (1 - confidence) * (1 + 1e-9)
    assert chance * math.exp(-(n - 1) * t * t) > (1 - confidence) * (1 - 1e-9)


@given(differences, confidences, groups)
def test_monotone(t, confidence, g):
    here = privacy.subgroup_samples(t, confidence, g)
    assert privacy.subgroup_samples(t / 2, confidence, g) >= 4 * here - 4
    assert privacy.subgroup_samples(t, (1 + confidence) / 2, g) >= here
    assert privacy.subgroup_samples(t, confidence, g + 1) >= here


@given(st.lists(st.tuples(differences, confidences, groups), min_size=1, max_size=20))
def test_scalar_equals_array(points):
    columns = [np.array(c, dtype=float) for c in zip(*points, strict=True)]
    whole = privacy.subgroup_samples(*columns)
    for i, (t, confidence, g) in enumerate(points):
        assert privacy.subgroup_samples(t, confidence, float(g)) == whole[i]


def test_sample_rate():
    assert privacy.sample_rate(600.0, 60_000.0) == 0.01  # Abadi 2016, section 5.2
    assert privacy.sample_rate(100.0, 50.0) == 1.0


def test_private_time_dimensions():
    q = ureg().Quantity
    assert privacy.private_time(q(3.0, "s"), 4.56).check("[time]")
    assert privacy.private_time(2.0, 1.0) == 2.0


@pytest.mark.parametrize("slowdown", [1.0, 1.205, 4.56])
def test_private_time_scales(slowdown):
    assert privacy.private_time(np.array([1.0, 2.0]), slowdown).tolist() == [slowdown, 2 * slowdown]

"""Distance on the sphere is a metric; time over fibre and of data follows from it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsysim.core import units
from mlsysim.physics.distance import great_circle, round_trip_time, transfer_time

RADIUS = 6_371_008.8
LIGHT, GLASS = 299_792_458.0, 1.468
latitudes = st.floats(-math.pi / 2, math.pi / 2)
points = st.tuples(latitudes, st.floats(-math.pi, math.pi))
HERE = {  # degrees north and east
    "Paris": (48.8566, 2.3522),
    "London": (51.5074, -0.1278),
    "New York": (40.7128, -74.0060),
    "Tokyo": (35.6762, 139.6503),
    "Sydney": (-33.8688, 151.2093),
}


def far(a, b, radius=RADIUS):
    return float(great_circle(*a, *b, radius))


def city(name):
    return tuple(math.radians(x) for x in HERE[name])


# distances as published (great circle, rounded to 10 km)
@pytest.mark.parametrize(
    ("a", "b", "km"),
    [
        ("Paris", "London", 344),
        ("Paris", "New York", 5837),
        ("London", "New York", 5570),
        ("Tokyo", "Sydney", 7823),
        ("New York", "Tokyo", 10849),
    ],
)
def test_known_pairs(a, b, km):
    assert far(city(a), city(b)) / 1e3 == pytest.approx(km, rel=2e-3)


def test_quarters_of_the_globe():
    pole, equator, east = (math.pi / 2, 0.7), (0.0, 0.0), (0.0, math.pi / 2)
    quarter = math.pi / 2 * RADIUS
    assert far(pole, equator) == pytest.approx(quarter, rel=1e-12)
    assert far(equator, east) == pytest.approx(quarter, rel=1e-12)
    assert far(equator, (0.0, math.pi)) == pytest.approx(2 * quarter, rel=1e-12)
    # over the date line it is two degrees, not 358
    assert far((0.0, math.radians(179)), (0.0, math.radians(-179))) == pytest.approx(
        math.radians(2) * RADIUS, rel=1e-9
    )


@given(points, points)
def test_symmetric_and_no_longer_than_half_way_round(a, b):
    assert far(a, b) == pytest.approx(far(b, a), rel=1e-12, abs=1e-6)
    assert 0 <= far(a, b) <= math.pi * RADIUS * (1 + 1e-12)
    assert far(a, a) == 0.0


@given(points, points, points)
def test_no_way_round_is_shorter(a, b, c):
    assert far(a, c) <= far(a, b) + far(b, c) + 1e-3


@given(points, points)
def test_equals_the_angle_between_two_vectors(a, b):
    def vector(p):
        return np.array([math.cos(p[0]) * math.cos(p[1]), math.cos(p[0]) * math.sin(p[1]), math.sin(p[0])])

    u, v = vector(a), vector(b)
    angle = math.atan2(float(np.linalg.norm(np.cross(u, v))), float(u @ v))
    assert far(a, b) == pytest.approx(angle * RADIUS, abs=0.5)


@given(st.floats(-1.5, 1.5), st.floats(0, 1.5), st.floats(0, 1.5))
def test_further_round_a_parallel_is_further(latitude, one, more):
    near, away = sorted((one, more))
    assert far((latitude, 0.0), (latitude, near)) <= far((latitude, 0.0), (latitude, away)) + 1e-6


def test_short_distances_keep_their_digits():
    metre = 1.0 / RADIUS
    assert far((0.8, 0.3), (0.8 + metre, 0.3)) == pytest.approx(1.0, rel=1e-8)


def test_tables_are_filled_at_once():
    names = list(HERE)
    lat, lon = (np.radians([HERE[n][i] for n in names]) for i in (0, 1))
    table = great_circle(lat[:, None], lon[:, None], lat, lon, RADIUS)
    assert table.shape == (5, 5)
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            assert table[i, j] == pytest.approx(far(city(a), city(b)), abs=1e-6)
    assert round_trip_time(table, LIGHT, GLASS, 2.1).shape == (5, 5)


def test_light_in_fibre_takes_ten_microseconds_a_kilometre_there_and_back():
    assert round_trip_time(1e3, LIGHT, GLASS, 1.0) == pytest.approx(9.793e-6, rel=1e-3)
    # New York to London and back along the great circle, the floor that no cable beats
    floor = round_trip_time(far(city("New York"), city("London")), LIGHT, GLASS, 1.0)
    assert float(floor) == pytest.approx(0.0545, abs=0.0005)


@given(st.floats(0, 2e7), st.floats(0, 2e7), st.floats(1, 10), st.floats(1, 2))
def test_time_grows_with_distance_and_detour(near, more, route, index):
    time = round_trip_time(near, LIGHT, index, route)
    assert time <= round_trip_time(near + more, LIGHT, index, route)
    assert time >= round_trip_time(near, LIGHT, 1.0, 1.0)
    assert time == pytest.approx(route * float(round_trip_time(near, LIGHT, index, 1.0)))


@given(st.floats(0, 1e18), st.floats(1e3, 1e12))
def test_data_takes_its_size_over_the_bandwidth(size, bandwidth):
    assert transfer_time(size, bandwidth) * bandwidth == pytest.approx(size)
    assert transfer_time(np.array([size, 2 * size]), bandwidth)[1] == pytest.approx(2 * size / bandwidth)


def test_dimensions():
    q = units.ureg().Quantity
    length = great_circle(0.1, 0.2, 0.3, 0.4, q(6371.0088, "km"))
    assert length.dimensionality == q(1, "m").dimensionality
    assert length.to("m").magnitude == pytest.approx(far((0.1, 0.2), (0.3, 0.4)))
    time = round_trip_time(length, q(LIGHT, "m/s"), GLASS, 2.1)
    assert time.dimensionality == q(1, "s").dimensionality
    assert transfer_time(q(1, "TB"), q(8, "Gbit/s")).to("s").magnitude == pytest.approx(1000)

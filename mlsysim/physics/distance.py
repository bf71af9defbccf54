"""Distance on the Earth, and what it takes light and data to cross it."""

from __future__ import annotations

import numpy as np

from mlsysim.physics.types import Array


def great_circle(
    latitude: Array, longitude: Array, to_latitude: Array, to_longitude: Array, radius: Array
) -> Array:
    """Return the length of the shortest way over a sphere, in the unit of ``radius``.

    ``2 r asin sqrt(sin^2(dphi/2) + cos phi1 cos phi2 sin^2(dlambda/2))``, the haversine formula, which
    keeps its digits at short distances (Sinnott 1984). The Earth is flattened by 1 in 298: at most
    0.6% are missed.

    Args:
        latitude: of one place [rad].
        longitude: of it [rad], east of some meridian.
        to_latitude: of the other [rad]; arrays are broadcast against each other.
        to_longitude: of the other [rad].
        radius: of the sphere [m].
    """
    a = np.sin((np.asarray(to_latitude) - latitude) / 2.0) ** 2
    b = np.sin((np.asarray(to_longitude) - longitude) / 2.0) ** 2
    chord = a + np.cos(latitude) * np.cos(to_latitude) * b
    return 2.0 * radius * np.arcsin(np.sqrt(np.minimum(chord, 1.0)))


def round_trip_time(distance: Array, light_speed: Array, fibre_index: Array, route_factor: Array) -> Array:
    """Return how long a packet takes there and an answer back, with nothing else on the way [s].

    ``2 d f n / c``: light goes at ``c / n`` in glass, and cables and routers do not follow the great
    circle; ``f`` is measured time over that of the straight way (Bozkurt 2018).

    Args:
        distance: along the great circle [m].
        light_speed: in vacuum [m/s].
        fibre_index: group index of the fibre's glass.
        route_factor: way of the packets over the great circle, and what routers take besides.
    """
    return 2.0 * distance * route_factor * fibre_index / light_speed


def transfer_time(size: Array, bandwidth: Array) -> Array:
    """Return how long data takes to arrive once it flows [s].

    Args:
        size: [byte].
        bandwidth: that the transfer reaches from end to end [byte/s].
    """
    return size / bandwidth

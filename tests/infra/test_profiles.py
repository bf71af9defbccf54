"""Synthetic profiles keep the annual means, follow local clocks, and look as their names say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsysim.core import registry, units
from mlsysim.core.errors import InputError, UnknownNameError
from mlsysim.infra import CATALOG, Region, profiles
from mlsysim.infra.profiles import Profile, synthetic

DATA = yaml.safe_load((registry.root() / "profiles.yaml").read_text(encoding="utf-8"))
PRICE = units.factor("USD/kWh")[0]
names = st.sampled_from(CATALOG.names())


def price_of(region: Region) -> float:
    value = region.electricity_price() or registry.default("electricity_price", "USD/J")
    return value.base


# -- synthetic ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("year", "hours"), [(2024, 8784), (2025, 8760)])
def test_every_region_keeps_its_annual_means(year: int, hours: int) -> None:
    for region in CATALOG:
        profile = synthetic(region, hours, datetime(year, 1, 1, tzinfo=UTC))
        assert len(profile) == hours
        assert region.carbon_intensity is not None
        assert profile.carbon_intensity.mean() == pytest.approx(region.carbon_intensity.base, rel=1e-9)
        assert profile.price.mean() == pytest.approx(price_of(region), rel=1e-9)
        assert profile.carbon_intensity.min() > 0
        assert profile.price.min() > 0


def test_each_place_stands_in_one_class_and_has_a_clock() -> None:
    places = [p for c in DATA["classes"].values() for p in (*c["own"], *c["like"])]
    assert len(places) == len(set(places))
    for region in CATALOG:
        assert ZoneInfo(profiles.timezone_of(region))
        assert profiles.shape_class(region)["title"]
    for quantity in ("carbon", "price"):
        assert {c[quantity] for c in DATA["classes"].values()} == set(DATA[quantity])
    assert set(DATA["southern"]) <= set(DATA["timezone"].values())
    assert all(c["why"] for c in DATA["classes"].values() if c["like"])


def test_each_shape_says_where_it_is_from() -> None:
    extra = registry.root() / "parts_scenarios_sources.yaml"
    known = set(registry.sources()) | set(yaml.safe_load(extra.read_text()) if extra.exists() else ())
    for shape in (*DATA["carbon"].values(), *DATA["price"].values()):
        assert shape["source"] in known
        assert shape["as_of"]
        needed = {"derived": "inputs", "estimate": "why", "datasheet": "note"}[shape["kind"]]
        assert shape[needed]
        for season in profiles.SEASONS:
            assert len(shape[season]) == 24
        assert len(shape["week"]) == 3
    assert DATA["wholesale_share"]["source"] in known


def test_shapes_look_as_they_are_called() -> None:
    def day(name: str, what: str) -> np.ndarray:
        profile = synthetic(name, start=datetime(2025, 1, 1, tzinfo=UTC))
        zone = ZoneInfo(profiles.timezone_of(CATALOG.get(name)))
        local = np.array(
            [t.astype(datetime).replace(tzinfo=UTC).astimezone(zone).hour for t in profile.times]
        )
        values = getattr(profile, what)
        return np.array([values[local == hour].mean() for hour in range(24)]) / values.mean()

    duck = day("California", "carbon_intensity")
    assert duck[12] < 0.7 < 1.1 < duck[20]
    assert 17 <= day("California", "price").argmax() <= 20
    assert 17 <= day("Virginia", "price").argmax() <= 20
    assert 10 <= day("Spain", "carbon_intensity").argmin() <= 16
    assert 10 <= day("Australia", "carbon_intensity").argmin() <= 14
    for flat in ("Norway", "Quebec", "France", "India", "Poland", "Virginia"):
        assert np.ptp(day(flat, "carbon_intensity")) < 0.25
    poland = day("Poland", "price")
    assert poland[8] > 1.05
    assert poland[19] > poland[8] > poland[13]
    assert np.ptp(day("Quebec", "price")) == pytest.approx(0, abs=1e-12)
    night = day("Ontario", "carbon_intensity")
    assert night[3] < 0.75


@settings(max_examples=40, deadline=None)
@given(names, st.integers(1, 400), st.integers(0, 20_000))
def test_an_hour_is_the_same_whenever_the_profile_begins(name: str, hours: int, later: int) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    long = synthetic(name, later + hours, start)
    short = synthetic(name, hours, start + timedelta(hours=later))
    np.testing.assert_array_equal(long.carbon_intensity[later:], short.carbon_intensity)
    np.testing.assert_array_equal(long.price[later:], short.price)


@settings(max_examples=40, deadline=None)
@given(names, st.floats(0, 1), st.floats(0, 1))
def test_prices_move_in_proportion_to_the_wholesale_share(name: str, a: float, b: float) -> None:
    mean = price_of(CATALOG.get(name))
    one, other, whole = (synthetic(name, 72, wholesale_share=s).price / mean - 1 for s in (a, b, 1.0))
    np.testing.assert_allclose(one, a * whole, atol=1e-12)
    np.testing.assert_allclose(one + other, (a + b) * whole, atol=1e-12)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(set(DATA["timezone"].values()))),
    st.integers(0, 4_000_000_000),
    st.integers(1, 200),
)
def test_clocks_agree_with_the_time_zone(zone: str, first: int, hours: int) -> None:
    seconds = first + 3600 * np.arange(hours, dtype=np.int64)
    expected = [datetime.fromtimestamp(int(s), ZoneInfo(zone)).utcoffset() for s in seconds]
    got = profiles._offsets(zone, seconds)
    assert [timedelta(seconds=int(s)) for s in got] == expected


@pytest.mark.parametrize(
    ("region", "instant", "season", "hour", "weekday"),
    [
        ("Germany", datetime(2025, 7, 9, 11, tzinfo=UTC), "summer", 13, 0),  # Wednesday, UTC+2
        ("Germany", datetime(2025, 1, 8, 11, tzinfo=UTC), "winter", 12, 0),  # Wednesday, UTC+1
        ("Germany", datetime(2025, 3, 30, 0, tzinfo=UTC), "spring", 1, 2),  # Sunday, before the change
        ("Germany", datetime(2025, 3, 30, 1, tzinfo=UTC), "spring", 3, 2),  # and after it
        ("Germany", datetime(2025, 10, 26, 0, tzinfo=UTC), "autumn", 2, 2),  # 2 o'clock twice
        ("Germany", datetime(2025, 10, 26, 1, tzinfo=UTC), "autumn", 2, 2),
        ("Australia", datetime(2025, 7, 9, 2, tzinfo=UTC), "winter", 12, 0),  # seasons of the south
        ("California", datetime(2025, 7, 13, 3, tzinfo=UTC), "summer", 20, 1),  # still Saturday there
    ],
)
def test_an_hour_takes_its_local_shape(
    region: str, instant: datetime, season: str, hour: int, weekday: int
) -> None:
    kind = profiles.shape_class(CATALOG.get(region))
    shape = DATA["carbon"][kind["carbon"]]
    zone = profiles.timezone_of(CATALOG.get(region))
    raw = profiles._raw("carbon", kind["carbon"], zone, np.array([int(instant.timestamp())]))
    assert raw[0] == pytest.approx(shape[season][hour] * shape["week"][weekday], rel=1e-12)


@pytest.mark.parametrize(("day", "hours"), [("2025-03-30", 23), ("2025-10-26", 25), ("2025-06-01", 24)])
def test_days_of_the_change_have_23_and_25_hours(day: str, hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    first = datetime.fromisoformat(day).replace(tzinfo=zone)
    following = datetime.combine(date.fromisoformat(day) + timedelta(days=1), first.time(), zone)
    count = int((following.timestamp() - first.timestamp()) // 3600)
    assert count == hours
    seconds = int(first.timestamp()) + 3600 * np.arange(hours, dtype=np.int64)
    local = (seconds + profiles._offsets("Europe/Berlin", seconds)) // 3600 % 24
    assert local[0] == 0
    assert local[-1] == 23
    assert len(set(local.tolist())) == min(hours, 24)


def test_a_clock_at_half_past_takes_half_of_each_hour() -> None:
    kind = profiles.shape_class(CATALOG.get("India"))
    shape = DATA["price"][kind["price"]]
    noon = datetime(2025, 7, 9, 6, tzinfo=UTC)  # 11:30 to 12:30 in India
    raw = profiles._raw("price", kind["price"], "Asia/Kolkata", np.array([int(noon.timestamp())]))
    assert raw[0] == pytest.approx(shape["week"][0] * (shape["summer"][11] + shape["summer"][12]) / 2)


def test_a_variant_keeps_its_place() -> None:
    dear = CATALOG.get("California").with_(price="0.5 USD/kWh").with_(carbon_intensity="100 gCO2e/kWh")
    assert profiles.timezone_of(dear) == "America/Los_Angeles"
    assert synthetic(dear).price.mean() == pytest.approx(0.5 * PRICE, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hours": 0}, "number of hours"),
        ({"hours": True}, "number of hours"),
        ({"hours": 1.5}, "number of hours"),
        ({"hours": 10**9}, "number of hours"),
        ({"start": datetime(2025, 1, 1)}, "no time zone"),
        ({"start": datetime(9999, 1, 1, tzinfo=UTC)}, "out of range"),
        ({"wholesale_share": 1.5}, "not a share"),
        ({"wholesale_share": float("nan")}, "not a share"),
    ],
)
def test_bad_numbers_are_refused(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        synthetic("Norway", **change)


def test_unknown_places_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Norway"):
        synthetic("Norwya")
    nowhere = Region(name="Nowhere", title="Nowhere", provider="me", country="XX")
    with pytest.raises(InputError, match="carbon intensity"):
        synthetic(nowhere)
    with pytest.raises(InputError, match="time zone"):
        profiles.timezone_of(nowhere)
    with pytest.raises(InputError, match="hourly shape"):
        profiles.shape_class(nowhere)
    assert profiles.timezone_of(Region(name="Mine", country="DE")) == "Europe/Berlin"


# -- a profile ---------------------------------------------------------------------------------


def test_a_profile_cannot_be_changed_or_be_wrong() -> None:
    start = datetime(2025, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo"))
    given_hours = np.ones(2)
    profile = Profile(given_hours, np.array([-1.0, 2.0]), start, "csv", "x")
    given_hours[0] = 5
    assert profile.carbon_intensity[0] == 1
    assert profile.start == start
    assert profile.start.tzinfo is UTC
    assert [str(t) for t in profile.times] == ["2024-12-31T15:00:00", "2024-12-31T16:00:00"]
    with pytest.raises(ValueError, match="read-only"):
        profile.price[0] = 0
    for carbon, price in (
        ([1.0], [1.0, 2.0]),
        ([], []),
        ([[1.0]], [1.0]),
        ([-1.0], [1.0]),
        ([np.nan], [1.0]),
    ):
        with pytest.raises(InputError):
            Profile(np.array(carbon), np.array(price), start, "csv", "x")
    with pytest.raises(InputError):
        Profile(np.ones(1), np.ones(1), datetime(2025, 1, 1), "csv", "x")

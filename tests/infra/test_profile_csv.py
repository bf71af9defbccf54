"""A profile in a CSV file: what is right survives the round trip, what is wrong is named with its line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsysim.core import units
from mlsysim.core.errors import InputError
from mlsysim.infra.profiles import Profile, from_csv, synthetic

CARBON, PRICE = units.factor("gCO2e/kWh")[0], units.factor("USD/kWh")[0]
HEAD = "timestamp,carbon_intensity,price\n"


def put(folder: Path, text: str | bytes) -> Path:
    path = folder / "mine.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def hour(n: int, value: object = 100) -> str:
    return f"{(datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=n)).isoformat()},{value},0.1\n"


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 2000), st.floats(-5, 20)), min_size=1, max_size=60),
    st.integers(0, 1_000_000),
)
def test_a_profile_survives_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, hours: list[tuple[float, float]], later: int
) -> None:
    path = tmp_path_factory.mktemp("profile") / "p.csv"
    carbon, price = np.array(hours).T
    start = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(minutes=later)
    before = Profile(carbon * CARBON, price * PRICE, start, "csv", "x")
    before.to_csv(path)
    after = from_csv(path)
    assert after.start == before.start
    np.testing.assert_allclose(after.carbon_intensity, before.carbon_intensity, rtol=1e-14)
    np.testing.assert_allclose(after.price, before.price, rtol=1e-14)


def test_a_year_survives_the_round_trip(tmp_path: Path) -> None:
    before = synthetic("California")
    before.to_csv(tmp_path / "year.csv")
    after = from_csv(tmp_path / "year.csv")
    np.testing.assert_allclose(after.carbon_intensity, before.carbon_intensity, rtol=1e-14)
    np.testing.assert_array_equal(after.times, before.times)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(12)))
def test_the_order_of_rows_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    path = put(tmp_path_factory.mktemp("order"), HEAD + "".join(hour(n, n) for n in order))
    np.testing.assert_allclose(from_csv(path).carbon_intensity / CARBON, range(12))


def test_quarter_hours_are_averaged(tmp_path: Path) -> None:
    rows = "".join(f"2025-01-01T0{n // 4}:{15 * (n % 4):02}:00Z,{n},{-n}\n" for n in range(8))
    profile = from_csv(put(tmp_path, HEAD + rows))
    np.testing.assert_allclose(profile.carbon_intensity / CARBON, [1.5, 5.5])
    np.testing.assert_allclose(profile.price / PRICE, [-1.5, -5.5])


def test_units_byte_order_mark_blank_lines_and_column_order(tmp_path: Path) -> None:
    header = "\ufeffPrice (USD/MWh), carbon_intensity [kgCO2e/kWh] ,timestamp"
    text = f"{header}\r\n\r\n50,0.2,2025-01-01T00:00+02:00\r\n"
    profile = from_csv(put(tmp_path, text))
    assert profile.start == datetime(2024, 12, 31, 22, tzinfo=UTC)
    assert profile.carbon_intensity[0] == pytest.approx(200 * CARBON)
    assert profile.price[0] == pytest.approx(0.05 * PRICE)
    plain = from_csv(put(tmp_path, HEAD + hour(0)), carbon_unit="kgCO2e/MWh", price_unit="USD/MWh")
    assert plain.carbon_intensity[0] == pytest.approx(100 * CARBON)
    assert plain.price[0] == pytest.approx(1e-4 * PRICE)


@pytest.mark.parametrize(("day", "hours"), [("2025-03-30", 23), ("2025-10-26", 25)])
@pytest.mark.parametrize("minutes", [60, 15])
def test_local_times_through_a_change_of_the_clock(
    tmp_path: Path, day: str, hours: int, minutes: int
) -> None:
    zone = ZoneInfo("Europe/Berlin")
    first = datetime.fromisoformat(day).replace(tzinfo=zone).astimezone(UTC)
    count = hours * 60 // minutes
    local = [(first + timedelta(minutes=minutes * n)).astimezone(zone) for n in range(count)]
    rows = "".join(f"{t.replace(tzinfo=None).isoformat()},{n},0\n" for n, t in enumerate(local))
    profile = from_csv(put(tmp_path, HEAD + rows), timezone="Europe/Berlin")
    assert len(profile) == hours
    assert profile.start == first
    each = 60 // minutes
    expected = np.arange(count).reshape(-1, each).mean(axis=1)
    np.testing.assert_allclose(profile.carbon_intensity / CARBON, expected)


HUGE = "timestamp,carbon_intensity,price\n" + '"' + "x" * 200_000 + '",1,1\n'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", "", "missing"),
        (HEAD, "", "no rows"),
        (b"\xff\xfe\x00", ":1", "UTF-8"),
        ("timestamp;carbon_intensity;price\n", ":1", "unknown column"),
        ("timestamp,carbon,price\n", ":1", "unknown column 'carbon'"),
        ("timestamp,price\n" + "2025-01-01T00:00Z,1\n", ":1", "carbon_intensity is missing"),
        ("timestamp,price,price\n", ":1", "stands twice"),
        ("timestamp,carbon_intensity [GB],price\n" + hour(0), ":1: carbon_intensity", "GB"),
        ("timestamp,carbon_intensity,price [dollars]\n" + hour(0), ":1: price", "dollars"),
        (HEAD + hour(0) + "2025-01-01T01:00Z,1\n", ":3", "2 values for 3 columns"),
        (HEAD + hour(0) + "2025-01-01T01:00Z,1,2,3\n", ":3", "4 values for 3 columns"),
        (HEAD + hour(0) + "noon,1,2\n", ":3: timestamp", "no timestamp"),
        (HEAD + hour(0) + ",1,2\n", ":3: timestamp", "no timestamp"),
        (HEAD + "2025-01-01T00:00,1,2\n", ":2: timestamp", "no offset"),
        (HEAD + "2025-01-01T00:00:00.5Z,1,2\n", ":2: timestamp", "whole second"),
        (HEAD + "0001-01-01T00:00+14:00,1,2\n", ":2: timestamp", "out of range"),
        (HEAD + "9999-12-31T23:00-14:00,1,2\n", ":2: timestamp", "out of range"),
        (HEAD + hour(0) + hour(1, ""), ":3: carbon_intensity", "missing"),
        (HEAD + hour(0) + hour(1, "NaN"), ":3: carbon_intensity", "finite"),
        (HEAD + hour(0) + hour(1, "inf"), ":3: carbon_intensity", "finite"),
        (HEAD + hour(0) + hour(1, "1e999"), ":3: carbon_intensity", "finite"),
        (HEAD + hour(0) + hour(1, "n/a"), ":3: carbon_intensity", "not a number"),
        (HEAD + hour(0) + hour(1, -1), ":3: carbon_intensity", "negative"),
        (HEAD + hour(0) + "2025-01-01T01:00Z,1,\n", ":3: price", "missing"),
        (HEAD + hour(0) + hour(1) + hour(0), ":4", "stands twice, first on line 2"),
        (HEAD + hour(0) + hour(1) + hour(2) + hour(5), ":5", "rows are missing"),
        (HEAD + "".join(map(hour, (3, 0, 1, 6, 4))), ":2", "rows are missing"),
        (HEAD + "".join(map(hour, (0, 1, 2))) + "2025-01-01T02:30Z,1,1\n", ":5", "out of step"),
        (HEAD + "".join(map(hour, (0, 24, 48))), "", "86400 s apart"),
        (HEAD + "2025-01-01T00:00Z,1,1\n2025-01-01T00:25Z,1,1\n", "", "1500 s apart"),
        (HEAD + "".join(f"2025-01-01T00:{m}Z,1,1\n" for m in ("00", "20")), ":3", "2 of 3 rows"),
        (HEAD + '"2025-01-01T00:00Z,1,1\n', ":2", "not valid CSV"),
        (HUGE, ":2", "not valid CSV"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, text: str | bytes, line: str, words: str
) -> None:
    path = put(tmp_path, text)
    with pytest.raises(InputError, match=words) as caught:
        from_csv(path)
    assert caught.value.where.startswith(str(path))
    if line:
        assert caught.value.where == f"{path}{line}"


@pytest.mark.parametrize(
    ("rows", "line", "words"),
    [
        ("2025-03-30T01:00,1,1\n2025-03-30T02:00,1,1\n", ":3: timestamp", "does not exist"),
        ("2025-01-01T01:00,1,1\n2025-01-01T00:00,1,1\n", ":3: timestamp", "in order"),
        ("2025-10-26T03:00,1,1\n2025-10-26T02:00,1,1\n", ":3: timestamp", "in order"),
        ("2025-01-01T01:00,1,1\n2025-01-01T01:00,1,1\n", ":3", "stands twice"),
        ("2025-10-26T02:00,1,1\n" * 3, ":4", "stands twice"),
        ("2025-10-26T01:00,1,1\n2025-10-26T02:00,1,1\n2025-10-26T03:00,1,1\n", ":4", "rows are missing"),
        ("0001-01-01T00:00,1,1\n", ":2: timestamp", "out of range"),
    ],
)
def test_local_times_that_cannot_be_are_refused(tmp_path: Path, rows: str, line: str, words: str) -> None:
    path = put(tmp_path, HEAD + rows)
    with pytest.raises(InputError, match=words) as caught:
        from_csv(path, timezone="Europe/Berlin")
    assert caught.value.where == f"{path}{line}"


def test_files_options_and_zones_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        from_csv(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="cannot be read"):
        from_csv(tmp_path)
    path = put(tmp_path, "timestamp,carbon_intensity [gCO2e/kWh],price\n" + hour(0))
    with pytest.raises(InputError, match="the call kgCO2e/kWh"):
        from_csv(path, carbon_unit="kgCO2e/kWh")
    for zone in ("Europe/Berln", "../etc/passwd", "\0"):
        with pytest.raises(InputError, match="no time zone called"):
            from_csv(path, timezone=zone)


def test_a_file_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlsysim.infra.profile_csv.MAX_BYTES", 10)
    with pytest.raises(InputError, match="larger than"):
        from_csv(put(tmp_path, HEAD + hour(0)))

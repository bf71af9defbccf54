"""Tables: units that survive every format, the best, and fronts."""

from __future__ import annotations

import csv
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlsysim
from mlsysim.core.errors import InputError, MissingExtraError, UnknownNameError
from mlsysim.space.table import Column, Table, Words, joined, read, stacked, undominated, words

PLAN = {
    "version": "1.0",
    "workload": {"name": "Llama3_8B", "phase": "inference", "batch_size": 8},
    "hardware": {"name": "H100", "accelerators": 1},
}


def space(**more):
    given = {"minimize": ["latency", "macro.usd_per_million_tokens"], **more}
    return mlsysim.DesignSpace(PLAN, {"hardware": ["H100", "A100"], "batch": [1, 8, 64]}, **given)


@pytest.fixture(scope="module")
def table():
    return space().run()


def test_parquet_keeps_everything(table, tmp_path):
    pytest.importorskip("pyarrow")
    table.write(tmp_path / "t.parquet")
    again = read(tmp_path / "t.parquet")
    assert list(again.columns) == list(table.columns)
    assert again.units == table.units
    assert (again.objectives, again.greatest, again.notes) == (table.objectives, table.greatest, table.notes)
    for name, column in table.columns.items():
        if isinstance(column.data, Words):
            assert again[name].tolist() == table[name].tolist()
        else:
            np.testing.assert_array_equal(again[name], table[name])
    schema = table.to_arrow().schema
    assert schema.field("performance.latency").metadata == {
        b"unit": b"ms",
        b"title": b"time of a step or inference pass",
    }


def test_csv_has_units_in_its_header(table, tmp_path):
    table.write(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert "performance.latency [ms]" in head
    assert "status" in head
    assert len(rows) == len(table)
    at = head.index("performance.latency [ms]")
    assert [float(r[at]) for r in rows] == table["performance.latency"].tolist()


def test_data_frames(table):
    pandas = pytest.importorskip("pandas")
    frame = table.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.attrs["units"]["macro.tco_usd"] == "USD"
    assert frame["hardware.name"].tolist() == ["H100"] * 3 + ["A100"] * 3


def test_polars(table):
    pytest.importorskip("polars")
    frame = table.to_polars()
    assert frame["workload.batch_size"].to_list() == [1, 8, 64] * 2


def test_a_missing_library_is_an_error_for_people(table, tmp_path, monkeypatch):
    for name in ("pandas", "polars", "plotly", "plotly.express", "pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    for call in (table.to_pandas, table.to_polars, table.plot, table.to_arrow):
        with pytest.raises(MissingExtraError, match="not installed") as caught:
            call()
        assert "pip install" in caught.value.hint
    with pytest.raises(MissingExtraError):
        table.write(tmp_path / "t.parquet")


def test_files_that_cannot_be_are_refused(table, tmp_path):
    with pytest.raises(InputError, match="neither"):
        table.write(tmp_path / "t.xlsx")
    with pytest.raises(InputError, match="cannot be written"):
        table.write(tmp_path / "no" / "t.csv")
    (tmp_path / "not.parquet").write_text("no")
    pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "not.parquet")


def test_the_best_come_first(table):
    best = table.best(3)
    fine = table["objective1"][table.holds]
    assert best["objective1"].tolist() == sorted(fine)[:3]
    assert len(table.pareto()) >= 1
    with pytest.raises(InputError, match="objective"):
        space(minimize=()).run().best()
    with pytest.raises(InputError, match="two objectives"):
        space(minimize="latency").run().pareto()
    with pytest.raises(UnknownNameError):
        table["latenzy"]


def test_greatest_is_best_where_it_is_maximized():
    found = space(minimize=(), maximize="performance.throughput").run()
    assert found.best()["objective"][0] == max(found["objective"][found.holds])


def test_plots(table):
    pytest.importorskip("plotly")
    figure = table.plot()
    assert len(figure.data) >= 1


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=30), st.integers(1, 3))
def test_a_front_is_what_nothing_beats(rows, goals):
    costs = np.array(rows, dtype=float)[:, :goals]
    kept = set(undominated(costs).tolist())
    for i, a in enumerate(costs):
        beaten = any((b <= a).all() and (b < a).any() for b in costs)
        assert (i in kept) == (not beaten)


TEXTS = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=12)


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_words_are_numbered_by_appearance_however_they_are_cut(parts):
    def column(texts):
        names = sorted(set(texts))
        return words(np.array([names.index(t) for t in texts]), names)

    whole = column([t for part in parts for t in part])
    found = joined([column(part) for part in parts])
    assert found.words == whole.words
    assert found.codes.tolist() == whole.codes.tolist()
    assert found.plain().tolist() == [t for part in parts for t in part]


def test_tables_stack_in_order():
    def one(x):
        status = words(np.array([0]), ["pass"])
        return Table(
            {"x": Column("x", "s", "", np.array([x])), "status": Column("status", "", "", status)},
            ("x",),
            (False,),
        )

    whole = stacked([one(2.0), one(1.0)])
    assert whole["x"].tolist() == [2.0, 1.0]
    assert whole.best()["x"].tolist() == [1.0]
    assert list(whole.rows())[1] == {"x": 1.0, "status": "pass"}

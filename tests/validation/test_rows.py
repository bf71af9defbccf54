"""Files of measured rows: what is read, and what is refused with which message."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlsysim.core import registry
from mlsysim.core.check import check
from mlsysim.core.errors import InputError
from mlsysim.core.validation.fields import KINDS, number_format
from mlsysim.core.validation.rows import problems, read_file, read_registry

ROW: dict[str, Any] = {
    "id": "mine-1",
    "set": "mine",
    "kind": "training",
    "source": "our own cluster",
    "model": {
        "name": "gpt-7b",
        "type": "gpt-dense",
        "layers": 32,
        "hidden": 4096,
        "ffn": 16384,
        "heads": 32,
        "kv_heads": 32,
        "vocab": 51200,
        "seq_len": 2048,
        "mlp": "gelu",
    },
    "hardware": {"chip": "H100", "count": 8},
    "config": {"tp": 2, "pp": 1, "dp": 4, "microbatch": 1, "global_batch": 64, "precision": "bf16"},
    "measured": {"iteration_time_s": 3.0},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The row with a field changed, or left out where ``value`` is None."""
    row = copy.deepcopy(ROW)
    *above, last = path.split(".")
    at = row
    for key in above:
        at = at[key]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return row


def write(folder: Path, content: Any) -> Path:
    path = folder / "rows.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("content", [{"rows": [ROW]}, [ROW]], ids=["mapping", "list"])
def test_a_row_is_read_as_it_stands(tmp_path, content):
    (row,), strange = read_file(write(tmp_path, content))
    assert (row.id, row.config["tp"], row.measured, row.verified) == (
        "mine-1",
        2,
        {"iteration_time_s": 3.0},
        True,
    )
    assert strange == []


def test_rows_share_what_the_file_says_once(tmp_path):
    short = {k: v for k, v in ROW.items() if k not in ("set", "model")}
    short |= {"model": "small", "hardware": {"like": "box", "count": 16}, "notes": "why"}
    content = {
        "set": "shared",
        "texts": {"why": "a long story"},
        "models": {"small": ROW["model"]},
        "machines": {"box": {"chip": "H100", "per_node": 8}},
        "rows": [short],
    }
    (row,), _ = read_file(write(tmp_path, content))
    assert row.set == "shared"
    assert row.model == ROW["model"]
    assert row.hardware == {"chip": "H100", "per_node": 8, "count": 16}
    assert row.notes == "a long story"


REFUSED = {
    "no rows": ({"row": []}, "a list of rows"),
    "empty rows": ({"rows": []}, "there are no rows"),
    "empty file": ("", "a list of rows"),
    "text": ("hello", "a list of rows"),
    "row as text": ({"rows": ["x"]}, "a row is a mapping"),
    "unknown key of the file": ({"rows": [ROW], "modells": {}}, "Nearest: models"),
    "unknown key of a row": ([changed("sett", "x")], "Nearest: set"),
    "no id": ([changed("id", None)], "an id is"),
    "an id that steers": ([changed("id", "\x1b[2J")], "an id is"),
    "the same id twice": ([ROW, ROW], "is the id of row 1 already"),
    "no set": ([changed("set", None)], "'set' should be a text"),
    "a set that steers": ([changed("set", "\x1b[2J")], "'set' should be a text"),
    "no such kind": ([changed("kind", "sleeping")], "kinds: training"),
    "kind as list": ([changed("kind", [])], "is no kind"),
    "no chip": ([changed("hardware.chip", None)], "'chip' is missing"),
    "nothing measured": ([changed("measured", {})], "nothing is measured"),
    "time as text": ([changed("measured.iteration_time_s", "fast")], "should be a number"),
    "no time": ([changed("measured.iteration_time_s", 0)], "between 1e-06 and 1e+06 s"),
    "not a number": ([changed("measured.iteration_time_s", float("nan"))], "between 1e-06"),
    "half a rank": ([changed("config.tp", 1.5)], "should be a whole number"),
    "no ranks": ([changed("config.tp", 0)], "between 1 and"),
    "experts as number": ([changed("model.moe", 8)], "should be a mapping of sizes"),
    "verified as text": ([changed("verified", "yes")], "true or false"),
    "no such model": ([changed("model", "mine")], "'mine' is not in models"),
    "section as list": ([changed("config", [1])], "should be a mapping"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_is_refused(case, tmp_path):
    content, words = REFUSED[case]
    with pytest.raises(InputError) as caught:
        read_file(write(tmp_path, content))
    assert words in str(caught.value)
    assert "rows.yaml" in caught.value.where


def test_the_place_of_a_wrong_value_has_its_line(tmp_path):
    text = "rows:\n- id: a\n  set: s\n  kind: training\n  source: x\n  hardware: {chip: H100}\n"
    with pytest.raises(InputError) as caught:
        read_file(write(tmp_path, text + "  measured:\n    iteration_time_s: -1\n"))
    assert caught.value.where.endswith("rows.yaml:8: rows.0.measured.iteration_time_s")


def test_fields_of_a_new_source_are_told_not_refused(tmp_path):
    row = changed("config.expert_capacity", 1.5)
    row["model"]["like"] = [1]
    _, strange = read_file(write(tmp_path, [row]))
    assert strange == ["model.like", "config.expert_capacity"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("bf16 (fp32 grad accumulation)", "bf16"),
        ("amp_fp8", "fp8"),
        ("MXFP8", "fp8"),
        ("NVFP4", "fp4"),
        ("FP8 (MX or blockwise/subchannel)", "fp8"),
        ("int8 weights, bf16 activations", "int8"),
        ("posit", ""),
    ],
)
def test_number_formats_in_a_source_s_words(words, found):
    assert number_format(words) == found


# -- the registry's rows ---------------------------------------------------------------------------


def test_the_registry_holds_635_rows_with_unique_ids_and_known_sources():
    rows = read_registry()
    assert len(rows) == 635
    assert len({row.id for row in rows}) == 635
    assert {row.kind for row in rows} == set(KINDS)
    assert {row.source for row in rows} <= set(registry.sources())
    assert sum(not row.verified for row in rows) == 8


def test_every_row_says_where_it_was_read():
    assert [row.id for row in read_registry() if row.verified and not (row.cited and row.where)] == []


def put(folder: Path, row: dict[str, Any]) -> Path:
    file = folder / "measurements" / "mine.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"rows": [row]}), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("path", "value", "field", "words"),
    [
        ("source", "nobody", "rows.0.source", "not in sources.yaml"),
        ("config.tq", 2, "rows.0.config.tq", "is not a field of config"),
        ("measured.iteration_time_s", -1, "rows.0.measured.iteration_time_s", "should lie between"),
        ("kind", "sleeping", "rows.0.kind", "is no kind"),
    ],
)
def test_zoo_check_finds_what_is_wrong_with_a_row(tmp_path, path, value, field, words):
    row = changed(path, value)
    if path != "source":
        row["source"] = "korthikanti_2022"
    (finding,) = check(put(tmp_path, row)).errors
    assert (finding.file, finding.field) == ("measurements/mine.yaml", field)
    assert words in finding.problem


def test_zoo_check_accepts_a_good_row(tmp_path):
    assert check(put(tmp_path, changed("source", "korthikanti_2022"))).ok


def test_an_id_stands_in_one_file_only(tmp_path):
    put(tmp_path, changed("source", "korthikanti_2022"))
    folder = tmp_path / "measurements"
    (folder / "again.yaml").write_text((folder / "mine.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    (finding,) = check(tmp_path).errors
    assert "is a row of measurements/again.yaml already" in finding.problem


def test_problems_of_any_data_are_told():
    for raw in (None, 1, [], {"rows": 1}, {"rows": [], "models": 1}, {"rows": [{}], "texts": {"a": 1}}):
        assert list(problems(raw))

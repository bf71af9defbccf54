"""``mlsysim validate``: what it prints, in which forms, and what it refuses."""

from __future__ import annotations

import pytest
import yaml
from running import bad_tables, call, call_json, too_wide

ROW = {
    "id": "mine",
    "set": "ours",
    "kind": "training",
    "source": "our cluster",
    "model": {
        "type": "gpt-dense",
        "layers": 32,
        "hidden": 4096,
        "heads": 32,
        "vocab": 51200,
        "seq_len": 2048,
        "mlp": "gelu",
    },
    "hardware": {"chip": "H100", "count": 8},
    "config": {"tp": 2, "pp": 1, "dp": 4, "microbatch": 1, "global_batch": 64, "precision": "bf16"},
    "measured": {"iteration_time_s": 3.0},
}
NARROW = ("validate", "--set", "Korthikanti")


def written(folder, *rows):
    path = folder / "rows.yaml"
    path.write_text(yaml.safe_dump({"rows": list(rows)}), encoding="utf-8")
    return str(path)


def test_json_has_sets_total_rows_and_what_is_not_predicted():
    code, document = call_json(*NARROW)
    assert code == 0
    assert list(document) == ["schema_version", "sets", "total", "rows", "unpredicted", "filled"]
    assert {s["kind"] for s in document["sets"]} == {"training", "training-layer", "memory"}
    assert list(document["sets"][0]) == ["name", "kind", "rows", "mape", "median_ape", "bias", "spearman"]
    assert list(document["rows"][0]) == ["id", "measured", "predicted", "error", "unit"]
    for row in document["rows"]:
        assert row["error"] == pytest.approx(row["predicted"] / row["measured"] - 1.0)
    assert document["total"]["rows"] == len(document["rows"]) == sum(s["rows"] for s in document["sets"])
    assert document["unpredicted"] == [
        {"id": "korthikanti-abs-530b-2240-full", "reason": "the sequences of a step are not stated"}
    ]
    assert {f["id"] for f in document["filled"]} <= {r["id"] for r in document["rows"]}


@pytest.mark.parametrize("arguments", [("validate",), NARROW, ("validate", "--kind", "energy")])
def test_text_fits_80_columns(arguments):
    result = call(*arguments)
    assert result.code == 0
    assert too_wide(result.out) == []
    assert "total" in result.out
    assert not {"nan", "inf", "None"} & set(result.out.split())


def test_markdown_tables_are_whole():
    result = call("validate", "-o", "markdown")
    assert result.code == 0
    assert bad_tables(result.out) == []


def test_a_file_of_one_s_own_is_judged(tmp_path):
    lost = ROW | {"id": "lost", "hardware": {"chip": "Abacus", "count": 8}}
    code, document = call_json("validate", "--file", written(tmp_path, ROW, lost))
    assert code == 0
    assert [row["id"] for row in document["rows"]] == ["mine"]
    assert document["unpredicted"] == [{"id": "lost", "reason": "the registry has no accelerator 'Abacus'"}]
    assert document["sets"][0]["spearman"] is None


def test_a_file_with_nothing_that_can_be_predicted_is_no_error(tmp_path):
    path = written(tmp_path, ROW | {"hardware": {"chip": "Abacus"}})
    for form in ("text", "json", "markdown"):
        assert call("validate", "--file", path, "-o", form).code == 0


def test_names_of_any_length_fit(tmp_path):
    path = written(tmp_path, ROW | {"id": "x" * 150, "set": "a very long name of a set " * 5})
    result = call("validate", "--file", path)
    assert too_wide(result.out) == []
    assert "x" * 70 in result.out


def test_fields_that_nothing_reads_are_told_on_stderr(tmp_path):
    row = ROW | {"config": {**ROW["config"], "colour": 3}}
    result = call("-o", "json", "validate", "--file", written(tmp_path, row))
    assert result.code == 0
    assert "config.colour" in result.err
    assert result.out.startswith("{")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set", "blum"), "no set called 'blum'"),
        (("--chip", "TPUv9"), "no chip called 'TPUv9'"),
        (("--kind", "sleeping"), "no kind called 'sleeping'"),
        (("--file", "/no/such/file.yaml"), "no such file"),
    ],
)
def test_bad_input_is_1_and_says_what_to_do(arguments, words):
    result = call("validate", *arguments)
    assert (result.code, result.out) == (1, "")
    assert words in result.err
    code, document = call_json("validate", *arguments)
    assert (code, document["status"]) == (1, "error")


def test_a_bad_row_is_1_with_its_line(tmp_path):
    path = written(tmp_path, ROW | {"measured": {"iteration_time_s": "fast"}})
    result = call("validate", "--file", path)
    assert result.code == 1
    assert "rows.0.measured.iteration_time_s: 'fast' should be a number" in result.err

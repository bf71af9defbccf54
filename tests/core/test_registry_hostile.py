"""Nothing that lies in a folder makes the check fail, hang, or read what it should not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from registry_folders import BOX, CHIP, GRID, LLM, MAMBA, MOE, NET, NOC, TINY, card, entry, found, put, value

from mlsysim.core.check import check
from mlsysim.core.check.files import ROOT_FILES
from mlsysim.core.errors import RegistryError
from mlsysim.hardware import CATALOG as HARDWARE

MINE = "hardware/cloud/Mine.yaml"
LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{c}: &{c} [{', '.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{c}: &{c} {{<<: [{', '.join(['*' + p] * 9)}]}}\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "field", "words"),
    [
        ("title: x\npeak: &p\n  bf16: *p\n", "peak.bf16", "alias"),
        ("title: x\nmemory: &m [1, *m]\n", "memory", "alias"),
        (LAUGHS, "b", "alias"),
        (MERGES, "b.<<", "alias"),
        ("peak: " + "[" * 100_000, "peak", "nested"),
        ("peak: " + "{a: " * 100_000, "peak.a.a", "nested"),
        ("title: !!python/object/apply:os.system [echo]\n", "title", "tag"),
        ("released: {value: !!int ''}\n", "released.value", "tag"),
        ("released: {value: !!timestamp x}\n", "released.value", "tag"),
        ("title: " + "x" * 10_000, "title", "10000 characters"),
        ("? " + "x" * 10_000 + "\n: 1\n", "", "10000 characters"),
        ("peak: [" + "1," * 300_000 + "]", "peak", "values in one file"),
        ("title: x\ntitle: y\n", "", "stands twice"),
        ("a: 1\n---\nb: 2\n", "", "another document"),
        ("released: {value: " + "9" * 5000 + "}", "released.value", "5000 characters"),
        ("released: {value: " + "9" * 500 + "}", "released", "out of any physical range"),
        ("released: {value: 2024-13-45}\n", "", "month must be"),
        ("? [a]\n: 1\n", "", ""),
        ("- a\n- b\n", "", "a mapping is expected"),
        ("just text", "", "a mapping is expected"),
        ("", "", "empty"),
        ("{value: 1}", "value", "unknown field"),
        (b"\x00\x01\x02\xff\xfe", "", "not UTF-8"),
        (b"title: \x00", "", "not valid YAML"),
        (b"\xff\xfet\x00i\x00", "", "not UTF-8"),
        ("%YAML 9.9\n---\na: 1\n", "", "not valid YAML"),
    ],
)
def test_hostile_file(tmp_path: Path, content: str | bytes, field: str, words: str) -> None:
    put(tmp_path, MINE, content)
    report = check(tmp_path)
    hits = [f for f in report.errors if f.file == MINE and f.field.startswith(field) and words in f.problem]
    assert hits, "\n".join(map(str, report.findings))
    assert not report.ok


def test_hundred_megabytes(tmp_path: Path) -> None:
    with put(tmp_path, MINE, "title: x\n").open("r+b") as file:
        file.truncate(100 << 20)
    found(tmp_path, MINE, "", "larger than 1 MiB")


@pytest.mark.parametrize(
    ("name", "words", "severity"),
    [
        ("hardware/cloud/my chip.yaml", "no identifier", "error"),
        ("hardware/cloud/5090.yaml", "no identifier", "error"),
        ("hardware/cloud/.yaml", "no identifier", "error"),
        ("hardware/cloud/..yaml", "no identifier", "error"),
        ("hardware/cloud/..%2f..%2fx.yaml", "no identifier", "error"),
        ("hardware/cloud/\u00e9.yaml", "no identifier", "error"),
        ("hardware/cloud/Mine.yml", "end in .yaml", "error"),
        ("hardware/cloud/Mine.YAML", "end in .yaml", "error"),
        ("hardware/cloud/Mine.json", "end in .yaml", "error"),
        ("hardware/cloud/notes.docx", "end in .yaml", "warning"),
        ("hardware/Mine.yaml", "KIND/GROUP/NAME.yaml", "error"),
        ("hardware.yaml", "one of aliases.yaml", "error"),
    ],
)
def test_unexpected_file(tmp_path: Path, name: str, words: str, severity: str) -> None:
    put(tmp_path, "hardware/cloud/Good.yaml", card())
    put(tmp_path, name, "title: x\n")
    found(tmp_path, name, "", words, severity)


@pytest.mark.parametrize(
    ("name", "words", "severity"),
    [
        ("plugins", "unexpected folder", "warning"),
        ("hardware/quantum", "unexpected group", "warning"),
        ("hardware/cloud/deep", "deeper folder", "error"),
    ],
)
def test_unexpected_folder(tmp_path: Path, name: str, words: str, severity: str) -> None:
    put(tmp_path, "hardware/cloud/Good.yaml", card())
    (tmp_path / name).mkdir(parents=True)
    found(tmp_path, name, "", words, severity)


def test_file_name_that_a_terminal_would_act_on(tmp_path: Path) -> None:
    put(tmp_path, "hardware/cloud/Good.yaml", card())
    put(tmp_path, "hardware/cloud/a\x1b[2Jb\n.yaml", "title: x\n")
    (tmp_path / "hardware/cloud" / os.fsdecode(b"\xff.yaml")).write_text("title: x\n")
    report = check(tmp_path)
    assert len(report.errors) == 2
    assert all(str(f).isprintable() and str(f).encode() for f in report.findings)


def test_links(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    put(folder, "hardware/cloud/Good.yaml", card())
    secret = put(tmp_path, "secret.yaml", card())
    place = folder / "hardware/cloud"
    (place / "Out.yaml").symlink_to(secret)
    (place / "Up.yaml").symlink_to("../../../secret.yaml")
    (place / "Device.yaml").symlink_to("/dev/zero")
    (place / "Nowhere.yaml").symlink_to("nothing")
    (place / "Loop.yaml").symlink_to("Loop.yaml")
    (folder / "models").symlink_to(tmp_path)
    (folder / "infra").symlink_to(folder / "hardware")
    report = check(folder)
    out = {f.file for f in report.errors if "leads out" in f.problem}
    links = ("Out", "Up", "Device", "Nowhere", "Loop")
    assert out == {"models", *(f"hardware/cloud/{name}.yaml" for name in links)}
    assert [f.file for f in report.errors if "linked folder" in f.problem] == ["infra"]
    assert report.entries_by_kind["hardware"] == 1


def test_a_link_within_the_folder_is_read(tmp_path: Path) -> None:
    put(tmp_path, "hardware/cloud/Good.yaml", card())
    (tmp_path / "hardware/cloud/Same.yaml").symlink_to("Good.yaml")
    found(tmp_path, "hardware/cloud/Same.yaml", "title", "same title", "warning")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    put(tmp_path, "hardware/cloud/Good.yaml", card())
    os.mkfifo(tmp_path / MINE)
    found(tmp_path, MINE, "", "neither a file nor a folder")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_unreadable(tmp_path: Path) -> None:
    put(tmp_path, MINE, "title: x\n").chmod(0)
    found(tmp_path, MINE, "", "cannot be read")


def test_no_folder(tmp_path: Path) -> None:
    found(tmp_path / "none", ".", "", "is not a folder")
    found(tmp_path, ".", "", "nothing here")
    found(put(tmp_path, "a.txt", "x"), ".", "", "is not a folder")


def test_zero_in_one_entry_does_not_break_another(tmp_path: Path) -> None:
    chip, box = entry(CHIP), entry(BOX)
    fields = (
        chip["link"]["bandwidth"],
        chip["power"]["tdp"],
        chip["price"]["purchase"],
        chip["embodied_carbon"],
    )
    for field in fields:
        field["value"] = 0
    put(tmp_path, "hardware/cloud/Zero.yaml", chip | {"node": "ZeroBox"})
    put(tmp_path, "systems/nodes/ZeroBox.yaml", box | {"accelerator": "Zero", "title": "Box"})
    assert {f.field for f in check(tmp_path).errors} == {
        "link.bandwidth",
        "power.tdp",
        "price.purchase",
        "embodied_carbon",
    }


def test_loose_measurements_cite_sources(tmp_path: Path) -> None:
    put(tmp_path, "measurements/training/runs.yaml", {"runs": [{"mfu": value(0.4) | {"source": "nobody"}}]})
    found(tmp_path, "measurements/training/runs.yaml", "runs.0.mfu", "not in sources.yaml")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), name=st.sampled_from([MINE, *ROOT_FILES]))
def test_any_bytes(tmp_path: Path, content: bytes, name: str) -> None:
    file = put(tmp_path, name, content)
    json.dumps(check(tmp_path).to_dict())
    file.unlink()


KEYS = st.sampled_from(
    [
        "value",
        "unit",
        "source",
        "kind",
        "as_of",
        "inputs",
        "why",
        "note",
        "title",
        "peak",
        "bf16",
        "memory",
        "capacity",
        "architecture",
        "layers",
        "node",
        "accelerator",
        "hardware",
        "H100",
        "1",
        "a.b",
        "",
        "pue",
    ]
)
WORDS = st.sampled_from(["datasheet", "derived", "estimate", "GB", "1", "nvidia_t4_datasheet", 10**80])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), KEYS, WORDS)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=20,
)
PLACES = [
    MINE,
    "models/tiny/Mine.yaml",
    "infra/grids/Mine.yaml",
    "systems/nodes/Mine.yaml",
    "systems/reliability/Mine.yaml",
    "measurements/x.yaml",
    *ROOT_FILES,
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=TREES, name=st.sampled_from(PLACES))
def test_any_tree(tmp_path: Path, content: Any, name: str) -> None:
    file = put(tmp_path, name, content)
    json.dumps(check(tmp_path).to_dict())
    file.unlink()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_a_good_entry(tmp_path: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([CHIP, BOX, LLM, MOE, MAMBA, NET, TINY, GRID, NOC]))
    content = entry(path)
    parent: Any = content
    while True:
        key = data.draw(st.sampled_from(sorted(parent)))
        if not isinstance(parent[key], dict) or data.draw(st.integers(0, 3)) == 0:
            break
        parent = parent[key]
    parent[key] = data.draw(TREES)
    file = put(tmp_path, path, content)
    json.dumps(check(tmp_path).to_dict())
    file.unlink()


# -- the loader that the engine uses refuses too ----------------------------------------------------


@pytest.mark.parametrize(
    ("content", "where", "words"),
    [
        (
            "title: x\nvendor: y\nreleased: {value: 1, unit: GB, source: a, kind: paper, as_of: 1}\n",
            "cloud/Mine.yaml: released",
            "not a quantity",
        ),
        (
            "title: x\nvendor: y\nreleased: {value: 1, unit: year, kind: paper, as_of: 1}\n",
            "cloud/Mine.yaml: released",
            "'source' is missing",
        ),
        ("title: x\npeak: &p {bf16: *p}\n", "cloud/Mine.yaml", "refers to itself"),
        ("x" * (2 << 20), "Mine.yaml", "larger than 1 MiB"),
    ],
)
def test_loader_refuses(tmp_path: Path, content: str, where: str, words: str) -> None:
    with pytest.raises(RegistryError, match=words) as caught:
        HARDWARE.read(put(tmp_path, MINE, content))
    assert caught.value.where.endswith(where)

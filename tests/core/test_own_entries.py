"""Entries of the user's own: found, read by the registry's schema, refused with file and field."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsysim.core import own, registry
from mlsysim.core.errors import InputError, MlsysimError, RegistryError, UnknownNameError
from mlsysim.hardware import Hardware
from mlsysim.hardware.own import resolve_hardware
from mlsysim.infra.own import resolve_region
from mlsysim.models import Model
from mlsysim.models.own import resolve_model

CONFIGS = Path(__file__).parents[1] / "models" / "configs"
MEASURED = "source: mine, kind: measured, as_of: 2026"
CHIP = f"""\
title: My chip
vendor: Me
peak:
  bf16: {{value: 100, unit: TFLOP/s, {MEASURED}}}
memory:
  capacity: {{value: 48, unit: GiB, {MEASURED}}}
"""
REGION = f"""\
title: My cellar
provider: Me
carbon_intensity: {{value: 30, unit: gCO2e/kWh, {MEASURED}, method: direct}}
"""


def sized(name: str, value: int) -> str:
    return f'  {name}: {{value: {value}, unit: "1", {MEASURED}}}\n'


MODEL = (
    "title: My model\nkind: transformer\narchitecture:\n"
    + "".join(
        sized(n, v) for n, v in (("layers", 2), ("hidden", 64), ("ffn", 256), ("heads", 4), ("vocab", 1000))
    )
    + f"parameters: {{value: 259000, unit: param, {MEASURED}}}\n"
)


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", ["my_chip.yaml", "my_chip.yml", "my_chip.YAML"])
def test_hardware(tmp_path: Path, name: str) -> None:
    entry = resolve_hardware(write(tmp_path, name, CHIP))
    assert (entry.name, entry.group, entry.title) == ("my_chip", "own", "My chip")
    assert entry.rate("bf16").base == 100e12


def test_region(tmp_path: Path) -> None:
    entry = resolve_region(write(tmp_path, "cellar.yaml", REGION))
    assert entry.name == "cellar"
    assert entry.carbon_intensity is not None


def test_model(tmp_path: Path) -> None:
    entry = resolve_model(write(tmp_path, "small.yaml", MODEL))
    assert (entry.name, entry.group) == ("small", "own")
    assert entry.transformer.head_dim == 16


def test_paths_start_at_the_given_folder(tmp_path: Path) -> None:
    write(tmp_path, "my_chip.yaml", CHIP)
    write(tmp_path, "small.yaml", MODEL)
    assert resolve_hardware("./my_chip.yaml", tmp_path).name == "my_chip"
    assert resolve_model("small.yaml", folder=tmp_path).name == "small"
    with pytest.raises(InputError, match="no such file"):
        resolve_hardware("./my_chip.yaml")


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "my_chip.yaml", CHIP)
    assert resolve_hardware("~/my_chip.yaml").name == "my_chip"


def test_an_entry_of_the_registry_reads_as_ones_own() -> None:
    path = registry.root() / "models" / "language" / "Llama3_8B.yaml"
    assert resolve_model(str(path)).parameters == resolve_model("Llama3_8B").parameters


def test_names_still_mean_the_registry() -> None:
    assert resolve_model("llama3-8b").name == "Llama3_8B"
    assert resolve_hardware("h100").name == "H100"
    assert resolve_region("Quebec").name == "Quebec"
    with pytest.raises(UnknownNameError, match="no model called 'Lama9'"):
        resolve_model("Lama9")


def test_models_by_config() -> None:
    assert resolve_model(str(CONFIGS / "gpt2.json")).parameters.base == 124439808
    assert resolve_model("gpt2.json", folder=CONFIGS).group == "huggingface"


def test_a_folder_does_not_hide_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GPT2", "Mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text((CONFIGS / "gpt2-medium.json").read_text())
    assert resolve_model("GPT2").group == "language"
    assert resolve_model("Mine").parameters.base == resolve_model("./Mine").parameters.base == 354823168
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UnknownNameError):
        resolve_model("")


@pytest.mark.parametrize(
    "reference",
    [
        "a/b",
        "no.yaml",
        "no.yml",
        "no.json",
        "NO.JSON",
        "/no/such",
        "./x",
        "x" * 5000 + "/y",
        "a\0/b.yaml",
        "~nobody/x.yaml",
    ],
)
def test_a_path_that_is_not_there(reference: str) -> None:
    for resolve in (resolve_model, resolve_hardware, resolve_region):
        with pytest.raises(InputError, match="no such file"):
            resolve(reference)


def test_hints_for_a_path_that_is_not_there() -> None:
    with pytest.raises(InputError) as caught:
        resolve_model("mistralai/Mistral-7B-v0.3")
    assert "hf://mistralai/Mistral-7B-v0.3" in caught.value.hint
    with pytest.raises(InputError) as caught:
        resolve_hardware("./my_chip.yaml")
    assert "mlsysim zoo hardware" in caught.value.hint


def test_other_files_are_refused(tmp_path: Path) -> None:
    text = write(tmp_path, "entry.txt", MODEL)
    with pytest.raises(InputError, match="a model is a YAML entry"):
        resolve_model(text)
    with pytest.raises(InputError, match="an entry is a YAML file"):
        resolve_hardware(text)
    with pytest.raises(InputError, match="an entry is a YAML file"):
        resolve_region(str(tmp_path))
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        resolve_model(str(tmp_path / "pipe.yaml"))


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("", "", "a mapping is expected"),
        ("- 1\n", ":1", "a mapping is expected"),
        (CHIP + "colour: blue\n", ":7: colour", "unknown field 'colour'"),
        (CHIP.replace("vendor: Me\n", ""), ":1", "'vendor' is missing"),
        (CHIP.replace("TFLOP/s", "GB"), ":4: peak.bf16", "is not a quantity in FLOP/s"),
        (CHIP.replace("value: 100", "value: fast"), ":4: peak.bf16", "'fast' is not a number"),
        (CHIP.replace("source: mine, ", ""), ":4: peak.bf16", "'source' is missing"),
        (CHIP.replace("vendor: Me", "vendor: 3"), ":2: vendor", "3 is not text"),
        (CHIP + "vendor: You\n", ":7", "'vendor' stands twice"),
        (CHIP + "memory: [\n", ":8", "not valid YAML"),
        ("a: &a [*a]\n", "", "refers to itself"),
        ("\x00", "", "not valid YAML"),
    ],
)
def test_a_malformed_entry_names_file_and_field(tmp_path: Path, text: str, place: str, problem: str) -> None:
    for name in ("my_chip.yaml", "my_chip.yml"):
        path = write(tmp_path, name, text)
        with pytest.raises(RegistryError, match=problem) as caught:
            resolve_hardware(path)
        assert caught.value.where.startswith(path + place)


def test_entries_have_a_size(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="larger than 1 MiB"):
        resolve_hardware(write(tmp_path, "big.yaml", "#" * (1 << 21)))
    (tmp_path / "latin.yaml").write_bytes(b"title: \xe9\n")
    with pytest.raises(RegistryError, match="not UTF-8"):
        resolve_region(str(tmp_path / "latin.yaml"))


LINES = st.lists(
    st.sampled_from(
        [
            *CHIP.splitlines(),
            "peak: 3",
            "memory: {capacity: 4}",
            "? [a]: b",
            "1: 2",
            "title: [x]",
            "vendor: null",
            "on_chip: {capacity: {value: .nan, unit: B}}",
        ]
    )
)


@settings(max_examples=200, deadline=None)
@given(LINES)
def test_any_lines_give_an_entry_or_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    path = write(tmp_path_factory.mktemp("own"), "x.yaml", "\n".join(lines))
    try:
        own.own_entry(Path(path), Hardware)
    except MlsysimError as error:
        place = error.where
    else:
        place = path
    assert "x.yaml" in place


def test_the_right_kind_is_read(tmp_path: Path) -> None:
    path = Path(write(tmp_path, "region.yaml", REGION))
    with pytest.raises(RegistryError, match="unknown field 'provider'"):
        own.own_entry(path, Model)

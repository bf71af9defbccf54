"""The shipped registry holds what it must: sources, few estimates, the right values."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from registry_folders import BOX, CHIP, ROOT, entry, put

from mlsysim.core import registry, units
from mlsysim.core.check import Report, check, ranges, references
from mlsysim.core.check.files import GROUPS
from mlsysim.core.provenance import KINDS
from mlsysim.core.records import Record
from mlsysim.hardware import CATALOG as HARDWARE
from mlsysim.infra import CATALOG as INFRA
from mlsysim.models import CATALOG as MODELS
from mlsysim.systems import CATALOG as SYSTEMS


@pytest.fixture(scope="module")
def shipped() -> Report:
    return check()


def test_nothing_is_found(shipped: Report) -> None:
    assert [str(f) for f in shipped.findings] == []
    assert shipped.ok


def test_counts(shipped: Report) -> None:
    assert shipped.entries_by_kind == {
        "hardware": len(HARDWARE),
        "models": len(MODELS),
        "infra": len(INFRA),
        "systems": len(SYSTEMS),
    }
    assert shipped.sources == len(registry.sources())
    assert set(shipped.values_by_kind) == set(KINDS)
    assert shipped.values == sum(shipped.values_by_kind.values()) > 2000
    assert json.loads(json.dumps(shipped.to_dict()))["values_by_kind"] == shipped.values_by_kind


def test_estimates_are_few(shipped: Report) -> None:
    assert 0 < shipped.estimate_share < 0.15


def numbers(raw: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every number of a file, with the mapping that holds it."""
    if isinstance(raw, dict):
        for key, item in raw.items():
            if isinstance(item, int | float) and not isinstance(item, bool):
                yield (*path, key), raw
            else:
                yield from numbers(item, (*path, key))
    elif isinstance(raw, list):
        for index, item in enumerate(raw):
            if isinstance(item, int | float) and not isinstance(item, bool):
                yield (*path, index), raw
            yield from numbers(item, (*path, index))


@pytest.mark.parametrize("kind", [*GROUPS, "root"])
def test_every_number_has_a_source(kind: str) -> None:
    files = (
        [ROOT / f"{name}.yaml" for name in ("cities", "defaults", "economics", "egress")]
        if kind == "root"
        else sorted((ROOT / kind).glob("*/*.yaml"))
    )
    assert files
    walked = 0
    for file in files:
        for path, holder in numbers(yaml.safe_load(file.read_text())):
            walked += 1
            where = f"{file.relative_to(ROOT)}: {'.'.join(map(str, path))}"
            if "inputs" in path:
                continue  # what a derived value was computed from
            if path[0] == "plan":
                continue  # a plan's own numbers; a test of the scenarios holds them to their story
            assert path[-1] in ("value", "as_of"), f"{where} is a bare number"
            assert holder["source"] in registry.sources(), where
            assert holder["kind"] in KINDS, where
    assert walked > 50


def test_every_read_value_has_a_source() -> None:
    for catalog in (HARDWARE, MODELS, INFRA, SYSTEMS):
        for item in catalog:
            for field, value in item.values().items():
                assert value.source in registry.sources(), f"{item.name}.{field}"
                assert value.unit, f"{item.name}.{field}"


def test_every_field_has_a_range() -> None:
    types: list[tuple[str, str, type[Record]]] = [
        (kind, group, cls)
        for kind, catalog in (
            ("hardware", HARDWARE),
            ("models", MODELS),
            ("infra", INFRA),
            ("systems", SYSTEMS),
        )
        for group, cls in catalog.types.items()
    ]
    for kind, group, cls in types:
        assert set(_fields(cls)) <= set(ranges.table(kind, group)), (kind, group)


def _fields(cls: type[Record], prefix: str = "") -> Iterator[str]:
    for name, f in cls.__dataclass_fields__.items():
        if "number" in f.metadata:
            yield prefix + name
        elif "part" in f.metadata:
            yield from _fields(f.metadata["part"], f"{prefix}{name}.")


def test_references_name_fields_that_exist() -> None:
    for (kind, group), fields in references.REFERENCES.items():
        catalog: Any = {"hardware": HARDWARE, "systems": SYSTEMS, "infra": INFRA}[kind]
        for field in fields:
            assert field in catalog.types[group].__dataclass_fields__


# -- the table of wrong values --------------------------------------------------------------------


def near(value: Any, unit: str, number: float, rel: float = 0.005) -> bool:

    return value.base == pytest.approx(units.to_base(number, unit, unit), rel=rel)


def hw(name: str) -> Any:
    return HARDWARE.get(name)


def model(name: str) -> Any:
    return MODELS.get(name)


def grid(name: str) -> Any:
    assert INFRA.get(name).group == "grids"
    return INFRA.get(name).carbon_intensity


def text_of(folder: str = "") -> str:
    return "\n".join(p.read_text() for p in sorted((ROOT / folder).rglob("*.yaml")))


TPUS = ("TPUv4", "TPUv5e", "TPUv5p", "TPUv6e")
RIGHT: dict[str, Callable[[], bool]] = {
    "Trainium2 rates and bandwidth": lambda: (
        near(hw("Trainium2").peak.bf16, "TFLOP/s", 667)
        and near(hw("Trainium2").peak.fp8, "TFLOP/s", 1299)
        and near(hw("Trainium2").memory.bandwidth, "TB/s", 2.9)
    ),
    "DeepSeek_V3 heads": lambda: model("DeepSeek_V3").architecture.heads.base == 128,
    "Stable Diffusion 1.5 operations": lambda: near(
        model("StableDiffusion_1_5").flops_per_sample, "GFLOP", 857
    ),
    "DS_CNN parameters and operations": lambda: (
        model("DS_CNN").parameters.base == 24908 and near(model("DS_CNN").flops_per_sample, "MFLOP", 5.3136)
    ),
    "EfficientNet counts multiply-adds twice": lambda: (
        near(model("EfficientNet_B0").flops_per_sample, "GFLOP", 0.772)
        and near(model("EfficientNet_B4").flops_per_sample, "GFLOP", 8.79)
    ),
    "GB200_NVL72 rates": lambda: (
        near(hw("GB200_NVL72").peak.bf16, "PFLOP/s", 180)
        and near(hw("GB200_NVL72").peak.fp8, "PFLOP/s", 360)
        and near(hw("GB200_NVL72").peak.fp4, "PFLOP/s", 720)
    ),
    "CS3 dense rate": lambda: near(hw("CS3").peak.fp16, "PFLOP/s", 15.84),
    "ESP32_S3 memory": lambda: (
        near(hw("ESP32_S3").memory.capacity, "KiB", 512) and near(hw("ESP32").memory.capacity, "KiB", 520)
    ),
    "Jetson Orin NX rate": lambda: near(hw("Jetson_Orin_NX").peak.fp16, "TFLOP/s", 15),
    "Jetson AGX Orin rate": lambda: (
        near(hw("Jetson_AGX_Orin").peak.int8, "TFLOP/s", 85)
        and hw("Jetson_AGX_Orin").peak.fp16.base < hw("Jetson_AGX_Orin").peak.int8.base
    ),
    "TPU power is nowhere a datasheet's": lambda: (
        near(hw("TPUv4").power.tdp, "W", 192)
        and all(hw(name).power.tdp.kind in ("measured", "derived", "estimate") for name in TPUS)
    ),
    "Coral has no memory of its own": lambda: (
        near(hw("Coral_EdgeTPU").memory.capacity, "MiB", 8)
        and hw("Coral_EdgeTPU").memory.bandwidth.base < 1e9
    ),
    "iPhone 15 Pro battery": lambda: all(  # the registry has none; if it comes, it is not 15 Wh
        near(value, "Wh", 12.7) for name, value in hw("iPhone15Pro").values().items() if "battery" in name
    ),
    "Poland": lambda: near(grid("Poland"), "gCO2e/kWh", 662),
    "US_Avg": lambda: near(grid("US_Avg"), "gCO2e/kWh", 350) and grid("US_Avg").method == "direct",
    "Texas": lambda: near(grid("Texas"), "gCO2e/kWh", 350),
    "EU_Avg": lambda: near(grid("EU_Avg"), "gCO2e/kWh", 242),
    "Norway": lambda: near(grid("Norway"), "gCO2e/kWh", 30.1) and grid("Norway").method == "lifecycle",
    "Iowa is not the high-carbon place": lambda: (
        near(grid("Iowa"), "gCO2e/kWh", 288) and near(grid("West_Virginia"), "gCO2e/kWh", 893)
    ),
    "grids have sources of their own and no blanket PUE": lambda: (
        all(r.pue is None and r.wue is None for r in INFRA if r.group == "grids")
        and len({r.carbon_intensity.source for r in INFRA if r.group == "grids"}) >= 3
        and "iea_weo" not in text_of("infra").lower()
    ),
    "failures are counted once": lambda: (
        near(systems("Llama3_405B").mtbf_accelerator, "h", 50677)
        and not {"Hbm", "Nic", "Psu", "Gpu"} & {name.capitalize() for name in SYSTEMS.names("reliability")}
    ),
    "nodes fail as often as observed": lambda: (
        near(systems("RSC1").mtbf_node, "h", 3692)
        and near(systems("RSC2").mtbf_node, "h", 10256)
        and near(systems("Llama3_405B").mtbf_node, "h", 6335)
        and near(systems("reliability/OPT_175B").mtbf_node, "h", 1488)
    ),
    "electricity in the United States": lambda: (
        near(registry.default("electricity_price", "USD/kWh"), "USD/kWh", 0.0804)
        and near(INFRA.get("Iowa").price, "USD/kWh", 0.0691)
        and near(INFRA.get("Texas").price, "USD/kWh", 0.066)
        and near(INFRA.get("Virginia").price, "USD/kWh", 0.0892)
    ),
    "A100 embodied carbon": lambda: near(hw("A100_40GB").embodied_carbon, "kgCO2e", 127.6),
    "GPT4 has no invented architecture": lambda: (
        model("GPT4").architecture is None and model("GPT4").parameters.kind == "estimate"
    ),
    "Wake Vision is Harvard's": lambda: "TI-malaria" not in text_of(),
    "DeepSeek-V3 report": lambda: all(
        "Technical Report" in record["title"]
        for record in registry.sources().values()
        if "2412.19437" in record.get("url", "")
    ),
}


def systems(name: str) -> Any:
    return SYSTEMS.get(name.split("/")[-1])


@pytest.mark.parametrize("row", RIGHT)
def test_wrong_value_is_right_here(row: str) -> None:
    assert RIGHT[row]()


# -- a folder of a user's ---------------------------------------------------------------------------


def test_part_of_a_registry_may_name_the_shipped(tmp_path: Path) -> None:
    put(tmp_path, "hardware/cloud/MyChip.yaml", entry(CHIP) | {"title": "Mine", "node": "MyBox"})
    put(tmp_path, "systems/nodes/MyBox.yaml", entry(BOX) | {"title": "Box", "accelerator": "mychip"})
    put(tmp_path, "aliases.yaml", {"hardware": {"OtherName": "MyChip", "Ancient": "V100"}})
    put(tmp_path, "README.md", "about my chips")
    report = check(tmp_path)
    assert report.findings == []
    assert report.entries_by_kind == {"hardware": 1, "models": 0, "infra": 0, "systems": 1}
    assert report.sources == 0


def test_whole_registry_stands_alone(tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "mine")
    assert check(tmp_path / "mine").findings == []
    sources = entry("sources.yaml")
    used = sources.pop("nvidia_t4_datasheet")
    sources["never_cited"] = used
    sources["twice"] = copy.deepcopy(used)
    put(tmp_path / "mine", "sources.yaml", sources)
    report = check(tmp_path / "mine")
    assert any(
        f.file == "hardware/cloud/T4.yaml" and "nvidia_t4_datasheet" in f.problem for f in report.errors
    )
    assert {f.field for f in report.warnings} == {"never_cited", "twice"}
    assert any(f.field == "twice" and "cites the same" in f.problem for f in report.errors)

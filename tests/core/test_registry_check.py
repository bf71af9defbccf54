"""The registry holds what it must, and the check of a folder finds what is wrong and never fails."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlsysim.core import registry
from mlsysim.core.check import Report, check, ranges, references
from mlsysim.core.check.files import GROUPS, ROOT_FILES
from mlsysim.core.errors import RegistryError
from mlsysim.core.provenance import KINDS
from mlsysim.core.records import Record
from mlsysim.hardware import CATALOG as HARDWARE
from mlsysim.infra import CATALOG as INFRA
from mlsysim.models import CATALOG as MODELS
from mlsysim.systems import CATALOG as SYSTEMS

ROOT = registry.root()


@pytest.fixture(scope="module")
def shipped() -> Report:
    return check()


def entry(path: str) -> Any:
    """The parsed content of a shipped file, to change."""
    return yaml.safe_load((ROOT / path).read_text())


def card() -> Any:
    """A small accelerator that stands in no server."""
    data = entry("hardware/cloud/T4.yaml")
    del data["node"]
    return data


def put(folder: Path, path: str, content: Any) -> Path:
    """Write a file: bytes and text as they are, anything else as YAML."""
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else yaml.safe_dump(content)).encode()
    file.write_bytes(content)
    return file


def found(folder: Path, file: str, field: str, words: str, severity: str = "error") -> None:
    report = check(folder)
    hits = [f for f in report.findings if f.file == file and f.field == field and words in f.problem]
    assert hits, "\n".join(map(str, report.findings))
    assert hits[0].severity == severity
    assert report.ok == (severity == "warning")


# -- what must hold of the shipped registry -------------------------------------------------------


def test_nothing_is_found(shipped: Report) -> None:
    assert [str(f) for f in shipped.findings] == []
    assert shipped.ok


def test_counts(shipped: Report) -> None:
    assert shipped.entries_by_kind == {"hardware": len(HARDWARE), "models": len(MODELS),
                                       "infra": len(INFRA), "systems": len(SYSTEMS)}
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
    files = [ROOT / "defaults.yaml", ROOT / "economics.yaml"] if kind == "root" else \
        sorted((ROOT / kind).glob("*/*.yaml"))
    assert files
    walked = 0
    for file in files:
        for path, holder in numbers(yaml.safe_load(file.read_text())):
            walked += 1
            where = f"{file.relative_to(ROOT)}: {'.'.join(map(str, path))}"
            if "inputs" in path:
                continue  # what a derived value was computed from
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
        (kind, group, cls) for kind, catalog in
        (("hardware", HARDWARE), ("models", MODELS), ("infra", INFRA), ("systems", SYSTEMS))
        for group, cls in catalog.types.items()]
    for kind, group, cls in types:
        assert set(_fields(cls)) <= set(ranges.table(kind, group)), (kind, group)


def _fields(cls: type[Record], prefix: str = "") -> Iterator[str]:
    for name, f in cls.__dataclass_fields__.items():
        if "number" in f.metadata:
            yield prefix + name
        elif "part" in f.metadata:
            yield from _fields(f.metadata["part"], f"{prefix}{name}.")


# -- the table of wrong values --------------------------------------------------------------------


def near(value: Any, unit: str, number: float, rel: float = 0.005) -> bool:
    from mlsysim.core import units

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
        near(hw("Trainium2").peak.bf16, "TFLOP/s", 667) and near(hw("Trainium2").peak.fp8, "TFLOP/s", 1299)
        and near(hw("Trainium2").memory.bandwidth, "TB/s", 2.9)),
    "DeepSeek_V3 heads": lambda: model("DeepSeek_V3").architecture.heads.base == 128,
    "Stable Diffusion 1.5 operations": lambda: near(
        model("StableDiffusion_1_5").flops_per_sample, "GFLOP", 857),
    "DS_CNN parameters and operations": lambda: (
        model("DS_CNN").parameters.base == 24908
        and near(model("DS_CNN").flops_per_sample, "MFLOP", 5.3136)),
    "EfficientNet counts multiply-adds twice": lambda: (
        near(model("EfficientNet_B0").flops_per_sample, "GFLOP", 0.772)
        and near(model("EfficientNet_B4").flops_per_sample, "GFLOP", 8.79)),
    "GB200_NVL72 rates": lambda: (
        near(hw("GB200_NVL72").peak.bf16, "PFLOP/s", 180) and near(hw("GB200_NVL72").peak.fp8, "PFLOP/s", 360)
        and near(hw("GB200_NVL72").peak.fp4, "PFLOP/s", 720)),
    "CS3 dense rate": lambda: near(hw("CS3").peak.fp16, "PFLOP/s", 15.84),
    "ESP32_S3 memory": lambda: (
        near(hw("ESP32_S3").memory.capacity, "KiB", 512) and near(hw("ESP32").memory.capacity, "KiB", 520)),
    "Jetson Orin NX rate": lambda: near(hw("Jetson_Orin_NX").peak.fp16, "TFLOP/s", 15),
    "Jetson AGX Orin rate": lambda: (
        near(hw("Jetson_AGX_Orin").peak.int8, "TFLOP/s", 85)
        and hw("Jetson_AGX_Orin").peak.fp16.base < hw("Jetson_AGX_Orin").peak.int8.base),
    "TPU power is nowhere a datasheet's": lambda: (
        near(hw("TPUv4").power.tdp, "W", 192)
        and all(hw(name).power.tdp.kind in ("measured", "derived", "estimate") for name in TPUS)),
    "Coral has no memory of its own": lambda: (
        near(hw("Coral_EdgeTPU").memory.capacity, "MiB", 8)
        and hw("Coral_EdgeTPU").memory.bandwidth.base < 1e9),
    "iPhone 15 Pro battery": lambda: all(  # the registry has none; if it comes, it is not 15 Wh
        near(value, "Wh", 12.7) for name, value in hw("iPhone15Pro").values().items() if "battery" in name),
    "Poland": lambda: near(grid("Poland"), "gCO2e/kWh", 662),
    "US_Avg": lambda: near(grid("US_Avg"), "gCO2e/kWh", 350) and grid("US_Avg").method == "direct",
    "Texas": lambda: near(grid("Texas"), "gCO2e/kWh", 350),
    "EU_Avg": lambda: near(grid("EU_Avg"), "gCO2e/kWh", 242),
    "Norway": lambda: near(grid("Norway"), "gCO2e/kWh", 30.1) and grid("Norway").method == "lifecycle",
    "Iowa is not the high-carbon place": lambda: (
        near(grid("Iowa"), "gCO2e/kWh", 288) and near(grid("West_Virginia"), "gCO2e/kWh", 893)),
    "grids have sources of their own and no blanket PUE": lambda: (
        all(r.pue is None and r.wue is None for r in INFRA if r.group == "grids")
        and len({r.carbon_intensity.source for r in INFRA if r.group == "grids"}) >= 3  # type: ignore[union-attr]
        and "iea_weo" not in text_of("infra").lower()),
    "failures are counted once": lambda: (
        near(systems("Llama3_405B").mtbf_accelerator, "h", 50677)
        and not {"Hbm", "Nic", "Psu", "Gpu"} & {name.capitalize() for name in SYSTEMS.names("reliability")}),
    "nodes fail as often as observed": lambda: (
        near(systems("RSC1").mtbf_node, "h", 3692) and near(systems("RSC2").mtbf_node, "h", 10256)
        and near(systems("Llama3_405B").mtbf_node, "h", 6335)
        and near(systems("reliability/OPT_175B").mtbf_node, "h", 1488)),
    "electricity in the United States": lambda: (
        near(registry.default("electricity_price", "USD/kWh"), "USD/kWh", 0.0804)
        and near(INFRA.get("Iowa").price, "USD/kWh", 0.0691) and near(INFRA.get("Texas").price, "USD/kWh", 0.066)
        and near(INFRA.get("Virginia").price, "USD/kWh", 0.0892)),
    "A100 embodied carbon": lambda: near(hw("A100_40GB").embodied_carbon, "kgCO2e", 127.6),
    "GPT4 has no invented architecture": lambda: (
        model("GPT4").architecture is None and model("GPT4").parameters.kind == "estimate"),
    "Wake Vision is Harvard's": lambda: "TI-malaria" not in text_of(),
    "DeepSeek-V3 report": lambda: all(
        "Technical Report" in record["title"] for record in registry.sources().values()
        if "2412.19437" in record.get("url", "")),
}


def systems(name: str) -> Any:
    return SYSTEMS.get(name.split("/")[-1])


@pytest.mark.parametrize("row", RIGHT)
def test_wrong_value_is_right_here(row: str) -> None:
    assert RIGHT[row]()


# -- a folder of a user's ---------------------------------------------------------------------------


def test_part_of_a_registry_may_name_the_shipped(tmp_path: Path) -> None:
    put(tmp_path, "hardware/cloud/MyChip.yaml", entry("hardware/cloud/H100.yaml") | {"title": "Mine", "node": "MyBox"})
    put(tmp_path, "systems/nodes/MyBox.yaml",
        entry("systems/nodes/DGX_H100.yaml") | {"title": "Box", "accelerator": "mychip"})
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
    assert any(f.file == "hardware/cloud/T4.yaml" and "nvidia_t4_datasheet" in f.problem for f in report.errors)
    assert {f.field for f in report.warnings} == {"never_cited", "twice"}
    assert any(f.field == "twice" and "cites the same" in f.problem for f in report.errors)


def test_every_mistake_of_a_file_is_found(tmp_path: Path) -> None:
    chip = entry("hardware/cloud/H100.yaml")
    chip["peak"]["bf16"]["unit"] = "GB"
    chip["memory"]["bandwidth"].pop("source")
    chip["power"]["tdp"]["kind"] = "guess"
    chip["power"]["idle"] = 5
    chip["scope"] = "blob"
    chip["colour"] = "green"
    chip["price"]["rent"]["value"] = 10**400
    chip["released"]["inputs"] = 3
    chip.pop("vendor")
    put(tmp_path, "hardware/cloud/MyChip.yaml", chip)
    put(tmp_path, "hardware/cloud/Other.yaml", "title: [")
    report = check(tmp_path)
    assert {f.field for f in report.errors if f.file.endswith("MyChip.yaml")} == {
        "peak.bf16", "memory.bandwidth", "power.tdp", "power.idle", "scope", "colour", "price.rent", "released",
        "vendor"}
    assert any(f.file.endswith("Other.yaml") and "not valid YAML" in f.problem for f in report.errors)


CHIP, BOX, LLM = "hardware/cloud/H100.yaml", "systems/nodes/DGX_H100.yaml", "models/language/Llama3_8B.yaml"
MOE, MAMBA, NET = "models/language/Mixtral_8x7B.yaml", "models/statespace/Mamba_130M.yaml", "models/vision/ResNet50.yaml"
TINY, GRID, NOC = "hardware/tiny/RP2040.yaml", "infra/grids/Norway.yaml", "systems/fabrics/NVLink4.yaml"


def value(number: float, unit: str = "1") -> dict[str, Any]:
    return {"value": number, "unit": unit, "source": "nvidia_t4_datasheet", "kind": "datasheet", "as_of": 2024}


# file to start from, field, what it becomes, field that is named, words of the message
BROKEN: list[tuple[str, str, Any, str, str]] = [
    # physics of accelerators
    (CHIP, "peak.fp8", value(500, "TFLOP/s"), "peak.fp8", "rates rise as formats narrow"),
    (CHIP, "peak.fp64", value(70, "TFLOP/s"), "peak.fp32", "slower than fp64"),
    (CHIP, "peak.fp4", value(1, "TFLOP/s"), "peak.fp4", "slower than fp8"),
    (CHIP, "memory.bandwidth", value(3350, "MB/s"), "memory.bandwidth", "reading all of the memory"),
    (CHIP, "memory.capacity", value(80, "TB"), "memory.bandwidth", "memory beside the chip"),
    (TINY, "memory.bandwidth", value(1, "MB/s"), "memory.bandwidth", "memory on the chip"),
    (CHIP, "on_chip.capacity", value(90, "GB"), "on_chip.capacity", "larger than the main memory"),
    (CHIP, "peak", {"fp16": value(900, "PFLOP/s")}, "memory.bandwidth", "FLOP per byte"),
    (CHIP, "link.bandwidth", value(4, "TB/s"), "link.bandwidth", "faster than the memory"),
    (CHIP, "power.tdp", value(70, "kW"), "power.tdp", "not the power of a chip"),
    (TINY, "power.tdp", value(20, "W"), "power.tdp", "tiny device"),
    (CHIP, "power.tdp", value(0.7, "W"), "power.tdp", "per watt"),
    (CHIP, "power.idle", value(800, "W"), "power.idle", "not below the design power"),
    (CHIP, "price.purchase", value(20, "USD"), "price.purchase", "USD for each TFLOP/s"),
    (TINY, "price.purchase", value(1500, "USD"), "price.purchase", "USD for each TFLOP/s"),
    (CHIP, "price.rent", value(0.02, "USD/h"), "price.rent", "hours of rent"),
    # servers
    (BOX, "power", value(4, "kW"), "power", "times the design power"),
    (BOX, "price", value(195_000, "USD"), "price", "times the purchase price"),
    (BOX, "price", value(2_690_000, "USD"), "price", "times the purchase price"),
    (BOX, "embodied_carbon", value(1000, "kgCO2e"), "embodied_carbon", "times the footprint"),
    (BOX, "scale_up_domain", value(12), "scale_up_domain", "multiple"),
    (BOX, "scale_up", "InfiniBand_NDR", "scale_up", "is a scale_out fabric"),
    (BOX, "scale_up", "NVLink5", "scale_up", "links of 450 GB/s"),
    (BOX, "scale_out_links", value(100), "scale_out_links", "out of the server"),
    ("systems/reliability/RSC1.yaml", "mtbf_node", value(50_000, "h"), "mtbf_node", "times as often"),
    # models
    (LLM, "architecture.layers", value(33), "parameters", "layers and widths make"),
    (LLM, "parameters", value(8e9, "param") | {"value": 8.2e9}, "parameters", "+2.1%"),
    (MAMBA, "architecture.state", value(64), "parameters", "layers and widths make"),
    (MAMBA, "architecture", {"hidden": value(64)}, "architecture.layers", "needs it"),
    (LLM, "architecture.kv_heads", value(64), "architecture.kv_heads", "more than heads"),
    (LLM, "architecture.kv_heads", value(12), "architecture.kv_heads", "do not divide"),
    (LLM, "architecture", {"hidden": value(64)}, "architecture", "is missing"),
    (MOE, "parameters_active", value(47e9, "param"), "parameters_active", "more than all"),
    (MOE, "parameters_active", value(30e9, "param"), "parameters_active", "without and"),
    (MOE, "parameters_active", None, "parameters_active", "needs it"),
    (MOE, "architecture.expert_ffn", None, "architecture.experts", "needs experts_active"),
    (NET, "flops_per_sample", value(20, "MFLOP"), "flops_per_sample", "at least 2"),
    (NET, "flops_per_sample", None, "flops_per_sample", "needs it"),
    # ranges
    (CHIP, "sparsity", value(0.5), "sparsity", "not within 1 to 16"),
    (CHIP, "compute_units", value(13.5), "compute_units", "must be whole"),
    (CHIP, "released", value(22, "year"), "released", "not within"),
    (LLM, "architecture.heads", value(0), "architecture.heads", "not within"),
    (LLM, "training_tokens", value(15, "token"), "training_tokens", "not within"),
    (GRID, "carbon_intensity", value(30, "kgCO2e/kWh") | {"method": "direct"}, "carbon_intensity", "not within"),
    (GRID, "price", value(63.9, "USD/kWh"), "price", "not within"),
    (GRID, "pue", value(0.9), "pue", "never below 1"),
    (GRID, "carbon_free", value(95), "carbon_free", "a share"),
    (NOC, "achieved_share", value(1.2), "achieved_share", "not within"),
    (NOC, "bandwidth", value(450, "TB/s"), "bandwidth", "not within"),
    # origin
    (CHIP, "released", value(2022, "GB"), "released", "is not a quantity in year"),
    (CHIP, "released", value(2022, "fortnight"), "released", "unknown unit"),
    (CHIP, "released", 2022, "released", "a value must be a mapping"),
    (CHIP, "released", value(2022, "year") | {"value": "2022"}, "released", "is not a number"),
    (CHIP, "released", value(2022, "year") | {"value": float("nan")}, "released", "not a finite number"),
    (CHIP, "released", value(2022, "year") | {"source": "nobody"}, "released", "not in sources.yaml"),
    (CHIP, "released", value(2022, "year") | {"source": "../secret"}, "released", "not in sources.yaml"),
    (CHIP, "released", value(2022, "year") | {"source": "mlsysim_registry"}, "released", "own judgement"),
    (CHIP, "released", value(2022, "year") | {"source": ""}, "released", "'source' is missing"),
    (CHIP, "released", value(2022, "year") | {"as_of": "soon"}, "released", "no year or date"),
    (CHIP, "released", value(2022, "year") | {"note": "recalled"}, "released", "is an estimate"),
    (CHIP, "released", value(2022, "year") | {"kind": "derived"}, "released", "must name its inputs"),
    (CHIP, "released", value(2022, "year") | {"kind": "estimate"}, "released", "must say why"),
    (CHIP, "released", value(2022, "year") | {"kind": "hearsay"}, "released", "is not one of"),
    (CHIP, "released", value(2022, "year") | {"unit": ["year"]}, "released", "unit is not text"),
    (GRID, "carbon_intensity", value(30, "gCO2e/kWh"), "carbon_intensity", "method is one of"),
    # names
    (CHIP, "node", "NoSuchBox", "node", "no systems entry"),
    (CHIP, "node", "../../../etc/passwd", "node", "no systems entry"),
    (CHIP, "node", "NVLink4", "node", "in systems/fabrics, not in systems/nodes"),
    (CHIP, "node", "DGX_A100", "node", "holds A100"),
    (BOX, "accelerator", "H1000", "accelerator", "nearest: H100"),
    (BOX, "scale_out", "Telegraph", "scale_out", "no systems entry"),
    ("infra/gcp/gcp_us_central1.yaml", "grid", "Mordor", "grid", "no infra entry"),
    ("infra/gcp/gcp_us_central1.yaml", "price", value(0.07, "USD/kWh")
     | {"kind": "derived", "inputs": ["Iowa"]}, "price", "derived from Iowa"),
    (CHIP, "title", "a\x1b[31mb", "title", "control characters"),
    (CHIP, "title", 5, "title", "is not text"),
    (LLM, "architecture.gated_mlp", "yes", "architecture.gated_mlp", "not true or false"),
]


@pytest.mark.parametrize(("path", "field", "new", "named", "words"), BROKEN)
def test_broken_entry(tmp_path: Path, path: str, field: str, new: Any, named: str, words: str) -> None:
    data = entry(path)
    if path == CHIP:
        data.pop("node")
    parent: Any = data
    *above, last = field.split(".")
    for key in above:
        parent = parent[key]
    parent[last] = new
    if new is None:
        del parent[last]
    mine = f"{Path(path).parent}/Mine.yaml"
    put(tmp_path, mine, data)
    found(tmp_path, mine, named, words)


def test_cut_integer_units_are_a_warning(tmp_path: Path) -> None:
    data = entry(CHIP)
    data["peak"]["int8"] = value(300, "TFLOP/s")
    data.pop("node")
    put(tmp_path, "hardware/cloud/Mine.yaml", data)
    found(tmp_path, "hardware/cloud/Mine.yaml", "peak.int8", "integer units", "warning")


def test_whole_machine_costs_what_its_accelerator_costs(tmp_path: Path) -> None:
    box = entry("systems/nodes/CS3_System.yaml")
    box["price"]["value"] = 2_000_000
    put(tmp_path, "systems/nodes/Mine.yaml", box)
    found(tmp_path, "systems/nodes/Mine.yaml", "price", "1 to 3 times")


@pytest.mark.parametrize(("one", "two", "words"), [
    ("My_Chip", "MyChip", "same name"), ("My_Chip", "MYCHIP", "same name")])
def test_names_that_fold_together(tmp_path: Path, one: str, two: str, words: str) -> None:
    data = card()
    put(tmp_path, f"hardware/cloud/{two}.yaml", data)
    put(tmp_path, f"hardware/edge/{one}.yaml", data | {"title": "Another"})
    found(tmp_path, f"hardware/edge/{one}.yaml", "", words)


def test_same_title_is_a_warning(tmp_path: Path) -> None:
    data = card()
    put(tmp_path, "hardware/cloud/One.yaml", data)
    put(tmp_path, "hardware/cloud/Two.yaml", data)
    found(tmp_path, "hardware/cloud/Two.yaml", "title", "same title", "warning")


@pytest.mark.parametrize(("aliases", "field", "words", "severity"), [
    ({"hardware": {"Best": "NoChip"}}, "hardware.Best", "no hardware entry", "error"),
    ({"hardware": {"Best": "../../H100"}}, "hardware.Best", "no hardware entry", "error"),
    ({"hardware": {"Best": "Best"}}, "hardware.Best", "no hardware entry", "error"),
    ({"hardware": {"a100": "H100"}}, "hardware.a100", "name of an entry", "error"),
    ({"hardware": {"h-100": "H100"}}, "hardware.h-100", "not needed", "warning"),
    ({"hardware": {"Best_1": "H100", "best1": "A100"}}, "hardware.best1", "the same as", "error"),
    ({"hardware": {"Best": ["H100"]}}, "hardware.Best", "are texts", "error"),
    ({"toys": {"Best": "H100"}}, "toys", "mapping of aliases", "error"),
    ({"hardware": "H100"}, "hardware", "mapping of aliases", "error"),
    (["H100"], "", "mapping is expected", "error"),
])
def test_aliases(tmp_path: Path, aliases: Any, field: str, words: str, severity: str) -> None:
    put(tmp_path, "aliases.yaml", aliases)
    found(tmp_path, "aliases.yaml", field, words, severity)


SOURCE = {"title": "A book", "authors": "Somebody", "year": 2020}


@pytest.mark.parametrize(("record", "field", "words"), [
    ({"authors": "A", "year": 2020}, "one", "'title' is missing"),
    ({"title": "T", "year": 2020}, "one", "needs a url, a doi or authors"),
    (SOURCE | {"year": "2020"}, "one.year", "not the year"),
    (SOURCE | {"year": 20}, "one.year", "not the year"),
    (SOURCE | {"year": True}, "one.year", "not the year"),
    (SOURCE | {"url": "file:///etc/passwd"}, "one.url", "begins with http"),
    (SOURCE | {"url": "registry/../../x"}, "one.url", "begins with http"),
    (SOURCE | {"doi": "https://doi.org/10.1"}, "one.doi", "not a DOI"),
    (SOURCE | {"title": ["T"]}, "one.title", "not text"),
    (SOURCE | {"pages": 3}, "one.pages", "unknown field"),
    ("a book", "one", "a mapping is expected"),
])
def test_sources(tmp_path: Path, record: Any, field: str, words: str) -> None:
    put(tmp_path, "sources.yaml", {"one": record})
    found(tmp_path, "sources.yaml", field, words)


def test_source_ids_and_shape(tmp_path: Path) -> None:
    put(tmp_path, "sources.yaml", {"Not An Id": SOURCE})
    found(tmp_path, "sources.yaml", "Not An Id", "an id is")
    put(tmp_path, "sources.yaml", ["x"])
    found(tmp_path, "sources.yaml", "", "a mapping is expected")


def test_own_sources_count(tmp_path: Path) -> None:
    data = card()
    data["released"]["source"] = "mine_2026"
    put(tmp_path, "hardware/cloud/Mine.yaml", data)
    put(tmp_path, "sources.yaml", {"mine_2026": SOURCE, "unread": SOURCE | {"title": "B"}})
    found(tmp_path, "sources.yaml", "unread", "no value cites", "warning")


@pytest.mark.parametrize(("file", "content", "field", "words"), [
    ("defaults.yaml", {"pue": value(0.9)}, "pue", "not within"),
    ("defaults.yaml", {"pue": value(1.1, "W")}, "pue", "not a quantity"),
    ("defaults.yaml", {"pue": 1.1}, "pue", "a value must be a mapping"),
    ("defaults.yaml", {"anything": value(1, "parsec")}, "anything", "unknown unit"),
    ("economics.yaml", {"pue": {"mine": value(9)}}, "pue.mine", "not within"),
    ("economics.yaml", {"pue": {"mine": value(1.2) | {"source": "x"}}}, "pue.mine", "not in sources.yaml"),
    ("economics.yaml", ["pue"], "", "a mapping of values"),
])
def test_tables(tmp_path: Path, file: str, content: Any, field: str, words: str) -> None:
    put(tmp_path, file, content)
    found(tmp_path, file, field, words)


# -- hostile folders --------------------------------------------------------------------------------

MINE = "hardware/cloud/Mine.yaml"
LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{c}: &{c} [{', '.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True))
MERGES = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{c}: &{c} {{<<: [{', '.join(['*' + p] * 9)}]}}\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize(("content", "field", "words"), [
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
    ("as_of: 2024-13-45\n", "", "not valid YAML"),
    ("? [a]\n: 1\n", "", "not valid YAML"),
    ("- a\n- b\n", "", "a mapping is expected"),
    ("just text", "", "a mapping is expected"),
    ("", "", "empty"),
    ("{value: 1}", "value", "unknown field"),
    (b"\x00\x01\x02\xff\xfe", "", "not UTF-8"),
    (b"title: \x00", "", "not valid YAML"),
    (b"\xff\xfet\x00i\x00", "", "not UTF-8"),
    ("%YAML 9.9\n---\na: 1\n", "", "not valid YAML"),
])
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


@pytest.mark.parametrize(("name", "words", "severity"), [
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
])
def test_unexpected_file(tmp_path: Path, name: str, words: str, severity: str) -> None:
    put(tmp_path, "hardware/cloud/Good.yaml", card())
    put(tmp_path, name, "title: x\n")
    found(tmp_path, name, "", words, severity)


@pytest.mark.parametrize(("name", "words", "severity"), [
    ("plugins", "unexpected folder", "warning"), ("hardware/quantum", "unexpected group", "warning"),
    ("hardware/cloud/deep", "deeper folder", "error")])
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
    assert out == {"models", *(f"hardware/cloud/{n}.yaml" for n in ("Out", "Up", "Device", "Nowhere", "Loop"))}
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
    for part in (chip["link"]["bandwidth"], chip["power"]["tdp"], chip["price"]["purchase"], chip["embodied_carbon"]):
        part["value"] = 0
    put(tmp_path, "hardware/cloud/Zero.yaml", chip | {"node": "ZeroBox"})
    put(tmp_path, "systems/nodes/ZeroBox.yaml", box | {"accelerator": "Zero", "title": "Box"})
    fields = {f.field for f in check(tmp_path).errors}
    assert fields == {"link.bandwidth", "power.tdp", "price.purchase", "embodied_carbon"}


def test_loose_measurements_cite_sources(tmp_path: Path) -> None:
    put(tmp_path, "measurements/training/runs.yaml", {"runs": [{"mfu": value(0.4) | {"source": "nobody"}}]})
    found(tmp_path, "measurements/training/runs.yaml", "runs.0.mfu", "not in sources.yaml")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), name=st.sampled_from([MINE, *ROOT_FILES]))
def test_any_bytes(tmp_path: Path, content: bytes, name: str) -> None:
    file = put(tmp_path, name, content)
    json.dumps(check(tmp_path).to_dict())
    file.unlink()


KEYS = st.sampled_from(["value", "unit", "source", "kind", "as_of", "inputs", "why", "note", "title", "peak", "bf16",
                        "memory", "capacity", "architecture", "layers", "node", "accelerator", "hardware", "H100",
                        "1", "a.b", "", "pue"])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), KEYS,
                   st.sampled_from(["datasheet", "derived", "estimate", "GB", "1", "nvidia_t4_datasheet", 10**80]))
TREES = st.recursive(LEAVES, lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=5)), max_leaves=20)
PLACES = [MINE, "models/tiny/Mine.yaml", "infra/grids/Mine.yaml", "systems/nodes/Mine.yaml",
          "systems/reliability/Mine.yaml", "measurements/x.yaml", *ROOT_FILES]


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


@pytest.mark.parametrize(("content", "where", "words"), [
    ("title: x\nvendor: y\nreleased: {value: 1, unit: GB, source: a, kind: paper, as_of: 1}\n",
     "cloud/Mine.yaml: released", "not a quantity"),
    ("title: x\nvendor: y\nreleased: {value: 1, unit: year, kind: paper, as_of: 1}\n",
     "cloud/Mine.yaml: released", "'source' is missing"),
    ("title: x\npeak: &p {bf16: *p}\n", "cloud/Mine.yaml", "refers to itself"),
    ("x" * (2 << 20), "Mine.yaml", "larger than 1 MiB"),
])
def test_loader_refuses(tmp_path: Path, content: str, where: str, words: str) -> None:
    with pytest.raises(RegistryError, match=words) as caught:
        HARDWARE.read(put(tmp_path, MINE, content))
    assert caught.value.where.endswith(where)


def test_references_name_fields_that_exist() -> None:
    for (kind, group), fields in references.REFERENCES.items():
        catalog: Any = {"hardware": HARDWARE, "systems": SYSTEMS, "infra": INFRA}[kind]
        for field in fields:
            assert field in catalog.types[group].__dataclass_fields__

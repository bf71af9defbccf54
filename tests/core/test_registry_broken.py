"""Each rule of the check fires on an entry that breaks it, and names file and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from registry_folders import (
    BOX,
    CHIP,
    GRID,
    LLM,
    MAMBA,
    MOE,
    NET,
    NOC,
    REGION,
    TINY,
    card,
    entry,
    found,
    put,
    value,
)

from mlsysim.core.check import check

CITY = {
    "title": "Here",
    "country": "FR",
    "latitude": value(48, "deg"),
    "longitude": value(-2, "deg"),
}
ROWS = {"regions": {"any": value(0.1, "USD/GB")}, "internet": {"any": value(0.1, "USD/GB")}}
EGRESS = {"continents": {"here": ["FR"]}, "others": ROWS}


def test_every_mistake_of_a_file_is_found(tmp_path: Path) -> None:
    chip = entry(CHIP)
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
        "peak.bf16",
        "memory.bandwidth",
        "power.tdp",
        "power.idle",
        "scope",
        "colour",
        "price.rent",
        "released",
        "vendor",
    }
    assert any(f.file.endswith("Other.yaml") and "not valid YAML" in f.problem for f in report.errors)


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
    (
        GRID,
        "carbon_intensity",
        value(30, "kgCO2e/kWh") | {"method": "direct"},
        "carbon_intensity",
        "not within",
    ),
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
    (REGION, "grid", "Mordor", "grid", "no infra entry"),
    (REGION, "latitude", None, "latitude", "needs both latitude and longitude"),
    (REGION, "longitude", value(-181, "deg"), "longitude", "not within"),
    (REGION, "price", value(-1, "USD/kWh"), "price", "out of any physical range"),
    (
        REGION,
        "price",
        value(0.07, "USD/kWh") | {"kind": "derived", "inputs": ["Iowa"]},
        "price",
        "derived from Iowa",
    ),
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


@pytest.mark.parametrize(
    ("one", "two", "words"), [("My_Chip", "MyChip", "same name"), ("My_Chip", "MYCHIP", "same name")]
)
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


@pytest.mark.parametrize(
    ("aliases", "field", "words", "severity"),
    [
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
    ],
)
def test_aliases(tmp_path: Path, aliases: Any, field: str, words: str, severity: str) -> None:
    put(tmp_path, "aliases.yaml", aliases)
    found(tmp_path, "aliases.yaml", field, words, severity)


SOURCE = {"title": "A book", "authors": "Somebody", "year": 2020}


@pytest.mark.parametrize(
    ("record", "field", "words"),
    [
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
    ],
)
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


@pytest.mark.parametrize(
    ("file", "content", "field", "words"),
    [
        ("defaults.yaml", {"pue": value(0.9)}, "pue", "not within"),
        ("defaults.yaml", {"pue": value(1.1, "W")}, "pue", "not a quantity"),
        ("defaults.yaml", {"pue": 1.1}, "pue", "a value must be a mapping"),
        ("defaults.yaml", {"anything": value(1, "parsec")}, "anything", "unknown unit"),
        ("economics.yaml", {"pue": {"mine": value(9)}}, "pue.mine", "not within"),
        (
            "economics.yaml",
            {"pue": {"mine": value(1.2) | {"source": "x"}}},
            "pue.mine",
            "not in sources.yaml",
        ),
        ("economics.yaml", ["pue"], "", "a mapping of values"),
        ("cities.yaml", {"Here": CITY | {"latitude": value(91, "deg")}}, "Here.latitude", "not within"),
        ("cities.yaml", {"Here": CITY | {"longitude": value(5, "m")}}, "Here.longitude", "not a quantity"),
        ("cities.yaml", {"Here": {"title": "Here", "country": "FR"}}, "Here.latitude", "is missing"),
        ("cities.yaml", {"Here": CITY | {"people": 3}}, "Here.people", "unknown field"),
        ("cities.yaml", ["Here"], "", "a mapping is expected"),
        ("egress.yaml", {"continents": ["FR"]}, "continents", "a mapping is expected"),
        ("egress.yaml", EGRESS | {"others": {}}, "others", "tables are expected"),
        ("egress.yaml", {"continents": {}}, "others", "are missing"),
        ("egress.yaml", EGRESS | {"Mine": {"regions": {}, "internet": {}}}, "Mine.regions", "is missing"),
        (
            "egress.yaml",
            EGRESS | {"continents": {"here": ["FR"], "there": ["FR"]}},
            "continents",
            "on two continents",
        ),
        (
            "egress.yaml",
            {"continents": {}, "others": ROWS | {"internet": {"any": value(1, "USD")}}},
            "others.internet.any",
            "not a quantity",
        ),
        (
            "egress.yaml",
            {"continents": {}, "others": ROWS | {"internet": {"any": value(9, "USD/GB")}}},
            "others.internet.any",
            "not within",
        ),
        (
            "egress.yaml",
            {"continents": {}, "others": ROWS | {"internet": ROWS["internet"] | {"XX": value(0, "USD/GB")}}},
            "others.internet.XX",
            "neither a country nor a continent",
        ),
    ],
)
def test_tables(tmp_path: Path, file: str, content: Any, field: str, words: str) -> None:
    put(tmp_path, file, content)
    found(tmp_path, file, field, words)

"""Entries of the zoo as Python users meet them."""

import pytest

import mlsysim
from mlsysim.core.errors import InputError, UnknownNameError


def test_attribute_paths_lead_to_entries():
    assert mlsysim.Hardware.Cloud.H100 is mlsysim.Hardware["h100"]
    assert mlsysim.Infra.Grids.Quebec.name == "Quebec"
    assert mlsysim.Systems.Nodes.DGX_H100.accelerator == "H100"
    assert mlsysim.Systems.Scenarios.Doorbell.evaluate().status == "pass"
    assert "H100" in dir(mlsysim.Hardware.Cloud)
    assert {"Cloud", "Tiny"} <= set(dir(mlsysim.Hardware))
    with pytest.raises(AttributeError, match="Nearest"):
        _ = mlsysim.Hardware.Cloud.H1000
    with pytest.raises(AttributeError, match="not in"):
        _ = mlsysim.Hardware.Cloud.ESP32_S3


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Llama-3.1-70B", "Llama3_70B"),
        ("llama3_70b", "Llama3_70B"),
        ("GPT-3", "GPT3"),
        ("Mixtral-8x7B", "Mixtral_8x7B"),
        ("deepseek v3", "DeepSeek_V3"),
    ],
)
def test_models_by_the_names_that_people_write(written, name):
    assert mlsysim.Models[written].name == name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("H100-SXM5-80GB", "H100"),
        ("h100 pcie", "H100_PCIe"),
        ("A100-SXM4-80GB", "A100"),
        ("TPU v5p", "TPUv5p"),
    ],
)
def test_hardware_by_the_names_that_people_write(written, name):
    assert mlsysim.Hardware[written].name == name


def test_a_value_answers_its_source():
    bandwidth = mlsysim.Hardware.Cloud.H100.memory.bandwidth
    assert bandwidth.source == "nvidia_h100_datasheet"
    assert bandwidth.quantity.to("GB/s").magnitude == 3350
    assert float(bandwidth) == 3.35e12


def test_a_variant_changes_what_it_names_and_says_so():
    h100 = mlsysim.Hardware.Cloud.H100
    more = h100.with_(memory={"capacity": "96 GiB"}, power={"tdp": 650})
    assert more.memory.capacity.base == 96 * 2**30
    assert more.power.tdp.base == 650
    assert more.memory.bandwidth == h100.memory.bandwidth
    assert h100.memory.capacity.value == 80
    assert more.memory.capacity.source == "user"
    assert "80 GiB" in more.memory.capacity.why
    assert mlsysim.SystemEvaluator.evaluate("", "Llama3_8B", more).metric("feasibility.memory_capacity") == 96
    with pytest.raises(InputError, match="not a quantity in GiB"):
        h100.with_(memory={"capacity": "96 W"})
    with pytest.raises(UnknownNameError, match="no field"):
        h100.with_(memry={"capacity": 96})


def test_a_notebook_shows_every_value():
    html = mlsysim.Hardware.Cloud.H100._repr_html_()
    assert "989.4" in html
    assert html.count("<tr>") == 1 + len(mlsysim.Hardware.Cloud.H100.values())

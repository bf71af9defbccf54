"""The instances of the benchmark library are valid, different, and of every kind."""

from __future__ import annotations

import json
from collections import Counter

import jsonschema
import pytest

from benchmarks.library import FOLDER, SCHEMA, SIZES, instances
from mlsysim.core.api import scenario
from mlsysim.core.legal import space
from mlsysim.core.variants import counts

LIBRARY = instances()
NAMES = [i.name for i in LIBRARY]
BY_NAME = {i.name: i for i in LIBRARY}
# Runs that papers report, which readers will look for.
NAMED = {
    "gpt3-175b-a100-64",
    "turing-nlg-530b-a100-280",
    "megatron-1t-a100-3072",
    "llama3-405b-h100-13824",
    "llama3-405b-h100-16384",
    "llama3-405b-h100-24576",
    "llama3-405b-h100-98304",
    "deepseek-v3-h800-2048",
    "llama3-70b-h100-512",
    "llama3-8b-h100-8",
    "mixtral-8x7b-h100-128",
}


def test_there_are_enough_and_their_names_are_their_own():
    assert len(LIBRARY) >= 60
    assert len(set(NAMES)) == len(NAMES)
    assert set(NAMES) >= NAMED
    plans = Counter(json.dumps(i.plan, sort_keys=True) for i in LIBRARY)
    assert max(plans.values()) == 1


@pytest.mark.parametrize("name", NAMES)
def test_an_instance_keeps_the_schema(name):
    data = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    jsonschema.validate(data, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert data["name"] == name


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_parses_resolves_and_has_layouts(name):
    s = scenario(BY_NAME[name].plan)
    assert s.job is not None
    assert space(s, counts=counts(s)).size >= 1


@pytest.mark.parametrize("name", NAMES)
def test_tags_say_what_an_instance_is(name):
    instance = BY_NAME[name]
    tags = set(instance.tags)
    assert len(tags & set(SIZES)) == 1
    assert len(tags & {"dense", "moe", "other"}) == 1
    assert len(tags & {"feasible", "infeasible"}) == 1
    assert ("limits" in tags) == ("constraints" in instance.plan)
    assert ("fixed" in tags) == ("parallelism" in instance.plan)


@pytest.mark.parametrize("name", NAMES)
def test_something_is_established_about_an_instance(name):
    instance = BY_NAME[name]
    expected = instance.expected
    assert expected is not None
    assert (expected["status"] == "infeasible") == ("infeasible" in instance.tags)
    assert (expected["objective"] is None) == (expected["status"] == "infeasible")
    assert (expected["points"] is None) == (expected["established"] != "exhaustive")
    if instance.size == "small":
        assert expected["established"] == "exhaustive"


def test_every_kind_is_there():
    tags = Counter(t for i in LIBRARY for t in i.tags)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert set(tags) == set(schema["properties"]["tags"]["items"]["enum"])
    assert tags["infeasible"] >= 8
    assert tags["moe"] >= 15
    assert tags["limits"] >= 10
    smoke = Counter(t for i in LIBRARY if "smoke" in i.tags for t in i.tags)
    assert {"dense", "moe", "feasible", "infeasible", "limits", "fixed"} <= set(smoke)


def test_fleets_reach_from_a_server_to_a_hundred_thousand_accelerators():
    sizes = [scenario(i.plan).accelerators for i in LIBRARY]
    assert min(sizes) == 8
    assert max(sizes) == 100_000
    assert len({i.plan["hardware"]["name"] for i in LIBRARY}) >= 12

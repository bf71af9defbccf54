"""Each named scenario loads, validates, evaluates, and its limits are those of its story."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mlsysim.core import registry, units
from mlsysim.core.errors import InputError, RegistryError
from mlsysim.core.plan import Plan
from mlsysim.systems import CATALOG
from mlsysim.systems.scenarios import ScenarioEntry, read_file

FOLDER = registry.root() / "systems" / "scenarios"
# name: exit code of its evaluation
EXPECTED = {
    "AutoDrive": 0,
    "Chatbot_Serving": 0,
    "Doorbell": 0,
    "Frontier_Training": 0,
    "Image_Generation": 0,
    "Keyword_Spotting": 0,
    "Local_Training": 0,
    "Recommendation": 0,
}


def scenario(name: str) -> ScenarioEntry:
    return read_file(FOLDER / f"{name}.yaml")


def bounds(entry: ScenarioEntry) -> dict[str, dict[str, object]]:
    return {a["metric"]: a for a in entry.plan["constraints"]["assert"]}


def test_all_are_expected() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_it_evaluates(name: str) -> None:
    entry = scenario(name)
    assert (entry.name, entry.group) == (name, "scenarios")
    assert entry.title
    assert len(entry.description) > 100
    assert isinstance(entry.to_plan(), Plan)
    evaluation = entry.evaluate()
    assert evaluation.exit_code == EXPECTED[name]
    assert evaluation.checks  # each scenario has a limit
    assert evaluation.scorecard().startswith(name.replace("_", " "))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_limit_ten_times_as_strict_is_violated(name: str) -> None:
    """The limit is near enough to the machine's reach that it says something."""
    entry = scenario(name)
    plan = yaml.safe_load(yaml.safe_dump(entry.plan))
    for limit in plan["constraints"]["assert"]:
        if "max" in limit:
            limit["max"] = f"{units.parse(limit['max'], 'ms') / 10} s"
        else:
            limit["min"] *= 10
    strict = ScenarioEntry(title="strict", name="strict", description="x", plan=plan)
    assert strict.evaluate().exit_code == 3


@pytest.mark.parametrize("name", EXPECTED)
def test_limits_are_those_of_the_story(name: str) -> None:
    entry = scenario(name)
    assert entry.story is not None
    limit = bounds(entry)
    story = entry.story
    if story.latency:
        assert units.parse(limit["performance.latency"]["max"], "ms") == pytest.approx(story.latency.base)
    if story.rate:
        assert limit["performance.samples_per_second"]["min"] == story.rate.base
        assert story.latency
        assert entry.plan["workload"]["batch_size"] / story.rate.base == pytest.approx(
            story.latency.base, rel=2e-3
        )
    if story.throughput:
        assert limit["performance.throughput"]["min"] == story.throughput.base
        assert story.tokens
        assert story.duration
        assert story.tokens.base / story.duration.base == pytest.approx(story.throughput.base, rel=1e-4)
        assert entry.plan["ops"]["duration_days"] * 86400 == pytest.approx(story.duration.base)
    if story.passes:
        assert story.task_latency
        assert story.latency
        assert story.task_latency.base / story.passes.base == pytest.approx(story.latency.base)
    if story.efficiency:
        assert entry.plan["workload"]["efficiency"] == story.efficiency.base
    assert story.latency or story.throughput


@pytest.mark.parametrize("name", EXPECTED)
def test_every_number_has_a_source(name: str) -> None:
    extra = registry.root() / "parts_scenarios_sources.yaml"
    known = set(registry.sources()) | set(yaml.safe_load(extra.read_text()) if extra.exists() else ())
    assert {value.source for value in scenario(name).values().values()} <= known


def test_measured_speed_of_the_doorbell_is_reproduced() -> None:
    latency = scenario("Doorbell").evaluate().state.time
    assert float(latency) == pytest.approx(0.054, rel=0.02)


@pytest.mark.parametrize("name", EXPECTED)
def test_it_is_in_the_catalog(name: str) -> None:
    entry = CATALOG.get(name)
    assert isinstance(entry, ScenarioEntry)
    assert entry == scenario(name)
    assert CATALOG.get(name.lower().replace("_", "-")) is entry


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"plan": None}, "'plan' is missing"),
        ({"plan": "a plan"}, "a plan is a mapping"),
        ({"description": None}, "'description' is missing"),
        ({"descripton": "x"}, "unknown field 'descripton'"),
        ({"story": {"latency": {"value": 1}}}, "'unit' is missing"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, change: dict, words: str) -> None:
    raw = yaml.safe_load((FOLDER / "Doorbell.yaml").read_text()) | change
    path = tmp_path / "Mine.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in raw.items() if v is not None}))
    with pytest.raises(RegistryError, match=words):
        read_file(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"workload": {"name": "VWW_MobilNet", "phase": "inference"}}, "VWW_MobileNet"),
        ({"workloads": {}}, "unknown key 'workloads'"),
        ({"version": "2.0"}, "not allowed here"),
    ],
)
def test_a_wrong_plan_is_refused_when_it_is_used(change: dict, words: str) -> None:
    good = scenario("Doorbell")
    bad = ScenarioEntry(title="Mine", name="Mine", description="x", plan=good.plan | change)
    with pytest.raises(InputError, match=words) as caught:
        bad.evaluate()
    assert caught.value.where.startswith("Mine: plan")


def test_files_that_hold_no_scenario(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_file(tmp_path / "absent.yaml")
    empty = tmp_path / "Empty.yaml"
    empty.write_text("[]")
    with pytest.raises(RegistryError, match="mapping"):
        read_file(empty)

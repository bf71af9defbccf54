"""The plan file: what is read, what is refused, and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlsysim.core import yamlfile
from mlsysim.core.errors import InputError
from mlsysim.core.plan import Plan, load
from mlsysim.core.schemas import plan_schema
from mlsysim.core.settings import BLOCKS

TEXT = """\
version: "1.0"
workload:
  name: "Llama3_70B"
  batch_size: 4096
hardware:
  name: "H100"
  nodes: 64
constraints:
  assert:
    - metric: "performance.latency"
      max: 50.0
"""


def mapping(**changes: Any) -> dict[str, Any]:
    """Return a valid plan as a mapping, with blocks replaced."""
    return {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "batch_size": 8},
        "hardware": {"name": "H100"},
    } | changes


def test_a_plan_comes_from_a_path_a_mapping_or_a_plan(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(TEXT)
    plan, document = load(path)
    assert plan.hardware.nodes == 64
    assert plan.constraints.asserts[0].max == 50.0
    assert document.where(("constraints", "assert", 0, "max")) == f"{path}:11: constraints.assert.0.max"
    assert document.where(("workload", "seq_len")) == f"{path}:2: workload.seq_len"
    assert load(str(path))[0] == load(plan.to_dict())[0] == load(plan)[0] == plan
    with pytest.raises(InputError, match="a plan is a path"):
        load(5)  # type: ignore[arg-type]


def test_line_ends_marks_and_aliases_are_fine(tmp_path):
    path = tmp_path / "plan.yaml"
    variants = (
        TEXT.encode("utf-8-sig"),
        TEXT.replace("\n", "\r\n").encode(),
        ("---\n" + TEXT + "...\n").encode(),
        TEXT.replace("4096", "&b 4096").replace("max: 50.0", "max: *b").encode(),
        TEXT.replace("  nodes: 64", "  <<: {nodes: 64}").encode(),
        json.dumps(load_mapping()).encode(),
    )
    for content in variants:
        path.write_bytes(content)
        plan, _ = load(path)
        assert (plan.workload.batch_size, plan.hardware.nodes) == (4096, 64)


def load_mapping() -> dict[str, Any]:
    """Return :data:`TEXT` as a mapping."""
    return dict(yamlfile.load(TEXT, "plan").data)


@pytest.mark.parametrize(
    ("block", "value", "where", "hint"),
    [
        ("version", 1.0, "version", 'put it in quotes: "1.0"'),
        ("version", "2.0", "version", "should be '1.0'"),
        ("name", 5, "name", "should be text"),
        ("ops", None, "ops", "a mapping of keys to values"),
        ("workload", {"name": "", "batch_size": 1}, "workload.name", "should not be empty"),
        ("workload", {"name": True, "batch_size": 1}, "workload.name", "put the word in quotes"),
        ("workload", {"name": "a", "batch_size": 1.5}, "workload.batch_size", "a whole number"),
        ("workload", {"name": "a", "batch_size": "8"}, "workload.batch_size", "write a plain number"),
        ("workload", {"name": "a", "batch_size": "eight"}, "workload.batch_size", "a whole number"),
        ("workload", {"name": "a", "batch_size": 1, "phase": "inf"}, "workload.phase", "'training' or"),
        (
            "workload",
            {"name": "a", "batch_size": 1, "efficiency": 2},
            "workload.efficiency",
            "should be 'auto', or should be less than or equal to 1",
        ),
        ("constraints", {"budget": 0}, "constraints.budget", "greater than 0"),
        ("constraints", {"budget": "0 USD"}, "constraints.budget", "greater than 0"),
        ("constraints", {"budget": "-5 USD"}, "constraints.budget", "from 0 to 1e+30"),
        ("constraints", {"budget": "1e40 USD"}, "constraints.budget", "from 0 to 1e+30"),
        ("constraints", {"budget": {}}, "constraints.budget", "should be a number, or should be text"),
        ("constraints", {"budget": float("nan")}, "constraints.budget", "finite"),
    ],
)
def test_a_wrong_value_is_named_with_what_may_stand_there(block, value, where, hint):
    with pytest.raises(InputError) as caught:
        load(mapping(**{block: value}))
    assert caught.value.where == where
    assert "not allowed here" in caught.value.problem
    assert hint in caught.value.hint


def test_unknown_keys_come_first_with_the_nearest():
    with pytest.raises(InputError, match="unknown key 'batchsize'") as caught:
        load(mapping(workload={"name": "Llama3_8B", "batchsize": 8}))
    assert caught.value.where == "workload.batchsize"
    assert caught.value.hint == "Nearest: batch_size."


def test_more_mistakes_are_counted():
    with pytest.raises(InputError) as caught:
        load(mapping(hardware={"name": 5, "nodes": "x"}))
    assert caught.value.hint.endswith("(1 more after this)")


def test_long_values_are_cut_short():
    with pytest.raises(InputError) as caught:
        load(mapping(version="x" * 10_000))
    assert len(caught.value.problem) < 100


def test_a_layout_is_of_training():
    inference = {"name": "Llama3_8B", "phase": "inference"}
    assert load(mapping(workload=inference, parallelism={"tp": None}))[0].workload.batch_size is None
    with pytest.raises(InputError, match="parallelism is of training"):
        load(mapping(workload=inference, parallelism={"tp": 2}))


def test_a_pipe_is_read_and_a_device_without_end_is_not():
    if not Path("/dev/zero").exists():
        pytest.skip("needs /dev/zero")
    with pytest.raises(InputError, match="larger than 1 MiB"):
        yamlfile.read_text(Path("/dev/zero"))


@pytest.mark.parametrize(
    "text", ["a: &a [*a]", "&a {b: *a}", "a: &a {b: [*a]}", "[" * 100_000, "{a: " * 5000]
)
def test_endless_documents_are_refused_before_they_are_built(text):
    with pytest.raises(InputError, match=r"refers to itself|nests too deeply"):
        yamlfile.load(text, "x")


def test_lines_are_those_of_the_file():
    document = yamlfile.load("a:\n  - b: 1\n    c:\n      d: 2\n  - 3\n", "x")
    assert document.data == {"a": [{"b": 1, "c": {"d": 2}}, 3]}
    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("a", 0): 2,
        ("a", 0, "b"): 2,
        ("a", 0, "c"): 3,
        ("a", 0, "c", "d"): 4,
        ("a", 1): 5,
    }


def test_the_schema_describes_every_key():
    definitions = plan_schema()["$defs"]
    assert set(plan_schema()["properties"]) == {
        "version",
        "name",
        "workload",
        "hardware",
        "ops",
        "parallelism",
        "constraints",
        "what_if",
        "mix",
        *BLOCKS,
    }
    assert all(d["additionalProperties"] is False for d in definitions.values() if d["type"] == "object")
    assert Plan.model_validate(mapping()).to_dict() == mapping()

"""Bad input: exit 1, one message with place, problem and remedy, and nothing else on stdout."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from running import CLUSTER, SMALL, call, call_json

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGE_BOMB = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new}\n  <<: [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

# name: (content, what stands after the file's name, part of the message)
FILES: dict[str, tuple[str | bytes, str, str]] = {
    "empty": ("", ": ", "the file is empty"),
    "comment": ("# nothing\n", ": ", "the file is empty"),
    "null": ("null", ": ", "the file is empty"),
    "list": ("- a\n- b\n", ":1: ", "a plan is a mapping of keys to values, not a list"),
    "text": ("hello", ":1: ", "not a text"),
    "number": ("5", ":1: ", "not a number"),
    "unclosed": ("a: [1, 2", ":2: ", "not valid YAML"),
    "quote": ('a: "x', ":1: ", "not valid YAML"),
    "colons": ("a: b: c", ":1: ", "not valid YAML"),
    "tab": ("version: 1\nworkload:\n\tname: a", ":3: ", "use spaces, not tabs"),
    "two documents": (SMALL + "---\n" + SMALL, ":8: ", "keep one document"),
    "repeated key": (SMALL + 'version: "1.0"\n', ":8: ", "'version' stands twice, first on line 1"),
    "utf-16": (SMALL.encode("utf-16"), ":1: ", "save the file as UTF-8"),
    "latin-1": (SMALL.encode() + b"name: \xe9", ":8: ", "not UTF-8"),
    "control character": (SMALL + "name: \x1b[31m", ":8: ", "remove that character"),
    "tag": (
        "version: !!python/object/apply:os.system ['id']",
        ":1: ",
        "tag (!!python/object/apply:os.system)",
    ),
    "tag that does not fit": ("version: !!bool maybe", ":1: ", "tag (!!bool)"),
    "no such date": (SMALL + "name: 2024-13-45", ":8: name: ", "2024-13-45 cannot be read"),
    "date": (SMALL + "name: 2024-12-15", ":8: name: ", "put it in quotes"),
    "endless number": (
        "workload:\n  batch_size: " + "9" * 5000,
        ":2: workload.batch_size: ",
        "cannot be read",
    ),
    "endless base 60": ("version: " + "1:" * 200_000 + "1", ":1: ", "a value of 400,001 characters"),
    "deep brackets": ("[" * 200_000, ":1: ", "nests too deeply"),
    "deep blocks": ("\n".join(" " * i + "a:" for i in range(500)), ":41: ", "nests too deeply"),
    "many values": ("\n".join(f"a{i}: 1" for i in range(60_000)), ":50000: ", "too large"),
    "bomb": (BOMB, ":1: ", "too large or refers to itself"),
    "merge bomb": (MERGE_BOMB, ":1: ", "too large or refers to itself"),
    "circle": ("a: &a [*a]", ":1: ", "refers to itself"),
    "circle of merges": ("&a {<<: *a}", ":1: ", "refers to itself"),
    "no such alias": ("a: *b", ":1: ", "undefined alias"),
    "list as key": ("? [a]\n: b", ":1: ", "cannot be a key"),
    "number as key": (SMALL + "1: 2\n", ":1: ", "the key 1 is not text"),
    "word as key": (SMALL + "yes: 2\n", ":1: ", "the key true is not text"),
    "5 MB": ("#" * (5 << 20), ": ", "larger than 1 MiB"),
    "misspelt key": (SMALL.replace("nodes", "nodse"), ":7: hardware.nodse: ", "Nearest: node, nodes"),
    "unknown block": (SMALL + "extra: 1\n", ":8: extra: ", "unknown key 'extra'"),
    "merged key": (
        'version: "1.0"\nworkload: &w\n  name: Llama3_8B\n  batch_size: 8\nhardware:\n  <<: *w\n',
        ":5: hardware.batch_size: ",
        "unknown key",
    ),
    "version as number": (SMALL.replace('"1.0"', "1.0"), ":1: version: ", 'put it in quotes: "1.0"'),
    "unknown model": (SMALL.replace("Llama3_8B", "Lama3_8B"), ":3: workload.name: ", "Llama3_8B"),
    "unknown hardware": (SMALL.replace("H100", "H1000"), ":6: hardware.name: ", "H100"),
    "unknown region": (SMALL + "ops: {region: Quebeck}", ":8: ops.region: ", "Nearest: Quebec"),
    "batch not divisible": (
        SMALL.replace("nodes: 1", "accelerators: 509"),
        ":4: workload.batch_size: ",
        "a batch of 509 would do",
    ),
    "both counts": (SMALL + "  accelerators: 8\n", ":5: hardware: ", "give one of them"),
    "no batch": (SMALL.replace("  batch_size: 64\n", ""), ":2: workload: ", "batch_size is missing"),
    "layout of inference": (
        SMALL.replace("workload:\n", "workload:\n  phase: inference\n") + "parallelism: {tp: 2}\n",
        ": ",
        "parallelism is of training",
    ),
    "fp4 on H100": (SMALL + "ops: {}\n", "", ""),  # replaced below
    "title of two lines": (SMALL + 'name: "a\\nb"\n', ":8: name: ", "one line"),
    "title that steers": (SMALL + 'name: "\\e[2J"\n', ":8: name: ", "control characters"),
}
FILES["fp4 on H100"] = (
    SMALL.replace("  batch_size", "  precision: fp4\n  batch_size"),
    ":4: workload.precision: ",
    "H100 has no fp4 rate",
)


@pytest.fixture
def plan(tmp_path: Path):
    """Return a function that writes a plan and returns its path."""

    def write(content: str | bytes, name: str = "plan.yaml") -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_refused_with_its_place(case, plan):
    content, place, message = FILES[case]
    path = plan(content)
    result = call("eval", path)
    assert (result.code, result.out) == (1, "")
    assert result.err.replace("\n", " ").startswith((path + place).rstrip())
    assert message in " ".join(result.err.split())
    code, document = call_json("eval", path)
    assert code == 1
    assert document["status"] == "error"
    assert document["error"]["where"].startswith((path + place).rstrip(": "))


# a line of a plan and what is said of it
VALUES = {
    "workload.batch_size": (
        "workload: {name: Llama3_8B, batch_size: %s}",
        "whole number|greater than or equal to 1",
    ),
    "hardware.nodes": ("hardware: {name: H100, nodes: %s}", "whole number|greater than or equal to 1"),
    "workload.efficiency": ("workload: {name: Llama3_8B, batch_size: 8, efficiency: %s}", "'auto'"),
    "ops.duration_days": ("ops: {duration_days: %s}", "number|greater than 0"),
    "ops.pue": ("ops: {pue: %s}", "number|greater than or equal to 1|less than or equal to 10"),
    "constraints.budget": ("constraints: {budget: %s}", "number|from 0|greater than 0"),
    "constraints.communication": ("constraints: {communication: %s}", "number|greater than 0|less than"),
    "constraints.assert.0.max": (
        "constraints: {assert: [{metric: performance.latency, max: %s}]}",
        "number|greater than or equal to 0|from 0|less than",
    ),
}


@pytest.mark.parametrize("value", ["-1", ".nan", ".inf", "1.0e+99", "[1]", "{a: 1}", "yes", "'-5'", "[]"])
@pytest.mark.parametrize("key", VALUES)
def test_a_bad_number_is_refused_with_its_key(key, value, plan):
    line, wanted = VALUES[key]
    block = line.partition(":")[0]
    lines = {
        "version": 'version: "1.0"',
        "workload": "workload: {name: Llama3_8B, batch_size: 64}",
        "hardware": "hardware: {name: H100, nodes: 1}",
    } | {block: line % value}
    path = plan("\n".join(lines.values()))
    result = call("eval", path)
    assert (result.code, result.out) == (1, "")
    said = " ".join(result.err.split())
    assert said.startswith(f"{path}:{list(lines).index(block) + 1}: {key}: ")
    assert any(part in said for part in wanted.split("|")) or re.search(
        "put the word in quotes|write a plain number", said
    )


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("50 kg", "unknown unit 'kg'"),
        ("5 MUSD", "write it in ms"),
        ("1 s**9", "write it in ms"),
        ("1 __import__('os')", "cannot read the unit"),
        ("fast", "does not start with a number"),
        ("1e400", "not allowed"),
        ("nan", "finite"),
        ("", "does not start with a number"),
    ],
)
def test_a_bad_limit_is_refused(limit, message, plan):
    text = SMALL + f'constraints:\n  assert:\n    - metric: latency\n      max: "{limit}"\n'
    path = plan(text)
    result = call("eval", path)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"{path}:11: constraints.assert.0.max: ")
    assert message in result.err


def test_limits_that_cross_and_metrics_that_do_not_exist(plan):
    for body, message in (
        ("{metric: latency, min: 2, max: 1}", "min is above max"),
        ("{metric: latency}", "give min, max or both"),
        ("{metric: performance.latncy, max: 1}", "Nearest: performance.latency"),
    ):
        result = call("eval", plan(SMALL + f"constraints:\n  assert:\n    - {body}\n"))
        assert (result.code, result.out) == (1, "")
        assert message in result.err


@pytest.mark.parametrize("command", [("eval",), ("optimize", "parallelism"), ("optimize", "placement")])
def test_a_file_that_is_none_is_refused(command, tmp_path):
    for path, message in (
        (str(tmp_path / "nowhere.yaml"), "no such file"),
        (str(tmp_path), "this is a directory"),
        (str(tmp_path / ("x" * 5000 + ".yaml")), "cannot be read"),
        (str(tmp_path / "a\0b.yaml"), "cannot be read"),
        (str(tmp_path / "sur\udcffogate.yaml"), "no such file"),
    ):
        result = call(*command, path)
        assert (result.code, result.out) == (1, "")
        assert message in " ".join(result.err.split())
        assert call_json(*command, path)[0] == 1


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")
def test_pipes_devices_and_loops_neither_hang_nor_fill_the_memory(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    for path, message in (
        (str(tmp_path / "pipe.yaml"), "the file is empty"),
        (str(tmp_path / "loop.yaml"), "symbolic links"),
        ("/dev/null", "the file is empty"),
        ("/dev/zero", "larger than 1 MiB"),
    ):
        result = call("eval", path)
        assert (result.code, result.out) == (1, "")
        assert message in result.err


def test_a_file_name_cannot_steer_the_terminal(plan):
    result = call("eval", plan("x: 1", "a\x1b[31m\nb.yaml"))
    assert result.code == 1
    assert "a\\x1b[31m\\nb.yaml:1: x: unknown key" in result.err.replace("\n", "").replace("  ", " ")


OPTIONS = [
    (("eval", "Llama3_8B", "H100", "--batch-size", "0"), "--batch-size: 0 is not allowed here"),
    (("eval", "Llama3_8B", "H100", "--batch-size", "1e99"), "'--batch-size'"),
    (("eval", "Llama3_8B", "H100", "--seq-len", "-1"), "--seq-len: -1 is not allowed here"),
    (("eval", "Llama3_8B", "H100", "--efficiency", "nan"), "--efficiency: nan is not allowed here"),
    (("eval", "Llama3_8B", "H100", "--efficiency", "abc"), "--efficiency: 'abc' is not allowed here"),
    (("eval", "Llama3_8B", "H100", "--efficiency", "2"), "at most 1"),
    (("eval", "Llama3_8B", "H100", "--precision", "FP16"), "Nearest: fp16"),
    (("eval", "Llama3_8B", "H100", "--precision", "fp4"), "--precision: H100 has no fp4 rate"),
    (("eval", "Lama3_8B", "H100"), "Nearest: Llama3_8B"),
    (("eval", "Llama3_8B", "H1000"), "HARDWARE: no hardware called 'H1000'"),
    (("eval", "x" * 9000, "H100"), "xxx ... xxx"),
    (("eval", CLUSTER, "H100"), "a plan names its hardware itself"),
    (("eval", CLUSTER, "--batch-size", "5"), "set it in the plan"),
    (("eval", "Llama3_8B"), "mlsysim eval Llama3_8B H100"),
    (("eval", ""), "neither a plan file, nor a scenario, nor a model"),
    (("eval", "a" * 5000), "neither a plan file, nor a scenario, nor a model"),
    (("eval",), "Missing argument"),
    (("eval", "--nosuch"), "No such option: --nosuch"),
    (("bogus",), "No such command 'bogus'"),
    (("optimize", "bogus"), "No such command 'bogus'"),
    (("-o", "xml", "eval", CLUSTER), "'xml' is not one of"),
    (("schema", "-o", "xml"), "'xml' is not one of"),
    (("optimize", "parallelism", CLUSTER, "--solver", "cplx"), "no solver called 'cplx'"),
    (("optimize", "parallelism", CLUSTER, "--time-limit", "0"), "--time-limit: 0.0 is not allowed here"),
    (("optimize", "parallelism", CLUSTER, "--time-limit", "nan"), "--time-limit: nan is not allowed here"),
    (("optimize", "parallelism", CLUSTER, "--gap", "-1"), "--gap: -1.0 is not allowed here"),
    (("optimize", "parallelism", CLUSTER, "--threads", "0"), "--threads: 0 is not allowed here"),
    (("optimize", "parallelism", CLUSTER, "--seed", "-1"), "--seed: -1 is not allowed here"),
    (("optimize", "parallelism", CLUSTER, "--top", "0"), "'--top'"),
    (("optimize", "placement", CLUSTER, "--carbon-tax", "-1"), "--carbon-tax: -1.0 is not allowed here"),
    (("optimize", "placement", CLUSTER, "--carbon-tax", "inf"), "--carbon-tax: inf is not allowed here"),
    (("optimize", "placement", CLUSTER, "--region", "Quebeck"), "Nearest: Quebec"),
    (("zoo", "bogus"), "hardware, models, infra"),
    (("zoo", "hardware", "H1000"), "Nearest: H100"),
    (("zoo", "hardware", "--sort", "bogus"), "memory"),
    (("zoo", "walls", "99"), "no wall called '99'"),
]


@pytest.mark.parametrize(("arguments", "message"), OPTIONS)
def test_a_usage_error_is_bad_input(arguments, message):
    result = call(*arguments)
    assert (result.code, result.out) == (1, "")
    assert message in " ".join(result.err.split())
    assert len(result.err) < 1500
    if "xml" not in arguments:
        code, document = call_json(*arguments)
        assert (code, document["status"]) == (1, "error")


@pytest.mark.parametrize("arguments", [(), ("optimize",)])
def test_no_command_shows_the_help_on_stderr(arguments):
    result = call(*arguments)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Usage: mlsysim")


@pytest.mark.parametrize(("arguments", "message"), OPTIONS)
def test_hints_fit_80_columns(arguments, message):
    place, *hint = call(*arguments).err.splitlines()
    assert message.split()[0] in place or hint
    assert all(len(line) <= 80 for line in hint if CLUSTER not in line)

"""The commands that explain: documents, widths, exit codes, errors."""

from __future__ import annotations

import pytest
from running import CLUSTER, EXAMPLES, SMALL, bad_tables, call, call_json, too_wide

LLAMA = str(EXAMPLES / "llama3_70b.yaml")
TINY = str(EXAMPLES / "too_small.yaml")


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return str(path)


COMMANDS = [
    (("explain", CLUSTER), 3, "explanation"),
    (("explain", TINY), 2, "explanation"),
    (("explain", "SMALL", "--objective", "mfu"), 0, "explanation"),
    (("solve", "sensitivity", "SMALL", "--change", "5%"), 0, "sensitivity"),
    (("solve", "sensitivity", TINY), 2, "sensitivity"),
    (("solve", "synthesis", "SMALL", "--target", "throughput >= 2e5", "--weigh", "peak=2"), 0, "synthesis"),
    (("solve", "synthesis", "SMALL", "--target", "latency <= 1 ns"), 2, "synthesis"),
    (("optimize", "parallelism", "SMALL", "--pareto", "time,memory"), 0, "frontier"),
    (("optimize", "parallelism", TINY, "--pareto", "time,memory"), 2, "frontier"),
    (("optimize", "parallelism", "SMALL", "--robust", "20%"), 0, "solution"),
    (("optimize", "parallelism", TINY), 2, "solution"),
]


@pytest.mark.parametrize(("arguments", "code", "key"), COMMANDS, ids=[" ".join(c[0]) for c in COMMANDS])
def test_every_form(arguments, code, key, small):
    arguments = [small if a == "SMALL" else a for a in arguments]
    found, document = call_json(*arguments)
    assert found == code
    assert document["status"] == {0: "pass", 2: "fail", 3: "sla_violation"}[code]
    assert key in document
    text = call(*arguments)
    assert text.code == code
    assert too_wide(text.out) == []
    if code == 3 or key == "solution":
        return
    markdown = call("-o", "markdown", *arguments)
    assert markdown.code == code
    assert bad_tables(markdown.out) == []


def test_an_explanation_names_walls_and_ways_out():
    out = call("explain", TINY).out
    assert "No plan exists: Memory cannot hold (proven)." in out
    assert "Ways out, each tried:" in out
    assert "accelerators instead of 8" in out
    _, document = call_json("optimize", "parallelism", TINY)
    solution = document["solution"]
    assert [c["wall"] for c in solution["conflict"]] == [2]
    assert {w["kind"] for w in solution["ways_out"]} >= {"supply", "accelerators"}
    assert solution["because"] == []


def test_because_lines_say_what_binds():
    _, document = call_json("optimize", "parallelism", LLAMA)
    reasons = document["solution"]["because"]
    assert [(r["kind"], r["name"]) for r in reasons] == [("binds", "Memory"), ("time", "compute")]
    assert "Because: Memory binds (79." in call("optimize", "parallelism", LLAMA).out


ERRORS = [
    (("explain", "Doorbell.yaml"), "Doorbell.yaml"),
    (("explain", str(EXAMPLES / "chatbot.yaml")), "workload.phase"),
    (("explain", LLAMA, "--objective", "tiem"), "--objective"),
    (("solve", "sensitivity", LLAMA, "--change", "ten"), "--change"),
    (("solve", "sensitivity", LLAMA, "--change", "80%"), "--change"),
    (("solve", "sensitivity", LLAMA, "--supply", "capcity"), "capacity"),
    (("solve", "synthesis", LLAMA, "--target", "latency < 5"), "--target"),
    (("solve", "synthesis", LLAMA, "--target", "mfu >= 0.5"), "--target"),
    (("solve", "synthesis", LLAMA, "--target", "latency <= 5 kg"), "--target"),
    (("solve", "synthesis", LLAMA, "--target", "latency <= 5 s", "--weigh", "peak"), "--weigh"),
    (("solve", "synthesis", LLAMA, "--target", "latency <= 5 s", "--weigh", "pek=1"), "--weigh"),
    (("solve", "synthesis", TINY), "--target"),
    (("optimize", "parallelism", LLAMA, "--pareto", "time"), "--pareto"),
    (("optimize", "parallelism", LLAMA, "--pareto", "time,latency"), "--pareto"),
    (("optimize", "parallelism", LLAMA, "--pareto", "time,memory", "--top", "3"), "--top"),
    (("optimize", "parallelism", LLAMA, "--robust", "0%"), "--robust"),
    (("optimize", "parallelism", LLAMA, "--robust", "20%", "--emit", "plan"), "--emit"),
]


@pytest.mark.parametrize(("arguments", "where"), ERRORS, ids=[" ".join(e[0][-3:]) for e in ERRORS])
def test_errors_name_the_option(arguments, where):
    result = call(*arguments)
    assert result.code == 1
    assert result.out == ""
    assert where in result.err
    assert "internal" not in result.err

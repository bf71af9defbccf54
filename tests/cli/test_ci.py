"""``mlsysim ci``: several plans, one verdict."""

from __future__ import annotations

import json

import pytest
from running import CLUSTER, EXAMPLES, SMALL, bad_tables, call, call_json, too_wide

from mlsysim.core import several

GOOD, BAD = str(EXAMPLES / "llama3_70b.yaml"), str(EXAMPLES / "too_small.yaml")


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ([GOOD], 0),
        ([GOOD, CLUSTER], 3),
        ([CLUSTER, BAD], 2),
        ([BAD, "nosuch.yaml", CLUSTER], 1),
    ],
)
def test_the_code_is_that_of_the_worst(names, code):
    result = call("ci", *names)
    assert result.code == code
    assert result.err == ""
    assert too_wide(result.out.replace(str(EXAMPLES), "")) == []
    assert sum(not line.startswith(" ") for line in result.out.splitlines()) == len(names)
    assert call_json("ci", *names)[0] == code


def test_each_result_is_that_of_eval():
    _, document = call_json("ci", GOOD, str(EXAMPLES / "fleet_small.yaml"), "nosuch.yaml")
    for plan in document["plans"]:
        result = json.loads(call("-o", "json", "eval", plan["file"]).out)
        assert plan["result"] == result
    assert [p["exit_code"] for p in document["plans"]] == [0, 0, 1]


def test_reasons_have_the_line_of_the_plan(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(SMALL.replace("H100", "H1000"), encoding="utf-8")
    _, document = call_json("ci", CLUSTER, str(path))
    (asserted, *_), (name,) = (p["reasons"] for p in document["plans"])
    assert asserted["line"] == 13
    assert name["line"] == 6
    assert name["text"].startswith("hardware.name: no hardware called 'H1000' (Nearest: H100")


def test_patterns_are_expanded_and_must_match(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / "plans" / folder).mkdir(parents=True)
        (tmp_path / "plans" / folder / "p.yaml").write_text(SMALL, encoding="utf-8")
    assert several.expanded(["plans/**/*.yaml", "plans/a/p.yaml"]) == ["plans/a/p.yaml", "plans/b/p.yaml"]
    result = call("ci", "nothing/*.yaml")
    assert (result.code, result.out) == (1, "")
    assert "no file matches 'nothing/*.yaml'" in result.err


def test_markdown_is_whole_and_bounded():
    names = [GOOD, BAD, str(EXAMPLES / "fleet_small.yaml")]
    markdown = call("ci", *names, "-o", "markdown").out
    assert bad_tables(markdown) == []
    assert markdown.count("<details") == markdown.count("</details>") == 6  # each with its plan
    most = len(markdown) * 2 // 3
    short = several.as_markdown([several.judged(name) for name in names], most)
    assert len(short) <= most
    assert "left out" in short
    assert short.count("<details") == short.count("</details>") < 6

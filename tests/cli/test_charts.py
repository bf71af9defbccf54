"""Charts of characters fit a terminal and say what the evaluation says."""

import re
from pathlib import Path

import pytest
from running import EXAMPLES, call, too_wide

import mlsysim
from mlsysim.core.charts import CHARTS, chart
from mlsysim.core.fleet_plan import is_fleet, opened
from mlsysim.core.inside import operators_of

PLANS = [
    p for p in sorted(Path(EXAMPLES).glob("*.yaml")) if not is_fleet(opened(p)) and p.stem != "serving_mix"
]


@pytest.mark.parametrize("path", PLANS, ids=lambda p: p.stem)
def test_charts_of_the_examples_fit(path):
    e = mlsysim.evaluate_plan(path)
    for name in CHARTS:
        drawn = chart(e, name)
        assert not too_wide(drawn), name
        assert drawn.isascii() or not e.scenario.name.isascii()


def test_each_operator_has_its_letter_on_the_roofline():
    e = mlsysim.SystemEvaluator.evaluate("", "Llama3_8B", "H100", 512)
    drawn = chart(e, "roofline")
    field = drawn.split("logarithmic")[1].split("+--")[0]
    placed = [x for x in operators_of(e) if x.flops]
    letters = set(
        re.findall(r"[a-z*]", "".join(line.split("|", 1)[1] for line in field.splitlines() if "|" in line))
    )
    assert letters
    assert letters <= set("abcdefghij"[: len(placed)]) | {"*"}
    for x in operators_of(e):
        assert x.name in drawn


def test_the_command_draws_what_it_is_asked_for():
    done = call("eval", "Llama3_8B", "H100", "--chart", "memory", "--chart", "time")
    assert done.code == 0
    assert done.out.startswith("Memory of the fullest accelerator")
    assert "Time of a pass" in done.out
    fenced = call("eval", "Llama3_8B", "H100", "--chart", "time", "-o", "markdown")
    assert fenced.out.startswith("```\nTime of a pass")
    assert fenced.out.endswith("```\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Llama3_8B", "H100", "--chart", "rofline"), "Nearest: roofline"),
        (("Llama3_8B", "H100", "--chart", "time", "--wall", "2"), "--chart does not go with --wall"),
        (("Llama3_8B", "H100", "--chart", "time", "-o", "json"), "--chart does not go with -o json"),
        ((str(EXAMPLES / "fleet_small.yaml"), "--chart", "time"), "--chart is of plans with one job"),
    ],
)
def test_wrong_charts_are_refused(arguments, said):
    done = call("eval", *arguments)
    assert done.code == 1
    assert said in done.out + done.err

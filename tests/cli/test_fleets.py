"""Plans with several jobs on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from running import EXAMPLES, bad_tables, call, call_json, too_wide

FLEET, SMALL = (str(EXAMPLES / f"{name}.yaml") for name in ("fleet", "fleet_small"))


@pytest.mark.parametrize(("plan", "code"), [(FLEET, 3), (SMALL, 0)])
def test_eval_in_every_form(plan, code):
    assert call_json("eval", plan)[0] == code
    text, markdown = call("eval", plan), call("-o", "markdown", "eval", plan)
    assert (text.code, text.err, markdown.code, markdown.err) == (code, "", code, "")
    assert not too_wide(text.out)
    assert not bad_tables(markdown.out)


def test_the_examples_keep_the_schema():
    schema = json.loads(call("schema", "--fleet").out)
    Draft202012Validator.check_schema(schema)
    for plan in (FLEET, SMALL):
        Draft202012Validator(schema).validate(yaml.safe_load(Path(plan).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("eval", SMALL, "--wall", "17"), "--wall is of plans with one job"),
        (("eval", SMALL, "--batch-size", "8"), "goes with MODEL HARDWARE"),
        (
            ("optimize", "parallelism", SMALL),
            "fleet_small.yaml:11: jobs: a plan with several jobs has no place",
        ),
        (("optimize", "placement", SMALL, "--region", "Quebec"), "--region: a plan with several jobs lists"),
        (("optimize", "placement", SMALL, "--top", "3"), "--top: top is of plans with one job"),
        (("optimize", "placement", SMALL, "--verify"), "--verify: verify is of plans with one job"),
        (("optimize", "placement", SMALL, "--solver", "cp-sat"), "--solver: 'cp-sat' does not place"),
    ],
)
def test_what_does_not_apply_is_refused(arguments, told):
    result = call(*arguments)
    assert (result.code, result.out) == (1, "")
    assert told in result.err


def test_a_short_window_is_infeasible_and_named(tmp_path):
    plan = yaml.safe_load((EXAMPLES / "fleet_small.yaml").read_text(encoding="utf-8"))
    plan["jobs"][0]["deadline"] = "3 h"
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(plan))
    code, document = call_json("optimize", "placement", str(path))
    assert (code, document["solution"]["status"]) == (2, "infeasible")
    assert document["impossible"][0]["job"] == "fine-tune"
    assert (
        "fine-tune cannot run: its window is shorter than it takes"
        in call("optimize", "placement", str(path)).out
    )


def test_a_plan_from_a_pipe_is_read_once():
    done = subprocess.run(
        [sys.executable, "-m", "mlsysim", "eval", "/dev/stdin"],
        input=(EXAMPLES / "fleet_small.yaml").read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"A day in two regions" in done.stdout

"""``mlsysim init``: plans that evaluate as they stand, and that editors can check."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from running import call

from mlsysim import hardware, infra, models
from mlsysim.core import yamlfile
from mlsysim.core.api import evaluate_any
from mlsysim.core.new_plan import KINDS, Wish, plan
from mlsysim.core.several import judged


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_holds_as_it_stands_and_keeps_its_schema(kind, tmp_path):
    result = call("init", f"{kind}.yaml", "--kind", kind)
    assert (result.code, result.out) == (0, "")
    if kind == "mix":  # which eval leaves to the solver
        assert call("optimize", "serving", "mix.yaml").code == 0
    else:
        assert judged(f"{kind}.yaml").code == 0
    text = Path(f"{kind}.yaml").read_text(encoding="utf-8")
    schema = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)[1]
    validator = Draft202012Validator(json.loads((tmp_path / schema).read_text(encoding="utf-8")))
    validator.validate(yaml.safe_load(text))
    # what stands in comments is valid as well
    opened = re.sub(r"^( *)# (?=[\w ]*\w+:(?: |$)| *- \{)", r"\1", text, flags=re.MULTILINE)
    assert opened != text
    validator.validate(yaml.safe_load(opened))
    assert [line for line in text.splitlines() if len(line) > 100] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_commands_that_a_plan_suggests_run(kind):
    assert call("init", "a plan.yaml", "--kind", kind).code == 0
    suggested = [
        shlex.split(line, comments=True)
        for line in re.findall(r"^#   mlsysim (.*)$", Path("a plan.yaml").read_text(), re.MULTILINE)
    ]
    assert suggested
    for arguments in suggested:
        assert call(*arguments).code == 0, arguments


def test_a_file_that_is_there_is_kept():
    Path("plan.yaml").write_text("mine\n", encoding="utf-8")
    result = call("init")
    assert (result.code, result.out) == (1, "")
    assert "plan.yaml: the file is there already\n  --force replaces it" in result.err
    assert Path("plan.yaml").read_text(encoding="utf-8") == "mine\n"
    assert not Path(".mlsysim").exists()
    assert call("init", "--force").code == 0
    assert "version" in Path("plan.yaml").read_text(encoding="utf-8")


def test_stdout_is_the_plan_and_nothing_else():
    result = call("init", "-", "--model", "llama3-70b", "--accelerators", "512", "--region", "quebec")
    assert (result.code, result.err) == (0, "")
    plan = yaml.safe_load(result.out)
    assert plan["workload"]["name"] == "Llama3_70B"
    assert plan["hardware"] == {"name": "H100", "accelerators": 512}
    assert plan["ops"]["region"] == "Quebec"
    assert "yaml-language-server" not in result.out
    assert list(Path().iterdir()) == []


def test_no_schema_is_none():
    assert call("init", "p.yaml", "--no-schema").code == 0
    assert [p.name for p in Path().iterdir()] == ["p.yaml"]
    assert "$schema" not in Path("p.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "Lama3"], "--model: no model called 'Lama3'\n  Nearest: Llama3_8B"),
        (["--kind", "train"], "--kind: no kind of plan called 'train'\n  Nearest: training"),
        (["--region", "Atlantis"], "--region: no "),
        (["--hardware", "H10O"], "--hardware: no hardware called 'H10O'"),
        (["--days", "0"], "--days: 0 is not allowed here"),
    ],
)
def test_wrong_names_are_said_and_nothing_is_written(arguments, message):
    result = call("init", *arguments)
    assert result.code == 1
    assert message in result.err
    assert list(Path().iterdir()) == []


def test_as_many_accelerators_as_fit():
    big = yaml.safe_load(plan(Wish(model="Llama3_405B"))[0])["hardware"]["accelerators"]
    small = yaml.safe_load(plan(Wish(model="Llama3_8B"))[0])["hardware"]["accelerators"]
    assert small < big
    text, status = plan(Wish(model="Llama3_405B", accelerators=8))
    assert status == "fail"
    assert yaml.safe_load(text)["hardware"]["accelerators"] == 8
    result = call("init", "--model", "Llama3_405B", "--accelerators", "8")
    assert result.code == 0
    assert "it does not fit yet" in result.err


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(sorted(m.name for m in models.CATALOG if m.is_transformer)),
    st.sampled_from(sorted(h.name for h in hardware.CATALOG)),
    st.sampled_from(sorted(r.name for r in infra.CATALOG if r.name[0].isupper())),
)
def test_whatever_is_asked_for_is_a_plan_or_an_error_with_a_remedy(kind, model, chip, region):
    from mlsysim.core.errors import MlsysimError

    try:
        text, status = plan(Wish(kind, model, chip, region=region))
    except MlsysimError:
        return
    assert kind == "mix" or evaluate_any(yamlfile.load(text, "")).status == status


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_in_a_terminal_it_asks(tmp_path):
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mlsysim", "init", "p.yaml", "--days", "3"],
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=follower,
        cwd=tmp_path,
    )
    os.close(follower)
    os.write(leader, b"inference\nLama3_8B\nLlama3_8B\n\n4\nnorway\n")
    out, _ = process.communicate(timeout=60)
    said = os.read(leader, 100_000).decode()
    os.close(leader)
    assert (process.returncode, out) == (0, b"")
    assert "Nearest: Llama3_8B" in said
    assert "Days" not in said
    written = yaml.safe_load((tmp_path / "p.yaml").read_text(encoding="utf-8"))
    assert written["workload"]["name"] == "Llama3_8B"
    assert written["ops"] == {"region": "Norway", "duration_days": 3}

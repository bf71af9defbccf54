"""What the commands print: schema, widths, numbers, tables, exit codes."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator
from running import CLUSTER, EXAMPLES, SMALL, bad_tables, call, call_json, too_wide

from mlsysim import __version__
from mlsysim.cli import output
from mlsysim.core.errors import SolverLimitError
from mlsysim.core.plan import Plan

# plans with several jobs, and those whose accelerators are still to be decided, are read by other commands
PLANS = sorted(p for p in EXAMPLES.glob("*.yaml") if not p.stem.startswith(("fleet", "serving_mix")))
QUICK = [
    ("Llama3_8B", "H100"),
    ("Llama3_70B", "B200", "--precision", "fp8", "--batch-size", "64"),
    ("Mixtral_8x7B", "MI300X", "--seq-len", "8192"),
    ("ResNet50", "A100", "--batch-size", "256"),
    ("GPT3", "TPUv4"),
    ("SDXL", "RTX4090"),
    ("DS_CNN", "ESP32_S3"),
    ("MobileNetV2", "Jetson_Orin_Nano"),
    ("Llama3_8B", "H100", "--batch-size", "1000000000"),
    ("Llama3_8B", "H100", "--efficiency", "1e-30"),
]
OPTIMIZATIONS = [
    ("optimize", "parallelism", CLUSTER),
    ("optimize", "parallelism", CLUSTER, "--top", "3"),
    ("optimize", "placement", CLUSTER, "--carbon-tax", "150"),
    ("optimize", "placement", CLUSTER, "--carbon-tax", "0:300", "--water-price", "2"),
    ("optimize", "placement", CLUSTER, "--pareto", "cost,carbon,water", "--points", "5"),
    ("optimize", "placement", CLUSTER, "--region", "Quebec", "--region", "Norway", "--top", "2"),
    ("optimize", "parallelism", str(EXAMPLES / "too_small.yaml")),
]
ZOO = [
    *(("zoo", kind) for kind in ("hardware", "models", "infra", "systems", "walls")),
    ("zoo", "hardware", "H100"),
    ("zoo", "models", "Llama3_70B"),
    ("zoo", "infra", "Quebec"),
    ("zoo", "infra", "aws_ca_central_1"),
    ("zoo", "systems", "DGX_H100"),
    ("zoo", "walls", "14"),
    ("zoo", "hardware", "--sort", "-memory"),
    ("zoo", "models", "--filter", "llama"),
    ("zoo", "hardware", "--filter", "there is no such thing"),
]


def test_the_cluster_plan_works_unchanged():
    code, document = call_json("eval", CLUSTER)
    assert code == 3
    assert document["status"] == "sla_violation"
    assert isinstance(document["macro"]["metrics"]["tco_usd"], float)
    (check,) = document["assertions"]
    assert check["max"] == 50.0
    assert check["value"] > 50.0
    assert not check["ok"]

    code, document = call_json("optimize", "parallelism", CLUSTER)
    assert (code, document["solution"]["status"]) == (3, "optimal")
    code, document = call_json("optimize", "placement", CLUSTER, "--carbon-tax", "150")
    assert (code, document["solution"]["status"]) == (3, "optimal")

    text = call("eval", CLUSTER).out
    assert "at most 50 ms asked" in text
    assert "example_cluster.yaml:13" in text


@pytest.mark.parametrize("path", PLANS, ids=lambda p: p.stem)
def test_every_example_runs(path, tmp_path):
    code, document = call_json("eval", str(path))
    assert code in (0, 2, 3)
    assert {"pass": 0, "fail": 2, "sla_violation": 3}[document["status"]] == code
    for form in ("text", "markdown"):
        result = call("-o", form, "eval", str(path))
        assert (result.code, result.err) == (code, "")
    again = tmp_path / "again.yaml"
    again.write_text(json.dumps(document["plan"]))  # the plan printed is a plan
    assert call_json("eval", str(again))[1]["macro"] == document["macro"]


@pytest.mark.parametrize("place", ["before", "after", "group"])
def test_the_format_stands_anywhere(place):
    arguments = ["optimize", "placement", CLUSTER, "--region", "Quebec"]
    arguments[{"before": 0, "group": 1, "after": 5}[place] : 0] = ["-o", "json"]
    assert json.loads(call(*arguments).out)["solution"]["plan"] == {"region": "Quebec"}


def test_the_nearest_format_counts():
    assert call("-o", "json", "eval", CLUSTER, "-o", "text").out.startswith("Llama3_70B")
    assert call("--output=JSON", "eval", CLUSTER).out.startswith("{")


@pytest.mark.parametrize(
    "arguments", [*(("eval", *q) for q in QUICK), *(("eval", str(p)) for p in PLANS), *OPTIMIZATIONS, *ZOO]
)
def test_text_fits_80_columns_and_cuts_nothing(arguments):
    result = call(*arguments)
    assert result.code in (0, 2, 3)
    assert too_wide(result.out) == []
    assert "…" not in result.out
    assert "..." not in result.out
    assert not {"nan", "inf", "None"} & set(result.out.split())


@pytest.mark.parametrize("arguments", [*(("eval", *q) for q in QUICK[:6]), *OPTIMIZATIONS, *ZOO[:11]])
def test_markdown_tables_are_whole(arguments):
    result = call(*arguments, "-o", "markdown")
    assert result.code in (0, 2, 3)
    assert "| --- |" in result.out
    assert bad_tables(result.out) == []


@pytest.mark.parametrize("arguments", [*(("eval", *q) for q in QUICK), *OPTIMIZATIONS])
def test_json_keeps_its_schema_in_every_case(arguments):
    code, document = call_json(*arguments)
    assert code in (0, 2, 3)
    assert len(document["walls"]) == 22


@pytest.mark.parametrize("arguments", ZOO)
def test_the_zoo_prints_json(arguments):
    assert isinstance(json.loads(call(*arguments, "-o", "json").out), dict)


def test_the_check_of_the_registry_fits_80_columns():
    result = call("zoo", "check")
    assert result.code in (0, 1)
    assert too_wide(result.out.partition("\nerror")[0]) == []
    assert bad_tables(call("zoo", "check", "-o", "markdown").out) == []


def test_infeasible_is_2():
    path = str(EXAMPLES / "too_small.yaml")
    assert call("eval", path).code == 2
    code, document = call_json("optimize", "parallelism", path)
    assert code == 2
    assert document["solution"]["status"] == "infeasible"


def test_a_solver_that_stops_is_4(monkeypatch):
    from mlsysim.core.solver import optimizers

    def stop(*_: object, **__: object) -> None:
        raise SolverLimitError("no plan within 1 s", hint="raise the time limit")

    monkeypatch.setattr(optimizers, "parallelism", stop)
    assert call("optimize", "parallelism", CLUSTER).code == 4
    code, document = call_json("optimize", "parallelism", CLUSTER)
    assert (code, document["error"]["code"]) == (4, "solver_limit")


def test_an_interrupt_is_130(monkeypatch):
    from mlsysim.core.solver import optimizers

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(optimizers, "placement", interrupt)
    result = call("optimize", "placement", CLUSTER)
    assert (result.code, result.out) == (130, "")


def test_schemas_are_schemas():
    plan, result = (json.loads(call("schema", *extra).out) for extra in ((), ("--result",)))
    for schema in (plan, result):
        Draft202012Validator.check_schema(schema)
    import yaml

    for path in PLANS:
        Draft202012Validator(plan).validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        Plan.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("eval",),
        ("optimize",),
        ("optimize", "parallelism"),
        ("optimize", "placement"),
        ("zoo",),
        ("validate",),
        ("schema",),
    ],
)
def test_help_has_examples_and_fits(command):
    result = call(*command, "--help")
    assert result.code == 0
    assert "Examples:\n    mlsysim " in result.out
    assert "[dim]" not in result.out
    assert too_wide(result.out) == []


def test_version():
    assert call("--version") == (0, f"mlsysim {__version__}\n", "")


def test_progress_speaks_after_a_second_and_only_on_stderr(capsys):
    import time

    with output.progress("solving"):
        pass
    assert capsys.readouterr() == ("", "")
    with output.progress("solving"):
        time.sleep(1.2)
    assert capsys.readouterr() == ("", "solving ...\n")


def test_what_json_cannot_say_is_null():
    assert output.finite({"a": [float("inf"), float("nan"), 1.5], "b": (None, "x")}) == {
        "a": [None, None, 1.5],
        "b": [None, "x"],
    }


def test_a_title_with_pipes_and_accents_survives(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(SMALL + 'name: "São | 模型 🚀"\n', encoding="utf-8")
    assert call_json("eval", str(path))[1]["scenario"] == "São | 模型 🚀"
    assert "São | 模型 🚀" in call("eval", str(path)).out
    assert call("-o", "json", "eval", str(path)).out.isascii()

"""``mlsysim sweep`` as people and programs use it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import call, call_json, too_wide

ROOT = Path(__file__).parents[2]
CAMPAIGNS = ROOT / "examples" / "campaigns"
PLAN = """\
version: "1.0"
plan:
  version: "1.0"
  workload: {name: GPT2, batch_size: 64}
  hardware: {name: A100, accelerators: 4}
"""
GRID = """\
dimensions:
  region: [Quebec, Norway, Iowa]
  duration: {min: 1, max: 30, points: 40}
minimize: macro.tco_usd
metrics: [macro.tco_usd, performance.latency]
"""


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MLSYSIM_CACHE", str(tmp_path / "cache"))


def written(folder, text=GRID):
    path = folder / "campaign.yaml"
    path.write_text(PLAN + text, encoding="utf-8")
    return str(path)


def rows(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_a_campaign_becomes_a_table(tmp_path):
    file = tmp_path / "out.csv"
    done = call("sweep", written(tmp_path), "-o", str(file))
    assert (done.code, done.err) == (0, "")
    assert "120 rows: 120 hold" in done.out
    assert str(file) in done.out
    head, *data = rows(file)
    assert head[:2] == ["ops.region", "ops.duration_days [day]"]
    assert len(data) == 120
    assert not (tmp_path / "out.csv.parts").exists()


@pytest.mark.parametrize("name", ["fleet.yaml", "supplies.yaml"])
def test_the_examples_run_and_fit_a_terminal(name, tmp_path):
    done = call("sweep", str(CAMPAIGNS / name), "-o", str(tmp_path / "out.parquet"))
    assert done.code == 0
    assert "hold" in done.out
    assert not [line for line in too_wide(done.out) if str(tmp_path) not in line]
    if name == "fleet.yaml":
        assert "decided by the solver, with proof, in place of 48 points" in " ".join(done.out.split())
        assert "proven" in done.out


def test_json_is_one_document_of_the_schema(tmp_path):
    code, document = call_json("sweep", written(tmp_path), "--top", "2")
    assert code == 0
    assert document["sweep"]["rows"] == 120
    assert document["sweep"]["status"]["pass"] == 120
    assert document["sweep"]["units"]["macro.tco_usd"] == "USD"
    assert [b["ops.duration_days"] for b in document["best"]] == [1.0, 1.0]
    code, document = call_json("sweep", written(tmp_path), "-o", str(tmp_path / "a.csv"))
    assert document["sweep"]["file"] == str(tmp_path / "a.csv")


def test_markdown(tmp_path):
    done = call("-o", "markdown", "sweep", written(tmp_path))
    assert done.out.count("| Quebec |") >= 1


@pytest.mark.parametrize(
    ("constraints", "code"),
    [("[performance.latency < 1]", 3), ("[feasibility.memory < 80]", 0)],
)
def test_exit_codes_say_whether_anything_holds(constraints, code, tmp_path):
    assert call("sweep", written(tmp_path, f"{GRID}constraints: {constraints}\n")).code == code


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (GRID + "constraints: [performance.mfuu > 0.4]\n", 11, "performance.mfuu"),
        (GRID.replace("macro.tco_usd\nm", "macro.tco_usd + latency\nm"), 9, "USD and ms"),
        (GRID.replace("Norway", "Norwey"), 7, "Norway"),
        (GRID.replace("max: 30", "max: 0"), 8, "no range"),
        (GRID.replace("minimize", "minimise"), 9, "Nearest: minimize"),
        (GRID + "sampling: {method: dice, points: 3}\n", 11, "dice"),
        (GRID + "sampling: {kind: sobol}\n", 11, "method, points"),
        ("minimize: macro.tco_usd\n", 1, "'dimensions' is missing"),
        (GRID + "each: [nodes]\n", 11, "nodes"),
        (GRID + "metrics: [speed]\n", 11, "twice"),
        ("dimensions: {nodes: [1]}\nparameters: {tax: {values: [1], unit: parsec}}\n", 7, "parsec"),
    ],
)
def test_errors_name_file_line_and_remedy(text, line, said, tmp_path):
    path = written(tmp_path, text)
    done = call("sweep", path)
    assert (done.code, done.out) == (1, "")
    assert f"{path}:{line}" in done.err, done.err
    assert said in done.err
    assert "Traceback" not in done.err


def test_an_expression_error_shows_the_character(tmp_path):
    done = call("sweep", written(tmp_path, GRID + "constraints: ['performance.latency < 3 GB']\n"))
    lines = done.err.splitlines()
    at = next(i for i, line in enumerate(lines) if "performance.latency < 3 GB" in line)
    assert lines[at + 1].index("^") == lines[at].index("<")
    code, document = call_json("sweep", written(tmp_path, GRID + "constraints: ['latency <']\n"))
    assert code == 1
    assert document["error"]["code"] == "bad_expression"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing.yaml",),
        ("CAMPAIGN", "-o", "out.xlsx"),
        ("CAMPAIGN", "--jobs", "2", "--scheduler", "tcp://127.0.0.1:9"),
        ("CAMPAIGN", "--method", "guess"),
        ("CAMPAIGN", "--method", "solve"),
        ("CAMPAIGN", "-o", "no/such/folder/out.csv"),
    ],
)
def test_wrong_arguments_are_refused(arguments, tmp_path, monkeypatch):
    path = written(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = call("sweep", *(path if a == "CAMPAIGN" else a for a in arguments))
    assert done.code == 1
    assert done.err.count("\n") <= 3


def test_a_kill_loses_no_finished_point(tmp_path):
    """SIGKILL in mid-campaign; the parts that were finished are not touched again."""
    text = GRID.replace("points: 40", "points: 400")
    path, file = written(tmp_path, text), tmp_path / "out.csv"
    words = [sys.executable, "-m", "mlsysim", "sweep", path, "-o", str(file), "--part", "10"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    victim = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    folder, limit = tmp_path / "out.csv.parts", time.monotonic() + 60
    try:
        while len(list(folder.glob("part-*.npz"))) < 10:
            assert time.monotonic() < limit
            assert victim.poll() is None, victim.communicate()
            time.sleep(0.01)
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
    assert not file.exists()
    before = {p.name: p.stat().st_mtime_ns for p in folder.glob("part-*.npz")}
    assert 10 <= len(before) < 120
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in before:  # a second name for the same file: written again, it would be another
        os.link(folder / name, kept / name)

    done = call("sweep", path, "-o", str(file), "--part", "10")
    assert done.code == 0
    assert {p.name: p.stat().st_mtime_ns for p in kept.iterdir()} == before
    whole = tmp_path / "whole.csv"
    assert call("sweep", path, "-o", str(whole), "--part", "10").code == 0
    assert file.read_bytes() == whole.read_bytes()
    assert len(rows(file)) == 1201


def test_parts_of_another_campaign_are_refused_and_restart_drops_them(tmp_path):
    path, file = written(tmp_path), tmp_path / "out.csv"
    folder = tmp_path / "out.csv.parts"
    folder.mkdir()
    (folder / "campaign.json").write_text(json.dumps({"space": "another"}))
    done = call("sweep", path, "-o", str(file))
    assert done.code == 1
    assert "--restart" in done.err
    assert call("sweep", path, "-o", str(file), "--restart").code == 0
    assert len(rows(file)) == 121


def test_jobs_are_processes(tmp_path):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    path = written(tmp_path)
    assert call("sweep", path, "-o", str(one), "--part", "30").code == 0
    done = subprocess.run(
        [sys.executable, "-m", "mlsysim", "sweep", path, "-o", str(two), "--part", "30", "--jobs", "2"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert one.read_bytes() == two.read_bytes()

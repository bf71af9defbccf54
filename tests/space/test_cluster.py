"""A real Dask scheduler and its workers on loopback; two of four are killed in mid-campaign."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import mlsysim
from mlsysim.core.errors import InputError, MissingExtraError
from mlsysim.space.campaign import cluster
from mlsysim.space.table import Words

pytest.importorskip("distributed")
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
PATIENCE = 60.0  # s, of a machine that is busy


def command(module, *arguments):
    return [
        sys.executable,
        "-m",
        f"distributed.cli.{module}",
        *arguments,
        "--no-dashboard",
        "--host",
        "127.0.0.1",
    ]


@contextmanager
def processes(folder, workers):
    """Give the address of a scheduler, and its workers; end them all, whatever happens."""
    file = folder / "scheduler.json"
    started = []

    def start(*words):
        with (folder / f"log{len(started)}").open("wb") as log:
            started.append(subprocess.Popen(words, env=ENVIRONMENT, stdout=log, stderr=log, cwd=folder))
        return started[-1]

    try:
        start(*command("dask_scheduler", "--port", "0", "--scheduler-file", str(file)))
        limit = time.monotonic() + PATIENCE
        while not (file.exists() and file.read_text().endswith("}")):
            assert time.monotonic() < limit, (folder / "log0").read_text()
            time.sleep(0.05)
        own = ("--scheduler-file", str(file), "--nthreads", "1", "--no-nanny", "--memory-limit", "0")
        found = [
            start(*command("dask_worker", *own, "--local-directory", str(folder))) for _ in range(workers)
        ]
        yield json.loads(file.read_text())["address"], found
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def space(points=500):
    plan = {
        "version": "1.0",
        "workload": {"name": "GPT2", "batch_size": 64},
        "hardware": {"name": "A100", "accelerators": 4},
    }
    dimensions = {
        "batch": [16, 32, 48, 64, 96],
        "region": ["Quebec", "Norway", "Iowa", "US_Avg"],
        "duration": {"min": 1, "max": 30, "points": points},
    }
    tax = {"tax": {"values": [0], "unit": "USD/tCO2e"}}
    goal = "macro.tco_usd + tax * macro.carbon_tco2e"
    return mlsysim.DesignSpace(
        plan, dimensions, parameters=tax, minimize=goal, metrics=["latency", "tco_usd"]
    )


def written(folder, of):
    """The space as a campaign file; JSON is YAML."""
    path = folder / "campaign.yaml"
    data = {k: v for k, v in of.to_dict().items() if v}
    data["sampling"] = {"method": "grid"}
    path.write_text(json.dumps({"version": "1.0", **data}), encoding="utf-8")
    return str(path)


@pytest.mark.filterwarnings("ignore")  # of Dask, about its own sockets
def test_killed_workers_lose_nothing(tmp_path):
    of = space()
    assert len(of) == 10_000
    serial = of.run(part=100)
    killed = []
    with processes(tmp_path, 4) as (address, workers):

        def kill(done, count):
            if done > (len(killed) + 1) * count // 5 and len(killed) < 2:
                victim = workers[len(killed)]
                victim.send_signal(signal.SIGKILL)
                victim.wait(10)
                killed.append(done)

        with cluster(address) as executor:
            found = of.run(part=100, executor=executor, folder=tmp_path / "parts", progress=kill)
        # the command, on those that are left
        words = (
            "sweep",
            written(tmp_path, space(3)),
            "-o",
            str(tmp_path / "there.csv"),
            "--scheduler",
            address,
        )
        command_ = [sys.executable, "-m", "mlsysim", *words]
        assert subprocess.run(command_, env=ENVIRONMENT, capture_output=True, check=False).returncode == 0
    space(3).run().write(tmp_path / "here.csv")
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "there.csv").read_bytes()
    assert len(killed) == 2
    assert 0 < killed[0] < killed[1] < len(of)
    assert len(found) == len(of)
    for name, column in serial.columns.items():
        ours, theirs = found.columns[name].data, column.data
        if isinstance(theirs, Words):
            assert ours.words == theirs.words
            ours, theirs = ours.codes, theirs.codes
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_not_there_is_said(monkeypatch):
    with pytest.raises(InputError, match="no scheduler answers"), cluster("tcp://127.0.0.1:9", 0.5):
        pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match="Dask"), cluster("tcp://127.0.0.1:9"):
        pass

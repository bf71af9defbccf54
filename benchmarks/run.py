"""Run instances and sum up."""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import shlex
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.check import PROVEN, correct, failures, wrong
from benchmarks.isolated import measured
from benchmarks.library import Instance
from benchmarks.phases import ANSWER, PHASES, versions

SHIFT = 0.01  # s, of the geometric means: differences far below it do not count


def run(
    chosen: Iterable[Instance],
    engine: str,
    seeds: int,
    time_limit: float,
    tell: Callable[[dict[str, Any]], None] = lambda record: None,
) -> list[dict[str, Any]]:
    """Return a record for each instance and seed, in order.

    Args:
        chosen: the instances.
        engine: by name, or ``auto``.
        seeds: how many; from 0 on.
        time_limit: of each solve [s].
        tell: called with each record as it comes.
    """
    records = []
    for instance in chosen:
        for seed in range(seeds):
            record = {"instance": instance.name, "size": instance.size}
            record |= measured(
                plan=instance.plan, engine=engine, seed=seed, time_limit=time_limit, **instance.options
            )
            record["wrong"] = wrong(instance, record)
            record["correct"] = correct(instance, record)
            records.append(record)
            tell(record)
    return records


def answer_seconds(record: dict[str, Any], time_limit: float) -> float:
    """Return the time from the problem to its proven answer; the limit where there is none."""
    if record["status"] not in PROVEN or record["wrong"]:
        return time_limit
    return sum(record["phases"].get(name, 0.0) for name in ANSWER)


def shifted_mean(values: Iterable[float], shift: float = SHIFT) -> float | None:
    """Return the geometric mean of values that are moved away from zero by ``shift``; None of none."""
    logs = [math.log(value + shift) for value in values]
    return math.exp(statistics.fmean(logs)) - shift if logs else None


def summary(records: list[dict[str, Any]], time_limit: float) -> dict[str, Any]:
    """Return the totals of a run: means of each phase, and how many were proven."""
    phases: dict[str, Any] = {}
    for name in PHASES:
        spent = [r["phases"][name] for r in records if name in r["phases"]]
        if name == "solve":  # what failed counts at the limit
            failed = [r for r in records if r["status"] not in PROVEN or r["wrong"]]
            kept = [r for r in records if r not in failed]
            spent = [r["phases"][name] for r in kept] + [time_limit] * len(failed)
        phases[name] = {"mean": shifted_mean(spent), "count": len(spent)}
    answers = [answer_seconds(r, time_limit) for r in records]
    return {
        "shift": SHIFT,
        "phases": phases,
        "answer": {"mean": shifted_mean(answers), "count": len(answers)},
        "runs": len(records),
        "proven": sum(r["status"] in PROVEN and not r["wrong"] for r in records),
        "wrong": sum(bool(r["wrong"]) for r in records),
    }


def document(records: list[dict[str, Any]], given: dict[str, Any]) -> dict[str, Any]:
    """Return a run as JSON: with the machine, the versions, the date and the command."""
    return {
        "format": "mlsysim benchmark run 1",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "machine": machine(),
        "versions": versions(),
        "given": given,
        "summary": summary(records, given["time_limit"]),
        "records": records,
    }


def machine() -> dict[str, Any]:
    """Return what times depend on."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), name)
    return {"processor": name, "cores": os.cpu_count(), "system": platform.platform()}


def write(path: Path, data: dict[str, Any]) -> None:
    """Write a run."""
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def checked(chosen: list[Instance], records: list[dict[str, Any]]) -> list[str]:
    """Return what fails the check, one line each."""
    by_name = {i.name: i for i in chosen}
    here = versions()
    return [f"{r['instance']}: {text}" for r in records for text in failures(by_name[r["instance"]], r, here)]

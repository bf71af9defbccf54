"""The 22 walls of many layouts in one call, against one call for each.

``python -m benchmarks.walls`` prints design points a second on one core: medians over several rounds,
each round measuring every workload both ways, so that a machine that slows down slows both. The aim is
200,000. Points are drawn at random from the legal layouts of a job, some more than once; each has
all 22 walls, all metrics and its status.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from typing import Any

import numpy as np

import mlsysim
from mlsysim.core.evaluation import evaluate
from mlsysim.core.layout import Columns, layout_at
from mlsysim.core.legal import legal_together, space
from mlsysim.core.metrics import METRICS
from mlsysim.core.scenario import Scenario
from mlsysim.core.sweep import Sweep, evaluate_layouts

AIM = 200_000.0
JOBS = {
    "Llama3_70B, 512 x H100": ("Llama3_70B", 64, 4096),
    "Llama3_405B, 16384 x H100": ("Llama3_405B", 2048, 16384),
    "Mixtral_8x22B, 1024 x H100": ("Mixtral_8x22B", 128, 4096),
    "DeepSeek_V3, 2048 x H100": ("DeepSeek_V3", 256, 15360),
    "ResNet50, 256 x H100": ("ResNet50", 32, 8192),
}


def scenario(model: str, nodes: int, batch: int) -> Scenario:
    """Return a training job with limits and assertions."""
    plan: dict[str, Any] = {
        "version": "1.0",
        "workload": {"name": model, "batch_size": batch},
        "hardware": {"name": "H100", "nodes": nodes},
        "ops": {"region": "Quebec", "duration_days": 14.0},
        "data": {"storage": "S3_Object_Store"},
        "constraints": {
            "communication": 0.2,
            "failures": 0.1,
            "checkpoint": 0.05,
            "budget": "10 MUSD",
            "carbon": "1000 tCO2e",
            "assert": [
                {"metric": "performance.latency", "max": "30 s"},
                {"metric": "performance.mfu", "min": 0.3},
            ],
        },
    }
    return mlsysim.scenario(plan)


def random_layouts(s: Scenario, count: int, seed: int = 0) -> Columns:
    """Return legal layouts, drawn at random."""
    legal, rng = space(s), np.random.default_rng(seed)
    found: list[Columns] = []
    while sum(len(part["tp"]) for part in found) < count:
        shard = rng.integers(len(legal.shard["tp"]), size=count)
        points = {name: column[shard] for name, column in legal.shard.items()}
        points |= _like(legal.pipeline, points, ("pp",), rng)
        points |= _like(legal.layer, points, ("tp", "cp", "ep"), rng)
        together = legal_together(points, s.batch, s.accelerators)
        found.append({name: column[together] for name, column in points.items()})
    return {name: np.concatenate([part[name] for part in found])[:count] for name in found[0]}


def _like(table: Columns, points: Columns, on: tuple[str, ...], rng: np.random.Generator) -> Columns:
    """Return for each point a random row of the table that agrees with it."""
    base = 1 + max(int(table[name].max()) for name in on)
    there = sum(table[name].astype(np.int64) * base**i for i, name in enumerate(on))
    key = sum(points[name].astype(np.int64) * base**i for i, name in enumerate(on))
    order = np.argsort(there, kind="stable")
    first = np.searchsorted(there[order], key, side="left")
    last = np.searchsorted(there[order], key, side="right")
    chosen = order[rng.integers(first, last)]
    return {name: column[chosen] for name, column in table.items()}


def all_at_once(s: Scenario, columns: Columns) -> Sweep:
    """Evaluate all points in one call."""
    found = evaluate_layouts(s, columns)
    assert len(found.status) == len(columns["tp"])
    return found


def one_by_one(s: Scenario, columns: Columns, count: int) -> None:
    """Evaluate the first points with a call for each."""
    for i in range(count):
        e = evaluate(s, layout_at(columns, i))
        assert len(e.walls) == 22
        assert e.status
        for name, metric in METRICS.items():
            if metric.applies(e.state):
                e.metric(name)


def measure(points: int, scalar_points: int, runs: int) -> dict[str, dict[str, float]]:
    """Return points a second of each job, both ways, and their ratio; medians over ``runs``."""
    jobs = {name: scenario(*job) for name, job in JOBS.items()}
    layouts = {name: random_layouts(s, points) for name, s in jobs.items()}
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for round_ in range(runs + 1):
        for name, s in jobs.items():
            begin = time.perf_counter()
            all_at_once(s, layouts[name])
            middle = time.perf_counter()
            one_by_one(s, layouts[name], scalar_points)
            end = time.perf_counter()
            if round_:  # the first is a warm-up
                rates[name].append((points / (middle - begin), scalar_points / (end - middle)))
    return {
        name: {
            "points": points,
            "distinct": _distinct(layouts[name]),
            "points_per_second": statistics.median(array for array, _ in pairs),
            "slowest": min(array for array, _ in pairs),
            "one_by_one": statistics.median(scalar for _, scalar in pairs),
            "ratio": statistics.median(array / scalar for array, scalar in pairs),
        }
        for name, pairs in rates.items()
    }


def _distinct(columns: Columns) -> int:
    return len(np.unique(np.stack([column.astype(np.int64) for column in columns.values()]), axis=1).T)


def pin() -> None:
    """Keep the process on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def main() -> None:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--scalar-points", type=int, default=200)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    pin()
    rows = measure(given.points, given.scalar_points, given.runs)
    if given.json:
        print(json.dumps({"aim": AIM, "jobs": rows}, indent=2))
        return
    print(f"{given.points:,} points on one core, points a second (aim: {AIM:,.0f})")
    print(f"{'job':28}{'distinct':>10}{'in one call':>14}{'slowest run':>14}{'one by one':>12}{'ratio':>9}")
    for name, row in rows.items():
        print(
            f"{name:28}{row['distinct']:>10,}{row['points_per_second']:>14,.0f}{row['slowest']:>14,.0f}"
            f"{row['one_by_one']:>12,.0f}{row['ratio']:>8,.0f}x"
        )


if __name__ == "__main__":
    main()

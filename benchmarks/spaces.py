"""Design spaces: points evaluated, and problems solved to their proof, a second on one core.

``python -m benchmarks.spaces`` prints both, in CPU time of one process: the best of several rounds, each
round measuring everything, so that a machine that slows down slows all. The aims are 200,000 points and
50 proven optimizations. ``--published PYTHON`` names an interpreter with the published mlsysim (0.3)
installed and adds the ratio to its ``DSE`` loop over a comparable grid, measured in the same way.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.walls import pin
from mlsysim.core.solver.optimizers import parallelism
from mlsysim.space.design import DesignSpace
from mlsysim.space.parts import evaluate
from mlsysim.space.points import Evaluator
from mlsysim.space.solving import Solver

AIM_POINTS, AIM_PROOFS = 200_000.0, 50.0
PLAN: dict[str, Any] = {
    "version": "1.0",
    "workload": {"name": "Llama3_70B", "batch_size": 1024},
    "hardware": {"name": "H100", "nodes": 64},
    "constraints": {"communication": 0.3, "budget": "10 MUSD"},
}
SERVING: dict[str, Any] = {
    "version": "1.0",
    "workload": {"name": "Llama3_8B", "phase": "inference", "batch_size": 8},
    "hardware": {"name": "H100", "nodes": 1},
}
TAXED = "macro.tco_usd + tax * macro.carbon_tco2e"
TAX = {"tax": {"min": 0, "max": 300, "unit": "USD/tCO2e"}}
SUPPLIES = {
    "supplies.electricity_price": {"min": "0.02 USD/kWh", "max": "0.3 USD/kWh"},
    "supplies.carbon_intensity": {"min": 10, "max": 800},
    "supplies.bandwidth": {"min": 2, "max": 8},
    "supplies.peak": {"min": 500, "max": 2000},
    "ops.duration_days": {"min": 1, "max": 30},
}
REGIONS = ["Quebec", "Norway", "US_Avg", "Iowa"]


def spaces(points: int) -> dict[str, DesignSpace]:
    """Return spaces of so many points, all metrics and all walls of each."""
    return {
        "supplies, region, tax of a training run": DesignSpace(
            PLAN,
            {"region": REGIONS, **SUPPLIES},
            parameters=TAX,
            minimize=TAXED,
            constraints=["performance.mfu > 0.3", "macro.carbon_tco2e < 500"],
            sample="sobol",
            points=points,
        ),
        "the same, 16 fleets": DesignSpace(
            PLAN,
            {"nodes": [4 * i for i in range(1, 17)], "region": REGIONS, **SUPPLIES},
            parameters=TAX,
            minimize=TAXED,
            constraints=["performance.mfu > 0.3"],
            sample="sobol",
            points=points,
        ),
        "batch, context, bandwidth of a service": DesignSpace(
            SERVING,
            {
                "hardware": ["H100", "A100"],
                "batch": {"min": 1, "max": 256},
                "seq_len": {"min": 128, "max": 32768, "log": True},
                "region": REGIONS,
            },
            minimize="macro.usd_per_million_tokens",
            constraints=["performance.latency < 50 ms"],
            sample="sobol",
            points=points,
        ),
        "the same, and a queue": DesignSpace(
            SERVING | {"queue": {"rate": 4.0}},
            {
                "batch": {"min": 1, "max": 256},
                "seq_len": {"min": 128, "max": 32768, "log": True},
                "queue.rate": {"min": 1, "max": 100},
            },
            minimize="macro.usd_per_million_tokens",
            sample="sobol",
            points=points,
        ),
    }


def problems(chip: str) -> dict[str, tuple[DesignSpace, list[dict[str, Any]]]]:
    """Return spaces with decisions, and distinct cases of each; every layout decision is open.

    No two cases share model, fleet and batch but those of the last, which differ in region and tax.
    """
    found = {}
    for model, fleets, batches in (
        ("GPT2", (2, 4, 8), (32, 48, 64, 96, 128, 192, 256, 384)),
        ("Llama3_8B", (4, 8), (32, 48, 64, 96, 128, 192, 256, 384)),
        ("Llama3_8B", (16, 32), (64, 128, 256)),
    ):
        plan = {"version": "1.0", "workload": {"name": model, "batch_size": 64}, "hardware": {"name": chip}}
        space = DesignSpace(
            plan,
            {"accelerators": list(fleets), "batch": list(batches), "zero_stage": [0, 1, 2, 3]},
            minimize="performance.latency",
            each=["accelerators"],
        )
        cases = [{"hardware.accelerators": n, "workload.batch_size": b} for b in batches for n in fleets]
        found[f"{model}, {' to '.join(map(str, (fleets[0], fleets[-1])))} x {chip}"] = (space, cases)
    plan = {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "batch_size": 128},
        "hardware": {"name": chip, "accelerators": 8},
    }
    space = DesignSpace(
        plan,
        {"region": REGIONS, "zero_stage": [0, 1, 2, 3]},
        parameters={"tax": {"values": [0, 50, 100, 150], "unit": "USD/tCO2e"}},
        minimize="macro.training_usd + tax * macro.training_tco2e",
    )
    cases = [{"ops.region": r, "tax": t} for r in REGIONS for t in (0, 50, 100, 150)]
    found[f"Llama3_8B, 8 x {chip}, cost by region and tax"] = (space, cases)
    return found


def seconds(call: Callable[[], Any]) -> float:
    """Return the CPU time of a call, all threads of this process together."""
    begin = time.process_time()
    call()
    return time.process_time() - begin


def point_rates(points: int, runs: int) -> dict[str, float]:
    """Return points a second of each space: drawn, evaluated, and put into a table."""
    best: dict[str, float] = {}
    evaluators = {name: Evaluator(space) for name, space in spaces(points).items()}
    for _ in range(runs):
        for name, of in evaluators.items():
            taken = seconds(
                lambda of=of: [evaluate(of, a, min(a + 65536, points)) for a in range(0, points, 65536)]
            )
            best[name] = max(best.get(name, 0.0), points / taken)
    return best


def proof_rates(runs: int) -> dict[str, tuple[float, int]]:
    """Return proven optimizations a second and the number of problems of each space.

    Raises:
        RuntimeError: one of them is not proven.
    """
    best: dict[str, tuple[float, int]] = {}
    for _ in range(runs):
        for name, (space, cases) in problems("H100").items():
            of = Solver(space)  # nothing is kept from one round to the next but what a process keeps
            _forget()
            answers: list[Any] = []
            taken = seconds(lambda of=of, cases=cases, answers=answers: answers.extend(map(of.solve, cases)))
            if any(a.proof != "optimal" for a in answers):
                raise RuntimeError(f"{name}: {[a.reason for a in answers if a.proof != 'optimal'][:1]}")
            best[name] = max(best.get(name, (0.0, 0)), (len(cases) / taken, len(cases)))
    return best


def _forget() -> None:
    """Drop the tables that earlier rounds left behind."""
    from formulations import joint
    from formulations import parallelism as recipe

    recipe._tables.cache_clear()
    joint.codes.cache_clear()


def plain_rate(count: int = 12) -> float:
    """Return how many of the small problems ``optimize.parallelism`` solves a second, report included."""
    plans = [
        {
            "version": "1.0",
            "workload": {"name": "Llama3_8B", "batch_size": 32 * i},
            "hardware": {"name": "H100", "accelerators": 8},
        }
        for i in range(1, count + 1)
    ]
    parallelism(plans[0])
    return count / seconds(lambda: [parallelism(p) for p in plans])


THEIRS = """
import json, logging, time
logging.disable(logging.CRITICAL)
import mlsysim
from mlsysim.engine.dse import DSE
from mlsysim.engine.evaluation import SystemEvaluator
model, hardware = mlsysim.Models.Language.Llama3_8B, mlsysim.Hardware.Cloud.H100
space = {"batch": list(range(1, 65)), "efficiency": [0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65]}
def one(p):
    return SystemEvaluator.evaluate(scenario_name="x", model_obj=model, hardware_obj=hardware,
        batch_size=p["batch"], precision="fp16", efficiency=p["efficiency"])
dse = DSE(space, "minimize: performance.metrics.latency")
dse.search(one)
best = 0.0
for _ in range(3):
    begin = time.process_time()
    dse.search(one)
    best = max(best, 512 / (time.process_time() - begin))
print(json.dumps({"version": mlsysim.__version__, "points_per_second": best}))
"""


def published(python: str) -> dict[str, Any]:
    """Return version and points a second of the published mlsysim of an interpreter."""
    done = subprocess.run(
        [python, "-I", "-c", THEIRS], capture_output=True, text=True, check=True, timeout=300
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--points", type=int, default=1 << 18)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--published", metavar="PYTHON", help="an interpreter that has the published mlsysim")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    pin()
    rates, proofs = point_rates(given.points, given.runs), proof_rates(given.runs)
    plain = plain_rate()
    theirs = None if given.published is None else published(given.published)
    if given.json:
        print(
            json.dumps({"points": rates, "proofs": proofs, "optimize": plain, "published": theirs}, indent=2)
        )
        return
    print(f"points a second, one core, CPU time, of {given.points:,} (aim: {AIM_POINTS:,.0f})")
    for name, rate in rates.items():
        ratio = "" if theirs is None else f"{rate / theirs['points_per_second']:>9,.0f}x"
        print(f"  {name:48}{rate:>14,.0f}{ratio}")
    if theirs is not None:
        print(f"  {'DSE of mlsysim ' + theirs['version']:48}{theirs['points_per_second']:>14,.0f}")
    print(f"proven optimizations a second, one core, CPU time (aim: {AIM_PROOFS:g})")
    for name, (rate, count) in proofs.items():
        print(f"  {name + f', {count} problems':62}{rate:>8.1f}")
    total = sum(n for _, n in proofs.values())
    mean = total / sum(n / rate for rate, n in proofs.values())
    print(f"  {f'all {total}':62}{mean:>8.1f}")
    print(f"  {'optimize.parallelism, Llama3_8B, 8 x H100':62}{plain:>8.1f}")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()

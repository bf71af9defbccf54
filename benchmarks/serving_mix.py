"""Serving mixes of several sizes, drawn with a seed over the registry: CPU time and what was proven.

Run ``python -m benchmarks.serving_mix [--seeds N] [--size small|open|large] [--limit S]``. CPU time is
that of this process, without its start: ``tables`` from the plan to the program, ``solve`` to the proof.
Prices are the registry's rents, made nearly equally good for the average request and then changed by up
to 15%, so that no accelerator is the best for everything.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np

from formulations.engines.base import Options
from formulations.serving_days import best
from formulations.serving_recipe import formulate
from formulations.serving_tables import pools
from mlsysim.core.plan import load
from mlsysim.core.settings import settings_of
from mlsysim.core.solver.serving_question import Question, question

EIGHT = ("L4", "A10", "A100", "H100", "L40S", "MI300X", "TPUv5e", "H200")
TWENTY = (
    *EIGHT, "A100_40GB", "A100_PCIe", "H100_PCIe", "MI325X", "TPUv5p", "TPUv6e", "Inferentia2",
    "Trainium2", "B200", "GH200", "Gaudi3", "T4",
)  # fmt: skip
# accelerators, prompts and outputs, tensor-parallel sizes, hours, requests a second, relative gap
SIZES: dict[str, tuple[Any, ...]] = {
    "small": (EIGHT, (10, 10), [1], 1, (5, 50, 500), 1e-6),
    "open": (EIGHT, (10, 10), [1, 2, 4], 1, (5, 50, 500), 1e-6),
    "large": (TWENTY, (32, 31), [1], 24, (2000,), 1e-3),
}


def plan(size: str, rate: float, seed: int) -> dict[str, Any]:
    """Return a plan of a size: log-normal lengths, with noise, over a grid of buckets."""
    names, (prompts, outputs), tp, hours, _, _ = SIZES[size]
    rng = np.random.default_rng(seed)
    p, o = (
        x.ravel()
        for x in np.meshgrid(
            np.geomspace(16, 8000, prompts).round(), np.geomspace(8, 2000, outputs).round(), indexing="ij"
        )
    )
    weight = np.exp(-((np.log(p) - 6) ** 2) / 4 - (np.log(o) - 5) ** 2 / 2) * rng.uniform(0.5, 1.5, len(p))
    weight *= rate / weight.sum()
    clock = np.arange(hours)
    mix = {
        "classes": [
            {"prompt": float(a), "output": float(b), "rate": float(w)}
            for a, b, w in zip(p, o, weight, strict=True)
        ],
        "accelerators": [{"name": n} for n in names],
        "tp": tp,
        "token_budget": 512,
        "hours": [float(x) for x in 1 + 0.6 * np.sin(2 * np.pi * (clock - 9) / 24)] if hours > 1 else None,
    }
    return {
        "version": "1.0",
        "workload": {"name": "Llama3_8B", "phase": "inference", "precision": "bf16"},
        "hardware": {"name": "H100"},
        "ops": {"ownership": "rent"},
        "constraints": {"ttft": "2 s", "itl": "60 ms"},
        "mix": {k: v for k, v in mix.items() if v is not None},
    }


def asked(given: dict[str, Any]) -> Question:
    """Return the question of a plan."""
    parsed, document = load(given)
    return question(parsed, document, settings_of(parsed, document))


def evened(q: Question, seed: int) -> np.ndarray:
    """Return prices of the offers at which the stocks are nearly equally good, and then are not."""
    rng = np.random.default_rng(seed)
    base = np.full((len(q.demand.prompt), len(q.stocks)), np.inf)
    for p in pools(q.demand, q.offers, q.rules):
        base[:, p.offer.stock] = np.minimum(base[:, p.offer.stock], p.time * p.offer.cost)
    ratio = base / base.min(axis=1, keepdims=True)
    factor = np.array([1 / np.median(r[np.isfinite(r)]) if np.isfinite(r).any() else 1.0 for r in ratio.T])
    factor *= rng.uniform(0.85, 1.15, len(factor))
    return np.array([o.cost * factor[o.stock] for o in q.offers])


def main() -> None:
    """Measure and print."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--size", choices=[*SIZES, "all"], default="small")
    reader.add_argument("--seeds", type=int, default=3)
    reader.add_argument("--limit", type=float, default=60.0)
    given = reader.parse_args()
    print("size   rate seed  status    USD/h      gap       tables s  solve s  kinds  instances")
    for size in SIZES if given.size == "all" else (given.size,):
        *_, hours, rates, gap = SIZES[size]
        asked(plan("small", 1.0, 0))  # what is loaded once
        for rate in rates:
            for seed in range(given.seeds):
                q = asked(plan(size, rate, seed))
                cost = evened(q, seed)
                q = replace(q, offers=tuple(replace(o) for o in q.offers))
                begin = time.process_time()
                stocks = np.array([n for _, n in q.stocks])
                recipe = formulate(q.demand, q.offers, q.rules, stocks, cost)
                middle = time.process_time()
                b = best(recipe.mix, Options(gap=gap, time_limit=given.limit))
                end = time.process_time()
                shown = "-" if b.objective is None else f"{b.objective / hours:.4f}"
                apart = "-" if b.gap is None else f"{b.gap:.2e}"
                count = 0 if b.plan is None else int(b.plan.count.max(axis=1).sum())
                print(
                    f"{size:6} {rate:4} {seed:4}  {b.status:9} {shown:10} {apart:9} "
                    f"{middle - begin:8.3f} {end - middle:8.3f} {recipe.mix.kinds:6} {count:6}",
                    flush=True,
                )


if __name__ == "__main__":
    main()

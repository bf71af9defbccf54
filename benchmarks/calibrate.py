"""Fit the constants of whole training runs: ``python -m benchmarks.calibrate [--held-out]``.

Three a generation of accelerators, shared by all of its rows in ``registry/measurements``: how much
slower products in 16 bits, products in fewer bits, and memory-bound operators run in a whole run than
kernels timed alone (sustained clocks, launches, stragglers). Steps of dense models only; the mean
absolute error is least, sources weighted by the root of their rows. ``--held-out`` leaves out one source
at a time and judges it with constants fitted to the others of its generation.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mlsysim.core.errors import MlsysimError
from mlsysim.core.evaluation import evaluate
from mlsysim.core.layout import Layout, columns_of, layer_of, pipeline_of, shard_of
from mlsysim.core.resolve import Scenario
from mlsysim.core.validation import software, training
from mlsysim.core.validation.filling import Filling
from mlsysim.core.validation.rows import read_registry
from mlsysim.core.validation.subject import NotPredictedError
from mlsysim.physics.training import step

GENERATIONS = {
    "Ampere": ("A100", "A100_40GB"),
    "Hopper": ("H100", "H200"),
    "Blackwell": ("B200", "GB200", "B300", "GB300"),
}
Constants = tuple[float, float, float]
GRIDS = (np.arange(0.6, 1.001, 0.02), np.arange(0.6, 1.001, 0.02), np.arange(0.2, 1.001, 0.05))
START: Constants = (0.84, 0.9, 0.5)


class Run(NamedTuple):
    """A training run with its layout, and the time of its step [s]."""

    source: str
    scenario: Scenario
    layout: Layout
    measured: float


def runs() -> list[Run]:
    """Return every run that can be predicted."""
    found = []
    for row in read_registry():
        if row.kind != "training" or not row.verified:
            continue
        filling = Filling()
        try:
            s = training.job_of(row, filling)
            layout = training.layout_of(row, s, filling)
            layout = evaluate(s, layout).layout  # that of eval's rule where the row states none
            assert layout is not None
            run = Run(row.set, s, layout, training.step_seconds(row, s) / software.slowness(row, filling))
        except (NotPredictedError, MlsysimError):
            continue
        found.append(run)
    return found


def bare(s: Scenario) -> Scenario:
    """Return a scenario with the constants that the registry has taken out again."""
    assert s.job is not None
    chip, reached = s.job.chip, s.settings.hardware.achieved
    assert reached is not None
    held = [
        value.base if value is not None else START[i]
        for i, value in enumerate((reached.training_matmul, reached.training_narrow, reached.training_stream))
    ]
    narrow = held[1] if chip.narrow else held[0]
    chip = replace(
        chip,
        share=chip.share / narrow,
        wide_share=chip.wide_share / held[0],
        attention=chip.attention / held[0],
        kernel_share=1.0,
    )
    return replace(s, job=replace(s.job, chip=chip))


def error(run: Run, c: Constants) -> float:
    """Return the signed error of a run whose scenario is bare."""
    s = run.scenario
    assert s.job is not None
    chip = s.job.chip
    chip = replace(
        chip,
        share=chip.share * (c[1] if chip.narrow else c[0]),
        wide_share=chip.wide_share * c[0],
        attention=chip.attention * c[0],
        kernel_share=c[2],
    )
    job, columns = replace(s.job, chip=chip), columns_of(run.layout, s.model_layers)
    found = step(job, layer_of(job, columns), pipeline_of(job, columns), shard_of(job, columns))
    return float(np.reshape(found.time, -1)[0]) / run.measured - 1.0


def fit(chosen: list[Run], start: Constants = START) -> Constants:
    """Return the constants of least mean absolute error, one at a time in turn."""
    best = list(start)

    # a source of many rows counts more than one of few, but by the root: its rows are alike
    rows = [r.source for r in chosen]
    weights = np.array([rows.count(source) ** -0.5 for source in rows])

    def mean(c: list[float]) -> float:
        return float(np.dot(weights, [abs(error(r, (c[0], c[1], c[2]))) for r in chosen]) / weights.sum())

    narrow = any(r.scenario.job is not None and r.scenario.job.chip.narrow for r in chosen)
    for _ in range(3):
        before = list(best)
        for i in (0, 1, 2) if narrow else (0, 2):
            near = [x for x in GRIDS[i] if abs(x - best[i]) < 0.11] if _ else list(GRIDS[i][::2])
            tried = [(mean([*best[:i], float(x), *best[i + 1 :]]), float(x)) for x in near]
            best[i] = min(tried)[1]
        if before == best:
            break
    return best[0], best[1], best[2]


def main(held_out: bool) -> None:
    """Print the constants of each generation, and the errors with and without each source."""
    everything = runs()
    left: list[float] = []
    for name, chips in GENERATIONS.items():
        of = [
            r._replace(scenario=bare(r.scenario))
            for r in everything
            if r.scenario.settings.hardware.name in chips and not r.scenario.model.transformer.experts
        ]
        constants = fit(of)
        errors = np.abs([error(r, constants) for r in of])
        print(f"{name}: {constants}  {len(of)} rows  mean {errors.mean():.1%} median {np.median(errors):.1%}")
        for source in sorted({r.source for r in of}) if held_out else ():
            rest, out = [r for r in of if r.source != source], [r for r in of if r.source == source]
            found = fit(rest, constants) if rest else START
            errors = np.abs([error(r, found) for r in out])
            left += list(errors)
            print(f"  without {source}: {found}  {len(out)} rows  mean {errors.mean():.1%}")
    if left:
        print(f"one source held out: {len(left)} rows  mean {np.mean(left):.1%} median {np.median(left):.1%}")


if __name__ == "__main__":
    main("--held-out" in sys.argv)

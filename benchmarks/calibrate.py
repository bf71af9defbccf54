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
from typing import Any, NamedTuple

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
GRIDS = (np.arange(0.6, 1.001, 0.01), np.arange(0.6, 1.001, 0.02), np.arange(0.2, 1.001, 0.05))
START = (0.84, 0.9, 0.5)


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


class Many(np.ndarray[tuple[int, ...], np.dtype[np.float64]]):
    """Values of a constant that are tried at once, in the place of one number; none of them is 0."""

    def __bool__(self) -> bool:
        return True


def many(values: Any) -> Any:
    """Return values that the physics takes as it takes a number."""
    return np.asarray(values, dtype=float).view(Many)


def grid(narrow: bool) -> np.ndarray[Any, Any]:
    """Return all constants that are tried, a column each; the second only where it counts."""
    axes = (GRIDS[0], GRIDS[1] if narrow else np.array(START[1:2]), GRIDS[2])
    return np.array([x.reshape(-1) for x in np.meshgrid(*axes, indexing="ij")])


def errors(run: Run, c: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the signed errors of a run whose scenario is bare, one for each column of constants."""
    s = run.scenario
    assert s.job is not None
    chip = s.job.chip
    chip = replace(
        chip,
        share=many(chip.share * (c[1] if chip.narrow else c[0])),
        wide_share=many(chip.wide_share * c[0]) if chip.wide_share else 0.0,
        attention=many(chip.attention * c[0]) if chip.attention else 0.0,
        kernel_share=many(c[2]),
    )
    job, columns = replace(s.job, chip=chip), columns_of(run.layout, s.model_layers)
    found = step(job, layer_of(job, columns), pipeline_of(job, columns), shard_of(job, columns))
    return np.broadcast_to(np.reshape(found.time, -1), c.shape[1:]) / run.measured - 1.0


def fit(sources: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> int:
    """Return the column of least mean absolute error.

    A source of many rows counts more than one of few, but by the root: its rows are alike.
    """
    weights = np.array([np.count_nonzero(sources == source) ** -0.5 for source in sources])
    return int(np.argmin(weights @ np.abs(found)))


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
        tried = grid(any(r.scenario.job is not None and r.scenario.job.chip.narrow for r in of))
        sources, found = np.array([r.source for r in of]), np.array([errors(r, tried) for r in of])
        best = fit(sources, found)
        print(f"{name}: {_shown(tried, best)}  {_summary(found[:, best])}")
        for source in sorted(set(sources)) if held_out else ():
            out = sources == source
            if out.all():
                continue  # nothing is left to fit to
            best = fit(sources[~out], found[~out])
            left += list(found[out, best])
            print(f"  without {source}: {_shown(tried, best)}  {_summary(found[out, best])}")
    if left:
        print(f"one source held out: {_summary(np.array(left))}")


def _shown(tried: np.ndarray[Any, Any], best: int) -> str:
    return ", ".join(f"{x:.2f}" for x in tried[:, best])


def _summary(found: np.ndarray[Any, Any]) -> str:
    share = np.abs(found)
    return f"{len(share)} rows  mean {share.mean():.1%} median {np.median(share):.1%}"


if __name__ == "__main__":
    main("--held-out" in sys.argv)

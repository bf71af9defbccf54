"""Fit the constants of whole training runs: ``python -m benchmarks.calibrate [--held-out]``.

Three or four a generation of accelerators, shared by all of its rows in ``registry/measurements``: how much
slower products in 16 bits, products in fewer bits, attention (where the generation's entries have it apart)
and memory-bound operators run in a whole run than kernels timed alone (sustained clocks, launches,
stragglers). The mean absolute error is least, which single odd runs hardly move; sources are weighted by the
root of their rows. A generation whose entries have no constant for attention is fitted to dense models.
``--held-out`` leaves out one source at a time and judges it with constants fitted to the others of its
generation.
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
from mlsysim.core.validation import training
from mlsysim.core.validation.filling import Filling
from mlsysim.core.validation.rows import read_registry
from mlsysim.core.validation.subject import NotPredictedError
from mlsysim.physics.training import step

GENERATIONS = {
    "Ampere": ("A100", "A100_40GB"),
    "Hopper": ("H100", "H200"),
    "Blackwell": ("B200", "GB200", "B300", "GB300"),
}
Constants = tuple[float, ...]  # of products in 16 and in fewer bits, attention, memory
START: Constants = (0.8, 0.9, 0.8, 0.7)
GRID = np.arange(0.2, 1.001, 0.01)


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
            run = Run(row.set, s, layout, training.step_seconds(row, s))
        except (NotPredictedError, MlsysimError):
            continue
        found.append(run)
    return found


def apart(s: Scenario) -> bool:
    """Return whether attention has a constant of its own."""
    reached = s.settings.hardware.achieved
    return reached is not None and reached.training_attention is not None


def bare(s: Scenario) -> Scenario:
    """Return a scenario with the constants that the registry has taken out again."""
    assert s.job is not None
    chip, reached = s.job.chip, s.settings.hardware.achieved
    assert reached is not None
    stored = (reached.training_matmul, reached.training_narrow, reached.training_attention)
    wide, narrow, attention = (value.base if value is not None else None for value in stored)
    assert wide is not None
    chip = replace(
        chip,
        share=chip.share / ((narrow or START[1]) if chip.narrow else wide),
        wide_share=chip.wide_share / wide,
        attention=chip.attention / (attention or wide),
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


def errors(run: Run, c: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the signed errors of a run whose scenario is bare, one for each column of constants."""
    s = run.scenario
    assert s.job is not None
    chip = s.job.chip
    chip = replace(
        chip,
        share=many(chip.share * (c[1] if chip.narrow else c[0])),
        wide_share=many(chip.wide_share * c[0]) if chip.wide_share else 0.0,
        attention=many(chip.attention * (c[2] if apart(s) else c[0])) if chip.attention else 0.0,
        kernel_share=many(c[3]),
    )
    job, columns = replace(s.job, chip=chip), columns_of(run.layout, s.model_layers)
    found = step(job, layer_of(job, columns), pipeline_of(job, columns), shard_of(job, columns))
    return np.broadcast_to(np.reshape(found.time, -1), c.shape[1:]) / run.measured - 1.0


def all_errors(chosen: list[Run], c: Constants) -> list[float]:
    """Return the signed error of each run."""
    return [float(errors(r, np.array(c)[:, None])[0]) for r in chosen]


def losses(chosen: list[Run], c: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the mean absolute error for each column of constants; sources weigh the root of their rows."""
    # a source of many rows counts more than one of few, but by the root: its rows are alike
    rows = [r.source for r in chosen]
    weights = np.array([rows.count(source) ** -0.5 for source in rows])
    found: np.ndarray[Any, Any] = weights @ np.abs([errors(r, c) for r in chosen]) / weights.sum()
    return found


def stored(s: Scenario) -> Constants:
    """Return the constants that the registry has, those of :data:`START` where it has none."""
    reached = s.settings.hardware.achieved
    assert reached is not None
    wide, narrow, attention, stream = (
        START[i] if value is None else value.base
        for i, value in enumerate(
            (
                reached.training_matmul,
                reached.training_narrow,
                reached.training_attention,
                reached.training_stream,
            )
        )
    )
    return wide, narrow, attention, stream


def fit(chosen: list[Run], start: Constants = START) -> tuple[Constants, float]:
    """Return the constants of least error, and that: the best of each in turn until none changes."""
    free = [0, 3]
    free += [1] * any(r.scenario.job is not None and r.scenario.job.chip.narrow > 0 for r in chosen)
    free += [2] * any(apart(r.scenario) for r in chosen)
    best, least = start, np.inf
    while True:
        before = least
        for i in sorted(free):
            tried = np.repeat(np.array(best)[:, None], GRID.size, axis=1)
            tried[i] = GRID
            found = losses(chosen, tried)
            at = int(found.argmin())
            if found[at] < least - 1e-9:
                least = float(found[at])
                best = (*best[:i], round(float(GRID[at]), 3), *best[i + 1 :])
        if least == before:
            return best, least


def main(held_out: bool) -> None:
    """Print the constants of each generation, and the errors with and without each source."""
    everything = runs()
    left: list[tuple[bool, float]] = []
    for name, chips in GENERATIONS.items():
        of = [
            r._replace(scenario=bare(r.scenario))
            for r in everything
            if r.scenario.settings.hardware.name in chips
            and (apart(r.scenario) or not r.scenario.model.transformer.experts)
        ]
        # turns can end where no single step helps, so there are two starts
        tried = [fit(of, start) for start in (START, stored(of[0].scenario))]
        constants, _ = min(tried, key=lambda x: x[1])
        print(f"{name}: {constants}  {_said(all_errors(of, constants))}")
        for source in sorted({r.source for r in of}) if held_out else ():
            rest, out = [r for r in of if r.source != source], [r for r in of if r.source == source]
            if not rest:
                continue  # nothing is left to fit to
            found, _ = fit(rest, constants)
            off = all_errors(out, found)
            left += [(r.scenario.model.transformer.experts > 0, e) for r, e in zip(out, off, strict=True)]
            print(f"  without {source}: {found}  {_said(off)}")
    if left:
        print(f"one source held out: {_said([e for _, e in left])}")
        print(f"dense models of those: {_said([e for mixture, e in left if not mixture])}")


def _said(errors: list[float]) -> str:
    found = np.abs(errors)
    return f"{len(found)} rows  mean {found.mean():.1%} median {np.median(found):.1%}"


if __name__ == "__main__":
    main("--held-out" in sys.argv)

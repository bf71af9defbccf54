"""One instance through the pipeline, phase by phase: the only module that calls the formulations.

Everything else reads the record that :func:`measure` returns. The phases are those of
``mlsysim.optimize.parallelism``: lower (plan to scenario), tabulate (formulate), presolve, build (the
matrix), solve (engine and its checks), decode, verify (the answer by ``eval``).
"""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import numpy as np

import formulations.infeasible  # noqa: F401  (holds names that are timed)
import mlsysim
from formulations.engines import ENGINES
from formulations.engines.base import Options
from formulations.linear import linearize
from formulations.parallelism import Recipe, formulate, size
from formulations.presolve import Reduced, reduce
from formulations.rows import comparisons
from formulations.solve import Solved, solve
from mlsysim.core import units
from mlsysim.core.api import scenario
from mlsysim.core.errors import MissingExtraError, MlsysimError, UnknownNameError, fold, unknown
from mlsysim.core.evaluation import evaluate
from mlsysim.core.solver import defaults
from mlsysim.core.tolerance import ROUNDING, TOLERANCE

PHASES = ("lower", "tabulate", "presolve", "build", "solve", "decode", "verify")
ANSWER = ("presolve", "build", "solve")  # from the problem to its answer
OBJECTIVE, UNIT = "performance.latency", "ms"
WARM_UP = {
    "version": "1.0",
    "workload": {"name": "GPT2", "batch_size": 8},
    "hardware": {"name": "A100", "accelerators": 2},
}
_MAXRSS = 1024 if sys.platform != "darwin" else 1  # Linux counts KiB, macOS bytes
PACKAGES = {"highs": "highspy", "ortools": "ortools", "numpy": "numpy"}


def engine_named(name: str) -> str:
    """Return the engine's name as the formulations spell it.

    Raises:
        UnknownNameError: this version has no such engine.
    """
    known = {fold(n): n for n in ("auto", *ENGINES)}
    if fold(name) not in known:
        raise unknown("engine", name, known.values())
    return known[fold(name)]


def has_engine(name: str) -> bool:
    """Whether an engine exists and its solver is installed."""
    try:
        chosen = engine_named(name)
    except UnknownNameError:
        return False
    s = scenario(WARM_UP)
    try:
        solve(formulate(s).problem, chosen, Options())
    except MissingExtraError:
        return False
    return True


def versions() -> dict[str, str]:
    """Return the versions that an answer depends on."""
    found = {"mlsysim": mlsysim.__version__, "python": platform.python_version()}
    for name, package in PACKAGES.items():
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@dataclass
class _Watch:
    """Seconds by phase, and the reduced problem that passed by."""

    seconds: dict[str, float] = field(default_factory=dict)
    reduced: Reduced | None = None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.phase(name):
                result = function(*args, **kwargs)
            if isinstance(result, Reduced):
                self.reduced = result
            return result

        return call


@contextmanager
def _watching(watch: _Watch) -> Iterator[None]:
    """Time presolve and the building of the matrix wherever the formulations call them.

    The pipeline is run as it is, not rebuilt here, so that its shortcuts are measured too.
    """
    replaced: list[tuple[Any, str, Any]] = []
    try:
        for phase, function in (("presolve", reduce), ("build", linearize)):
            for module in list(sys.modules.values()):
                name = function.__name__
                if getattr(module, "__name__", "").startswith("formulations") and (
                    getattr(module, name, None) is function
                ):
                    replaced.append((module, name, function))
                    setattr(module, name, watch.timed(phase, function))
        yield
    finally:
        for module, name, function in replaced:
            setattr(module, name, function)


def peak() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS / 2**20


def warm_up(engine: str) -> None:
    """Load what is loaded on first use (solvers, units), so that no phase pays for it."""
    s = scenario(WARM_UP)
    recipe = formulate(s, s.settings.bounds)
    solved = solve(recipe.problem, engine_named(engine), Options())
    linearize(recipe.problem)
    evaluate(*recipe.decode(solved.outcome.cells))


def measure(
    plan: dict[str, Any],
    engine: str = "auto",
    seed: int = defaults.SEED,
    time_limit: float = defaults.TIME_LIMIT,
    gap: float = defaults.GAP,
) -> dict[str, Any]:
    """Return the record of one solve: what was found, how large it was, how long each phase took.

    Args:
        plan: in the plan format.
        engine: by name, or ``auto``.
        seed: of the engine.
        time_limit: of presolve and engine together [s].
        gap: relative gap at which an answer counts as optimal.
    """
    warm_up(engine)
    before, watch = peak(), _Watch()
    record: dict[str, Any] = {"asked": engine, "seed": seed, "error": None}
    try:
        with watch.phase("lower"):
            s = scenario(plan)
            given = evaluate(s)
        with watch.phase("tabulate"):
            worst = float(given.state.time) if given.exit_code == 0 else None
            recipe = formulate(s, s.settings.bounds, worst=worst)
            start = recipe.encode(given.scenario, given.layout)
        options = Options(time_limit=time_limit, gap=gap, threads=defaults.THREADS, seed=seed)
        with _watching(watch):
            begin = time.perf_counter()
            solved = solve(recipe.problem, engine_named(engine), options, starts=[start] if start else [])
            spent = time.perf_counter() - begin
        inside = sum(watch.seconds.get(name, 0.0) for name in ("presolve", "build"))
        watch.seconds["solve"] = max(0.0, spent - inside)
        record |= _answer(recipe, solved, watch)
    except MlsysimError as error:
        record |= {"status": "error", "error": f"{type(error).__name__}: {error}"}
    record["phases"] = {name: watch.seconds[name] for name in PHASES if name in watch.seconds}
    record["memory_mib"] = {"peak": peak(), "before": before}
    return _with_size(record, watch)


def _answer(recipe: Recipe, solved: Solved, watch: _Watch) -> dict[str, Any]:
    """Return what an outcome says, with the answer decoded and verified."""
    o = solved.outcome
    found: dict[str, Any] = {
        "status": o.status,
        "engine": o.engine,
        "version": o.version,
        "objective": None if o.objective is None else units.from_base(o.objective, UNIT),
        "bound": None if o.bound is None else units.from_base(o.bound, UNIT),
        "gap": solved.gap,
        "space_size": float(size(recipe.scenario)),
        "after_presolve": float(solved.left),
        "variables": o.variables,
        "rows": o.rows,
        "nodes": o.nodes,
        "layout": None,
        "verified": None,
    }
    if o.objective is None:
        return found
    with watch.phase("decode"):
        s, layout = recipe.decode(o.cells)
    with watch.phase("verify"):
        e = evaluate(s, layout)
        agrees = bool(np.isclose(o.objective, float(e.state.time), rtol=TOLERANCE, atol=0.0))
        holds = all(
            float(c.demand) <= float(c.supply) * (1.0 + ROUNDING)
            for c in comparisons(e.state, s.settings.bounds)
        )
    decided = layout.to_dict() | {"accelerators": s.accelerators, "precision": s.precision}
    return found | {"layout": decided, "verified": agrees and holds}


def _with_size(record: dict[str, Any], watch: _Watch) -> dict[str, Any]:
    """Add the size of the program that presolve leaves, where the engine did not need it; untimed."""
    reduced = watch.reduced
    if reduced is None or reduced.infeasible or record["status"] == "error" or record["variables"]:
        return record
    linear = linearize(reduced.problem)
    return record | {"variables": len(linear.cost), "rows": len(linear.row_low)}

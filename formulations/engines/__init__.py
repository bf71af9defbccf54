"""Engines: one contract, one result. Each imports its solver when it is asked to solve."""

from __future__ import annotations

from importlib.util import find_spec

from formulations.engines.base import Engine, Outcome
from formulations.engines.cpsat import CpSat
from formulations.engines.exhaustive import Exhaustive
from formulations.engines.highs import Highs
from formulations.engines.pyomo import Pyomo
from mlsysim.core.errors import MissingExtraError, unknown

ENGINES: dict[str, type[Engine]] = {"highs": Highs, "cp-sat": CpSat, "exhaustive": Exhaustive}
# ``pyomo:NAME`` is the solver NAME by way of Pyomo.
PYOMO = "pyomo:"
# The package that each needs, and what it is called.
NEEDS = {"highs": ("highspy", "HiGHS"), "cp-sat": ("ortools", "CP-SAT"), PYOMO: ("pyomo", "Pyomo")}


def engine(name: str) -> Engine:
    """Return an engine by name; ``auto`` is HiGHS, ``pyomo:NAME`` any solver that Pyomo reaches.

    One that is asked for by name has to be there, even where presolve leaves nothing to ask it.

    Raises:
        UnknownNameError: naming the engines that there are.
        MissingExtraError: its package is not installed.
    """
    if name.startswith(PYOMO) and len(name) > len(PYOMO):
        _installed(PYOMO)
        return Pyomo(name.removeprefix(PYOMO))
    key = "highs" if name == "auto" else name
    if key not in ENGINES:
        raise unknown("solver", name, ["auto", *ENGINES, f"{PYOMO}NAME"])
    _installed(name)
    return ENGINES[key]()


def _installed(name: str) -> None:
    """Refuse an engine whose package is not there, without loading any that is."""
    package, title = NEEDS.get(name, ("", ""))
    try:
        there = not package or find_spec(package) is not None
    except ImportError:  # as a finder may say it
        there = False
    if not there:
        raise MissingExtraError(
            f"the solver {title} is not installed: there is no package {package}",
            hint="pip install 'mlsysim[solvers]'",
        )


__all__ = ["ENGINES", "CpSat", "Engine", "Exhaustive", "Highs", "Outcome", "Pyomo", "engine"]

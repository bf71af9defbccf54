"""Engines: one contract, one result. Each imports its solver when it is asked to solve."""

from __future__ import annotations

from formulations.engines.base import Engine, Outcome
from formulations.engines.cpsat import CpSat
from formulations.engines.exhaustive import Exhaustive
from formulations.engines.highs import Highs
from formulations.engines.pyomo import Pyomo
from mlsysim.core.errors import unknown

ENGINES: dict[str, type[Engine]] = {"highs": Highs, "cp-sat": CpSat, "exhaustive": Exhaustive}
# ``pyomo:NAME`` is the solver NAME by way of Pyomo.
PYOMO = "pyomo:"


def engine(name: str) -> Engine:
    """Return an engine by name; ``auto`` is HiGHS, ``pyomo:NAME`` any solver that Pyomo reaches.

    Raises:
        UnknownNameError: naming the engines that there are.
    """
    if name.startswith(PYOMO) and len(name) > len(PYOMO):
        return Pyomo(name.removeprefix(PYOMO))
    key = "highs" if name == "auto" else name
    if key not in ENGINES:
        raise unknown("solver", name, ["auto", *ENGINES, f"{PYOMO}NAME"])
    return ENGINES[key]()


__all__ = ["ENGINES", "CpSat", "Engine", "Exhaustive", "Highs", "Outcome", "Pyomo", "engine"]

"""Engines: one contract, one result. Each imports its solver when it is asked to solve."""

from __future__ import annotations

from formulations.engines.base import Engine, Outcome
from formulations.engines.cpsat import CpSat
from formulations.engines.exhaustive import Exhaustive
from formulations.engines.highs import Highs
from mlsysim.core.errors import unknown

ENGINES: dict[str, type[Engine]] = {"highs": Highs, "cp-sat": CpSat, "exhaustive": Exhaustive}


def engine(name: str) -> Engine:
    """Return an engine by name; ``auto`` is HiGHS.

    Raises:
        UnknownNameError: naming the engines that there are.
    """
    key = "highs" if name == "auto" else name
    if key not in ENGINES:
        raise unknown("solver", name, ["auto", *ENGINES])
    return ENGINES[key]()


__all__ = ["ENGINES", "Engine", "Outcome", "engine"]

"""What the report of each kind of result says."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from mlsysim.core.errors import InputError
from mlsysim.report.blocks import Report

# Modules are imported when they are needed: those of optimizers need a solver.
_HOMES = {
    "Evaluation": "evaluated",
    "Optimization": "optimized",
    "Placement": "placed",
    "ServingMix": "mixed",
    "Pareto": "others",
    "Prices": "others",
    "Explanation": "others",
    "Design": "others",
}


def of(result: Any) -> Report:
    """Return the report of a result.

    Raises:
        InputError: there is none of it.
    """
    home = _HOMES.get(type(result).__name__)
    if home is None:
        raise InputError(f"there is no report of this {type(result).__name__}", where="report")
    make: Callable[[Any], Report] = import_module(f"mlsysim.report.{home}").report
    return make(result)

"""How a question is to be solved: one list of options for the library and the shell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from mlsysim.core.errors import InputError, MissingExtraError
from mlsysim.core.solver import defaults

if TYPE_CHECKING:
    from formulations.engines.base import Options

Progress = Callable[["float | None", "float | None"], None]


class How(TypedDict, total=False):
    """Options of every optimizer.

    Attributes:
        solver: ``auto``, ``highs``, ``cp-sat``, ``exhaustive`` or ``pyomo:NAME``.
        time_limit: for all of it [s]; the best answer found so far comes with its gap.
        gap: relative gap at which an answer counts as optimal.
        threads: of the solver.
        seed: of the solver.
        top: how many of the best answers to return; those after the first are ``alternatives``.
        verify: whether a second engine has to come to the same answer.
        export: a file to write the model to, ``.lp`` or ``.mps``.
        progress: called with the best objective and the bound so far as they close in, in the
            objective's base unit; None where there is none yet.
    """

    solver: str
    time_limit: float
    gap: float
    threads: int
    seed: int
    top: int
    verify: bool
    export: str | None
    progress: Progress | None


@dataclass(frozen=True)
class Asked:
    """The options, checked; the clock of ``options`` runs from here."""

    solver: str
    options: Options
    top: int
    verify: bool
    export: str | None


def asked(how: How) -> Asked:
    """Return options with their defaults, checked.

    Raises:
        InputError: a number is not allowed.
        MissingExtraError: the formulations are not installed.
    """
    numbers = {
        "time_limit": (how.get("time_limit", defaults.TIME_LIMIT), 1e-3),
        "gap": (how.get("gap", defaults.GAP), 0.0),
        "threads": (how.get("threads", defaults.THREADS), 1),
        "seed": (how.get("seed", defaults.SEED), 0),
        "top": (how.get("top", 1), 1),
    }
    for name, (value, low) in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= 1e7:
            raise InputError(
                f"{value!r} is not allowed here", where=name, hint=f"give a number from {low:g} to 1e7"
            )
    values = {name: value for name, (value, _) in numbers.items()}
    options: Options = module("engines.base").Options(
        float(values["time_limit"]),
        float(values["gap"]),
        int(values["threads"]),
        int(values["seed"]),
        progress=how.get("progress"),
    )
    return Asked(
        how.get("solver", "auto"), options, int(values["top"]), how.get("verify", False), how.get("export")
    )


def module(name: str) -> Any:
    """Return a module of the formulations, imported when it is needed.

    Raises:
        MissingExtraError: they are not installed.
    """
    from importlib import import_module

    try:
        return import_module(f"formulations.{name}")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "the formulations are not installed", hint="pip install 'mlsysim[solvers]'"
        ) from error

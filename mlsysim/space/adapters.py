"""A design space for the search algorithms of others: Optuna and pymoo.

Both get points evaluated by the same engine as a sweep. A point that breaks a limit is infeasible to
them, never dressed up with a penalty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlsysim.core.errors import InputError, MissingExtraError
from mlsysim.space.design import DesignSpace
from mlsysim.space.dimensions import Dimension
from mlsysim.space.parts import evaluate_columns
from mlsysim.space.points import Evaluator
from mlsysim.space.table import Table

CONSTRAINTS = "constraints"


def directions(space: DesignSpace) -> list[str]:
    """Return ``minimize`` or ``maximize`` for each objective, as ``optuna.create_study`` takes them."""
    _objectives(space)
    return ["maximize" if w.greatest else "minimize" for w in space.wishes]


def optuna_objective(space: DesignSpace) -> Callable[[Any], float | tuple[float, ...]]:
    """Return the objective of an Optuna study: a function of a trial.

    A value that a dimension lists is suggested as a category, or as a number of its range. A point that
    is no plan, or has no objective, prunes its trial. Whether limits hold is a constraint of the trial;
    before Optuna 5 a sampler needs ``constraints_func=optuna_constraints`` to see it.

    Raises:
        InputError: the space has no objective.
        MissingExtraError: Optuna is not installed.
    """
    _objectives(space)
    pruned = _module("optuna", "search").TrialPruned
    of = Evaluator(space)

    def objective(trial: Any) -> float | tuple[float, ...]:
        columns = [np.array([_suggested(trial, d)]) for d in space.every]
        table = evaluate_columns(of, columns, 1)
        row = table.row(0)
        trial.set_user_attr("status", row["status"])
        trial.set_user_attr("reason", row["reason"])
        broken = 0.0 if row["status"] == "pass" else 1.0
        trial.set_user_attr(CONSTRAINTS, (broken,))
        if hasattr(trial, "set_constraint"):  # Optuna 5
            trial.set_constraint("holds", broken)
        values = tuple(float(row[name]) for name in table.objectives)
        if row["status"] == "error" or not all(map(math.isfinite, values)):
            raise pruned(row["reason"])
        return values[0] if len(values) == 1 else values

    return objective


def optuna_constraints(trial: Any) -> Sequence[float]:
    """Return what a trial of :func:`optuna_objective` breaks: above 0 where it is infeasible."""
    found: Sequence[float] = trial.user_attrs.get(CONSTRAINTS, (1.0,))
    return found


def _suggested(trial: Any, d: Dimension) -> Any:
    if d.values is not None:
        return trial.suggest_categorical(d.name, range(len(d.values)))
    if d.whole:
        return trial.suggest_int(d.name, int(d.low), int(d.high), log=d.log)
    return trial.suggest_float(d.name, d.low, d.high, log=d.log)


def optuna_values(space: DesignSpace, params: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the space that a trial's parameters stand for."""
    return {d.name: d.values[params[d.name]] if d.values is not None else params[d.name] for d in space.every}


def at(space: DesignSpace, shares: np.ndarray, of: Evaluator | None = None) -> Table:
    """Return the table of points given as shares: one row a point, one column in [0, 1] a dimension."""
    shares = np.atleast_2d(np.asarray(shares, dtype=float))
    if shares.shape[1] != len(space.every) or not ((shares >= 0) & (shares <= 1)).all():
        raise InputError(
            f"shares of shape {shares.shape}", where="shares", hint=f"{len(space.every)} columns in [0, 1]"
        )
    columns = [d.at(shares[:, i]) for i, d in enumerate(space.every)]
    return evaluate_columns(of or Evaluator(space), columns, len(shares))


def pymoo_problem(space: DesignSpace) -> Any:
    """Return a ``pymoo.core.problem.Problem`` over the unit cube, a whole population at a time.

    Every objective is made least (one that is made greatest changes its sign), and one inequality says
    whether everything holds. :func:`at` gives the table of a result's ``X``.

    Raises:
        InputError: the space has no objective.
        MissingExtraError: pymoo is not installed.
    """
    _objectives(space)
    base: Any = _module("pymoo.core.problem", "search").Problem
    of = Evaluator(space)

    def evaluate(self: Any, x: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        table = at(space, x, of)
        costs = np.stack(
            [-table[n] if g else table[n] for n, g in zip(table.objectives, table.greatest, strict=True)],
            axis=1,
        )
        fine = np.isfinite(costs).all(axis=1)
        out["F"] = np.where(fine[:, None], costs, np.inf)
        out["G"] = np.where(table.holds & fine, 0.0, 1.0)[:, None]

    kind = type("DesignSpaceProblem", (base,), {"_evaluate": evaluate})
    n = len(space.every)
    return kind(n_var=n, n_obj=len(space.wishes), n_ieq_constr=1, xl=np.zeros(n), xu=np.ones(n))


def _objectives(space: DesignSpace) -> None:
    if not space.wishes:
        raise InputError("there is no objective", where="minimize", hint="set minimize or maximize")


def _module(name: str, extra: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        raise MissingExtraError(
            f"{package} is not installed", hint=f"pip install 'mlsysim[{extra}]'"
        ) from error

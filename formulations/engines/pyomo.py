"""A model for Pyomo: files that any solver reads, and any solver that Pyomo reaches."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from formulations.algebra import Floats
from formulations.engines.base import Engine, Options, Outcome
from formulations.engines.watch import Watch
from formulations.joint import Cells
from formulations.linear import linearize
from formulations.matrix import Linear
from formulations.problem import Problem
from mlsysim.core.errors import InputError, MissingExtraError, MlsysimError, unknown

SUFFIXES = (".lp", ".mps")
# Solvers of mixed-integer programs that a person may have; the hint of an error asks for each.
COMMON = ("highs", "appsi_highs", "gurobi", "cplex", "xpress_direct", "mosek_direct", "scip", "cbc", "glpk")
# What the gap, the seed and the threads are called, where Pyomo passes names through.
_HIGHS = {
    "mip_rel_gap": "gap",
    "random_seed": "seed",
    "threads": "threads",
    "mip_feasibility_tolerance": "tolerance",
    "primal_feasibility_tolerance": "tolerance",
}
_GUROBI = {"MIPGap": "gap", "Seed": "seed", "Threads": "threads", "FeasibilityTol": "tolerance"}
OPTIONS = {
    "highs": _HIGHS,
    "appsi_highs": _HIGHS,
    "gurobi": _GUROBI,
    "gurobi_direct": _GUROBI,
    "gurobi_persistent": _GUROBI,
    "appsi_gurobi": _GUROBI,
    "cbc": {"ratioGap": "gap", "randomCbcSeed": "seed", "threads": "threads"},
    "glpk": {"mipgap": "gap"},
    "scip": {"limits/gap": "gap"},
}
TOLERANCE = 1e-9

_PROVEN = {"optimal", "globallyOptimal", "locallyOptimal"}
_NOTHING = {"infeasible", "infeasibleOrUnbounded"}
_BROKEN = {"error", "internalSolverError", "solverFailure", "invalidProblem", "licensingProblems"}


def _environ() -> Any:
    try:
        import pyomo.environ
    except ImportError as error:
        raise MissingExtraError(
            f"Pyomo cannot be loaded: {error}", hint="pip install 'mlsysim[solvers]'"
        ) from error
    return pyomo.environ


def to_pyomo(linear: Linear, factor: float = 1.0) -> Any:
    """Return a program as a Pyomo ``ConcreteModel``, rows and variables under their names.

    Args:
        linear: the program.
        factor: of the objective; ``linear.scale`` gives it in the problem's own units.
    """
    return _model(linear, factor)[0]


def _model(linear: Linear, factor: float) -> tuple[Any, list[Any]]:
    """Return the model and its variables in the order of the columns."""
    pyo = _environ()
    from pyomo.core.expr import LinearExpression

    model = pyo.ConcreteModel()
    domains = {True: pyo.Integers, False: pyo.Reals}
    variables = [
        _add(model, name, pyo.Var(domain=domains[bool(whole)], bounds=(float(low), float(high))))
        for name, whole, low, high in zip(
            linear.column_names, linear.whole, linear.low, linear.high, strict=True
        )
    ]

    def form(columns: Any, factors: Any, constant: float = 0.0) -> Any:
        return LinearExpression(
            constant=constant,
            linear_coefs=factors.tolist(),
            linear_vars=[variables[i] for i in columns.tolist()],
        )

    for i, name in enumerate(linear.row_names):
        part = slice(linear.starts[i], linear.starts[i + 1])
        ends = [float(x) if np.isfinite(x) else None for x in (linear.row_low[i], linear.row_high[i])]
        body = form(linear.columns[part], linear.values[part])
        if ends[0] is not None and ends[0] == ends[1]:
            _add(model, name, pyo.Constraint(expr=body == ends[0]))
        else:
            _add(model, name, pyo.Constraint(expr=(ends[0], body, ends[1])))
    used = np.flatnonzero(linear.cost)
    _add(
        model,
        "objective",
        pyo.Objective(expr=form(used, linear.cost[used] * factor, float(linear.offset * factor))),
    )
    return model, variables


def _add(model: Any, name: str, component: Any) -> Any:
    """Add a component under a name that neither a component nor the model itself has."""
    while hasattr(model, name):
        name += "_"
    model.add_component(name, component)
    return component


def export(problem: Problem, path: str | Path) -> None:
    """Write a problem as an LP or MPS file; its objective is in the problem's own units.

    Rows are named by their wall: Pyomo writes row ``w14[0]`` as ``c_u_w14(0)_``, its ``u`` for a
    limit from above, ``l`` from below, ``e`` for an equation.

    Raises:
        InputError: the name of the file ends in neither ``.lp`` nor ``.mps``.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"no format for a file called {path.name!r}", hint=f"end its name in {' or '.join(SUFFIXES)}"
        )
    linear = linearize(problem)
    model = to_pyomo(linear, linear.scale)
    # the names are fit for both formats as they are; Pyomo's own labels would put quotes around them
    model.write(str(path), io_options={"labeler": lambda component: component.local_name})


class Pyomo(Engine):
    """Any solver that Pyomo reaches, as ``pyomo:NAME``.

    Its word is taken for infeasibility. Its answer counts as optimal only if it also reports a bound
    within the gap, whatever its own default for a gap is.
    """

    name: ClassVar[str] = "pyomo"
    stops: ClassVar[bool] = False
    talks: ClassVar[bool] = False

    def __init__(self, solver: str = "appsi_highs") -> None:
        self.solver = solver

    def solve(self, problem: Problem, options: Options, start: Cells | None = None) -> Outcome:
        """Solve the problem's mixed-integer program; Ctrl-C ends the program, not the search.

        Raises:
            UnknownNameError: Pyomo knows no solver of that name, or does not find it here.
            MlsysimError: the solver failed.
        """
        pyo = _environ()
        begin = time.perf_counter()
        solver = self._solver(pyo)
        linear = linearize(problem)
        model, variables = _model(linear, 1.0)
        given = {
            "gap": float(options.gap),
            "seed": int(options.seed),
            "threads": int(options.threads),
            "tolerance": TOLERANCE,
        }
        try:
            results = solver.solve(
                model,
                load_solutions=False,
                timelimit=max(1, math.ceil(options.remaining)) if _shell(solver) else options.remaining,
                options={k: given[v] for k, v in OPTIONS.get(self.solver, {}).items()},
            )
        except MemoryError:
            results = None
        common: dict[str, Any] = {
            "engine": f"{self.name}:{self.solver}",
            "version": ".".join(str(x) for x in solver.version() or ()),
            "seconds": time.perf_counter() - begin,
            "variables": len(linear.cost),
            "rows": len(linear.row_low),
        }
        if results is None:
            return Outcome("unknown", **common)
        outcome = _outcome(results, model, variables, linear, options, common)
        if outcome.objective is not None:
            Watch(options).tell(outcome.objective, outcome.bound)
        return outcome

    def _solver(self, pyo: Any) -> Any:
        # asked for a name that is not registered, Pyomo looks for a program of that name
        if self.solver in list(pyo.SolverFactory):
            solver = pyo.SolverFactory(self.solver)
            if solver.available(exception_flag=False):
                return solver
        found = [n for n in COMMON if pyo.SolverFactory(n).available(exception_flag=False)]
        error = unknown("solver within reach of Pyomo", self.solver, found)
        error.hint = f"Here are: {', '.join(f'pyomo:{n}' for n in found) or 'none'}."
        raise error


def _shell(solver: Any) -> bool:
    """Return whether a solver is a program of its own, with limits in whole seconds."""
    from pyomo.opt.solver.shellcmd import SystemCallSolver

    return isinstance(solver, SystemCallSolver)


def _outcome(
    results: Any, model: Any, variables: list[Any], linear: Linear, options: Options, common: dict[str, Any]
) -> Outcome:
    """Return what a solver's results say, and no more."""
    condition = str(results.solver.termination_condition)
    if condition in _BROKEN:
        raise MlsysimError(
            f"{common['engine']} failed: {condition}", hint=str(results.solver.message or "") or "see its log"
        )
    if condition in _NOTHING:
        return Outcome("infeasible", **common)
    if not len(results.solution):
        return Outcome("unknown", **common)
    x = _values(results, model, variables, linear)
    cells, amounts = linear.decode(x)
    objective = float(linear.cost @ x + linear.offset)
    bound = _number(results.problem.lower_bound)
    closed = bound is not None and objective - bound <= options.gap * abs(objective)
    return Outcome(
        "optimal" if closed and condition in _PROVEN else "feasible",
        **common,
        objective=objective * linear.scale,
        bound=None if bound is None else bound * linear.scale,
        cells=cells,
        amounts=amounts,
    )


def _values(results: Any, model: Any, variables: list[Any], linear: Linear) -> Floats:
    """Return the value of each column; one that no row mentions is at its lower end."""
    results.solver.status = "ok"  # Pyomo would log a warning that it loads an answer without proof
    model.solutions.load_from(results)
    values = [v.value for v in variables]
    return np.array([low if v is None else v for v, low in zip(values, linear.low, strict=True)])


def _number(x: Any) -> float | None:
    """Return a number that a solver reported, if it did."""
    try:
        number = float(x)
    except (TypeError, ValueError):  # Pyomo has several ways to say that there is none
        return None
    return number if math.isfinite(number) else None

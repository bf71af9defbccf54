"""``mlsysim explain``: why the best plan is what it is, or why there is none."""

from __future__ import annotations

import typer

from mlsysim.cli import exits
from mlsysim.cli.options import GAP, LIMIT, OBJECTIVE, PLAN, SEED, SOLVER, TAX, THREADS
from mlsysim.cli.output import OUTPUT, chosen
from mlsysim.cli.reporting import REPORT
from mlsysim.cli.why import run_why, whole
from mlsysim.core.solver import defaults

EPILOG = """\b
Examples:
  mlsysim explain plan.yaml
  mlsysim explain plan.yaml --objective cost
  mlsysim -o json explain plan.yaml | jq '.explanation.ways_out[].patch'

Where nothing fits: what cannot hold together, the smallest such set, and ways out, each tried. Else: what
binds, and what more and less of it would change. Objectives are those of optimize parallelism.
""" + exits.told(0, 1, 2, 3, 4)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "explain",
        short_help="Why is this the best plan, or why is there none?",
        epilog=EPILOG,
    )(explain)


def explain(
    context: typer.Context,
    plan: PLAN,
    objective: OBJECTIVE = "time",
    carbon_tax: TAX = 0.0,
    solver: SOLVER = "auto",
    time_limit: LIMIT = defaults.TIME_LIMIT,
    gap: GAP = defaults.GAP,
    threads: THREADS = defaults.THREADS,
    seed: SEED = defaults.SEED,
    report: REPORT = None,
    output: OUTPUT = None,
) -> int:
    """Say why the best plan is what it is, or why there is none, and what would change that."""
    how = {"solver": solver, "time_limit": time_limit, "gap": gap, "threads": threads, "seed": seed}
    return run_why(
        chosen(context, output),
        lambda: whole("explain").explain(plan, objective=objective, carbon_tax=carbon_tax, **how),
        "solving",
        report,
    )

"""Arguments and options that several commands have: their names, help and places in errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mlsysim.cli import complete
from mlsysim.cli.output import write

if TYPE_CHECKING:
    from mlsysim.core.solver.asked import How

PLAN = Annotated[
    str, typer.Argument(metavar="PLAN", help="A plan file (.yaml).", autocompletion=complete.plans)
]
HARDWARE = Annotated[
    str | None,
    typer.Argument(
        metavar="[HARDWARE]",
        help="An accelerator of the zoo, with a model.",
        autocompletion=complete.hardware,
    ),
]
OBJECTIVE = Annotated[str, typer.Option(help="What to make best; see below.")]
SOLVER = Annotated[
    str,
    typer.Option(
        help="auto, highs, cp-sat, exhaustive or pyomo:NAME.",
        autocompletion=complete.words("auto", "highs", "cp-sat", "exhaustive", "pyomo:"),
    ),
]
LIMIT = Annotated[float, typer.Option(help="Stop the solver after so many seconds.")]
GAP = Annotated[float, typer.Option(help="Relative gap at which an answer counts as optimal.")]
THREADS = Annotated[int, typer.Option(help="Threads of the solver.")]
SEED = Annotated[int, typer.Option(help="Seed of the solver.")]
TOP = Annotated[int, typer.Option(min=1, max=100, help="How many of the best plans to list.")]
TAX = Annotated[float, typer.Option(help="USD per tonne of CO2e.")]
VERIFY = Annotated[bool, typer.Option("--verify", help="Have a second engine come to the same answer.")]
EXPORT = Annotated[str | None, typer.Option(metavar="FILE", help="Write the model to FILE.lp or FILE.mps.")]
PROGRESS = Annotated[bool, typer.Option("--progress", help="Show best and bound as they close in.")]

# What the arguments are called here, by their names in errors.
OPTIONS = {
    "time_limit": "--time-limit",
    "gap": "--gap",
    "threads": "--threads",
    "seed": "--seed",
    "carbon tax": "--carbon-tax",
    "water price": "--water-price",
    "pareto": "--pareto",
    "points": "--points",
    "region": "--region",
    "objective": "--objective",
    "emit": "--emit",
    "compare": "--compare",
    "solver": "--solver",
    "export": "--export",
    "robust": "--robust",
    "report": "--report",
    "top": "--top",
    "verify": "--verify",
    "qps": "--qps",
    "tail": "--sla-ms",
    "ttft_tail": "--ttft-ms",
    "itl": "--itl-ms",
    "tp": "--tp",
    "scheduler": "--scheduler",
    "precision": "--precision",
    "target": "--target",
    "weigh": "--weigh",
    "change": "--change",
}


def how_of(
    solver: str,
    time_limit: float,
    gap: float,
    threads: int,
    seed: int,
    top: int,
    verify: bool,
    export: str | None,
    show_progress: bool,
) -> How:
    """Return the options of every optimizer by their names in Python."""
    return {
        "solver": solver,
        "time_limit": time_limit,
        "gap": gap,
        "threads": threads,
        "seed": seed,
        "top": top,
        "verify": verify,
        "export": export,
        "progress": _closing_in if show_progress else None,
    }


def _closing_in(best: float | None, bound: float | None) -> None:
    """Say on stderr how far best and bound are apart; both are in base units."""
    shown = " ".join(
        f"{name} {'-' if x is None else f'{x:.6g}'}" for name, x in (("best", best), ("bound", bound))
    )
    apart = "" if best is None or bound is None or not best else f" gap {abs(best - bound) / abs(best):.2%}"
    write(f"{shown}{apart}\n", "stderr")

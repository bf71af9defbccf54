"""``mlsysim solve``: what supplies are worth, and what a target takes."""

from __future__ import annotations

from typing import Annotated

import typer

from mlsysim.cli import complete, exits
from mlsysim.cli.options import GAP, LIMIT, OBJECTIVE, PLAN, SEED, SOLVER, TAX, THREADS
from mlsysim.cli.output import OUTPUT, chosen
from mlsysim.cli.reporting import REPORT
from mlsysim.cli.why import run_why, whole
from mlsysim.core.errors import InputError
from mlsysim.core.solver import defaults

GROUP = """\b
Examples:
  mlsysim solve sensitivity plan.yaml
  mlsysim solve synthesis plan.yaml --target "performance.latency <= 10 s"
""" + exits.told(0, 1, 2, 3, 4)
SENSITIVITY = """\b
Examples:
  mlsysim solve sensitivity plan.yaml
  mlsysim solve sensitivity plan.yaml --objective cost --change 20%
  mlsysim solve sensitivity plan.yaml --supply capacity --supply bandwidth

Each supply is made larger and smaller, and the best plan is found and proven anew. Objectives are those
of optimize parallelism.
""" + exits.told(0, 1, 2, 3, 4)
SYNTHESIS = """\b
Examples:
  mlsysim solve synthesis plan.yaml --target "performance.latency <= 10 s"
  mlsysim solve synthesis plan.yaml --target "latency <= 2 s" --weigh peak=3

Weights are shares of an accelerator's cost, or of its power; all alike if absent.
""" + exits.told(0, 1, 2, 3, 4)
CHANGE = Annotated[str, typer.Option(metavar="SHARE", help="By how much each is changed: 10% or 0.1.")]
SUPPLY = Annotated[
    list[str] | None,
    typer.Option(help="A supply; repeat for several. All if absent.", autocompletion=complete.supplies),
]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(
        no_args_is_help=True,
        short_help="What is a supply worth, and what does a target take?",
        rich_markup_mode=None,
        epilog=GROUP,
        help="Turn the physics around: what a supply is worth, what a target takes.",
    )

    @group.callback()
    def root(context: typer.Context, output: OUTPUT = None) -> None:
        """Keep the output format for the command that follows."""
        context.obj = output

    short = "What more and less of each supply is worth, planned anew."
    group.command("sensitivity", short_help=short, epilog=SENSITIVITY)(sensitivity)
    short = "The least hardware on which a target is met."
    group.command("synthesis", short_help=short, epilog=SYNTHESIS)(synthesis)
    app.add_typer(group, name="solve")


def sensitivity(
    context: typer.Context,
    plan: PLAN,
    objective: OBJECTIVE = "time",
    carbon_tax: TAX = 0.0,
    supply: SUPPLY = None,
    change: CHANGE = "10%",
    solver: SOLVER = "auto",
    time_limit: LIMIT = defaults.TIME_LIMIT,
    gap: GAP = defaults.GAP,
    threads: THREADS = defaults.THREADS,
    seed: SEED = defaults.SEED,
    report: REPORT = None,
    output: OUTPUT = None,
) -> int:
    """Show what more and less of each supply does to the best plan (wall 21)."""
    how = {"solver": solver, "time_limit": time_limit, "gap": gap, "threads": threads, "seed": seed}

    def call() -> object:
        share = whole("shares").share(change, "change")
        return whole("prices").sensitivity(
            plan, objective=objective, carbon_tax=carbon_tax, supplies=supply, change=share, **how
        )

    return run_why(chosen(context, output), call, "solving", report)


def synthesis(
    context: typer.Context,
    plan: PLAN,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="METRIC <= AMOUNT or >=; the plan's if absent.",
            autocompletion=complete.metrics,
        ),
    ] = None,
    weigh: Annotated[
        list[str] | None, typer.Option(metavar="SUPPLY=N", help="What a supply weighs; repeat for several.")
    ] = None,
    solver: SOLVER = "auto",
    time_limit: LIMIT = defaults.TIME_LIMIT,
    gap: GAP = defaults.GAP,
    threads: THREADS = defaults.THREADS,
    seed: SEED = defaults.SEED,
    report: REPORT = None,
    output: OUTPUT = None,
) -> int:
    """Show the least hardware on which a target is met, and the nearest of the registry (wall 22)."""
    how = {"solver": solver, "time_limit": time_limit, "gap": gap, "threads": threads, "seed": seed}
    return run_why(
        chosen(context, output),
        lambda: whole("designing").synthesis(plan, target=target, weigh=_weights(weigh or []), **how),
        "solving",
        report,
    )


def _weights(given: list[str]) -> dict[str, float]:
    """Return what ``--weigh`` says."""
    found = {}
    for word in given:
        name, _, number = word.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError as error:
            raise InputError(f"{word!r} is no weight", where="weigh", hint="give e.g. peak=2") from error
    return found

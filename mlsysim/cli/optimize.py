"""``mlsysim optimize``: the best plan, with its proof."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from mlsysim.cli.output import OUTPUT, Output, chosen, emit, progress
from mlsysim.core.errors import InputError
from mlsysim.core.solver import defaults

PLAN = Annotated[str, typer.Argument(metavar="PLAN", help="A plan file (.yaml).")]
SOLVER = Annotated[str, typer.Option(help="auto, highs or exhaustive.")]
LIMIT = Annotated[float, typer.Option(help="Stop the solver after so many seconds.")]
GAP = Annotated[float, typer.Option(help="Relative gap at which an answer counts as optimal.")]
THREADS = Annotated[int, typer.Option(help="Threads of the solver.")]
SEED = Annotated[int, typer.Option(help="Seed of the solver.")]
TOP = Annotated[int, typer.Option(min=1, max=100, help="How many of the best plans to list.")]

# What the arguments are called here, by their names in errors.
OPTIONS = {
    "time_limit": "--time-limit",
    "gap": "--gap",
    "threads": "--threads",
    "seed": "--seed",
    "carbon tax": "--carbon-tax",
    "region": "--region",
}
GROUP = """\b
Examples:
  mlsysim optimize parallelism plan.yaml
  mlsysim optimize placement plan.yaml --carbon-tax 150
"""
PARALLELISM = """\b
Examples:
  mlsysim optimize parallelism plan.yaml
  mlsysim optimize parallelism plan.yaml --top 5 --time-limit 20
  mlsysim -o json optimize parallelism plan.yaml | jq .solution.plan

What the plan's parallelism block fixes stays fixed. If the plan's own limits stand in the way, that is
proven, the best plan without them is shown, and the exit code is 3.
"""
PLACEMENT = """\b
Examples:
  mlsysim optimize placement plan.yaml --carbon-tax 150
  mlsysim optimize placement plan.yaml --region Quebec --region Norway --top 2

Regions: mlsysim zoo infra.
"""


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(
        no_args_is_help=True,
        short_help="Find the best plan, with a proof of how good it is.",
        rich_markup_mode=None,
        epilog=GROUP,
        help="Find the best plan within the walls, with a proof of how good it is.",
    )

    @group.callback()
    def root(context: typer.Context, output: OUTPUT = None) -> None:
        """Keep the output format for the command that follows."""
        context.obj = output

    group.command("parallelism", epilog=PARALLELISM)(parallelism)
    short = "Find the region where a plan costs least, with a carbon tax."
    group.command("placement", short_help=short, epilog=PLACEMENT)(placement)
    app.add_typer(group, name="optimize")


def parallelism(
    context: typer.Context,
    plan: PLAN,
    solver: SOLVER = "auto",
    time_limit: LIMIT = defaults.TIME_LIMIT,
    gap: GAP = defaults.GAP,
    threads: THREADS = defaults.THREADS,
    seed: SEED = defaults.SEED,
    top: TOP = 1,
    output: OUTPUT = None,
) -> int:
    """Find the layout of a training job with the shortest step."""
    from mlsysim.core.solver import optimizers

    return _run(
        chosen(context, output),
        lambda: optimizers.parallelism(
            plan, solver=solver, time_limit=time_limit, gap=gap, threads=threads, seed=seed, top=top
        ),
    )


def placement(
    context: typer.Context,
    plan: PLAN,
    carbon_tax: Annotated[float, typer.Option(help="USD per tonne of CO2e.")] = 0.0,
    region: Annotated[
        list[str] | None, typer.Option(help="A candidate; repeat for several. All if absent.")
    ] = None,
    solver: SOLVER = "auto",
    time_limit: LIMIT = defaults.TIME_LIMIT,
    gap: GAP = defaults.GAP,
    threads: THREADS = defaults.THREADS,
    seed: SEED = defaults.SEED,
    top: TOP = 1,
    output: OUTPUT = None,
) -> int:
    """Find the region where a plan costs least, carbon tax included."""
    from mlsysim.core.solver import optimizers

    return _run(
        chosen(context, output),
        lambda: optimizers.placement(
            plan,
            carbon_tax=carbon_tax,
            regions=_known(region or ()),
            solver=solver,
            time_limit=time_limit,
            gap=gap,
            threads=threads,
            seed=seed,
            top=top,
        ),
    )


def _known(regions: Sequence[str]) -> tuple[str, ...]:
    """Return regions by their exact names."""
    from mlsysim.infra import CATALOG

    try:
        return tuple(CATALOG.find(name) for name in regions)
    except InputError as error:
        error.at("region")
        raise


def _run(form: Output, call: Callable[[], Any]) -> int:
    try:
        with progress("solving"):
            result = call()
    except InputError as error:
        error.where = OPTIONS.get(error.where, error.where)
        raise
    emit(form, result.to_dict, result.scorecard, lambda: _markdown(result))
    return int(result.exit_code)


def _markdown(result: Any) -> str:
    from mlsysim.core.markdown import optimization

    return optimization(result)

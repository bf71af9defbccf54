"""``mlsysim optimize``: the best plan, with its proof."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from mlsysim.cli.output import OUTPUT, Output, chosen, emit, progress

PLAN = Annotated[str, typer.Argument(metavar="PLAN", help="A plan file (.yaml).")]
SOLVER = Annotated[str, typer.Option(help="auto, highs or exhaustive.")]
LIMIT = Annotated[float, typer.Option(help="Stop the solver after so many seconds.")]
GAP = Annotated[float, typer.Option(help="Relative gap at which an answer counts as optimal.")]
THREADS = Annotated[int, typer.Option(help="Threads of the solver.")]
SEED = Annotated[int, typer.Option(help="Seed of the solver.")]
TOP = Annotated[int, typer.Option(min=1, max=100, help="How many of the best plans to list.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Find the best plan within the walls, with a proof of how good it is.",
    )

    @group.callback()
    def root(context: typer.Context, output: OUTPUT = None) -> None:
        """Keep the output format for the command that follows."""
        context.obj = output

    group.command("parallelism", epilog="Example:  mlsysim optimize parallelism plan.yaml --top 5")(
        parallelism
    )
    group.command("placement", epilog="Example:  mlsysim optimize placement plan.yaml --carbon-tax 150")(
        placement
    )
    app.add_typer(group, name="optimize")


def parallelism(
    context: typer.Context,
    plan: PLAN,
    solver: SOLVER = "auto",
    time_limit: LIMIT = 60.0,
    gap: GAP = 1e-9,
    threads: THREADS = 1,
    seed: SEED = 0,
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
    time_limit: LIMIT = 60.0,
    gap: GAP = 1e-9,
    threads: THREADS = 1,
    seed: SEED = 0,
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
            regions=tuple(region or ()),
            solver=solver,
            time_limit=time_limit,
            gap=gap,
            threads=threads,
            seed=seed,
            top=top,
        ),
    )


def _run(form: Output, call: Callable[[], Any]) -> int:
    with progress("solving"):
        result = call()
    emit(form, result.to_dict, result.scorecard, lambda: _markdown(result))
    return int(result.exit_code)


def _markdown(result: Any) -> str:
    from mlsysim.core.markdown import optimization

    return optimization(result)

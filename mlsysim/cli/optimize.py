"""``mlsysim optimize``: the best plan, with its proof."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Annotated, Any

import typer

from mlsysim.cli import complete, exits
from mlsysim.cli.options import (
    EXPORT,
    GAP,
    LIMIT,
    OBJECTIVE,
    OPTIONS,
    PLAN,
    PROGRESS,
    SEED,
    SOLVER,
    TAX,
    THREADS,
    TOP,
    VERIFY,
    how_of,
)
from mlsysim.cli.output import OUTPUT, Output, chosen, progress, write
from mlsysim.cli.output import emit as emit_result
from mlsysim.cli.reporting import REPORT, kept, ready
from mlsysim.cli.why import refuse, run_why, whole
from mlsysim.core.errors import InputError
from mlsysim.core.solver import defaults

GROUP = """\b
Examples:
  mlsysim optimize parallelism plan.yaml
  mlsysim optimize batching plan.yaml --qps 40 --sla-ms 12000
  mlsysim optimize placement plan.yaml --carbon-tax 150
""" + exits.told(0, 1, 2, 3, 4)
PARALLELISM = """\b
Examples:
  mlsysim optimize parallelism plan.yaml
  mlsysim optimize parallelism plan.yaml --top 5 --time-limit 20
  mlsysim optimize parallelism plan.yaml --objective cost --top 3
  mlsysim optimize parallelism plan.yaml --compare mine.yaml --verify
  mlsysim optimize parallelism plan.yaml --emit megatron > run.sh
  mlsysim optimize parallelism plan.yaml --pareto time,feasibility.memory
  mlsysim optimize parallelism plan.yaml --robust 20%
  mlsysim -o json optimize parallelism plan.yaml | jq .solution.plan

What the plan's parallelism block fixes stays fixed; it may list or bound what to try. Objectives: time,
mfu, training-time, cost, energy, carbon, cost+carbon, accelerators. If the plan's own limits stand
in the way, that is proven, the best plan without them is shown, and the exit code is 3.
""" + exits.told(0, 1, 2, 3, 4)
PLACEMENT = """\b
Examples:
  mlsysim optimize placement plan.yaml --carbon-tax 150
  mlsysim optimize placement plan.yaml --carbon-tax 0:300
  mlsysim optimize placement plan.yaml --pareto cost,carbon --points 10
  mlsysim optimize placement plan.yaml --region Quebec --region Norway --top 2
  mlsysim optimize placement fleet.yaml --carbon-tax 150 --gap 0.005

A range of the tax gives every tax at which the best region changes, exactly; one tax says how far it
can move. A frontier lists the regions that none beats in all of its metrics: cost, carbon, water.
Regions: mlsysim zoo infra. A plan with several jobs (jobs: instead of workload:) is placed over its own
regions and hours: see docs/fleets.md.
""" + exits.told(0, 1, 2, 3, 4)
SERVING = """\b
Examples:
  mlsysim optimize serving plan.yaml
  mlsysim optimize serving plan.yaml --objective cost+carbon --carbon-tax 150
  mlsysim -o json optimize serving plan.yaml | jq .solution.hours[0].pools

The plan's mix block says which requests come and which accelerators may answer them. Objectives: cost,
carbon, cost+carbon. Solvers: auto, highs, scip.
""" + exits.told(0, 1, 2, 3, 4)


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
    from mlsysim.cli.batching import BATCHING, batching

    brief = "Find the deployment of a service for its load, and its largest safe batch."
    group.command("batching", short_help=brief, epilog=BATCHING)(batching)
    short = "Find the region where a plan costs least, with a carbon tax."
    group.command("placement", short_help=short, epilog=PLACEMENT)(placement)
    short = "Find the accelerators that serve a mix of requests at least cost."
    group.command("serving", short_help=short, epilog=SERVING)(serving)
    app.add_typer(group, name="optimize")


def parallelism(
    context: typer.Context,
    plan: PLAN,
    objective: OBJECTIVE = "time",
    carbon_tax: TAX = 0.0,
    solver: SOLVER = "auto",
    time_limit: LIMIT = defaults.TIME_LIMIT,
    gap: GAP = defaults.GAP,
    threads: THREADS = defaults.THREADS,
    seed: SEED = defaults.SEED,
    top: TOP = 1,
    warm_start: Annotated[
        str | None, typer.Option(metavar="FILE", help="Begin with the layout of a result (-o json).")
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="PLAN",
            help="Put this plan beside the optimum, wall by wall.",
            autocompletion=complete.plans,
        ),
    ] = None,
    emit: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET",
            help="Print the answer as launch settings instead: plan, megatron, nemo, torchtitan, deepspeed.",
            autocompletion=complete.words("plan", "megatron", "nemo", "torchtitan", "deepspeed"),
        ),
    ] = None,
    pareto: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="All plans of which none beats another in two or three respects.",
            autocompletion=complete.metrics,
        ),
    ] = None,
    robust: Annotated[
        str | None, typer.Option(metavar="SHARE", help="The plan whose worst case is best: 20% or 0.2.")
    ] = None,
    verify: VERIFY = False,
    export: EXPORT = None,
    report: REPORT = None,
    show_progress: PROGRESS = False,
    output: OUTPUT = None,
) -> int:
    """Find the best layout of a training job: the shortest step, or another objective."""
    from mlsysim.core.solver import optimizers

    how = how_of(solver, time_limit, gap, threads, seed, top, verify, export, show_progress)
    if pareto is not None:
        refuse(context, "--pareto", "objective", "top", "warm_start", "compare", "emit", "verify", "export")
        return run_why(
            chosen(context, output),
            lambda: whole("pareto").pareto(plan, pareto.split(","), carbon_tax=carbon_tax, **how),
            "solving",
            report,
        )

    if robust is not None:
        refuse(context, "--robust", "pareto", "top", "warm_start", "compare", "emit")
        share = whole("shares").share(robust, "--robust")

    def call() -> Any:
        if robust is not None:
            return whole("robust").robust(plan, share, objective=objective, carbon_tax=carbon_tax, **how)
        extra = {"warm_start": warm_start, "compare": compare, "emit": emit}
        return optimizers.parallelism(plan, objective=objective, carbon_tax=carbon_tax, **extra, **how)

    return run(chosen(context, output), call, quiet=show_progress, report=report)


def placement(
    context: typer.Context,
    plan: PLAN,
    carbon_tax: Annotated[
        str, typer.Option(metavar="TAX", help="USD per tonne of CO2e, or a range: 0:300.")
    ] = "0",
    water_price: Annotated[float, typer.Option(help="USD per 1,000 litres (a cubic metre).")] = 0.0,
    pareto: Annotated[str, typer.Option(metavar="METRICS", help="The frontier of cost,carbon[,water].")] = "",
    points: Annotated[int, typer.Option(help="How many plans of the frontier at most.")] = defaults.POINTS,
    region: Annotated[
        list[str] | None,
        typer.Option(help="A candidate; repeat for several. All if absent.", autocompletion=complete.regions),
    ] = None,
    solver: SOLVER = "auto",
    time_limit: LIMIT = defaults.TIME_LIMIT,
    gap: GAP = defaults.GAP,
    threads: THREADS = defaults.THREADS,
    seed: SEED = defaults.SEED,
    top: TOP = 1,
    verify: VERIFY = False,
    export: EXPORT = None,
    report: REPORT = None,
    show_progress: PROGRESS = False,
    output: OUTPUT = None,
) -> int:
    """Find the region where a plan costs least, carbon tax included; or place a plan with several jobs."""
    from mlsysim.core.solver import optimizers

    how = how_of(solver, time_limit, gap, threads, seed, top, verify, export, show_progress)

    def call() -> Any:
        prices = {"carbon_tax": carbon_tax, "water_price": water_price}
        asked = {"pareto": pareto, "points": points, "regions": _known(region or ())}
        return optimizers.placement(plan, **prices, **asked, **how)  # type: ignore[arg-type]

    return run(chosen(context, output), call, quiet=show_progress, report=report)


def serving(
    context: typer.Context,
    plan: PLAN,
    objective: Annotated[str, typer.Option(help="cost, carbon or cost+carbon.")] = "cost",
    carbon_tax: TAX = 0.0,
    solver: Annotated[str, typer.Option(help="auto, highs or scip.")] = "auto",
    time_limit: LIMIT = defaults.TIME_LIMIT,
    gap: Annotated[
        float | None, typer.Option(help="Relative gap of an optimum; 1e-6, or 1e-3 for many hours.")
    ] = None,
    threads: THREADS = defaults.THREADS,
    seed: SEED = defaults.SEED,
    verify: VERIFY = False,
    export: EXPORT = None,
    report: REPORT = None,
    output: OUTPUT = None,
) -> int:
    """Find how many of which accelerators serve a mix of requests at least cost."""
    from mlsysim.core.solver.serving_mix import serving as optimize

    def call() -> Any:
        how = how_of(solver, time_limit, 0.0, threads, seed, 1, verify, export, False)
        del how["gap"]
        if gap is not None:
            how["gap"] = gap
        return optimize(plan, objective=objective, carbon_tax=carbon_tax, **how)

    return run(chosen(context, output), call, quiet=False, report=report)


def _known(regions: Sequence[str]) -> tuple[str, ...]:
    """Return regions by their exact names."""
    from mlsysim.infra import CATALOG

    try:
        return tuple(CATALOG.find(name) for name in regions)
    except InputError as error:
        error.at("region")
        raise


def run(form: Output, call: Callable[[], Any], *, quiet: bool, report: str | None = None) -> int:
    """Call an optimizer, print its result, write its report, and return its exit code."""
    ready(report)
    try:
        with nullcontext() if quiet else progress("solving"):
            result = call()
    except InputError as error:
        error.where = OPTIONS.get(error.where, error.where)
        raise
    if result.handover is not None and form is Output.text:
        write(result.handover.text.rstrip("\n") + "\n")
        for note in result.handover.notes:
            write(f"note: {note}\n", "stderr")
    else:
        emit_result(form, result.to_dict, result.scorecard, lambda: _markdown(result))
    kept(report, result)
    return int(result.exit_code)


def _markdown(result: Any) -> str:
    from mlsysim.report import markdown

    return markdown(result)

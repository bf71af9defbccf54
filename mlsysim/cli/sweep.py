"""``mlsysim sweep``: a campaign over a design space, on this machine or a cluster."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from mlsysim.cli import complete, exits
from mlsysim.cli.output import Output, chosen, emit, write
from mlsysim.core.errors import InputError

EPILOG = """\b
Examples:
  mlsysim sweep campaign.yaml -o results.parquet
  mlsysim sweep campaign.yaml -o results.csv --jobs 4
  mlsysim sweep campaign.yaml -o results.parquet --scheduler tcp://head:8786
  mlsysim -o json sweep campaign.yaml | jq .best

Finished points are kept in FILE.parts until all are there: run the same command again after a kill and it
goes on. The format of a campaign is in docs/sweeps.md.
""" + exits.told(
    0, 1, 2, 3, _0="some point holds", _2="no point is feasible", _3="no feasible point keeps its limits"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    short = "Evaluate or optimize every point of a design space."
    app.command(
        "sweep",
        short_help=short,
        epilog=EPILOG,
    )(sweep)


def sweep(
    context: typer.Context,
    campaign: Annotated[
        str,
        typer.Argument(metavar="CAMPAIGN", help="A campaign file (.yaml).", autocompletion=complete.plans),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write the table to FILE.parquet or FILE.csv; text, json or markdown says how to print.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=1024, help="Processes on this machine.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on a Dask cluster, e.g. tcp://head:8786.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="auto (solve what a solver can decide), solve, or evaluate every point.")
    ] = "auto",
    part: Annotated[
        int | None, typer.Option(min=1, help="Rows that are worked on and kept at a time; chosen if absent.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many of the best to show.")] = 5,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither use nor keep solved problems.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Drop finished points of before.")] = False,
) -> int:
    """Run a campaign: its points in a table, the best of them on the screen."""
    from mlsysim.space import campaign as run
    from mlsysim.space.files import load
    from mlsysim.space.report import counts, document, markdown, text
    from mlsysim.space.store import Store
    from mlsysim.space.table import check_ending

    form, file = _outputs(context, output)
    if scheduler is not None and jobs > 1:
        raise InputError("jobs are of this machine, a scheduler has its own workers", where="--jobs")
    if file is not None:
        check_ending(file)
    space = load(campaign)
    folder = None if file is None else Path(f"{file}.parts")
    if restart and folder is not None and folder.is_dir():
        Store(folder, {}).remove()
    where: Any = nullcontext(None)
    if scheduler is not None:
        where = run.cluster(scheduler)
    elif jobs > 1:
        where = run.processes(jobs)
    with where as executor, _bar() as bar:
        table = run.run(
            space,
            method=method,
            executor=executor,
            folder=folder,
            part=part,
            cached=not no_cache,
            progress=bar,
        )
    if file is not None:
        table.write(file)
        assert folder is not None
        Store(folder, {}).remove()
    emit(
        form,
        lambda: document(space, table, top, file),
        lambda: text(space, table, top, file),
        lambda: markdown(space, table, top),
    )
    if not space.wishes or table.holds.any():
        return 0
    return 3 if counts(table)["sla_violation"] else 2


def _outputs(context: typer.Context, output: str | None) -> tuple[Output, str | None]:
    """Return how to print, and where to write the table; ``-o`` says either."""
    if output is None or output in list(Output):
        return chosen(context, None if output is None else Output(output)), None
    return chosen(context, None), output


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Give a progress bar on stderr, after a second; on a terminal it stays on one line."""
    begin = time.monotonic()
    tty = sys.stderr is not None and sys.stderr.isatty()
    state = {"at": begin, "shown": 0.0, "first": -1.0}

    def show(done: int, count: int) -> None:
        now = time.monotonic()
        if state["first"] < 0:
            state["first"] = done
        if now - begin < 1.0 or now - state["at"] < (0.2 if tty else 30.0):
            return
        state["at"], state["shown"] = now, 1.0
        rate = (done - state["first"]) / (now - begin)
        left = f", {(count - done) / rate:,.0f} s left" if rate else ""
        full = int(30 * done / max(count, 1))
        line = f"[{'#' * full}{'-' * (30 - full)}] {done:,} of {count:,}{left}"
        write(f"\r{line:<78}" if tty else f"{line}\n", "stderr")

    try:
        yield show
    finally:
        if tty and state["shown"]:
            write("\r" + " " * 78 + "\r", "stderr")

"""``mlsysim ci``: several plan files at once, for pre-commit and for pull requests."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from mlsysim.cli import complete, exits
from mlsysim.cli.output import OUTPUT, chosen, emit, write

EPILOG = """\b
Examples:
  mlsysim ci plan.yaml
  mlsysim ci plan.yaml fleet.yaml -o markdown > comment.md
  mlsysim ci 'plans/**/*.yaml' --fail-on infeasible
  mlsysim ci plan.yaml --github

One line a plan, and what it does not keep. Patterns in quotes may have ** for any folders. The exit code
is the worst of all: 1 before 2 before 3 before 0. A GitHub Action and a hook for pre-commit come with
mlsysim: docs/ci.md.
""" + exits.told(0, 1, 2, 3)
# What is no failure, by --fail-on.
PARDONED = {"violation": (), "infeasible": (3,), "error": (2, 3), "never": (1, 2, 3)}


class FailOn(StrEnum):
    """From which verdict on the command fails."""

    violation = "violation"
    infeasible = "infeasible"
    error = "error"
    never = "never"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "ci",
        short_help="Evaluate several plan files, for pull requests and hooks.",
        epilog=EPILOG,
    )(ci)


def ci(
    context: typer.Context,
    plans: Annotated[
        list[str],
        typer.Argument(
            metavar="PLAN...", help="Plan files, or patterns of them.", autocompletion=complete.plans
        ),
    ],
    fail_on: Annotated[
        FailOn,
        typer.Option(help="What fails: a broken limit, only physics and bad input, only bad input, nothing."),
    ] = FailOn.violation,
    github: Annotated[
        bool,
        typer.Option("--github", help="In GitHub Actions: annotate lines, write summary and outputs."),
    ] = False,
    output: OUTPUT = None,
) -> int:
    """Evaluate plan files and say which hold; the exit code is that of the worst."""
    from mlsysim.core import several

    files = [several.judged(name) for name in several.expanded(plans)]
    emit(
        chosen(context, output),
        lambda: several.to_dict(files),
        lambda: several.as_text(files),
        lambda: several.as_markdown(files),
    )
    code = several.code_of(files)
    if github:
        from mlsysim.cli import github as actions

        for line in actions.at_lines(files):
            write(line + "\n", "stderr")
        actions.append("GITHUB_STEP_SUMMARY", several.as_markdown(files, 1_000_000) + "\n")
        found = {"exit-code": str(code), "verdict": several.VERDICTS[code]}
        actions.append("GITHUB_OUTPUT", actions.outputs(found))
    return 0 if code in PARDONED[fail_on] else code

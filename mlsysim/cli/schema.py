"""``mlsysim schema``: the JSON Schema of plans and of results."""

from __future__ import annotations

from typing import Annotated

import typer

from mlsysim.cli import exits
from mlsysim.cli.output import OUTPUT, write_json

EPILOG = """\b
Examples:
  mlsysim schema > plan.schema.json
  mlsysim schema --fleet > fleet.schema.json
  mlsysim schema --result > result.schema.json

An editor checks a plan whose first line is  # yaml-language-server: $schema=plan.schema.json
""" + exits.told(0, 1, _0="done")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "schema",
        short_help="Print the JSON Schema of plans or results.",
        epilog=EPILOG,
    )(schema)


def schema(
    result: Annotated[bool, typer.Option("--result", help="The results' schema, not the plan's.")] = False,
    fleet: Annotated[bool, typer.Option("--fleet", help="The schema of a plan with several jobs.")] = False,
    output: OUTPUT = None,
) -> int:
    """Print the JSON Schema of the plan file, or of the results; always as JSON."""
    from mlsysim.core.schemas import fleet_plan_schema, plan_schema, result_schema

    write_json(result_schema() if result else fleet_plan_schema() if fleet else plan_schema())
    return 0

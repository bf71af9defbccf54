"""Running the command line in this process, and judging what it prints."""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator

from mlsysim.cli.main import run
from mlsysim.core.schemas import result_schema

EXAMPLES = Path(__file__).parents[2] / "examples"
CLUSTER = str(EXAMPLES / "example_cluster.yaml")
SMALL = (
    'version: "1.0"\nworkload:\n  name: Llama3_8B\n  batch_size: 64\nhardware:\n  name: H100\n  nodes: 1\n'
)


class Result(NamedTuple):
    """Exit code, stdout and stderr of a run."""

    code: int
    out: str
    err: str


def call(*arguments: str) -> Result:
    """Run ``mlsysim`` with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(arguments)
    return Result(code, out.getvalue(), err.getvalue())


def call_json(*arguments: str) -> tuple[int, Any]:
    """Run ``mlsysim -o json`` and return its code and its document, held against the schema."""
    result = call("-o", "json", *arguments)
    document = json.loads(result.out, parse_constant=_refuse)
    validator().validate(document)
    return result.code, document


def _refuse(word: str) -> None:
    """Refuse NaN and infinities, which JSON does not know."""
    raise AssertionError(f"{word} is not JSON")


@cache
def validator() -> Draft202012Validator:
    """Return the checker of results."""
    return Draft202012Validator(result_schema())


def too_wide(text: str) -> list[str]:
    """Return the lines of more than 80 columns, addresses aside: they cannot be broken."""
    return [line for line in text.splitlines() if len(line) > 80 and "://" not in line]


def bad_tables(markdown: str) -> list[str]:
    """Return the lines of Markdown tables that do not fit their header."""
    wrong, width, row = [], 0, 0
    for line in markdown.splitlines():
        if not line.startswith("|"):
            width = row = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line)) - 1
        width, row = width or cells, row + 1
        if cells != width or not line.endswith("|") or (row == 2 and set(line) - set("|- ")):
            wrong.append(line)
    return wrong

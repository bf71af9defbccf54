"""A layout that is known, out of a result in JSON."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from mlsysim.core import yamlfile
from mlsysim.core.api import scenario
from mlsysim.core.errors import InputError
from mlsysim.core.layout import Layout
from mlsysim.core.scenario import Scenario


def known_layout(result: str | Path | dict[str, Any]) -> tuple[Scenario, Layout]:
    """Return the scenario and the layout of a result of ``eval`` or ``optimize``.

    Args:
        result: the document, or a file that holds it.

    Raises:
        InputError: it is no such document.
    """
    where = "warm start"
    if not isinstance(result, dict):
        where = str(result)
        try:
            result = json.loads(yamlfile.read_text(Path(result)))
        except json.JSONDecodeError as error:
            raise InputError(
                f"not JSON: {error.msg}", where=f"{where}:{error.lineno}", hint="give a result of -o json"
            ) from error
    plan = result.get("plan") if isinstance(result, dict) else None
    block = plan.get("parallelism") if isinstance(plan, dict) else None
    names = {f.name for f in fields(Layout)}
    if plan is None or not isinstance(block, dict) or not names >= set(block):
        raise InputError(
            "no layout in it", where=where, hint="give a result of: mlsysim -o json optimize parallelism"
        )
    return scenario(plan), Layout(**block)

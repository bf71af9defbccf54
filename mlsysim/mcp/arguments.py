"""Arguments that tools take, as JSON Schema, and plans as documents."""

from __future__ import annotations

import json
from typing import Any

from mlsysim.core import yamlfile
from mlsysim.core.solver import defaults
from mlsysim.mcp.limits import CallLimitError, Limits

Json = dict[str, Any]
NAME = "plan"  # of a plan's text in messages: plan:7: hardware.name


def text(about: str, **more: Any) -> Json:
    """Return the schema of a text."""
    return {"type": "string", "description": about, "maxLength": 500, **more}


def number(about: str, **more: Any) -> Json:
    """Return the schema of a number that is not negative."""
    return {"type": "number", "description": about, "minimum": 0, **more}


def whole(about: str, **more: Any) -> Json:
    """Return the schema of a whole number above zero."""
    return {"type": "integer", "description": about, "minimum": 1, **more}


def several(about: str, item: str = "string") -> Json:
    """Return the schema of a short list."""
    return {"type": "array", "description": about, "items": {"type": item}, "maxItems": 200}


PLAN: Json = {
    "type": ["string", "object"],
    "description": "The plan itself, as YAML or JSON; not a path. Its format: the tool schema.",
}
OBJECTIVE = text("What to make best.", default="time")
CARBON_TAX = number("USD per tonne of CO2e.", default=0)
TOP = whole("How many of the best plans to list.", default=1, maximum=100)
SOLVERS = ("auto", "highs", "cp-sat", "exhaustive")


def solving(limits: Limits, *, solvers: tuple[str, ...] = SOLVERS) -> Json:
    """Return the arguments of everything that a solver works on."""
    return {
        "solver": {"enum": list(solvers), "default": "auto", "description": "Which solver."},
        "time_limit": number(
            f"Stop the solver after so many seconds; at most {limits.solver:g} here.",
            exclusiveMinimum=0,
            maximum=limits.solver,
            default=min(defaults.TIME_LIMIT, limits.solver),
        ),
        "gap": number("Relative gap at which an answer counts as optimal.", default=defaults.GAP),
        "seed": {"type": "integer", "minimum": 0, "default": defaults.SEED, "description": "Of the solver."},
    }


def plan_text(plan: Any, limits: Limits) -> str:
    """Return a plan as text.

    Raises:
        CallLimitError: it is too large.
    """
    given = plan if isinstance(plan, str) else json.dumps(plan, indent=1)
    size = len(given.encode("utf-8", "surrogatepass"))
    if size > limits.plan:
        raise CallLimitError(
            f"a plan of {size:,} bytes",
            where=NAME,
            hint=f"at most {limits.plan:,} are read; a plan is a few kilobytes",
        )
    return given


def document(plan: str) -> yamlfile.Document:
    """Return the text of a plan, parsed, with the line of every key.

    Raises:
        InputError: no YAML, or more of it than a plan needs.
    """
    return yamlfile.load(plan, NAME)

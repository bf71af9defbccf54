"""JSON Schema of what ``eval`` and ``optimize placement`` print for a plan with several jobs."""

from __future__ import annotations

from typing import Any

from mlsysim.core.schedule.document import UNITS

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_MAYBE: Json = {"type": ["number", "null"]}
_WHOLE: Json = {"type": "integer"}
_FLAG: Json = {"type": "boolean"}
_INSTANT: Json = {"type": "string", "format": "date-time"}
_STATUS: Json = {"enum": ["pass", "fail", "sla_violation"]}


def _object(fields: Json) -> Json:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _list(item: Json) -> Json:
    return {"type": "array", "items": item}


def _by_name(item: Json) -> Json:
    return {"type": "object", "additionalProperties": item}


def _or_null(item: Json) -> Json:
    return {"anyOf": [item, {"type": "null"}]}


_TAKEN: Json = {name: _NUMBER for name in UNITS if name != "objective_usd"}
_TOTALS = _object(dict.fromkeys(UNITS, _NUMBER))
_LIMITS = _list(_object({"tag": _TEXT, "where": _TEXT, "demand": _NUMBER, "supply": _NUMBER}))


def fleet_result(assumption: Json) -> Json:
    """Return the schema of the document; ``assumption`` is that of one of its assumptions."""
    job = {
        "name": _TEXT,
        "kind": {"enum": ["rigid", "pause", "move", "split", "serving"]},
        "placed": _FLAG,
        "start": _or_null(_INSTANT),
        "end": _or_null(_INSTANT),
        **_TAKEN,
        "regions": _list(_object({"name": _TEXT, **_TAKEN})),
        "runs": _list(
            _object(
                {
                    "region": _TEXT,
                    "hardware": _TEXT,
                    "accelerators": _NUMBER,
                    "first_slot": _WHOLE,
                    "end_slot": _WHOLE,
                    "start": _INSTANT,
                    "end": _INSTANT,
                }
            )
        ),
    }
    region = {
        "name": _TEXT,
        **_TAKEN,
        "peak_power_mw": _NUMBER,
        "power_mw": _MAYBE,
        "carbon_cap_tco2e": _MAYBE,
        "accelerators": _by_name(_object({"peak": _NUMBER, "there": _MAYBE})),
    }
    hours = {
        "name": _TEXT,
        "electricity_usd": _list(_NUMBER),
        "operational_tco2e": _list(_NUMBER),
        "water_l": _list(_NUMBER),
        "power_mw": _list(_NUMBER),
        "accelerators": _by_name(_list(_NUMBER)),
    }
    baseline = {
        "name": {"enum": ["cheapest", "now"]},
        "title": _TEXT,
        "status": _STATUS,
        "totals": _TOTALS,
        "unplaced": _list(_TEXT),
        "limits": _LIMITS,
    }
    impossible = {"job": _TEXT, "why": _TEXT, "demand": _MAYBE, "supply": _MAYBE, "unit": _TEXT}
    return _object(
        {
            "schema_version": {"const": "1.0"},
            "kind": {"const": "fleet"},
            "scenario": _TEXT,
            "status": _STATUS,
            "totals": _or_null(_TOTALS),
            "units": _object({name: {"const": unit} for name, unit in UNITS.items()}),
            "jobs": _list(_object(job)),
            "regions": _list(_object(region)),
            "hours": _object(
                {"start": _INSTANT, "step_s": _NUMBER, "slots": _WHOLE, "regions": _list(_object(hours))}
            ),
            "limits": _LIMITS,
            "baselines": _list(_object(baseline)),
            "impossible": _list(_object(impossible)),
            "conflict": _or_null(_conflict()),
            "prices": _list(_price()),
            "taxes": _or_null(_taxes()),
            "pareto": _or_null(_pareto()),
            "solution": _or_null(_solution()),
            "notes": _list(_TEXT),
            "plan": {"type": "object"},
            "assumptions": _list(assumption),
        }
    )


def _solution() -> Json:
    """Return the schema of what was proven."""
    objective = {
        "name": _TEXT,
        "unit": {"const": "USD"},
        "carbon_tax_usd_per_tco2e": _NUMBER,
        "water_price_usd_per_l": _NUMBER,
        "value": _MAYBE,
        "bound": _MAYBE,
        "gap": _MAYBE,
    }
    engine = {
        "name": _TEXT,
        "version": _TEXT,
        "seconds": _by_name(_NUMBER),
        "columns": _WHOLE,
        "rows": _WHOLE,
        "verified_by": {"type": ["string", "null"]},
    }
    return _object(
        {
            "problem": {"const": "placement"},
            "status": {"enum": ["optimal", "feasible", "infeasible"]},
            "objective": _object(objective),
            "plan": _by_name(_TEXT),
            "limits_dropped": _list(_TEXT),
            "engine": _object(engine),
        }
    )


def _conflict() -> Json:
    """Return the schema of limits that cannot hold together."""
    member = {"tag": _TEXT, "name": _TEXT, "least": _MAYBE, "supply": _NUMBER, "unit": _TEXT}
    return _object({"members": _list(_object(member)), "job": {"type": ["string", "null"]}, "proven": _FLAG})


def _price() -> Json:
    """Return the schema of what a little more of a limit is worth."""
    return _object(
        {
            "tag": _TEXT,
            "where": _TEXT,
            "worth": _NUMBER,
            "unit": _TEXT,
            "confirmed": _FLAG,
            "slots": _list(_WHOLE),
        }
    )


def _taxes() -> Json:
    """Return the schema of the best schedules over a range of taxes."""
    plan = {
        "from": _NUMBER,
        "to": _NUMBER,
        "totals": _TOTALS,
        "plan": _by_name(_TEXT),
        "changed": _list(_TEXT),
    }
    return _object(
        {"unit": _TEXT, "proven": _FLAG, "gap": _MAYBE, "solves": _WHOLE, "plans": _list(_object(plan))}
    )


def _pareto() -> Json:
    """Return the schema of a frontier."""
    point = {"totals": _TOTALS, "plan": _by_name(_TEXT), "gap": _MAYBE}
    return _object(
        {
            "metrics": _list({"enum": ["cost", "carbon", "water"]}),
            "complete": _FLAG,
            "solves": _WHOLE,
            "points": _list(_object(point)),
        }
    )

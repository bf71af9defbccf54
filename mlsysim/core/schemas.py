"""JSON Schemas: of the plan, from its types; of the results, here."""

from __future__ import annotations

from typing import Any

from mlsysim.core import schemas_why
from mlsysim.core.metrics import METRICS
from mlsysim.core.schema_mix import mix_result
from mlsysim.core.validation.fields import KINDS

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_MAYBE: Json = {"type": ["number", "null"]}
_FLAG: Json = {"type": "boolean"}
_WHOLE: Json = {"type": "integer"}


def plan_schema() -> Json:
    """Return the JSON Schema of a plan file."""
    from mlsysim.core.plan import Plan

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Plan.model_json_schema(by_alias=True),
    }


def fleet_plan_schema() -> Json:
    """Return the JSON Schema of a plan file with several jobs."""
    from mlsysim.core.fleet_plan import FleetPlan

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **FleetPlan.model_json_schema(by_alias=True),
    }


def _object(required: Json, optional: Json | None = None) -> Json:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def _list(item: Json, size: int | None = None) -> Json:
    bounds = {} if size is None else {"minItems": size, "maxItems": size}
    return {"type": "array", "items": item, **bounds}


def _lens(prefix: str) -> Json:
    lens = {n.split(".")[1]: m for n, m in METRICS.items() if n.startswith(prefix + ".")}
    names = [n for n, m in lens.items() if not m.optional]
    of_run = [n for n, m in lens.items() if m.optional]  # where the plan is of a whole run, or of a service
    metrics = dict.fromkeys(names, _MAYBE)
    if prefix == "performance":
        metrics["bottleneck"] = {"enum": ["compute", "memory", "communication", "bubble", "streaming"]}
    return _object(
        {
            "status": {"enum": ["pass", "fail"]},
            "summary": _TEXT,
            "metrics": _object(metrics, dict.fromkeys(of_run, _MAYBE)),
            "units": _object(dict.fromkeys(names, _TEXT), dict.fromkeys(of_run, _TEXT)),
        }
    )


def _wall(more: Json | None = None) -> Json:
    return _object(
        {
            "number": {"type": "integer", "minimum": 1, "maximum": 22},
            "name": _TEXT,
            "domain": {"enum": ["node", "data", "algorithm", "fleet", "operations", "analysis"]},
            "status": {"enum": ["pass", "fail", "binding", "info", "n/a"]},
            "demand": _MAYBE,
            "supply": _MAYBE,
            "unit": {"type": ["string", "null"]},
            "headroom": _MAYBE,
            "note": _TEXT,
            **(more or {}),
        }
    )


def _one_wall(assumption: Json) -> Json:
    """Return the schema of ``eval --wall``."""
    row = _object(
        {
            "status": {"enum": ["pass", "fail", "binding", "info"]},
            "demand": _MAYBE,
            "supply": _MAYBE,
            "unit": {"type": ["string", "null"]},
            "headroom": _MAYBE,
            "note": _TEXT,
            "hard": _FLAG,
        }
    )
    wall = _wall(
        {
            "equation": _TEXT,
            "rows": _list(row),
            "terms": _list(_object({"name": _TEXT, "value": _NUMBER, "unit": _TEXT})),
            "assumptions": _list(assumption),
            "sources": _list(_object({"id": _TEXT, "citation": _TEXT})),
        }
    )
    return _object(
        {
            "schema_version": {"const": "1.0"},
            "scenario": _TEXT,
            "status": {"enum": ["pass", "fail", "sla_violation"]},
            "wall": wall,
        }
    )


def _tradeoff() -> Json:
    """Return what an answer is weighed against: baselines, other taxes, the frontier."""
    amounts = {"cost": _NUMBER, "carbon": _NUMBER, "water": _NUMBER}
    choice = {"region": _TEXT, **amounts, "water_cost": _NUMBER, "clean": _MAYBE}
    changes = {f"{name}_change": _NUMBER for name in amounts}
    nothing: Json = {"type": "null"}
    by_tax = {"unit": _TEXT, "proven": _FLAG}
    one = _object(
        {
            **by_tax,
            "at": _NUMBER,
            "from": _NUMBER,
            "to": _MAYBE,
            "below": {"anyOf": [nothing, _object(choice)]},
            "above": {"anyOf": [nothing, _object(choice)]},
        }
    )
    several = _object(
        {
            **by_tax,
            "gap": _MAYBE,
            "solves": _WHOLE,
            "plans": _list(_object({"from": _NUMBER, "to": _NUMBER, **choice})),
        }
    )
    pareto = _object(
        {
            "metrics": _list({"enum": list(amounts)}),
            "units": _list(_TEXT),
            "complete": _FLAG,
            "solves": _WHOLE,
            "points": _list(_object({**choice, "gap": _MAYBE})),
        }
    )
    return {
        "baselines": _list(_object({"name": {"enum": ["now", "cheapest"]}, **choice, **changes})),
        "tax": {"anyOf": [nothing, one, several]},
        "pareto": {"anyOf": [nothing, pareto]},
    }


def _solution() -> Json:
    return _object(
        {
            "problem": {"enum": ["parallelism", "placement", "batching"]},
            "status": {"enum": ["optimal", "feasible", "infeasible"]},
            "objective": _object(
                {
                    "name": _TEXT,
                    "value": _MAYBE,
                    "unit": _TEXT,
                    "before": _MAYBE,
                    "bound": _MAYBE,
                    "gap": _MAYBE,
                }
            ),
            "plan": {"type": "object"},
            "binding_walls": _list(_WHOLE),
            "alternatives": _list({"type": "object"}),
            "conflict": schemas_why.conflict(),
            "ways_out": schemas_why.ways_out(),
            "because": schemas_why.because(),
            "robust": schemas_why.robust(),
            "limits_dropped": _list(_TEXT),
            "notes": _list(_TEXT),
            "engine": _object(
                {
                    "name": _TEXT,
                    "version": _TEXT,
                    "seconds": _NUMBER,
                    "variables": _WHOLE,
                    "rows": _WHOLE,
                    "nodes": _WHOLE,
                    "space_size": _NUMBER,
                    "after_presolve": _NUMBER,
                    "verified_by": {"type": ["string", "null"]},
                }
            ),
            "handover": {
                "anyOf": [
                    {"type": "null"},
                    _object({"target": _TEXT, "text": _TEXT, "filename": _TEXT, "notes": _list(_TEXT)}),
                ]
            },
            "compared": {
                "anyOf": [
                    {"type": "null"},
                    _object(
                        {
                            "name": _TEXT,
                            "objective": _MAYBE,
                            "unit": _TEXT,
                            "plan": {"type": "object"},
                            "status": {"enum": ["pass", "fail", "sla_violation"]},
                            "walls": _list({"type": "object"}),
                        }
                    ),
                ]
            },
            **_tradeoff(),
        }
    )


def _validation() -> Json:
    """Return the schema of ``validate``: errors are shares of the measured value."""
    errors: Json = {"rows": _WHOLE, "mape": _MAYBE, "median_ape": _MAYBE, "bias": _MAYBE}
    a_set = {"name": _TEXT, "kind": {"enum": list(KINDS)}, **errors, "spearman": _MAYBE}
    return _object(
        {
            "schema_version": {"const": "1.0"},
            "sets": _list(_object(a_set)),
            "total": _object(errors),
            "rows": _list(
                _object(
                    {
                        "id": _TEXT,
                        "measured": _NUMBER,
                        "predicted": _NUMBER,
                        "error": _NUMBER,
                        "unit": _TEXT,
                    }
                )
            ),
            "unpredicted": _list(_object({"id": _TEXT, "reason": _TEXT})),
            "filled": _list(_object({"id": _TEXT, "setting": _TEXT, "value": _TEXT, "rule": _TEXT})),
        }
    )


def _sweep() -> Json:
    """Return the schema of ``sweep``: a campaign in numbers, and its best rows."""
    statuses = ("pass", "sla_violation", "fail", "error")
    about = {
        "rows": _WHOLE,
        "status": _object(dict.fromkeys(statuses, _WHOLE)),
        "reasons": _list(_object({"reason": _TEXT, "rows": _WHOLE})),
        "notes": _list(_TEXT),
        "file": {"type": ["string", "null"]},
        "units": {"type": "object", "additionalProperties": _TEXT},
        "objectives": _list(_object({"column": _TEXT, "expression": _TEXT, "greatest": _FLAG})),
        "identity": _TEXT,
    }
    cell: Json = {"type": ["number", "string", "boolean", "null"]}
    row = {"type": "object", "additionalProperties": cell}
    return _object({"schema_version": {"const": "1.0"}, "sweep": _object(about), "best": _list(row)})


def _labs() -> Json:
    """Return the schema of ``lab``: the list."""
    one = {"name": _TEXT, "title": _TEXT, "learns": _TEXT, "minutes": _WHOLE, "walls": _list(_WHOLE)}
    return _object({"schema_version": {"const": "1.0"}, "labs": _list(_object(one))})


def _files() -> Json:
    """Return the schema of ``ci``: each plan's document is one of the others."""
    reason = _object({"text": _TEXT, "line": {"type": ["integer", "null"]}})
    plan = {"file": _TEXT, "exit_code": _WHOLE, "reasons": _list(reason), "result": {"type": "object"}}
    return _object({"schema_version": {"const": "1.0"}, "exit_code": _WHOLE, "plans": _list(_object(plan))})


def result_schema() -> Json:
    """Return the JSON Schema of what the commands print: ``eval``, ``optimize``, ``explain``, ..."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mlsysim result",
        "anyOf": list(results().values()),
    }


def results() -> dict[str, Json]:
    """Return the schemas of the documents that commands print, by what they are of."""
    from mlsysim.core.fleet_schemas import fleet_result

    assertion = _object(
        {
            "metric": {"enum": list(METRICS)},
            "min": _MAYBE,
            "max": _MAYBE,
            "value": _MAYBE,
            "unit": _TEXT,
            "ok": _FLAG,
        }
    )
    assumption = _object(
        {"name": _TEXT, "value": {"type": ["number", "string", "null"]}, "unit": _TEXT, "source": _TEXT}
    )
    result = _object(
        {
            "schema_version": {"const": "1.0"},
            "scenario": _TEXT,
            "status": {"enum": ["pass", "fail", "sla_violation"]},
            "feasibility": _lens("feasibility"),
            "performance": _lens("performance"),
            "macro": _lens("macro"),
            "walls": _list(_wall(), 22),
            "because": schemas_why.because(),
            "assertions": _list(assertion),
            "plan": {"type": "object"},
            "assumptions": _list(assumption),
        },
        {"solution": _solution()},
    )
    error = _object(
        {
            "schema_version": {"const": "1.0"},
            "status": {"const": "error"},
            "error": _object(
                {
                    "code": _TEXT,
                    "where": {"type": ["string", "null"]},
                    "problem": _TEXT,
                    "hint": {"type": ["string", "null"]},
                }
            ),
        }
    )
    return {
        "plan": result,
        "wall": _one_wall(assumption),
        "validation": _validation(),
        "sweep": _sweep(),
        "jobs": fleet_result(assumption),
        "mix": mix_result(assumption),
        "files": _files(),
        "labs": _labs(),
        **schemas_why.documents(),
        "error": error,
    }

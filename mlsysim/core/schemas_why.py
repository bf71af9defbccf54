"""JSON Schemas of what explains: frontiers, conflicts and ways out, prices, specifications."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_MAYBE: Json = {"type": ["number", "null"]}
_WORD: Json = {"type": ["string", "null"]}
_FLAG: Json = {"type": "boolean"}
_WHOLE: Json = {"type": "integer"}
_PLAN: Json = {"type": ["object", "null"]}
_STATUS: Json = {"enum": ["pass", "fail", "sla_violation"]}


def record(required: Json, optional: Json | None = None) -> Json:
    """Return the schema of an object with these keys and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def several(item: Json) -> Json:
    """Return the schema of a list."""
    return {"type": "array", "items": item}


def conflict() -> Json:
    """Return the schema of what cannot hold together."""
    return several(
        record(
            {
                "tag": _TEXT,
                "wall": {"type": ["integer", "null"]},
                "name": _TEXT,
                "limit": _TEXT,
                "least": _MAYBE,
                "supply": _MAYBE,
                "unit": _WORD,
            }
        )
    )


def ways_out() -> Json:
    """Return the schema of ways out of a conflict."""
    return several(
        record(
            {
                "kind": {"enum": ["supply", "limit", "decision", "accelerators", "hardware"]},
                "title": _TEXT,
                "patch": {"type": "object"},
                "needed": _MAYBE,
                "there": _MAYBE,
                "unit": _WORD,
                "latency_ms": _NUMBER,
                "tco_usd": _NUMBER,
                "plan": {"type": "object"},
            }
        )
    )


def because() -> Json:
    """Return the schema of reasons."""
    return several(
        record(
            {
                "kind": {"enum": ["binds", "limit", "time"]},
                "name": _TEXT,
                "wall": {"type": ["integer", "null"]},
                "share": _NUMBER,
                "text": _TEXT,
                "supplies": several(_TEXT),
            }
        )
    )


def robust() -> Json:
    """Return the schema of a worst case."""
    return {
        "anyOf": [
            {"type": "null"},
            record(
                {
                    "share": _NUMBER,
                    "uncertain": several(_TEXT),
                    "unit": _TEXT,
                    "usual": _NUMBER,
                    "worst": _NUMBER,
                    "best_usual": _MAYBE,
                    "best_usual_worst": _MAYBE,
                    "price": _MAYBE,
                    "gain": _MAYBE,
                    "best_usual_plan": _PLAN,
                }
            ),
        ]
    }


def _supplies() -> Json:
    step = record(
        {
            "factor": _NUMBER,
            "amount": _NUMBER,
            "objective": _MAYBE,
            "change": _MAYBE,
            "feasible": _FLAG,
            "moved": _FLAG,
            "changes": _WORD,
            "plan": _PLAN,
        }
    )
    return several(
        record(
            {
                "name": _TEXT,
                "title": _TEXT,
                "wall": {"type": ["integer", "null"]},
                "unit": _TEXT,
                "there": _NUMBER,
                "per_unit": _MAYBE,
                "basis": _WORD,
                "less": step,
                "more": step,
                "range": record({"low": _MAYBE, "high": _MAYBE, "exact": _FLAG}),
            }
        )
    )


_OBJECTIVE = record({"name": _TEXT, "unit": _TEXT, "value": _MAYBE})


def documents() -> dict[str, Json]:
    """Return the schemas of the documents of ``explain``, ``solve`` and ``--pareto``."""

    def document(key: str, body: Json) -> Json:
        head = {"schema_version": {"const": "1.0"}, "scenario": _TEXT, "status": _STATUS}
        return record({**head, key: body})

    told = {"conflict": conflict(), "limits_dropped": several(_TEXT)}
    frontier = {
        "status": {"enum": ["optimal", "feasible", "infeasible"]},
        "respects": several(record({"name": _TEXT, "metric": _TEXT, "unit": _TEXT, "greatest": _FLAG})),
        "points": several(record({"values": several(_NUMBER), "plan": {"type": "object"}, "proven": _FLAG})),
        "engine": record(
            {
                "name": _TEXT,
                "version": _TEXT,
                "seconds": _NUMBER,
                "solves": _WHOLE,
                "after_presolve": _NUMBER,
                "verified_by": _WORD,
            }
        ),
    }
    explanation = {
        "objective": _OBJECTIVE,
        "plan": _PLAN,
        "because": because(),
        "would_change": _supplies(),
        "ways_out": ways_out(),
    }
    sensitivity = {"objective": _OBJECTIVE, "change": _NUMBER, "plan": _PLAN, "supplies": _supplies()}
    bodies = {
        "frontier": record(frontier | told),
        "explanation": record(explanation | told),
        "sensitivity": record(sensitivity | told),
        "synthesis": _synthesis(),
    }
    return {key: document(key, body) for key, body in bodies.items()}


def _synthesis() -> Json:
    supply = record(
        {
            "name": _TEXT,
            "title": _TEXT,
            "wall": {"type": ["integer", "null"]},
            "unit": _TEXT,
            "there": _NUMBER,
            "needed": _NUMBER,
            "factor": _NUMBER,
            "weight": _NUMBER,
        }
    )
    part = record(
        {
            "name": _TEXT,
            "value": _NUMBER,
            "meets": _FLAG,
            "patch": {"type": "object"},
            "tco_usd": _NUMBER,
            "short_of": several(_TEXT),
        }
    )
    return record(
        {
            "target": record(
                {"metric": _TEXT, "side": {"enum": ["max", "min"]}, "value": _NUMBER, "unit": _TEXT}
            ),
            "value": _MAYBE,
            "met": _FLAG,
            "possible": _FLAG,
            "weights": {"type": "object", "additionalProperties": _NUMBER},
            "cost": _MAYBE,
            "proof": {
                "anyOf": [
                    {"type": "null"},
                    record(
                        {
                            "bound": _NUMBER,
                            "gap": _NUMBER,
                            "within": _NUMBER,
                            "layouts": _WHOLE,
                            "programs": _WHOLE,
                        }
                    ),
                ]
            },
            "supplies": several(supply),
            "plan": _PLAN,
            "patch": _PLAN,
            "parts": several(part),
        }
    )

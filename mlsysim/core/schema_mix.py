"""JSON Schema of what ``optimize serving`` prints."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_MAYBE: Json = {"type": ["number", "null"]}
_WHOLE: Json = {"type": "integer"}


def _object(required: Json) -> Json:
    return {
        "type": "object",
        "properties": required,
        "required": list(required),
        "additionalProperties": False,
    }


def _list(item: Json) -> Json:
    return {"type": "array", "items": item}


def mix_result(assumption: Json) -> Json:
    """Return the schema of a serving mix, with that of an assumption."""
    a_class = {"name": _TEXT, "rate": _NUMBER, "batch": _WHOLE, "ttft_ms": _MAYBE, "itl_ms": _MAYBE}
    pool = {
        "accelerator": _TEXT,
        "precision": _TEXT,
        "tp": _WHOLE,
        "role": {"enum": ["mixed", "prefill", "decode"]},
        **dict.fromkeys(("instances", "accelerators", "batch"), _WHOLE),
        **dict.fromkeys(("utilization", "kv_share", "link_share", "wait_ms", "itl_ms"), _NUMBER),
        **dict.fromkeys(("cost_usd", "carbon_kgco2e"), _NUMBER),
        "classes": _list(_object({**a_class, "latency_ms": _MAYBE})),
    }
    hour = {
        "hour": _WHOLE,
        **dict.fromkeys(("rate", "cost_usd", "carbon_kgco2e"), _NUMBER),
        "pools": _list(_object(pool)),
    }
    conflict = {"tag": _TEXT, "wall": {"type": ["integer", "null"]}, "name": _TEXT, "limit": _TEXT}
    engine = {
        "name": _TEXT,
        "version": _TEXT,
        "seconds": _NUMBER,
        **dict.fromkeys(("variables", "rows", "nodes", "kinds", "considered"), _WHOLE),
        "verified_by": {"type": ["string", "null"]},
    }
    objective = {"name": _TEXT, "value": _MAYBE, "unit": _TEXT, "bound": _MAYBE, "gap": _MAYBE}
    solution = {
        "problem": {"const": "serving"},
        "status": {"enum": ["optimal", "feasible", "infeasible"]},
        "objective": _object(objective),
        "hours": _list(_object(hour)),
        "conflict": _list(_object(conflict)),
        "notes": _list(_TEXT),
        "engine": _object(engine),
    }
    return _object(
        {
            "schema_version": {"const": "1.0"},
            "scenario": _TEXT,
            "status": {"enum": ["pass", "fail", "sla_violation"]},
            "solution": _object(solution),
            "assumptions": _list(assumption),
        }
    )

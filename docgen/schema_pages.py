"""The references of the plan and of the results, from their JSON Schemas."""

from __future__ import annotations

from typing import Any

from docgen.tables import DO_NOT_EDIT, anchor, plain, table

Json = dict[str, Any]

PLAN = """# The plan file: every key

From the JSON Schema that `mlsysim schema` prints. [The plan](../plan.md) explains it; names of models,
accelerators and regions are those of `mlsysim zoo`.
"""
FLEET = """# The plan with several jobs: every key

From the JSON Schema that `mlsysim schema --fleet` prints.
[Plans with several jobs](../fleets.md) explains it.
"""
RESULT = """# Results: every key

What `-o json` prints, from the JSON Schema of `mlsysim schema --result`. A document is one of the following;
`null` stands for what does not apply, or is without end. The metrics are on
[a page of their own](metrics.md).
"""
# How many levels of keys are listed.
DEEPEST = 2
# What a document is, by the first key that it has of its own.
DOCUMENTS = {
    "feasibility": "An evaluation, and a plan with its solution",
    "wall": "One wall: `eval --wall`",
    "sets": "Predictions against measurements: `validate`",
    "sweep": "A campaign: `sweep`",
    "kind": "A plan with several jobs: `eval`, `optimize placement`",
    "frontier": "A frontier: `optimize parallelism --pareto`",
    "explanation": "An explanation: `explain`",
    "sensitivity": "Sensitivities: `solve sensitivity`",
    "synthesis": "The least hardware for a target: `solve synthesis`",
    "solution": "A serving mix: `optimize serving`",
    "error": "An error, of any command",
    "labs": "The list of labs: `lab`",
    "exit_code": "Plans of a pull request: `ci`",
}


def plan_page() -> str:
    """Return the page of the plan."""
    from mlsysim.core.schemas import plan_schema

    return DO_NOT_EDIT + PLAN + _model(plan_schema(), "Plan")


def fleet_page() -> str:
    """Return the page of the plan with several jobs."""
    from mlsysim.core.schemas import fleet_plan_schema

    return DO_NOT_EDIT + FLEET + _model(fleet_plan_schema(), "Plan")


def _model(schema: Json, title: str) -> str:
    """Return a section for the root and one for each block, in the order of their first use."""
    blocks: Json = schema.get("$defs", {})
    order: list[str] = []
    _visit(schema, blocks, order)
    sections = [_block(title, schema)] + [_block(name, blocks[name]) for name in order]
    return "\n" + "\n".join(sections)


def _visit(node: Any, blocks: Json, order: list[str]) -> None:
    """Collect the names of blocks that a node refers to."""
    if isinstance(node, dict):
        name = str(node.get("$ref", "")).removeprefix("#/$defs/")
        if name and name not in order:
            order.append(name)
            _visit(blocks[name], blocks, order)
        for key, value in node.items():
            if key != "$defs":
                _visit(value, blocks, order)
    elif isinstance(node, list):
        for value in node:
            _visit(value, blocks, order)


def _block(name: str, schema: Json) -> str:
    needed = set(schema.get("required", ()))
    rows = [
        (f"`{key}`", kind(of), _default(of, key in needed), plain(_meaning(of)))
        for key, of in schema.get("properties", {}).items()
    ]
    said = plain(" ".join(str(schema.get("description", "")).split()))
    body = table(("key", "value", "if absent", "meaning"), rows) if rows else f"A value: {kind(schema)}.\n"
    return f"## {name}\n\n{said}\n\n{body}"


def _meaning(of: Json) -> str:
    if "description" in of:
        return str(of["description"])
    for option in of.get("anyOf", ()):
        if "description" in option:
            return str(option["description"])
    return ""


def _default(of: Json, needed: bool) -> str:
    if needed:
        return "**required**"
    value = of.get("default")
    return (
        ""
        if value is None or value in ([], {})
        else f"`{str(value).lower() if isinstance(value, bool) else value}`"
    )


def kind(of: Json) -> str:
    """Return what a value may be, in a few words of Markdown."""
    if "$ref" in of:
        name = of["$ref"].removeprefix("#/$defs/")
        return f"[{name}](#{anchor(name)})"
    if "anyOf" in of or "oneOf" in of:
        options = [kind(o) for o in of.get("anyOf") or of.get("oneOf") or () if o.get("type") != "null"]
        return " or ".join(dict.fromkeys(options))
    if "const" in of:
        return f"`{of['const']}`"
    if "enum" in of:
        return ", ".join(f"`{v}`" for v in of["enum"])
    kinds = of.get("type", "")
    if isinstance(kinds, list):
        return " or ".join(k for k in kinds if k != "null")
    if kinds == "array":
        return f"list of {kind(of['items'])}" if of.get("items") else "list"
    if kinds == "object":
        inner = of.get("additionalProperties")
        return f"mapping of names to {kind(inner)}" if isinstance(inner, dict) else "mapping"
    return str(kinds) + _bounds(of)


def _bounds(of: Json) -> str:
    low, above = of.get("minimum"), of.get("exclusiveMinimum")
    high, below = of.get("maximum"), of.get("exclusiveMaximum")
    parts = []
    if above is not None:
        parts.append(f"&gt; {above:g}")
    elif low:
        parts.append(f"from {low:g}")
    if below is not None:
        parts.append(f"&lt; {below:g}")
    elif high is not None and high < 1e30:
        parts.append(f"to {high:g}")
    return " " + " ".join(parts) if parts else ""


def result_page() -> str:
    """Return the page of the results."""
    from mlsysim.core.schemas import result_schema

    sections = [f"## {_title(d)}\n\n{_keys(d)}" for d in result_schema()["anyOf"]]
    return DO_NOT_EDIT + RESULT + "\n" + "\n".join(sections)


def _title(document: Json) -> str:
    """Return a name for a document: by what it has that is its own."""
    common = ("schema_version", "scenario", "status", "plan", "assumptions")
    first = next(k for k in document.get("properties", {}) if k not in common)
    return DOCUMENTS.get(first, f"A document with `{first}`")


def _keys(document: Json) -> str:
    rows: list[tuple[str, str, str]] = []
    _flatten(document, "", rows, 0)
    return table(("key", "value", "always"), rows)


def _flatten(of: Json, prefix: str, rows: list[tuple[str, str, str]], depth: int) -> None:
    needed = set(of.get("required", ()))
    for key, value in of.get("properties", {}).items():
        name = f"{prefix}{key}"
        rows.append((f"`{name}`", kind(value), "yes" if key in needed else ""))
        if key in ("metrics", "units") or depth >= DEEPEST:
            continue
        for inner, sign in ((value, ""), (value.get("items", {}), "[]")):
            for option in (inner, *inner.get("anyOf", ())):
                if option.get("properties"):
                    _flatten(option, f"{name}{sign}.", rows, depth + 1)

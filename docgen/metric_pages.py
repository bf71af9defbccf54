"""The references of metrics, limits, supplies and exit codes, from where the code has them."""

from __future__ import annotations

from dataclasses import fields

from docgen.tables import DO_NOT_EDIT, plain, table

METRICS_HEAD = """# Metrics

What an evaluation says in numbers: what `constraints.assert` may bound, a sweep may make best, and `-o json`
prints. The short name is enough where only one metric has it: `latency` is `performance.latency`. A bare
number in an assertion has the metric's unit.

The fourth column says which plans have a metric: *run* are training plans with `training_tokens`, *service*
those with a `serving` block, *queue* those with a rate of requests.
"""
LIMITS_HEAD = """# Limits

What a plan's `constraints` block may limit besides metrics. `eval` compares (exit code 3 where one is
broken), `optimize` keeps them.
"""
LENSES = {"feasibility": "Feasibility", "performance": "Performance", "macro": "Macro"}
NEEDS = {"serving": "service", "batching": "service", "queue": "queue"}


def metrics_page() -> str:
    """Return the page of the metrics."""
    from mlsysim.core.metrics import METRICS

    parts = [DO_NOT_EDIT + METRICS_HEAD]
    for lens, title in LENSES.items():
        rows = [
            (
                f"`{m.name}`",
                "" if m.unit == "1" else m.unit,
                plain(m.title),
                ", ".join([*["run"] * m.of_run, *dict.fromkeys(NEEDS.get(n, n) for n in m.needs)]) or "all",
            )
            for m in METRICS.values()
            if m.name.startswith(lens + ".")
        ]
        parts.append(f"## {title}\n\n{table(('metric', 'unit', 'what it is', 'of'), rows)}")
    return "\n".join(parts)


def limits_page() -> str:
    """Return the page of the limits that a plan may set on walls."""
    from mlsysim.walls import WALLS, Limits

    rows = [
        (
            f"`{f.name}`",
            "share" if f.metadata["share"] else ("" if f.metadata["unit"] == "1" else f.metadata["unit"]),
            plain(f.metadata["text"]),
            f"[{w} {WALLS[w - 1].name}](../walls.md#w{w:02d})",
        )
        for f in fields(Limits)
        for w in [f.metadata["wall"]]
    ]
    return DO_NOT_EDIT + LIMITS_HEAD + "\n" + table(("key", "unit", "meaning", "wall"), rows)


EXIT_HEAD = """# Exit codes

The same for every command, so that a script or a pipeline can branch on them.
"""
EXIT_TAIL = """
A usage error of the command line (an unknown option, a missing argument) is bad input too. With `-o json`
an error is one JSON document on stdout, `{"status": "error", "error": {"code", "where", "problem", "hint"}}`;
otherwise it is one message on stderr that says where, what is wrong, and what to do. An interrupt ends with
130 where there is nothing to show yet; an optimizer that is interrupted shows the best plan that it has, with
its gap.

`sweep` ends with 0 if some row holds, or if the campaign has no objective; else with 3 if limits are in the
way, and with 2 if physics is. Rows that fail are rows of its table.
"""


def exit_page() -> str:
    """Return the page of the exit codes, from the README's table."""
    from docgen.snippets import ROOT

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = readme[readme.index("| code | meaning |") :].splitlines()
    rows = [line for line in lines[: lines.index("")] if line.startswith("|")]
    return DO_NOT_EDIT + EXIT_HEAD + "\n" + "\n".join(rows) + "\n" + EXIT_TAIL

"""The order of the site's pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from docgen import cli_page, formulation_pages, metric_pages, registry_pages, schema_pages
from docgen.snippets import ROOT
from formulations.statements import STATEMENTS

# Pages that are made when the site is built, and by what.
GENERATED: dict[str, Callable[[], str]] = {
    "reference/cli.md": cli_page.page,
    "reference/exit_codes.md": metric_pages.exit_page,
    "reference/plan.md": schema_pages.plan_page,
    "reference/fleet_plan.md": schema_pages.fleet_page,
    "reference/result.md": schema_pages.result_page,
    "reference/metrics.md": metric_pages.metrics_page,
    "reference/limits.md": metric_pages.limits_page,
    "reference/entries.md": registry_pages.entries_page,
    "reference/defaults.md": registry_pages.defaults_page,
    "reference/sources.md": registry_pages.sources_page,
    **formulation_pages.pages(),
    "changelog.md": lambda: (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
}

Nav = list[dict[str, Any]]

NAV: Nav = [
    {"Overview": "index.md"},
    {"Ten-minute start": "start.md"},
    {
        "Concepts": [
            {"The plan": "plan.md"},
            {"Evaluation and scorecard": "evaluation.md"},
            {"The 22 walls": "walls.md"},
            {"Efficiency and fidelity": "predictions.md"},
            {"Memory": "memory.md"},
            {"Parallelism": "parallelism.md"},
            {"Failures and checkpoints": "failures.md"},
            {"Serving": "serving.md"},
            {"Serving a mix": "serving_mix.md"},
            {"Placement": "placement.md"},
            {"Several jobs": "fleets.md"},
            {"Sustainability": "sustainability.md"},
            {"Money": "money.md"},
            {"Conflicts and why": "why.md"},
            {"Sweeps": "sweeps.md"},
            {"Registry and provenance": "registry.md"},
            {"Engines and proof": "proof.md"},
        ]
    },
    {
        "Formulations": [
            {"The language of problems": "formulations/language.md"},
            *({s.title: f"formulations/{s.name}.md"} for s in STATEMENTS),
            {"Analyses": "formulations/analyses.md"},
        ]
    },
    {
        "How-to": [
            {"Plots": "plots.md"},
            {"Labs": "labs.md"},
            {"Use in CI": "ci.md"},
            {"Use from an agent": "agents.md"},
            {"Add hardware": "howto/hardware.md"},
            {"Add a wall": "howto/wall.md"},
            {"Add a formulation": "howto/formulation.md"},
            {"Add a solver": "howto/solver.md"},
            {"Work on these pages": "howto/docs.md"},
        ]
    },
    {
        "Reference": [
            {"Command line": "reference/cli.md"},
            {"Exit codes": "reference/exit_codes.md"},
            {"Plan": "reference/plan.md"},
            {"Plan with several jobs": "reference/fleet_plan.md"},
            {"Results": "reference/result.md"},
            {"Metrics": "reference/metrics.md"},
            {"Limits": "reference/limits.md"},
            {"Registry entries": "reference/entries.md"},
            {"Defaults": "reference/defaults.md"},
            {"Sources": "reference/sources.md"},
            {"Python": "api.md"},
        ]
    },
    {"Accuracy": "accuracy.md"},
    {"Changelog": "changelog.md"},
]


def nav() -> Nav:
    """Return the navigation, without the pages that are not there."""
    return _there(NAV)


def pages(items: Nav | None = None) -> list[str]:
    """Return the paths of all pages of a navigation."""
    found: list[str] = []
    for item in nav() if items is None else items:
        for value in item.values():
            found += pages(value) if isinstance(value, list) else [value]
    return found


def _there(items: Nav) -> Nav:
    found: Nav = []
    for item in items:
        for title, value in item.items():
            if isinstance(value, list):
                inner = _there(value)
                found += [{title: inner}] if inner else []
            elif value in GENERATED or (ROOT / "docs" / value).is_file():
                found.append({title: value})
    return found

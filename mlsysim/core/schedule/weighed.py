"""Schedules over a range of carbon taxes, and those that none beats, as text and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mlsysim.core import text, units
from mlsysim.core.schedule.document import totals
from mlsysim.core.schedule.summary import Judged, regions_of

Json = dict[str, Any]
METRICS = {"cost": ("cost_usd", "USD"), "carbon": ("carbon_tco2e", "tCO2e"), "water": ("water_l", "L")}
TAX = "USD/tCO2e"
NAMED = 3  # jobs that a table names


@dataclass(frozen=True)
class Taxed:
    """A schedule and the carbon taxes between which it is the best [USD/kgCO2e]."""

    low: float
    high: float
    answer: Judged


@dataclass(frozen=True)
class Taxes:
    """The best schedules over a range of the carbon tax.

    Attributes:
        plans: from the low end to the high one.
        gap: how far any of them can be from the best, relative; None where nothing is proven.
        proven: whether the points of change are exact.
        solves: how many problems were solved.
    """

    plans: tuple[Taxed, ...]
    gap: float | None
    proven: bool
    solves: int


@dataclass(frozen=True)
class Pareto:
    """Schedules that none beats in all metrics.

    Attributes:
        metrics: names of :data:`METRICS`.
        points: schedules, each with the gap of its proof.
        complete: whether these are all.
        solves: how many problems were solved.
    """

    metrics: tuple[str, ...]
    points: tuple[tuple[Judged, float | None], ...]
    complete: bool
    solves: int


def changed(before: Judged, after: Judged) -> list[str]:
    """Return the jobs that run elsewhere in another schedule."""
    a, b = regions_of(before), regions_of(after)
    return [name for name in b if a.get(name) != b[name]]


def taxes_document(t: Taxes | None) -> Json | None:
    """Return the schedules over a range of taxes as JSON."""
    if t is None:
        return None
    answers = [p.answer for p in t.plans]
    moved = [[], *(changed(a, b) for a, b in pairwise(answers))]
    return {
        "unit": TAX,
        "proven": t.proven,
        "gap": t.gap,
        "solves": t.solves,
        "plans": [
            {
                "from": units.from_base(p.low, TAX),
                "to": units.from_base(p.high, TAX),
                "totals": totals(p.answer),
                "plan": regions_of(p.answer),
                "changed": names,
            }
            for p, names in zip(t.plans, moved, strict=True)
        ],
    }


def pareto_document(p: Pareto | None) -> Json | None:
    """Return a frontier as JSON."""
    if p is None:
        return None
    return {
        "metrics": list(p.metrics),
        "complete": p.complete,
        "solves": p.solves,
        "points": [
            {"totals": totals(answer), "plan": regions_of(answer), "gap": gap} for answer, gap in p.points
        ],
    }


def taxes_table(t: Taxes) -> tuple[list[str], list[list[str]]]:
    """Return the header and rows of the schedules over a range of taxes."""
    rows = []
    before: Judged | None = None
    for p in t.plans:
        low, high = (text.number(units.from_base(x, TAX)) for x in (p.low, p.high))
        taken = totals(p.answer)
        moves = "" if before is None else _moves(before, p.answer)
        rows.append([f"{low} - {high}", *_amounts(taken, ("cost", "carbon")), moves])
        before = p.answer
    return ["carbon tax $/t", "cost", "carbon", "what moves"], rows


def pareto_table(p: Pareto) -> tuple[list[str], list[list[str]]]:
    """Return the header and rows of a frontier."""
    rows = []
    before: Judged | None = None
    for answer, _ in p.points:
        moves = "" if before is None else _moves(before, answer)
        rows.append([*_amounts(totals(answer), p.metrics), moves])
        before = answer
    return [*p.metrics, "what moves"], rows


def proof_of_taxes(t: Taxes) -> str:
    """Return in words how far the points of change are proven."""
    told = f"{len(t.plans)} schedule{'s' * (len(t.plans) > 1)}, {t.solves} solves; "
    if t.proven:
        return told + "the points of change are exact."
    if t.gap is None:
        return told + "not proven."
    return told + f"each within {t.gap:.2%} of the best at every tax."


def proof_of_pareto(p: Pareto) -> str:
    """Return in words how far a frontier is complete."""
    left = "all that there are" if p.complete else "there are more between them, or not all are proven"
    return (
        f"{len(p.points)} schedules that none beats in {' and '.join(p.metrics)}: {left}; {p.solves} solves."
    )


def _amounts(taken: Json, names: tuple[str, ...]) -> list[str]:
    return [text.amount(taken[key], unit) for key, unit in (METRICS[name] for name in names)]


def _moves(before: Judged, after: Judged) -> str:
    names = changed(before, after)
    if not names:
        return "hours only"
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more

"""A placed plan as one JSON document."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from mlsysim.core import units
from mlsysim.core.schedule.placement import Placement
from mlsysim.core.schedule.summary import Judged, Stretch, parts_of, stretches

Json = dict[str, Any]
UNITS = {
    "cost_usd": "USD",
    "carbon_tco2e": "tCO2e",
    "water_l": "L",
    "energy_kwh": "kWh",
    "objective_usd": "USD",
}


def document(p: Placement) -> Json:
    """Return the document of ``eval`` and ``optimize placement`` for a plan with several jobs."""
    from mlsysim.core.schedule.weighed import pareto_document, taxes_document

    s, clock = p.scenario, p.scenario.clock
    shown = p.answer
    return {
        "schema_version": "1.0",
        "kind": "fleet",
        "scenario": s.name,
        "status": p.status,
        "totals": None if shown is None else totals(shown),
        "units": UNITS,
        "jobs": [] if shown is None else _jobs(p, shown),
        "regions": [] if shown is None else _regions(shown),
        "hours": {
            "start": clock.start.isoformat(),
            "step_s": clock.step,
            "slots": clock.slots,
            "regions": [] if shown is None else _hours(shown),
        },
        "limits": [] if shown is None else [asdict(b) for b in shown.broken],
        "baselines": [
            {
                "name": b.name,
                "title": b.title,
                "status": b.status,
                "totals": totals(b),
                "unplaced": list(b.unplaced),
                "limits": [asdict(x) for x in b.broken],
            }
            for b in p.baselines
        ],
        "impossible": [asdict(x) for x in s.impossible],
        "conflict": None if p.clash is None else asdict(p.clash),
        "prices": [asdict(x) for x in p.prices],
        "taxes": taxes_document(p.taxes),
        "pareto": pareto_document(p.pareto),
        "solution": _solution(p),
        "notes": list(p.notes),
        "plan": s.plan.to_dict(),
        "assumptions": [asdict(a) for a in s.assumptions],
    }


def totals(j: Judged) -> Json:
    """Return what a schedule takes in all."""
    cost, carbon, water = j.usage.total()
    return {
        "cost_usd": cost,
        "carbon_tco2e": units.from_base(carbon, "tCO2e"),
        "water_l": water,
        "energy_kwh": units.from_base(float(j.usage.energy.sum()), "kWh"),
        "objective_usd": j.objective,
    }


def _taken(j: Judged, rows: Any, columns: Any) -> Json:
    u = j.usage
    where = np.ix_(rows, columns)
    return {
        "cost_usd": float(u.cost[where].sum()),
        "carbon_tco2e": units.from_base(float(u.carbon[where].sum()), "tCO2e"),
        "water_l": float(u.water[where].sum()),
        "energy_kwh": units.from_base(float(u.energy[where].sum()), "kWh"),
    }


def _jobs(p: Placement, j: Judged) -> list[Json]:
    """Return the jobs of the plan: what each takes, and where and when it runs."""
    fleet, clock = j.fleet, p.scenario.clock
    everywhere = range(len(fleet.places.names))
    found = []
    for part in parts_of(fleet):
        runs = stretches(fleet, j.schedule, part.jobs)
        found.append(
            {
                "name": part.name,
                "kind": part.kind,
                "placed": part.name not in j.unplaced,
                "start": clock.time(min(r.first for r in runs)).isoformat() if runs else None,
                "end": clock.time(max(r.end for r in runs)).isoformat() if runs else None,
                **_taken(j, part.jobs, everywhere),
                "regions": [
                    {"name": fleet.places.names[r], **_taken(j, part.jobs, [r])}
                    for r in dict.fromkeys(run.region for run in runs)
                ],
                "runs": _runs(p, j, runs),
            }
        )
    return found


def _runs(p: Placement, j: Judged, runs: list[Stretch]) -> list[Json]:
    """Return where and when a job runs."""
    places, clock = j.fleet.places, p.scenario.clock
    return [
        {
            "region": places.names[r.region],
            "hardware": places.hardware[r.hardware],
            "accelerators": r.accelerators,
            "first_slot": r.first,
            "end_slot": r.end,
            "start": clock.time(r.first).isoformat(),
            "end": clock.time(r.end).isoformat(),
        }
        for r in runs
    ]


def schedule(p: Placement, j: Judged) -> Json:
    """Return where and when each job runs."""
    parts = parts_of(j.fleet)
    return {part.name: _runs(p, j, stretches(j.fleet, j.schedule, part.jobs)) for part in parts}


def _regions(j: Judged) -> list[Json]:
    """Return what runs in each region and what of it is held at most."""
    places, u = j.fleet.places, j.usage
    return [
        {
            "name": name,
            **_taken(j, range(len(j.fleet.jobs)), [r]),
            "peak_power_mw": units.from_base(float(u.power[r].max()), "MW"),
            "power_mw": _finite(units.from_base(float(places.power[r].max()), "MW")),
            "carbon_cap_tco2e": _finite(units.from_base(float(places.carbon_cap[r]), "tCO2e")),
            "accelerators": {
                kind: {
                    "peak": float(u.accelerators[h, r].max()),
                    "there": _finite(float(places.accelerators[h, r].max())),
                }
                for h, kind in enumerate(places.hardware)
            },
        }
        for r, name in enumerate(places.names)
    ]


def _hours(j: Judged) -> list[Json]:
    """Return electricity's cost and carbon, power and accelerators slot by slot where something runs."""
    places, u = j.fleet.places, j.usage
    return [
        {
            "name": name,
            "electricity_usd": u.by_slot[0, r].tolist(),
            "operational_tco2e": (u.by_slot[1, r] / units.factor("tCO2e")[0]).tolist(),
            "water_l": u.by_slot[2, r].tolist(),
            "power_mw": (u.power[r] / units.factor("MW")[0]).tolist(),
            "accelerators": {
                kind: u.accelerators[h, r].tolist()
                for h, kind in enumerate(places.hardware)
                if u.accelerators[h, r].any()
            },
        }
        for r, name in enumerate(places.names)
        if u.accelerators[:, r].any()
    ]


def _finite(x: float) -> float | None:
    return x if np.isfinite(x) else None


def _solution(p: Placement) -> Json | None:
    """Return what was proven; None where nothing was optimized."""
    if p.proof is None:
        return None
    x, weights = p.proof, p.scenario.fleet.weights
    return {
        "problem": "placement",
        "status": x.status,
        "objective": {
            "name": "cost + carbon tax + water price",
            "unit": "USD",
            "carbon_tax_usd_per_tco2e": units.from_base(weights.carbon, "USD/tCO2e"),
            "water_price_usd_per_l": weights.water,
            "value": x.objective,
            "bound": x.bound,
            "gap": x.gap,
        },
        "plan": p.decided,
        "limits_dropped": list(p.dropped),
        "engine": {
            "name": x.engine,
            "version": x.version,
            "seconds": x.seconds,
            "columns": x.columns,
            "rows": x.rows,
            "verified_by": "eval" if p.answer is not None else None,
        },
    }

"""A scenario written back as a plan, complete: ``eval`` accepts it unchanged."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from mlsysim.core import units
from mlsysim.core.layout import Layout
from mlsysim.core.scenario import Scenario
from mlsysim.core.supplies import written
from mlsysim.walls import Limits

Json = dict[str, Any]


def plan_of(scenario: Scenario, layout: Layout | None) -> Json:
    """Return a scenario and a layout as a complete plan."""
    s = scenario.settings
    workload: Json = {
        "name": s.model.reference,
        "batch_size": scenario.batch,
        "phase": s.phase,
        "seq_len": scenario.seq_len,
        "precision": scenario.precision,
        "efficiency": "auto" if s.efficiency is None else s.efficiency,
        "attention": "fused" if s.fused_attention else "unfused",
        "dropout": s.dropout,
    }
    if s.lora is not None:
        workload["lora"] = {"rank": int(s.lora.rank), "targets": list(s.lora.targets)}
    if s.tokens is not None:
        workload["training_tokens"] = s.tokens
    if scenario.optimizer:
        workload["optimizer"] = scenario.optimizer
    hardware: Json = {"name": s.hardware.reference, "accelerators": scenario.accelerators}
    if s.node:
        hardware["node"] = s.node.name
    ops: Json = {
        "region": scenario.region.reference,
        "duration_days": units.from_base(scenario.duration, "day"),
        "ownership": "rent" if s.rented else "own",
        "pue": scenario.site.pue,
    }
    plan: Json = {"version": "1.0"}
    if s.name:
        plan["name"] = s.name
    plan |= {"workload": workload, "hardware": hardware, "ops": ops}
    if layout is not None:
        plan["parallelism"] = layout.to_dict()
    for name, block in s.given.items():
        plan[name] = block
    if changes := written(s):
        plan["what_if"] = changes
    constraints: Json = {}
    for f in fields(Limits):
        value = getattr(s.limits, f.name)
        if value is not None:
            unit = f.metadata["unit"]
            number = units.from_base(value, unit)
            constraints[f.name] = number if unit == "1" else f"{number:.12g} {unit}"
    if s.bounds:
        constraints["assert"] = [
            {"metric": b.metric.name}
            | {
                side: units.from_base(x, b.metric.unit)
                for side, x in (("min", b.low), ("max", b.high))
                if x is not None
            }
            for b in s.bounds
        ]
    if constraints:
        plan["constraints"] = constraints
    return plan

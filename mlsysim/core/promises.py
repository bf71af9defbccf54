"""What a plan promises besides speed: fidelity, privacy, fairness, a target time."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from mlsysim.core import registry, yamlfile
from mlsysim.core.errors import InputError
from mlsysim.core.provenance import Value
from mlsysim.core.scenario import Assumptions, Scenario
from mlsysim.physics import compression, privacy

# The usual way to run in a format, preferred where the tables have it.
_USUAL = {
    ("fp8", "training"): "fp8_training",
    ("fp8", "inference"): "fp8_ptq",
    ("int8", "inference"): "smoothquant",
    ("int4", "inference"): "gptq",
}


def extras(s: Scenario, take: Assumptions) -> dict[str, Any]:
    """Return the fields of a state that a plan's promises fill.

    Raises:
        InputError: a block says something that cannot be.
    """
    found: dict[str, Any] = {"compression": _fidelity(s, take), "target": target_of(s)}
    if s.settings.phase == "training":
        found["privacy"] = _privacy(s, take)
    return {name: value for name, value in found.items() if value is not None}


def target_of(s: Scenario) -> float | None:
    """Return the tightest largest latency that the plan asserts [s]; None where it asserts none."""
    asked = [b.high for b in s.settings.bounds if b.metric.name == "performance.latency"]
    return min((high for high in asked if high is not None), default=None)


@cache
def _curves() -> tuple[compression.Curve, ...]:
    name = "measurements/fidelity.yaml"
    tables = yamlfile.load_plain(yamlfile.read_text(registry.root() / name), name)
    return compression.curves(tables, lambda record, like: Value.parse(record, like, name).base)


def _fidelity(s: Scenario, take: Assumptions) -> compression.Fidelity | None:
    """Return the published loss of the run's format; None where no table comes near."""
    block = s.settings.blocks.get("fidelity", {})
    weights = block.get("weights") or s.precision
    sparsity = block.get("sparsity", compression.DENSE)
    model = s.model
    if compression.is_reference(weights, sparsity):
        return compression.Fidelity(0.0, "the format that others are compared with")
    known = compression.methods(_curves(), model.group, weights, sparsity)
    method = block.get("method")
    if method is None:
        usual = _USUAL.get((weights, s.settings.phase))
        method = usual if usual in known else next(iter(known), None)
        if method is None:
            return None
        take.choose("compression method", method, "the usual one of the format that tables have")
    elif method not in known:
        raise InputError(
            f"no table for {method!r} with {weights}, sparsity {sparsity}",
            where="fidelity.method",
            hint=f"there are: {', '.join(known) or 'none for this kind of model'}",
        )
    return compression.look_up(
        _curves(),
        group=model.group,
        family=model.family,
        method=method,
        weights=weights,
        sparsity=sparsity,
        params=model.parameters.base,
        reach=take.take("fidelity_reach"),
    )


def _privacy(s: Scenario, take: Assumptions) -> privacy.Privacy | None:
    """Return what private training and fairness among groups ask for."""
    p, f = s.settings.blocks.get("privacy"), s.settings.blocks.get("fairness")
    if p is None and f is None:
        return None
    fields: dict[str, Any] = {}
    if p is not None:
        slowdown = p["slowdown"]
        fields["slowdown"] = slowdown if slowdown is not None else take.take(f"dp_slowdown_{p['clipping']}")
        fields |= _epsilon(s, p, take)
    if f is not None:
        fields["subgroups"] = float(f["groups"])
        for key in ("difference", "confidence"):
            fields[key] = f[key] if f[key] is not None else take.take(f"subgroup_{key}")
        fields["smallest"] = None if f["smallest_group"] is None else float(f["smallest_group"])
    return privacy.Privacy(**fields)


def _epsilon(s: Scenario, p: dict[str, Any], take: Assumptions) -> dict[str, Any]:
    """Return epsilon by the accountant, where the plan says what it needs."""
    if p["noise"] is None or p["samples"] is None:
        return {}
    from mlsysim.core.solver.privacy import epsilon

    if s.batch > p["samples"]:
        raise InputError("the data set is smaller than a batch", where="privacy.samples")
    delta = p["delta"] if p["delta"] is not None else take.take("privacy_delta")
    found = epsilon(
        noise=p["noise"],
        sample_rate=float(privacy.sample_rate(float(s.batch), float(p["samples"]))),
        steps=math.ceil(p["epochs"] * p["samples"] / s.batch),
        delta=delta,
        accountant=p["accountant"],
    )
    return {"epsilon": found, "delta": delta}

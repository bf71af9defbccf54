"""Invariants of models and regions: totals against their parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlsysim.core.check.references import Library
from mlsysim.core.check.report import Problem
from mlsysim.core.errors import RegistryError

# Published counts are rounded to three digits or leave out a pooler or segment embedding.
COUNT_TOLERANCE = 0.01
METHODS = ("direct", "lifecycle", "location")


def model_problems(model: Any) -> Iterator[Problem]:
    """Yield where a model's totals do not follow from its layers, or from what every model obeys."""
    total, active = model.parameters.base, model.parameters_active
    if active is not None and active.base > total:
        yield Problem("parameters_active", "more than all parameters")
    sizes = list(_sizes(model.architecture)) if model.architecture is not None else []
    yield from sizes
    if sizes:
        return
    if model.is_transformer:
        yield from _transformer(model)
    elif model.kind == "mamba":
        yield from _mamba(model)
    elif model.flops_per_sample is None:
        yield Problem("flops_per_sample", "a model of kind operations needs it")
    elif model.bytes_per_sample is None:
        # Each weight is used at least once a sample, in one multiply-add; only tables that are
        # looked up (bytes_per_sample) and experts that are skipped (parameters_active) are not.
        ratio = model.flops_per_sample.base / (active.base if active is not None else total)
        if ratio < 1.9:
            yield Problem(
                "flops_per_sample",
                f"{ratio:.3g} FLOP a parameter; a sample that passes through "
                "every weight takes at least 2 (a multiply-add counts as two)",
            )


def _sizes(a: Any) -> Iterator[Problem]:
    def size(name: str) -> float:
        value = getattr(a, name)
        return value.base if value is not None else 0.0

    for small, large in (
        ("kv_heads", "heads"),
        ("experts_active", "experts"),
        ("dense_layers", "layers"),
        ("window", "context"),
        ("full_layers", "layers"),
    ):
        if size(large) and size(small) > size(large):
            yield Problem(f"architecture.{small}", f"{size(small):g} is more than {large}, {size(large):g}")
    if size("kv_heads") and size("heads") % size("kv_heads"):
        yield Problem(
            "architecture.kv_heads", f"{size('heads'):g} heads do not divide over {size('kv_heads'):g}"
        )
    if a.experts is not None and (a.experts_active is None or a.expert_ffn is None):
        yield Problem("architecture.experts", "a mixture of experts needs experts_active and expert_ffn")


def _transformer(model: Any) -> Iterator[Problem]:
    from mlsysim.physics.transformer import active_params, embedding_params, head_params, total_params

    try:
        layers = model.transformer
    except RegistryError as error:
        yield Problem("architecture", error.problem)
        return
    yield from _count(model, total_params(layers))
    if model.parameters_active is None:
        if layers.experts:
            yield Problem("parameters_active", "a mixture of experts needs it")
        return
    # Some makers leave the input or output embedding out of the active count, none counts more.
    most = active_params(layers)
    least = most - embedding_params(layers) - head_params(layers)
    stated = model.parameters_active.base
    if not (1 - COUNT_TOLERANCE) * least <= stated <= (1 + COUNT_TOLERANCE) * most:
        yield Problem(
            "parameters_active",
            f"{stated:.4g}, but layers and widths make {least:.4g} without and {most:.4g} with embeddings",
        )


def _mamba(model: Any) -> Iterator[Problem]:
    from mlsysim.models.lower import state_space
    from mlsysim.physics.statespace import total_params

    a = model.architecture
    needs = ("layers", "hidden", "state", "expand", "conv", "dt_rank", "vocab")
    missing = [name for name in needs if a is None or getattr(a, name) is None]
    if missing:
        yield Problem(f"architecture.{missing[0]}", "a mamba model needs it")
    else:
        yield from _count(model, total_params(state_space(a, model.name)))


def _count(model: Any, computed: float) -> Iterator[Problem]:
    stated = model.parameters.base
    if not abs(stated / computed - 1.0) <= COUNT_TOLERANCE:
        yield Problem(
            "parameters",
            f"{stated:.5g} stated, but layers and widths make {computed:.5g} "
            f"({100 * (stated / computed - 1):+.1f}%)",
        )


def region_problems(region: Any, library: Library) -> Iterator[Problem]:
    """Yield a carbon intensity without its method, and values that should be those of another region."""
    intensity = region.carbon_intensity
    if intensity is not None and intensity.method not in METHODS:
        yield Problem(
            "carbon_intensity", f"method is one of {', '.join(METHODS)}; they differ by tens of percent"
        )
    for name, value in region.values().items():
        if value.kind != "derived" or len(value.inputs) != 1:
            continue
        other = getattr(library.find("infra", value.inputs[0]), name, None)
        if other is not None and abs(value.base - other.base) > 1e-6 * abs(other.base):
            yield Problem(
                name, f"derived from {value.inputs[0]}, whose value is {other.value:g} {other.unit}"
            )

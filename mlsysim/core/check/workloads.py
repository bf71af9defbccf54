"""Invariants of models and regions: totals against their parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlsysim.core.check.entries import Read
from mlsysim.core.check.references import Library
from mlsysim.core.check.report import Notes
from mlsysim.core.errors import RegistryError

# Published counts are rounded to three digits or leave out a pooler or segment embedding.
COUNT_TOLERANCE = 0.01
METHODS = ("direct", "lifecycle", "location")


def check_model(model: Any, file: str, notes: Notes) -> None:
    """Log where a model's totals do not follow from its layers, or from what every model obeys."""
    total, active = model.parameters.base, model.parameters_active
    if active is not None and active.base > total:
        notes.error(file, "parameters_active", "more than all parameters")
    for name, problem in _sizes(model):
        notes.error(file, f"architecture.{name}", problem)
    if notes.has_error(file):
        return
    if model.is_transformer:
        _transformer(model, file, notes)
    elif model.kind == "mamba":
        _mamba(model, file, notes)
    elif model.flops_per_sample is None:
        notes.error(file, "flops_per_sample", "a model of kind operations needs it")
    elif model.bytes_per_sample is None:
        # Each weight is used at least once a sample, in one multiply-add; only tables that are
        # looked up (bytes_per_sample) and experts that are skipped (parameters_active) are not.
        used = active.base if active is not None else total
        if model.flops_per_sample.base < 1.9 * used:
            notes.error(file, "flops_per_sample", f"{model.flops_per_sample.base / used:.3g} FLOP a parameter; a sample that "
                      "passes through every weight takes at least 2 (a multiply-add counts as two)")


def _sizes(model: Any) -> Iterator[tuple[str, str]]:
    a = model.architecture
    if a is None:
        return

    def size(name: str) -> float:
        value = getattr(a, name)
        return value.base if value is not None else 0.0

    for small, large in (("kv_heads", "heads"), ("experts_active", "experts"), ("dense_layers", "layers"),
                         ("window", "context")):
        if size(large) and size(small) > size(large):
            yield small, f"{size(small):g} is more than {large}, {size(large):g}"
    if size("kv_heads") and size("heads") % size("kv_heads"):
        yield "kv_heads", f"{size('heads'):g} heads do not divide over {size('kv_heads'):g}"
    if a.experts is not None and (a.experts_active is None or a.expert_ffn is None):
        yield "experts", "a mixture of experts needs experts_active and expert_ffn"


def _transformer(model: Any, file: str, notes: Notes) -> None:
    from mlsysim.physics.transformer import active_params, embedding_params, head_params, total_params

    try:
        layers = model.transformer
    except RegistryError as error:
        notes.error(file, "architecture", error.problem)
        return
    _count(model, total_params(layers), file, notes)
    if model.parameters_active is None:
        if layers.experts:
            notes.error(file, "parameters_active", "a mixture of experts needs it")
        return
    # Some makers leave the input or output embedding out of the active count, none counts more.
    most = active_params(layers)
    least = most - embedding_params(layers) - head_params(layers)
    stated = model.parameters_active.base
    if not (1 - COUNT_TOLERANCE) * least <= stated <= (1 + COUNT_TOLERANCE) * most:
        notes.error(file, "parameters_active", f"{stated:.4g}, but layers and widths make {least:.4g} without and "
                  f"{most:.4g} with embeddings")


def mamba_params(a: Any) -> float:
    """Return the parameters of a selective state-space model [param].

    A layer projects in to twice the inner width, convolves, projects to step size, B and C, projects
    the step size back, holds A and D, projects out, and has one norm (Gu and Dao 2023, section 3.4).
    """
    hidden, state, conv, rank = a.hidden.base, a.state.base, a.conv.base, a.dt_rank.base
    inner = a.expand.base * hidden
    layer = (hidden * 2.0 * inner + inner * (conv + 1.0) + inner * (rank + 2.0 * state)
             + inner * (rank + 1.0) + inner * (state + 1.0) + inner * hidden + hidden)
    table: float = a.vocab.base * hidden * (1.0 if a.tied_embeddings else 2.0)
    total: float = a.layers.base * layer + table + hidden
    return total


def _mamba(model: Any, file: str, notes: Notes) -> None:
    a = model.architecture
    needs = ("layers", "hidden", "state", "expand", "conv", "dt_rank", "vocab")
    missing = [name for name in needs if a is None or getattr(a, name) is None]
    if missing:
        notes.error(file, f"architecture.{missing[0]}", "a mamba model needs it")
        return
    _count(model, mamba_params(a), file, notes)


def _count(model: Any, computed: float, file: str, notes: Notes) -> None:
    stated = model.parameters.base
    if not abs(stated / computed - 1.0) <= COUNT_TOLERANCE:
        notes.error(file, "parameters", f"{stated:.5g} stated, but layers and widths make {computed:.5g} "
                  f"({100 * (stated / computed - 1):+.1f}%)")


def check_region(read: Read, library: Library, notes: Notes) -> None:
    """Note a carbon intensity without its method, and values that should be those of another region."""
    region: Any = read.entry
    intensity = region.carbon_intensity
    if intensity is not None and intensity.method not in METHODS:
        notes.error(read.file, "carbon_intensity", f"method is one of {', '.join(METHODS)}; they differ by tens of percent")
    for name, value in region.values().items():
        if value.kind != "derived" or len(value.inputs) != 1:
            continue
        origin = library.find("infra", value.inputs[0])
        other = getattr(origin, name, None)
        if other is not None and abs(value.base - other.base) > 1e-6 * abs(other.base):
            notes.error(read.file, name, f"derived from {value.inputs[0]}, whose value is {other.value:g} {other.unit}")

"""What lower precision and sparsity cost in accuracy: published tables, looked up.

No equation predicts this loss, so there is none here: measured pairs of a dense and a compressed
model, interpolated between model sizes, and a rule for what nobody measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlsysim.physics.types import Array

# Number formats whose rounding is taken to cost nothing: the tables measure against them.
REFERENCE = ("fp64", "fp32", "tf32", "fp16", "bf16")
DENSE = "none"


@dataclass(frozen=True)
class Curve:
    """The measured loss of one way to compress one family of models, by model size.

    Attributes:
        group, family: of the models, e.g. ``language``, ``OPT``.
        method: e.g. ``gptq``, ``smoothquant``, ``sparsegpt``.
        weights, activations: number formats.
        sparsity: ``none``, ``2:4``, ``4:8``, or a share of zeros such as ``50%``.
        metric: what was measured.
        sizes: of the models, ascending [param].
        losses: relative loss at each size, see :func:`relative_loss`.
    """

    group: str
    family: str
    method: str
    weights: str
    activations: str
    sparsity: str
    metric: str
    sizes: tuple[float, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Fidelity:
    """What a compressed model loses; what wall 13 reads.

    Attributes:
        loss: relative loss of the metric, 0 where nothing is compressed.
        metric: what was measured; empty where nothing is compressed.
        basis: on which models, in words.
        measured: whether models of the same family were measured.
    """

    loss: Array
    metric: str = ""
    basis: str = ""
    measured: bool = True


def relative_loss(dense: Array, compressed: Array, lower_is_better: bool) -> Array:
    """Return by how much a metric is worse after compression, as a share of the dense model's.

    ``compressed / dense - 1`` for a perplexity or an error, ``1 - compressed / dense`` for an
    accuracy. Negative where the compressed model is better.
    """
    ratio = compressed / dense
    return ratio - 1.0 if lower_is_better else 1.0 - ratio


def loss_at(curve: Curve, params: Array, reach: float) -> Array:
    """Return the loss at a model size; NaN where the curve says nothing.

    Linear in the logarithm of the size between two measured models. Within a factor of ``reach``
    outside them the nearest model's loss holds; beyond that the loss is unknown.

    Args:
        curve: the measurements.
        params: of the model [param].
        reach: factor, at least 1.
    """
    sizes = np.asarray(curve.sizes, dtype=float)
    size = np.asarray(params, dtype=float)
    inside = (size * reach >= sizes[0]) & (size <= sizes[-1] * reach)
    found = np.interp(np.log(size), np.log(sizes), np.asarray(curve.losses, dtype=float))
    return np.where(inside, found, np.nan)


def is_reference(weights: str, sparsity: str = DENSE) -> bool:
    """Return whether a model is what the tables measure against: 16 bits or more, and dense."""
    return weights in REFERENCE and sparsity == DENSE


def look_up(
    curves: Iterable[Curve],
    *,
    group: str,
    family: str,
    method: str,
    weights: str,
    sparsity: str,
    params: float,
    reach: float,
) -> Fidelity | None:
    """Return what compressing a model costs, or None where no table comes near.

    The worst curve of the model's own family, over the metrics that were measured. Without one,
    the worst over the other families of its group at this size, and ``measured`` is False. Another
    method, format or pattern never stands in for the one that is asked for.
    """
    if is_reference(weights, sparsity):
        return Fidelity(0.0, "", "16 bits or more, dense: the reference of the tables")
    fitting = [
        (float(loss_at(c, params, reach)), c)
        for c in curves
        if (c.group, c.method, c.weights, c.sparsity) == (group, method, weights, sparsity)
    ]
    known = [pair for pair in fitting if not np.isnan(pair[0])]
    own = [pair for pair in known if pair[1].family == family]
    if not known:
        return None
    loss, worst = max(own or known, key=lambda pair: pair[0])
    if own:
        return Fidelity(loss, worst.metric, f"measured on {family}")
    others = ", ".join(dict.fromkeys(c.family for _, c in known))
    return Fidelity(loss, worst.metric, f"not measured on {family}: worst of {others}", measured=False)


def methods(curves: Iterable[Curve], group: str, weights: str, sparsity: str) -> tuple[str, ...]:
    """Return the methods that the tables have for a format and a pattern, most measured first."""
    count: dict[str, int] = {}
    for c in curves:
        if (c.group, c.weights, c.sparsity) == (group, weights, sparsity):
            count[c.method] = count.get(c.method, 0) + len(c.sizes)
    return tuple(sorted(count, key=lambda name: (-count[name], name)))


def curves(tables: Mapping[str, Any], number: Callable[[Any, str], float]) -> tuple[Curve, ...]:
    """Return the curves of tables in the form of ``registry/fidelity.yaml``.

    Args:
        tables: plain data: each table's texts, and its ``points`` with ``params``, ``dense`` and
            ``compressed``.
        number: turns a value of a point into base units, given the unit that it must be like.
    """
    return tuple(_curve(table, number) for table in tables.values())


def _curve(table: Mapping[str, Any], number: Callable[[Any, str], float]) -> Curve:
    lower = table["better"] == "lower"
    points = sorted(
        (
            number(point["params"], "param"),
            float(relative_loss(number(point["dense"], "1"), number(point["compressed"], "1"), lower)),
        )
        for point in table["points"].values()
    )
    return Curve(
        group=table["group"],
        family=table["family"],
        method=table["method"],
        weights=table["weights"],
        activations=table["activations"],
        sparsity=table["sparsity"],
        metric=table["metric"],
        sizes=tuple(size for size, _ in points),
        losses=tuple(loss for _, loss in points),
    )

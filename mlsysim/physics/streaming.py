"""Weights that stream in layer by layer instead of lying in the accelerator's memory.

Wafer-scale machines keep activations and stream weights (Lie 2023); an accelerator that offloads
its weights to the host does the same over a slower link.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics.transformer import Transformer, layer_params
from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Stream:
    """A model whose layers pass through an accelerator one after another.

    Attributes:
        weights: of one layer [byte].
        injection: bandwidth into the accelerator [byte/s].
        compute: time of one layer's forward work with its weights at hand [s].
        layers: how many there are.
        training: a backward pass follows; it streams the weights in again and gradients out.
    """

    weights: Array
    injection: Array
    compute: Array
    layers: Array
    training: bool = False


def of_pass(m: Transformer, width: float, injection: Array, matmul: Array) -> Stream:
    """Return the stream of a forward pass.

    Args:
        m: the model.
        width: bytes of a weight.
        injection: bandwidth into the accelerator [byte/s].
        matmul: matrix work of the whole pass with all weights at hand [s].
    """
    return Stream(layer_params(m) * width, injection, matmul / m.layers, m.layers)


def load_time(s: Stream) -> Array:
    """Return the time to bring in the weights of one layer [s]."""
    return s.weights / s.injection


def layer_time(s: Stream) -> Array:
    """Return the time of one layer, forward: the next one loads while this one computes [s]."""
    return np.maximum(load_time(s), s.compute)


def pass_time(s: Stream) -> Array:
    """Return the time of one forward pass [s].

    Nothing hides the first layer's load, and nothing loads behind the last layer's work.
    """
    return load_time(s) + (s.layers - 1.0) * layer_time(s) + s.compute


def step_time(s: Stream) -> Array:
    """Return the time of one pass, or of one training step [s].

    Backward is twice the work of forward on the same weights. Gradients leave on the other
    direction of the link while the next weights arrive (Lie 2023), and as many bytes.
    """
    if not s.training:
        return pass_time(s)
    back = 2.0 * s.compute
    return pass_time(s) + (s.layers - 1.0) * np.maximum(load_time(s), back) + back + load_time(s)


def exposed_time(s: Stream) -> Array:
    """Return what a pass or step takes longer than with all weights at hand [s]."""
    return step_time(s) - s.layers * s.compute * (3.0 if s.training else 1.0)


def buffer_bytes(s: Stream) -> Array:
    """Return the memory for weights: of the layer at work and of the one that arrives [byte]."""
    return 2.0 * s.weights


def hiding_tokens(width: Array, rate: Array, injection: Array) -> Array:
    """Return the tokens of a batch that hide the stream of a layer's weights [token].

    ``2 P T / rate = P w / injection``, whatever the layer's parameters ``P``: two operations a
    parameter and token against ``width`` bytes a parameter.

    Args:
        width: bytes of a weight.
        rate: achieved operations [FLOP/s].
        injection: bandwidth [byte/s].
    """
    return width * rate / (2.0 * injection)

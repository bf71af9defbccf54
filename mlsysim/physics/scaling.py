"""Compute, data and loss of a training run: scaling laws (Kaplan 2020, Hoffmann 2022).

Symbols follow Hoffmann et al. 2022: ``N`` parameters, ``D`` tokens, ``C`` operations, ``L`` loss in
nats a token, ``E`` its irreducible part. What they call ``N`` is ``P`` in the walls, where ``N`` is
the number of accelerators.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics.types import Array

# Operations a parameter and token: 2 forward, 4 backward (Kaplan 2020, section 2.1 and table 1).
FLOPS_PER_PARAM_TOKEN = 6.0


@dataclass(frozen=True)
class Fit:
    """A fitted loss surface ``L(N, D) = E + A / N^alpha + B / D^beta``.

    Attributes:
        irreducible: ``E``, the entropy of the text [nat/token].
        params_scale: ``A`` [nat/token x param^alpha].
        tokens_scale: ``B`` [nat/token x token^beta].
        params_exponent: ``alpha``.
        tokens_exponent: ``beta``.
    """

    irreducible: float
    params_scale: float
    tokens_scale: float
    params_exponent: float
    tokens_exponent: float


@dataclass(frozen=True)
class Budget:
    """A training run as the scaling laws see it; what wall 11 reads.

    Attributes:
        params: that work on each token, so the active ones of a mixture of experts [param].
        tokens: of the whole run [token].
        ratio: tokens a parameter that are compute-optimal [token/param].
        fit: of the loss; None where no loss is asked for.
        duration: that the plan gives the run [s]; None where it names none.
    """

    params: Array
    tokens: Array
    ratio: float
    fit: Fit | None = None
    duration: float | None = None


def training_flops(params: Array, tokens: Array) -> Array:
    """Return the operations of a training run, ``C = 6 N D`` [FLOP].

    Embedding look-ups and attention scores are left out; for a sequence of ``s`` tokens and a hidden
    size ``h`` the latter add about the share ``s / (12 h)`` (Kaplan 2020, section 2.1).

    Args:
        params: that work on each token [param].
        tokens: of the run [token].
    """
    return FLOPS_PER_PARAM_TOKEN * params * tokens


def training_time(step_time: Array, tokens: Array, step_tokens: Array) -> Array:
    """Return how long steps of ``step_tokens`` tokens take to see ``tokens`` tokens [s].

    The last step counts by its share, so the result is linear in the step's time.
    """
    return step_time * (tokens / step_tokens)


def loss(params: Array, tokens: Array, fit: Fit) -> Array:
    """Return the loss after one pass over ``tokens`` tokens [nat/token].

    Hoffmann 2022, equation 2 and section D.2.
    """
    return (
        fit.irreducible
        + fit.params_scale * np.power(params, -fit.params_exponent)
        + fit.tokens_scale * np.power(tokens, -fit.tokens_exponent)
    )


def _balance(fit: Fit) -> float:
    """Return ``G = (alpha A / (beta B))^(1 / (alpha + beta))`` (Hoffmann 2022, equation 4)."""
    a, b = fit.params_exponent, fit.tokens_exponent
    return float((a * fit.params_scale / (b * fit.tokens_scale)) ** (1.0 / (a + b)))


def optimal_params(flops: Array, fit: Fit) -> Array:
    """Return the parameters of least loss for a compute budget [param].

    ``N = G (C/6)^(beta / (alpha + beta))`` (Hoffmann 2022, equation 4).
    """
    a, b = fit.params_exponent, fit.tokens_exponent
    return _balance(fit) * np.power(flops / FLOPS_PER_PARAM_TOKEN, b / (a + b))


def optimal_tokens(flops: Array, fit: Fit) -> Array:
    """Return the tokens of least loss for a compute budget [token].

    ``D = G^-1 (C/6)^(alpha / (alpha + beta))`` (Hoffmann 2022, equation 4).
    """
    a, b = fit.params_exponent, fit.tokens_exponent
    return np.power(flops / FLOPS_PER_PARAM_TOKEN, a / (a + b)) / _balance(fit)


def optimal_loss(flops: Array, fit: Fit) -> Array:
    """Return the least loss that a compute budget allows [nat/token].

    Both terms fall with the same power ``alpha beta / (alpha + beta)`` of the budget.
    """
    a, b = fit.params_exponent, fit.tokens_exponent
    falling = np.power(flops / FLOPS_PER_PARAM_TOKEN, -a * b / (a + b))
    return fit.irreducible + _reducible(fit) * falling


def flops_for_loss(target: Array, fit: Fit) -> Array:
    """Return the least compute that reaches a loss [FLOP]; infinite at or below ``E``.

    The inverse of :func:`optimal_loss`.
    """
    a, b = fit.params_exponent, fit.tokens_exponent
    gap = np.maximum(np.asarray(target, dtype=float) - fit.irreducible, 0.0)
    with np.errstate(divide="ignore"):
        return FLOPS_PER_PARAM_TOKEN * np.power(_reducible(fit) / gap, (a + b) / (a * b))


def _reducible(fit: Fit) -> float:
    """Return ``A G^-alpha + B G^beta``, the reducible loss at ``C/6 = 1``."""
    g = _balance(fit)
    return float(fit.params_scale * g**-fit.params_exponent + fit.tokens_scale * g**fit.tokens_exponent)


def tokens_for_loss(params: Array, target: Array, fit: Fit) -> Array:
    """Return the tokens with which a model reaches a loss [token].

    Infinite where the model is too small to reach it with any number of tokens.
    """
    floor = fit.irreducible + fit.params_scale * np.power(params, -fit.params_exponent)
    gap = np.maximum(np.asarray(target, dtype=float) - floor, 0.0)
    with np.errstate(divide="ignore"):
        return np.power(fit.tokens_scale / gap, 1.0 / fit.tokens_exponent)


def split_by_ratio(flops: Array, ratio: Array) -> tuple[Array, Array]:
    """Return parameters and tokens that use a compute budget at ``ratio`` tokens a parameter.

    ``N = sqrt(C / (6 ratio))``: both grow with the root of the budget, which is what approaches 1
    and 2 of Hoffmann 2022 find (table 2).
    """
    params = np.sqrt(flops / (FLOPS_PER_PARAM_TOKEN * ratio))
    return params, ratio * params

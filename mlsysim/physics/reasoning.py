"""Time and work of answers that are thought about: test-time compute (Snell 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Chain:
    """A chain of thought, sampled and revised.

    Attributes:
        ttft: time to first token [s].
        itl: time between tokens with all samples running [s].
        steps: of reasoning, one after another.
        tokens_per_step: generated in a step [token].
        samples: answers generated side by side, of which the best is taken.
        revisions: answers generated one after another, each given those before.
        verify: time to score the answers [s].
    """

    ttft: Array
    itl: Array
    steps: Array
    tokens_per_step: Array
    samples: Array = 1.0
    revisions: Array = 1.0
    verify: Array = 0.0


def sequential_tokens(c: Chain) -> Array:
    """Return the tokens that a reader waits for: steps and revisions add up [token]."""
    return c.steps * c.tokens_per_step * c.revisions


def generated_tokens(c: Chain) -> Array:
    """Return the tokens that are paid for: every sample of every revision [token]."""
    return sequential_tokens(c) * c.samples


def answer_time(c: Chain) -> Array:
    """Return the time from the question to the chosen answer [s].

    Revisions keep the cache of what they revise, so nothing is read again.
    """
    return c.ttft + sequential_tokens(c) * c.itl + c.verify


def most_steps(c: Chain, target: Array) -> Array:
    """Return the whole steps that fit a target for the answer; 0 if none does."""
    left = np.maximum(target - c.ttft - c.verify, 0.0)
    return np.floor(left / (c.itl * c.tokens_per_step * c.revisions))


def coverage(success: Array, samples: Array) -> Array:
    """Return the probability that one of several independent samples is right.

    ``1 - (1 - p)^N``: what best-of-N reaches with a verifier that never errs (Brown 2024, section 2).
    """
    with np.errstate(divide="ignore"):
        return -np.expm1(samples * np.log1p(-np.asarray(success, dtype=float)))


def samples_for(success: Array, target: Array) -> Array:
    """Return the least number of samples that reaches a coverage; infinite if none is ever right."""
    with np.errstate(divide="ignore"):
        miss = np.log1p(-np.asarray(success, dtype=float))
        needed = np.log1p(-np.asarray(target, dtype=float)) / np.where(miss < 0.0, miss, -1.0)
    # a count that is whole up to rounding is whole
    return np.where(miss < 0.0, np.ceil(needed - 1e-9), np.where(np.asarray(target) > 0.0, np.inf, 0.0))


def matched_inference(larger: Array, train_to_infer: Array, flops_per_token: float = 2.0) -> Array:
    """Return by how much a model's inference may grow for the cost of a larger model.

    A model of ``M`` times the parameters costs ``M (X + Y)`` with ``X = 6 N D_pretrain`` and
    ``Y = 2 N D_inference``; spent on the small model's inference instead, that is a factor of
    ``M + 3 (D_pretrain / D_inference) (M - 1)`` (Snell 2024, section 7).

    Args:
        larger: ``M``.
        train_to_infer: tokens trained on over tokens generated in the model's life.
        flops_per_token: operations a parameter and generated token; 4 where a verifier of the
            same size reads every token too.
    """
    return larger + (6.0 / flops_per_token) * train_to_infer * (larger - 1.0)

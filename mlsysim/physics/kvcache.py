"""Memory of the KV cache over the requests that run at once (Kwon 2023).

A request enters with its prompt and grows by one token a pass until its answer is complete. What
it holds on average is therefore weighted by how long it stays: long answers count more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics import transformer as tf
from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Lengths:
    """Lengths of the requests.

    Attributes:
        prompt, output: mean tokens.
        prompt_cv, output_cv: standard deviation over mean. Answers are gamma-distributed: all
            equal at 0, exponential at 1.
        longest: tokens of the longest sequence that is admitted.
        shared: prompt tokens that all requests have in common and hold once.
    """

    prompt: Array
    output: Array
    prompt_cv: Array = 0.0
    output_cv: Array = 0.0
    longest: Array = np.inf
    shared: Array = 0.0


@dataclass(frozen=True)
class Batching:
    """The requests that run on one replica, and the pool that their KV cache is cut from.

    Attributes:
        requests: running at once.
        lengths: of the requests.
        block: tokens of a block.
        token_bytes: KV cache of a token on one accelerator [byte].
        pool: memory for KV blocks on one accelerator [byte].
        paged: blocks are given out as a sequence grows; otherwise the longest sequence is
            reserved on admission.
    """

    requests: Array
    lengths: Lengths
    block: Array
    token_bytes: Array
    pool: Array
    paged: bool = True


def ranks_sharing(m: tf.Transformer, tp: Array) -> Array:
    """Return over how many of ``tp`` accelerators the KV cache is divided.

    A KV head is not divided: ranks beyond the heads hold copies (Pope 2023, section 3.3), and so
    does every rank of a latent cache, which has no heads (DeepSeek-AI 2024, section 2.1).
    """
    return np.minimum(tp, m.kv_heads) if not m.kv_rank else 1.0 + 0.0 * tp


def token_bytes(m: tf.Transformer, width: float, tp: Array = 1.0) -> Array:
    """Return the bytes that one token leaves in the KV cache of one of ``tp`` accelerators [byte].

    Heads that do not divide evenly are padded, as the fullest accelerator has them.
    """
    share = 1.0 if m.kv_rank else np.ceil(m.kv_heads / ranks_sharing(m, tp)) / m.kv_heads
    return tf.kv_bytes_per_token(m, width) * share


def pool_bytes(capacity: Array, share: Array, weights: Array, activations: Array, reserve: Array) -> Array:
    """Return the memory that is left for KV blocks; never negative [byte].

    The engine takes ``share`` of the capacity and cuts blocks from what weights, activations and
    the runtime leave of it (Kwon 2023, table 1).
    """
    left = capacity * share - weights - activations - reserve
    return np.maximum(left, 0.0 * left)


def held_tokens(n: Lengths) -> Array:
    """Return the tokens that a running request holds, on average over time [token].

    The prompt and the part of the answer that is there: with answers of mean ``o`` and
    coefficient of variation ``c``, the mean age of a running one is ``o (1 + c^2) / 2`` (the
    inspection paradox; Kleinrock 1975, section 5.2).
    """
    return n.prompt + 0.5 * n.output * (1.0 + n.output_cv * n.output_cv)


def held_deviation(n: Lengths) -> Array:
    """Return the standard deviation over time of the tokens that a running request holds [token].

    From the second moment of the age, ``E[o^3] / (3 E[o])``; of a gamma distribution
    ``E[o^3] = o^3 (1 + c^2) (1 + 2 c^2)``.
    """
    square = n.output_cv * n.output_cv
    age = n.output * n.output * (1.0 + square) * ((1.0 + 2.0 * square) / 3.0 - (1.0 + square) / 4.0)
    return np.sqrt((n.prompt * n.prompt_cv) ** 2 + age)


def blocks_per_request(b: Batching) -> Array:
    """Return the blocks that a running request has besides shared ones, on average.

    Paged, the last block is half empty: ``tokens / B + (B - 1) / (2 B)`` (Kwon 2023, section 4.2).
    Static reservation takes the longest sequence whatever becomes of it (section 3.1).
    """
    n = b.lengths
    if not b.paged:
        return np.ceil(n.longest / b.block) + 0.0 * held_tokens(n)
    return (held_tokens(n) - n.shared) / b.block + 0.5 * (b.block - 1.0) / b.block


def shared_blocks(b: Batching) -> Array:
    """Return the blocks of the common prefix, held once (Kwon 2023, section 4.4)."""
    return np.floor(b.lengths.shared / b.block) if b.paged else 0.0 * b.requests


def demand_blocks(b: Batching, preempted: float | None = None) -> Array:
    """Return the blocks that the running requests have.

    Args:
        b: the requests and their pool.
        preempted: if given, the blocks that they outgrow with this probability only, the total of
            many independent requests being normal. On average otherwise.
    """
    mean = b.requests * blocks_per_request(b) + shared_blocks(b)
    if preempted is None or not b.paged:
        return mean
    from statistics import NormalDist  # slow to import, and few plans ask for it

    quantile = NormalDist().inv_cdf(1.0 - preempted)
    return mean + quantile * np.sqrt(b.requests) * held_deviation(b.lengths) / b.block


def pool_blocks(b: Batching) -> Array:
    """Return the whole blocks of the pool."""
    return np.floor(b.pool / (b.block * b.token_bytes))


def most_requests(b: Batching) -> Array:
    """Return how many requests the pool holds on average; ``requests`` is not looked at."""
    room = pool_blocks(b) - shared_blocks(b)
    return np.maximum(np.floor(room / blocks_per_request(b)), 0.0)


def used_share(b: Batching) -> Array:
    """Return the share of the running requests' blocks that holds tokens (Kwon 2023, figure 2)."""
    n = b.lengths
    if not b.paged:
        return held_tokens(n) / (blocks_per_request(b) * b.block)
    own = held_tokens(n) - n.shared
    return own / (own + 0.5 * (b.block - 1.0))

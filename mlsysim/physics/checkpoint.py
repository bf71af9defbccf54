"""Checkpoints of a training run: their size, and how long writing and reading them takes.

A checkpoint holds the weights and the optimizer's state, once for all copies; gradients are not
kept. Sizes in byte, times in s, bandwidths in byte/s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlsysim.physics.memory import StateBytes
from mlsysim.physics.types import Array


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoints of a run, as the walls see them; numbers, or tables of a formulation.

    Attributes:
        size: of one, over all ranks [byte].
        bandwidth: at which the fleet writes [byte/s].
        stall: how long the run stands still for one [s].
        interval: computing time between two [s].
    """

    size: Array
    bandwidth: Array
    stall: Array
    interval: Array


def checkpoint_bytes(params: Array, b: StateBytes, reduction: Array = 1.0) -> Array:
    """Return the size of a checkpoint [byte].

    Args:
        params: of the model [param].
        b: bytes a parameter of the training state.
        reduction: by how much writing only what changed, and fewer bits of it, shrinks it
            (Eisenman 2022: 6 to 17 for recommendation models) [1].
    """
    return params * (b.weights + b.optimizer) / reduction


def rank_bytes(params: Array, dp: Array, zero: Array, b: StateBytes) -> Array:
    """Return what the rank writes that writes most [byte].

    Of a state that is not divided, one of the data-parallel ranks writes all. From ZeRO stage 1 on
    each rank has its part of the optimizer's state to write, from stage 3 on of the weights too
    (Rajbhandari 2020, section 5).

    Args:
        params: that the rank holds before ZeRO divides them [param].
        dp: ranks with the same parameters.
        zero: ZeRO stage.
        b: bytes a parameter of the training state.
    """
    zero = np.asarray(zero)
    return params * (b.weights / np.where(zero >= 3, dp, 1.0) + b.optimizer / np.where(zero >= 1, dp, 1.0))


def write_time(
    size: Array, bandwidth: Array, rank_size: Array = 0.0, rank_bandwidth: Array = np.inf
) -> Array:
    """Return the time until a checkpoint is stored, the slower of the store and the fullest rank [s].

    Args:
        size: of the checkpoint [byte].
        bandwidth: at which the storage takes it from the whole fleet.
        rank_size: what the fullest rank writes [byte]; see :func:`rank_bytes`.
        rank_bandwidth: at which one rank can send.
    """
    return np.maximum(size / bandwidth, rank_size / rank_bandwidth)


def snapshot_time(rank_size: Array, bandwidth: Array) -> Array:
    """Return how long a rank takes to copy its part to the host's memory [s].

    An asynchronous checkpoint stops the run for this and is written from there (Eisenman 2022,
    section 4).

    Args:
        rank_size: what the rank copies [byte].
        bandwidth: from one accelerator to its host.
    """
    return rank_size / bandwidth


def stall_time(write: Array, snapshot: Array, asynchronous: Array) -> Array:
    """Return how long the run stands still for a checkpoint [s].

    Args:
        write: see :func:`write_time` [s].
        snapshot: see :func:`snapshot_time` [s].
        asynchronous: whether the run goes on while the snapshot is written.
    """
    return np.where(asynchronous, np.minimum(snapshot, write), write)


def shortest_interval(write: Array, stall: Array) -> Array:
    """Return the least computing time between checkpoints so that one is written before the next [s]."""
    return np.maximum(write - stall, 0.0 * write)

"""The layout that the rule picks for decisions that a plan leaves open."""

from __future__ import annotations

import numpy as np

from mlsysim.core.errors import InputError
from mlsysim.core.layout import Columns, Layout, layer_of, layout_at, pipeline_of, shard_of
from mlsysim.core.legal import keep, legal_together, may_keep_all, space
from mlsysim.core.scenario import Scenario
from mlsysim.physics.training import step


def by_rule(s: Scenario) -> Layout:
    """Return the layout of the rule, for decisions that the plan leaves open.

    The fewest model-parallel accelerators whose training state and activations fit: tensor
    parallelism first, up to the scale-up domain, then pipeline stages, then experts; one sequence
    a microbatch, recomputation only if nothing else fits, ZeRO stage 1, sequence parallelism with
    tensor parallelism (Narayanan 2021, section 3.2, "takeaways"; Korthikanti 2022).
    If nothing fits, the layout that comes nearest.
    """
    legal = space(s, tuned=False)
    assert s.job is not None
    layer = _rule_layer(legal.layer, s)
    pipe = keep(legal.pipeline, legal.pipeline["interleave"] == legal.pipeline["interleave"].min())
    alone = legal.shard["dp"] * legal.shard["cp"] == 1  # nothing to shard: stage 0 stands for all
    shard = keep(legal.shard, alone | _prefer(legal.shard["zero_stage"], 1))
    none = may_keep_all(s)
    joint = _join(layer, pipe, shard)
    joint = keep(joint, legal_together(joint, s.batch, s.accelerators, none))
    if not len(joint["tp"]):  # the preferences leave nothing: take the legal ones
        joint = _join(legal.layer, legal.pipeline, legal.shard)
        joint = keep(joint, legal_together(joint, s.batch, s.accelerators, none))
    if not len(joint["tp"]):
        raise InputError(
            "no layout is possible with what the plan fixes",
            where="parallelism",
            hint="tp x cp x pp x dp must be the accelerators, dp x microbatch_size "
            "divide the batch; leave some of them out",
        )
    schedule = pipeline_of(s.job, joint)
    held = np.asarray(
        step(s.job, layer_of(s.job, joint), schedule, shard_of(s.job, joint)).memory
    ) + np.zeros(len(joint["tp"]))
    outside = (held > s.capacity) | (joint["tp"] > s.network.domain)
    ranks = joint["tp"] * joint["cp"] * joint["pp"]
    order = np.lexsort(
        (
            joint["microbatch_size"],
            schedule.fullest,  # stages as equal as the plan lets them be
            joint["recompute_layers"],
            joint["ep"],
            joint["cp"],
            joint["pp"],
            ranks * joint["ep"],
            joint["recompute"],
            joint["recompute_layers"] > 0,
            np.where(outside, held, 0.0),
        )
    )
    return layout_at(joint, int(order[0]))


def _rule_layer(layer: Columns, s: Scenario) -> Columns:
    wanted = _prefer(layer["cp"], 1) & _prefer(layer["microbatch_size"], 1)
    wanted &= (layer["tp"] <= s.network.domain) | (layer["tp"] == layer["tp"].min())
    if "sequence_parallel" not in s.settings.fixed:
        wanted &= layer["sequence_parallel"] == (layer["tp"] > 1)
    return keep(layer, wanted)


def _prefer(column: np.ndarray, value: int) -> np.ndarray:
    """Return where a column has the preferred value; everywhere if it never does."""
    chosen = np.asarray(column == value)
    return chosen if chosen.any() else np.ones(len(column), dtype=bool)


def _join(layer: Columns, pipe: Columns, shard: Columns) -> Columns:
    """Return all combinations that agree on the decisions that the factors share."""
    joined = _merge(shard, pipe, ("pp",))
    return _merge(joined, layer, ("tp", "cp", "ep"))


def _merge(a: Columns, b: Columns, on: tuple[str, ...]) -> Columns:
    """Return the rows of two tables joined where they agree on some columns."""
    key_a, key_b = np.zeros(len(a[on[0]]), dtype=np.int64), np.zeros(len(b[on[0]]), dtype=np.int64)
    for name in on:
        both, inverse = np.unique(np.concatenate([a[name], b[name]]), return_inverse=True)
        key_a = key_a * len(both) + inverse[: len(key_a)]
        key_b = key_b * len(both) + inverse[len(key_a) :]
    order = np.argsort(key_b, kind="stable")
    left = np.searchsorted(key_b[order], key_a, side="left")
    counts = np.searchsorted(key_b[order], key_a, side="right") - left
    i = np.repeat(np.arange(len(key_a)), counts)
    offset = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
    j = order[np.repeat(left, counts) + offset]
    return {n: v[i] for n, v in a.items()} | {n: v[j] for n, v in b.items()}

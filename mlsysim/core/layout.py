"""Layouts of a training job: which are legal, and which the rule picks.

A layout is a choice of parallel degrees and of what goes with them. The legal values are listed
here once: the rule of ``eval`` takes the first that fits, a formulation lets a solver choose.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from mlsysim.core.errors import InputError
from mlsysim.core.resolve import Scenario
from mlsysim.physics.training import (
    Job,
    LayerPart,
    PipelinePart,
    ShardPart,
    layer_part,
    pipeline_part,
    shard_part,
    step,
)
from mlsysim.physics.transformer import RECOMPUTE, Transformer

Columns = dict[str, np.ndarray]

MAX_MICROBATCH = 64
MAX_INTERLEAVE = 16


@dataclass(frozen=True)
class Layout:
    """The decisions of a training job; field names are those of a plan's ``parallelism``."""

    tp: int = 1
    cp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int = 1
    microbatch_size: int = 1
    interleave: int = 1
    recompute: str = "none"
    sequence_parallel: bool = False
    zero_stage: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the layout as a plan's ``parallelism`` block."""
        return asdict(self)

    def __str__(self) -> str:
        parts = [f"tp {self.tp}", f"cp {self.cp}", f"pp {self.pp}", f"dp {self.dp}"]
        if self.ep > 1:
            parts.append(f"ep {self.ep}")
        parts.append(f"microbatch {self.microbatch_size}")
        if self.interleave > 1:
            parts.append(f"interleave {self.interleave}")
        parts += [f"recompute {self.recompute}", f"zero {self.zero_stage}"]
        if self.sequence_parallel:
            parts.append("sequence parallel")
        return "  ".join(parts)


@dataclass(frozen=True)
class Space:
    """The legal values of each factor, as columns of equal length.

    ``layer`` has tp, cp, ep, microbatch_size, recompute, sequence_parallel; ``pipeline`` pp and
    interleave; ``shard`` tp, cp, pp, dp, ep, zero_stage. Recomputation is an index into
    :data:`RECOMPUTE`.
    """

    layer: Columns
    pipeline: Columns
    shard: Columns

    @property
    def size(self) -> int:
        """How many layouts the product of all decisions holds, legal together or not."""
        decisions: dict[str, int] = {}
        for columns in (self.layer, self.pipeline, self.shard):
            for name, column in columns.items():
                decisions[name] = len(np.unique(column))
        return int(np.prod([float(n) for n in decisions.values()]))


def divisors(n: int) -> list[int]:
    """Return the divisors of ``n`` in ascending order."""
    small = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return sorted({*small, *(n // d for d in small)})


def space(s: Scenario) -> Space:
    """Return the legal values of a job's decisions, with those that the plan fixes.

    Raises:
        InputError: a fixed value is not legal for this model and fleet.
    """
    assert s.job is not None
    fixed = s.settings.fixed
    n = s.accelerators
    degrees = divisors(n)
    m = s.job.model
    dense = isinstance(m, Transformer)

    def pick(name: str, legal: list[Any], why: str) -> list[Any]:
        if name not in fixed:
            return legal
        if fixed[name] not in legal:
            shown = ", ".join(map(str, legal[:12])) + (", ..." if len(legal) > 12 else "")
            raise InputError(
                f"{name} {fixed[name]} is not possible: {why}",
                where=f"parallelism.{name}",
                hint=f"possible: {shown}",
            )
        return [fixed[name]]

    heads = int(np.gcd(int(m.heads), int(m.kv_heads))) if isinstance(m, Transformer) else 1
    tp = pick(
        "tp",
        [d for d in degrees if heads % d == 0],
        f"it must divide {n} accelerators and {heads} heads (KV heads)"
        if dense
        else "this model is replicated, not split",
    )
    cp = pick(
        "cp",
        [d for d in degrees if dense and s.seq_len % d == 0] or [1],
        f"it must divide {n} accelerators and the sequence of {s.seq_len}",
    )
    pp = pick(
        "pp",
        [d for d in degrees if d <= s.job.weights.layers],
        f"it must divide {n} accelerators and be at most {s.job.weights.layers:g} layers",
    )
    experts = int(m.experts) if isinstance(m, Transformer) else 0
    ep = pick(
        "ep",
        [d for d in divisors(experts or 1) if n % d == 0],
        f"it must divide {n} accelerators and {experts} experts" if experts else "this model has no experts",
    )
    dp = pick("dp", degrees, f"it must divide {n} accelerators")
    microbatch = pick(
        "microbatch_size",
        [d for d in divisors(s.batch) if d <= MAX_MICROBATCH],
        f"it must divide the batch of {s.batch} and be at most {MAX_MICROBATCH}",
    )
    modes = list(RECOMPUTE) if dense and not s.job.fused_attention else ["none", "full"]
    if fixed.get("recompute") == "selective":
        modes = list(RECOMPUTE)
    recompute = [
        RECOMPUTE.index(r)
        for r in pick("recompute", modes if dense else ["none"], "this model has no layers to recompute")
    ]
    interleave = fixed.get("interleave")
    sequence = fixed.get("sequence_parallel")
    layer = _grid(
        tp=tp, cp=cp, ep=ep, microbatch_size=microbatch, recompute=recompute, sequence_parallel=[False, True]
    )
    layer = _keep(layer, (layer["tp"] > 1) | ~layer["sequence_parallel"])
    if sequence is not None:
        layer = _keep(layer, (layer["tp"] == 1) | (layer["sequence_parallel"] == sequence))
    pipe = _pipelines(int(s.job.weights.layers), pp, interleave)
    shard = _grid(tp=tp, cp=cp, pp=pp, ep=ep, zero_stage=[0, 1, 2, 3])
    dp_of = n / (shard["tp"] * shard["cp"] * shard["pp"])
    shard["dp"] = np.where(dp_of == np.floor(dp_of), dp_of, 0).astype(np.int64)
    ok = (shard["dp"] >= 1) & (shard["dp"] % shard["ep"] == 0) & np.isin(shard["dp"], dp)
    ok &= s.batch % np.maximum(shard["dp"], 1) == 0
    # with one copy there is nothing to shard: stage 0 stands for all
    ok &= (shard["dp"] * shard["cp"] > 1) | (shard["zero_stage"] == 0)
    if (zero := fixed.get("zero_stage")) is not None:
        ok &= (shard["zero_stage"] == zero) | (shard["dp"] * shard["cp"] == 1)
    shard = _keep(shard, ok)
    if not len(shard["tp"]) or not len(pipe["pp"]):
        raise InputError(
            f"a batch of {s.batch} cannot be divided over {n} accelerators",
            where="workload.batch_size" if "dp" not in fixed else "parallelism",
            hint="tp x cp x pp x dp must be the accelerators, and dp x microbatch divide the batch; "
            + _batch_hint(s.batch, n),
        )
    return Space(layer, pipe, shard)


def _batch_hint(batch: int, n: int) -> str:
    up = -(-batch // n) * n
    return f"a batch of {up} would do"


def _pipelines(layers: int, pp: list[int], interleave: int | None) -> Columns:
    """Return the pipeline schedules; interleaving needs equal chunks (Narayanan 2021, 2.2)."""
    pairs = []
    for p in pp:
        chunks = [1]
        if p > 1 and layers % p == 0:
            chunks += [v for v in divisors(layers // p)[1:] if v <= MAX_INTERLEAVE]
        pairs += [(p, v) for v in chunks if interleave in (None, v)]
    if not pairs:
        raise InputError(
            f"interleave {interleave} is not possible",
            where="parallelism.interleave",
            hint=f"it must divide the {layers} layers over the pipeline stages",
        )
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return {"pp": table[:, 0], "interleave": table[:, 1]}


def _grid(**values: list[Any]) -> Columns:
    grid = np.meshgrid(*(np.array(v) for v in values.values()), indexing="ij")
    return {name: g.ravel() for name, g in zip(values, grid, strict=True)}


def _keep(columns: Columns, mask: np.ndarray) -> Columns:
    return {name: column[mask] for name, column in columns.items()}


def layer_of(job: Job, c: Columns) -> LayerPart:
    """Return the layer part for columns of decisions."""
    return layer_part(
        job,
        tp=c["tp"],
        cp=c["cp"],
        ep=c["ep"],
        microbatch=c["microbatch_size"],
        recompute=c["recompute"],
        sequence_parallel=c["sequence_parallel"],
    )


def pipeline_of(job: Job, c: Columns) -> PipelinePart:
    """Return the pipeline part for columns of decisions."""
    return pipeline_part(job, pp=c["pp"], interleave=c["interleave"])


def shard_of(job: Job, c: Columns) -> ShardPart:
    """Return the shard part for columns of decisions."""
    return shard_part(job, tp=c["tp"], cp=c["cp"], pp=c["pp"], dp=c["dp"], ep=c["ep"], zero=c["zero_stage"])


def columns_of(layout: Layout) -> Columns:
    """Return one layout as columns of length one."""
    values = layout.to_dict() | {"recompute": RECOMPUTE.index(layout.recompute)}
    return {name: np.array([value]) for name, value in values.items()}


def divides(batch: int, dp: np.ndarray, microbatch: np.ndarray) -> np.ndarray:
    """Return whether the data-parallel ranks get a whole number of microbatches."""
    return np.asarray(batch % (dp * microbatch) == 0)


def whole_rounds(
    batch: int, accelerators: int, tp: np.ndarray, cp: np.ndarray, microbatch: np.ndarray
) -> np.ndarray:
    """Return whether microbatches come in whole rounds of the pipeline's stages.

    ``m / pp = B tp cp / (N microbatch)``; an interleaved schedule needs it whole (Narayanan 2021,
    section 2.2).
    """
    return np.asarray((batch * tp * cp) % (accelerators * microbatch) == 0, dtype=bool)


def legal_together(c: Columns, batch: int, accelerators: int) -> np.ndarray:
    """Return which complete layouts keep the rules that join the factors."""
    rounds = whole_rounds(batch, accelerators, c["tp"], c["cp"], c["microbatch_size"])
    whole = c["tp"] * c["cp"] * c["pp"] * c["dp"] == accelerators
    together = whole & divides(batch, c["dp"], c["microbatch_size"]) & ((c["interleave"] == 1) | rounds)
    return np.asarray(together, dtype=bool)


def by_rule(s: Scenario) -> Layout:
    """Return the layout of the rule, for decisions that the plan leaves open.

    The fewest model-parallel accelerators whose training state and activations fit: tensor
    parallelism first, up to the scale-up domain, then pipeline stages, then experts; one sequence
    a microbatch, recomputation only if nothing else fits, ZeRO stage 1, sequence parallelism with
    tensor parallelism (Narayanan 2021, section 3.2, "takeaways"; Korthikanti 2022).
    If nothing fits, the layout that comes nearest.
    """
    legal = space(s)
    assert s.job is not None
    layer = _rule_layer(legal.layer, s)
    pipe = _keep(legal.pipeline, legal.pipeline["interleave"] == legal.pipeline["interleave"].min())
    alone = legal.shard["dp"] * legal.shard["cp"] == 1  # nothing to shard: stage 0 stands for all
    shard = _keep(legal.shard, alone | _prefer(legal.shard["zero_stage"], 1))
    joint = _join(layer, pipe, shard)
    joint = _keep(joint, legal_together(joint, s.batch, s.accelerators))
    if not len(joint["tp"]):  # the preferences leave nothing: take the legal ones
        joint = _join(legal.layer, legal.pipeline, legal.shard)
        joint = _keep(joint, legal_together(joint, s.batch, s.accelerators))
    if not len(joint["tp"]):
        raise InputError(
            "no layout is possible with what the plan fixes",
            where="parallelism",
            hint="tp x cp x pp x dp must be the accelerators, dp x microbatch_size "
            "divide the batch; leave some of them out",
        )
    held = np.asarray(
        step(s.job, layer_of(s.job, joint), pipeline_of(s.job, joint), shard_of(s.job, joint)).memory
    ) + np.zeros(len(joint["tp"]))
    outside = (held > s.capacity) | (joint["tp"] > s.network.domain)
    ranks = joint["tp"] * joint["cp"] * joint["pp"]
    order = np.lexsort(
        (
            joint["microbatch_size"],
            joint["ep"],
            joint["cp"],
            joint["pp"],
            ranks * joint["ep"],
            joint["recompute"],
            np.where(outside, held, 0.0),
        )
    )
    return layout_at(joint, int(order[0]))


def _rule_layer(layer: Columns, s: Scenario) -> Columns:
    keep = _prefer(layer["cp"], 1) & _prefer(layer["microbatch_size"], 1)
    keep &= (layer["tp"] <= s.network.domain) | (layer["tp"] == layer["tp"].min())
    if "sequence_parallel" not in s.settings.fixed:
        keep &= layer["sequence_parallel"] == (layer["tp"] > 1)
    return _keep(layer, keep)


def _prefer(column: np.ndarray, value: int) -> np.ndarray:
    """Return where a column has the preferred value; everywhere if it never does."""
    chosen = np.asarray(column == value)
    return chosen if chosen.any() else np.ones(len(column), dtype=bool)


def _join(layer: Columns, pipe: Columns, shard: Columns) -> Columns:
    """Return all combinations that agree on the decisions that the factors share."""
    a, b, c = (len(next(iter(x.values()))) for x in (layer, pipe, shard))
    agree = np.ones((a, b, c), dtype=bool)
    for name in ("tp", "cp", "ep"):
        agree &= (layer[name][:, None] == shard[name][None, :])[:, None, :]
    agree &= (pipe["pp"][:, None] == shard["pp"][None, :])[None, :, :]
    i, j, k = np.nonzero(agree)
    return (
        {n: v[k] for n, v in shard.items()}
        | {n: v[j] for n, v in pipe.items()}
        | {n: v[i] for n, v in layer.items()}
    )


def layout_at(c: Columns, index: int) -> Layout:
    """Return row ``index`` of complete columns as a layout."""
    values: dict[str, Any] = {f.name: c[f.name][index].item() for f in fields(Layout)}
    values["recompute"] = RECOMPUTE[int(values["recompute"])]
    return Layout(**values)

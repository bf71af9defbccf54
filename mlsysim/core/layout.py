"""Layouts of a training job: which are legal, and which the rule picks.

A layout is a choice of parallel degrees and of what goes with them. The legal values are listed
here once: the rule of ``eval`` takes the first that fits, a formulation lets a solver choose.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from mlsysim.core.errors import InputError
from mlsysim.core.scenario import Scenario
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
        """How many combinations the decisions have; dp follows from the other degrees."""
        decisions = {
            name: len(np.unique(column))
            for columns in (self.layer, self.pipeline, self.shard)
            for name, column in columns.items()
            if name != "dp"
        }
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
    legal = _Legal(s)
    tp, cp, pp, ep, dp = (legal.pick(name) for name in ("tp", "cp", "pp", "ep", "dp"))
    layer = _grid(
        tp=tp,
        cp=cp,
        ep=ep,
        microbatch_size=legal.pick("microbatch_size"),
        recompute=[RECOMPUTE.index(r) for r in legal.pick("recompute")],
        sequence_parallel=[False, True],
    )
    layer = _keep(layer, (layer["tp"] > 1) | ~layer["sequence_parallel"])
    if (sequence := legal.fixed.get("sequence_parallel")) is not None:
        layer = _keep(layer, (layer["tp"] == 1) | (layer["sequence_parallel"] == sequence))
    pipe = _pipelines(legal.layers, pp, legal.fixed.get("interleave"))
    return Space(layer, pipe, _shards(legal, tp, cp, pp, ep, dp))


class _Legal:
    """The legal values of each decision of a job, and why they are."""

    def __init__(self, s: Scenario) -> None:
        assert s.job is not None
        m = s.job.model
        self.fixed = s.settings.fixed
        self.accelerators = n = s.accelerators
        self.batch = s.batch
        self.layers = int(s.job.weights.layers)
        degrees = divisors(n)
        dense = isinstance(m, Transformer)
        heads, kv_heads = (int(m.heads), int(m.kv_heads)) if isinstance(m, Transformer) else (1, 1)
        experts = int(m.experts) if isinstance(m, Transformer) else 0
        modes = list(RECOMPUTE) if dense and not s.job.fused_attention else ["none", "full"]
        if self.fixed.get("recompute") == "selective":
            modes = list(RECOMPUTE)
        # ranks share KV heads evenly or replicate them, and whole groups lie in a scale-up domain
        tp = [
            d
            for d in degrees
            if heads % d == 0
            and (kv_heads % d == 0 or d % kv_heads == 0)
            and (n <= s.network.domain or d > s.network.domain or s.network.domain % d == 0)
        ]
        self.values: dict[str, tuple[list[Any], str]] = {
            "tp": (
                tp,
                f"it must divide {n} accelerators, {heads} heads and a scale-up domain of "
                f"{s.network.domain:g}, and fit {kv_heads} KV heads"
                if dense
                else "this model is replicated, not split",
            ),
            "cp": (
                [d for d in degrees if dense and s.seq_len % d == 0] or [1],
                f"it must divide {n} accelerators and the sequence of {s.seq_len}",
            ),
            "pp": (
                [d for d in degrees if d <= self.layers],
                f"it must divide {n} accelerators and be at most {self.layers} layers",
            ),
            "ep": (
                [d for d in divisors(experts or 1) if n % d == 0],
                f"it must divide {n} accelerators and {experts} experts"
                if experts
                else "this model has no experts",
            ),
            "dp": (degrees, f"it must divide {n} accelerators"),
            "microbatch_size": (
                [d for d in divisors(s.batch) if d <= MAX_MICROBATCH],
                f"it must divide the batch of {s.batch} and be at most {MAX_MICROBATCH}",
            ),
            "recompute": (modes if dense else ["none"], "this model has no layers to recompute"),
        }

    def pick(self, name: str) -> list[Any]:
        """Return the legal values of a decision, or the one that the plan fixes."""
        legal, why = self.values[name]
        if name not in self.fixed:
            return legal
        if self.fixed[name] not in legal:
            shown = ", ".join(map(str, legal[:12])) + (", ..." if len(legal) > 12 else "")
            raise InputError(
                f"{name} {self.fixed[name]} is not possible: {why}",
                where=f"parallelism.{name}",
                hint=f"possible: {shown}",
            )
        return [self.fixed[name]]


def _shards(
    legal: _Legal, tp: list[int], cp: list[int], pp: list[int], ep: list[int], dp: list[int]
) -> Columns:
    """Return the degrees that multiply to the accelerators, with their ZeRO stages."""
    n, batch = legal.accelerators, legal.batch
    shard = _grid(tp=tp, cp=cp, pp=pp, ep=ep, zero_stage=[0, 1, 2, 3])
    ranks = shard["tp"] * shard["cp"] * shard["pp"]
    shard["dp"] = np.where(n % ranks == 0, n // ranks, 0).astype(np.int64)
    whole = (shard["dp"] >= 1) & np.isin(shard["dp"], dp)
    if not whole.any():
        raise InputError(
            f"the fixed degrees do not multiply to {n} accelerators",
            where="parallelism",
            hint="tp x cp x pp x dp must be the accelerators; leave one of them out",
        )
    divided = whole & (batch % np.maximum(shard["dp"], 1) == 0)
    if not divided.any():
        raise InputError(
            f"a batch of {batch} cannot be divided over {n} accelerators",
            where="workload.batch_size",
            hint=f"dp must divide it; possible here: dp {_some(np.unique(shard['dp'][whole]))}; "
            f"a batch of {-(-batch // n) * n} would do",
        )
    ok = divided & (shard["dp"] % shard["ep"] == 0)
    if not ok.any():
        raise InputError(
            f"ep {ep[0]} does not divide the data-parallel ranks",
            where="parallelism.ep",
            hint="experts are spread over data-parallel ranks: ep must divide dp",
        )
    # with one copy there is nothing to shard: stage 0 stands for all
    alone = shard["dp"] * shard["cp"] == 1
    ok &= ~alone | (shard["zero_stage"] == 0)
    if (zero := legal.fixed.get("zero_stage")) is not None:
        ok &= alone | (shard["zero_stage"] == zero)
    return _keep(shard, ok)


def _some(values: np.ndarray) -> str:
    shown = ", ".join(str(v) for v in values[:8])
    return shown + (", ..." if len(values) > 8 else "")


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
            hint="it needs a pipeline (pp above 1) whose stages hold equal layers, and must divide the "
            f"layers of a stage; the model has {layers}",
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


def check_layout(s: Scenario, layout: Layout) -> None:
    """Refuse a layout that a scenario cannot have.

    Raises:
        InputError: a degree is not legal, or the degrees do not go together.
    """
    if s.job is None:
        raise InputError("a layout is of training", where="layout", hint="leave it out, or phase='training'")
    fixed = replace(s, settings=replace(s.settings, fixed=layout.to_dict()))
    space(fixed)
    if not legal_together(columns_of(layout), s.batch, s.accelerators).all():
        raise InputError(
            "the degrees do not go together",
            where="layout",
            hint="tp x cp x pp x dp must be the accelerators, dp x microbatch_size divide the batch, and "
            "microbatches come in whole rounds of an interleaved pipeline",
        )


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


def layout_at(c: Columns, index: int) -> Layout:
    """Return row ``index`` of complete columns as a layout."""
    values: dict[str, Any] = {f.name: c[f.name][index].item() for f in fields(Layout)}
    values["recompute"] = RECOMPUTE[int(values["recompute"])]
    return Layout(**values)

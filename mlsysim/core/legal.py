"""Which layouts of a training job are legal: the one list that the rule and the solver choose from.

The decisions come in the three factors of a step (:mod:`mlsysim.physics.training`), as columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlsysim.core.errors import InputError
from mlsysim.core.layout import SELECTIVE, Columns, Layout, columns_of
from mlsysim.core.scenario import Scenario
from mlsysim.core.splits import pipelines
from mlsysim.core.wanted import Wanted
from mlsysim.physics.transformer import RECOMPUTE, Transformer

MAX_MICROBATCH = 64


@dataclass(frozen=True)
class Space:
    """The legal values of each factor, as columns of equal length.

    ``layer`` has the decisions :data:`mlsysim.core.layout.LAYER`, ``pipeline`` :data:`PIPELINE` and
    ``shard`` :data:`SHARD`. Recomputation in ``layer`` is none or selective; full is a number of
    layers in ``pipeline``. With several numbers of accelerators to choose from, ``layer`` and
    ``shard`` have them as ``accelerators``.
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


def space(s: Scenario, *, tuned: bool = True, counts: Sequence[int] = ()) -> Space:
    """Return the legal values of a job's decisions that the plan allows.

    Hiding traffic is never slower (:func:`mlsysim.physics.traffic.traffic_left`), so where the plan
    leaves it open it is not a choice: it is on.

    Args:
        s: a training scenario.
        tuned: also what only a search finds: uneven stages, recomputing some layers of a stage, the
            optimizer on the host, and hidden tensor and pipeline traffic.
        counts: numbers of accelerators to choose from; that of the scenario if empty.

    Raises:
        InputError: a value that the plan fixes is not legal for this model and fleet.
    """
    legal = _Legal(s, tuple(counts) or (s.accelerators,), tuned)
    pipe = pipelines(legal.layers, legal.pick("pp"), s.settings.fixed, legal.full, tuned=tuned)
    return Space(_layers(legal), pipe, _shards(legal))


def fleets(s: Scenario, counts: Sequence[int]) -> list[int]:
    """Return those of some numbers of accelerators on which a layout is possible.

    Raises:
        InputError: there is none.
    """
    legal = _Legal(s, tuple(counts), tuned=False)
    degrees = _degrees(legal)
    ep = np.array(legal.pick("ep"))
    spread = (degrees["dp"][:, None] % ep[None, :] == 0).any(axis=1)
    return [int(n) for n in np.unique(degrees["accelerators"][spread])]


class _Legal:
    """The legal values of each decision of a job, and why they are."""

    def __init__(self, s: Scenario, counts: tuple[int, ...], tuned: bool) -> None:
        assert s.job is not None
        m = s.job.model
        self.scenario, self.counts, self.tuned = s, counts, tuned
        self.fixed = s.settings.fixed
        self.batch, self.domain = s.batch, s.network.domain
        self.layers = int(s.job.weights.layers)
        self.dense = isinstance(m, Transformer)
        self.heads, self.kv_heads, self.experts = (
            (int(m.heads), int(m.kv_heads), int(m.experts)) if isinstance(m, Transformer) else (1, 1, 0)
        )
        self.selective = self.dense and (not s.job.fused_attention or self.asked("recompute", "selective"))
        self.full = self.dense and self.asked("recompute", "full", open_as=True)
        self.fleet = f"{counts[0]} accelerators" if len(counts) == 1 else f"{len(counts)} fleets"
        self.values = self._values(sorted({d for n in counts for d in divisors(n)}))

    def asked(self, name: str, value: Any, *, open_as: bool = False) -> bool:
        """Return whether the plan allows a value in so many words, or leaves the decision open."""
        return self.fixed[name].allows(value) if name in self.fixed else open_as

    def fits(self, tp: np.ndarray | int, n: np.ndarray | int) -> np.ndarray:
        """Return whether whole tensor-parallel groups lie in a scale-up domain, or span several."""
        inside = self.domain % np.asarray(tp) == 0
        return np.asarray((np.asarray(n) <= self.domain) | (np.asarray(tp) > self.domain) | inside)

    def _values(self, degrees: list[int]) -> dict[str, tuple[list[Any], str]]:
        n, heads, kv_heads, experts = self.fleet, self.heads, self.kv_heads, self.experts
        sequence = self.scenario.seq_len
        # ranks share KV heads evenly or replicate them
        tp = [
            d
            for d in degrees
            if heads % d == 0
            and (kv_heads % d == 0 or d % kv_heads == 0)
            and any(self.fits(d, count) for count in self.counts)
        ]
        return {
            "tp": (
                tp,
                f"it must divide {n}, {heads} heads and a scale-up domain of "
                f"{self.domain:g}, and fit {kv_heads} KV heads"
                if self.dense
                else "this model is replicated, not split",
            ),
            "cp": (
                [d for d in degrees if self.dense and sequence % d == 0] or [1],
                f"it must divide {n} and the sequence of {sequence}",
            ),
            "pp": (
                [d for d in degrees if d <= self.layers],
                f"it must divide {n} and be at most {self.layers} layers",
            ),
            "ep": (
                [d for d in divisors(experts or 1) if d in degrees],
                f"it must divide {n} and {experts} experts" if experts else "this model has no experts",
            ),
            "dp": (degrees, f"it must divide {n}"),
            "microbatch_size": (
                [d for d in divisors(self.batch) if d <= MAX_MICROBATCH],
                f"it must divide the batch of {self.batch} and be at most {MAX_MICROBATCH}",
            ),
            "recompute": (
                list(RECOMPUTE) if self.dense else ["none"],
                "this model has no layers to recompute",
            ),
        }

    def pick(self, name: str) -> list[Any]:
        """Return the legal values of a decision that the plan allows."""
        legal, why = self.values[name]
        wish: Wanted | None = self.fixed.get(name)
        if wish is None:
            return legal
        found = [value for value in legal if wish.allows(value)]
        if not found:
            shown = ", ".join(map(str, legal[:12])) + (", ..." if len(legal) > 12 else "")
            raise InputError(
                f"{name} {wish} is not possible: {why}",
                where=f"parallelism.{name}",
                hint=f"possible: {shown}",
            )
        return found

    def flag(self, name: str, unless: bool) -> list[bool]:
        """Return what a yes-or-no decision may be; ``unless`` the plan says, one value."""
        wish = self.fixed.get(name)
        return [unless] if wish is None else [v for v in (False, True) if wish.allows(v)]


def layers(s: Scenario, counts: Sequence[int]) -> Columns:
    """Return the legal cells of a layer for any of some numbers of accelerators."""
    return _any_layers(_Legal(s, tuple(counts), tuned=True))


def _layers(legal: _Legal) -> Columns:
    layer = _any_layers(legal)
    if len(legal.counts) > 1:
        layer = _crossed(layer, "accelerators", legal.counts)
        n = layer["accelerators"]
        layer = keep(layer, (n % (layer["tp"] * layer["cp"]) == 0) & legal.fits(layer["tp"], n))
    return layer


def _any_layers(legal: _Legal) -> Columns:
    modes = [RECOMPUTE.index(r) for r in legal.pick("recompute")]
    # full recomputation is a number of layers of the pipeline's, none here
    kept = sorted({0 if m != SELECTIVE else m for m in modes if m != SELECTIVE or legal.selective})
    layer = _grid(
        tp=legal.pick("tp"),
        cp=legal.pick("cp"),
        ep=legal.pick("ep"),
        microbatch_size=legal.pick("microbatch_size"),
        recompute=kept,
        sequence_parallel=[False, True],
        overlap_tensor=legal.flag("overlap_tensor", legal.tuned),
        overlap_experts=legal.flag("overlap_experts", legal.tuned),
    )
    alone = layer["tp"] == 1
    layer = keep(layer, ~alone | ~layer["sequence_parallel"])
    if (sequence := legal.fixed.get("sequence_parallel")) is not None:
        wished = np.isin(layer["sequence_parallel"], [v for v in (False, True) if sequence.allows(v)])
        layer = keep(layer, (layer["tp"] == 1) | wished)
    # left open, tensor-parallel traffic hides as frameworks do it: with sequence parallelism only
    may_hide = (layer["tp"] > 1) if "overlap_tensor" in legal.fixed else layer["sequence_parallel"]
    layer["overlap_tensor"] = layer["overlap_tensor"] & may_hide
    layer["overlap_experts"] = layer["overlap_experts"] & (layer["ep"] > 1)
    return _distinct(layer)


def _shards(legal: _Legal) -> Columns:
    """Return the degrees that multiply to the accelerators, with ZeRO stages and what goes with them."""
    batch = legal.batch
    shard = _degrees(legal)
    divided = keep(shard, batch % shard["dp"] == 0)
    if not len(divided["dp"]):
        raise _indivisible(batch, legal, shard["dp"])
    shard = _crossed(divided, "ep", legal.pick("ep"))
    if not (shard["dp"] % shard["ep"] == 0).any():
        raise InputError(
            f"ep {legal.pick('ep')[0]} does not divide the data-parallel ranks",
            where="parallelism.ep",
            hint="experts are spread over data-parallel ranks: ep must divide dp",
        )
    shard = keep(shard, shard["dp"] % shard["ep"] == 0)
    # with one copy there is nothing to shard, and no traffic to hide: stage 0 stands for all
    alone = shard["dp"] * shard["cp"] == 1
    several = keep(shard, ~alone)
    stages = [z for z in range(4) if "zero_stage" not in legal.fixed or legal.fixed["zero_stage"].allows(z)]
    several = _crossed(several, "zero_stage", stages)
    several = _crossed(several, "overlap_gradients", legal.flag("overlap_gradients", True))
    single = dict(keep(shard, alone))
    single["zero_stage"] = np.zeros(len(single["dp"]), dtype=np.int64)
    single["overlap_gradients"] = np.full(len(single["dp"]), legal.flag("overlap_gradients", True)[-1])
    shard = {name: np.concatenate([several[name], single[name]]) for name in several}
    wish = legal.fixed.get("offload_optimizer")
    choices = [v for v in (False, True) if (wish.allows(v) if wish else legal.tuned or not v)]
    return _crossed(shard, "offload_optimizer", choices)


def _degrees(legal: _Legal) -> Columns:
    """Return tp, cp, pp and dp that multiply to one of the numbers of accelerators."""
    shard = _grid(tp=legal.pick("tp"), cp=legal.pick("cp"), pp=legal.pick("pp"))
    ranks = shard["tp"] * shard["cp"] * shard["pp"]
    dp = legal.pick("dp")
    if len(legal.counts) == 1:
        whole = legal.counts[0]
        shard["dp"] = np.where(whole % ranks == 0, whole // ranks, 0).astype(np.int64)
        shard = keep(shard, (shard["dp"] >= 1) & np.isin(shard["dp"], dp))
    else:
        shard = _crossed(shard, "dp", [d for d in dp if legal.batch % d == 0])
        n = shard["tp"] * shard["cp"] * shard["pp"] * shard["dp"]
        shard["accelerators"] = n
        shard = keep(shard, np.isin(n, legal.counts) & legal.fits(shard["tp"], n))
    if not len(shard["tp"]):
        raise InputError(
            f"the fixed degrees do not multiply to {legal.fleet}",
            where="parallelism",
            hint="tp x cp x pp x dp must be the accelerators; leave one of them out",
        )
    return shard


def _indivisible(batch: int, legal: _Legal, dp: np.ndarray) -> InputError:
    n = max(legal.counts)
    return InputError(
        f"a batch of {batch} cannot be divided over {legal.fleet}",
        where="workload.batch_size",
        hint=f"dp must divide it; possible here: dp {_some(np.unique(dp))}; "
        f"a batch of {-(-batch // n) * n} would do, or fewer accelerators: "
        f"parallelism.accelerators: {{max: {n}}}",
    )


def _some(values: np.ndarray) -> str:
    shown = ", ".join(str(v) for v in values[:8])
    return shown + (", ..." if len(values) > 8 else "")


def _grid(**values: Any) -> Columns:
    grid = np.meshgrid(*(np.array(v) for v in values.values()), indexing="ij")
    return {name: g.ravel() for name, g in zip(values, grid, strict=True)}


def _crossed(columns: Columns, name: str, values: Sequence[Any]) -> Columns:
    """Return every row with each value of one more decision."""
    size = len(next(iter(columns.values())))
    found = {key: np.repeat(column, len(values)) for key, column in columns.items()}
    found[name] = np.tile(np.array(values), size)
    return found


def _distinct(columns: Columns) -> Columns:
    """Return the columns without repeated rows, in order of the first."""
    rows = np.stack([np.asarray(c, dtype=np.int64) for c in columns.values()], axis=1)
    _, first = np.unique(rows, axis=0, return_index=True)
    return keep(columns, np.sort(first))


def keep(columns: Columns, which: np.ndarray) -> Columns:
    """Return some rows of columns, by a mask or by their indices."""
    return {name: column[which] for name, column in columns.items()}


def divides(batch: int, dp: np.ndarray, microbatch: np.ndarray) -> np.ndarray:
    """Return whether the data-parallel ranks get a whole number of microbatches."""
    return np.asarray(batch % (dp * microbatch) == 0)


def whole_rounds(
    batch: int, accelerators: Any, tp: np.ndarray, cp: np.ndarray, microbatch: np.ndarray
) -> np.ndarray:
    """Return whether microbatches come in whole rounds of the pipeline's stages.

    ``m / pp = B tp cp / (N microbatch)``; an interleaved schedule needs it whole (Narayanan 2021,
    section 2.2).
    """
    return np.asarray((batch * tp * cp) % (accelerators * microbatch) == 0, dtype=bool)


def may_keep_all(s: Scenario) -> bool:
    """Return whether the plan allows a run that recomputes nothing."""
    wish: Wanted | None = s.settings.fixed.get("recompute")
    return wish is None or wish.allows("none")


def legal_together(c: Columns, batch: int, accelerators: int, none: bool = True) -> np.ndarray:
    """Return which complete layouts keep the rules that join the factors.

    Args:
        c: the layouts.
        batch: sequences a step.
        accelerators: how many run.
        none: whether recomputing nothing is allowed.
    """
    rounds = whole_rounds(batch, accelerators, c["tp"], c["cp"], c["microbatch_size"])
    whole = c["tp"] * c["cp"] * c["pp"] * c["dp"] == accelerators
    together = whole & divides(batch, c["dp"], c["microbatch_size"]) & ((c["interleave"] == 1) | rounds)
    return np.asarray(
        together & one_way_to_recompute(c["recompute"], c["recompute_layers"], none), dtype=bool
    )


def one_way_to_recompute(mode: np.ndarray, layers: np.ndarray, none: bool = True) -> np.ndarray:
    """Return where scores are recomputed selectively or whole layers are, not both; or neither."""
    selective, some = mode == SELECTIVE, layers > 0
    return np.asarray((selective != some) | (none & ~selective & ~some))


def check_layout(s: Scenario, layout: Layout) -> None:
    """Refuse a layout that a scenario cannot have.

    Raises:
        InputError: a degree is not legal, or the degrees do not go together.
    """
    if s.job is None:
        raise InputError("a layout is of training", where="layout", hint="leave it out, or phase='training'")
    given = layout.to_dict()
    if layout.recompute == "full" and not layout.recompute_layers:
        del given["recompute_layers"]
    if not layout.first_stage_layers:
        del given["first_stage_layers"]
    if not layout.last_stage_layers:
        del given["last_stage_layers"]
    fixed = {name: Wanted((value,)) for name, value in given.items()}
    space(replace(s, settings=replace(s.settings, fixed=fixed)))
    if not legal_together(columns_of(layout, s.job.weights.layers), s.batch, s.accelerators).all():
        raise InputError(
            "the degrees do not go together",
            where="layout",
            hint="tp x cp x pp x dp must be the accelerators, dp x microbatch_size divide the batch, and "
            "microbatches come in whole rounds of an interleaved pipeline",
        )

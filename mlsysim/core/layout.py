"""A layout of a training job: the decisions, and the parts of the physics that they fix.

Layouts come one at a time (:class:`Layout`) or as columns of equal length, one for each decision.
Which are legal is in :mod:`mlsysim.core.legal`, which one the rule picks in :mod:`mlsysim.core.rule`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from mlsysim.physics.training import (
    Job,
    LayerPart,
    PipelinePart,
    ShardPart,
    layer_part,
    pipeline_part,
    shard_part,
)
from mlsysim.physics.transformer import RECOMPUTE

Columns = dict[str, np.ndarray]

# The decisions that each part of the physics looks at.
LAYER = (
    "tp",
    "cp",
    "ep",
    "microbatch_size",
    "recompute",
    "sequence_parallel",
    "overlap_tensor",
    "overlap_experts",
)
PIPELINE = (
    "pp",
    "interleave",
    "first_stage_layers",
    "last_stage_layers",
    "recompute_layers",
    "overlap_pipeline",
)
SHARD = ("tp", "cp", "pp", "dp", "ep", "zero_stage", "overlap_gradients", "offload_optimizer")
FULL = RECOMPUTE.index("full")
SELECTIVE = RECOMPUTE.index("selective")


@dataclass(frozen=True)
class Layout:
    """The decisions of a training job; field names are those of a plan's ``parallelism``.

    Attributes:
        tp, cp, pp, dp, ep: degrees of tensor, context, pipeline, data and expert parallelism.
        microbatch_size: sequences.
        interleave: model chunks of a stage.
        first_stage_layers, last_stage_layers: of a pipeline; 0 for a split as even as can be.
        recompute: ``none``, ``selective`` or ``full``.
        recompute_layers: layers of each stage that are recomputed in full; with ``full``, 0 is all.
        sequence_parallel: whether what is not tensor-parallel is divided by ``tp`` too.
        zero_stage: of ZeRO.
        overlap_gradients, overlap_tensor, overlap_experts, overlap_pipeline: whether that traffic hides
            behind compute.
        offload_optimizer: whether the optimizer is on the host.
    """

    tp: int = 1
    cp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int = 1
    microbatch_size: int = 1
    interleave: int = 1
    first_stage_layers: int = 0
    last_stage_layers: int = 0
    recompute: str = "none"
    recompute_layers: int = 0
    sequence_parallel: bool = False
    zero_stage: int = 0
    overlap_gradients: bool = True
    overlap_tensor: bool = False
    overlap_experts: bool = False
    overlap_pipeline: bool = False
    offload_optimizer: bool = False

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
        if self.first_stage_layers != self.last_stage_layers:
            parts.append(f"ends {self.first_stage_layers}+{self.last_stage_layers}")
        again = f" {self.recompute_layers}" if self.recompute_layers else ""
        parts += [f"recompute {self.recompute}{again}", f"zero {self.zero_stage}"]
        if self.sequence_parallel:
            parts.append("sequence parallel")
        if self.offload_optimizer:
            parts.append("offload")
        return "  ".join(parts)


def ends(layers: float, pp: np.ndarray, first: np.ndarray, last: np.ndarray) -> tuple[Any, Any]:
    """Return the layers of the first and last stage; where 0 is given, as even as can be.

    What is missing to full stages is taken from the last stage, then from the first.
    """
    first_open, last_open = np.asarray(first) == 0, np.asarray(last) == 0
    # the stages that the plan does not fix share the rest
    stages = pp - 2.0 + first_open + last_open
    rest = np.maximum(layers - first - last, 0.0)
    full = np.ceil(rest / np.maximum(stages, 1.0))
    spare = np.maximum(full - 1.0, 0.0)
    missing = full * stages - rest
    from_last = np.where(last_open, np.minimum(missing, spare), 0.0)
    of_first = full - np.minimum(missing - from_last, spare)
    alone = np.asarray(pp) == 1
    first = np.where(alone, layers, np.where(first_open, of_first, first))
    return first, np.where(alone, layers, np.where(last_open, full - from_last, last))


def layer_of(job: Job, c: Columns) -> LayerPart:
    """Return the layer part for columns of decisions."""
    return layer_part(
        job,
        tp=c["tp"],
        cp=c["cp"],
        ep=c["ep"],
        microbatch=c["microbatch_size"],
        selective=c["recompute"] == SELECTIVE,
        sequence_parallel=c["sequence_parallel"],
        overlap=c["overlap_tensor"],
        overlap_experts=c["overlap_experts"],
    )


def pipeline_of(job: Job, c: Columns) -> PipelinePart:
    """Return the pipeline part for columns of decisions."""
    first, last = ends(job.weights.layers, c["pp"], c["first_stage_layers"], c["last_stage_layers"])
    return pipeline_part(
        job,
        pp=c["pp"],
        interleave=c["interleave"],
        first=first,
        last=last,
        recomputed=c["recompute_layers"],
        overlap=c["overlap_pipeline"],
    )


def shard_of(job: Job, c: Columns) -> ShardPart:
    """Return the shard part for columns of decisions."""
    return shard_part(
        job,
        tp=c["tp"],
        cp=c["cp"],
        pp=c["pp"],
        dp=c["dp"],
        ep=c["ep"],
        zero=c["zero_stage"],
        overlap=c["overlap_gradients"],
        offload=c["offload_optimizer"],
    )


def columns_of(layout: Layout, layers: float) -> Columns:
    """Return one layout as columns of length one; ``full`` without a number is all layers."""
    values = layout.to_dict() | {"recompute": RECOMPUTE.index(layout.recompute)}
    if layout.recompute == "full" and not layout.recompute_layers:
        values["recompute_layers"] = int(layers)
    return {name: np.array([value]) for name, value in values.items()}


def layout_at(c: Columns, index: int) -> Layout:
    """Return row ``index`` of complete columns as a layout."""
    values: dict[str, Any] = {f.name: c[f.name][index].item() for f in fields(Layout)}
    values["recompute"] = RECOMPUTE[FULL if values["recompute_layers"] else int(values["recompute"])]
    return Layout(**values)
